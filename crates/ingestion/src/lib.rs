//! Ingestion: merges all CSV files of the input folder, and the new rows of an input database, into one dataset of
//! distinct rows.
//!
//! finaldata.csv, ingestedfiles.txt, quarantine.csv and ingestion.json, which describes them, change as one set, even
//! if a process is killed at any moment. Any error leaves the earlier set unchanged. Rows of a database are stored as
//! batches, which are treated like any other file. The watermark of a batch is stored in ingestion.json, so a batch and
//! its watermark take effect together or not at all. Old batches are merged, so that their number stays bounded.

mod check;
mod contract;
mod merge;
pub mod suggest;

use std::fmt;
use std::path::Path;
use std::time::Instant;

pub use check::{CheckOutcome, check};
pub use contract::Contract;

use anyhow::{Result, bail};
use common::cli;
use common::config::Config;
use common::files::checksum::Checksum;
use common::files::ingested::{self, Ingested, IngestedFile, ListedFile};
use common::files::lock::Lock;
use common::files::versioned::VersionedFolder;
use common::files::{DataFile, FINAL_DATA, INGESTED_FILES, INGESTION_RECORD, QUARANTINE};
use common::outcomes::{IngestionOutcome, InputFiles};
use dataset::Engine;
use fs_err as fs;
use history::source::{self, NewBatch, NewRows};
use history::{MissingPercentage, Operation, StepTiming};
use serde::Serialize;

/// Ingests according to `config`, and records the run in the history.
pub fn run(config: &Config) -> Result<IngestionOutcome> {
    history::record(config, "ingestion", |run| {
        run.keep_lock(Lock::acquire(&config.output_folder, "ingestion")?);
        let engine = dataset::open(config)?;
        if config.input_database.is_some() {
            merge::clean(config)?;
        }
        let (mut files, merged) = merge::merge(config, inputs(&*engine, config)?, run.history())?;
        let NewRows { batch, without_watermark } = take_new(config, &files)?;
        files.extend(batch.as_ref().map(|batch| batch.file.clone()));
        // The file of a batch gets its name after its rows have been checked; the batch counts once the description
        // that names it is published.
        let mut no_deployment = None;
        let keep = || {
            no_deployment = merged.publish(config)?;
            batch.map_or(Ok(()), NewBatch::publish)
        };
        let outcome = IngestionOutcome { without_watermark, ..ingest(&*engine, &files, &config.output_folder, keep)? };
        drop(no_deployment);
        let ingested = &outcome.ingested;
        run.add_dataset(ingested.clone(), config.output_folder.join(FINAL_DATA));
        run.add(StepTiming { operation: Operation::Ingestion, seconds: outcome.seconds });
        let percent = |(column, missing): (&String, &u64)| MissingPercentage {
            column: column.clone(),
            percent: 100.0 * *missing as f64 / ingested.rows as f64,
        };
        run.add(ingested.missing.iter().map(percent).collect::<Vec<_>>());
        Ok(outcome)
    })
}

/// Reads the rows of the input database that are in no earlier batch among `files`.
fn take_new(config: &Config, files: &[DataFile]) -> Result<NewRows> {
    let Some(input) = &config.input_database else { return Ok(NewRows { batch: None, without_watermark: 0 }) };
    let folder = ingested::batches(config);
    let new = source::read_new(input, &config.columns, ingested::watermark(files), &folder)?;
    if files.is_empty() && new.batch.is_none() {
        bail!("{} has no CSV file, and {} of {} has no row", config.input_folder.display(), input.name(), input.url);
    }
    Ok(new)
}

/// Compiles `files` into a set of files in the folder `output`; the caller must hold its lock. `before_publishing` is
/// called after the compilation has succeeded.
pub fn ingest(
    engine: &dyn Engine,
    files: &[DataFile],
    output: &Path,
    before_publishing: impl FnOnce() -> Result<()>,
) -> Result<IngestionOutcome> {
    let start = Instant::now();
    let set = VersionedFolder::new(output, "versions");
    let stage = set.stage()?;
    let before = Ingested::read(output).ok();
    let ingested = engine.compile(files, output, stage.path())?;
    let description = serde_json::to_vec_pretty(&ingested)?;
    for (name, content) in [(INGESTED_FILES, &ingested.record()), (INGESTION_RECORD, &description)] {
        fs::write(stage.path().join(name), content)?;
    }

    before_publishing()?;
    // The description contains the checksums of all input and output, so the same data get the same id.
    stage.publish(Checksum::of_bytes(&description).short(), engine.compiled_files())?;
    set.prune()?;
    if let Some(before) = before
        && before.location != ingested.location
    {
        engine.retire(&before);
    }
    Ok(IngestionOutcome { ingested, seconds: start.elapsed().as_secs_f64(), without_watermark: 0 })
}

/// Returns the files that currently belong to the compiled dataset.
pub fn inputs(engine: &dyn Engine, config: &Config) -> Result<Vec<DataFile>> {
    match config.input_database {
        None => engine.files(&config.input_folder),
        Some(_) => ingested::inputs(config),
    }
}

/// Lists the files that currently belong to the compiled dataset, for `--list`. Only reads.
pub fn list(config: &Config) -> Result<InputFiles> {
    let engine = dataset::open(config)?;
    let files = inputs(&*engine, config)?;
    let checksums = engine.checksums(&files)?;
    let listed = files.into_iter().zip(checksums).map(|(file, sha256)| ListedFile::new(file, sha256));
    Ok(InputFiles { files: listed.collect() })
}

/// Shows an outcome of this step to people.
#[derive(Serialize)]
#[serde(transparent)]
pub struct Shown<T>(pub T);

impl cli::Outcome for Shown<InputFiles> {}

impl fmt::Display for Shown<InputFiles> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let InputFiles { files } = &self.0;
        write!(f, "{} files", files.len())?;
        files.iter().try_for_each(|file| write!(f, "\n  {} {}", file.sha256.short(), file.path.display()))
    }
}

impl cli::Outcome for Shown<IngestionOutcome> {
    fn warnings(&self) -> Vec<String> {
        let IngestionOutcome { ingested, without_watermark, .. } = &self.0;
        let mut warnings = Vec::new();
        for file in ingested.files.iter().filter(|file| file.quarantined > 0) {
            warnings.push(format!("{} rows of {} cannot be read; see {QUARANTINE}", file.quarantined, file.name));
        }
        for file in ingested.files.iter().filter(|file| file.rows == 0) {
            warnings.push(format!("{} contains no row", file.name));
        }
        if *without_watermark > 0 {
            warnings.push(format!(
                "{without_watermark} rows of the input database have no value in the watermark column and are not ingested"
            ));
        }
        warnings
    }
}

impl fmt::Display for Shown<IngestionOutcome> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let IngestionOutcome { ingested, seconds, .. } = &self.0;
        writeln!(f, "{} distinct rows from {} files in {seconds:.3} s", ingested.rows, ingested.files.len())?;
        for IngestedFile { name, rows, duplicates, quarantined, missing, .. } in &ingested.files {
            let missing: u64 = missing.values().sum();
            writeln!(
                f,
                "  {name}: {rows} rows, {duplicates} duplicates, {quarantined} quarantined, {missing} missing values"
            )?;
        }
        write!(f, "{} clients are listed both as left and as active", ingested.contradictory_corporations)
    }
}
