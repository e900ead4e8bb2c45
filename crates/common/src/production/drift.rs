//! Judges whether the live model has drifted: what the configured test decides, and the evidence.
//!
//! The verdict on the evidence is independent of the configured test. A slightly lower score on few rows is no evidence
//! of drift, and the history must show that to its readers.

use std::fmt;

use serde::{Deserialize, Serialize};
use statistics::confusion::Confusion;
use statistics::interval::{self, Interval};
use statistics::trend::Limits;

use crate::config::DriftTest;
use crate::model::score::Score;

/// What the configured test says about the live model on new rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The model has drifted.
    Drifted,
    /// The model has not drifted.
    NotDrifted,
    /// Too few of the new clients are known to have left, so the score says nothing. Their files stay pending.
    CannotBeJudged,
}

/// Whether the score of the live release has fallen by more than chance explains. The history stores the text; the JSON
/// of fullprocess has underscores in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftVerdict {
    /// It has not fallen.
    NotDrifted,
    /// It has fallen, but chance may explain that.
    CannotTell,
    /// It has fallen: the whole 95 % interval of the new F1 minus the recorded F1 is below 0.
    Drifted,
    /// Too few clients are known to have left, so there is no score to compare.
    CannotBeJudged,
}

impl DriftVerdict {
    /// The verdicts, in the order in which the metrics list them.
    pub const ALL: [Self; 4] = [Self::NotDrifted, Self::CannotTell, Self::Drifted, Self::CannotBeJudged];

    /// Returns the text that the history stores and people read.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotDrifted => "not drifted",
            Self::CannotTell => "cannot tell",
            Self::Drifted => "drifted",
            Self::CannotBeJudged => "cannot be judged",
        }
    }
}

impl fmt::Display for DriftVerdict {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The rule that decides about drift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DriftRule {
    /// The test that compares the score on new rows with earlier ones.
    pub test: DriftTest,
    /// Number of new clients that must be known to have left before the test decides.
    pub min_positives: u32,
}

/// The result of a drift check of the live model on new rows.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// What the configured test says.
    pub judgement: Judgement,
    /// Whether the score has fallen by more than chance explains, whichever test decides.
    pub verdict: DriftVerdict,
    /// Confidence interval (95 %) of the F1 score on new rows; `None` if no client left and none was predicted to
    /// leave.
    pub interval: Option<Interval>,
}

impl DriftRule {
    /// Compares the `new` counts of a model with its `recorded` score; `past` are earlier scores of live models, which
    /// only [`DriftTest::History`] uses.
    ///
    /// [`DriftTest::History`] reports no drift if there are too few past scores.
    pub fn check(self, recorded: &Score, new: &Confusion, past: &[f64]) -> Check {
        self.check_counts(&recorded.confusion, new, past)
    }

    /// Like [`DriftRule::check`], with the counts of the recorded score.
    pub fn check_counts(self, recorded: &Confusion, new: &Confusion, past: &[f64]) -> Check {
        let interval = interval::f1(new);
        let left = new.positives();
        // Without any client that left F1 is 0 or undefined, whatever the model is worth.
        if left < u64::from(self.min_positives.max(1)) {
            return Check { judgement: Judgement::CannotBeJudged, verdict: DriftVerdict::CannotBeJudged, interval };
        }
        let lower = new.f1() < recorded.f1();
        let verdict = match interval::f1_difference(recorded, new) {
            Some(difference) if difference.high < 0.0 => DriftVerdict::Drifted,
            _ if lower => DriftVerdict::CannotTell,
            _ => DriftVerdict::NotDrifted,
        };
        let drifted = match self.test {
            DriftTest::Raw => lower,
            DriftTest::Interval => verdict == DriftVerdict::Drifted,
            DriftTest::History => Limits::of(past).is_some_and(|limits| limits.is_below(new.f1())),
        };
        let judgement = if drifted { Judgement::Drifted } else { Judgement::NotDrifted };
        Check { judgement, verdict, interval }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::checksum::Checksum;

    fn counts(true_positives: u64, errors: u64) -> Confusion {
        Confusion { true_positives, false_positives: errors, false_negatives: errors, true_negatives: true_positives }
    }

    fn score(confusion: Confusion) -> Score {
        let n = confusion.n();
        Score { model_sha256: Checksum::of_bytes(b"m"), f1: confusion.f1(), n, confusion, threshold: 0.5 }
    }

    fn rule(test: DriftTest) -> DriftRule {
        DriftRule { test, min_positives: 5 }
    }

    fn decided(test: DriftTest, recorded: Confusion, new: Confusion) -> (DriftVerdict, Judgement) {
        let check = rule(test).check(&score(recorded), &new, &[]);
        (check.verdict, check.judgement)
    }

    #[test]
    fn a_small_drop_on_few_rows_is_raw_drift_and_may_be_chance() {
        let (recorded, new) = (counts(30, 10), counts(7, 3));
        assert_eq!(decided(DriftTest::Raw, recorded, new), (DriftVerdict::CannotTell, Judgement::Drifted));
        assert_eq!(decided(DriftTest::Interval, recorded, new), (DriftVerdict::CannotTell, Judgement::NotDrifted));
    }

    #[test]
    fn the_same_drop_on_many_rows_is_drift() {
        let (recorded, new) = (counts(3000, 1000), counts(7000, 3000));
        assert_eq!(decided(DriftTest::Raw, recorded, new), (DriftVerdict::Drifted, Judgement::Drifted));
        assert_eq!(decided(DriftTest::Interval, recorded, new), (DriftVerdict::Drifted, Judgement::Drifted));
    }

    #[test]
    fn no_drop_is_no_drift() {
        for test in [DriftTest::Raw, DriftTest::Interval] {
            let same = decided(test, counts(30, 10), counts(30, 10));
            assert_eq!(same, (DriftVerdict::NotDrifted, Judgement::NotDrifted));
        }
    }

    #[test]
    fn too_few_known_leavers_cannot_be_judged_by_any_test() {
        let past = [0.75, 0.74, 0.76, 0.75, 0.74, 0.76];
        for test in [DriftTest::Raw, DriftTest::Interval, DriftTest::History] {
            let judged = |positives: u64, min_positives: u32| {
                let new = Confusion { false_negatives: positives, true_negatives: 900, ..Confusion::default() };
                let check = DriftRule { test, min_positives }.check(&score(counts(30, 10)), &new, &past);
                assert_eq!(check.verdict == DriftVerdict::CannotBeJudged, check.judgement == Judgement::CannotBeJudged);
                check.judgement
            };
            let is_judged = |positives, minimum| judged(positives, minimum) != Judgement::CannotBeJudged;
            assert_eq!([0, 4, 5, 6].map(|left| is_judged(left, 5)), [false, false, true, true], "{test:?}");
            assert_eq!([0, 1].map(|left| is_judged(left, 0)), [false, true], "{test:?}");
            assert_eq!(judged(300, 5), Judgement::Drifted, "{test:?}");
        }
    }

    #[test]
    fn the_history_decides_only_when_there_is_one() {
        let (recorded, new) = (score(counts(30, 10)), counts(10, 10));
        let rule = rule(DriftTest::History);
        let check = |past: &[f64]| rule.check(&recorded, &new, past).judgement == Judgement::Drifted;
        assert!(!check(&[0.75; 4]));
        assert!(check(&[0.75, 0.74, 0.76, 0.75, 0.74, 0.76]));
        assert!(!check(&[0.2, 0.9, 0.5, 0.75, 0.4, 0.6]));
    }

    #[test]
    fn the_same_rows_give_the_same_interval() {
        let interval = || rule(DriftTest::Raw).check(&score(counts(30, 10)), &counts(7, 3), &[]).interval.unwrap();
        assert_eq!(interval(), interval());
        assert!(interval().contains(0.7) && interval().low > 0.3 && interval().high < 1.0, "{:?}", interval());
    }
}
