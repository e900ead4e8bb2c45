//! Today's calls, for the client manager.

use crate::call_list::{Call, CallList};
use crate::section::{Cell, Part, Section, Table};
use crate::wording::{capitalised, grouped, whole_percent};

/// Maximum number of calls in the section; calllist.csv contains all of them.
const SHOWN: usize = 100;

/// The clients to call today, with the reasons.
pub fn calls(list: &CallList) -> Section {
    let mut section = Section::new("calls", "Whom to call today");
    let shown = list.called.min(SHOWN);
    if shown == 0 {
        section.parts.push(Part::Warning("The compiled data contain no current client.".to_owned()));
        return section;
    }
    section.parts.push(Part::Text(format!(
        "Today's calls are the {} clients with the highest risk, of {} current clients. {:.1} of them are expected to leave \
         ({} to {} with 95 % confidence, if the model's probabilities are right). Of as many clients chosen at random, {:.1} \
         would be expected to leave.",
        grouped(list.called as u64),
        grouped(list.clients as u64),
        list.expected.expected,
        list.expected.low,
        list.expected.high,
        list.at_random
    )));
    let threshold = whole_percent(list.threshold.value());
    let columns = ["#Rank", "", "#Risk", "#Change", "Why", "What would lower the risk"];
    let rows = list.calls[..shown].iter().map(|call| row(list, call));
    let mut table = Table::new("Today's calls", &columns, rows);
    table.columns[1].title = capitalised(list.schema().id());
    section.parts.push(Part::Table(table.with_caption(format!(
        "Change: percentage points since the client's previous row. Why: what is unusual about the client, at most two \
         reasons; usual values are those of the training data. What would lower the risk: the smallest change of one \
         value that brings the risk below {threshold}, from which on a client is predicted to leave."
    ))));
    if shown < list.called {
        section.parts.push(Part::Note(format!(
            "The other {} calls are in calllist.csv and in the answer to GET /calllist.",
            grouped((list.called - shown) as u64)
        )));
    }
    section
}

fn row(list: &CallList, call: &Call) -> Vec<Cell> {
    vec![
        Cell::Text(grouped(call.rank as u64)),
        Cell::Client(call.id.clone()),
        Cell::Risk(call.risk),
        Cell::Change(call.change()),
        Cell::Lines(list.story(call)),
        Cell::Text(list.remedy_in_words(call)),
    ]
}
