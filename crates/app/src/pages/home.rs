//! The start page: today's calls, the state of the model, its trends, the data, and the program's dependencies.

use std::sync::Arc;

use common::config::Config;
use common::files::csv_files_if_any;
use common::model::schema::PREDICTORS;
use history::{RunOutcome, RunRow};
use jiff::Timestamp;
use maud::{Markup, html};
use reporting::call_list::{Call, CallList};
use reporting::evidence::Evidence;
use reporting::words::{check_in_words, grouped, minutes, number, percent};
use statistics::interval;

use super::layout::{change, chart, client_link, page, risk, wide_table};
use crate::live::LiveModel;
use crate::problem::Problem;
use crate::views::{Clients, Overview};

/// Maximum number of calls on the page and of search results; the API provides all.
const SHOWN: usize = 100;

/// Maximum number of files of the dataset that are shown, newest first.
const FILES_SHOWN: usize = 15;

/// A newest `fullprocess` that started more than this many minutes ago is pointed out: cron starts one every ten
/// minutes.
const OVERDUE: i64 = 60;

pub fn home(live: &LiveModel, clients: &Clients, overview: Result<Arc<Overview>, String>) -> Markup {
    let content = html! {
        (calls(&clients.list))
        @match &overview {
            Ok(overview) => {
                (model(live, overview))
                (trends(overview))
                (data(&overview.evidence))
                (dependencies(&overview.evidence))
            }
            Err(detail) => section id="model" { h2 { "The model" } p.warning { (detail) "." } }
        }
    };
    page("Today's calls", "", Some(&live.id), &content)
}

/// The page with the results of a search.
pub fn found(live: &LiveModel, clients: &Clients, part: &str) -> Result<Markup, Problem> {
    let (found, total) =
        clients.search(part, SHOWN).map_err(|error| Problem::not_ready("the search failed", &error))?;
    let content = html! {
        section id="found" {
            h1 { "Clients named like “" (part) "”" }
            p role="status" {
                @match total {
                    0 => { "No client's name holds this. " a href="/" { "Today's calls" } }
                    1 => "One client."
                    _ => { (grouped(total as u64)) " clients" @if total > SHOWN { ", the first " (SHOWN) " of them" } "." }
                }
            }
            @if total > 0 {
                div.wide role="region" aria-label="Clients found" tabindex="0" {
                    table data-sortable {
                        thead { tr {
                            th scope="col" { "Corporation" }
                            th.number scope="col" { "Risk" }
                            th.number scope="col" { "Place" }
                        } }
                        tbody {
                            @for client in &found {
                                tr {
                                    th scope="row" { (client_link(&client.corporation)) }
                                    @match &client.call {
                                        Some(call) => {
                                            td.number data-value=(call.risk) { (risk(call.risk, live.threshold)) }
                                            td.number data-value=(call.rank) { (grouped(call.rank as u64)) }
                                        }
                                        None => { td.number { @if clients.list.is_whole() { "has left" } @else { "–" } } td.number {} }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    };
    Ok(page("Search", part, Some(&live.id), &content))
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
                        0 => "The input folder holds no CSV file: put the clients' data there."
                        1 => "The input folder holds one CSV file."
                        _ => { "The input folder holds " (files) " CSV files." }
                    }
                }
                li { @if compiled { "They were compiled." } @else { "They have not been compiled." } }
                li { "On the server, run " code { "fullprocess --config config.json" } ": it compiles them, trains a model, deploys it and
                      reports. Cron can do so every ten minutes; README shows how." }
                li { "Then load this page again." }
            }
        }
    };
    page("Nothing yet", "", None, &content)
}

fn calls(list: &CallList) -> Markup {
    let shown = list.called.min(SHOWN);
    html! {
        section id="calls" aria-labelledby="calls-title" {
            h1 id="calls-title" { "Whom to call today" }
            p {
                "Of " (grouped(list.clients as u64)) " current clients the " (grouped(list.called as u64))
                " most at risk are today's calls. Of them " (format!("{:.1}", list.expected.expected)) " are expected to leave ("
                (list.expected.low) " to " (list.expected.high) " with 95 % confidence, if the model's probabilities are right); of as many
                called at random it would be " (format!("{:.1}", list.at_random)) "."
            }
            @if shown == 0 { p.warning { "There is no current client in the compiled data." } }
            @else {
                p.filter hidden {
                    label for="filter" { "Show only calls with " }
                    input type="search" id="filter" autocomplete="off" aria-controls="call-list";
                    " " span role="status" id="filtered" {}
                }
                table.calls id="call-list" role="table" data-sortable data-filter="filter" {
                    caption { "Highest risk first. Change: percentage points since the client's row before. From a risk of "
                        (percent(list.threshold.value())) " on a client counts as leaving." }
                    thead role="rowgroup" { tr role="row" {
                        th.number scope="col" role="columnheader" { "Place" }
                        th scope="col" role="columnheader" { "Corporation" }
                        th.number scope="col" role="columnheader" { "Risk" }
                        th.number scope="col" role="columnheader" { "Change" }
                        th scope="col" role="columnheader" { "Why, against the average client" }
                        th scope="col" role="columnheader" { "Under the threshold with" }
                    } }
                    tbody role="rowgroup" { @for call in &list.calls[..shown] { (row(list, call)) } }
                }
                @if shown < list.called {
                    p { "The other " (grouped((list.called - shown) as u64)) " calls stand in calllist.csv and in "
                        a href={ "/calllist?limit=" (list.called) } { "the API's list" } "." }
                }
            }
        }
    }
}

fn row(list: &CallList, call: &Call) -> Markup {
    html! {
        tr role="row" {
            td.number role="cell" data-label="Place" { (call.rank) }
            th scope="row" role="rowheader" { (client_link(&call.corporation)) }
            td.number role="cell" data-label="Risk" data-value=(call.risk) { (risk(call.risk, list.threshold)) }
            td.number role="cell" data-label="Change" data-value=(call.change().unwrap_or(0.0)) { (change(call.change())) }
            td role="cell" data-label="Why" {
                ul { @for reason in list.reasons(call).take(2) { li { (reason.to_string()) } } }
            }
            td role="cell" data-label="Under the threshold with" { (list.what_would_help(call).to_string()) }
        }
    }
}

fn model(live: &LiveModel, overview: &Overview) -> Markup {
    let evidence = &overview.evidence;
    let (score, training) = (&evidence.score, &evidence.model.training);
    let interval = interval::f1(&score.confusion);
    html! {
        section id="model" aria-labelledby="model-title" {
            h2 id="model-title" { "The model" }
            dl {
                dt { "Release" }
                dd { code { (live.id) } ", deployed " (live.release.manifest.created.strftime("%Y-%m-%d %H:%M")) " UTC, trained on "
                    (grouped(training.rows)) " rows of which " (grouped(training.exited)) " left"
                    @if evidence.has_newer_data() { "; the compiled data are newer" } }
                dt { "Score on the test data" }
                dd { "F1 " strong { (format!("{:.4}", score.f1)) }
                    @if let Some(interval) = interval { " (95 %: " (format!("{:.4}", interval.low)) " to " (format!("{:.4}", interval.high)) ")" }
                    " on " (grouped(score.n)) " rows; precision " (format!("{:.4}", score.precision)) ", recall " (format!("{:.4}", score.recall)) }
                dt { "Drift" }
                dd { @match evidence.checks_of_live().last() {
                    Some(check) => { span class=[check.drifted.then_some("warning")] { (check_in_words(check)) }
                        ", checked " (minutes(&check.started)) " UTC" }
                    None => "No new rows have come since it is live."
                } }
                dt { "Last run" }
                dd { @match &overview.last_process { Some(run) => (last_run(run)), None => "No fullprocess is recorded." } }
                dt { "Why it is live" }
                dd { (why_live(evidence)) }
            }
            (wide_table("What moves the risk", &[("Predictor", false), ("Coefficient", true), ("Standard error", true), ("Average", true)],
                &(0..PREDICTORS.len()).map(|j| vec![
                    PREDICTORS[j].to_owned(), number(evidence.model.coefficients[j]),
                    number(evidence.model.standard_errors[j]), number(evidence.model.averages()[j]),
                ]).collect::<Vec<_>>()))
        }
    }
}

/// When the newest `fullprocess` ran, and its result.
fn last_run(run: &RunRow) -> Markup {
    let ago = run.started.parse::<Timestamp>().map(|started| (Timestamp::now().as_second() - started.as_second()) / 60);
    let ago = ago.unwrap_or_default().max(0);
    let failed = run.outcome == RunOutcome::Failed;
    html! {
        (minutes(&run.started)) " UTC"
        @match ago {
            0 => ", just now"
            1..120 => { ", " (ago) " minutes ago" }
            _ => { ", " (ago / 60) " hours ago" }
        }
        @if failed { ": " strong.warning { "failed" } }
        @if let Some(message) = &run.message { ": " (message) }
        @if ago > OVERDUE { ". " strong.warning { "Is cron still running?" } }
    }
}

fn why_live(evidence: &Evidence) -> Markup {
    let comparison = evidence.comparison();
    html! {
        @match comparison.first() {
            None => "It was deployed by hand or before there was a record of what it was held against.",
            Some(first) => {
                @if let Some(check) = evidence.check_that_led_here() { "The release before it had drifted: " (check_in_words(check)) ". " }
                "On the same " (grouped(first.compared.confusion.n())) " test rows: "
                @for (index, row) in comparison.iter().enumerate() {
                    @if index > 0 { ", " } (row.compared.model) " " (format!("{:.4}", row.compared.confusion.f1()))
                }
                "."
                @for warning in &first.promotion.warnings {
                    " " span.warning { (warning) "." }
                }
            }
        }
    }
}

fn trends(overview: &Overview) -> Markup {
    html! {
        section id="trends" aria-labelledby="trends-title" {
            h2 id="trends-title" { "Over time, and over clients" }
            div.charts { @for (label, svg) in &overview.charts { (chart(label, svg)) } }
        }
    }
}

fn data(evidence: &Evidence) -> Markup {
    let ingested = &evidence.ingested;
    let columns = evidence.missing.iter().map(|missing| {
        let statistics = evidence.summary.iter().find(|column| column.column == missing.column);
        let numbers = statistics.map_or([None; 4], |s| [s.mean, s.median, s.std, s.mode]);
        let numbers = numbers.map(|value| value.map_or_else(|| "–".to_owned(), number));
        [missing.column.to_owned()].into_iter().chain(numbers).chain([format!("{:.2} %", missing.percent)]).collect()
    });
    let newest = ingested.files.iter().rev().take(FILES_SHOWN);
    let files = newest.map(|file| {
        let missing = file.missing.values().sum();
        let counts = [file.rows, file.duplicates, file.quarantined, missing].map(grouped);
        [file.name.clone()].into_iter().chain(counts).collect()
    });
    html! {
        section id="data" aria-labelledby="data-title" {
            h2 id="data-title" { "The data" }
            p { "The compiled data have " (grouped(ingested.rows)) " distinct rows from " (grouped(ingested.files.len() as u64)) " files. "
                (grouped(ingested.contradictory_corporations)) " corporations stand in them both as having left and as having stayed." }
            (wide_table("Columns of the data",
                &[("Column", false), ("Mean", true), ("Median", true), ("Standard deviation", true), ("Mode", true), ("Missing", true)],
                &columns.collect::<Vec<_>>()))
            (wide_table("Newest files of the data",
                &[("File", false), ("Rows", true), ("Duplicates", true), ("Quarantined", true), ("Missing values", true)],
                &files.collect::<Vec<_>>()))
        }
    }
}

fn dependencies(evidence: &Evidence) -> Markup {
    let rows = evidence.dependencies.iter().map(|dependency| {
        let known = dependency.last_known.as_ref();
        let newest = known.map_or_else(|| "unknown".to_owned(), |known| known.version.clone());
        let seen = known.map_or_else(String::new, |known| known.seen.get(..10).unwrap_or_default().to_owned());
        vec![dependency.name.clone(), dependency.current.clone(), newest, seen]
    });
    html! {
        section id="dependencies" aria-labelledby="dependencies-title" {
            h2 id="dependencies-title" { "What the program is made of" }
            details {
                summary { (evidence.dependencies.len()) " dependencies" }
                (wide_table("Dependencies",
                    &[("Dependency", false), ("In this program", true), ("Newest known", true), ("Seen", true)],
                    &rows.collect::<Vec<_>>()))
            }
        }
    }
}
