//! The page of one client.

pub mod what_if;

use actix_web::http::StatusCode;
use common::schema::{Kind, Predictor};
use common::values::Value;
use insight::wording::{grouped, label_with_unit, number, number_if_known, whole_percent};
use insight::{Agenda, Call, CallList, Cell, Column, Table, Turn};
use maud::{Markup, html};

use self::what_if::WhatIf;
use super::layout::{change, chart, page, risk};
use super::section::wide_table;
use crate::live::LiveModel;
use crate::problem::Problem;
use crate::views::{RankedClients, ScoredRow};

/// Maximum number of rows on the page; the newest ones are shown.
const ROWS_SHOWN: usize = 200;

/// Maximum number of reasons that are shown at once.
const MOST_REASONS: usize = 10;

/// Maximum number of predictors in the first table of a client's rows.
const MOST_COLUMNS: usize = 8;

/// The page of the client `id` and its HTTP status.
pub fn page_of(
    live: &LiveModel,
    clients: &RankedClients,
    agenda: &Agenda,
    id: &str,
    what_if: &WhatIf,
) -> Result<(StatusCode, Markup), Problem> {
    let rows = clients.rows(id, live).map_err(|error| Problem::not_ready("the client's rows", &error))?;
    let Some(newest) = rows.last() else {
        let content = html! {
            h1 { "No client has this name" }
            p { "The compiled data do not contain “" (id) "”. Search for a part of the name, or see "
                a href="/" { "today's calls" } "." }
        };
        return Ok((StatusCode::NOT_FOUND, page("No such client", "", Some(&live.id), &content)));
    };
    let previous = rows.iter().rev().nth(1).map(|row| row.risk);
    let call = clients.call(id).cloned().unwrap_or_else(|| Call {
        rank: 0,
        id: id.to_owned(),
        risk: newest.risk,
        previous_risk: previous,
        predictors: newest.predictors.clone(),
    });
    let is_called = agenda.entry(id).is_some_and(|entry| entry.turn == Turn::Today);
    let asked = what_if.asked(&live.model.schema, &call.predictors);
    let status = match asked {
        Some(Err(_)) => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::OK,
    };
    let risks: Vec<_> = rows.iter().enumerate().map(|(row, scored)| ((row + 1).to_string(), scored.risk)).collect();
    let svg = charts::client_risks(&risks, live.threshold.value())
        .map_err(|error| Problem::not_ready("the chart failed", &error))?;
    let content = html! {
        h1 { (id) }
        (summary(&clients.list, &call, is_called, newest.exited))
        section aria-labelledby="why-title" {
            h2 id="why-title" { "Why" }
            (reasons(clients.list.reasons_in_words(&call).collect()))
        }
        (what_if::form(live, &call, asked))
        section aria-labelledby="rows-title" {
            h2 id="rows-title" { "Its rows" }
            @if let Some(svg) = &svg { (chart("Risk of leaving, row by row", svg)) }
            (tables(live, &rows, &clients.list.reasons(&call).map(|reason| reason.predictor).collect::<Vec<_>>()))
        }
    };
    Ok((status, page(id, "", Some(&live.id), &content)))
}

fn summary(list: &CallList, call: &Call, is_called: bool, exited: Option<bool>) -> Markup {
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
                    @if is_called { ", one of today's calls" }
                } @else if exited == Some(true) { "It has left." }
                @else { "It is not among the " (grouped(list.calls.len() as u64)) " clients with the highest risk. Only these are ranked." }
            }
            dt { "What would lower the risk below " (whole_percent(list.threshold.value())) }
            dd { (list.remedy_in_words(call)) }
        }
    }
}

/// The reasons, of which the weaker ones are hidden until they are opened.
fn reasons(sentences: Vec<String>) -> Markup {
    let (shown, hidden) = sentences.split_at(sentences.len().min(MOST_REASONS));
    html! {
        ul { @for sentence in shown { li { (sentence) } } }
        @if !hidden.is_empty() {
            details {
                summary { (hidden.len()) " weaker reasons" }
                ul { @for sentence in hidden { li { (sentence) } } }
            }
        }
    }
}

/// A client's rows. If there are many predictors, a first table has those with the strongest effect on the client's risk;
/// `strongest` names all of them, the strongest first.
fn tables(live: &LiveModel, rows: &[ScoredRow], strongest: &[String]) -> Markup {
    let predictors = live.model.schema.predictors();
    let all: Vec<usize> = (0..predictors.len()).collect();
    if all.len() <= MOST_COLUMNS {
        return wide_table(&rows_table(live, rows, &all, ""), live.threshold);
    }
    let strongest = &strongest[..MOST_COLUMNS];
    let some: Vec<usize> = all.iter().copied().filter(|j| strongest.contains(&predictors[*j].name)).collect();
    let note =
        format!(" Of {} columns, the {MOST_COLUMNS} with the strongest effect on this client's risk.", all.len());
    html! {
        (wide_table(&rows_table(live, rows, &some, &note), live.threshold))
        details {
            summary { "All " (all.len()) " columns" }
            (wide_table(&rows_table(live, rows, &all, ""), live.threshold))
        }
    }
}

/// A client's rows with some of the predictors, newest first; `note` follows the explanation.
fn rows_table(live: &LiveModel, rows: &[ScoredRow], predictors: &[usize], note: &str) -> Table {
    let text = |title: &str, is_number| Column { title: title.to_owned(), is_number };
    let of_predictor = |j: &usize| {
        let predictor = &live.model.schema.predictors()[*j];
        text(&label_with_unit(predictor), !predictor.is_category())
    };
    let columns = [text("Row", true)].into_iter().chain(predictors.iter().map(of_predictor));
    let columns = columns.chain([text("Left", false), text("Risk", true)]).collect();
    let cells = rows.iter().enumerate().rev().take(ROWS_SHOWN).map(|(index, row)| {
        let exited = row.exited.map_or("unknown", |exited| if exited { "yes" } else { "no" });
        let value = |j: &usize| {
            let predictor = &live.model.schema.predictors()[*j];
            let text = row.predictors[*j].as_ref().map(|value| in_table(predictor, value));
            Cell::Text(text.unwrap_or_else(|| number_if_known(None)))
        };
        let position = Cell::Text((index + 1).to_string());
        let values = [position].into_iter().chain(predictors.iter().map(value));
        values.chain([Cell::Text(exited.to_owned()), Cell::Risk(row.risk)]).collect()
    });
    let caption = "Newest first. All risks are those of the live model.";
    let caption = match rows.len() > ROWS_SHOWN {
        true => format!("{caption} The newest {ROWS_SHOWN} of {} rows are shown.{note}", grouped(rows.len() as u64)),
        false => format!("{caption}{note}"),
    };
    Table { label: "Rows of the client", caption, columns, rows: cells.collect() }
}

/// A value as it is in the data, if it is a text or a number of few characters.
fn in_table(predictor: &Predictor, value: &Value) -> String {
    match value {
        Value::Level(level) => level.clone(),
        Value::Number(count) if predictor.kind == Kind::Count => number(*count),
        Value::Number(other) => {
            let text = other.to_string();
            if text.len() <= LONGEST_NUMBER { text } else { number(*other) }
        }
    }
}

/// Maximum length of a number that is shown as it is.
const LONGEST_NUMBER: usize = 10;

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
        let text = |list: &CallList, exited| summary(list, &beyond, false, exited).into_string();
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
