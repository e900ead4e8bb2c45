//! The page of a client manager's day: whom to call and why, who pauses, and who is held out.

mod headline;
mod list;

use insight::wording::{capitalised, grouped};
use insight::{Agenda, Cell, Entry, Ranking, Table, Turn};
use jiff::Timestamp;
use maud::{Markup, html};

use super::layout::{Frame, Place, client_link, encoded};
use super::status::Status;
use super::time::day_of_year;
use super::{contact, section};
use crate::live::LiveModel;

/// Maximum number of paused clients, and of clients that are held out, on the page.
const MOST_OTHERS: usize = 50;

/// What the query of the page asks for.
#[derive(Debug, Default)]
pub struct Asked {
    /// The owner whose clients are shown; `None` for all clients.
    pub owner: Option<String>,
    pub ranking: Ranking,
    /// The client whose call was just recorded.
    pub recorded: Option<String>,
}

impl Asked {
    /// The query that asks for the same clients in the same order; empty or with a leading `?`.
    fn query(&self) -> String {
        let owner = self.owner.as_ref().map(|owner| format!("owner={}", encoded(owner)));
        let rank = (self.ranking == Ranking::Value).then(|| "rank=value".to_owned());
        match [owner, rank].into_iter().flatten().collect::<Vec<_>>().join("&") {
            empty if empty.is_empty() => empty,
            query => format!("?{query}"),
        }
    }
}

pub fn page(live: &LiveModel, agenda: &Agenda, status: &Status, asked: &Asked) -> Markup {
    let shown = Shown { agenda, asked, has_values: has_values(agenda) };
    let content = html! {
        (status.strip())
        section id="calls" aria-labelledby="calls-title" {
            h1 id="calls-title" { "Whom to call today" }
            (shown.recorded())
            (headline::headline(agenda, asked.owner.as_deref()))
            (shown.toolbar())
            (list::today(&shown))
            (headline::unmatched(agenda))
        }
        (shown.paused())
        (shown.held_out())
    };
    Frame { title: "Today's calls", place: Some(Place::Calls), release: Some(&live.id), ..Frame::default() }
        .around(&content)
}

/// The part of the agenda that is shown.
struct Shown<'s> {
    agenda: &'s Agenda,
    asked: &'s Asked,
    has_values: bool,
}

impl Shown<'_> {
    /// The shown entries with a turn that `wanted` accepts, in order.
    fn entries(&self, wanted: impl Fn(Turn) -> bool) -> Vec<&Entry> {
        self.agenda.of_owner(self.asked.owner.as_deref()).filter(|entry| wanted(entry.turn)).collect()
    }

    /// Confirms that a call was recorded, if it was.
    fn recorded(&self) -> Markup {
        let agenda = self.agenda;
        let entry = self.asked.recorded.as_deref().and_then(|id| agenda.entry(id));
        let recorded = entry.and_then(|entry| Some((entry, agenda.last_contact(entry)?)));
        html! {
            @if let Some((entry, contact)) = recorded {
                p.confirmation role="status" {
                    "The call to " (client_link(&agenda.call(entry).id)) " is recorded: "
                    (contact::outcome(contact.outcome).to_lowercase()) "."
                    @if let Some(until) = entry.turn.paused_until() { " The client is back on " (day_of_year(until)) "." }
                }
            }
        }
    }

    /// The choice of an owner and an order, if there are accounts, and the downloads.
    fn toolbar(&self) -> Markup {
        let owners = owners(self.agenda);
        let query = self.asked.query();
        let format = if query.is_empty() { "?format=csv" } else { "&format=csv" };
        html! {
            div.toolbar {
                @if !owners.is_empty() || self.has_values {
                    form method="get" action="/" {
                        @if !owners.is_empty() { (owner_field(&owners, self.asked.owner.as_deref())) }
                        @if self.has_values {
                            span.field {
                                label for="rank" { "Order" }
                                select id="rank" name="rank" {
                                    option value="risk" selected[self.asked.ranking == Ranking::Risk] { "Highest risk first" }
                                    option value="value" selected[self.asked.ranking == Ranking::Value] { "Highest risk × value first" }
                                }
                            }
                        }
                        button { "Show" }
                    }
                }
                p.downloads {
                    a href={ "/calllist" (query) (format) } { "Download as CSV" } " "
                    a href="/report.pdf" { "Report as PDF" } " "
                    button.print type="button" hidden { "Print with boxes to tick" }
                }
            }
        }
    }

    /// The clients who pause, those first who are back first.
    fn paused(&self) -> Markup {
        let agenda = self.agenda;
        let paused = self.entries(|turn| turn.paused_until().is_some());
        let mut paused: Vec<(Timestamp, &Entry)> =
            paused.into_iter().filter_map(|entry| Some((entry.turn.paused_until()?, entry))).collect();
        paused.sort_by_key(|(until, _)| *until);
        let rows = paused.iter().take(MOST_OTHERS).map(|(until, entry)| {
            let last = agenda.last_contact(entry).map_or_else(String::new, contact::last);
            let client = agenda.call(entry);
            vec![
                Cell::Client(client.id.clone()),
                Cell::Risk(client.risk),
                Cell::Text(last),
                Cell::Text(day_of_year(*until)),
            ]
        });
        let table = self.table("Paused clients", &["", "#Risk", "Last call", "Back on"], 0, rows);
        html! {
            @if !paused.is_empty() {
                section id="paused" aria-labelledby="paused-title" {
                    h2 id="paused-title" { "Paused after a call: " (grouped(paused.len() as u64)) }
                    p { "They are not called again before the day given here. Others have taken their place." }
                    (section::table(&table, agenda.list.threshold))
                    (rest(paused.len()))
                }
            }
        }
    }

    /// The clients that are held out, in the order of the agenda.
    fn held_out(&self) -> Markup {
        let agenda = self.agenda;
        let held_out = self.entries(|turn| turn == Turn::HeldOut);
        let rows = held_out.iter().take(MOST_OTHERS).map(|entry| {
            let client = agenda.call(entry);
            vec![Cell::Text(grouped(entry.rank as u64)), Cell::Client(client.id.clone()), Cell::Risk(client.risk)]
        });
        let table = self.table("Clients held out", &["#Rank", "", "#Risk"], 1, rows);
        html! {
            @if !held_out.is_empty() {
                section id="held-out" aria-labelledby="held-out-title" {
                    h2 id="held-out-title" { "Held out: " (grouped(held_out.len() as u64)) }
                    p { "Nobody calls these clients. Only a comparison with them shows whether the calls help: "
                        a href="/terms#held-out" { "why" } "." }
                    details {
                        summary { "Show the clients" }
                        (section::table(&table, agenda.list.threshold))
                        (rest(held_out.len()))
                    }
                }
            }
        }
    }

    /// A table whose column `client` has the name of the column of the clients' ids.
    fn table(
        &self,
        label: &'static str,
        columns: &[&str],
        client: usize,
        rows: impl Iterator<Item = Vec<Cell>>,
    ) -> Table {
        let mut table = Table::new(label, columns, rows);
        table.columns[client].title = capitalised(self.agenda.list.schema().id());
        table
    }
}

/// Where the entries are that do not fit on the page.
fn rest(all: usize) -> Markup {
    html! {
        @if all > MOST_OTHERS {
            p.note { "The first " (MOST_OTHERS) ". The others are marked among " a href="/clients" { "all clients" } "." }
        }
    }
}

/// The names of all owners, in alphabetical order.
pub fn owners(agenda: &Agenda) -> Vec<&str> {
    agenda.accounts.iter().flat_map(|accounts| accounts.owners()).collect()
}

/// Whether any client has a value, so that risk × value means something.
pub fn has_values(agenda: &Agenda) -> bool {
    agenda.accounts.iter().flat_map(|accounts| accounts.by_client.values()).any(|account| account.value.is_some())
}

/// The choice of an owner.
pub fn owner_field(owners: &[&str], chosen: Option<&str>) -> Markup {
    html! {
        span.field {
            label for="owner" { "Clients of" }
            select id="owner" name="owner" {
                option value="" selected[chosen.is_none()] { "everybody" }
                @for owner in owners { option value=(owner) selected[chosen == Some(*owner)] { (owner) } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_keeps_the_owner_and_the_order() {
        let mut asked = Asked { owner: Some("Anna & Bo".to_owned()), ..Asked::default() };
        assert_eq!(asked.query(), "?owner=Anna%20%26%20Bo");
        asked.ranking = Ranking::Value;
        assert_eq!(asked.query(), "?owner=Anna%20%26%20Bo&rank=value");
        assert_eq!(Asked::default().query(), "");
    }
}
