//! Taking connections: addresses, Unix sockets, and as many files as they need.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::limits::MOST_CONNECTIONS;

/// Files that the service needs beside its connections.
const OTHER_FILES: u64 = 200;

/// Raises the limit of open files to what the system grants; returns how many connections each of `workers` may hold.
pub fn connections_of_each(workers: usize) -> usize {
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1024);
    let connections = usize::try_from(files.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX).min(MOST_CONNECTIONS);
    (connections / workers.max(1)).max(1)
}

/// The Unix sockets that are listened on; their files are removed with this value.
#[derive(Default)]
pub struct Sockets(Vec<PathBuf>);

impl Sockets {
    /// Makes room for a socket at `path`: what a killed server has left is removed, nothing that is in use and no other
    /// file.
    pub fn claim(&mut self, path: &Path) -> Result<()> {
        if let Ok(found) = fs::symlink_metadata(path) {
            if !found.file_type().is_socket() {
                bail!("{} is there and is no socket", path.display());
            }
            if UnixStream::connect(path).is_ok() {
                bail!("a server answers there");
            }
            fs::remove_file(path).with_context(|| format!("removing {}", path.display()))?;
        }
        self.0.push(path.to_owned());
        Ok(())
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = fs::remove_file(path); // the next start removes it too
        }
    }
}
