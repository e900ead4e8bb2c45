//! Today's calls as a table; on a narrow screen as cards, on paper with boxes to tick.

use insight::wording::{capitalised, grouped, whole_percent};
use insight::{Entry, Turn};
use maud::{Markup, html};

use super::Shown;
use crate::pages::layout::{change, client_link, encoded, risk, sentence};
use crate::pages::{account, contact};

/// Maximum number of today's calls on the page.
const MOST_CALLS: usize = 100;

/// Number of calls that fit on a sheet of paper.
const ON_PAPER: usize = 12;

/// The table of today's calls, or why there are none.
pub fn today(shown: &Shown) -> Markup {
    let calls = shown.entries(|turn| turn == Turn::Today);
    let list = &shown.agenda.list;
    if calls.is_empty() {
        return html! { p.nothing role="status" { (why_none(shown)) } };
    }
    let threshold = whole_percent(list.threshold.value());
    let left = calls.len().saturating_sub(MOST_CALLS);
    html! {
        p.note {
            "Change: percentage points since the client's previous row. The mark in the bar: " (threshold)
            ", from which on a client is predicted to leave. " a href="/terms" { "What the words mean" }
        }
        @if calls.len() > ON_PAPER {
            p.on-paper { "The first " (ON_PAPER) " of " (grouped(calls.len() as u64)) " calls. The CSV file has all of them." }
        }
        table.calls.cards id="call-list" role="table" aria-labelledby="calls-title" {
            thead role="rowgroup" { tr role="row" {
                th.rank scope="col" role="columnheader" { "Rank" }
                th.client scope="col" role="columnheader" { (capitalised(list.schema().id())) }
                th.risk scope="col" role="columnheader" { "Risk" }
                th.change scope="col" role="columnheader" { "Change" }
                @if shown.has_values { th.value scope="col" role="columnheader" { "Value" } }
                th.why scope="col" role="columnheader" { "Why, and what would help" }
                th.tick.on-paper scope="col" role="columnheader" { "Called, note" }
            } }
            tbody role="rowgroup" {
                @for (index, entry) in calls.iter().take(MOST_CALLS).enumerate() {
                    @let next = calls.get(index + 1).unwrap_or(entry);
                    (row(shown, entry, next, index < ON_PAPER))
                }
            }
        }
        @if left > 0 {
            p { "The other " (grouped(left as u64)) " calls are in the CSV file and among " a href="/clients" { "all clients" } "." }
        }
    }
}

fn why_none(shown: &Shown) -> String {
    match &shown.asked.owner {
        Some(owner) => format!("None of today's calls is for {owner}."),
        None if shown.agenda.entries.is_empty() => "The compiled data contain no current client.".to_owned(),
        None => "Nobody is to be called today: all clients pause or are held out.".to_owned(),
    }
}

/// The row of an entry; `next` is the entry after it.
fn row(shown: &Shown, entry: &Entry, next: &Entry, on_paper: bool) -> Markup {
    let agenda = shown.agenda;
    let (call, account) = (agenda.call(entry), agenda.account(entry));
    let value = account.and_then(|account| account.value);
    html! {
        tr id={ "client-" (entry.rank) } role="row" class=[(!on_paper).then_some("on-screen")] {
            td.rank role="cell" data-label="Rank" { (grouped(entry.rank as u64)) }
            th.client scope="row" role="rowheader" {
                (client_link(&call.id))
                @if let (Some(accounts), Some(account)) = (&agenda.accounts, account) { (account::short(accounts, account)) }
            }
            td.risk role="cell" data-label="Risk" { (risk(call.risk, agenda.list.threshold)) }
            td.change role="cell" data-label="Change" { (change(call.change())) }
            @if shown.has_values { td.value role="cell" data-label="Value" { (value.map_or_else(|| "–".to_owned(), account::money)) } }
            td.why role="cell" {
                @for told in agenda.list.story(call) { p { (sentence(&told)) } }
                @if let Some(contact) = agenda.last_contact(entry) { p.last { (contact::last(contact)) } }
                details.record-call {
                    summary { "Record a call" span.unseen { " to " (call.id) } }
                    (contact::form(&call.id, &back(shown, entry, next)))
                }
            }
            td.tick.on-paper role="cell" { span.box {} span.line {} }
        }
    }
}

/// The path to which the browser returns after a call was recorded: the same page at the next client, because the client
/// itself pauses.
fn back(shown: &Shown, entry: &Entry, next: &Entry) -> String {
    let query = shown.asked.query();
    let separator = if query.is_empty() { "?" } else { "&" };
    let client = encoded(&shown.agenda.call(entry).id);
    format!("/{query}{separator}recorded={client}#client-{}", next.rank)
}
