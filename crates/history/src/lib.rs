//! The system's memory: what every run did, in SQLite. The only crate that names the SQL driver.
//!
//! A step wraps its work in [`record`]. The database is opened before the work, so that a history that cannot be written
//! stops a step before it changes anything; the run and its facts are written after it, in one transaction. History is
//! append-only.

mod store;

use std::time::Instant;

use anyhow::{Context, Result};
use common::checksum::Checksum;
use common::config::Config;
use common::ingested::IngestedFile;
use common::score::Score;
use jiff::Timestamp;

pub use store::History;

/// Runs `work` as one run of `step`, and records it with its facts, or with its error. For a process that does one step:
/// it leaves the closing of the database to the process's end.
pub fn record<T>(config: &Config, step: &'static str, work: impl FnOnce(&mut Run) -> Result<T>) -> Result<T> {
    let mut run = Run {
        history: History::open(config)?,
        step,
        started: Timestamp::now(),
        clock: Instant::now(),
        facts: Facts::default(),
    };
    let outcome = match work(&mut run) {
        Ok(outcome) => {
            run.write(None).with_context(|| {
                format!("{step} did its work, but the history could not be written; run it again to repair that")
            })?;
            Ok(outcome)
        }
        Err(error) => {
            run.facts = Facts::default();
            // The step's own error is what the reader needs; a history that fails too is worth a word, not more.
            if let Err(second) = run.write(Some(format!("{error:#}"))) {
                common::cli::narrate(format_args!("warning: the history could not be written: {second:#}"));
            }
            Err(error)
        }
    };
    run.history.leave_open();
    outcome
}

/// A step at work.
pub struct Run {
    history: History,
    step: &'static str,
    started: Timestamp,
    clock: Instant,
    /// What will stand in the history under this run.
    pub facts: Facts,
}

impl Run {
    /// What earlier runs left.
    pub fn history(&mut self) -> &mut History {
        &mut self.history
    }

    fn write(&mut self, error: Option<String>) -> Result<()> {
        self.history.append(&RunRecord {
            step: self.step,
            version: env!("CARGO_PKG_VERSION"),
            started: self.started.to_string(),
            seconds: self.clock.elapsed().as_secs_f64(),
            error,
            facts: &self.facts,
        })
    }
}

/// What a run found; each list may be empty.
#[derive(Debug, Default)]
pub struct Facts {
    /// Files that were ingested.
    pub ingested_files: Vec<IngestedFile>,
    /// Scores, each with the names of the files that were scored.
    pub scores: Vec<(Score, Vec<String>)>,
    /// What took how many seconds.
    pub timings: Vec<(&'static str, f64)>,
    /// Percent of missing values by column.
    pub missing_percentages: Vec<(String, f64)>,
    /// Files that a release (by id) was checked against and found good.
    pub checked_files: Vec<CheckedFile>,
    /// Dependencies and their newest versions.
    pub latest_versions: Vec<(String, String)>,
}

/// A file that a release need not be checked against again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedFile {
    /// The release's id.
    pub release: String,
    /// The file's name.
    pub name: String,
    /// Of its content.
    pub sha256: Checksum,
}

/// One run, as it is written.
struct RunRecord<'a> {
    step: &'static str,
    version: &'static str,
    started: String,
    seconds: f64,
    error: Option<String>,
    facts: &'a Facts,
}
