//! The start page: today's calls, the state of the model, its trends, the data, and the program's dependencies.

use std::sync::Arc;

use common::config::Config;
use common::files::csv_files_if_any;
use history::{RunOutcome, RunRow};
use insight::wording::{capitalised, grouped, minutes};
use insight::{Agenda, Cell, Part, Table};
use jiff::Timestamp;
use maud::{Markup, html};

use super::layout::page;
use super::section::{contents, part, section, wide_table};
use crate::live::LiveModel;
use crate::problem::Problem;
use crate::views::{Overview, RankedClients};

/// Maximum number of search results.
const MOST_FOUND: usize = 100;

/// A newest `fullprocess` that started more than this many minutes ago is pointed out: cron starts one every ten
/// minutes.
const OVERDUE: i64 = 60;

pub fn home(live: &LiveModel, agenda: &Agenda, overview: Result<Arc<Overview>, String>) -> Markup {
    let content = html! {
        (calls(agenda))
        @match &overview {
            Ok(overview) => {
                (last_run(overview.last_process.as_ref()))
                @for shown in &overview.sections { (section(shown, live.threshold)) }
            }
            Err(detail) => section id="model" { h2 { "The model" } p.warning { (detail) "." } }
        }
    };
    page("Today's calls", "", Some(&live.id), &content)
}

/// Today's calls, which can be filtered.
fn calls(agenda: &Agenda) -> Markup {
    let (calls, list) = (insight::calls(agenda), &agenda.list);
    html! {
        section id=(calls.id) aria-labelledby="calls-title" {
            h1 id="calls-title" { (calls.title) }
            @for part in &calls.parts {
                @match part {
                    Part::Table(table) => {
                        p.filter hidden {
                            label for="filter" { "Show only calls with " }
                            input type="search" id="filter" autocomplete="off" aria-controls="call-list";
                            " " span role="status" id="filtered" {}
                        }
                        table.calls id="call-list" role="table" data-sortable data-filter="filter" {
                            (contents(table, list.threshold))
                        }
                    }
                    other => (self::part(other, list.threshold)),
                }
            }
        }
    }
}

/// When the newest `fullprocess` ran, and its result.
fn last_run(run: Option<&RunRow>) -> Markup {
    let Some(run) = run else { return html! { p id="last-run" { "No run of fullprocess is recorded." } } };
    let ago = run.started.parse::<Timestamp>().map(|started| (Timestamp::now().as_second() - started.as_second()) / 60);
    let ago = ago.unwrap_or_default().max(0);
    html! {
        p id="last-run" {
            "The last run of fullprocess started " (minutes(&run.started)) " UTC"
            @match ago {
                0 => ", just now"
                1..120 => { ", " (ago) " minutes ago" }
                _ => { ", " (ago / 60) " hours ago" }
            }
            @if run.outcome == RunOutcome::Failed { ", and " strong.warning { "failed" } }
            @if let Some(message) = &run.message { ": " (message) }
            @if ago > OVERDUE { ". " strong.warning { "Check whether cron is still running." } }
        }
    }
}

/// The page with the results of a search.
pub fn found(live: &LiveModel, clients: &RankedClients, text: &str) -> Result<Markup, Problem> {
    let (found, total) =
        clients.search(text, MOST_FOUND).map_err(|error| Problem::not_ready("the search failed", &error))?;
    let unlisted = if clients.list.is_whole() { "has left" } else { "–" };
    let rows = found.into_iter().map(|client| {
        let (risk, rank) = match client.call {
            Some(call) => (Cell::Risk(call.risk), grouped(call.rank as u64)),
            None => (Cell::Text(unlisted.to_owned()), String::new()),
        };
        vec![Cell::Client(client.id), risk, Cell::Text(rank)]
    });
    let mut table = Table::new("Clients found", &["", "#Risk", "#Rank"], rows);
    table.columns[0].title = capitalised(live.model.schema.id());
    let content = html! {
        section id="found" {
            h1 { "Clients named like “" (text) "”" }
            p role="status" {
                @match total {
                    0 => { "No client's name contains this text. " a href="/" { "Today's calls" } }
                    1 => "One client."
                    _ => { (grouped(total as u64)) " clients" @if total > MOST_FOUND { "; the first " (MOST_FOUND) " are shown" } "." }
                }
            }
            @if total > 0 { (wide_table(&table, live.threshold)) }
        }
    };
    Ok(page("Search", text, Some(&live.id), &content))
}

/// The page before the first deployment: what exists, and which command to run.
pub fn nothing_yet(config: &Config, detail: &str) -> Markup {
    let files = csv_files_if_any(&config.input_folder).map_or(0, |files| files.len());
    let compiled = config.output_folder.join(common::files::FINAL_DATA).exists();
    let content = html! {
        section id="empty" {
            h1 { "There is nothing to show yet" }
            p.warning role="status" { (detail) "." }
            ol {
                li {
                    @match files {
                        0 => "The input folder contains no CSV file: put the clients' data there."
                        1 => "The input folder contains one CSV file."
                        _ => { "The input folder contains " (files) " CSV files." }
                    }
                }
                li { @if compiled { "They were compiled." } @else { "They have not been compiled." } }
                li { "On the server, run " code { "fullprocess --config config.json" } ". It compiles the files, trains a model, deploys
                      it and writes the reports. Cron can run it every ten minutes; README.md shows how." }
                li { "Then load this page again." }
            }
        }
    };
    page("Nothing yet", "", None, &content)
}

/// The page if a release is live, but the clients cannot be ranked with it.
pub fn no_clients(live: &LiveModel, detail: &str) -> Markup {
    let content = html! {
        section id="calls" {
            h1 { "Today's calls cannot be shown" }
            p.warning role="status" { (detail) "." }
            p { "Release " (live.id) " still answers requests for predictions; see " a href="/docs/" { "the description of the API" } "." }
        }
    };
    page("Today's calls", "", Some(&live.id), &content)
}
