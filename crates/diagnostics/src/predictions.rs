//! A model's answer for a table of clients.

use std::collections::BTreeMap;

use anyhow::Result;
use common::config::Threshold;
use common::model::Model;
use common::schema::{PREDICTORS, Predictors};
use engine::Clients;
use serde::Serialize;
use utoipa::ToSchema;

/// Predictions, one entry per row in every list.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct Predictions {
    /// The release that predicts.
    pub model: String,
    /// Who; `None` where the row names nobody.
    pub corporations: Vec<Option<String>>,
    /// 1 where the client is predicted to leave.
    pub predictions: Vec<u8>,
    /// The probability of leaving.
    pub probabilities: Vec<f64>,
    /// How many rows miss which predictor, and were given its training median.
    pub filled: BTreeMap<&'static str, u64>,
}

impl Predictions {
    /// An empty answer of release `model`.
    pub fn of(model: &str) -> Self {
        Self { model: model.to_owned(), ..Self::default() }
    }

    /// Adds one client.
    pub fn push(&mut self, model: &Model, threshold: Threshold, corporation: Option<String>, predictors: &Predictors) {
        let probability = model.probability(predictors);
        self.corporations.push(corporation);
        self.predictions.push(u8::from(probability >= threshold.value()));
        self.probabilities.push(probability);
        for (value, column) in predictors.iter().zip(PREDICTORS) {
            if value.is_none() {
                *self.filled.entry(column).or_default() += 1;
            }
        }
    }
}

/// Predicts for every row of `clients`, by the model of release `id`.
pub fn predict(id: &str, model: &Model, clients: &dyn Clients, threshold: Threshold) -> Result<Predictions> {
    let mut predictions = Predictions::of(id);
    clients.each(&mut |corporation, row| {
        predictions.push(model, threshold, corporation.map(str::to_owned), &row.predictors);
    })?;
    Ok(predictions)
}
