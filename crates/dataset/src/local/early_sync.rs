//! Has a large file written to the disk while more is written, so that little is left to wait for at the end.

use std::io::{self, Write};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread;

use anyhow::{Result, anyhow};
use fs_err::File;

/// Number of bytes after which the disk gets what was written.
const INTERVAL: usize = 16 * 1024 * 1024;

/// A file whose content goes to the disk from time to time.
pub struct Syncing<'f> {
    file: &'f File,
    unsynced: usize,
    /// Wakes the thread that waits for the disk.
    wake: SyncSender<()>,
}

impl Write for Syncing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = (&mut &*self.file).write(bytes)?;
        self.unsynced += written;
        if self.unsynced >= INTERVAL {
            match self.wake.try_send(()) {
                Ok(()) => self.unsynced = 0,
                Err(TrySendError::Full(())) => {} // it still waits for the disk; the next write wakes it
                Err(TrySendError::Disconnected(())) => return Err(io::Error::other("the disk has not taken the file")),
            }
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Calls `write` with a writer to `file`. Another thread waits for the disk meanwhile.
///
/// # Errors
/// Fails like `write`, and if the disk does not take what was written. Such an error must not be ignored, because a later
/// sync would not report it again.
pub fn with_early_sync<T>(file: &File, write: impl FnOnce(&mut Syncing) -> Result<T>) -> Result<T> {
    thread::scope(|scope| {
        let (wake, woken) = sync_channel(0);
        let syncing = scope.spawn(move || woken.iter().try_for_each(|()| file.sync_data()));
        let result = write(&mut Syncing { file, unsynced: 0, wake });
        let synced = syncing.join().map_err(|_| anyhow!("the thread that waits for the disk panicked"))?;
        synced?; // first, because it is the cause of an error of `write`
        result
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_written_however_often_the_disk_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let part = vec![b'x'; INTERVAL / 3];
        let file = File::create(&path).unwrap();
        let written = with_early_sync(&file, |out| {
            (0..10).try_for_each(|_| out.write_all(&part))?;
            Ok(10 * part.len() as u64)
        });
        assert_eq!(path.metadata().unwrap().len(), written.unwrap());
        assert!(with_early_sync(&file, |_| anyhow::bail!("no rows") as Result<()>).is_err());
    }
}
