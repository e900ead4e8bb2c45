//! Comparison of the champion (the deployed model) and the challenger (the new model) on the same test rows, and with
//! the two baselines that need no model: [`Comparison::everyone_exits`] and [`Comparison::nobody_exits`].

use serde::{Deserialize, Serialize};
use statistics::confusion::Confusion;
use statistics::interval::{self, Interval};
use statistics::paired::{self, Joint, Top};

use crate::config::Promotion;

/// With fewer test rows than this, a score is too uncertain to judge a model by.
pub const FEW_ROWS: u64 = 30;

/// Number of earlier decisions on the same test data from which on they are called worn out.
///
/// Each decision selects models by these rows, so the score of the selected one is too good. The best of 20 equally good
/// models appears better by 1.87 standard errors (the expected maximum of 20 normal numbers), about half of a 95 %
/// interval; and `if_surely_better` promotes at least one of 20 equally good models in up to 1 − 0.975²⁰ = 40 % of the
/// cases.
pub const MANY_DECISIONS: u64 = 20;

/// Returns a warning about test data that have decided about new models so often `before`; `None` if that is not often.
pub fn worn_out(before: u64) -> Option<String> {
    (before >= MANY_DECISIONS).then(|| {
        format!(
            "the same test data have already decided about {before} new models, so a model may have been selected because it \
             fits these rows by chance: replace them by new rows with known outcome"
        )
    })
}

/// The counts of the challenger and the champion on the same rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Paired {
    /// Joint counts of the predictions and the outcomes.
    pub joint: Joint,
    /// Leavers among the rows of the highest risk, as many as clients can be called; `None` if there are no more rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top: Option<Top>,
}

/// The counts of a new model on the test rows, alone or together with those of the deployed model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Comparison {
    challenger: Confusion,
    paired: Option<Paired>,
}

impl Comparison {
    /// A model without a champion: before the first deployment, or to compare it with the baselines only.
    pub fn alone(challenger: Confusion) -> Self {
        Self { challenger, paired: None }
    }

    /// A new model and the deployed one on the same rows.
    pub fn paired(paired: Paired) -> Self {
        Self { challenger: paired.joint.challenger(), paired: Some(paired) }
    }

    /// The counts of the new model.
    pub fn challenger(&self) -> Confusion {
        self.challenger
    }

    /// The counts of the deployed model; `None` if there is none to compare with.
    pub fn champion(&self) -> Option<Confusion> {
        self.paired.map(|paired| paired.joint.champion())
    }

    /// The interval of the new model's F1 minus the deployed model's; `None` without a champion, or if no client left.
    pub fn f1_difference(&self) -> Option<Interval> {
        paired::f1_difference(&self.paired?.joint)
    }

    /// The leavers among the rows of the highest risk by each model; `None` without a champion, or if all rows could be
    /// called.
    pub fn top(&self) -> Option<Top> {
        self.paired?.top
    }

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

    /// Whether `rule` lets the new model go live. Always `true` before the first deployment, because there is no
    /// champion to keep.
    pub fn promotes(&self, rule: Promotion) -> bool {
        let Some(champion) = self.champion() else { return true };
        match rule {
            Promotion::OnDrift => true,
            Promotion::IfBetter => self.challenger.f1() >= champion.f1() && !self.loses_to_constant(),
            Promotion::IfSurelyBetter => self.is_surely_better() && !self.loses_to_constant(),
        }
    }

    /// Returns why `rule` does not promote the new model if no other warning says it, and all warnings.
    pub fn warnings_under(&self, rule: Promotion) -> Vec<String> {
        let mut warnings = self.warnings();
        let is_undecided = rule == Promotion::IfSurelyBetter && !(self.is_surely_better() || self.is_worse());
        if let (true, Some(paired)) = (is_undecided, self.paired) {
            let n = self.challenger.n();
            let reason = match (paired.joint.discordant(), self.f1_difference()) {
                (0, _) => format!("both models predict the same for all {n} test rows"),
                (_, None) => format!("no client of the {n} test rows left"),
                (_, Some(Interval { low, high })) => {
                    format!(
                        "the 95 % interval of its F1 minus the deployed one's is {low:+.4} to {high:+.4} on {n} test rows"
                    )
                }
            };
            warnings.insert(0, format!("the new model is not surely better than the deployed one: {reason}"));
        }
        warnings
    }

    /// Returns warnings about the new model and about the comparison, the most important first.
    pub fn warnings(&self) -> Vec<String> {
        let n = self.challenger.n();
        let f1 = self.challenger.f1();
        let mut warnings = Vec::new();
        if let (true, Some(champion)) = (self.is_worse(), self.champion()) {
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
        self.champion().is_some_and(|champion| self.challenger.f1() < champion.f1())
    }

    fn is_surely_better(&self) -> bool {
        self.f1_difference().is_some_and(|interval| interval.low > 0.0)
    }

    /// Whether the new model is no better than [`Self::everyone_exits`]. [`Self::nobody_exits`] needs no check: its F1
    /// is 0, and no model has an F1 below 0.
    fn loses_to_constant(&self) -> bool {
        self.challenger.f1() <= self.everyone_exits().f1()
    }
}

#[cfg(test)]
mod tests {
    use statistics::paired::Predicted;

    use super::*;

    fn counts([true_positives, false_positives, false_negatives, true_negatives]: [u64; 4]) -> Confusion {
        Confusion { true_positives, false_positives, false_negatives, true_negatives }
    }

    /// Models whose errors are as independent as the counts allow.
    fn comparison(challenger: [u64; 4], champion: Option<[u64; 4]>) -> Comparison {
        let Some(champion) = champion else { return Comparison::alone(counts(challenger)) };
        let joint = |one: u64, other: u64, n: u64| {
            let both = (one * other / n.max(1)).max((one + other).saturating_sub(n));
            Predicted {
                both,
                only_challenger: one - both,
                only_champion: other - both,
                neither: n + both - one - other,
            }
        };
        let [tp, fp, fn_, tn] = challenger;
        let joint = Joint { left: joint(tp, champion[0], tp + fn_), stayed: joint(fp, champion[1], fp + tn) };
        let comparison = Comparison::paired(Paired { joint, top: None });
        assert_eq!((comparison.challenger(), comparison.champion()), (counts(challenger), Some(counts(champion))));
        comparison
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

    #[test]
    fn a_surely_better_model_is_better_by_more_than_chance_explains() {
        let rule = Promotion::IfSurelyBetter;
        let better = comparison([45, 10, 5, 140], Some([25, 20, 25, 130]));
        assert!(better.promotes(rule) && better.warnings_under(rule).is_empty(), "{:?}", better.f1_difference());
        let hardly = comparison([41, 10, 9, 140], Some([40, 10, 10, 140]));
        assert!(hardly.promotes(Promotion::IfBetter) && !hardly.promotes(rule));
        let warnings = hardly.warnings_under(rule);
        assert!(warnings.len() == 1 && warnings[0].contains("not surely better than the deployed one: the 95 %"));
        assert_eq!(hardly.warnings_under(Promotion::IfBetter), [""; 0]);
        let worse = comparison([30, 10, 20, 140], Some([40, 10, 10, 140]));
        assert!(!worse.promotes(rule) && worse.warnings_under(rule) == worse.warnings(), "one reason is enough");
        let nobody_left = comparison([0, 0, 0, 200], Some([0, 10, 0, 190]));
        assert!(
            !nobody_left.promotes(rule)
                && nobody_left.warnings_under(rule)[0].contains("no client of the 200 test rows")
        );
        // Better than the champion, but not than a constant.
        assert!(!comparison([40, 40, 40, 20], Some([2, 20, 78, 40])).promotes(rule));
        assert!(comparison([0, 0, 5, 5], None).promotes(rule), "there is nothing to keep");
    }

    #[test]
    fn equal_predictions_are_no_improvement() {
        let joint = Joint {
            left: Predicted { both: 40, neither: 10, ..Predicted::default() },
            stayed: Predicted { both: 10, neither: 140, ..Predicted::default() },
        };
        let equal = Comparison::paired(Paired { joint, top: None });
        assert!(equal.promotes(Promotion::IfBetter) && !equal.promotes(Promotion::IfSurelyBetter));
        let warnings = equal.warnings_under(Promotion::IfSurelyBetter);
        assert!(warnings[0].ends_with("both models predict the same for all 200 test rows"), "{warnings:?}");
    }
}
