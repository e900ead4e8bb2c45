//! Comparison of the champion (the deployed model) and the challenger (the new model) on the same test rows, and with
//! the two baselines that need no model: [`Comparison::everyone_exits`] and [`Comparison::nobody_exits`].

use serde::{Deserialize, Serialize};
use statistics::confusion::Confusion;
use statistics::interval;

use crate::config::Promotion;

/// With fewer test rows than this, a score is too uncertain to judge a model by.
pub const FEW_ROWS: u64 = 30;

/// The confusion counts of both models on the same test rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// Counts of the new model.
    pub challenger: Confusion,
    /// Counts of the deployed model; `None` before the first deployment.
    pub champion: Option<Confusion>,
}

impl Comparison {
    /// The counts of the baseline that predicts of every client that it leaves, on these rows.
    pub fn everyone_exits(&self) -> Confusion {
        let Confusion { true_positives, false_positives, false_negatives, true_negatives } = self.challenger;
        Confusion {
            true_positives: true_positives + false_negatives,
            false_positives: false_positives + true_negatives,
            ..Confusion::default()
        }
    }

    /// The counts of the baseline that predicts of every client that it stays, on these rows.
    pub fn nobody_exits(&self) -> Confusion {
        let Confusion { true_positives: false_negatives, false_positives: true_negatives, .. } = self.everyone_exits();
        Confusion { false_negatives, true_negatives, ..Confusion::default() }
    }

    /// Whether `other` was counted on the same rows as the challenger, as far as counts can tell: equal numbers of rows
    /// and of clients that left.
    pub fn is_of_the_same_rows(&self, other: &Confusion) -> bool {
        let of = |counts: &Confusion| (counts.n(), counts.true_positives + counts.false_negatives);
        of(&self.challenger) == of(other)
    }

    /// Whether `rule` lets the new model go live. Always `true` before the first deployment, because there is no
    /// champion to keep.
    pub fn promotes(&self, rule: Promotion) -> bool {
        rule == Promotion::OnDrift || self.champion.is_none() || !(self.is_worse() || self.loses_to_constant())
    }

    /// Returns warnings about the new model and about the comparison, the most important first.
    pub fn warnings(&self) -> Vec<String> {
        let n = self.challenger.n();
        let f1 = self.challenger.f1();
        let mut warnings = Vec::new();
        if let (true, Some(champion)) = (self.is_worse(), self.champion) {
            let was = champion.f1();
            warnings.push(format!(
                "the new model is worse than the deployed one on the same {n} test rows: F1 {f1:.4}, not {was:.4}"
            ));
        }
        if self.loses_to_constant() {
            let everyone = self.everyone_exits().f1();
            warnings.push(format!(
                "the new model is no better than predicting \"everyone exits\": F1 {f1:.4} and {everyone:.4} on {n} test rows"
            ));
        }
        if n < FEW_ROWS {
            let interval = interval::f1(&self.challenger);
            let interval = interval.map(|i| format!(": F1 may lie anywhere from {:.2} to {:.2}", i.low, i.high));
            warnings.push(format!(
                "the test data have only {n} rows, fewer than {FEW_ROWS}, which is too few to judge a model by{}",
                interval.unwrap_or_default()
            ));
        }
        warnings
    }

    fn is_worse(&self) -> bool {
        self.champion.is_some_and(|champion| self.challenger.f1() < champion.f1())
    }

    /// Whether the new model is no better than [`Self::everyone_exits`]. [`Self::nobody_exits`] needs no check: its F1
    /// is 0, and no model has an F1 below 0.
    fn loses_to_constant(&self) -> bool {
        self.challenger.f1() <= self.everyone_exits().f1()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts([true_positives, false_positives, false_negatives, true_negatives]: [u64; 4]) -> Confusion {
        Confusion { true_positives, false_positives, false_negatives, true_negatives }
    }

    fn comparison(challenger: [u64; 4], champion: Option<[u64; 4]>) -> Comparison {
        Comparison { challenger: counts(challenger), champion: champion.map(counts) }
    }

    #[test]
    fn the_constants_are_scored_on_the_same_rows() {
        let comparison = comparison([30, 10, 20, 40], None);
        assert_eq!(comparison.everyone_exits(), counts([50, 50, 0, 0]));
        assert_eq!(comparison.nobody_exits(), counts([0, 0, 50, 50]));
        assert_eq!(comparison.nobody_exits().f1(), 0.0);
    }

    #[test]
    fn a_worse_model_goes_live_by_one_rule_and_not_by_the_other() {
        let worse = comparison([30, 10, 20, 140], Some([40, 10, 10, 140]));
        assert!(worse.promotes(Promotion::OnDrift) && !worse.promotes(Promotion::IfBetter));
        assert!(
            worse.warnings()[0].contains("worse than the deployed one on the same 200 test rows: F1 0.6667, not 0.8")
        );
        let equal = comparison([40, 10, 10, 140], Some([40, 10, 10, 140]));
        assert!(equal.promotes(Promotion::IfBetter) && equal.warnings().is_empty());
    }

    #[test]
    fn a_model_that_a_constant_beats_is_named_even_if_it_beats_the_champion() {
        let poor = comparison([40, 40, 40, 20], Some([20, 20, 60, 40]));
        assert!(!poor.promotes(Promotion::IfBetter) && poor.promotes(Promotion::OnDrift));
        assert!(poor.warnings()[0].contains("\"everyone exits\": F1 0.5000 and 0.7273"), "{:?}", poor.warnings());
        assert!(comparison([40, 40, 40, 20], None).promotes(Promotion::IfBetter), "there is nothing to keep");
    }

    #[test]
    fn few_rows_are_named() {
        let few = comparison([2, 0, 1, 2], Some([2, 0, 1, 2])).warnings();
        assert!(few.len() == 1 && few[0].contains("only 5 rows, fewer than 30") && few[0].contains("0."), "{few:?}");
        assert!(comparison([0, 0, 0, 0], None).warnings()[1].contains("only 0 rows"));
    }
}
