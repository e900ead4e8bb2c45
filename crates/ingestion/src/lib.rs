//! Ingestion: every CSV of the input folder, and the new rows of an input database, become one dataset of distinct rows.
//!
//! finaldata.csv, ingestedfiles.txt, quarantine.csv and the facts about them change as one set, whatever is killed when;
//! any fault leaves the earlier set as it was. A database's rows are kept as batches, which are files like any other; how
//! far they reach stands in the facts, so that a batch and its high-water mark count together or not at all.

use std::fmt;
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};
use common::atomic;
use common::checksum::Checksum;
use common::cli;
use common::config::Config;
use common::files::{DataFile, FINAL_DATA, INGESTED_FILES, INGESTION_FACTS, QUARANTINE};
use common::ingested::{self, Ingested, ListedFile};
use common::lock::Lock;
use common::versioned::VersionedFolder;
use engine::Engine;
use fs_err as fs;
use history::source::{self, NewRows, TakenBatch};
use serde::Serialize;

/// What was ingested.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// The compiled dataset and its files.
    #[serde(flatten)]
    pub ingested: Ingested,
    /// How long it took.
    pub seconds: f64,
    /// Rows of the input database whose growing column is missing: they are never taken.
    pub without_mark: u64,
}

/// Ingests as `config` says, and records it.
pub fn run(config: &Config) -> Result<Outcome> {
    history::record(config, "ingestion", |run| {
        run.hold(Lock::acquire(&config.output_folder, "ingestion")?);
        let engine = dataset::engine(config)?;
        let mut files = inputs(&*engine, config)?;
        let NewRows { batch, without_mark } = take_new(config, &files)?;
        files.extend(batch.as_ref().map(|batch| batch.file.clone()));
        // A batch gets its name when its rows have passed, and counts when the facts that name it are published.
        let keep = || batch.map_or(Ok(()), TakenBatch::keep);
        let outcome = Outcome { without_mark, ..ingest(&*engine, &files, &config.output_folder, keep)? };
        let ingested = &outcome.ingested;
        run.facts.ingested = Some((ingested.clone(), config.output_folder.join(FINAL_DATA)));
        run.facts.timings.push(("ingestion", outcome.seconds));
        run.facts.missing_percentages = ingested
            .missing
            .iter()
            .map(|(column, missing)| (column.clone(), 100.0 * *missing as f64 / ingested.rows as f64))
            .collect();
        Ok(outcome)
    })
}

/// Takes the rows of the input database that no earlier batch among `files` holds.
fn take_new(config: &Config, files: &[DataFile]) -> Result<NewRows> {
    let Some(input) = &config.input_database else { return Ok(NewRows { batch: None, without_mark: 0 }) };
    let folder = ingested::batches(config);
    if fs::exists(&folder)? {
        atomic::sweep(&folder)?;
    }
    let new = source::take_new(input, ingested::high_water_mark(files), &folder)?;
    if files.is_empty() && new.batch.is_none() {
        bail!("{} holds no CSV file, and {} of {} no row", config.input_folder.display(), input.name(), input.url);
    }
    Ok(new)
}

/// Compiles `files` into a set of files in `output`, whose lock the caller holds. `before_publishing` is called when
/// nothing of the compiling can fail any more.
pub fn ingest(
    engine: &dyn Engine,
    files: &[DataFile],
    output: &Path,
    before_publishing: impl FnOnce() -> Result<()>,
) -> Result<Outcome> {
    let start = Instant::now();
    let set = VersionedFolder::new(output, "versions");
    let stage = set.stage()?;
    let before = Ingested::read(output).ok();
    let ingested = engine.compile(files, output, stage.path())?;
    let facts = serde_json::to_vec_pretty(&ingested)?;
    for (name, content) in [(INGESTED_FILES, &ingested.record()), (INGESTION_FACTS, &facts)] {
        fs::write(stage.path().join(name), content)?;
    }

    before_publishing()?;
    // The facts hold the checksums of all that was read and of what came out, so the same data get the same id.
    stage.publish(Checksum::of_bytes(&facts).short(), engine.compiled_files())?;
    set.prune()?;
    if let Some(before) = before
        && before.location != ingested.location
    {
        engine.retire(&before);
    }
    Ok(Outcome { ingested, seconds: start.elapsed().as_secs_f64(), without_mark: 0 })
}

/// The files that belong into the compiled dataset by now.
pub fn inputs(engine: &dyn Engine, config: &Config) -> Result<Vec<DataFile>> {
    match config.input_database {
        None => engine.files(&config.input_folder),
        Some(_) => ingested::inputs(config),
    }
}

/// The files that belong into the compiled dataset by now, as `--list` tells them; reads and changes nothing.
pub fn list(config: &Config) -> Result<Listing> {
    let engine = dataset::engine(config)?;
    let files = inputs(&*engine, config)?;
    let checksums = engine.checksums(&files)?;
    let listed = files.into_iter().zip(checksums);
    Ok(Listing {
        files: listed.map(|(DataFile { name, path, .. }, sha256)| ListedFile { name, path, sha256 }).collect(),
    })
}

/// What [`list`] finds.
#[derive(Debug, Serialize)]
pub struct Listing {
    /// In the order of their names.
    pub files: Vec<ListedFile>,
}

impl cli::Outcome for Listing {}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} files", self.files.len())?;
        self.files.iter().try_for_each(|file| write!(f, "\n  {} {}", file.sha256.short(), file.path.display()))
    }
}

impl cli::Outcome for Outcome {
    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for file in self.ingested.files.iter().filter(|file| file.quarantined > 0) {
            warnings.push(format!("{} rows of {} cannot be read; {QUARANTINE} says why", file.quarantined, file.name));
        }
        for file in self.ingested.files.iter().filter(|file| file.rows == 0) {
            warnings.push(format!("{} holds no row", file.name));
        }
        if self.without_mark > 0 {
            warnings
                .push(format!("{} rows of the input database have no value in its growing column", self.without_mark));
        }
        warnings
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let ingested = &self.ingested;
        writeln!(f, "{} distinct rows from {} files in {:.3} s", ingested.rows, ingested.files.len(), self.seconds)?;
        for file in &ingested.files {
            writeln!(
                f,
                "  {}: {} rows, {} duplicates, {} quarantined, {} values missing",
                file.name,
                file.rows,
                file.duplicates,
                file.quarantined,
                file.missing.values().sum::<u64>()
            )?;
        }
        write!(
            f,
            "{} corporations stand in the data both as having left and as having stayed",
            ingested.contradictory_corporations
        )
    }
}
