//! Today's calls, for the client manager.

use crate::agenda::{Agenda, Entry, Ranking, Turn};
use crate::section::{Cell, Part, Section, Table};
use crate::wording::{capitalised, count, grouped, whole_percent};

/// Maximum number of calls in the section; calllist.csv contains all of them.
const SHOWN: usize = 100;
/// The section's short name and title.
pub(super) const ID: &str = "calls";
pub(super) const TITLE: &str = "Whom to call today";
/// Maximum number of names in a sentence.
const NAMED: usize = 5;

/// The clients to call today, with the reasons.
pub fn calls(agenda: &Agenda) -> Section {
    let mut section = Section::new(ID, TITLE);
    section.parts.extend(introduction(agenda));
    let called = agenda.today().count();
    if called == 0 {
        return section;
    }
    section.parts.push(Part::Table(table(agenda)));
    if called > SHOWN {
        section.parts.push(Part::Note(format!(
            "The other {} calls are in calllist.csv and in the answer to GET /calllist.",
            grouped((called - SHOWN) as u64)
        )));
    }
    section
}

/// The introduction to today's calls: what is missing, who is called, and what is expected.
pub(super) fn introduction(agenda: &Agenda) -> Vec<Part> {
    let mut parts: Vec<Part> = agenda.warnings.iter().cloned().map(Part::Warning).collect();
    let called = agenda.today().count();
    if called == 0 {
        parts.push(Part::Warning(nobody(agenda)));
        return parts;
    }
    let mut sentences = vec![who(agenda, called)];
    sentences.extend(agenda.headline(None).iter().flat_map(|headline| headline.sentences()));
    sentences.extend(agenda.value_at_risk_today(None).map(|value| {
        format!(
            "The value at risk, the sum of risk times value over today's calls, is {}.",
            grouped(value.round() as u64)
        )
    }));
    parts.push(Part::Text(sentences.join(" ")));
    parts.extend(unmatched(agenda).map(Part::Note));
    parts
}

/// Explains why no client is to be called.
fn nobody(agenda: &Agenda) -> String {
    match agenda.entries.is_empty() {
        true => "The compiled data contain no current client.".to_owned(),
        false => "Nobody is to be called today: every client was called recently or is held out.".to_owned(),
    }
}

/// Says how many clients are called today, and how many are paused or held out.
fn who(agenda: &Agenda, called: usize) -> String {
    let number = |is: fn(Turn) -> bool| agenda.entries.iter().filter(|entry| is(entry.turn)).count() as u64;
    let paused = number(|turn| matches!(turn, Turn::Paused { .. }));
    let held_out = number(|turn| turn == Turn::HeldOut);
    let mut sentence = format!(
        "Today's calls are the {} clients with the highest {}, of {} current clients",
        grouped(called as u64),
        match agenda.ranking {
            Ranking::Risk => "risk",
            Ranking::Value => "risk times value",
        },
        grouped(agenda.list.clients as u64),
    );
    let mut without = Vec::new();
    if paused > 0 {
        let pause = if paused == 1 { "pauses" } else { "pause" };
        without.push(format!("{} who {pause} after a call", count(paused, "client")));
    }
    if held_out > 0 {
        without.push(format!(
            "{} whom nobody calls, so that the effect of the calls can be measured",
            count(held_out, "client")
        ));
    }
    if !without.is_empty() {
        sentence += &format!(", without {}", without.join(" and "));
    }
    sentence + "."
}

/// The clients without an account, and the accounts without a client.
fn unmatched(agenda: &Agenda) -> impl Iterator<Item = String> {
    let named = |names: &[&str], what: &str| {
        let shown = names[..names.len().min(NAMED)].join(", ");
        let more = names.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {} more", grouped(more as u64)) } else { String::new() };
        (!names.is_empty()).then(|| format!("{what}: {shown}{more}."))
    };
    let clients = named(&agenda.without_account(), "Clients without an account");
    let accounts = named(&agenda.without_client(), "Accounts whose client has left or is not in the data");
    clients.into_iter().chain(accounts)
}

fn table(agenda: &Agenda) -> Table {
    let list = &agenda.list;
    let rows = agenda.today().take(SHOWN).map(|entry| row(agenda, entry));
    let columns = ["#Rank", "", "#Risk", "#Change", "Why", "What would lower the risk"];
    let mut table = Table::new("Today's calls", &columns, rows);
    table.columns[1].title = capitalised(list.schema().id());
    let threshold = whole_percent(list.threshold.value());
    table.with_caption(format!(
        "Change: percentage points since the client's previous row. Why: what is unusual about the client, at most two \
         reasons; usual values are those of the training data. What would lower the risk: the smallest change of one \
         value that brings the risk below {threshold}, from which on a client is predicted to leave."
    ))
}

fn row(agenda: &Agenda, entry: &Entry) -> Vec<Cell> {
    let (list, call) = (&agenda.list, agenda.call(entry));
    vec![
        Cell::Text(grouped(entry.rank as u64)),
        Cell::Client(call.id.clone()),
        Cell::Risk(call.risk),
        Cell::Change(call.change()),
        Cell::Lines(list.story(call)),
        Cell::Text(list.remedy_in_words(call)),
    ]
}
