//! Why a client's risk is what it is, and what would lower it.

use common::values::Value;
use serde::Serialize;
use utoipa::ToSchema;

/// One predictor's contribution to a client's risk.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Reason {
    /// Name of the predictor's column.
    pub predictor: String,
    /// The client's value, a number or a level; a missing value is imputed with the median of a number and the most
    /// frequent level of a category in the training data.
    pub value: Value,
    /// Whether the value was missing and has been imputed.
    pub imputed: bool,
    /// The average client's value: the mean of a number, the most frequent level of a category.
    pub average: Value,
    /// Difference in the log-odds of leaving between the client and a client with the average value of this predictor.
    pub log_odds: f64,
    /// The same difference as a factor of the odds: `exp(log_odds)`.
    pub odds_factor: f64,
    /// The risk that the client would have with the average value of this predictor.
    pub risk_at_average: f64,
}

/// The smallest change that would lower a client's risk below the threshold.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Change {
    /// Name of the only predictor that changes.
    pub predictor: String,
    /// The predictor's current value.
    pub from: Value,
    /// The value after the change.
    pub to: Value,
}

/// What would lower a client's risk below the threshold.
#[derive(Clone, Debug, PartialEq)]
pub enum Remedy {
    /// The risk is already below the threshold.
    NotNeeded,
    /// This change of one predictor.
    Change(Change),
    /// No change of a single predictor is enough.
    Nothing,
}
