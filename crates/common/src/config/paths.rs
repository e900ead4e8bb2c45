//! Checks of the folders that the config names.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use fs_err as fs;

/// Whether a configured path is an address on storage that a cluster shares (`s3a://bucket/folder`) and not a path on
/// this machine.
pub fn is_address(path: &Path) -> bool {
    path.to_str().is_some_and(|path| path.contains("://"))
}

/// Resolves a path on this machine against `folder`.
pub(super) fn resolve(key: &str, path: &mut PathBuf, folder: &Path) -> Result<()> {
    ensure!(!path.as_os_str().is_empty(), "key \"{key}\": expected a path, found an empty text");
    if !is_address(path) {
        *path = folder.join(&*path);
    }
    Ok(())
}

/// Checks that an input folder exists. An address is accepted.
pub(super) fn check_input(key: &str, path: &Path) -> Result<()> {
    match fs::metadata(path) {
        _ if is_address(path) => Ok(()),
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).with_context(|| format!("key \"{key}\"")),
        _ => bail!("key \"{key}\": {} is not an existing folder; create it or correct the path", path.display()),
    }
}

/// Checks that an output folder is on this machine and is not a file. It may be missing.
pub(super) fn check_output(key: &str, path: &Path) -> Result<()> {
    if is_address(path) {
        bail!("key \"{key}\": {} is an address; expected a folder on this machine", path.display());
    }
    if path.exists() && !path.is_dir() {
        bail!("key \"{key}\": {} is a file; expected a folder", path.display());
    }
    Ok(())
}

/// Checks that no two keys name the same folder: what one step writes must not be the input of another step, or be
/// locked by another step.
pub(super) fn check_distinct(folders: &[(&str, &Path)]) -> Result<()> {
    // A folder that does not exist yet is resolved through its nearest existing parent.
    let real = |path: &Path| {
        let mut parents = path.ancestors();
        let found = parents.find_map(|parent| Some((fs::canonicalize(parent).ok()?, path.strip_prefix(parent).ok()?)));
        found.map_or_else(|| path.to_owned(), |(parent, rest)| parent.join(rest))
    };
    let folders: Vec<_> = folders.iter().map(|(key, path)| (key, real(path))).collect();
    for (i, (key, path)) in folders.iter().enumerate() {
        if let Some((other, _)) = folders[..i].iter().find(|(_, earlier)| earlier == path) {
            bail!("keys \"{other}\" and \"{key}\": both are {}; expected different folders", path.display());
        }
    }
    Ok(())
}
