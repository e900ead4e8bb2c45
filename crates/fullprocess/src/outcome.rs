//! The result of a run: its decision and the evidence for it, as data and as the last line of its output.

use std::fmt;

use common::cli;
use common::files::ingested::ListedFile;
use common::model::shift::{PredictorShift, ShiftVerdict};
use common::production::release::Release;
pub use history::Decision;
use history::DriftVerdict;
use serde::Serialize;
use statistics::interval::Interval;

use crate::NewScore;
use crate::drift::Check;

/// The result of a run.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// The decision of the run.
    pub outcome: Decision,
    /// The names of the new files.
    pub new_files: Vec<String>,
    /// The id of the release that is live after the run, or, in a dry run, before it.
    pub live: Option<String>,
    /// The F1 score recorded at the deployment of the release that was live before the run.
    pub recorded_f1: Option<f64>,
    /// The F1 score of that release on the rows of the new files; `new_n` is the number of rows.
    pub new_f1: Option<f64>,
    /// Confidence interval (95 %) of `new_f1`; `None` if no client left and none was predicted to leave.
    pub new_f1_interval: Option<Interval>,
    /// Number of rows in the new files whose `exited` is known.
    pub new_n: Option<u64>,
    /// Whether the score has fallen by more than chance explains.
    pub verdict: Option<DriftVerdict>,
    /// Shift of each predictor between that release's training data and the new rows, most important first.
    pub shifts: Vec<PredictorShift>,
    /// Reservations about the new model, each as a sentence.
    pub promotion_warnings: Vec<String>,
    /// Sentences that describe what was damaged or lost and how it was repaired.
    pub repairs: Vec<String>,
    /// Whether this was a dry run: nothing was changed, and the outcome is what a run would do.
    pub dry_run: bool,
}

/// Creates the outcome of a decision; `was` is the release that was live before, and `checked` its score on the new
/// files.
pub(crate) fn outcome(
    outcome: Decision,
    new: &[ListedFile],
    live: Option<String>,
    was: Option<&Release>,
    checked: Option<(NewScore, Check)>,
) -> Outcome {
    Outcome {
        outcome,
        new_files: new.iter().map(|file| file.name.clone()).collect(),
        live,
        recorded_f1: was.map(|release| release.manifest.score.f1),
        new_f1: checked.as_ref().map(|(score, _)| score.f1),
        new_f1_interval: checked.as_ref().and_then(|(_, check)| check.interval),
        new_n: checked.as_ref().map(|(score, _)| score.n),
        verdict: checked.as_ref().map(|(_, check)| check.verdict),
        shifts: checked.map(|(score, _)| score.shifts).unwrap_or_default(),
        promotion_warnings: Vec::new(),
        repairs: Vec::new(),
        dry_run: false,
    }
}

impl cli::Outcome for Outcome {
    fn warnings(&self) -> Vec<String> {
        let replaced = self.outcome == Decision::Redeployed;
        let drift = match (self.new_n, self.verdict) {
            (Some(0), _) => Some("no row of the new files has a known exited, so nothing can be said about drift"),
            (_, Some(DriftVerdict::CannotTell)) if replaced => Some(
                "the score is lower, but by no more than chance explains (\"drift_test\": \"interval\" would wait)",
            ),
            _ => None,
        };
        let shifted = self.shifts.iter().filter(|shift| shift.verdict == ShiftVerdict::Shifted).map(|shift| {
            format!(
                "{} of the new rows is not as in the training data (population stability index {:.3}): it moves the risk of \
                 a client who is average otherwise by {:+.1} percentage points",
                shift.predictor,
                shift.stability_index,
                100.0 * shift.risk_change
            )
        });
        drift.map(str::to_owned).into_iter().chain(shifted).chain(self.promotion_warnings.iter().cloned()).collect()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let files = self.new_files.join(", ");
        let live = self.live.as_deref().unwrap_or("nothing");
        if self.dry_run {
            write!(f, "dry run, nothing was changed; a run would find: ")?;
        }
        let scores = match (self.recorded_f1, self.new_f1, self.new_n) {
            (Some(recorded), Some(new), Some(n)) => {
                let interval = self.new_f1_interval.map(|i| format!(" ({:.4} to {:.4})", i.low, i.high));
                let interval = interval.unwrap_or_default();
                format!("F1 {new:.4}{interval} on {n} rows of {files}, {recorded:.4} when {} was deployed", self.was())
            }
            _ => String::new(),
        };
        match self.outcome {
            Decision::NothingToDo => write!(f, "nothing to do: no new data, {live} is live"),
            Decision::Reported => write!(f, "nothing new, but the reports were not of {live}: they are made again"),
            Decision::NoDrift => write!(f, "no drift: {scores}; it stays live"),
            Decision::Redeployed if self.dry_run => {
                write!(f, "drift: {scores}; a new model would be deployed, as promotion allows")
            }
            Decision::Redeployed => write!(f, "drift: {scores}; deployed {live}"),
            Decision::Kept => write!(f, "drift: {scores}; kept {live}, for {}", self.promotion_warnings.join("; ")),
            Decision::Bootstrapped if self.dry_run => {
                write!(f, "nothing is deployed; a first model would be trained on {files} and deployed")
            }
            Decision::Bootstrapped => write!(f, "first deployment: {live}, trained on {files}"),
            Decision::Repaired => return write!(f, "repaired: {}; {live} is live", self.repairs.join("; ")),
        }?;
        if !self.repairs.is_empty() {
            write!(f, "; repaired before: {}", self.repairs.join("; "))?;
        }
        Ok(())
    }
}

impl Outcome {
    /// Returns a phrase for the release that was scored: after a redeployment it is no longer the live one.
    fn was(&self) -> &str {
        match self.outcome {
            Decision::Redeployed if !self.dry_run => "the model before",
            _ => self.live.as_deref().unwrap_or("the live model"),
        }
    }
}
