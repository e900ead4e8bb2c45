//! The decision of a run, as a pure function of what the run has found. The real run and the dry run use the same
//! function.

pub use history::Decision;

/// What a run has found before it decides.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    pub live: LiveRelease,
    /// Whether the columns of the config differ from those of the live release, so that its model cannot read new data.
    pub columns_changed: bool,
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

/// Decides what a run does. After [`Action::Train`] the decision becomes [`Decision::Kept`] if the promotion rule keeps
/// the deployed model.
pub fn decide(facts: Facts) -> (Decision, Action) {
    let Facts { live, columns_changed, dataset_lost, drifted, reports_current } = facts;
    let repaired = dataset_lost || live == LiveRelease::Restored;
    match (live, drifted) {
        (LiveRelease::NeverDeployed, _) => (Decision::Bootstrapped, Action::Train),
        (LiveRelease::Unusable, _) => (Decision::Repaired, Action::Train),
        _ if columns_changed => (Decision::ColumnsChanged, Action::Train),
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
            // live release, columns changed, drifted, dataset lost, reports current => decision, action
            (NeverDeployed, None, None, None, None, (Decision::Bootstrapped, Train)),
            (Unusable, None, None, None, None, (Decision::Repaired, Train)),
            (Intact, Some(true), None, None, None, (Decision::ColumnsChanged, Train)),
            (Intact, Some(false), Some(Some(true)), None, None, (Decision::Redeployed, Train)),
            (Intact, Some(false), Some(Some(false)), None, None, (Decision::NoDrift, Report)),
            (Intact, Some(false), Some(None), Some(false), Some(true), (Decision::NothingToDo, Nothing)),
            (Intact, Some(false), Some(None), Some(false), Some(false), (Decision::Reported, ReportAndCallApi)),
            // The reports show the dataset, so they are created again with it.
            (Intact, Some(false), Some(None), Some(true), None, (Decision::Repaired, ReportAndCallApi)),
            // A release that was restored is checked like any other.
            (Restored, Some(true), None, None, None, (Decision::ColumnsChanged, Train)),
            (Restored, Some(false), Some(Some(true)), None, None, (Decision::Redeployed, Train)),
            (Restored, Some(false), Some(Some(false)), None, None, (Decision::NoDrift, Report)),
            (Restored, Some(false), Some(None), Some(false), Some(true), (Decision::Repaired, Nothing)),
            (Restored, Some(false), Some(None), Some(false), Some(false), (Decision::Repaired, ReportAndCallApi)),
            (Restored, Some(false), Some(None), Some(true), None, (Decision::Repaired, ReportAndCallApi)),
        ];
        for live in [NeverDeployed, Intact, Restored, Unusable] {
            for drifted in [None, Some(false), Some(true)] {
                for bits in 0..8 {
                    let [columns_changed, dataset_lost, reports_current] = [1, 2, 4].map(|bit| bits & bit != 0);
                    let facts = Facts { live, columns_changed, dataset_lost, drifted, reports_current };
                    let expected: Vec<_> = table
                        .iter()
                        .filter(|row| row.0 == live && row.1.is_none_or(|value| value == columns_changed))
                        .filter(|row| row.2.is_none_or(|value| value == drifted))
                        .filter(|row| row.3.is_none_or(|value| value == dataset_lost))
                        .filter(|row| row.4.is_none_or(|value| value == reports_current))
                        .map(|row| row.5)
                        .collect();
                    assert_eq!(expected, [decide(facts)], "{facts:?}");
                }
            }
        }
    }
}
