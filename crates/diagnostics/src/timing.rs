//! How long ingestion and training take on today's data, measured in a scratch folder that is gone afterwards.

use std::time::Instant;

use anyhow::{Context, Result};
use common::config::Config;
use serde::Serialize;
use utoipa::ToSchema;

/// Seconds of a trial run.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Timing {
    /// From the input folder to a compiled dataset.
    pub ingestion: f64,
    /// From the compiled dataset to a fitted model.
    pub training: f64,
}

/// Ingests and trains as the real steps do, without touching what they have left.
pub fn measure(config: &Config) -> Result<Timing> {
    let scratch = tempfile::tempdir().context("creating a scratch folder")?;
    let engine = dataset::engine(config)?;
    let files = ingestion::inputs(&*engine, config)?;
    let trial = ingestion::ingest(&*engine, &files, scratch.path(), || Ok(())).context("timing ingestion")?;
    let clock = Instant::now();
    let trained = training::train(&*engine, scratch.path(), config.regularization);
    let training = clock.elapsed().as_secs_f64();
    engine.retire(&trial.ingested)?;
    trained.context("timing training")?;
    Ok(Timing { ingestion: trial.seconds, training })
}
