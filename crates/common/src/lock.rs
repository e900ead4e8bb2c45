//! One writer at a time: an advisory lock (flock) on the folder that is written to, released by the kernel with the
//! process, so that a killed run never leaves one behind.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Held as long as this value lives.
pub struct Lock {
    _handle: File,
}

impl Lock {
    /// Locks `folder`, making it where there is none; fails at once when another process holds it.
    ///
    /// `holder` names who might, for the error.
    pub fn acquire(folder: &Path, holder: &str) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
        let handle = File::open(folder).with_context(|| format!("opening {}", folder.display()))?;
        match handle.try_lock() {
            Ok(()) => Ok(Self { _handle: handle }),
            Err(TryLockError::WouldBlock) => bail!(
                "another {holder} is at work in {}; nothing was changed, try again when it has ended",
                folder.display()
            ),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("locking {}", folder.display())),
        }
    }

    /// Locks the file `path`, making it where there is none; waits for whoever holds it. For moments, not for work.
    pub fn wait(path: &Path) -> Result<Self> {
        let lock = || {
            let file = File::options().create(true).append(true).open(path)?;
            file.lock()?;
            Ok::<_, std::io::Error>(file)
        };
        Ok(Self { _handle: lock().with_context(|| format!("locking {}", path.display()))? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_refused_until_the_first_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lock::acquire(folder.path(), "run").unwrap();
        let refused = Lock::acquire(folder.path(), "run").err().unwrap().to_string();
        assert!(refused.contains("another run is at work"), "{refused}");
        drop(first);
        Lock::acquire(folder.path(), "run").unwrap();
    }
}
