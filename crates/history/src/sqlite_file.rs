//! Detects writes to a SQLite file that is read without SQLite's own locks.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

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
        for suffix in ["-wal", "-journal"] {
            let mut log = path.as_os_str().to_owned();
            log.push(suffix);
            if Path::new(&log).try_exists()? {
                bail!("{} holds transactions that are not in the file yet", Path::new(&log).display());
            }
        }
        Ok(stamp)
    }
}
