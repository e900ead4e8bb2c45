//! The expected outcome of today's calls, and the clients and accounts that do not match.

use insight::wording::grouped;
use insight::{Agenda, Headline};
use maud::{Markup, html};

use crate::pages::account::money;
use crate::pages::layout::sentence;

/// Maximum number of clients without an account, and of accounts without a client, on the page.
const MOST_UNMATCHED: usize = 200;

/// Today's calls of `owner`, or of everybody, in numbers and sentences, and what is missing.
pub fn headline(agenda: &Agenda, owner: Option<&str>) -> Markup {
    let called = agenda.today_of(owner).count();
    let headline = agenda.headline(owner);
    let value = agenda.value_at_risk_today(owner);
    let sentences: Vec<String> = headline.iter().flat_map(Headline::sentences).collect();
    html! {
        @if called > 0 {
            dl.tiles {
                div { dt { "Calls today" } dd { (grouped(called as u64)) } dd.note { "of " (grouped(agenda.list.clients as u64)) " current clients" } }
                @if let Some(Headline { expected, low, high, at_random, .. }) = headline {
                    div {
                        dt { "Expected to leave" }
                        dd { (format!("{expected:.0}")) }
                        dd.note { (grouped(low)) " to " (grouped(high)) ", " a href="/terms#interval" { "95 % interval" } }
                    }
                    div {
                        dt { "If called at random" }
                        dd { (format!("{at_random:.0}")) }
                        dd.note { a href="/terms#at-random" { "what that means" } }
                    }
                }
                @if let Some(value) = value {
                    div { dt { "Value at risk" } dd { (money(value)) } dd.note { "sum of " a href="/terms#value-at-risk" { "risk × value" } } }
                }
            }
        }
        p.headline { (sentence(&sentences.join(" "))) }
        @for warning in &agenda.warnings { p.warning { (warning) } }
    }
}

/// The clients without an account and the accounts without a client.
pub fn unmatched(agenda: &Agenda) -> Markup {
    html! {
        (names("Clients without an account", &agenda.without_account()))
        (names("Accounts whose client has left or is not in the data", &agenda.without_client()))
    }
}

fn names(what: &str, names: &[&str]) -> Markup {
    let (shown, others) = names.split_at(names.len().min(MOST_UNMATCHED));
    html! {
        @if !names.is_empty() {
            details.unmatched {
                summary { (what) ": " (grouped(names.len() as u64)) }
                p { (shown.join(", ")) @if !others.is_empty() { ", and " (grouped(others.len() as u64)) " more" } }
            }
        }
    }
}
