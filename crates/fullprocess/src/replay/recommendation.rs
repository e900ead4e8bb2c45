//! Which rule to use. The candidates are the rules that are not worse than the one with the highest F1 by more than chance;
//! if some of them are better than "never" by more than chance, only these. Of the candidates the one with the fewest
//! deployments is recommended, then that with the fewest retrainings.

use serde::Serialize;
use statistics::interval::{self, Interval};

use crate::replay::measure::{Measured, is_evidence};
use crate::replay::policy::Policy;

/// Number of files with enough known leavers from which a rule is recommended. `history` needs five past scores: the one at
/// deployment and those of the second to the fifth file. So it can first replace a model at the sixth file, and the
/// seventh is the first that shows what came of it. With fewer files, the replay cannot compare all rules.
pub const FEWEST_FILES: usize = 7;

/// A recommendation with its evidence.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Recommendation {
    /// The result of the comparison.
    pub conclusion: Conclusion,
    /// Number of files with enough known leavers, including those of the first model.
    pub judged_files: usize,
    /// The settings to use; `None` if there are too few files.
    #[serde(serialize_with = "settings")]
    pub recommended: Option<Policy>,
    /// Interval (95 %) of the F1 of the recommended rule minus that of "never".
    pub against_never: Option<Interval>,
    /// Interval (95 %) of the F1 of the recommended rule minus that of "always".
    pub against_always: Option<Interval>,
}

/// The result of comparing the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Conclusion {
    /// There are fewer than [`FEWEST_FILES`] files.
    TooFewFiles,
    /// The recommended rule is better than "never" by more than chance.
    Better,
    /// No rule that is as good as the best one is better than "never" by more than chance.
    NoneBetter,
}

/// Recommends one of the rules among `policies`.
pub fn recommend(policies: &[Measured], min_positives: u32) -> Recommendation {
    let later = policies.first().map_or(&[][..], |policy| &policy.decisions);
    let judged_files = 1 + later.iter().filter(|file| is_evidence(&file.confusion, min_positives)).count();
    let rules = || policies.iter().filter(|measured| measured.policy.is_rule());
    let best = rules().reduce(|best, rule| if rule.f1 > best.f1 { rule } else { best });
    let Some(best) = best.filter(|_| judged_files >= FEWEST_FILES) else {
        return Recommendation {
            conclusion: Conclusion::TooFewFiles,
            judged_files,
            recommended: None,
            against_never: None,
            against_always: None,
        };
    };
    let other = |policy| policies.iter().find(|measured| measured.policy == policy);
    let against = |rule: &Measured, policy| other(policy).and_then(|other| difference(rule, other));
    let is_above_0 = |difference: Option<Interval>| difference.is_some_and(|difference| difference.low > 0.0);
    let beats_never = |rule: &Measured| is_above_0(against(rule, Policy::Never));
    let mut candidates: Vec<&Measured> = rules().filter(|rule| !is_above_0(difference(best, rule))).collect();
    let is_worthwhile = candidates.iter().any(|rule| beats_never(rule));
    candidates.retain(|rule| !is_worthwhile || beats_never(rule));
    // The first of equally good and cheap rules is the default, or the next in the order of the table.
    let recommended = candidates.into_iter().min_by_key(|rule| (rule.deployments, rule.retrainings)).unwrap_or(best);
    Recommendation {
        conclusion: if is_worthwhile { Conclusion::Better } else { Conclusion::NoneBetter },
        judged_files,
        recommended: Some(recommended.policy),
        against_never: against(recommended, Policy::Never),
        against_always: against(recommended, Policy::Always),
    }
}

/// Returns the interval of the F1 of one policy minus that of another on the same files.
fn difference(one: &Measured, other: &Measured) -> Option<Interval> {
    let pairs = one.decisions.iter().zip(&other.decisions).map(|(one, other)| (one.confusion, other.confusion));
    interval::f1_difference_by_group(&pairs.collect::<Vec<_>>())
}

fn settings<S: serde::Serializer>(recommended: &Option<Policy>, to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Settings {
        drift_test: &'static str,
        promotion: &'static str,
    }
    let settings = recommended.and_then(|policy| match policy {
        Policy::Rule { test, promotion } => Some(Settings { drift_test: test.as_str(), promotion: promotion.as_str() }),
        Policy::Never | Policy::Always => None,
    });
    settings.serialize(to)
}

#[cfg(test)]
mod tests {
    use common::config::{DriftTest, Promotion};
    use common::outcomes::replay::ReplayOutcome;

    use super::*;
    use crate::replay::measure::measure;
    use crate::replay::policy::play;
    use crate::replay::policy::tests::counts;

    fn recommended(counts: &ReplayOutcome) -> Recommendation {
        let measured: Vec<_> = Policy::all().map(|policy| measure(counts, &play(counts, policy, 5), 5)).collect();
        recommend(&measured, 5)
    }

    #[test]
    fn few_files_are_too_few() {
        let on = |model: usize, file: usize| if file >= 3 && model < 3 { 20 } else { 4 };
        for files in 1..FEWEST_FILES {
            let recommendation = recommended(&counts(files, |_| 5, on));
            assert_eq!((recommendation.conclusion, recommendation.judged_files), (Conclusion::TooFewFiles, files));
            assert_eq!(recommendation.recommended, None);
        }
        assert_ne!(recommended(&counts(FEWEST_FILES, |_| 5, on)).conclusion, Conclusion::TooFewFiles);
    }

    #[test]
    fn a_drift_that_every_rule_finds_is_left_to_the_cheapest() {
        // After the change at file 4, the models before it are poor. Every third file is a little worse by chance, which
        // only `raw` takes for drift.
        let on = |model: usize, file: usize| match (file >= 4 && model < 4, file % 3) {
            (true, _) => 20,
            (false, 2) => 6,
            (false, _) => 4,
        };
        let recommendation = recommended(&counts(20, |_| 5, on));
        assert_eq!(recommendation.conclusion, Conclusion::Better);
        let interval = Policy::Rule { test: DriftTest::Interval, promotion: Promotion::OnDrift };
        assert_eq!(recommendation.recommended, Some(interval));
        assert!(recommendation.against_never.unwrap().low > 0.0);
        assert!(recommendation.against_always.unwrap().low <= 0.0);
    }

    #[test]
    fn without_drift_no_rule_is_better_than_never() {
        let recommendation = recommended(&counts(20, |_| 5, |_, file| 4 + (file % 3) as u64));
        assert_eq!(recommendation.conclusion, Conclusion::NoneBetter);
        let Some(Policy::Rule { test, .. }) = recommendation.recommended else { panic!("no rule: {recommendation:?}") };
        assert_ne!(test, DriftTest::Raw, "it replaces the model for nothing");
    }
}
