//! The policies, and what each does as the files arrive. A decision uses the files up to the one that has just arrived and
//! the test data, never a later file.

use common::config::{DriftTest, Promotion};
use common::model::metrics::Confusion;
use common::outcomes::replay::ReplayOutcome;
use common::production::drift::{DriftRule, Judgement};
use common::production::promotion::{Comparison, Paired};
use serde::Serialize;

use crate::PAST_SCORES;

/// A way to decide when a model is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The rules of `fullprocess`, with these settings of the config.
    Rule { test: DriftTest, promotion: Promotion },
    /// The first model stays for ever.
    Never,
    /// Every file brings a new model, which is deployed.
    Always,
}

impl Policy {
    /// Returns all policies: the rules, the default first, and then the other two.
    pub fn all() -> impl Iterator<Item = Self> {
        let rules =
            DriftTest::ALL.into_iter().flat_map(|test| Promotion::ALL.map(|promotion| Self::Rule { test, promotion }));
        rules.chain([Self::Never, Self::Always])
    }

    /// Whether the config can name this policy.
    pub fn is_rule(self) -> bool {
        matches!(self, Self::Rule { .. })
    }
}

/// What a policy did when a file had arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decided {
    /// The live model was not checked.
    Unchecked,
    /// Too few clients of the file are known to have left; it is judged together with the next one.
    CannotBeJudged,
    /// The live model had not drifted.
    NoDrift,
    /// The live model had drifted and was replaced, or is replaced at every file.
    Redeployed,
    /// The live model had drifted, but the promotion rule kept it.
    Kept,
}

/// A policy with everything that it did.
pub struct Played {
    pub policy: Policy,
    /// One step for each file after those of the first model.
    pub steps: Vec<Step>,
}

/// The arrival of a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Index of the file.
    pub file: usize,
    /// Index of the model that was live when the file arrived.
    pub live: usize,
    /// Counts of this model on the file.
    pub score: Confusion,
    /// The F1 that the drift test has judged: of the file, together with those that were pending; `None` if it could not
    /// be judged or was not checked.
    pub judged_f1: Option<f64>,
    pub decided: Decided,
}

/// Plays `policy`. `min_positives` clients of new files must be known to have left before the drift test decides.
pub fn play(counts: &ReplayOutcome, policy: Policy, min_positives: u32) -> Played {
    let mut player = Player { counts, min_positives, live: 0, past: Vec::new() };
    player.deployed(0);
    let steps = (counts.first..counts.files.len()).filter_map(|file| player.step(policy, file)).collect();
    Played { policy, steps }
}

/// The state of production in a replay.
struct Player<'c> {
    counts: &'c ReplayOutcome,
    min_positives: u32,
    /// Index of the live model.
    live: usize,
    /// The F1 scores of live models so far, at their deployment and on new files.
    past: Vec<f64>,
}

impl Player<'_> {
    /// A file arrives. `None` if there are no counts for it.
    fn step(&mut self, policy: Policy, file: usize) -> Option<Step> {
        let (live, first) = (self.live, self.counts.first);
        let score = *self.counts.models.get(live)?.later.get(file - first - live)?;
        let challenger = file + 1 - first;
        let (judged_f1, decided) = match policy {
            Policy::Never => (None, Decided::Unchecked),
            Policy::Always => (None, self.deployed(challenger)),
            Policy::Rule { test, promotion } => {
                let new = self.counts.models.get(live)?.with_pending.get(&file).copied().unwrap_or(score);
                let decided = self.check(test, promotion, new, challenger)?;
                ((decided != Decided::CannotBeJudged).then(|| new.f1()), decided)
            }
        };
        Some(Step { file, live, score, judged_f1, decided })
    }

    /// Checks the live model, of which `new` are the counts on the new file and the pending ones, and replaces it if the
    /// rules say so.
    fn check(&mut self, test: DriftTest, promotion: Promotion, new: Confusion, challenger: usize) -> Option<Decided> {
        let rule = DriftRule { test, min_positives: self.min_positives };
        let past = &self.past[self.past.len().saturating_sub(PAST_SCORES as usize)..];
        let check = rule.check_counts(&self.counts.models.get(self.live)?.test, &new, past);
        if check.judgement == Judgement::CannotBeJudged {
            return Some(Decided::CannotBeJudged);
        }
        self.past.push(new.f1());
        Some(match check.judgement == Judgement::Drifted {
            false => Decided::NoDrift,
            true if self.compared(challenger)?.promotes(promotion) => self.deployed(challenger),
            true => Decided::Kept,
        })
    }

    /// Returns the comparison of a new model with the live one on the test data.
    fn compared(&self, challenger: usize) -> Option<Comparison> {
        let joint = self.counts.models.get(challenger)?.against.get(self.live)?.test;
        Some(Comparison::paired(Paired { joint, top: None }))
    }

    fn deployed(&mut self, model: usize) -> Decided {
        self.live = model;
        self.past.extend(self.counts.models.get(model).map(|model| model.test.f1()));
        Decided::Redeployed
    }
}

#[cfg(test)]
pub mod tests {
    use std::collections::BTreeMap;

    use common::outcomes::replay::{ReplayedComparison, ReplayedModel};
    use statistics::paired::{Joint, Predicted};

    use super::*;

    pub const RAW: Policy = Policy::Rule { test: DriftTest::Raw, promotion: Promotion::OnDrift };

    /// Counts of 100 rows, of which 40 clients left, with so many errors of each kind.
    pub fn table(errors: u64) -> Confusion {
        Confusion {
            true_positives: 40 - errors,
            false_positives: errors,
            false_negatives: errors,
            true_negatives: 60 - errors,
        }
    }

    /// Joint counts of two models whose errors are on the same rows as far as possible.
    fn joint(challenger: u64, champion: u64) -> Joint {
        let both = challenger.min(champion);
        let [only_challenger, only_champion] = [challenger - both, champion - both];
        let right = |class: u64| class - both - only_challenger - only_champion;
        Joint {
            left: Predicted {
                both: right(40),
                only_challenger: only_champion,
                only_champion: only_challenger,
                neither: both,
            },
            stayed: Predicted { both, only_challenger, only_champion, neither: right(60) },
        }
    }

    /// Counts for `files` files, the first model being trained on one: `test(m)` and `on(m, file)` are the errors of model
    /// m of each kind.
    pub fn counts(files: usize, test: impl Fn(usize) -> u64, on: impl Fn(usize, usize) -> u64) -> ReplayOutcome {
        let model = |m: usize| ReplayedModel {
            test: table(test(m)),
            later: (m + 1..files).map(|file| table(on(m, file))).collect(),
            with_pending: BTreeMap::new(),
            against: (0..m)
                .map(|champion| ReplayedComparison {
                    test: joint(test(m), test(champion)),
                    next: (m + 1 < files).then(|| joint(on(m, m + 1), on(champion, m + 1))),
                })
                .collect(),
        };
        let names = (0..files).map(|file| format!("file{file}.csv"));
        ReplayOutcome { files: names.collect(), first: 1, models: (0..files).map(model).collect() }
    }

    pub fn decided(counts: &ReplayOutcome, policy: Policy) -> Vec<Decided> {
        play(counts, policy, 5).steps.into_iter().map(|step| step.decided).collect()
    }

    #[test]
    fn every_rule_is_played_and_the_default_comes_first() {
        let all: Vec<Policy> = Policy::all().collect();
        assert_eq!(all.len(), DriftTest::ALL.len() * Promotion::ALL.len() + 2);
        assert_eq!(all[0], RAW);
        assert_eq!(all.iter().filter(|policy| !policy.is_rule()).count(), 2);
    }

    #[test]
    fn the_live_model_is_scored_before_the_file_is_used() {
        use Decided::{NoDrift, Redeployed, Unchecked};
        // The world changes at file 3: models trained on it or later make few errors from then on, earlier ones many.
        let counts = counts(6, |_| 5, |model, file| if file >= 3 && model < 3 { 20 } else { 4 });
        assert_eq!(decided(&counts, RAW), [NoDrift, NoDrift, Redeployed, NoDrift, NoDrift]);
        assert_eq!(decided(&counts, Policy::Never), [Unchecked; 5]);
        assert_eq!(decided(&counts, Policy::Always), [Redeployed; 5]);
        let live = |policy| play(&counts, policy, 5).steps.iter().map(|step| step.live).collect::<Vec<_>>();
        assert_eq!(live(RAW), [0, 0, 0, 3, 3]);
        assert_eq!(live(Policy::Always), [0, 1, 2, 3, 4]);
        let errors: Vec<u64> = play(&counts, RAW, 5).steps.iter().map(|step| step.score.errors()).collect();
        assert_eq!(errors, [8, 8, 40, 8, 8]);
    }

    #[test]
    fn a_worse_model_is_kept_by_one_rule_and_replaced_by_the_other() {
        let counts = counts(4, |model| 5 + model as u64, |_, _| 10);
        let better = Policy::Rule { test: DriftTest::Raw, promotion: Promotion::IfBetter };
        assert_eq!(decided(&counts, better), [Decided::Kept; 3]);
        assert_eq!(decided(&counts, RAW), [Decided::Redeployed; 3]);
    }

    #[test]
    fn files_with_few_leavers_wait_and_are_judged_together() {
        use Decided::{CannotBeJudged, NoDrift, Redeployed};
        let mut counts = counts(6, |_| 5, |_, _| 4);
        let few = |errors| Confusion { true_positives: 3 - errors, false_negatives: errors, ..Confusion::default() };
        for (file, errors) in [(1, 3), (2, 0), (3, 0), (4, 1)] {
            for (m, model) in counts.models.iter_mut().enumerate().take(file) {
                model.later[file - m - 1] = few(errors);
            }
        }
        counts.models[0].with_pending.insert(2, few(3) + few(0));
        counts.models[2].with_pending.insert(4, few(0) + few(1));
        // Of the six leavers of files 1 and 2 the model finds three, F1 0.67 after 0.875 at deployment. Of the six of
        // files 3 and 4 the next model finds five, F1 0.91.
        assert_eq!(decided(&counts, RAW), [CannotBeJudged, Redeployed, CannotBeJudged, NoDrift, NoDrift]);
    }

    #[test]
    fn no_decision_depends_on_later_files() {
        // A pseudo-random history; each policy decides the same about the first files, whatever follows.
        let errors = |model: usize, file: usize| (model * 7 + file * 13 + file * file * 5) as u64 % 17 + 2;
        let test = |model: usize| (model as u64 * 11) % 9 + 3;
        let whole = counts(30, test, errors);
        for policy in Policy::all() {
            let decisions = decided(&whole, policy);
            for files in 2..30 {
                let shorter = counts(files, test, errors);
                assert_eq!(decided(&shorter, policy), decisions[..files - 1], "{policy:?}");
                let other = counts(30, test, |model, file| if file < files { errors(model, file) } else { 20 });
                assert_eq!(decided(&other, policy)[..files - 1], decisions[..files - 1], "{policy:?}");
            }
        }
    }
}
