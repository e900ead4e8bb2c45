//! Tests whether the live model has drifted, and gives a verdict on the evidence.
//!
//! The verdict is independent of the configured test. A slightly lower score on few rows is no evidence of drift, and
//! the history must show that to its readers.

use common::config::DriftTest;
use common::model::metrics::Confusion;
use common::model::score::Score;
use history::DriftVerdict;
use statistics::interval::{self, Interval};
use statistics::trend::Limits;

/// The result of a drift check of the live model on new rows.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Whether the score has fallen by more than chance explains, whichever test decides.
    pub verdict: DriftVerdict,
    /// Confidence interval (95 %) of the F1 score on new rows; `None` if no client left and none was predicted to
    /// leave.
    pub interval: Option<Interval>,
    /// Whether the configured test reports drift.
    pub drifted: bool,
}

/// Compares the `new` counts of a model with its `recorded` score; `past` are earlier scores of live models.
///
/// If no client left and none was predicted to leave (or no row has a known outcome), F1 is 0 by convention, which is
/// not evidence of drift. [`DriftTest::History`] reports no drift if there are too few past scores.
pub fn check(test: DriftTest, recorded: &Score, new: &Confusion, past: &[f64]) -> Check {
    let lower = !new.has_no_positive() && new.f1() < recorded.f1;
    let verdict = match interval::f1_difference(&recorded.confusion, new) {
        Some(difference) if difference.high < 0.0 => DriftVerdict::Drifted,
        _ if lower || new.has_no_positive() => DriftVerdict::CannotTell,
        _ => DriftVerdict::NotDrifted,
    };
    let drifted = match test {
        DriftTest::Raw => lower,
        DriftTest::Interval => verdict == DriftVerdict::Drifted,
        DriftTest::History => {
            !new.has_no_positive() && Limits::of(past).is_some_and(|limits| limits.is_below(new.f1()))
        }
    };
    Check { verdict, interval: interval::f1(new), drifted }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::files::checksum::Checksum;

    fn counts(true_positives: u64, errors: u64) -> Confusion {
        Confusion { true_positives, false_positives: errors, false_negatives: errors, true_negatives: true_positives }
    }

    fn score(confusion: Confusion) -> Score {
        let n = confusion.n();
        Score { model_sha256: Checksum::of_bytes(b"m"), f1: confusion.f1(), n, confusion, threshold: 0.5 }
    }

    fn decided(test: DriftTest, recorded: Confusion, new: Confusion) -> (DriftVerdict, bool) {
        let check = check(test, &score(recorded), &new, &[]);
        (check.verdict, check.drifted)
    }

    #[test]
    fn a_small_drop_on_few_rows_is_raw_drift_and_may_be_chance() {
        let (recorded, new) = (counts(30, 10), counts(7, 3));
        assert_eq!(decided(DriftTest::Raw, recorded, new), (DriftVerdict::CannotTell, true));
        assert_eq!(decided(DriftTest::Interval, recorded, new), (DriftVerdict::CannotTell, false));
    }

    #[test]
    fn the_same_drop_on_many_rows_is_drift() {
        let (recorded, new) = (counts(3000, 1000), counts(7000, 3000));
        assert_eq!(decided(DriftTest::Raw, recorded, new), (DriftVerdict::Drifted, true));
        assert_eq!(decided(DriftTest::Interval, recorded, new), (DriftVerdict::Drifted, true));
    }

    #[test]
    fn no_drop_is_no_drift_and_no_positive_no_evidence() {
        for test in [DriftTest::Raw, DriftTest::Interval] {
            assert_eq!(decided(test, counts(30, 10), counts(30, 10)), (DriftVerdict::NotDrifted, false));
            assert_eq!(decided(test, counts(30, 10), counts(0, 0)), (DriftVerdict::CannotTell, false));
            let nobody = Confusion { true_negatives: 9, ..Confusion::default() };
            assert_eq!(decided(test, counts(30, 10), nobody), (DriftVerdict::CannotTell, false));
        }
    }

    #[test]
    fn the_history_decides_only_when_there_is_one() {
        let (recorded, new) = (score(counts(30, 10)), counts(10, 10));
        let check = |past: &[f64]| check(DriftTest::History, &recorded, &new, past).drifted;
        assert!(!check(&[0.75; 4]));
        assert!(check(&[0.75, 0.74, 0.76, 0.75, 0.74, 0.76]));
        assert!(!check(&[0.2, 0.9, 0.5, 0.75, 0.4, 0.6]));
    }

    #[test]
    fn the_same_rows_give_the_same_interval() {
        let interval = || check(DriftTest::Raw, &score(counts(30, 10)), &counts(7, 3), &[]).interval.unwrap();
        assert_eq!(interval(), interval());
        assert!(interval().contains(0.7) && interval().low > 0.3 && interval().high < 1.0, "{:?}", interval());
    }
}
