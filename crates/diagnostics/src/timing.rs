//! Durations of ingestion and training on the current data, measured in a scratch folder that is removed afterwards. On
//! a cluster, they are those of the newest real runs.

use std::time::Instant;

use anyhow::{Context, Result};
use common::config::Config;
use common::files::atomic::Scratch;
use history::{History, Operation, TimingRow};
use serde::Serialize;
use utoipa::ToSchema;

/// Durations of ingestion and training, in seconds.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Timing {
    /// Seconds from the input folder to a compiled dataset.
    pub ingestion: f64,
    /// Seconds from the compiled dataset to a fitted model.
    pub training: f64,
}

/// Measures ingestion and training in a trial run that leaves the results of the real steps unchanged. On a cluster, a
/// trial would repeat all work, so the durations of the newest real runs are returned if the `history` has them.
pub fn measure(config: &Config, history: Option<&mut History>) -> Result<Timing> {
    let recorded = match (&config.engine, history) {
        (Some(_), Some(history)) => newest(history)?,
        _ => None,
    };
    recorded.map_or_else(|| trial(config), Ok)
}

/// Number of timings that are searched for the newest one of each step.
const SEARCHED: u32 = 200;

fn newest(history: &mut History) -> Result<Option<Timing>> {
    let rows = history.newest::<TimingRow>(SEARCHED)?;
    let seconds = |operation| rows.iter().rfind(|row| row.operation == operation).map(|row| row.seconds);
    let (Some(ingestion), Some(training)) = (seconds(Operation::Ingestion), seconds(Operation::Training)) else {
        return Ok(None);
    };
    Ok(Some(Timing { ingestion, training }))
}

fn trial(config: &Config) -> Result<Timing> {
    let scratch = Scratch::new()?;
    let engine = dataset::open(config)?;
    let files = ingestion::inputs(&*engine, config)?;
    let trial = ingestion::ingest(&*engine, &files, scratch.path(), || Ok(())).context("timing ingestion")?;
    let clock = Instant::now();
    let trained = training::train(&*engine, scratch.path(), config.regularization);
    let training = clock.elapsed().as_secs_f64();
    engine.retire(&trial.ingested);
    trained.context("timing training")?;
    Ok(Timing { ingestion: trial.seconds, training })
}
