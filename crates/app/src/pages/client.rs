//! The page of one client.

use actix_web::http::StatusCode;
use common::config::Threshold;
use common::model::schema::{PREDICTORS, Predictors};
use dataset::row::parse_count;
use insight::wording::{capitalised, grouped, label, number_if_known, percent, points, whole_percent};
use insight::{Call, CallList, Cell, Table};
use maud::{Markup, html};
use serde::Deserialize;

use super::layout::{change, chart, page, risk};
use super::section::wide_table;
use crate::live::LiveModel;
use crate::problem::Problem;
use crate::views::{RankedClients, ScoredRow};

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
    clients: &RankedClients,
    corporation: &str,
    what_if: &WhatIf,
) -> Result<(StatusCode, Markup), Problem> {
    let rows = clients.rows(corporation, live).map_err(|error| Problem::not_ready("the client's rows", &error))?;
    let Some(newest) = rows.last() else {
        let content = html! {
            h1 { "No client has this name" }
            p { "The compiled data do not contain “" (corporation) "”. Search for a part of the name, or see "
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
    let what_if = what_if.predictors(&call.predictors);
    let status = match what_if {
        Some(Err(_)) => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::OK,
    };
    let risks: Vec<f64> = rows.iter().map(|row| row.risk).collect();
    let svg = charts::client_risks(&risks, live.threshold.value())
        .map_err(|error| Problem::not_ready("the chart failed", &error))?;
    let content = html! {
        h1 { (corporation) }
        (summary(&clients.list, &call, newest.exited))
        section aria-labelledby="why-title" {
            h2 id="why-title" { "Why" }
            ul { @for reason in clients.list.reasons_in_words(&call) { li { (reason) } } }
        }
        (what_if_form(live, &call, what_if))
        section aria-labelledby="rows-title" {
            h2 id="rows-title" { "Its rows" }
            (chart("Risk of leaving, row by row", &svg))
            (wide_table(&rows_table(&rows), live.threshold))
        }
    };
    Ok((status, page(corporation, "", Some(&live.id), &content)))
}

fn summary(list: &CallList, call: &Call, exited: Option<bool>) -> Markup {
    html! {
        dl {
            dt { "Risk of leaving" }
            dd {
                (risk(call.risk, list.threshold))
                @match call.change() {
                    None => ", from its only row",
                    difference => { ", " (change(difference)) " percentage points since its previous row" }
                }
            }
            dt { "Rank" }
            dd {
                @if call.rank > 0 {
                    (grouped(call.rank as u64)) " of " (grouped(list.clients as u64))
                    @if call.today { ", one of today's calls" }
                } @else if exited == Some(true) { "It has left." }
                @else { "It is not among the " (grouped(list.calls.len() as u64)) " clients with the highest risk. Only these are ranked." }
            }
            dt { "What would lower the risk below " (whole_percent(list.threshold.value())) }
            dd { (list.remedy_in_words(call)) }
        }
    }
}

/// The form for other numbers, and the risk that they give.
fn what_if_form(live: &LiveModel, call: &Call, what_if: Option<Result<Predictors, String>>) -> Markup {
    let shown = match &what_if {
        Some(Ok(predictors)) => *predictors,
        _ => call.predictors,
    };
    html! {
        section aria-labelledby="what-if-title" id="what-if" {
            h2 id="what-if-title" { "What if" }
            form.what-if method="get" action="#what-if" {
                @for (column, value) in PREDICTORS.into_iter().zip(shown) {
                    label for=(column) { (capitalised(label(column))) }
                    input type="number" min="0" step="any" id=(column) name=(column) value=[value] placeholder="unknown";
                }
                button { "Show the risk" }
            }
            @match what_if {
                None => p { "Change a number to see what the risk would be. The data are not changed." }
                Some(Err(wrong)) => p.warning role="alert" { (wrong) "; enter counts, 0 or larger." }
                Some(Ok(predictors)) => (answer(call, live.model.probability(&predictors), live.threshold))
            }
        }
    }
}

fn answer(call: &Call, then: f64, threshold: Threshold) -> Markup {
    let leaves = |risk: f64| risk >= threshold.value();
    html! {
        p role="status" id="answer" {
            "With these numbers the risk would be " strong { (percent(then)) } " instead of " (percent(call.risk)) " ("
            (points(then - call.risk)) " percentage points)"
            @match (leaves(call.risk), leaves(then)) {
                (true, false) => "; the client would no longer be predicted to leave."
                (false, true) => "; the client would be predicted to leave."
                _ => "."
            }
        }
    }
}

/// A client's rows, newest first.
fn rows_table(rows: &[ScoredRow]) -> Table {
    let cells = rows.iter().enumerate().rev().take(ROWS_SHOWN).map(|(index, row)| {
        let exited = row.exited.map_or("unknown", |exited| if exited { "yes" } else { "no" });
        let predictors = row.predictors.map(|value| Cell::Text(number_if_known(value)));
        let number = Cell::Text((index + 1).to_string());
        [number].into_iter().chain(predictors).chain([Cell::Text(exited.to_owned()), Cell::Risk(row.risk)]).collect()
    });
    let predictors = PREDICTORS.map(|column| format!("#{}", capitalised(label(column))));
    let columns = [&["#Row"], &predictors.each_ref().map(String::as_str)[..], &["Left", "#Risk"]].concat();
    let caption = "Newest first. All risks are those of the live model.";
    Table::new("Rows of the client", &columns, cells).with_caption(match rows.len() > ROWS_SHOWN {
        true => format!("{caption} The newest {ROWS_SHOWN} of {} rows are shown.", grouped(rows.len() as u64)),
        false => caption.to_owned(),
    })
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
        let text = |list: &CallList, exited| summary(list, &beyond, exited).into_string();
        assert!(list.is_whole() && text(&list, Some(true)).contains("It has left."));
        // As with a cluster engine, whose list ends before its clients do.
        list.calls.truncate(5);
        for exited in [Some(false), None] {
            let text = text(&list, exited);
            assert!(text.contains("not among the 5 clients with the highest risk") && !text.contains("left"), "{text}");
        }
        assert!(!list.is_whole() && text(&list, Some(true)).contains("It has left."));
    }
}
