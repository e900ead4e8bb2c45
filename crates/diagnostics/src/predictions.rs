//! A model's predictions for a table of clients.

use std::collections::BTreeMap;

use anyhow::Result;
use common::config::Threshold;
use common::model::Model;
use common::model::schema::{PREDICTORS, Predictors};
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
    pub imputed: BTreeMap<&'static str, u64>,
}

impl Predictions {
    /// Empty predictions of the release `model`.
    pub fn of(model: &str) -> Self {
        Self { model: model.to_owned(), ..Self::default() }
    }

    /// Adds the prediction for one client.
    pub fn push(&mut self, model: &Model, threshold: Threshold, corporation: Option<String>, predictors: &Predictors) {
        let probability = model.probability(predictors);
        self.corporations.push(corporation);
        self.predictions.push(u8::from(probability >= threshold.value()));
        self.probabilities.push(probability);
        for (value, column) in predictors.iter().zip(PREDICTORS) {
            if value.is_none() {
                *self.imputed.entry(column).or_default() += 1;
            }
        }
    }
}

/// Predicts for every row of `clients` with the model of release `id`.
pub fn predict(id: &str, model: &Model, clients: &dyn Clients, threshold: Threshold) -> Result<Predictions> {
    let mut predictions = Predictions::of(id);
    clients.each(&mut |corporation, row| {
        predictions.push(model, threshold, corporation.map(str::to_owned), &row.predictors);
    })?;
    Ok(predictions)
}
