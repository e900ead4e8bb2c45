//! Ingestion: every CSV of the input folder becomes one dataset of distinct rows.
//!
//! finaldata.csv, ingestedfiles.txt, quarantine.csv and the facts about them change as one set, whatever is killed when;
//! any fault leaves the earlier set as it was.

use std::fmt;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};
use common::checksum::Checksum;
use common::cli;
use common::config::Config;
use common::files::{FINAL_DATA, INGESTED_FILES, INGESTION_FACTS, QUARANTINE, csv_files};
use common::ingested::Ingested;
use common::lock::Lock;
use common::versioned::VersionedFolder;
use dataset::compile::compile;
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
}

/// Ingests as `config` says, and records it.
pub fn run(config: &Config) -> Result<Outcome> {
    history::record(config, "ingestion", |run| {
        let outcome = ingest(&config.input_folder, &config.output_folder)?;
        let ingested = &outcome.ingested;
        run.facts.ingested_files = ingested.files.clone();
        run.facts.timings.push(("ingestion", outcome.seconds));
        run.facts.missing_percentages = ingested
            .missing
            .iter()
            .map(|(column, missing)| (column.clone(), 100.0 * *missing as f64 / ingested.rows as f64))
            .collect();
        Ok(outcome)
    })
}

/// Compiles all CSV files of `input` into the set of [`OUTPUT_FILES`] in `output`.
pub fn ingest(input: &Path, output: &Path) -> Result<Outcome> {
    let start = Instant::now();
    let files = csv_files(input)?;
    let _lock = Lock::acquire(output, "ingestion")?;
    let set = VersionedFolder::new(output, "versions");
    let stage = set.stage()?;

    let mut dataset = create(&stage.path().join(FINAL_DATA))?;
    let mut quarantine = create(&stage.path().join(QUARANTINE))?;
    let progress = cli::Progress::new("rows read");
    let ingested = compile(&files, &mut dataset, &mut quarantine, &mut |rows| progress.show(rows))?;
    drop(progress);
    for (file, name) in [(dataset, FINAL_DATA), (quarantine, QUARANTINE)] {
        file.into_inner().map_err(|error| error.into_error()).with_context(|| format!("writing {name}"))?;
    }
    let facts = serde_json::to_vec_pretty(&ingested)?;
    for (name, content) in [(INGESTED_FILES, &ingested.record()), (INGESTION_FACTS, &facts)] {
        std::fs::write(stage.path().join(name), content).with_context(|| format!("writing {name}"))?;
    }

    // The facts hold the checksums of all that was read and of what came out, so the same data get the same id.
    stage.publish(Checksum::of_bytes(&facts).short(), &OUTPUT_FILES)?;
    set.prune()?;
    Ok(Outcome { ingested, seconds: start.elapsed().as_secs_f64() })
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
