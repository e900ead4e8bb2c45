//! The page of one client.

use actix_web::http::StatusCode;
use common::config::Threshold;
use common::model::schema::{PREDICTORS, Predictors};
use dataset::row::parse_count;
use insight::call_list::{Call, CallList};
use insight::words::{grouped, number, percent, points};
use maud::{Markup, html};
use serde::Deserialize;

use super::layout::{change, chart, page, risk};
use crate::live::LiveModel;
use crate::problem::Problem;
use crate::views::{ClientRow, Clients};

/// Maximum number of rows on the page; the newest ones are shown.
const ROWS_SHOWN: usize = 200;

/// The "what if" numbers for a client, as given in the query of the page's URL.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhatIf {
    lastmonth_activity: Option<String>,
    lastyear_activity: Option<String>,
    number_of_employees: Option<String>,
}

impl WhatIf {
    /// Returns the requested numbers, or an error that says which one is invalid; `None` if nothing is requested. An
    /// empty text means unknown; predictors that the query omits keep their current value `now`.
    fn predictors(&self, now: &Predictors) -> Option<Result<Predictors, String>> {
        let texts = [&self.lastmonth_activity, &self.lastyear_activity, &self.number_of_employees];
        texts.iter().any(|text| text.is_some()).then(|| {
            let mut predictors = *now;
            for ((predictor, text), column) in predictors.iter_mut().zip(texts).zip(PREDICTORS) {
                *predictor = match text.as_deref().map(str::trim) {
                    None => *predictor,
                    Some("") => None,
                    Some(text) => {
                        let value = parse_count(column, text.as_bytes()).map_err(|wrong| wrong.to_string())?;
                        Some(value.ok_or_else(|| format!("{column} is not a number"))?)
                    }
                };
            }
            Ok(predictors)
        })
    }
}

/// The page of `corporation` and its HTTP status.
pub fn page_of(
    live: &LiveModel,
    clients: &Clients,
    corporation: &str,
    what_if: &WhatIf,
) -> Result<(StatusCode, Markup), Problem> {
    let rows = clients.rows(corporation, live).map_err(|error| Problem::not_ready("the client's rows", &error))?;
    let Some(newest) = rows.last() else {
        let content = html! {
            h1 { "No client has this name" }
            p { "“" (corporation) "” does not stand in the compiled data. Search for a part of the name, or see "
                a href="/" { "today's calls" } "." }
        };
        return Ok((StatusCode::NOT_FOUND, page("No such client", "", Some(&live.id), &content)));
    };
    let previous = rows.iter().rev().nth(1).map(|row| row.risk);
    let call = clients.call(corporation).cloned().unwrap_or_else(|| Call {
        rank: 0,
        corporation: corporation.to_owned(),
        today: false,
        risk: newest.risk,
        previous_risk: previous,
        predictors: newest.predictors,
    });
    let asked = what_if.predictors(&call.predictors);
    let status = match asked {
        Some(Err(_)) => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::OK,
    };
    let risks: Vec<f64> = rows.iter().map(|row| row.risk).collect();
    let threshold = live.threshold.value();
    let svg = charts::screen(|area| charts::risk_over_rows(area, &risks, threshold))
        .map_err(|error| Problem::not_ready("the chart failed", &error))?;
    let content = html! {
        h1 { (corporation) }
        (standing(&clients.list, &call, newest.exited))
        (reasons(clients, &call))
        (ask(live, &call, asked))
        section aria-labelledby="rows-title" {
            h2 id="rows-title" { "Its rows" }
            (chart("Risk of leaving, row by row", &svg))
            (table(&rows, live.threshold))
        }
    };
    Ok((status, page(corporation, "", Some(&live.id), &content)))
}

fn standing(list: &CallList, call: &Call, exited: Option<bool>) -> Markup {
    html! {
        dl {
            dt { "Risk of leaving" }
            dd {
                (risk(call.risk, list.threshold))
                @match call.change() {
                    None => ", from its only row",
                    difference => { ", " (change(difference)) " percentage points since its row before" }
                }
            }
            dt { "Place" }
            dd {
                @if call.rank > 0 {
                    (grouped(call.rank as u64)) " of " (grouped(list.clients as u64))
                    @if call.today { ", one of today's calls" }
                } @else if exited == Some(true) { "It has left." }
                @else {
                    "It is not among the " (grouped(list.calls.len() as u64)) " clients of the highest risk, which alone are ranked."
                }
            }
            dt { "What would bring it under " (percent(list.threshold.value())) }
            dd { (list.what_would_help(call).to_string()) }
        }
    }
}

fn reasons(clients: &Clients, call: &Call) -> Markup {
    html! {
        section aria-labelledby="why-title" {
            h2 id="why-title" { "Why" }
            ul { @for reason in clients.list.reasons(call) { li { (reason.to_string()) } } }
        }
    }
}

/// The form for other numbers, and the risk that they give.
fn ask(live: &LiveModel, call: &Call, asked: Option<Result<Predictors, String>>) -> Markup {
    let shown = match &asked {
        Some(Ok(predictors)) => *predictors,
        _ => call.predictors,
    };
    html! {
        section aria-labelledby="what-if-title" id="what-if" {
            h2 id="what-if-title" { "What if" }
            form.what-if method="get" action="#what-if" {
                @for (column, value) in PREDICTORS.into_iter().zip(shown) {
                    label for=(column) { (label(column)) }
                    input type="number" min="0" step="any" id=(column) name=(column) value=[value] placeholder="unknown";
                }
                button { "Show the risk" }
            }
            @match asked {
                None => p { "Change a number to see what the risk would be. The data stay as they are." }
                Some(Err(wrong)) => p.warning role="alert" { (wrong) "; the numbers are counts from 0 on." }
                Some(Ok(predictors)) => (answer(live, call, &predictors))
            }
        }
    }
}

fn answer(live: &LiveModel, call: &Call, predictors: &Predictors) -> Markup {
    let then = live.model.probability(predictors);
    let leaves = |risk: f64| risk >= live.threshold.value();
    html! {
        p role="status" id="answer" {
            "With these numbers the risk would be " strong { (percent(then)) } " instead of " (percent(call.risk)) " ("
            (points(then - call.risk)) " percentage points)"
            @match (leaves(call.risk), leaves(then)) {
                (true, false) => ": it would no longer count as leaving."
                (false, true) => ": it would count as leaving."
                _ => "."
            }
        }
    }
}

fn table(rows: &[ClientRow], threshold: Threshold) -> Markup {
    let cell = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), number);
    html! {
        div.wide role="region" aria-label="Rows of the client" tabindex="0" {
            table {
                caption { "Newest first; all judged by the model that is live now."
                    @if rows.len() > ROWS_SHOWN { " The newest " (ROWS_SHOWN) " of " (grouped(rows.len() as u64)) "." } }
                thead { tr {
                    th.number scope="col" { "Row" }
                    @for column in PREDICTORS { th.number scope="col" { (label(column)) } }
                    th scope="col" { "Left" }
                    th.number scope="col" { "Risk" }
                } }
                tbody {
                    @for (place, row) in rows.iter().enumerate().rev().take(ROWS_SHOWN) {
                        tr {
                            th.number scope="row" { (place + 1) }
                            @for value in row.predictors { td.number { (cell(value)) } }
                            td { @match row.exited { Some(true) => "yes", Some(false) => "no", None => "unknown" } }
                            td.number { (risk(row.risk, threshold)) }
                        }
                    }
                }
            }
        }
    }
}

/// The label of a column for readers.
fn label(column: &str) -> &str {
    match column {
        "lastmonth_activity" => "Last month's activity",
        "lastyear_activity" => "Last year's activity",
        "number_of_employees" => "Employees",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Live;
    use crate::views::Views;
    use testkit::Workspace;

    #[test]
    fn only_a_client_known_to_have_left_is_said_to_have_left() {
        let workspace = Workspace::with_data();
        workspace.deploy();
        let config = workspace.config();
        let live = Live::new(&config).model().unwrap();
        let mut list = (*Views::default().clients(&config, &live).unwrap().list).clone();
        let beyond = Call { rank: 0, ..list.calls[5].clone() };
        let text = |list: &CallList, exited| standing(list, &beyond, exited).into_string();
        assert!(list.is_whole() && text(&list, Some(true)).contains("It has left."));
        // As with a cluster engine, whose list ends before its clients do.
        list.calls.truncate(5);
        for exited in [Some(false), None] {
            let text = text(&list, exited);
            assert!(text.contains("not among the 5 clients of the highest risk") && !text.contains("left"), "{text}");
        }
        assert!(!list.is_whole() && text(&list, Some(true)).contains("It has left."));
    }
}
