//! The quality on new rows, estimated before their outcomes are known, next to what was found later.

use history::{CheckRow, EstimateRow};
use statistics::interval::Interval;

use crate::evidence::Evidence;
use crate::section::{Part, Section, Table};
use crate::wording::{self, count, grouped, minutes};

/// Maximum number of estimates that are listed.
const SHOWN: usize = 8;

/// The newest estimate in words, and the last ones as a table.
pub fn estimate(evidence: &Evidence) -> Section {
    let mut section = Section::new("estimated-quality", "Estimated quality");
    let (estimates, checks) = (evidence.estimates_of_live(), &evidence.past.checks);
    let Some(newest) = estimates.last() else {
        let text = "The quality on new rows is estimated when they arrive, before it is known who leaves. None have \
                    arrived since it went live.";
        section.parts.push(Part::Text(text.to_owned()));
        return section;
    };
    section.parts.push(Part::Text(in_words(newest, realised(newest, checks))));
    section.parts.push(Part::Note(limits(newest.quality.calibrated).to_owned()));
    let rows = estimates.iter().rev().take(SHOWN).map(|estimate| row(estimate, realised(estimate, checks)));
    let columns = [
        "Checked (UTC)",
        "#Rows",
        "#Estimated F1",
        "#Interval",
        "#Precision",
        "#Recall",
        "#Realised F1",
        "#Rows with known outcome",
    ];
    section.parts.push(Part::Table(Table::of_texts("Estimated quality of the live release", &columns, rows)));
    section
}

/// Returns the check that found what was estimated: that of the same run or, if no client was known to have left then,
/// the first later one of the same files. `None` if there is none yet.
fn realised<'c>(estimate: &EstimateRow, checks: &'c [CheckRow]) -> Option<&'c CheckRow> {
    let is_of_same_files = |check: &&CheckRow| {
        check.run >= estimate.run && check.release == estimate.release && check.data == estimate.data
    };
    let has_leavers = |check: &&CheckRow| check.confusion.positives() > 0;
    checks.iter().filter(is_of_same_files).find(has_leavers)
}

fn in_words(estimate: &EstimateRow, realised: Option<&CheckRow>) -> String {
    let quality = &estimate.quality;
    let realised = match realised {
        Some(check) => format!(
            "The outcome of {} of them has become known: their F1 is {:.2}.",
            grouped(check.confusion.n()),
            check.confusion.f1()
        ),
        None => "No client among them is known to have left yet.".to_owned(),
    };
    format!(
        "F1 on the {} of the newest check, estimated from the predicted probabilities alone: {:.2}. Once all outcomes \
         are known, it will be between {:.2} and {:.2} (95 %), if the probabilities mean what they meant on the test \
         data. {realised}",
        count(quality.rows, "row"),
        quality.f1,
        quality.f1_low,
        quality.f1_high
    )
}

/// What the estimate cannot tell.
fn limits(calibrated: bool) -> &'static str {
    match calibrated {
        true => {
            "The estimate sees that the clients have changed. It cannot see that the relation between the predictors and \
             leaving has changed; only known outcomes show that. It never causes a new model by itself."
        }
        false => {
            "The score of this release was recorded by a version that did not calibrate probabilities, so the estimate \
             takes them as the model gives them, and its interval is too narrow if they are wrong. It cannot see that the \
             relation between the predictors and leaving has changed. It never causes a new model by itself."
        }
    }
}

fn row(estimate: &EstimateRow, realised: Option<&CheckRow>) -> Vec<String> {
    let quality = &estimate.quality;
    let (f1, rows) = match realised {
        Some(check) => (format!("{:.4}", check.confusion.f1()), grouped(check.confusion.n())),
        None => ("–".to_owned(), "–".to_owned()),
    };
    vec![
        minutes(&estimate.started),
        grouped(quality.rows),
        format!("{:.4}", quality.f1),
        wording::interval(Some(Interval { low: quality.f1_low, high: quality.f1_high })),
        format!("{:.4}", quality.precision),
        format!("{:.4}", quality.recall),
        f1,
        rows,
    ]
}

#[cfg(test)]
mod tests {
    use common::config::DriftTest;
    use common::model::estimate::EstimatedQuality;
    use common::model::metrics::Confusion;
    use history::{DriftCheck, DriftVerdict, QualityEstimate, Recorded};

    use super::*;

    fn estimate(run: i64, file: &str) -> EstimateRow {
        let quality = EstimatedQuality {
            rows: 1200,
            calibrated: true,
            f1: 0.751,
            f1_low: 0.67,
            f1_high: 0.829,
            precision: 0.8,
            precision_low: 0.7,
            precision_high: 0.9,
            recall: 0.7,
            recall_low: 0.6,
            recall_high: 0.8,
        };
        let record = QualityEstimate { release: "R".to_owned(), data: vec![file.to_owned()], quality };
        Recorded { run, started: "2026-11-30T12:00:00Z".to_owned(), record }
    }

    fn check(run: i64, file: &str, true_positives: u64) -> CheckRow {
        let record = DriftCheck {
            release: "R".to_owned(),
            data: vec![file.to_owned()],
            confusion: Confusion { true_positives, false_positives: 2, false_negatives: 0, true_negatives: 3 },
            f1_low: None,
            f1_high: None,
            recorded_f1: 0.8,
            test: DriftTest::Raw,
            verdict: DriftVerdict::CannotTell,
            drifted: false,
        };
        Recorded { run, started: String::new(), record }
    }

    #[test]
    fn a_realised_score_is_of_the_same_files_and_needs_a_client_that_has_left() {
        let checks = [check(3, "a.csv", 5), check(5, "a.csv", 0), check(6, "b.csv", 7), check(8, "a.csv", 4)];
        let found = |run, file| realised(&estimate(run, file), &checks).map(|check| check.run);
        assert_eq!([found(3, "a.csv"), found(5, "a.csv"), found(6, "b.csv")], [Some(3), Some(8), Some(6)]);
        assert_eq!([found(9, "a.csv"), found(1, "c.csv")], [None, None]);
        let other = Recorded {
            record: DriftCheck { release: "Q".to_owned(), ..check(8, "a.csv", 4).record },
            ..check(8, "", 4)
        };
        assert_eq!(realised(&estimate(5, "a.csv"), &[other]), None);
    }

    #[test]
    fn the_words_name_the_estimate_its_interval_and_what_was_found() {
        let words = in_words(&estimate(1, "a.csv"), None);
        assert!(words.starts_with("F1 on the 1,200 rows of the newest check, estimated"), "{words}");
        assert!(words.contains("0.75.") && words.contains("between 0.67 and 0.83"), "{words}");
        assert!(words.ends_with("No client among them is known to have left yet."), "{words}");
        let words = in_words(&estimate(1, "a.csv"), Some(&check(1, "a.csv", 5)));
        assert!(words.ends_with("The outcome of 10 of them has become known: their F1 is 0.83."), "{words}");
        let cells = row(&estimate(1, "a.csv"), None);
        assert_eq!(cells[2..4], ["0.7510", "95 %: 0.6700 to 0.8290"]);
        assert_eq!(cells[6..], ["–", "–"]);
        assert!(limits(true).contains("cannot see") && limits(false).contains("did not calibrate"));
    }
}
