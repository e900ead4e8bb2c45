//! The table `estimated_quality`: the quality of the live release on new rows, estimated before their outcomes are known.

use common::model::estimate::EstimatedQuality;

use crate::columns::columns;
use crate::record::Recorded;

columns! {
    /// The quality of the live release on the rows of a drift check, estimated from its probabilities.
    QualityEstimate in "estimated_quality" {
        /// The id of the live release.
        release: String => "release_id",
        /// The names of the new files.
        data: Vec<String>,
        /// The estimated scores with their intervals.
        quality: EstimatedQuality,
    }
}

columns! {
    impl EstimatedQuality {
        /// Number of rows, labelled or not.
        rows: u64 => "row_count",
        /// Whether the probabilities were calibrated on the test data.
        calibrated: bool,
        /// Estimated F1 score, from 0 to 1.
        f1: f64,
        /// Lower bound of the 95 % interval of the F1 score that these rows will have.
        f1_low: f64,
        /// Upper bound of the 95 % interval of the F1 score that these rows will have.
        f1_high: f64,
        /// Estimated precision, from 0 to 1.
        precision: f64 => "precision_score",
        /// Lower bound of the 95 % interval of the precision.
        precision_low: f64,
        /// Upper bound of the 95 % interval of the precision.
        precision_high: f64,
        /// Estimated recall, from 0 to 1.
        recall: f64 => "recall_score",
        /// Lower bound of the 95 % interval of the recall.
        recall_low: f64,
        /// Upper bound of the 95 % interval of the recall.
        recall_high: f64,
    }
}

/// An estimate with its run.
pub type EstimateRow = Recorded<QualityEstimate>;
