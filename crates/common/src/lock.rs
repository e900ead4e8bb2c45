//! One writer at a time: an advisory lock (flock) on the folder that is written to, released by the kernel with the
//! process, so that a killed run never leaves one behind.

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::cli::narrate;

/// After how long a wait is reported on stderr.
const SILENT_WAIT: Duration = Duration::from_secs(1);
/// How often a lock that another process holds is tried.
const RETRY: Duration = Duration::from_millis(10);

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

    /// Locks the file `path`, making it where there is none; waits at most `limit` for the process that holds it, and
    /// reports a wait of more than a second on stderr.
    pub fn wait(path: &Path, limit: Duration) -> Result<Self> {
        let locking = || format!("locking {}", path.display());
        let handle = File::options().create(true).append(true).open(path).with_context(locking)?;
        let (start, mut reported) = (Instant::now(), false);
        loop {
            match handle.try_lock() {
                Ok(()) => return Ok(Self { _handle: handle }),
                Err(TryLockError::Error(error)) => return Err(error).with_context(locking),
                Err(TryLockError::WouldBlock) if start.elapsed() >= limit => bail!(
                    "another process has held the lock on {} for {} s; wait for that process or end it (`fuser {0}` names \
                     it), then try again",
                    path.display(),
                    limit.as_secs()
                ),
                Err(TryLockError::WouldBlock) => thread::sleep(RETRY),
            }
            if !reported && start.elapsed() >= SILENT_WAIT {
                reported = true;
                let (path, limit) = (path.display(), limit.as_secs());
                narrate(format_args!("waiting up to {limit} s for the lock on {path}, which another process holds"));
            }
        }
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

    #[test]
    fn a_wait_ends_at_its_limit_and_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.lock");
        let first = Lock::wait(&path, Duration::ZERO).unwrap();
        let error = Lock::wait(&path, Duration::from_millis(50)).err().unwrap().to_string();
        assert!(error.contains(path.to_str().unwrap()) && error.contains("or end it"), "{error}");
        drop(first);
        Lock::wait(&path, Duration::ZERO).unwrap();
    }
}
