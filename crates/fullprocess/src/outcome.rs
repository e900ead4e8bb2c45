//! The outcome of a run: its decision and the evidence for it.

use common::config::Config;
use common::files::ingested::ListedFile;
use common::model::estimate::EstimatedQuality;
use common::model::shift::PredictorShift;
use common::outcomes::ScoringOutcome;
use common::production::drift::{Check, Judgement};
use common::production::hold::Hold;
use history::{DriftVerdict, UnjudgedFiles};
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
    /// The names of the files that the release was scored on: those that were pending before, and the new ones.
    pub scored_files: Vec<String>,
    /// The names of the files that cannot be judged yet, because too few of their clients are known to have left. They are
    /// judged together with the next new file.
    pub pending_files: Vec<String>,
    /// The names of the files on which the release has drifted while it is held. They are judged again after the hold.
    pub held_files: Vec<String>,
    /// The hold on the live release; absent if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// The id of the release that is live after the run, or, in a dry run, before a new one would be deployed.
    pub live: Option<String>,
    /// Whether this run has made another release live.
    pub deployed: bool,
    /// The F1 score recorded at the deployment of the release that the new files were checked against.
    pub recorded_f1: Option<f64>,
    /// The F1 score of that release on the rows of `scored_files`; `None` if it cannot be judged.
    pub new_f1: Option<f64>,
    /// Confidence interval (95 %) of `new_f1`; `None` if `new_f1` is `None`.
    pub new_f1_interval: Option<Interval>,
    /// Number of rows of `scored_files` whose target is known.
    pub new_n: Option<u64>,
    /// Number of these rows whose client left.
    pub new_left: Option<u64>,
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
    /// Number of clients that must be known to have left before a score is judged.
    #[serde(skip)]
    pub min_positives: u32,
}

impl Outcome {
    /// Creates the outcome of `decision`. `checked` is the score of the release in `state` on the new and the pending
    /// `files`.
    pub fn new(
        decision: Decision,
        config: &Config,
        state: &State,
        files: &UnjudgedFiles,
        checked: Option<(ScoringOutcome, Check)>,
        dry_run: bool,
    ) -> Self {
        let release = state.release.as_ref();
        let (score, check) = checked.unzip();
        let names = |files: &mut dyn Iterator<Item = &ListedFile>| files.map(|file| file.name.clone()).collect();
        let judged = check.filter(|check| check.judgement != Judgement::CannotBeJudged);
        let mut outcome = Self {
            outcome: decision,
            new_files: names(&mut files.new.iter()),
            scored_files: score.as_ref().map(|score| score.data.clone()).unwrap_or_default(),
            pending_files: match check {
                None => names(&mut files.pending.iter()),
                Some(_) if judged.is_some() => Vec::new(),
                Some(_) => names(&mut files.judged_together()),
            },
            held_files: names(&mut files.held.iter()),
            hold: state.hold.clone(),
            live: release.map(|release| release.id.clone()),
            deployed: false,
            recorded_f1: release.map(|release| release.manifest.score.f1),
            new_f1: judged.and(score.as_ref()).map(|score| score.f1),
            new_f1_interval: judged.and_then(|check| check.interval),
            new_n: score.as_ref().map(|score| score.n),
            new_left: score.as_ref().map(|score| score.confusion.positives()),
            estimated: score.as_ref().and_then(|score| score.estimated),
            verdict: check.map(|check| check.verdict),
            shifts: score.map(|score| score.shifts).unwrap_or_default(),
            promotion_warnings: Vec::new(),
            columns_change: state.columns_change.clone(),
            repairs: state.repairs.clone(),
            dry_run,
            target: config.columns.target().name.clone(),
            min_positives: config.drift_min_positives,
        };
        if decision == Decision::Held {
            outcome.hold_back(files);
        }
        outcome
    }

    /// Turns the outcome into that of a run that does not replace the live release, because it is held.
    pub fn hold_back(&mut self, files: &UnjudgedFiles) {
        self.outcome = Decision::Held;
        if self.verdict.is_some() {
            self.held_files.extend(files.judged_together().map(|file| file.name.clone()));
        }
    }
}
