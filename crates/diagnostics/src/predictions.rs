//! A model's predictions for a table of clients.

use std::collections::BTreeMap;

use anyhow::Result;
use common::config::Threshold;
use common::model::{Model, probability};
use common::values::ValueRef;
use dataset::Clients;
use serde::Serialize;
use utoipa::ToSchema;

/// Predictions of a release. Every list has one entry per row.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Predictions {
    /// Id of the release that made the predictions.
    pub model: String,
    /// Name of the client; `null` if the row has no name.
    pub corporations: Vec<Option<String>>,
    /// 1 if the client is predicted to leave, otherwise 0.
    pub predictions: Vec<u8>,
    /// Probability of leaving, from 0 to 1.
    pub probabilities: Vec<f64>,
    /// Number of rows, by predictor, in which the predictor was missing and its training median was imputed.
    pub imputed: BTreeMap<String, u64>,
    /// Number of rows, by predictor, with a level that no training row had; absent if there is none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unseen: BTreeMap<String, u64>,
}

impl Predictions {
    /// Empty predictions of the release `model`.
    pub fn of(model: &str) -> Self {
        Self { model: model.to_owned(), ..Self::default() }
    }

    /// Adds the prediction for one client.
    pub fn push<'v>(
        &mut self,
        model: &Model,
        threshold: Threshold,
        id: Option<String>,
        predictors: impl Iterator<Item = Option<ValueRef<'v>>> + Clone,
    ) {
        let probability = probability(model.log_odds(predictors.clone()));
        self.corporations.push(id);
        self.predictions.push(u8::from(probability >= threshold.value()));
        self.probabilities.push(probability);
        for ((value, predictor), effect) in predictors.zip(model.schema.predictors()).zip(&model.effects) {
            if value.is_none() {
                count(&mut self.imputed, &predictor.name);
            } else if effect.is_unseen(value) {
                count(&mut self.unseen, &predictor.name);
            }
        }
    }
}

/// Adds 1 to the count of `column`.
fn count(counts: &mut BTreeMap<String, u64>, column: &str) {
    match counts.get_mut(column) {
        Some(count) => *count += 1,
        None => drop(counts.insert(column.to_owned(), 1)),
    }
}

/// Predicts for every row of `clients` with the model of release `id`.
pub fn predict(id: &str, model: &Model, clients: &dyn Clients, threshold: Threshold) -> Result<Predictions> {
    let mut predictions = Predictions::of(id);
    clients
        .each(&mut |id, values, _| predictions.push(model, threshold, id.map(str::to_owned), values.iter().copied()))?;
    Ok(predictions)
}
