//! The section about the comparison of the new model with the previous one.

use common::production::promotion::{FEW_ROWS, MANY_DECISIONS};
use history::{Candidate, ComparisonRow, PromotionDecision};
use statistics::confusion::Confusion;

use crate::evidence::Evidence;
use crate::section::{Part, Section, Table};
use crate::sections::model::shifts;
use crate::wording::{self, capitalised, grouped, percent, points};

/// The comparison of champion and challenger.
pub fn promotion(evidence: &Evidence) -> Section {
    let mut section = Section::new("promotion", "Why this model is live");
    let comparison = evidence.comparison();
    let Some(first) = comparison.first() else {
        section
            .parts
            .push(Part::Text("The release was deployed by hand, or before comparisons were recorded.".to_owned()));
        return section;
    };
    if let Some(check) = evidence.check_that_led_here() {
        section.parts.push(Part::Text(format!("The previous release had drifted. {}", wording::check(check))));
        shifts(&mut section, evidence, check);
    }
    section.parts.push(Part::Text(format!(
        "The new model was compared on {} test rows{} and promoted by the rule \"{}\".{}",
        grouped(first.compared.confusion.n()),
        first.promotion.champion.as_ref().map(|champion| format!(" with release {champion}")).unwrap_or_default(),
        first.promotion.rule.as_str(),
        f1_difference(&comparison)
    )));
    section.parts.extend(top_precision(&first.promotion).map(Part::Text));
    let rows = comparison.iter().map(|row| {
        let Confusion { true_positives, false_positives, false_negatives, true_negatives } = row.compared.confusion;
        let counts = [true_positives, false_positives, false_negatives, true_negatives].map(grouped);
        let f1 = format!("{:.4}", row.compared.confusion.f1());
        [row.compared.model.to_string(), f1].into_iter().chain(counts).collect()
    });
    let columns = ["Model", "#F1", "#True positives", "#False positives", "#False negatives", "#True negatives"];
    section.parts.push(Part::Table(Table::of_texts("Comparison on the test data", &columns, rows).with_caption(
        "False positives stayed but were predicted to leave. False negatives left but were predicted to stay.",
    )));
    for warning in &first.promotion.warnings {
        section.parts.push(Part::Warning(capitalised(warning) + "."));
    }
    section.parts.extend(evidence.decisions_by_test_data().map(worn_test_data));
    if first.compared.confusion.n() < FEW_ROWS {
        section.parts.push(Part::Note(
            "More labelled rows in the test data folder would make the comparison more reliable.".to_owned(),
        ));
    }
    section
}

/// Describes the difference between the F1 scores of the new and the previous model; empty without a previous one.
fn f1_difference(comparison: &[&ComparisonRow]) -> String {
    let f1_of = |model| Some(comparison.iter().find(|row| row.compared.model == model)?.compared.confusion.f1());
    let (Some(new), Some(deployed)) = (f1_of(Candidate::NewModel), f1_of(Candidate::DeployedModel)) else {
        return String::new();
    };
    let decision = comparison.first().map(|row| &row.promotion);
    let Some((low, high)) = decision.and_then(|of| of.f1_difference_low.zip(of.f1_difference_high)) else {
        return String::new();
    };
    let conclusion = match (low, high) {
        (low, _) if low > 0.0 => "so the new model is better by more than chance explains",
        (_, high) if high < 0.0 => "so the new model is worse by more than chance explains",
        _ => "so the difference may be chance",
    };
    format!(
        " Its F1 minus that of the previous model is {} (95 % interval {} to {}), {conclusion}.",
        wording::signed(new - deployed),
        wording::signed(low),
        wording::signed(high)
    )
}

/// Describes the leavers among as many test rows as clients can be called, by both models.
fn top_precision(promotion: &PromotionDecision) -> Option<String> {
    let (new, deployed) = (promotion.top_precision?, promotion.top_precision_deployed?);
    let (low, high) = (promotion.top_difference_low?, promotion.top_difference_high?);
    Some(format!(
        "Of the {} test rows of the highest risk, as many as clients can be called in a day, {} left if the new model ranks them and \
         {} if the previous one does: a difference of {} percentage points (95 % interval {} to {}).",
        grouped(promotion.top_clients?),
        percent(new),
        percent(deployed),
        points(new - deployed),
        points(low),
        points(high)
    ))
}

/// Says how often the test data have decided about new models, and warns if that is often.
fn worn_test_data(decisions: u64) -> Part {
    let decided = format!("These test data have decided about {} so far.", wording::count(decisions, "new model"));
    match decisions >= MANY_DECISIONS {
        true => Part::Warning(format!(
            "{decided} The more often the same rows decide, the more likely a model was selected because it fits them by \
             chance. Replace them by new rows with known outcome."
        )),
        false => Part::Note(format!(
            "{decided} From {MANY_DECISIONS} on, replace them by new rows with known outcome, because a model may then have been \
             selected that fits them by chance."
        )),
    }
}

#[cfg(test)]
mod tests {
    use common::config::Promotion;
    use common::files::checksum::Checksum;
    use common::production::promotion::{Comparison, Paired};
    use history::{ComparedAndDecided, Recorded, compared_models};
    use statistics::paired::{Joint, Predicted, Top};

    use super::*;

    fn compared(joint: Option<Joint>, top: Option<Top>) -> Vec<ComparisonRow> {
        let comparison = match joint {
            Some(joint) => Comparison::paired(Paired { joint, top }),
            None => Comparison::alone(Confusion { true_positives: 1, ..Confusion::default() }),
        };
        let (model, champion) = (Checksum::of_bytes(b"m"), joint.map(|_| "R1".to_owned()));
        let promotion = PromotionDecision::new(model, champion, Promotion::IfBetter, &comparison, None);
        let row = |compared| Recorded {
            run: 1,
            started: String::new(),
            record: ComparedAndDecided { compared, promotion: promotion.clone() },
        };
        compared_models(&comparison).into_iter().map(row).collect()
    }

    #[test]
    fn a_difference_is_shown_with_what_it_means() {
        let joint = |only_challenger, only_champion| Joint {
            left: Predicted { both: 50, only_challenger, only_champion, neither: 30 },
            stayed: Predicted { both: 10, neither: 200, ..Predicted::default() },
        };
        let text = |joint| f1_difference(&compared(joint, None).iter().collect::<Vec<_>>());
        assert_eq!(text(None), "");
        let better = text(Some(joint(30, 2)));
        assert!(better.starts_with(" Its F1 minus that of the previous model is +0.1") && better.contains("better by"));
        let worse = text(Some(joint(2, 30)));
        assert!(
            worse.contains("model is \u{2212}0.1") && worse.contains("worse by more than chance explains"),
            "{worse}"
        );
        assert!(
            text(Some(joint(3, 3))).contains("is 0.0000 (95 % interval \u{2212}0.0"),
            "{}",
            text(Some(joint(3, 3)))
        );
        assert!(text(Some(joint(3, 3))).ends_with("so the difference may be chance."));
    }

    #[test]
    fn whom_the_managers_would_call_is_compared() {
        let rows: Vec<(f64, f64, bool)> =
            (0..100).map(|i| (f64::from(i) / 100.0, f64::from((i * 37) % 100) / 100.0, i % 100 >= 60)).collect();
        let top = Top::of(&rows, 20);
        let of = |top| top_precision(&compared(Some(Joint::default()), top)[0].promotion);
        let text = of(top).unwrap();
        assert!(text.starts_with("Of the 20 test rows of the highest risk"), "{text}");
        assert!(text.contains(&format!("{} left if the new model ranks them", percent(1.0))), "{text}");
        assert_eq!(of(None), None);
    }

    #[test]
    fn test_data_that_decided_often_give_a_warning() {
        assert!(matches!(worn_test_data(1), Part::Note(text) if text.contains("about 1 new model so far")));
        assert!(matches!(worn_test_data(20), Part::Warning(text) if text.contains("about 20 new models so far")));
    }
}
