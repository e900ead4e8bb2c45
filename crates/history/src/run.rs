//! A run of a step: its work, and the transaction that records it.

use std::env;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use common::config::Config;
use common::files::ingested::Ingested;
use common::files::lock::Lock;
use common::schema::Schema;
use jiff::Timestamp;

use crate::client_table::check_names;
use crate::clients::{self, Dataset};
use crate::connection::{Connection, Dialect};
use crate::record::{Record, TableRows};
use crate::store::History;
use crate::tables::datasets::ingestion_records;
use crate::tables::runs::{RunOutcome, RunRecord};

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
        history: open(config)?,
        schema: config.columns.clone(),
        store_dataset: config.store_dataset,
        step,
        process: env::var(PROCESS_VARIABLE).ok(),
        start: Start::now(),
        repair: "run it again to repair that",
        lock: None,
        rows: Vec::new(),
        dataset: None,
        last_switch: None,
    };
    let outcome = match work(&mut run) {
        Ok(outcome) => {
            let repair = run.repair;
            run.write(None)
                .with_context(|| format!("{step} did its work, but the history could not be written; {repair}"))?;
            Ok(outcome)
        }
        Err(error) => {
            run.rows.clear();
            run.dataset = None;
            // The step's own error is what the reader needs; a failure to write the history is only a warning.
            if let Err(second) = run.write(Some(format!("{error:#}"))) {
                common::cli::narrate(format_args!("warning: the history could not be written: {second:#}"));
            }
            Err(error)
        }
    };
    run.history.shorten_log();
    run.history.end_with_process();
    outcome
}

/// Opens the history, and checks that it can hold the client table of the config.
fn open(config: &Config) -> Result<History> {
    if config.store_dataset {
        check_names(&config.columns, Dialect::of(&config.database))
            .with_context(|| format!("opening the history {} (config key \"database_url\")", config.database))?;
    }
    History::open(config)
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
    schema: Schema,
    store_dataset: bool,
    step: &'static str,
    process: Option<String>,
    start: Start,
    lock: Option<Lock>,
    /// Advice that is shown if the work was done but could not be recorded.
    pub repair: &'static str,
    /// The results that will be recorded under this run.
    rows: Vec<TableRows>,
    /// The dataset that this run has compiled, with the path of its finaldata.csv.
    dataset: Option<(Ingested, PathBuf)>,
    /// When production was last switched by this run.
    pub(crate) last_switch: Option<Timestamp>,
}

impl Run {
    /// Adds a result, which will be recorded under this run unless the step fails.
    pub fn add(&mut self, record: impl Record) {
        record.add_to(&mut self.rows);
    }

    /// Adds the compiled dataset in the finaldata.csv at `path`. Its rows replace those of the table `clients`.
    pub fn add_dataset(&mut self, ingested: Ingested, path: PathBuf) {
        self.add(ingestion_records(&ingested, self.store_dataset));
        self.dataset = Some((ingested, path));
    }

    /// Returns the history of earlier runs.
    pub fn history(&mut self) -> &mut History {
        &mut self.history
    }

    /// Keeps a lock until the run has been recorded.
    pub fn keep_lock(&mut self, lock: Lock) {
        self.lock = Some(lock);
    }

    /// Makes this run and the steps that it will start one process. Returns the name of the process, which must be
    /// passed to the steps in [`PROCESS_VARIABLE`].
    pub fn begin_process(&mut self) -> String {
        let time = self.start.time.strftime("%Y%m%dT%H%M%S%3fZ");
        self.process.insert(format!("{time}-{}", std::process::id())).clone()
    }

    /// Writes `record` immediately as a run of `step` that began at `start` and ends now. Steps started by this run can
    /// then read it, and it is kept even if this run fails.
    pub fn record_now(&mut self, step: &'static str, start: Start, record: impl Record) -> Result<()> {
        let mut rows = Vec::new();
        record.add_to(&mut rows);
        self.write_now(step, start, &rows)
    }

    fn write_now(&mut self, step: &'static str, start: Start, rows: &[TableRows]) -> Result<()> {
        let run = run_record(step, self.process.clone(), start, None);
        self.history.transaction(async |connection| write(connection, &run, None, rows).await)
    }

    fn write(&mut self, error: Option<String>) -> Result<()> {
        let Self { history, schema, step, process, start, rows, dataset, store_dataset, .. } = self;
        let run = run_record(step, process.clone(), *start, error);
        let dataset = dataset.as_ref().map(|(ingested, path)| Dataset {
            schema,
            ingested,
            path: store_dataset.then_some(path.as_path()),
        });
        history.transaction(async |connection| write(connection, &run, dataset, rows).await)
    }
}

fn run_record(step: &'static str, process: Option<String>, start: Start, error: Option<String>) -> RunRecord {
    RunRecord {
        step: step.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: timestamp(start.time),
        seconds: start.clock.elapsed().as_secs_f64(),
        ended: timestamp(Timestamp::now()),
        outcome: if error.is_none() { RunOutcome::Done } else { RunOutcome::Failed },
        error,
        process,
    }
}

/// Writes the dataset that a run has compiled, if there is one, and then the run with its rows.
async fn write(
    connection: &mut Connection,
    run: &RunRecord,
    dataset: Option<Dataset<'_>>,
    rows: &[TableRows],
) -> Result<()> {
    if let Some(dataset) = dataset {
        clients::update(connection, dataset).await?;
    }
    let TableRows { table, columns, rows: run } = TableRows::of(std::slice::from_ref(run));
    let id = connection.insert_with_id(table, &columns, &run).await?;
    for TableRows { table, columns, rows } in rows {
        let columns = [&["run_id"], &columns[..]].concat();
        let rows: Vec<_> = rows.iter().map(|row| [&[id.into()], &row[..]].concat()).collect();
        connection.insert(table, &columns, &rows).await?;
    }
    Ok(())
}

/// Formats a time in UTC as the history stores it. All texts have the same width, so that they sort in the order of
/// time.
pub(crate) fn timestamp(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}
