//! The files that the live release was not judged on, by name and content. Rows of an input database become files too.

use anyhow::Result;
use common::config::Config;
use common::files::DataFile;
use common::files::atomic::Scratch;
use common::files::ingested::{ListedFile, inputs, watermark};
use history::{History, UnjudgedFiles, source};

use crate::state::State;
use crate::steps::Steps;

/// Returns the unjudged files. Ingests all files first, if there are new data, the columns have changed, the dataset is
/// lost, or there is no release; not if the release is held and cannot read new data.
pub fn ingest(config: &Config, steps: &Steps, state: &State, history: &mut History) -> Result<UnjudgedFiles> {
    let files = since(state, listed(config, steps)?, Some(history))?;
    if state.is_frozen() {
        return Ok(files);
    }
    let has_new_rows = match &config.input_database {
        Some(input) => source::has_new(input, watermark(&inputs(config)?))?,
        None => false,
    };
    let must_compile = state.columns_change.is_some() || state.dataset_lost || state.release.is_none();
    if has_new_rows || !files.new.is_empty() || must_compile {
        steps.ingest()?;
    }
    match has_new_rows {
        true => since(state, listed(config, steps)?, Some(history)), // the rows are in a file now
        false => Ok(files),
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

/// Returns those of `files` that the release was not judged on. Those that waited for the end of a hold are new again
/// when it has ended. Without a release, all files are new.
pub fn since(state: &State, files: Vec<ListedFile>, history: Option<&mut History>) -> Result<UnjudgedFiles> {
    let mut files = UnjudgedFiles::of(state.release.as_ref(), files, history)?;
    if state.hold.is_none() && !files.held.is_empty() {
        files.new.append(&mut files.held);
        files.new.sort_by(|a, b| a.name.cmp(&b.name));
    }
    Ok(files)
}

/// Returns every file that currently belongs to the compiled dataset. Ingestion lists files that are on a cluster.
pub fn listed(config: &Config, steps: &Steps) -> Result<Vec<ListedFile>> {
    match config.engine {
        Some(_) => Ok(steps.list_files()?.files),
        None => with_checksums(inputs(config)?),
    }
}

fn with_checksums(files: Vec<DataFile>) -> Result<Vec<ListedFile>> {
    files.into_iter().map(ListedFile::read).collect()
}
