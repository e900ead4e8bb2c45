//! Contacts on the pages: what came of a call.

use history::{CallOutcome, Contact};

use super::time::day;

/// The words for what came of a call.
const OUTCOMES: [(CallOutcome, &str); 4] = [
    (CallOutcome::NotReached, "Not reached"),
    (CallOutcome::Reached, "Reached"),
    (CallOutcome::PromisedToStay, "Promised to stay"),
    (CallOutcome::IsLeaving, "Is leaving"),
];

/// What came of a call, in words.
pub fn outcome(outcome: CallOutcome) -> &'static str {
    OUTCOMES.iter().find(|(other, _)| *other == outcome).map_or("", |(_, words)| words)
}

/// The last contact in one line.
pub fn last(contact: &Contact) -> String {
    let note = if contact.note.is_empty() { String::new() } else { format!(": “{}”", contact.note) };
    format!("Last call {} by {}, {}{note}", day(contact.at), contact.by, outcome(contact.outcome).to_lowercase())
}
