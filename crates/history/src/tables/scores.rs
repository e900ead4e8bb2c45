//! The table `scores`: F1 scores of models on labelled data.

use anyhow::Result;
use common::files::checksum::Checksum;
use common::model::metrics::Confusion;

use crate::columns::{Field, columns};
use crate::record::{Recorded, newest_with};
use crate::store::History;

columns! {
    /// The score of a model on labelled data.
    ScoredData in "scores" {
        /// The id of the release, if the deployed model was scored.
        release: Option<String> => "release_id",
        /// SHA-256 of the model file.
        model_sha256: Checksum,
        /// The names of the files that were scored.
        data: Vec<String>,
        /// The counts on these files.
        confusion: Confusion,
        /// Probability from which a client was predicted to leave; `None` in rows of schema version 1.
        threshold: Option<f64>,
    }
}

/// A score with its run.
pub type ScoreRow = Recorded<ScoredData>;

impl History {
    /// Returns the newest score of a model on data in which at least `min_positives` clients are known to have left;
    /// `None` if there is none among the newest scores of all models.
    pub fn newest_score(&mut self, model_sha256: &Checksum, min_positives: u32) -> Result<Option<ScoreRow>> {
        let query = newest_with::<ScoredData>("model_sha256 = ? AND true_positives + false_negatives >= ?");
        Ok(self.records(&query, &[model_sha256.to_value(), i64::from(min_positives).into()])?.pop())
    }

    /// Returns the newest F1 scores of live releases, at their deployment or on new rows that could be judged; at most
    /// `last` of them.
    pub fn past_scores(&mut self, last: u32) -> Result<Vec<f64>> {
        let query = "SELECT f1 FROM (
                SELECT run_id, f1 FROM (SELECT run_id, f1 FROM drift_checks
                    WHERE verdict <> 'cannot be judged' ORDER BY run_id DESC LIMIT ?) AS checks
                UNION ALL
                SELECT run_id, f1 FROM (SELECT run_id, f1 FROM releases ORDER BY run_id DESC LIMIT ?) AS deployments
            ) AS newest ORDER BY run_id DESC LIMIT ?";
        let last = || i64::from(last).into();
        let scores: Vec<(f64,)> = self.fetch(query, &[last(), last(), last()])?;
        Ok(scores.into_iter().map(|(f1,)| f1).collect())
    }
}
