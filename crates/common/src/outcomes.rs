//! The outcomes of the steps that another program reads: a step prints its outcome with `--json`, and `fullprocess`
//! parses it into the same type. The crate of a step defines how its outcome is shown to people.

pub mod replay;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::config::Threshold;
use crate::files::checksum::Checksum;
use crate::files::ingested::{Ingested, ListedFile};
use crate::model::estimate::EstimatedQuality;
use crate::model::leaks::Leaks;
use crate::model::metrics::Confusion;
use crate::model::score::Score;
use crate::model::shift::PredictorShift;
use crate::production::hold::Hold;
use crate::production::promotion::Paired;

/// The outcome of `ingestion`.
#[derive(Debug, Serialize, Deserialize)]
pub struct IngestionOutcome {
    /// The compiled dataset and its input files.
    #[serde(flatten)]
    pub ingested: Ingested,
    /// Duration of the ingestion, in seconds.
    pub seconds: f64,
    /// Number of rows of the input database without a value in the watermark column. They are never ingested.
    pub without_watermark: u64,
}

/// The outcome of `ingestion --list`.
#[derive(Debug, Serialize, Deserialize)]
pub struct InputFiles {
    /// Input files with their checksums; those of the input folder are sorted by name.
    pub files: Vec<ListedFile>,
}

/// The outcome of `scoring`: the F1 score of a model on labelled rows, with its evidence.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Score)]
pub struct ScoringOutcome {
    /// Id of the release if the deployed model was scored, otherwise the beginning of the model's checksum.
    pub model: String,
    /// SHA-256 of the model file.
    #[schema(value_type = String)]
    pub model_sha256: Checksum,
    /// Names of the files that were scored.
    pub data: Vec<String>,
    /// F1 score, from 0 to 1.
    pub f1: f64,
    /// Precision: true positives / predicted positives.
    pub precision: f64,
    /// Recall: true positives / actual positives.
    pub recall: f64,
    /// Number of rows scored.
    pub n: u64,
    /// Numbers of true and false positives and negatives.
    #[schema(value_type = BTreeMap<String, u64>)]
    pub confusion: Confusion,
    /// Probability from which a client was predicted to leave.
    #[schema(value_type = f64)]
    pub threshold: Threshold,
    /// Number of unlabelled rows (without a known target), which were not scored.
    pub unlabelled: u64,
    /// Number of rows that could not be read, which were not scored.
    pub malformed: u64,
    /// Number of scored rows in which the training median was imputed for a missing predictor.
    pub imputed: u64,
    /// Number of scored rows with a level that no training row had; absent if there is none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unseen: u64,
    /// Quality on all rows, labelled or not, estimated from the predicted probabilities. Absent unless the deployed model
    /// was scored on other data than the test data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(ignore)]
    pub estimated: Option<EstimatedQuality>,
    /// Shifts of the predictors against the model's training data, the most important first. Empty unless the deployed
    /// model was scored on other data than the test data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(ignore)]
    pub shifts: Vec<PredictorShift>,
    /// Number of predictions written; `None` if none were requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(ignore)]
    pub predicted: Option<u64>,
    /// Signs of a leak; only of the trained model on the test data.
    #[serde(flatten)]
    #[schema(ignore)]
    pub leaks: Leaks,
    /// SHA-256 of the content of the test data; only of the trained model on the test data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(ignore)]
    pub test_sha256: Option<Checksum>,
    /// The comparison with the deployed model on the same rows; `None` if it was not requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(ignore)]
    pub against: Option<Against>,
}

/// The comparison of the trained model with a release on the same rows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Against {
    /// Id of the release.
    pub release: String,
    /// The counts of both models. The challenger is the trained model.
    #[serde(flatten)]
    pub paired: Paired,
}

impl ScoringOutcome {
    /// Returns the score without the other figures and without a calibration, as deployment stores it.
    pub fn score(&self) -> Score {
        Score {
            model_sha256: self.model_sha256.clone(),
            f1: self.f1,
            n: self.n,
            confusion: self.confusion,
            threshold: self.threshold.value(),
            calibration: None,
            leaks: self.leaks.clone(),
        }
    }
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The outcome of `deployment`: of a deployment, a rollback, a list, of removing releases, or of setting or ending a hold.
#[derive(Debug, Serialize, Deserialize)]
pub struct DeploymentOutcome {
    /// Action that was carried out.
    pub action: DeploymentAction,
    /// Id of the live release; `None` if nothing is deployed yet.
    pub live: Option<String>,
    /// After a deployment or a rollback, the live release; in a list, all releases, oldest first; otherwise empty.
    pub releases: Vec<ReleaseSummary>,
    /// Errors of the releases that cannot be listed because they are damaged.
    pub damaged: Vec<String>,
    /// Warnings about the score of the deployed model.
    pub weaknesses: Vec<String>,
    /// The hold on the live release; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// After a rollback, the names of the files that the next `fullprocess` will find new.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub new_files: Vec<String>,
    /// What `--prune` has removed and kept; absent after every other action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruned: Option<Pruned>,
}

/// What `deployment --prune` has removed and kept.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Pruned {
    /// The releases that were removed, oldest first.
    pub removed: Vec<RemovedRelease>,
    /// The releases that were kept, oldest first.
    pub kept: Vec<KeptRelease>,
    /// Bytes of unfinished files that killed deployments had left, which were removed too.
    pub unfinished_bytes: u64,
    /// Bytes of everything that was removed.
    pub bytes: u64,
}

/// A release that was removed.
#[derive(Debug, Serialize, Deserialize)]
pub struct RemovedRelease {
    /// Id of the release.
    pub id: String,
    /// Bytes of its files.
    pub bytes: u64,
}

/// A release that was kept.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeptRelease {
    /// Id of the release.
    pub id: String,
    /// Why it was kept; at least one reason.
    pub reasons: Vec<KeptBecause>,
}

/// The reason why a release is not removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeptBecause {
    /// The release is live.
    Live,
    /// A rollback would make it live.
    Previous,
    /// A repair would make it live, because the releases between it and the live one are damaged.
    Repair,
    /// The release is one of the newest.
    Newest,
    /// Files wait to be judged by it.
    Pending,
    /// The folder was created by hand.
    NoRelease,
}

/// The action of a run of `deployment`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentAction {
    /// A new release went live.
    Deployed,
    /// An earlier release went live again.
    RolledBack,
    /// The releases were listed and nothing was changed.
    Listed,
    /// Old releases were removed.
    Pruned,
    /// The live release is held from now on.
    Held,
    /// The live release is not held any more.
    HoldReleased,
}

/// Summary of a release for lists.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReleaseSummary {
    /// Id of the release.
    pub id: String,
    /// Time of the deployment.
    pub created: Timestamp,
    /// Recorded F1 score of the model.
    pub f1: f64,
    /// Number of rows on which the model was scored.
    pub n: u64,
    /// Number of rows on which the model was trained.
    pub training_rows: u64,
    /// SHA-256 of the model file.
    pub model_sha256: Checksum,
    /// Names of the ingested files.
    pub files: Vec<String>,
}

/// The line that `app --json` prints for each address when it listens.
#[derive(Debug, Serialize, Deserialize)]
pub struct AppListening {
    /// URL of the service.
    pub url: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_of_scoring_reads_back_with_and_without_the_optional_fields() {
        let checksum = Checksum::of_bytes(b"m");
        let json = format!(
            r#"{{"model":"1","model_sha256":"{}","data":["a.csv"],"f1":0.8,"precision":1.0,"recall":0.5,"n":3,"confusion":{{"true_positives":1,"false_positives":0,"false_negatives":1,"true_negatives":1}},"threshold":0.5,"unlabelled":0,"malformed":1,"imputed":2}}"#,
            checksum.as_str()
        );
        let outcome: ScoringOutcome = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&outcome).unwrap(), json);
        assert_eq!(outcome.score().model_sha256, checksum);
        let predicted = ScoringOutcome { predicted: Some(3), ..outcome };
        let read: ScoringOutcome = serde_json::from_str(&serde_json::to_string(&predicted).unwrap()).unwrap();
        assert_eq!((read.predicted, read.shifts.len()), (Some(3), 0));
    }

    #[test]
    fn an_outcome_of_ingestion_is_one_flat_object() {
        let json = r#"{"dataset_sha256":"DATASET","rows":2,"missing":{},"files":[],"contradictory_corporations":0,"contradictory_examples":[],"seconds":0.5,"without_watermark":1}"#
            .replace("DATASET", Checksum::of_bytes(b"d").as_str());
        let outcome: IngestionOutcome = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&outcome).unwrap(), json);
    }
}
