//! Files that are written completely or not at all: write a temporary file in the same folder, fsync it, rename it,
//! fsync the folder.
//!
//! A process that is killed in between leaves the old file unchanged, and at most a hidden temporary file named
//! `.….partial` next to it. The writer keeps the temporary file locked (flock), and the kernel releases the lock when
//! the process ends. The next writer of the same file can therefore tell that the temporary file is abandoned, and
//! removes it. [`sweep`] does the same for a whole folder.

use std::fs::{self as std_fs, Permissions, TryLockError};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use fs_err::{self as fs, File};
use tempfile::NamedTempFile;

/// The end of the name of everything that is unfinished.
pub(super) const PARTIAL: &str = ".partial";

/// Replaces the file `path` by one with the content `bytes`.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes).with_context(|| format!("writing {}", path.display()))?;
    file.commit()
}

/// A file that is being written. It gets its name only at [`AtomicFile::commit`]; if it is dropped before, it is
/// removed.
pub struct AtomicFile {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
}

impl AtomicFile {
    /// Starts the file that will be named `path`. Creates its folder if there is none.
    pub fn create(path: &Path) -> Result<Self> {
        let create = || -> Result<NamedTempFile> {
            let folder = folder_of(path);
            fs::create_dir_all(folder)?;
            let prefix = format!(".{}.", path.file_name().unwrap_or_default().to_string_lossy());
            // A failure to remove abandoned files must not prevent the write.
            let _ = remove_abandoned(folder, &prefix);
            loop {
                let file = tempfile::Builder::new()
                    .prefix(&prefix)
                    .suffix(PARTIAL)
                    .permissions(Permissions::from_mode(0o666)) // the umask applies, as for any other file
                    .tempfile_in(folder)?;
                if claim(file.as_file(), file.path())? {
                    return Ok(file);
                }
            }
        };
        let file = create().with_context(|| format!("creating {}", path.display()))?;
        Ok(Self { path: path.to_owned(), file: BufWriter::with_capacity(256 * 1024, file) })
    }

    /// Writes the content to the disk and gives the file its name.
    pub fn commit(self) -> Result<()> {
        let path = self.path;
        let commit = || -> Result<()> {
            let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            sync_folder(folder_of(&path))
        };
        commit().with_context(|| format!("writing {}", path.display()))
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Makes `link` a symbolic link to `target` in one rename. An earlier link or file of this name is replaced.
pub fn symlink(target: &Path, link: &Path) -> Result<()> {
    let make = || -> Result<()> {
        let folder = folder_of(link);
        let partial = tempfile::Builder::new()
            .prefix(".link.")
            .suffix(PARTIAL)
            .make_in(folder, |path| std::os::unix::fs::symlink(target, path))?;
        partial.persist(link).map_err(|error| error.error)?;
        sync_folder(folder)
    };
    make().with_context(|| format!("linking {} to {}", link.display(), target.display()))
}

/// Removes the unfinished files that killed writers left in `folder`. Call it only while holding the folder's lock.
pub fn sweep(folder: &Path) -> Result<()> {
    remove_abandoned(folder, ".")
}

/// Removes the partial files, folders and links in `folder` whose names begin with `prefix` and that no running process
/// has claimed.
fn remove_abandoned(folder: &Path, prefix: &str) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), entry.path());
        let name = name.to_string_lossy();
        if !(name.starts_with(prefix) && name.ends_with(PARTIAL)) {
            continue;
        }
        let kind = entry.file_type()?;
        // The lock is held until the removal has ended, so no process can claim an entry while it is being removed.
        let handle = if kind.is_symlink() { None } else { File::open(&path).ok() };
        if handle.as_ref().is_some_and(|handle| matches!(handle.try_lock(), Err(TryLockError::WouldBlock))) {
            continue;
        }
        let removed = if kind.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match removed {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

/// Marks the file or folder that this process has just created at `path` as in use. Returns `false` if another process
/// has removed it in the meantime.
fn claim(made: &std_fs::File, path: &Path) -> io::Result<bool> {
    // On a file system without locks, no other process can lock the entry either, so none removes it.
    let _ = made.lock();
    let made = made.metadata()?;
    match fs::symlink_metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (made.dev(), made.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// A folder in the system's temporary folder, removed when dropped. The folder of a killed process is removed when the
/// next one is created.
pub struct Scratch {
    folder: tempfile::TempDir,
    _claim: File,
}

impl Scratch {
    /// Creates an empty folder that only this user can access.
    pub fn new() -> Result<Self> {
        const PREFIX: &str = ".risk-scratch.";
        let temporary = std::env::temp_dir();
        let make = || -> Result<Self> {
            let _ = remove_abandoned(&temporary, PREFIX); // entries of other users stay
            loop {
                let folder = tempfile::Builder::new()
                    .prefix(PREFIX)
                    .suffix(PARTIAL)
                    .permissions(Permissions::from_mode(0o700))
                    .tempdir_in(&temporary)?;
                // Until the claim, another process may take the folder for an abandoned one and remove it.
                match File::open(folder.path()) {
                    Ok(handle) if claim(handle.file(), folder.path())? => return Ok(Self { folder, _claim: handle }),
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
                    _ => {}
                }
            }
        };
        make().with_context(|| format!("creating a folder in {}", temporary.display()))
    }

    /// Returns the path of the folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Creates a new folder inside `parent` for a set of files that is being written. [`sweep`] removes it if it is
/// abandoned.
pub(crate) fn partial_folder(parent: &Path) -> Result<tempfile::TempDir> {
    fs::create_dir_all(parent)?;
    let permissions = Permissions::from_mode(0o777);
    let folder = tempfile::Builder::new().prefix(".set.").suffix(PARTIAL).permissions(permissions).tempdir_in(parent);
    folder.with_context(|| format!("creating a folder in {}", parent.display()))
}

/// Writes a folder's own entries (the names, not the contents) to the disk.
pub fn sync_folder(folder: &Path) -> Result<()> {
    Ok(File::open(folder)?.sync_all()?)
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_abandoned_file_leaves_the_old_one_and_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("score.txt");
        write(&path, b"old").unwrap();
        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        drop(file);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn sweep_removes_only_what_a_killed_writer_left() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".score.txt.abc.partial", "kept.partial", ".kept"] {
            fs::write(folder.path().join(name), b"").unwrap();
        }
        fs::create_dir(folder.path().join(".set.xyz.partial")).unwrap();
        sweep(folder.path()).unwrap();
        let mut left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [".kept", "kept.partial"]);
    }

    #[test]
    fn a_writer_removes_what_killed_writers_of_the_same_file_left_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("score.txt");
        let mut living = AtomicFile::create(&path).unwrap();
        for name in [".score.txt.abc.partial", ".other.txt.abc.partial"] {
            fs::write(folder.path().join(name), b"").unwrap();
        }
        write(&path, b"first").unwrap();
        assert!(!folder.path().join(".score.txt.abc.partial").exists());
        assert!(folder.path().join(".other.txt.abc.partial").exists());
        sweep(folder.path()).unwrap();
        living.write_all(b"second").unwrap();
        living.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn many_processes_make_scratch_folders_at_once() {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let scratch = Scratch::new().unwrap();
                        fs::write(scratch.path().join("file"), b"").unwrap();
                    }
                });
            }
        });
    }

    #[test]
    fn what_was_removed_before_it_was_claimed_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let made = File::create(&path).unwrap();
        assert!(claim(made.file(), &path).unwrap());
        fs::remove_file(&path).unwrap();
        assert!(!claim(made.file(), &path).unwrap());
        fs::write(&path, b"another").unwrap();
        assert!(!claim(made.file(), &path).unwrap());
    }

    #[test]
    fn a_failed_write_names_the_file() {
        let error = write(Path::new("/proc/nowhere/score.txt"), b"1").unwrap_err();
        assert!(format!("{error:#}").contains("/proc/nowhere/score.txt"), "{error:#}");
    }
}
