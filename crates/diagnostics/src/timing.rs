//! Durations of ingestion and training on the current data. They are measured in a scratch folder that is removed
//! afterwards. If a cluster does the work, they are those of its last real runs.

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

/// Runs ingestion and training like the real steps and measures them, without changing the results of the real steps. A
/// cluster would have to repeat all of its work, so for a cluster the durations of the newest real runs are returned
/// instead, if the `history` knows them.
pub fn measure(config: &Config, history: Option<&mut History>) -> Result<Timing> {
    match (&config.engine, history) {
        (Some(_), Some(history)) => match newest(history)? {
            Some(timing) => Ok(timing),
            None => trial(config),
        },
        _ => trial(config),
    }
}

/// Number of timings that are searched for the newest one of each step.
const LOOKED_AT: u32 = 200;

fn newest(history: &mut History) -> Result<Option<Timing>> {
    let rows = history.newest::<TimingRow>(LOOKED_AT)?;
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
