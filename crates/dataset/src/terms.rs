//! The terms of the regression: how many there may be, and what is known about the levels among them.

use anyhow::{Result, bail};
use common::schema::{MOST_LEVELS, MOST_TERMS, Schema};
use statistics::levels::{LevelCounts, LevelSummary};

use crate::PredictorSummary;

/// Summarises the levels of all rows; `levels` are those of the training rows.
pub fn summary_of(levels: &[String], all: &LevelCounts) -> LevelSummary {
    let counts: Vec<u64> = levels.iter().map(|level| all.counts.get(level).copied().unwrap_or(0)).collect();
    let known: u64 = all.counts.values().sum();
    LevelSummary { unseen: known - counts.iter().sum::<u64>(), counts, missing: all.missing }
}

/// Checks the number of levels of a column.
///
/// # Errors
/// Fails if there are more than [`MOST_LEVELS`].
pub fn check_levels(column: &str, levels: usize) -> Result<()> {
    if levels > MOST_LEVELS {
        bail!(
            "column {column} has {levels} levels, but a category may have at most {MOST_LEVELS}; merge rare levels in the \
             data, use a number, or name the column in \"ignored\" (config key \"columns\")"
        );
    }
    Ok(())
}

/// Checks the number of terms.
///
/// # Errors
/// Fails if there are more than [`MOST_TERMS`]; the error names the category with the most levels.
pub fn check_terms(schema: &Schema, predictors: &[PredictorSummary]) -> Result<()> {
    let levels = |summary: &PredictorSummary| match summary {
        PredictorSummary::Number { .. } => 1,
        PredictorSummary::Category { levels, .. } => levels.len(),
    };
    let terms: usize = predictors.iter().map(levels).sum();
    let largest = schema.predictors().iter().zip(predictors).max_by_key(|(_, summary)| levels(summary));
    if let Some((predictor, summary)) = largest.filter(|_| terms > MOST_TERMS) {
        bail!(
            "the columns have {terms} terms (a number is one, a level is one), but a model may have at most {MOST_TERMS}; \
             column {} has the most levels, {}; merge rare levels in the data or name columns in \"ignored\" (config \
             key \"columns\")",
            predictor.name,
            levels(summary)
        );
    }
    Ok(())
}
