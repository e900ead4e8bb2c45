//! Measures a policy: how good its models were on the files that arrived next, what it cost, and its mistakes.

use common::model::metrics::Confusion;
use common::outcomes::replay::ReplayOutcome;
use serde::{Serialize, Serializer};
use statistics::interval::{self, Interval};
use statistics::paired;

use crate::replay::policy::{Decided, Played, Policy, Step};

/// A policy with what came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// `rule`, `never` or `always`; for a rule also `drift_test` and `promotion`.
    #[serde(flatten, serialize_with = "named")]
    pub policy: Policy,
    /// F1 on all next files together: each is scored with the model that was live when it arrived.
    pub f1: f64,
    /// Confidence interval (95 %) of `f1`; `None` if no client left and none was predicted to leave.
    pub f1_interval: Option<Interval>,
    /// Number of labelled rows of the next files.
    pub n: u64,
    /// Number of models that were trained after the first one.
    pub retrainings: usize,
    /// Number of these models that went live.
    pub deployments: usize,
    /// Number of files at which the live model was kept although a model trained then would have been better on the next
    /// file by more than chance.
    pub missed_drifts: usize,
    /// Number of deployments of a model that was not better on the next file by more than chance than the one that it
    /// replaced.
    pub needless_deployments: usize,
    /// What the policy decided at each file after those of the first model.
    pub decisions: Vec<FileDecision>,
}

/// The decision at one file.
#[derive(Clone, Debug, Serialize)]
pub struct FileDecision {
    /// Name of the file.
    pub file: String,
    /// The decision after the file had been scored.
    pub decision: Decided,
    /// F1 of the live model on the file.
    pub f1: f64,
    /// Counts of the live model on the file.
    pub confusion: Confusion,
    /// F1 that the drift test judged: on the file together with those that were pending; `None` if it judged nothing.
    pub judged_f1: Option<f64>,
}

/// Measures what a policy did. A file is evidence if at least `min_positives` of its clients are known to have left.
pub fn measure(counts: &ReplayOutcome, played: &Played, min_positives: u32) -> Measured {
    let steps = &played.steps;
    let total = steps.iter().fold(Confusion::default(), |total, step| total + step.score);
    let deployed = |step: &&Step| step.decided == Decided::Redeployed;
    let kept = |step: &&Step| step.decided != Decided::Redeployed;
    let is_better = |step: &Step| new_model_is_better(counts, step, min_positives);
    Measured {
        policy: played.policy,
        f1: total.f1(),
        f1_interval: interval::f1(&total),
        n: total.n(),
        retrainings: steps.iter().filter(|step| matches!(step.decided, Decided::Redeployed | Decided::Kept)).count(),
        deployments: steps.iter().filter(deployed).count(),
        missed_drifts: steps.iter().filter(kept).filter(|step| is_better(step) == Some(true)).count(),
        needless_deployments: steps.iter().filter(deployed).filter(|step| is_better(step) == Some(false)).count(),
        decisions: steps
            .iter()
            .map(|step| FileDecision {
                file: counts.files[step.file].clone(),
                decision: step.decided,
                f1: step.score.f1(),
                confusion: step.score,
                judged_f1: step.judged_f1,
            })
            .collect(),
    }
}

/// Returns whether the model trained when a file had arrived is better on the next file, by more than chance, than the one
/// that was live; `None` if the next file is no evidence or there is none.
fn new_model_is_better(counts: &ReplayOutcome, step: &Step, min_positives: u32) -> Option<bool> {
    let new = counts.models.get(step.file + 1 - counts.first)?;
    let next = new.against.get(step.live)?.next?;
    is_evidence(&next.challenger(), min_positives)
        .then(|| paired::f1_difference(&next).is_some_and(|difference| difference.low > 0.0))
}

/// Whether enough clients are known to have left for a score to be judged.
pub fn is_evidence(counts: &Confusion, min_positives: u32) -> bool {
    counts.positives() >= u64::from(min_positives)
}

fn named<S: Serializer>(policy: &Policy, to: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Names {
        policy: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        drift_test: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        promotion: Option<&'static str>,
    }
    let (name, rule) = match policy {
        Policy::Rule { test, promotion } => ("rule", Some((test.as_str(), promotion.as_str()))),
        Policy::Never => ("never", None),
        Policy::Always => ("always", None),
    };
    let (drift_test, promotion) = rule.unzip();
    Names { policy: name, drift_test, promotion }.serialize(to)
}

#[cfg(test)]
mod tests {
    use statistics::paired::{Joint, Predicted};

    use super::*;
    use crate::replay::policy::play;
    use crate::replay::policy::tests::{RAW, counts, table};

    fn measured(counts: &ReplayOutcome, policy: Policy) -> Measured {
        measure(counts, &play(counts, policy, 5), 5)
    }

    #[test]
    fn costs_and_mistakes_are_counted() {
        // From file 3 on, only models that know it make few errors.
        let counts = counts(6, |_| 5, |model, file| if file >= 3 && model < 3 { 20 } else { 4 });
        let never = measured(&counts, Policy::Never);
        assert_eq!((never.retrainings, never.deployments, never.needless_deployments), (0, 0, 0));
        // At files 3 and 4; after file 5 no file follows.
        assert_eq!(never.missed_drifts, 2);
        let sum = |errors: [u64; 5]| errors.map(table).into_iter().fold(Confusion::default(), |sum, table| sum + table);
        assert_eq!((never.n, never.f1), (500, sum([4, 4, 20, 20, 20]).f1()));

        let always = measured(&counts, Policy::Always);
        assert_eq!((always.retrainings, always.deployments, always.missed_drifts), (5, 5, 0));
        // Of the deployments at files 1 to 4, only that at file 3 was of use.
        assert_eq!(always.needless_deployments, 3);

        let raw = measured(&counts, RAW);
        assert_eq!((raw.deployments, raw.missed_drifts, raw.needless_deployments), (1, 0, 0));
        let expected = sum([4, 4, 20, 4, 4]);
        assert_eq!((raw.f1, raw.f1_interval), (expected.f1(), interval::f1(&expected)));
        assert_eq!(raw.decisions.len(), 5);
        assert_eq!(raw.decisions[2].file, "file3.csv");
    }

    #[test]
    fn a_next_file_with_few_leavers_is_no_evidence() {
        let mut counts = counts(4, |_| 5, |model, file| if file >= 2 && model < 1 { 20 } else { 4 });
        assert_eq!(measured(&counts, Policy::Never).missed_drifts, 2);
        let few = Predicted { only_challenger: 4, ..Predicted::default() };
        counts.models.iter_mut().flat_map(|model| &mut model.against).for_each(|against| {
            against.next = Some(Joint { left: few, ..Joint::default() });
        });
        let always = measured(&counts, Policy::Always);
        assert_eq!((measured(&counts, Policy::Never).missed_drifts, always.needless_deployments), (0, 0));
    }

    #[test]
    fn a_policy_is_one_flat_object() {
        let json = |policy| {
            let counts = counts(3, |_| 5, |_, _| 4);
            serde_json::to_value(measured(&counts, policy)).unwrap()
        };
        let raw = json(RAW);
        assert_eq!(
            (&raw["policy"], &raw["drift_test"], &raw["promotion"]),
            (&"rule".into(), &"raw".into(), &"on_drift".into())
        );
        assert_eq!(raw["decisions"][0]["decision"], "no_drift");
        let never = json(Policy::Never);
        assert!(never["policy"] == "never" && never.get("drift_test").is_none(), "{never}");
    }
}
