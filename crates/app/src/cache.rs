//! Two caches. [`SourceCache`] keeps a value until its sources change, [`AnswerCache`] until it is too old.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::Problem;
use crate::queue::Queue;

/// The newest value, with the key that identifies its sources.
pub struct SourceCache<K, V>(Mutex<Option<(K, Arc<V>)>>);

impl<K, V> Default for SourceCache<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: PartialEq, V> SourceCache<K, V> {
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

/// The newest answer to a question that takes seconds to compute.
pub struct AnswerCache<T>(Arc<Mutex<Option<Stored<T>>>>);

struct Stored<T> {
    /// Id of the release that the answer is about.
    release: String,
    made: Instant,
    answer: Arc<T>,
}

/// An answer and its age.
#[derive(Debug, Serialize, ToSchema)]
pub struct Aged<T> {
    /// The answer itself; its fields appear next to `age_seconds`.
    #[serde(flatten)]
    #[schema(value_type = T)]
    pub answer: Arc<T>,
    /// Age of the answer in whole seconds.
    pub age_seconds: u64,
}

impl<T> Default for AnswerCache<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Send + Sync + 'static> AnswerCache<T> {
    /// Returns an answer about `release` that is younger than `oldest`: the stored one if there is one, else a new one,
    /// which `make` computes as the work of `queue`. A request that waited in the queue reuses an answer that was
    /// computed in the meantime.
    pub async fn get(
        &self,
        queue: &Queue,
        release: String,
        oldest: Duration,
        make: impl FnOnce() -> Result<T, Problem> + Send + 'static,
    ) -> Result<Aged<T>, Problem> {
        if let Some(answer) = self.stored(&release, oldest) {
            return Ok(answer);
        }
        let permit = queue.enter().await?;
        if let Some(answer) = self.stored(&release, oldest) {
            return Ok(answer);
        }
        let newest = self.0.clone();
        let work = move || {
            let answer = Arc::new(make()?);
            // Stored before the permit ends, so that the next request in the queue finds it.
            let stored = Stored { release, made: Instant::now(), answer: answer.clone() };
            *newest.lock().unwrap_or_else(PoisonError::into_inner) = Some(stored);
            Ok(Aged { answer, age_seconds: 0 })
        };
        permit.run_at_low_priority(work).await
    }

    fn stored(&self, release: &str, oldest: Duration) -> Option<Aged<T>> {
        let newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = newest.as_ref().filter(|stored| stored.release == release && stored.made.elapsed() < oldest)?;
        Some(Aged { answer: stored.answer.clone(), age_seconds: stored.made.elapsed().as_secs() })
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
        let cache = SourceCache::default();
        let mut made = 0;
        for (key, expected) in [("a", 1), ("a", 1), ("b", 2), ("b", 2), ("a", 3)] {
            let value = cache.get(key, || {
                made += 1;
                Ok::<_, ()>(made)
            });
            assert_eq!(*value.unwrap(), expected, "{key}");
        }
        assert_eq!(cache.get("c", || Err("away")), Err("away"));
        assert_eq!(*cache.get("c", || Ok::<_, ()>(9)).unwrap(), 9);
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
