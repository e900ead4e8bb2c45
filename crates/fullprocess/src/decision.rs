//! The decision of a run, as a pure function of what the run has found. The real run and the dry run use the same
//! function.

use serde::Serialize;

/// What a run has found before it decides.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    pub live: LiveRelease,
    /// Whether the compiled dataset was lost, so that its files are ingested again.
    pub dataset_lost: bool,
    /// Result of the drift test on the new data; `None` if there are no new data or they were not tested. Without a
    /// live release there is nothing to test, and a dry run cannot score a release that is not live yet.
    pub drifted: Option<bool>,
    /// Whether the reports and the API's answers belong to the live release.
    pub reports_current: bool,
}

/// The state of the live release at the start of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiveRelease {
    /// Nothing has been deployed yet.
    NeverDeployed,
    Intact,
    /// Damaged. Production is set to the newest intact release, which is the live release itself if only links to it
    /// are damaged.
    Restored,
    /// Damaged, and no earlier release is intact.
    Unusable,
}

/// What a run does after its decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Nothing,
    /// Create the reports again, because there are new clients to call.
    Report,
    /// Create the reports again and call the API.
    ReportAndCallApi,
    /// Train a model. If the promotion rule prefers it to the live one: deploy it, create the reports and call the API.
    Train,
}

/// The decision of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// There are no new data, and the reports belong to the live release.
    NothingToDo,
    /// There are no new data, but the reports did not belong to the live release and were created again.
    Reported,
    /// The live model has not drifted on the new data.
    NoDrift,
    /// The live model has drifted, and a new one has been deployed.
    Redeployed,
    /// The live model has drifted, but the new one is no better and `promotion` is `if_better`.
    Kept,
    /// Nothing had been deployed, and a first model was deployed.
    Bootstrapped,
    /// The live release or the compiled dataset was damaged or lost and has been repaired; nothing else had to be done.
    Repaired,
}

impl Decision {
    /// Returns the name of the decision as in the JSON of the outcome.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NothingToDo => "nothing_to_do",
            Self::Reported => "reported",
            Self::NoDrift => "no_drift",
            Self::Redeployed => "redeployed",
            Self::Kept => "kept",
            Self::Bootstrapped => "bootstrapped",
            Self::Repaired => "repaired",
        }
    }
}

/// Decides what a run does. After [`Action::Train`] the decision becomes [`Decision::Kept`] if the promotion rule keeps
/// the deployed model.
pub fn decide(facts: Facts) -> (Decision, Action) {
    let Facts { live, dataset_lost, drifted, reports_current } = facts;
    let repaired = dataset_lost || live == LiveRelease::Restored;
    match (live, drifted) {
        (LiveRelease::NeverDeployed, _) => (Decision::Bootstrapped, Action::Train),
        (LiveRelease::Unusable, _) => (Decision::Repaired, Action::Train),
        (_, Some(true)) => (Decision::Redeployed, Action::Train),
        (_, Some(false)) => (Decision::NoDrift, Action::Report),
        (_, None) => match (repaired, reports_current && !dataset_lost) {
            (true, true) => (Decision::Repaired, Action::Nothing),
            (true, false) => (Decision::Repaired, Action::ReportAndCallApi),
            (false, true) => (Decision::NothingToDo, Action::Nothing),
            (false, false) => (Decision::Reported, Action::ReportAndCallApi),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every combination of facts is in exactly one row of the table. `None` in a row means any value.
    #[test]
    fn the_table_of_decisions() {
        use Action::{Nothing, Report, ReportAndCallApi, Train};
        use LiveRelease::{Intact, NeverDeployed, Restored, Unusable};
        let table = [
            // live release, drifted, dataset lost, reports current => decision, action
            (NeverDeployed, None, None, None, (Decision::Bootstrapped, Train)),
            (Unusable, None, None, None, (Decision::Repaired, Train)),
            (Intact, Some(Some(true)), None, None, (Decision::Redeployed, Train)),
            (Intact, Some(Some(false)), None, None, (Decision::NoDrift, Report)),
            (Intact, Some(None), Some(false), Some(true), (Decision::NothingToDo, Nothing)),
            (Intact, Some(None), Some(false), Some(false), (Decision::Reported, ReportAndCallApi)),
            // The reports show the dataset, so they are created again with it.
            (Intact, Some(None), Some(true), None, (Decision::Repaired, ReportAndCallApi)),
            // A release that was restored is checked like any other.
            (Restored, Some(Some(true)), None, None, (Decision::Redeployed, Train)),
            (Restored, Some(Some(false)), None, None, (Decision::NoDrift, Report)),
            (Restored, Some(None), Some(false), Some(true), (Decision::Repaired, Nothing)),
            (Restored, Some(None), Some(false), Some(false), (Decision::Repaired, ReportAndCallApi)),
            (Restored, Some(None), Some(true), None, (Decision::Repaired, ReportAndCallApi)),
        ];
        for live in [NeverDeployed, Intact, Restored, Unusable] {
            for drifted in [None, Some(false), Some(true)] {
                for (dataset_lost, reports_current) in [(false, false), (false, true), (true, false), (true, true)] {
                    let facts = Facts { live, dataset_lost, drifted, reports_current };
                    let expected: Vec<_> = table
                        .iter()
                        .filter(|row| row.0 == live && row.1.is_none_or(|value| value == drifted))
                        .filter(|row| row.2.is_none_or(|value| value == dataset_lost))
                        .filter(|row| row.3.is_none_or(|value| value == reports_current))
                        .map(|row| row.4)
                        .collect();
                    assert_eq!(expected, [decide(facts)], "{facts:?}");
                }
            }
        }
    }

    #[test]
    fn the_name_of_a_decision_is_its_json() {
        use Decision::{Bootstrapped, Kept, NoDrift, NothingToDo, Redeployed, Repaired, Reported};
        for decision in [NothingToDo, Reported, NoDrift, Redeployed, Kept, Bootstrapped, Repaired] {
            assert_eq!(serde_json::to_value(decision).unwrap(), decision.as_str());
        }
    }
}
