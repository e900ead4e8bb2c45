//! Ingestion: every CSV of the input folder, and the new rows of an input database, become one dataset of distinct rows.
//!
//! finaldata.csv, ingestedfiles.txt, quarantine.csv and the facts about them change as one set, whatever is killed when;
//! any fault leaves the earlier set as it was. A database's rows are kept as batches, which are files like any other; how
//! far they reach stands in the facts, so that a batch and its high-water mark count together or not at all.

use std::fmt;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use common::atomic;
use common::checksum::Checksum;
use common::cli;
use common::config::Config;
use common::files::{DataFile, FINAL_DATA, INGESTED_FILES, INGESTION_FACTS, QUARANTINE};
use common::ingested::{self, Ingested};
use common::lock::Lock;
use common::versioned::VersionedFolder;
use dataset::compile::compile;
use history::source::{self, NewRows, TakenBatch};
use serde::Serialize;

/// The files that ingestion leaves in the output folder.
pub const OUTPUT_FILES: [&str; 4] = [FINAL_DATA, INGESTED_FILES, QUARANTINE, INGESTION_FACTS];

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
        let mut files = ingested::inputs(config)?;
        let NewRows { batch, without_mark } = take_new(config, &files)?;
        files.extend(batch.as_ref().map(|batch| batch.file.clone()));
        // A batch gets its name when its rows have passed, and counts when the facts that name it are published.
        let keep = || batch.map_or(Ok(()), TakenBatch::keep);
        let outcome = Outcome { without_mark, ..ingest(&files, &config.output_folder, keep)? };
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
    if folder.exists() {
        atomic::sweep(&folder)?;
    }
    let new = source::take_new(input, ingested::high_water_mark(files), &folder)?;
    if files.is_empty() && new.batch.is_none() {
        bail!("{} holds no CSV file, and {} of {} no row", config.input_folder.display(), input.name(), input.url);
    }
    Ok(new)
}

/// Compiles `files` into the set of [`OUTPUT_FILES`] in `output`, whose lock the caller holds. `before_publishing` is
/// called when nothing of the compiling can fail any more.
pub fn ingest(files: &[DataFile], output: &Path, before_publishing: impl FnOnce() -> Result<()>) -> Result<Outcome> {
    let start = Instant::now();
    let set = VersionedFolder::new(output, "versions");
    let stage = set.stage()?;

    let mut dataset = create(&stage.path().join(FINAL_DATA))?;
    let mut quarantine = create(&stage.path().join(QUARANTINE))?;
    let progress = cli::Progress::new("rows read");
    let ingested = compile(files, &mut dataset, &mut quarantine, &mut |rows| progress.show(rows))?;
    drop(progress);
    for (file, name) in [(dataset, FINAL_DATA), (quarantine, QUARANTINE)] {
        file.into_inner().map_err(|error| error.into_error()).with_context(|| format!("writing {name}"))?;
    }
    let facts = serde_json::to_vec_pretty(&ingested)?;
    for (name, content) in [(INGESTED_FILES, &ingested.record()), (INGESTION_FACTS, &facts)] {
        std::fs::write(stage.path().join(name), content).with_context(|| format!("writing {name}"))?;
    }

    before_publishing()?;
    // The facts hold the checksums of all that was read and of what came out, so the same data get the same id.
    stage.publish(Checksum::of_bytes(&facts).short(), &OUTPUT_FILES)?;
    set.prune()?;
    Ok(Outcome { ingested, seconds: start.elapsed().as_secs_f64(), without_mark: 0 })
}

fn create(path: &Path) -> Result<BufWriter<File>> {
    let file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
    Ok(BufWriter::with_capacity(256 * 1024, file))
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
