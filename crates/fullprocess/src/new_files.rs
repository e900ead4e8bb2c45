//! The files that are new to the live release, by name and content. Rows of an input database become files too.

use anyhow::Result;
use common::config::Config;
use common::files::DataFile;
use common::files::atomic::Scratch;
use common::files::checksum::Checksum;
use common::files::ingested::{ListedFile, inputs, watermark};
use common::production::release::Release;
use history::{CheckedFile, History, source};

use crate::state::State;
use crate::steps::Steps;

/// Returns the new files. Ingests all files first, if there are new data, the columns have changed, the dataset is lost, or
/// there is no release.
pub fn ingest(config: &Config, steps: &Steps, state: &State, history: &mut History) -> Result<Vec<ListedFile>> {
    let has_new_rows = match &config.input_database {
        Some(input) => source::has_new(input, watermark(&inputs(config)?))?,
        None => false,
    };
    let new = since(state, listed(config, steps)?, Some(history))?;
    let must_compile = state.columns_change.is_some() || state.dataset_lost || state.release.is_none();
    if has_new_rows || !new.is_empty() || must_compile {
        steps.ingest()?;
    }
    match has_new_rows {
        true => since(state, listed(config, steps)?, Some(history)), // the rows are in a file now
        false => Ok(new),
    }
}

/// Returns the files that would belong to the dataset after an ingestion. New rows are written to a file in `scratch`.
pub fn after_ingestion(config: &Config, steps: &Steps, scratch: &Scratch) -> Result<Vec<ListedFile>> {
    let mut files = listed(config, steps)?;
    if let Some(input) = &config.input_database {
        let new = source::read_new(input, &config.columns, watermark(&inputs(config)?), scratch.path())?;
        files.extend(with_checksums(new.batch.map(|batch| batch.file).into_iter().collect())?);
    }
    Ok(files)
}

/// Returns those of `files` that are not part of the release and, according to the `history`, were not checked against
/// it before. Without a release, all files are new.
pub fn since(state: &State, files: Vec<ListedFile>, mut history: Option<&mut History>) -> Result<Vec<ListedFile>> {
    let Some(release) = &state.release else { return Ok(files) };
    let ingested = &release.manifest.ingested;
    let mut new = Vec::new();
    for file in files {
        let known = ingested.iter().any(|known| known.name == file.name && known.sha256 == file.sha256);
        let checked = match &mut history {
            Some(history) if !known => history.was_checked(&checked_by(&file, release))?,
            _ => false,
        };
        if !known && !checked {
            new.push(file);
        }
    }
    Ok(new)
}

/// Returns the record of a file that `release` was checked against.
pub fn checked_by(file: &ListedFile, release: &Release) -> CheckedFile {
    CheckedFile { release: release.id.clone(), name: file.name.clone(), sha256: file.sha256.clone() }
}

/// Returns every file that currently belongs to the compiled dataset. Ingestion lists files that are on a cluster.
pub fn listed(config: &Config, steps: &Steps) -> Result<Vec<ListedFile>> {
    match config.engine {
        Some(_) => Ok(steps.list_files()?.files),
        None => with_checksums(inputs(config)?),
    }
}

fn with_checksums(files: Vec<DataFile>) -> Result<Vec<ListedFile>> {
    let listed = |DataFile { name, path, .. }| Ok(ListedFile { sha256: Checksum::of_file(&path)?, name, path });
    files.into_iter().map(listed).collect()
}
