//! Determines which files of the input folder are new to the live release, by name and content.

use anyhow::{Context, Result};
use common::config::Config;
use common::files::DataFile;
use common::files::checksum::Checksum;
use common::files::ingested::{ListedFile, inputs};
use common::production::release::Release;
use history::{CheckedFile, History};
use serde::Deserialize;

use crate::child::Steps;

/// Returns the files that are neither in `release` nor, according to `history`, were checked against it before.
pub fn since(release: &Release, files: Vec<ListedFile>, mut history: Option<&mut History>) -> Result<Vec<ListedFile>> {
    let known =
        |file: &ListedFile| release.manifest.ingested.iter().any(|k| k.name == file.name && k.sha256 == file.sha256);
    let mut new = Vec::new();
    for file in files.into_iter().filter(|file| !known(file)) {
        let checked = match &mut history {
            Some(history) => history.was_checked(&checked_by(&file, release))?,
            None => false,
        };
        if !checked {
            new.push(file);
        }
    }
    Ok(new)
}

/// Returns the record of a file that `release` was checked against.
pub fn checked_by(file: &ListedFile, release: &Release) -> CheckedFile {
    CheckedFile { release: release.id.clone(), name: file.name.clone(), sha256: file.sha256.clone() }
}

/// Returns every file that currently belongs to the compiled dataset. If the files are on a cluster, ingestion lists
/// them.
pub fn listed(config: &Config, steps: &Steps) -> Result<Vec<ListedFile>> {
    #[derive(Deserialize)]
    struct Listing {
        files: Vec<ListedFile>,
    }
    if config.engine.is_none() {
        return hashed(inputs(config)?);
    }
    let listing = steps.run("ingestion", &["--list".into()])?;
    Ok(serde_json::from_value::<Listing>(listing).context("reading the files that ingestion lists")?.files)
}

/// Returns `files` of this machine with the checksums of their content.
pub fn hashed(files: Vec<DataFile>) -> Result<Vec<ListedFile>> {
    files
        .into_iter()
        .map(|DataFile { name, path, .. }| Ok(ListedFile { sha256: Checksum::of_file(&path)?, name, path }))
        .collect()
}
