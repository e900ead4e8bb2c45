//! Signs that the score on the test data is too good.

use anyhow::{Context, Result, bail};
use common::config::{Config, TestOverlap};
use common::files::DataFile;
use common::files::ingested::Ingested;
use common::model::Model;
use common::model::leaks::{FEWEST_TO_SEPARATE, Leaks, Overlap, SEPARATES, Separating};
use common::outcomes::ScoringOutcome;
use dataset::{Clients, Engine};
use statistics::ranking::Ranking;

/// Number of values that are held in memory at a time (512 MiB). More predictors are examined in further passes.
const MOST_VALUES: u64 = 1 << 25;

/// Looks for leaks in the score `outcome` of `model` on `clients`, which contains the rows of `files`.
///
/// # Errors
/// Fails if the config refuses test data that overlap with the training data, and they do or cannot be compared.
pub fn find(
    config: &Config,
    engine: &dyn Engine,
    model: &Model,
    files: &[DataFile],
    clients: &dyn Clients,
    outcome: &ScoringOutcome,
) -> Result<Leaks> {
    let overlap = overlap(config, engine, model, files)?;
    if config.test_overlap == TestOverlap::Refuse {
        refuse(config, overlap.as_ref(), outcome.n)?;
    }
    Ok(Leaks { overlap, separating: separating(model, clients, outcome)? })
}

/// Counts what of the test data is also in the compiled dataset; `None` if the model was trained on another one.
fn overlap(config: &Config, engine: &dyn Engine, model: &Model, files: &[DataFile]) -> Result<Option<Overlap>> {
    let is_of_model = |ingested: Ingested| ingested.dataset_sha256 == model.training.dataset_sha256;
    match Ingested::read(&config.output_folder).is_ok_and(is_of_model) {
        true => engine.overlap(&config.output_folder, files).map(Some),
        false => Ok(None),
    }
}

fn refuse(config: &Config, overlap: Option<&Overlap>, rows: u64) -> Result<()> {
    let refused = || format!("\"test_overlap\": \"refuse\" in {}", config.file.display());
    let overlap = overlap.with_context(|| {
        format!(
            "{}: the compiled dataset in {} is not the one that the model was trained on, so the test data cannot be \
             compared with it; run ingestion and training again",
            refused(),
            config.output_folder.display()
        )
    })?;
    if let (Some(warning), 1..) = (overlap.warning(rows), overlap.rows) {
        bail!("{}: {warning} ({})", refused(), config.test_data.display());
    }
    Ok(())
}

/// Returns the predictors that alone separate the clients that left from those that stayed, the clearest first.
///
/// A predictor ranks the clients by its contribution to the model's log-odds: a number by its value, a category by the
/// coefficients of its levels; a missing value as the model imputes it.
fn separating(model: &Model, clients: &dyn Clients, outcome: &ScoringOutcome) -> Result<Vec<Separating>> {
    let confusion = &outcome.confusion;
    let left = confusion.positives();
    if left.min(outcome.n - left) < FEWEST_TO_SEPARATE {
        return Ok(Vec::new());
    }
    let predictors = model.schema.predictors();
    let at_once = (MOST_VALUES / outcome.n).clamp(1, predictors.len() as u64) as usize;
    let mut found = Vec::new();
    for first in (0..predictors.len()).step_by(at_once) {
        let mut pairs = vec![Vec::new(); at_once.min(predictors.len() - first)];
        clients.each(&mut |_, values, left| {
            let Some(left) = left else { return };
            for (j, pairs) in (first..).zip(&mut pairs) {
                pairs.push((model.contribution(j, values[j]), left));
            }
        })?;
        for (predictor, pairs) in predictors[first..].iter().zip(pairs) {
            let auc = Ranking::of_scores(&pairs).map_or(0.5, |ranking| ranking.auc());
            let auc = auc.max(1.0 - auc);
            if auc > SEPARATES {
                found.push(Separating { predictor: predictor.name.clone(), auc });
            }
        }
    }
    found.sort_by(|a, b| b.auc.total_cmp(&a.auc));
    Ok(found)
}
