//! The terms of the regression: how many there may be.

use anyhow::{Result, bail};
use common::schema::{MOST_LEVELS, MOST_TERMS, Schema};

use crate::PredictorSummary;

/// Checks the number of levels of a column.
///
/// # Errors
/// Fails if there are more than [`MOST_LEVELS`].
pub fn check_levels(column: &str, levels: usize) -> Result<()> {
    if levels > MOST_LEVELS {
        bail!(
            "column {column} has {levels} levels, but a category may have at most {MOST_LEVELS}; merge rare levels in the \
             data, declare the column a number if it holds numbers, or name it in \"ignored\" (config key \"columns\")"
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
