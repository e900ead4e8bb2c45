//! The section about the segments of the clients in which the model is weak.

use statistics::segments::Measure;

use crate::evidence::Evidence;
use crate::section::{Part, Section, Table};
use crate::wording::{count, grouped, p_value, percent};

/// Largest number of weaknesses that are shown; the most certain ones.
const SHOWN: usize = 12;

/// Where the model is weak.
pub fn segments(evidence: &Evidence) -> Section {
    let mut section = Section::new("segments", "Where is it weak?");
    let (model, found) = (&evidence.model, evidence.segments.weaknesses());
    let examined = format!(
        "F1, recall and calibration were compared in {} of the test clients: quarters of each number and levels of each \
         category.",
        count(evidence.segments.occupied() as u64, "segment")
    );
    if found.is_empty() {
        let none = "None is worse than the other clients by more than chance explains.";
        section.parts.push(Part::Text(format!("{examined} {none}")));
        return section;
    }
    section.parts.push(Part::Text(format!("{examined} These results are worse by more than chance explains.")));
    let rows = found.iter().take(SHOWN).map(|(weakness, segment)| {
        let number = |value: f64| if weakness.measure == Measure::F1 { format!("{value:.4}") } else { percent(value) };
        let (what, reference) = match weakness.measure {
            Measure::F1 => ("F1", "others"),
            Measure::Recall => ("recall", "others"),
            Measure::Calibration => ("share that left", "predicted"),
        };
        vec![
            evidence.segments.name(model, weakness.group, weakness.segment),
            what.to_owned(),
            number(weakness.value),
            format!("{} to {}", number(weakness.interval.low), number(weakness.interval.high)),
            format!("{} ({reference})", number(weakness.reference)),
            format!("{} of {}", grouped(segment.confusion.positives()), grouped(segment.confusion.n())),
            p_value(weakness.p_value),
        ]
    });
    let columns = ["Clients", "Measure", "#Value", "#Interval", "#Compared with", "#Left", "#p (Holm)"];
    section.parts.push(Part::Table(Table::of_texts("Weak segments", &columns, rows).with_caption(
        "F1 and recall are compared with those of the other clients, the share that left with the mean predicted risk. \
         Intervals and p-values are corrected for the number of comparisons (Holm), so that chance shows any row in at \
         most 5 % of the reports.",
    )));
    if found.len() > SHOWN {
        section.parts.push(Part::Note(format!("{} more weak results are less certain.", found.len() - SHOWN)));
    }
    section
}
