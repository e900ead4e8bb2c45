//! The history of the system: every run with its results, and the compiled dataset, in SQLite, PostgreSQL or MySQL.
//! This is the only crate that depends on the SQL driver.
//!
//! A step wraps its work in [`record`]. The database is opened before the work, so that an unreachable server or a file
//! that cannot be written stops a step before it changes anything. The run and its records are written after the work,
//! in one transaction. The history is append-only. [`listing`] reads it back; [`source`] reads client rows from other
//! databases.

#![warn(missing_docs)]

mod clients;
mod connection;
mod facts;
pub mod listing;
mod schema;
pub mod source;
mod store;

use std::env;
use std::time::Instant;

use anyhow::{Context, Result};
use common::config::Config;
use common::files::lock::Lock;
use jiff::Timestamp;

pub use facts::{
    CheckedFile, Decision, DependencyVersions, DriftCheck, Facts, PromotionRecord, ScoredData, Switch, WentLive,
};
pub use schema::VERSION as SCHEMA_VERSION;
pub use store::{History, State};

/// The environment variable that contains the process name. A full process sets it for its steps, so that their runs
/// are recorded as part of it.
pub const PROCESS_VARIABLE: &str = "RISK_PROCESS";

/// Runs `work` as one run of `step` and records its results or its error. Intended for a process that executes one
/// step: a SQLite file is closed only when the process ends.
///
/// # Errors
/// The error of `work`, or an error if the history cannot be opened or written.
pub fn record<T>(config: &Config, step: &'static str, work: impl FnOnce(&mut Run) -> Result<T>) -> Result<T> {
    let mut run = Run {
        history: History::open(config)?,
        store_dataset: config.store_dataset,
        step,
        process: env::var(PROCESS_VARIABLE).ok(),
        start: Start::now(),
        repair: "run it again to repair that",
        held: None,
        facts: Facts::default(),
    };
    let outcome = match work(&mut run) {
        Ok(outcome) => {
            let repair = run.repair;
            run.write(None)
                .with_context(|| format!("{step} did its work, but the history could not be written; {repair}"))?;
            Ok(outcome)
        }
        Err(error) => {
            run.facts = Facts::default();
            // The step's own error is what the reader needs; a failure to write the history is only a warning.
            if let Err(second) = run.write(Some(format!("{error:#}"))) {
                common::cli::narrate(format_args!("warning: the history could not be written: {second:#}"));
            }
            Err(error)
        }
    };
    run.history.leave();
    outcome
}

/// The start of a piece of work: a timestamp, and a monotonic clock for its duration.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    time: Timestamp,
    clock: Instant,
}

impl Start {
    /// Returns the current time as a start.
    pub fn now() -> Self {
        Self { time: Timestamp::now(), clock: Instant::now() }
    }
}

/// A step in progress.
pub struct Run {
    history: History,
    store_dataset: bool,
    step: &'static str,
    process: Option<String>,
    start: Start,
    held: Option<Lock>,
    /// Advice that is shown if the work was done but could not be recorded.
    pub repair: &'static str,
    /// The results that will be recorded under this run.
    pub facts: Facts,
}

impl Run {
    /// Returns the history of earlier runs.
    pub fn history(&mut self) -> &mut History {
        &mut self.history
    }

    /// Holds a lock until the run has been recorded.
    pub fn hold(&mut self, lock: Lock) {
        self.held = Some(lock);
    }

    /// Makes this run and the steps that it will start one process. Returns the name of the process, which must be
    /// passed to the steps in [`PROCESS_VARIABLE`].
    pub fn begin_process(&mut self) -> String {
        let time = self.start.time.strftime("%Y%m%dT%H%M%S%3fZ");
        self.process.insert(format!("{time}-{}", std::process::id())).clone()
    }

    /// Records `facts` immediately as a run of `step` that began at `start` and ends now. Steps started by this run can
    /// then read the records, and the records are kept even if this run fails.
    pub fn record_now(&mut self, step: &'static str, start: Start, facts: &Facts) -> Result<()> {
        append(&mut self.history, step, self.process.as_deref(), start, None, facts, false)
    }

    fn write(&mut self, error: Option<String>) -> Result<()> {
        let Self { history, step, process, start, facts, store_dataset, .. } = self;
        append(history, step, process.as_deref(), *start, error, facts, *store_dataset)
    }
}

fn append(
    history: &mut History,
    step: &'static str,
    process: Option<&str>,
    start: Start,
    error: Option<String>,
    facts: &Facts,
    store_dataset: bool,
) -> Result<()> {
    history.append(&RunRecord {
        step,
        process,
        version: env!("CARGO_PKG_VERSION"),
        started: timestamp(start.time),
        ended: timestamp(Timestamp::now()),
        seconds: start.clock.elapsed().as_secs_f64(),
        error,
        facts,
        store_dataset,
    })
}

/// A run in the form in which it is written.
struct RunRecord<'a> {
    step: &'static str,
    process: Option<&'a str>,
    version: &'static str,
    started: String,
    ended: String,
    seconds: f64,
    error: Option<String>,
    facts: &'a Facts,
    store_dataset: bool,
}

/// Formats a time in UTC as the history stores it. All texts have the same width, so that they sort in the order of
/// time.
fn timestamp(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}
