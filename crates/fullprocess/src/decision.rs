//! The decision of a run, as a pure function of what the run has found. The real run and the dry run use the same
//! function.

use common::production::drift::Judgement;
pub use history::Decision;

/// What a run has found before it decides.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    pub live: LiveRelease,
    /// Whether the columns of the config differ from those of the live release, so that its model cannot read new data.
    pub columns_changed: bool,
    /// Whether the compiled dataset was lost, so that its files are ingested again.
    pub dataset_lost: bool,
    /// Whether the live release is held, so that it must not be replaced by another model.
    pub held: bool,
    /// Result of the drift test on the new data; `None` if there are no new data or they were not tested. Without a
    /// live release there is nothing to test, and a dry run cannot score a release that is not live yet.
    pub judgement: Option<Judgement>,
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
/// the deployed model, and [`Decision::Held`] if the live release was held in the meantime.
///
/// A hold prevents replacements, not repairs: without a release that can be used, a model is trained and deployed.
pub fn decide(facts: Facts) -> (Decision, Action) {
    let Facts { live, columns_changed, dataset_lost, held, judgement, reports_current } = facts;
    let repaired = dataset_lost || live == LiveRelease::Restored;
    match (live, judgement) {
        (LiveRelease::NeverDeployed, _) => (Decision::Bootstrapped, Action::Train),
        (LiveRelease::Unusable, _) => (Decision::Repaired, Action::Train),
        _ if columns_changed && held => (Decision::Held, Action::Nothing),
        _ if columns_changed => (Decision::ColumnsChanged, Action::Train),
        (_, Some(Judgement::Drifted)) if held => (Decision::Held, Action::Report),
        (_, Some(Judgement::Drifted)) => (Decision::Redeployed, Action::Train),
        (_, Some(Judgement::NotDrifted)) => (Decision::NoDrift, Action::Report),
        (_, Some(Judgement::CannotBeJudged)) => (Decision::CannotBeJudged, Action::Report),
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
        use Judgement::{CannotBeJudged, Drifted, NotDrifted};
        use LiveRelease::{Intact, NeverDeployed, Restored, Unusable};
        let table = [
            // live release, columns changed, held, judgement, dataset lost, reports current => decision, action
            (NeverDeployed, None, None, None, None, None, (Decision::Bootstrapped, Train)),
            (Unusable, None, None, None, None, None, (Decision::Repaired, Train)),
            (Intact, Some(true), Some(false), None, None, None, (Decision::ColumnsChanged, Train)),
            (Intact, Some(true), Some(true), None, None, None, (Decision::Held, Nothing)),
            (Intact, Some(false), Some(false), Some(Some(Drifted)), None, None, (Decision::Redeployed, Train)),
            (Intact, Some(false), Some(true), Some(Some(Drifted)), None, None, (Decision::Held, Report)),
            (Intact, Some(false), None, Some(Some(NotDrifted)), None, None, (Decision::NoDrift, Report)),
            (Intact, Some(false), None, Some(Some(CannotBeJudged)), None, None, (Decision::CannotBeJudged, Report)),
            (Intact, Some(false), None, Some(None), Some(false), Some(true), (Decision::NothingToDo, Nothing)),
            (Intact, Some(false), None, Some(None), Some(false), Some(false), (Decision::Reported, ReportAndCallApi)),
            // The reports show the dataset, so they are created again with it.
            (Intact, Some(false), None, Some(None), Some(true), None, (Decision::Repaired, ReportAndCallApi)),
            // A release that was restored is checked like any other.
            (Restored, Some(true), Some(false), None, None, None, (Decision::ColumnsChanged, Train)),
            (Restored, Some(true), Some(true), None, None, None, (Decision::Held, Nothing)),
            (Restored, Some(false), Some(false), Some(Some(Drifted)), None, None, (Decision::Redeployed, Train)),
            (Restored, Some(false), Some(true), Some(Some(Drifted)), None, None, (Decision::Held, Report)),
            (Restored, Some(false), None, Some(Some(NotDrifted)), None, None, (Decision::NoDrift, Report)),
            (Restored, Some(false), None, Some(Some(CannotBeJudged)), None, None, (Decision::CannotBeJudged, Report)),
            (Restored, Some(false), None, Some(None), Some(false), Some(true), (Decision::Repaired, Nothing)),
            (Restored, Some(false), None, Some(None), Some(false), Some(false), (Decision::Repaired, ReportAndCallApi)),
            (Restored, Some(false), None, Some(None), Some(true), None, (Decision::Repaired, ReportAndCallApi)),
        ];
        for live in [NeverDeployed, Intact, Restored, Unusable] {
            for judgement in [None, Some(NotDrifted), Some(Drifted), Some(CannotBeJudged)] {
                for bits in 0..16 {
                    let [columns_changed, held, dataset_lost, reports_current] =
                        [1, 2, 4, 8].map(|bit| bits & bit != 0);
                    let facts = Facts { live, columns_changed, dataset_lost, held, judgement, reports_current };
                    let expected: Vec<_> = table
                        .iter()
                        .filter(|row| row.0 == live && row.1.is_none_or(|value| value == columns_changed))
                        .filter(|row| row.2.is_none_or(|value| value == held))
                        .filter(|row| row.3.is_none_or(|value| value == judgement))
                        .filter(|row| row.4.is_none_or(|value| value == dataset_lost))
                        .filter(|row| row.5.is_none_or(|value| value == reports_current))
                        .map(|row| row.6)
                        .collect();
                    assert_eq!(expected, [decide(facts)], "{facts:?}");
                }
            }
        }
    }
}
