//! The outcome of a run: its decision and the evidence for it.

use common::config::Config;
use common::files::ingested::ListedFile;
use common::model::estimate::EstimatedQuality;
use common::model::shift::PredictorShift;
use common::outcomes::ScoringOutcome;
use common::production::drift::Check;
use history::DriftVerdict;
use serde::Serialize;
use statistics::interval::Interval;

use crate::decision::Decision;
use crate::state::State;

/// The outcome of a run.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// The decision of the run.
    pub outcome: Decision,
    /// The names of the new files.
    pub new_files: Vec<String>,
    /// The id of the release that is live after the run, or, in a dry run, before a new one would be deployed.
    pub live: Option<String>,
    /// The F1 score recorded at the deployment of the release that the new files were checked against.
    pub recorded_f1: Option<f64>,
    /// The F1 score of that release on the rows of the new files; `new_n` is the number of rows.
    pub new_f1: Option<f64>,
    /// Confidence interval (95 %) of `new_f1`; `None` if no client left and none was predicted to leave.
    pub new_f1_interval: Option<Interval>,
    /// Number of rows in the new files whose target is known.
    pub new_n: Option<u64>,
    /// Quality of that release on all rows of the new files, labelled or not, estimated from its probabilities.
    pub estimated: Option<EstimatedQuality>,
    /// Whether the score has fallen by more than chance explains.
    pub verdict: Option<DriftVerdict>,
    /// Shift of each predictor between that release's training data and the new rows, most important first.
    pub shifts: Vec<PredictorShift>,
    /// Reservations about the new model, each as a sentence.
    pub promotion_warnings: Vec<String>,
    /// The difference between the columns of the config and those of the release that was live; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub columns_change: Option<String>,
    /// Sentences that describe what was damaged or lost and how it was repaired.
    pub repairs: Vec<String>,
    /// Whether this was a dry run: nothing was changed, and the outcome is what a run would do.
    pub dry_run: bool,
    /// Name of the target column.
    #[serde(skip)]
    pub target: String,
}

impl Outcome {
    /// Creates the outcome of `decision`. `checked` is the score of the release in `state` on the `new` files.
    pub fn new(
        decision: Decision,
        config: &Config,
        state: &State,
        new: &[ListedFile],
        checked: Option<(ScoringOutcome, Check)>,
        dry_run: bool,
    ) -> Self {
        let release = state.release.as_ref();
        let (score, check) = checked.unzip();
        Self {
            outcome: decision,
            new_files: new.iter().map(|file| file.name.clone()).collect(),
            live: release.map(|release| release.id.clone()),
            recorded_f1: release.map(|release| release.manifest.score.f1),
            new_f1: score.as_ref().map(|score| score.f1),
            new_f1_interval: check.and_then(|check| check.interval),
            new_n: score.as_ref().map(|score| score.n),
            estimated: score.as_ref().and_then(|score| score.estimated),
            verdict: check.map(|check| check.verdict),
            shifts: score.map(|score| score.shifts).unwrap_or_default(),
            promotion_warnings: Vec::new(),
            columns_change: state.columns_change.clone(),
            repairs: state.repairs.clone(),
            dry_run,
            target: config.columns.target().name.clone(),
        }
    }
}
