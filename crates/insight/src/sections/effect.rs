//! Whether the calls help, and what became of the clients on earlier lists.

use crate::effect::Effect;
use crate::evidence::Evidence;
use crate::published::{PastList, Published};
use crate::section::{Part, Section, Table};
use crate::wording::{count, grouped, minutes};

/// Maximum number of past lists in the table.
const SHOWN: usize = 10;

/// The effect of the calls on leaving, and the published lists.
pub fn effect(evidence: &Evidence) -> Section {
    section(&evidence.published)
}

fn section(published: &Published) -> Section {
    let mut section = Section::new("effect", "Do the calls help?");
    section.parts.push(Part::Text(match published.has_hold_out && published.held_out.is_empty() {
        true => "Whether the calls help cannot be told yet: no data have arrived since clients were held out for the \
                 first time."
            .to_owned(),
        false => Effect::of(&published.called, &published.held_out).sentences().join(" "),
    }));
    if published.reached_before_deployment > 0 {
        section.parts.push(Part::Warning(format!(
            "The live model was trained on data in which {} had been reached by a call before. If calls change who leaves, \
             its risks are those of clients who are called, and clients whom the calls keep look safer than they are.",
            count(published.reached_before_deployment as u64, "client")
        )));
    }
    if published.lists.is_empty() {
        section.parts.push(Part::Note("No list has been published before.".to_owned()));
        return section;
    }
    let columns = ["Published (UTC)", "#Calls", "#Expected to leave", "#95 % interval", "#Held out", "#Have left"];
    let rows = published.lists.iter().take(SHOWN).map(row);
    section.parts.push(Part::Table(Table::of_texts("Published lists", &columns, rows).with_caption(
        "The newest lists. Have left: of the clients to call, those whose newest row says so; a dash as long as no data \
         have arrived since the list was published. The expected number has no date: those who will leave may need more \
         time.",
    )));
    section
}

fn row(past: &PastList) -> Vec<String> {
    let list = &past.list;
    let dash = || "–".to_owned();
    vec![
        minutes(&list.started),
        grouped(list.called),
        list.expected.map_or_else(dash, |expected| format!("{expected:.1}")),
        list.expected_low
            .zip(list.expected_high)
            .map_or_else(dash, |(low, high)| format!("{} to {}", grouped(low), grouped(high))),
        grouped(list.held_out),
        past.outcome.map_or_else(dash, |outcome| match outcome.known == list.called {
            true => grouped(outcome.left),
            false => format!("{} of {}", grouped(outcome.left), grouped(outcome.known)),
        }),
    ]
}
