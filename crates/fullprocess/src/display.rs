//! What people read: the warnings of a run and the last line of its output.

use std::fmt;

use common::cli;
use common::model::shift::{PredictorShift, ShiftVerdict};
use history::DriftVerdict;

use crate::decision::Decision;
use crate::outcome::Outcome;

impl cli::Outcome for Outcome {
    fn warnings(&self) -> Vec<String> {
        let drift = match (self.new_n, self.verdict) {
            (Some(0), _) => {
                Some(format!("no row of the new files has a known {}, so drift cannot be tested", self.target))
            }
            (_, Some(DriftVerdict::CannotTell)) if self.outcome == Decision::Redeployed => Some(
                "the score is lower, but by no more than chance explains; \"drift_test\": \"interval\" would \
                 keep the model"
                    .to_owned(),
            ),
            _ => None,
        };
        let shifted = self.shifts.iter().filter(|shift| shift.verdict == ShiftVerdict::Shifted).map(warning_of_shift);
        drift.into_iter().chain(shifted).chain(self.promotion_warnings.iter().cloned()).collect()
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
        let scored = self.scored_files.join(", ");
        let live = self.live.as_deref().unwrap_or("nothing");
        let (scores, repairs) = (self.scores(), self.repairs.join("; "));
        if self.dry_run {
            write!(f, "dry run, nothing was changed; a run would report: ")?;
        }
        match self.outcome {
            Decision::NothingToDo => write!(f, "nothing to do: no new data, {live} is live"),
            Decision::Reported => {
                write!(f, "no new data, but the reports were not those of {live} for today and have been created again")
            }
            Decision::NoDrift => write!(f, "no drift: {scores}; {live} stays live"),
            Decision::CannotBeJudged => write!(
                f,
                "cannot be judged: {} of {} labelled rows of {scored} left, {} are needed (drift_min_positives){}; \
                 pending: {}; {live} stays live",
                self.new_left.unwrap_or(0),
                self.new_n.unwrap_or(0),
                self.min_positives,
                self.estimate(),
                listed(&self.pending_files)
            ),
            Decision::Held => {
                match &self.columns_change {
                    Some(change) => write!(f, "the columns of the config have changed ({change})")?,
                    None => write!(f, "drift: {scores}")?,
                }
                write!(f, "; {live} stays live")
            }
            Decision::Redeployed if self.dry_run => {
                write!(f, "drift: {scores}; a new model is trained, and deployed if the promotion rule allows it")
            }
            Decision::Redeployed => write!(f, "drift: {scores}; deployed {live}"),
            Decision::Kept => write!(f, "drift: {scores}; kept {live}: {}", self.promotion_warnings.join("; ")),
            Decision::ColumnsChanged => {
                write!(
                    f,
                    "the columns of the config have changed ({}); ",
                    self.columns_change.as_deref().unwrap_or_default()
                )?;
                match self.dry_run {
                    true => write!(f, "a new model is trained and deployed instead of {live}"),
                    false => write!(f, "deployed {live}, trained on all files"),
                }
            }
            Decision::Bootstrapped if self.dry_run => write!(f, "first deployment of a model trained on {files}"),
            Decision::Bootstrapped => write!(f, "first deployment: {live}, trained on {files}"),
            Decision::Repaired if self.live.is_none() => write!(f, "repaired: {repairs}"),
            Decision::Repaired => write!(f, "repaired: {repairs}; {live} is live"),
        }?;
        self.write_waiting(f)?;
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
    /// Writes which files wait for labels, and whether the live release is held.
    fn write_waiting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if !self.pending_files.is_empty() && self.outcome != Decision::CannotBeJudged {
            write!(f, "; pending: {}", listed(&self.pending_files))?;
        }
        if let Some(hold) = &self.hold {
            write!(f, "; {hold}")?;
        }
        if !self.held_files.is_empty() {
            write!(f, "; judged again after deployment --release-hold: {}", listed(&self.held_files))?;
        }
        Ok(())
    }

    /// Describes the score on the new files and the recorded score; empty if there is no score.
    fn scores(&self) -> String {
        let (Some(recorded), Some(new), Some(n)) = (self.recorded_f1, self.new_f1, self.new_n) else {
            return String::new();
        };
        let interval = self.new_f1_interval.map(|i| format!(" ({:.4} to {:.4})", i.low, i.high)).unwrap_or_default();
        let files = self.scored_files.join(", ");
        format!("F1 {new:.4}{interval} on {n} rows of {files}, {recorded:.4} at deployment{}", self.estimate())
    }

    /// Describes the estimated quality as the end of a list; empty if there is none, or if no client is predicted to leave,
    /// so that F1 can only be 0.
    fn estimate(&self) -> String {
        self.estimated
            .filter(|quality| quality.f1_high > 0.0)
            .map(|estimated| format!(", {estimated}"))
            .unwrap_or_default()
    }
}

/// Lists the first names, and how many others there are.
pub fn listed<S: AsRef<str>>(names: &[S]) -> String {
    const SHOWN: usize = 10;
    let first: Vec<&str> = names.iter().take(SHOWN).map(AsRef::as_ref).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => first.join(", "),
        1 => format!("{} and 1 other", first.join(", ")),
        others => format!("{} and {others} others", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use common::cli::Outcome as _;
    use common::production::hold::Hold;

    use super::*;

    fn outcome(decision: Decision) -> Outcome {
        Outcome {
            outcome: decision,
            new_files: vec!["a.csv".to_owned(), "b.csv".to_owned()],
            scored_files: vec!["a.csv".to_owned(), "b.csv".to_owned()],
            pending_files: Vec::new(),
            held_files: Vec::new(),
            hold: None,
            live: Some("R2".to_owned()),
            deployed: false,
            recorded_f1: Some(0.8),
            new_f1: Some(0.5),
            new_f1_interval: None,
            new_n: Some(40),
            new_left: Some(20),
            estimated: None,
            verdict: Some(DriftVerdict::CannotTell),
            shifts: Vec::new(),
            promotion_warnings: vec!["it is worse".to_owned()],
            columns_change: None,
            repairs: Vec::new(),
            dry_run: false,
            target: "left".to_owned(),
            min_positives: 5,
        }
    }

    #[test]
    fn the_last_line_begins_with_the_decision() {
        let scores = "F1 0.5000 on 40 rows of a.csv, b.csv, 0.8000 at deployment";
        let table = [
            (Decision::NothingToDo, "nothing to do: no new data, R2 is live".to_owned()),
            (
                Decision::Reported,
                "no new data, but the reports were not those of R2 for today and have been created again".to_owned(),
            ),
            (Decision::NoDrift, format!("no drift: {scores}; R2 stays live")),
            (Decision::Redeployed, format!("drift: {scores}; deployed R2")),
            (Decision::Kept, format!("drift: {scores}; kept R2: it is worse")),
            (Decision::Bootstrapped, "first deployment: R2, trained on a.csv, b.csv".to_owned()),
        ];
        for (decision, line) in table {
            assert_eq!(outcome(decision).to_string(), line);
            let repaired = Outcome { repairs: vec!["it was lost".to_owned()], ..outcome(decision) };
            assert_eq!(repaired.to_string(), format!("{line}; repaired before: it was lost"));
        }
        let repaired = Outcome { repairs: vec!["it was lost".to_owned()], ..outcome(Decision::Repaired) };
        assert_eq!(repaired.to_string(), "repaired: it was lost; R2 is live");
    }

    #[test]
    fn an_estimated_score_follows_the_realised_one() {
        let quality = r#"{"rows": 40, "calibrated": true, "f1": 0.75, "f1_low": 0.67, "f1_high": 0.828, "precision": 0.8,
            "precision_low": 0.7, "precision_high": 0.9, "recall": 0.7, "recall_low": 0.6, "recall_high": 0.8}"#;
        let estimated = serde_json::from_str(quality).unwrap();
        assert_eq!(
            Outcome { estimated, ..outcome(Decision::NoDrift) }.to_string(),
            "no drift: F1 0.5000 on 40 rows of a.csv, b.csv, 0.8000 at deployment, estimated F1 0.75 (0.67 to 0.83) from the \
             calibrated probabilities; R2 stays live"
        );
    }

    #[test]
    fn what_cannot_be_judged_names_what_is_missing_and_has_no_score() {
        let unjudged = Outcome {
            new_f1: None,
            new_left: Some(0),
            verdict: Some(DriftVerdict::CannotBeJudged),
            pending_files: vec!["a.csv".to_owned(), "b.csv".to_owned()],
            ..outcome(Decision::CannotBeJudged)
        };
        assert_eq!(
            unjudged.to_string(),
            "cannot be judged: 0 of 40 labelled rows of a.csv, b.csv left, 5 are needed (drift_min_positives); pending: a.csv, \
             b.csv; R2 stays live"
        );
        let later = Outcome { outcome: Decision::NothingToDo, ..unjudged };
        assert_eq!(later.to_string(), "nothing to do: no new data, R2 is live; pending: a.csv, b.csv");
        let many = Outcome { pending_files: (1..=10_000).map(|i| format!("{i}.csv")).collect(), ..later };
        assert!(
            many.to_string().ends_with(
                "; pending: 1.csv, 2.csv, 3.csv, 4.csv, 5.csv, 6.csv, 7.csv, 8.csv, 9.csv, 10.csv \
            and 9990 others"
            ),
            "{many}"
        );
    }

    #[test]
    fn a_held_release_is_named_with_the_reason_in_every_line() {
        let hold = Hold { since: "2026-11-30T11:50:00Z".parse().unwrap(), reason: Some("audit".to_owned()) };
        let held = |decision| Outcome { hold: Some(hold.clone()), ..outcome(decision) };
        let nothing = "nothing to do: no new data, R2 is live; held since 2026-11-30 11:50 UTC (audit)";
        assert_eq!(held(Decision::NothingToDo).to_string(), nothing);
        let drift = Outcome { held_files: vec!["a.csv".to_owned(), "b.csv".to_owned()], ..held(Decision::Held) };
        assert_eq!(
            drift.to_string(),
            "drift: F1 0.5000 on 40 rows of a.csv, b.csv, 0.8000 at deployment; R2 stays live; held since 2026-11-30 11:50 \
             UTC (audit); judged again after deployment --release-hold: a.csv, b.csv"
        );
        let columns = Outcome { columns_change: Some("without \"plan\"".to_owned()), ..held(Decision::Held) };
        let expected = "the columns of the config have changed (without \"plan\"); R2 stays live; held since";
        assert!(columns.to_string().starts_with(expected), "{columns}");
    }

    #[test]
    fn changed_columns_are_named() {
        let changed = |dry_run| {
            let columns_change = Some("without \"plan\"".to_owned());
            Outcome { columns_change, dry_run, ..outcome(Decision::ColumnsChanged) }.to_string()
        };
        let reason = "the columns of the config have changed (without \"plan\"); ";
        assert_eq!(changed(false), format!("{reason}deployed R2, trained on all files"));
        assert!(changed(true).ends_with(&format!("{reason}a new model is trained and deployed instead of R2")));
    }

    #[test]
    fn a_dry_run_says_what_only_a_run_can_find_out() {
        let planned = |decision, live: Option<&str>| {
            let repairs = vec!["it was lost".to_owned()];
            let live = live.map(str::to_owned);
            Outcome { live, repairs, dry_run: true, ..outcome(decision) }.to_string()
        };
        let prefix = "dry run, nothing was changed; a run would report: ";
        let restored = format!("{prefix}repaired: it was lost; R1 is live, and a.csv, b.csv is checked for drift");
        assert_eq!(planned(Decision::Repaired, Some("R1")), restored);
        assert_eq!(planned(Decision::Repaired, None), format!("{prefix}repaired: it was lost"));
        let drift = planned(Decision::Redeployed, Some("R1"));
        assert!(drift.contains("deployed if the promotion rule allows it; repaired before: it was lost"), "{drift}");
    }

    #[test]
    fn a_redeployment_that_chance_may_explain_and_new_rows_without_a_label_give_a_warning() {
        assert!(outcome(Decision::Redeployed).warnings()[0].contains("by no more than chance explains"));
        assert_eq!(outcome(Decision::Kept).warnings(), ["it is worse"]);
        let unlabelled = Outcome { new_n: Some(0), ..outcome(Decision::CannotBeJudged) };
        assert_eq!(unlabelled.warnings()[0], "no row of the new files has a known left, so drift cannot be tested");
    }
}
