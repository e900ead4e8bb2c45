//! A set of files that changes in one step: each version has a folder of its own, and one symbolic link names the
//! current version.
//!
//! ```text
//! root/versions/<id>/a, root/versions/<id>/b     complete before the folder gets its name
//! root/current -> versions/<id>                  switched in one rename
//! root/a -> current/a, root/b -> current/b       the public names, which other programs use
//! ```
//!
//! A version may have subfolders, and a public name may be that of one.
//!
//! A reader sees the complete old set or the complete new one, even if a process is killed at any moment.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Result, bail};
use fs_err::{self as fs, File};
use tempfile::TempDir;

use crate::files::atomic;
use crate::files::checksum::Checksum;

const CURRENT: &str = "current";

/// A folder with the layout described in the module documentation.
#[derive(Clone, Debug)]
pub struct VersionedFolder {
    root: PathBuf,
    versions: &'static str,
}

impl VersionedFolder {
    /// Describes the folder `root`, whose versions are in its subfolder `versions`.
    pub fn new(root: &Path, versions: &'static str) -> Self {
        Self { root: root.to_owned(), versions }
    }

    /// Returns the path of version `id`.
    pub fn version(&self, id: &str) -> PathBuf {
        self.root.join(self.versions).join(id)
    }

    /// Returns the id of the current version; `None` before the first version.
    pub fn current(&self) -> Result<Option<String>> {
        let link = self.root.join(CURRENT);
        match fs::read_link(&link) {
            Ok(target) => match target.file_name().and_then(|id| id.to_str()) {
                Some(id) => Ok(Some(id.to_owned())),
                None => bail!("{} links to {}, which is not a version", link.display(), target.display()),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the time at which `current` was last switched.
    pub(crate) fn current_since(&self) -> Result<SystemTime> {
        let link = self.root.join(CURRENT);
        Ok(fs::symlink_metadata(&link)?.modified()?)
    }

    /// Returns the ids of all complete versions, sorted.
    pub fn ids(&self) -> Result<Vec<String>> {
        let folder = self.root.join(self.versions);
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut ids = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry.file_type()?;
            if !name.starts_with('.') && (kind.is_dir() || kind.is_symlink() && entry.path().is_dir()) {
                ids.push(name);
            }
        }
        ids.sort();
        Ok(ids)
    }

    /// Starts a new version. Call it only while holding the root's lock, because it removes what killed writers left.
    pub fn stage(&self) -> Result<Stage<'_>> {
        let folder = self.root.join(self.versions);
        fs::create_dir_all(&folder)?;
        atomic::sweep(&folder)?;
        atomic::sweep(&self.root)?;
        Ok(Stage { of: self, partial: atomic::partial_folder(&folder)? })
    }

    /// Makes version `id` the current one, in one rename.
    pub fn switch(&self, id: &str) -> Result<()> {
        let version = self.version(id);
        if !fs::metadata(&version)?.is_dir() {
            bail!("{} is not a folder", version.display());
        }
        atomic::symlink(&Path::new(self.versions).join(id), &self.root.join(CURRENT))
    }

    /// Makes the names of the root those in `public`: links to the files of the current version. Correct links are kept,
    /// and those of other versions are removed.
    pub fn relink(&self, public: &[&str]) -> Result<()> {
        self.link(public)?;
        self.forget_names(public)
    }

    /// Links the `public` names in the root to the files of the current version. Correct links are kept.
    fn link(&self, public: &[&str]) -> Result<()> {
        for file in public.iter().filter(|file| !self.is_linked(file)) {
            atomic::symlink(&Path::new(CURRENT).join(file), &self.root.join(file))?;
        }
        Ok(())
    }

    /// Whether the public name `file` links to the file of the current version.
    pub(crate) fn is_linked(&self, file: &str) -> bool {
        fs::read_link(self.root.join(file)).is_ok_and(|target| target == Path::new(CURRENT).join(file))
    }

    /// Removes the links of earlier versions from the root, except those whose names are in `public`.
    ///
    /// It compares only names and does not follow links, so a file that cannot be reached at the moment keeps its name.
    fn forget_names(&self, public: &[&str]) -> Result<()> {
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let link = entry.path();
            let into_current = fs::read_link(&link).is_ok_and(|target| target.parent() == Some(Path::new(CURRENT)));
            if into_current && !public.iter().any(|name| entry.file_name() == *name) {
                fs::remove_file(&link)?;
            }
        }
        Ok(())
    }

    /// Removes all versions except the current one.
    pub fn prune(&self) -> Result<()> {
        let current = self.current()?;
        for id in self.ids()?.into_iter().filter(|id| Some(id) != current.as_ref()) {
            fs::remove_dir_all(self.version(&id))?;
        }
        Ok(())
    }

    /// Removes version `id`. It loses its name first, so a process killed in between leaves no version that looks
    /// complete and is not. Call it only while holding the root's lock.
    pub fn remove(&self, id: &str) -> Result<()> {
        let folder = self.root.join(self.versions);
        let nameless = folder.join(format!(".{id}{}", atomic::PARTIAL));
        fs::rename(self.version(id), &nameless)?;
        atomic::sync_folder(&folder)?;
        match fs::symlink_metadata(&nameless)?.is_dir() {
            true => Ok(fs::remove_dir_all(&nameless)?),
            false => Ok(fs::remove_file(&nameless)?), // a link to a folder elsewhere
        }
    }

    /// Removes what killed writers left. Call it only while holding the root's lock.
    pub fn sweep(&self) -> Result<()> {
        let folder = self.root.join(self.versions);
        if fs::exists(&folder)? {
            atomic::sweep(&folder)?;
        }
        Ok(())
    }
}

/// A version that is being written; it is removed if it is dropped before [`Stage::publish`].
pub struct Stage<'a> {
    of: &'a VersionedFolder,
    partial: TempDir,
}

impl Stage<'_> {
    /// Returns the folder into which to write the version's files.
    pub fn path(&self) -> &Path {
        self.partial.path()
    }

    /// Writes the files to the disk, names the version `id` and makes it current. Returns the id.
    ///
    /// `public` lists the names that must exist in the root. If a version `id` with identical files exists, that
    /// version becomes current and nothing is written. If a version `id` with other files exists, a number is appended
    /// to the id.
    pub fn publish(self, id: &str, public: &[&str]) -> Result<String> {
        let Self { of, partial } = self;
        let mut files = Vec::new();
        sync(partial.path(), Path::new(""), &mut files)?;
        // Read only if there is a version of this name, because the files may be large.
        let has_same_files = |version: &Path| {
            let same = |file: &PathBuf| -> Result<bool> {
                Ok(Checksum::of_file(&partial.path().join(file))? == Checksum::of_file(&version.join(file))?)
            };
            files.iter().all(|file| same(file).unwrap_or(false))
        };
        let mut name = id.to_owned();
        for number in 2.. {
            let version = of.version(&name);
            if !fs::exists(&version)? {
                fs::rename(partial.path(), &version)?;
                atomic::sync_folder(&of.root.join(of.versions))?;
                break;
            }
            if has_same_files(&version) {
                break;
            }
            name = format!("{id}-{number}");
        }
        // Before the first switch these links lead nowhere, so all public names appear at the same moment.
        of.link(public)?;
        if of.current().ok().flatten().as_deref() != Some(name.as_str()) {
            of.switch(&name)?;
        }
        of.forget_names(public)?;
        Ok(name)
    }
}

/// Writes all files in the subfolder `below` of `root` to the disk, and appends their paths in `root` to `files`.
fn sync(root: &Path, below: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            sync(root, &path, files)?;
        } else {
            File::open(entry.path())?.sync_all()?;
            files.push(path);
        }
    }
    atomic::sync_folder(&root.join(below))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(folder: &VersionedFolder, id: &str, content: &str) -> String {
        let stage = folder.stage().unwrap();
        for name in ["a", "b"] {
            fs::write(stage.path().join(name), content).unwrap();
        }
        stage.publish(id, &["a", "b"]).unwrap()
    }

    #[test]
    fn the_public_names_follow_the_current_version() {
        let root = tempfile::tempdir().unwrap();
        let folder = VersionedFolder::new(root.path(), "versions");
        assert_eq!(folder.current().unwrap(), None);
        for (id, content) in [("1", "old"), ("2", "new")] {
            assert_eq!(publish(&folder, id, content), id);
            assert_eq!(fs::read_to_string(root.path().join("a")).unwrap(), content);
        }
        folder.switch("1").unwrap();
        assert_eq!(fs::read_to_string(root.path().join("b")).unwrap(), "old");
        folder.prune().unwrap();
        assert_eq!(folder.ids().unwrap(), ["1"]);
        assert!(folder.switch("2").is_err());
        assert_eq!(folder.current().unwrap().as_deref(), Some("1"));
    }

    #[test]
    fn a_name_that_the_newest_version_does_not_have_is_gone() {
        let root = tempfile::tempdir().unwrap();
        let folder = VersionedFolder::new(root.path(), "versions");
        publish(&folder, "1", "both");
        let stage = folder.stage().unwrap();
        fs::write(stage.path().join("a"), "alone").unwrap();
        stage.publish("2", &["a"]).unwrap();
        assert_eq!(fs::read_to_string(root.path().join("a")).unwrap(), "alone");
        assert!(fs::symlink_metadata(root.path().join("b")).is_err());
    }

    #[test]
    fn a_public_name_stays_where_its_file_cannot_be_reached() {
        let root = tempfile::tempdir().unwrap();
        let folder = VersionedFolder::new(root.path(), "versions");
        publish(&folder, "1", "content");
        // A link to itself fails with ELOOP and not with ENOENT, for root too.
        let a = folder.version("1").join("a");
        fs::remove_file(&a).unwrap();
        std::os::unix::fs::symlink("a", &a).unwrap();
        folder.forget_names(&["a", "b"]).unwrap();
        assert_eq!(fs::read_link(root.path().join("a")).unwrap(), Path::new("current/a"));
    }

    #[test]
    fn versions_that_cannot_be_listed_are_no_empty_list() {
        let root = tempfile::tempdir().unwrap();
        let folder = VersionedFolder::new(root.path(), "versions");
        assert_eq!(folder.ids().unwrap(), [""; 0]);
        std::os::unix::fs::symlink("versions", root.path().join("versions")).unwrap();
        let error = format!("{:#}", folder.ids().unwrap_err());
        assert!(error.contains("versions") && error.contains("os error"), "{error}");
    }

    #[test]
    fn the_same_files_under_the_same_id_change_nothing_and_damage_is_not_taken_over() {
        let root = tempfile::tempdir().unwrap();
        let folder = VersionedFolder::new(root.path(), "versions");
        publish(&folder, "x", "content");
        assert_eq!(publish(&folder, "x", "content"), "x");
        assert_eq!(folder.ids().unwrap(), ["x"]);
        fs::write(folder.version("x").join("a"), "damage!").unwrap();
        assert_eq!(publish(&folder, "x", "content"), "x-2");
        assert_eq!(fs::read_to_string(root.path().join("a")).unwrap(), "content");
    }

    #[test]
    fn a_subfolder_belongs_to_its_version() {
        let root = tempfile::tempdir().unwrap();
        let folder = VersionedFolder::new(root.path(), "versions");
        let publish = |content: &str| {
            let stage = folder.stage().unwrap();
            fs::create_dir(stage.path().join("sub")).unwrap();
            fs::write(stage.path().join("sub/a"), content).unwrap();
            stage.publish("x", &["sub"]).unwrap()
        };
        assert_eq!([publish("old"), publish("old"), publish("new")], ["x", "x", "x-2"]);
        assert_eq!(fs::read_to_string(root.path().join("sub/a")).unwrap(), "new");
        // The version before the first with this subfolder has other names.
        folder.switch("x").unwrap();
        folder.relink(&["a"]).unwrap();
        assert!(fs::symlink_metadata(root.path().join("sub")).is_err());
        assert_eq!(fs::read_link(root.path().join("a")).unwrap(), Path::new("current/a"));
    }

    #[test]
    fn a_removed_version_is_gone_with_its_subfolders_and_a_link_leaves_its_target() {
        let root = tempfile::tempdir().unwrap();
        let folder = VersionedFolder::new(root.path(), "versions");
        for id in ["1", "2"] {
            publish(&folder, id, "content");
        }
        fs::create_dir_all(folder.version("1").join("deep/er")).unwrap();
        fs::create_dir(root.path().join("elsewhere")).unwrap();
        std::os::unix::fs::symlink("../elsewhere", folder.version("0")).unwrap();
        assert_eq!(folder.ids().unwrap(), ["0", "1", "2"]);
        for id in ["0", "1"] {
            folder.remove(id).unwrap();
        }
        assert_eq!(fs::read_dir(root.path().join("versions")).unwrap().count(), 1);
        assert!(root.path().join("elsewhere").exists() && folder.remove("1").is_err());
        // What is left of a removal that was killed is no version, and is removed with what killed writers left.
        fs::rename(folder.version("2"), root.path().join("versions/.2.partial")).unwrap();
        assert_eq!(folder.ids().unwrap(), [""; 0]);
        folder.sweep().unwrap();
        assert_eq!(fs::read_dir(root.path().join("versions")).unwrap().count(), 0);
    }

    #[test]
    fn a_version_that_was_never_finished_is_not_listed_and_is_cleared_away() {
        let root = tempfile::tempdir().unwrap();
        let folder = VersionedFolder::new(root.path(), "versions");
        publish(&folder, "x", "content");
        fs::create_dir(root.path().join("versions/.set.killed.partial")).unwrap();
        fs::write(root.path().join("versions/.gitkeep"), "").unwrap();
        fs::write(root.path().join("versions/NOTES"), "").unwrap();
        assert_eq!(folder.ids().unwrap(), ["x"]);
        drop(folder.stage().unwrap());
        assert!(!root.path().join("versions/.set.killed.partial").exists());
        assert!(root.path().join("versions/.gitkeep").exists(), "what is not a writer's own stays");
    }
}
