//! Locks that allow one writer at a time: an advisory lock (flock) on the folder that is written to. The kernel
//! releases it when the process ends, so a killed run never leaves a lock behind.

use std::fs::TryLockError;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use fs_err::{self as fs, File, OpenOptions};

use crate::cli::narrate;

/// Waiting time after which the wait is reported on stderr.
const SILENT_WAIT: Duration = Duration::from_secs(1);
/// Interval between attempts to take a lock that another process holds.
const RETRY: Duration = Duration::from_millis(10);

/// A lock that is held until this value is dropped.
pub struct Lock {
    _handle: File,
}

impl Lock {
    /// Locks `folder`, and creates it if there is none. `holder` describes the possible other holder for the error
    /// message.
    ///
    /// # Errors
    /// Fails immediately if another process holds the lock, or if the folder cannot be created or locked.
    pub fn acquire(folder: &Path, holder: &str) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let handle = File::open(folder)?;
        match handle.try_lock() {
            Ok(()) => Ok(Self { _handle: handle }),
            Err(TryLockError::WouldBlock) => bail!(
                "another {holder} is at work in {}; nothing was changed, try again when it has ended",
                folder.display()
            ),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("locking {}", folder.display())),
        }
    }

    /// Locks the file `path`, and creates it if there is none. A wait of more than a second is reported on stderr.
    ///
    /// # Errors
    /// Fails if another process still holds the lock after `limit`, or if the file cannot be opened or locked.
    pub fn wait(path: &Path, limit: Duration) -> Result<Self> {
        let locking = || format!("locking {}", path.display());
        let handle = OpenOptions::new().create(true).append(true).open(path)?;
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
