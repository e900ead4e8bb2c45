//! Caches values that are computed from files, and recomputes them only when their sources have changed.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// The newest value, with the key that identifies its sources.
pub struct Cached<K, V>(Mutex<Option<(K, Arc<V>)>>);

impl<K, V> Default for Cached<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: PartialEq, V> Cached<K, V> {
    /// Returns the value for `key`; calls `make` if the stored value has another key. Concurrent callers wait for the
    /// result.
    pub fn get<E>(&self, key: K, make: impl FnOnce() -> Result<V, E>) -> Result<Arc<V>, E> {
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made_of, value)) = &*newest
            && *made_of == key
        {
            return Ok(value.clone());
        }
        // Dropped first, so that the outdated value and its replacement are not in memory at the same time.
        *newest = None;
        let value = Arc::new(make()?);
        *newest = Some((key, value.clone()));
        Ok(value)
    }
}

/// Identifies one version of a file. All files here are written under a temporary name and renamed, so new content has
/// a new inode; size and modification time reveal a file that was edited in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileIdentity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl FileIdentity {
    /// The identity of the file at `path`; symbolic links are followed.
    ///
    /// # Errors
    /// Returns an error if the file's metadata cannot be read.
    pub fn of(path: &Path) -> io::Result<Self> {
        let file = fs::metadata(path)?;
        Ok(Self {
            device: file.dev(),
            inode: file.ino(),
            size: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_made_once_for_each_key_and_a_failure_is_not_kept() {
        let cached = Cached::default();
        let mut made = 0;
        for (key, expected) in [("a", 1), ("a", 1), ("b", 2), ("b", 2), ("a", 3)] {
            let value = cached.get(key, || {
                made += 1;
                Ok::<_, ()>(made)
            });
            assert_eq!(*value.unwrap(), expected, "{key}");
        }
        assert_eq!(cached.get("c", || Err("away")), Err("away"));
        assert_eq!(*cached.get("c", || Ok::<_, ()>(9)).unwrap(), 9);
    }

    #[test]
    fn a_file_that_replaces_another_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        fs::write(&path, "1").unwrap();
        let first = FileIdentity::of(&path).unwrap();
        assert_eq!(first, FileIdentity::of(&path).unwrap());
        fs::write(folder.path().join("new"), "2").unwrap();
        fs::rename(folder.path().join("new"), &path).unwrap();
        assert_ne!(first, FileIdentity::of(&path).unwrap());
    }
}
