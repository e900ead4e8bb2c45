//! The quality of a model on rows, estimated before their outcomes are known.

use std::fmt;

use serde::{Deserialize, Serialize};
use statistics::calibration::Calibration;
use statistics::expected::{Estimate, ExpectedCounts};
use statistics::interval::Interval;

/// The quality of a model on rows, estimated from its predicted probabilities (see [`statistics::expected`]). Each
/// score has the 95 % interval of the value that these rows will have once all outcomes are known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EstimatedQuality {
    /// Number of rows, labelled or not.
    pub rows: u64,
    /// Whether the probabilities were calibrated on the test data. Otherwise they were used as the model gives them, and
    /// the intervals contain only the chance of the outcomes.
    pub calibrated: bool,
    /// F1 score, from 0 to 1.
    pub f1: f64,
    /// Lower end of the interval of F1.
    pub f1_low: f64,
    /// Upper end of the interval of F1.
    pub f1_high: f64,
    /// Precision: true positives / predicted positives.
    pub precision: f64,
    /// Lower end of the interval of the precision.
    pub precision_low: f64,
    /// Upper end of the interval of the precision.
    pub precision_high: f64,
    /// Recall: true positives / actual positives.
    pub recall: f64,
    /// Lower end of the interval of the recall.
    pub recall_low: f64,
    /// Upper end of the interval of the recall.
    pub recall_high: f64,
}

impl EstimatedQuality {
    /// Computes the quality from the counts that are expected with a `calibration`; `None` stands for
    /// [`Calibration::NONE`].
    ///
    /// `None` if there is no row, or a probability is not a number.
    pub fn of(counts: &ExpectedCounts, calibration: Option<&Calibration>) -> Option<Self> {
        let quality = counts.quality(calibration.unwrap_or(&Calibration::NONE))?;
        let numbers = |Estimate { value, interval: Interval { low, high } }| [value, low, high];
        let [f1, f1_low, f1_high] = numbers(quality.f1);
        let [precision, precision_low, precision_high] = numbers(quality.precision);
        let [recall, recall_low, recall_high] = numbers(quality.recall);
        Some(Self {
            rows: counts.rows(),
            calibrated: calibration.is_some(),
            f1,
            f1_low,
            f1_high,
            precision,
            precision_low,
            precision_high,
            recall,
            recall_low,
            recall_high,
        })
    }
}

/// The estimated F1 with its interval.
impl fmt::Display for EstimatedQuality {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { f1, f1_low, f1_high, calibrated, .. } = self;
        let kind = if *calibrated { "calibrated" } else { "uncalibrated" };
        write!(f, "estimated F1 {f1:.2} ({f1_low:.2} to {f1_high:.2}) from the {kind} probabilities")
    }
}
