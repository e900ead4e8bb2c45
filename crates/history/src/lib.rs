//! The system's memory: what every run did, and the compiled dataset, in SQLite, PostgreSQL or MySQL. The only crate that
//! names the SQL driver.
//!
//! A step wraps its work in [`record`]. The database is opened before the work, so that a server that is away or a file
//! that cannot be written stops a step before it changes anything; the run and its facts are written after it, in one
//! transaction. History is append-only. [`listing`] reads it back; [`source`] takes client rows from other databases.

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
use common::lock::Lock;
use jiff::Timestamp;

pub use facts::{
    CheckedFile, Decision, DependencyVersions, DriftCheck, Facts, PromotionRecord, ScoredData, Switch, WentLive,
};
pub use schema::VERSION as SCHEMA_VERSION;
pub use store::{History, State};

/// The environment variable by which a full process tells its steps that they are part of it.
pub const PROCESS_VARIABLE: &str = "RISK_PROCESS";

/// Runs `work` as one run of `step`, and records it with its facts, or with its error. For a process that does one step:
/// it leaves the closing of a SQLite file to the process's end.
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
            // The step's own error is what the reader needs; a history that fails too is worth a word, not more.
            if let Err(second) = run.write(Some(format!("{error:#}"))) {
                common::cli::narrate(format_args!("warning: the history could not be written: {second:#}"));
            }
            Err(error)
        }
    };
    run.history.leave();
    outcome
}

/// The beginning of a piece of work: a timestamp, and a monotonic clock for its duration.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    time: Timestamp,
    clock: Instant,
}

impl Start {
    /// The beginning of work that starts now.
    pub fn now() -> Self {
        Self { time: Timestamp::now(), clock: Instant::now() }
    }
}

/// A step at work.
pub struct Run {
    history: History,
    store_dataset: bool,
    step: &'static str,
    process: Option<String>,
    start: Start,
    held: Option<Lock>,
    /// What to do where the work was done and cannot be recorded.
    pub repair: &'static str,
    /// What will stand in the history under this run.
    pub facts: Facts,
}

impl Run {
    /// What earlier runs left.
    pub fn history(&mut self) -> &mut History {
        &mut self.history
    }

    /// Holds a lock until the record is written.
    pub fn hold(&mut self, lock: Lock) {
        self.held = Some(lock);
    }

    /// Makes this run and the steps that it will start one process; returns the process's name, which they are to be told
    /// in [`PROCESS_VARIABLE`].
    pub fn begin_process(&mut self) -> String {
        let time = self.start.time.strftime("%Y%m%dT%H%M%S%3fZ");
        self.process.insert(format!("{time}-{}", std::process::id())).clone()
    }

    /// Records `facts` at once as a run of `step` that began at `start` and ends now, for the steps that read them before
    /// this run ends, and so that they stand even if it fails.
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

/// One run, as it is written.
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

/// A time in UTC as the history writes it: all of one width, so that texts sort as times do.
fn timestamp(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}
