//! Contacts on the pages: the form that records a call, what came of the last one, and the list of earlier ones.

use history::{CallOutcome, Contact};
use maud::{Markup, html};

use super::time::day;
use crate::unique;

/// What the form offers, in the order of how often it happens.
const OUTCOMES: [(CallOutcome, &str); 4] = [
    (CallOutcome::NotReached, "Not reached"),
    (CallOutcome::Reached, "Reached"),
    (CallOutcome::PromisedToStay, "Promised to stay"),
    (CallOutcome::IsLeaving, "Is leaving"),
];

/// The form that records a call to the client `id`; afterwards the browser goes to the path `back`.
///
/// Each form has a key of its own, so that a call that is sent twice is recorded once.
pub fn form(id: &str, back: &str) -> Markup {
    html! {
        form.record method="post" action="/contacts" {
            input type="hidden" name="corporation" value=(id);
            input type="hidden" name="key" value=(unique::key());
            input type="hidden" name="return" value=(back);
            fieldset {
                legend { "What came of the call" }
                @for (outcome, words) in OUTCOMES {
                    label.choice { input type="radio" name="outcome" value=(outcome.as_str()) required; (words) }
                }
            }
            label { span { "Your name" } input name="by" required maxlength="100" autocomplete="name" data-remembered; }
            label.note-field { span { "Note (optional)" } textarea name="note" maxlength="2000" rows="2" {} }
            button.primary { "Record the call" }
        }
    }
}

/// The words for an outcome.
pub fn outcome(outcome: CallOutcome) -> &'static str {
    OUTCOMES.iter().find(|(other, _)| *other == outcome).map_or("", |(_, words)| words)
}

/// The last contact in one line.
pub fn last(contact: &Contact) -> String {
    let note = if contact.note.is_empty() { String::new() } else { format!(": “{}”", contact.note) };
    format!("Last call {} by {}, {}{note}", day(contact.at), contact.by, outcome(contact.outcome).to_lowercase())
}

/// Earlier contacts, newest first.
pub fn list(contacts: &[Contact]) -> Markup {
    html! {
        ol.contacts {
            @for contact in contacts {
                li {
                    p { strong { (outcome(contact.outcome)) } " · " (day(contact.at)) " · " (contact.by) }
                    @if !contact.note.is_empty() { p.said { (contact.note) } }
                }
            }
        }
    }
}
