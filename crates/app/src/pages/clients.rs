//! The page of all clients: page by page, in an order of choice, of one owner, or those whose names contain a text.

use insight::wording::{capitalised, grouped};
use insight::{Agenda, Entry, Ranking};
use maud::{Markup, html};
use serde::Deserialize;
use utoipa::ToSchema;

use super::account::money;
use super::calls::{has_values, owner_field, owners};
use super::layout::{Frame, Place, change, client_link, encoded, risk, turn};
use crate::live::LiveModel;

/// Number of clients on a page.
const PER_PAGE: usize = 50;

/// What the query of the page asks for.
#[derive(Debug, Default)]
pub struct Asked {
    /// A part of the clients' names; may be empty.
    pub part: String,
    /// The owner whose clients are shown; `None` for all clients.
    pub owner: Option<String>,
    pub order: Order,
    /// The number of the page, starting at 1. A number beyond the last page means the last page.
    pub page: usize,
}

/// The order of the clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// The highest risk comes first.
    #[default]
    Risk,
    /// The highest product of risk and value comes first.
    Value,
    /// The names are in alphabetical order.
    Name,
}

impl Order {
    /// The ranking of the agenda for this order.
    pub fn ranking(self) -> Ranking {
        match self {
            Self::Value => Ranking::Value,
            Self::Risk | Self::Name => Ranking::Risk,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Risk => "risk",
            Self::Value => "value",
            Self::Name => "name",
        }
    }
}

impl Asked {
    /// The address of another page of the same clients.
    fn address(&self, order: Order, page: usize) -> String {
        let part = (!self.part.is_empty()).then(|| format!("q={}", encoded(&self.part)));
        let owner = self.owner.as_ref().map(|owner| format!("owner={}", encoded(owner)));
        let order = (order != Order::default()).then(|| format!("order={}", order.name()));
        let page = (page > 1).then(|| format!("page={page}"));
        let query: Vec<String> = [part, owner, order, page].into_iter().flatten().collect();
        if query.is_empty() { "/clients".to_owned() } else { format!("/clients?{}", query.join("&")) }
    }
}

/// A client on the page.
enum Row<'r> {
    /// A client of the call list.
    Listed(&'r Entry),
    /// The name of a client that has left, or, if the list is incomplete, is beyond its end.
    Unlisted(&'r str),
}

/// The page; `unlisted` are the clients outside the call list whose names contain the part.
pub fn page(live: &LiveModel, agenda: &Agenda, unlisted: &[String], asked: &Asked) -> Markup {
    let rows = rows(agenda, unlisted, asked);
    let pages = rows.len().div_ceil(PER_PAGE).max(1);
    let number = asked.page.clamp(1, pages);
    let shown = &rows[(number - 1) * PER_PAGE..(number * PER_PAGE).min(rows.len())];
    let content = html! {
        section id="clients" aria-labelledby="clients-title" {
            h1 id="clients-title" { @if asked.part.is_empty() { "All clients" } @else { "Clients named like “" (asked.part) "”" } }
            p role="status" id="count" { (count(agenda, asked, rows.len(), unlisted.len())) }
            (controls(agenda, asked))
            @if !shown.is_empty() { (table(agenda, shown, asked)) }
            @if pages > 1 { (paging(asked, number, pages)) }
        }
    };
    let place = Some(Place::Clients);
    Frame { title: "All clients", place, search: &asked.part, release: Some(&live.id) }.around(&content)
}

/// All clients that the query asks for, in its order. Clients outside the list come last, by name.
fn rows<'r>(agenda: &'r Agenda, unlisted: &'r [String], asked: &Asked) -> Vec<Row<'r>> {
    let part = asked.part.to_lowercase();
    let id = |entry: &Entry| agenda.call(entry).id.as_str();
    let is_named = |entry: &&Entry| part.is_empty() || id(entry).to_lowercase().contains(&part);
    let owner = asked.owner.as_deref();
    let account = |id: &str| agenda.accounts.as_ref()?.by_client.get(id)?.owner.as_deref();
    let is_of = |id: &str| owner.is_none() || account(id) == owner;
    let wanted = |entry: &&Entry| is_of(id(entry)) && is_named(entry);
    let mut listed: Vec<&Entry> = agenda.entries.iter().filter(wanted).collect();
    if asked.order == Order::Name {
        listed.sort_by_cached_key(|entry| id(entry).to_lowercase());
    }
    let unlisted = unlisted.iter().filter(|id| is_of(id)).map(|id| Row::Unlisted(id));
    listed.into_iter().map(Row::Listed).chain(unlisted).collect()
}

/// How many clients there are, in words.
fn count(agenda: &Agenda, asked: &Asked, rows: usize, unlisted: usize) -> Markup {
    let list = &agenda.list;
    html! {
        @match (rows, asked.part.is_empty()) {
            (0, false) => { "No client's name contains this text. " a href="/clients" { "All clients" } }
            (0, true) => "No client."
            (1, false) => "One client."
            (rows, false) => { (grouped(rows as u64)) " clients." }
            (rows, true) => {
                (grouped(rows as u64)) " current clients"
                @if !list.is_whole() { " with the highest risk, of " (grouped(list.clients as u64)) }
                ". Clients that have left are found by their name."
            }
        }
        @if unlisted > 0 && rows > 1 && list.is_whole() { " Those without a risk have left." }
    }
}

/// The fields for a part of the name and the owner.
fn controls(agenda: &Agenda, asked: &Asked) -> Markup {
    let owners = owners(agenda);
    html! {
        @if !owners.is_empty() {
            div.toolbar {
                form method="get" action="/clients" {
                    @if !asked.part.is_empty() { input type="hidden" name="q" value=(asked.part); }
                    @if asked.order != Order::default() { input type="hidden" name="order" value=(asked.order.name()); }
                    (owner_field(&owners, asked.owner.as_deref()))
                    button { "Show" }
                }
            }
        }
    }
}

fn table(agenda: &Agenda, rows: &[Row], asked: &Asked) -> Markup {
    let has_values = has_values(agenda);
    let has_owners = !owners(agenda).is_empty();
    let name = capitalised(agenda.list.schema().id());
    let column = |order: Order, title: &str| {
        let chosen = asked.order == order;
        let direction = if order == Order::Name { "ascending" } else { "descending" };
        html! {
            th scope="col" role="columnheader" aria-sort=[chosen.then_some(direction)] {
                @if chosen { (title) span.arrow aria-hidden="true" { @if order == Order::Name { " ▲" } @else { " ▼" } } }
                @else { a href=(asked.address(order, 1)) { (title) } }
            }
        }
    };
    html! {
        table.cards.clients role="table" id="found" {
            caption { "The underlined titles of columns change the order." }
            thead role="rowgroup" { tr role="row" {
                th.rank scope="col" role="columnheader" { "Rank" }
                (column(Order::Name, &name))
                (column(Order::Risk, "Risk"))
                th scope="col" role="columnheader" { "Change" }
                @if has_owners { th scope="col" role="columnheader" { "Owner" } }
                @if has_values { (column(Order::Value, "Risk × value")) }
                th scope="col" role="columnheader" { "Call" }
            } }
            tbody role="rowgroup" { @for row in rows { tr role="row" {
                @match row {
                    Row::Listed(entry) => (listed(agenda, entry, has_owners, has_values)),
                    Row::Unlisted(id) => (self::unlisted(agenda, id, has_owners, has_values)),
                }
            } } }
        }
    }
}

fn listed(agenda: &Agenda, entry: &Entry, has_owners: bool, has_values: bool) -> Markup {
    let (call, account) = (agenda.call(entry), agenda.account(entry));
    let at_risk = agenda.value_at_risk(entry);
    html! {
        td.rank role="cell" data-label="Rank" { (grouped(entry.rank as u64)) }
        th scope="row" role="rowheader" { (client_link(&call.id)) }
        td.risk role="cell" data-label="Risk" { (risk(call.risk, agenda.list.threshold)) }
        td.change role="cell" data-label="Change" { (change(call.change())) }
        @if has_owners { td role="cell" data-label="Owner" { (account.and_then(|account| account.owner.as_deref()).unwrap_or("–")) } }
        @if has_values { td.value role="cell" data-label="Risk × value" { (at_risk.map_or_else(|| "–".to_owned(), money)) } }
        td role="cell" data-label="Call" { (turn(entry.turn)) }
    }
}

fn unlisted(agenda: &Agenda, id: &str, has_owners: bool, has_values: bool) -> Markup {
    let state = if agenda.list.is_whole() { "has left" } else { "not among the highest risks" };
    let columns = [("Risk", true), ("Change", true), ("Owner", has_owners), ("Risk × value", has_values)];
    html! {
        td.rank role="cell" data-label="Rank" { "–" }
        th scope="row" role="rowheader" { (client_link(id)) }
        @for (title, shown) in columns { @if shown { td role="cell" data-label=(title) { "–" } } }
        td role="cell" data-label="Call" { (state) }
    }
}

/// Links to the other pages.
fn paging(asked: &Asked, number: usize, pages: usize) -> Markup {
    let link = |page: usize, text: &str| {
        html! {
            @if (1..=pages).contains(&page) && page != number { a href=(asked.address(asked.order, page)) { (text) } }
            @else { span.quiet { (text) } }
        }
    };
    html! {
        nav.paging aria-label="Pages of clients" {
            (link(1, "First")) (link(number - 1, "Previous"))
            span aria-current="page" { "Page " (grouped(number as u64)) " of " (grouped(pages as u64)) }
            (link(number + 1, "Next")) (link(pages, "Last"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_what_was_asked() {
        let asked = Asked { part: "a&b".to_owned(), owner: Some("Ö".to_owned()), ..Asked::default() };
        assert_eq!(asked.address(Order::Name, 3), "/clients?q=a%26b&owner=%C3%96&order=name&page=3");
        assert_eq!(Asked::default().address(Order::Risk, 1), "/clients");
    }
}
