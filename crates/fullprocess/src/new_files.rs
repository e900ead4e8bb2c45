//! Which files of the input folder the live release has not seen, by name and content.

use std::path::PathBuf;

use anyhow::Result;
use common::checksum::Checksum;
use common::files::DataFile;
use common::release::Release;
use history::{CheckedFile, History};

/// A file that must be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFile {
    /// Its name in the input folder.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Of its content.
    pub sha256: Checksum,
}

impl NewFile {
    /// As the history remembers a file on which `release` was found good.
    pub fn checked_by(&self, release: &Release) -> CheckedFile {
        CheckedFile { release: release.id.clone(), name: self.name.clone(), sha256: self.sha256.clone() }
    }
}

/// The files that are neither in `release` nor, as far as the `history` remembers, were checked against it before.
pub fn since(release: &Release, files: Vec<DataFile>, mut history: Option<&mut History>) -> Result<Vec<NewFile>> {
    let mut new = Vec::new();
    for file in not_ingested(release, files)? {
        let checked = match &mut history {
            Some(history) => history.was_checked(&file.checked_by(release))?,
            None => false,
        };
        if !checked {
            new.push(file);
        }
    }
    Ok(new)
}

/// The files that are not in `release`: another name, or another content under the same name.
fn not_ingested(release: &Release, files: Vec<DataFile>) -> Result<Vec<NewFile>> {
    let known =
        |file: &NewFile| release.manifest.ingested.iter().any(|k| k.name == file.name && k.sha256 == file.sha256);
    Ok(hashed(files)?.into_iter().filter(|file| !known(file)).collect())
}

/// All of `files`, with the checksums of their content.
pub fn hashed(files: Vec<DataFile>) -> Result<Vec<NewFile>> {
    files
        .into_iter()
        .map(|DataFile { name, path, .. }| Ok(NewFile { sha256: Checksum::of_file(&path)?, name, path }))
        .collect()
}
