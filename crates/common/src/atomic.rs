//! Files that are written whole or not at all: a temporary file in the same folder, fsync, rename, fsync of the folder.
//!
//! Whoever is killed in between leaves the old file as it was, and at the most a hidden `.….partial` beside it, which
//! the next writer of that folder removes ([`sweep`]).

use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::NamedTempFile;

const PARTIAL: &str = ".partial";

/// Replaces `path` by `bytes`.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes).with_context(|| format!("writing {}", path.display()))?;
    file.commit()
}

/// A file in the making; it takes its name only at [`AtomicFile::commit`], and vanishes when dropped before.
pub struct AtomicFile {
    path: PathBuf,
    file: BufWriter<NamedTempFile>,
}

impl AtomicFile {
    /// Starts the file that will be `path`, making its folder where there is none.
    pub fn create(path: &Path) -> Result<Self> {
        let create = || -> Result<NamedTempFile> {
            let folder = folder_of(path);
            fs::create_dir_all(folder)?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            Ok(tempfile::Builder::new()
                .prefix(&format!(".{name}."))
                .suffix(PARTIAL)
                .permissions(Permissions::from_mode(0o666)) // the umask takes its share, as from any other file
                .tempfile_in(folder)?)
        };
        let file = create().with_context(|| format!("creating {}", path.display()))?;
        Ok(Self { path: path.to_owned(), file: BufWriter::with_capacity(256 * 1024, file) })
    }

    /// Puts the content on the disk and gives it its name.
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

/// Makes `link` a symbolic link to `target` in one rename, whatever stood there before.
pub fn symlink(target: &Path, link: &Path) -> Result<()> {
    let make = || -> Result<()> {
        let folder = folder_of(link);
        let name = link.file_name().unwrap_or_default().to_string_lossy();
        let partial = folder.join(format!(".{name}{PARTIAL}"));
        match fs::remove_file(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        std::os::unix::fs::symlink(target, &partial)?;
        fs::rename(&partial, link)?;
        sync_folder(folder)
    };
    make().with_context(|| format!("linking {} to {}", link.display(), target.display()))
}

/// Removes what killed writers left half-made in `folder`. Call it only while holding the folder's lock.
pub fn sweep(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with('.') && name.ends_with(PARTIAL) {
            let removed =
                if path.is_dir() && !path.is_symlink() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.with_context(|| format!("removing {}", path.display()))?;
        }
    }
    Ok(())
}

/// A fresh folder inside `parent` that [`sweep`] knows, for a set of files in the making.
pub(crate) fn partial_folder(parent: &Path) -> Result<tempfile::TempDir> {
    fs::create_dir_all(parent)
        .and_then(|()| {
            tempfile::Builder::new()
                .prefix(".set.")
                .suffix(PARTIAL)
                .permissions(Permissions::from_mode(0o777))
                .tempdir_in(parent)
        })
        .with_context(|| format!("creating a folder in {}", parent.display()))
}

/// Puts a folder's own entries (names, not contents) on the disk.
pub fn sync_folder(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|f| f.sync_all()).with_context(|| format!("syncing {}", folder.display()))
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
    fn a_full_or_missing_place_names_the_file() {
        let error = write(Path::new("/proc/nowhere/score.txt"), b"1").unwrap_err();
        assert!(format!("{error:#}").contains("/proc/nowhere/score.txt"), "{error:#}");
    }
}
