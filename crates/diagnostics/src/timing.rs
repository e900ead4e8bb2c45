//! How long ingestion and training take on today's data, measured in a scratch folder that is gone afterwards.

use std::time::Instant;

use anyhow::{Context, Result};
use common::config::Config;
use common::files::FINAL_DATA;
use common::ingested;
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
    let ingested = ingestion::ingest(&ingested::inputs(config)?, scratch.path(), || Ok(()));
    let ingestion = ingested.context("timing ingestion")?.seconds;
    let clock = Instant::now();
    training::train(&scratch.path().join(FINAL_DATA), config.regularization).context("timing training")?;
    Ok(Timing { ingestion, training: clock.elapsed().as_secs_f64() })
}
