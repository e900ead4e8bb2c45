//! A SQLite file as a file: where its log is, and whether it is written to while it is read without SQLite's own locks.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The attributes of a SQLite file that change with every write to it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileStamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl FileStamp {
    pub fn of(path: &Path) -> Result<Self> {
        let file = fs::metadata(path).with_context(|| format!("looking at {}", path.display()))?;
        Ok(Self { inode: file.ino(), size: file.size(), modified: (file.mtime(), file.mtime_nsec()) })
    }

    /// Returns the stamp of a file that is complete, that is, one without a log of later transactions next to it.
    pub fn without_log(path: &Path) -> Result<Self> {
        let stamp = Self::of(path)?;
        for log in [log_of(path), beside(path, "-journal")] {
            if log.try_exists()? {
                bail!("{} holds transactions that are not in the file yet", log.display());
            }
        }
        Ok(stamp)
    }
}

/// Returns the path of the write-ahead log of a SQLite file.
pub(crate) fn log_of(path: &Path) -> PathBuf {
    beside(path, "-wal")
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
