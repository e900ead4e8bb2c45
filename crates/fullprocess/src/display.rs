//! What people read: the warnings of a run and the last line of its output.

use std::fmt;

use common::cli;
use common::model::shift::{PredictorShift, ShiftVerdict};

use crate::decision::Decision;
use crate::drift::Verdict;
use crate::outcome::Outcome;

impl cli::Outcome for Outcome {
    fn warnings(&self) -> Vec<String> {
        let drift = match (self.new_n, self.verdict) {
            (Some(0), _) => Some("no row of the new files has a known exited, so drift cannot be tested"),
            (_, Some(Verdict::CannotTell)) if self.outcome == Decision::Redeployed => Some(
                "the score is lower, but by no more than chance explains; \"drift_test\": \"interval\" would \
                 keep the model",
            ),
            _ => None,
        };
        let shifted = self.shifts.iter().filter(|shift| shift.verdict == ShiftVerdict::Shifted).map(warning_of_shift);
        drift.map(str::to_owned).into_iter().chain(shifted).chain(self.promotion_warnings.iter().cloned()).collect()
    }
}

fn warning_of_shift(shift: &PredictorShift) -> String {
    format!(
        "{} of the new rows differs from the training data (population stability index {:.3}): it changes the risk of \
         a client who is otherwise average by {:+.1} percentage points",
        shift.predictor,
        shift.stability_index,
        100.0 * shift.risk_change
    )
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let files = self.new_files.join(", ");
        let live = self.live.as_deref().unwrap_or("nothing");
        let (scores, repairs) = (self.scores(), self.repairs.join("; "));
        if self.dry_run {
            write!(f, "dry run, nothing was changed; a run would report: ")?;
        }
        match self.outcome {
            Decision::NothingToDo => write!(f, "nothing to do: no new data, {live} is live"),
            Decision::Reported => {
                write!(f, "no new data, but the reports were not of {live} and have been created again")
            }
            Decision::NoDrift => write!(f, "no drift: {scores}; {live} stays live"),
            Decision::Redeployed if self.dry_run => {
                write!(f, "drift: {scores}; a new model is trained, and deployed if the promotion rule allows it")
            }
            Decision::Redeployed => write!(f, "drift: {scores}; deployed {live}"),
            Decision::Kept => write!(f, "drift: {scores}; kept {live}: {}", self.promotion_warnings.join("; ")),
            Decision::Bootstrapped if self.dry_run => write!(f, "first deployment of a model trained on {files}"),
            Decision::Bootstrapped => write!(f, "first deployment: {live}, trained on {files}"),
            Decision::Repaired if self.live.is_none() => write!(f, "repaired: {repairs}"),
            Decision::Repaired => write!(f, "repaired: {repairs}; {live} is live"),
        }?;
        match (self.outcome, self.dry_run) {
            // A dry run cannot score a release that is not live yet.
            (Decision::Repaired, true) if self.live.is_some() && !files.is_empty() => {
                write!(f, ", and {files} is checked for drift")
            }
            (Decision::Repaired, _) => Ok(()),
            _ if repairs.is_empty() => Ok(()),
            _ => write!(f, "; repaired before: {repairs}"),
        }
    }
}

impl Outcome {
    /// Describes the score on the new files and the recorded score; empty if there is no score.
    fn scores(&self) -> String {
        let (Some(recorded), Some(new), Some(n)) = (self.recorded_f1, self.new_f1, self.new_n) else {
            return String::new();
        };
        let interval = self.new_f1_interval.map(|i| format!(" ({:.4} to {:.4})", i.low, i.high)).unwrap_or_default();
        let files = self.new_files.join(", ");
        format!("F1 {new:.4}{interval} on {n} rows of {files}, {recorded:.4} at deployment")
    }
}
