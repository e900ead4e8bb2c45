//! The page of one client.

mod rows;
pub mod what_if;

use actix_web::http::StatusCode;
use history::Contact;
use insight::wording::{capitalised, grouped, number, value};
use insight::{Agenda, Call, CallList, Entry, Table};
use maud::{Markup, html};

use self::what_if::WhatIf;
use super::layout::{Frame, Place, change, client_path, level, risk, sentence, turn};
use super::section::table;
use super::{account, contact};
use crate::live::LiveModel;
use crate::problem::Problem;
use crate::views::RankedClients;

/// What a client's page is made of, besides the live model.
pub struct Known<'k> {
    pub clients: &'k RankedClients,
    pub agenda: &'k Agenda,
    /// The client's contacts, newest first; an error says why they are unknown.
    pub contacts: Result<Vec<Contact>, String>,
    /// The values of the "what if" form.
    pub what_if: &'k WhatIf,
}

/// The page of the client `id` and its HTTP status.
pub fn page_of(live: &LiveModel, id: &str, known: &Known) -> Result<(StatusCode, Markup), Problem> {
    let frame = Frame { title: id, place: Some(Place::Clients), release: Some(&live.id), ..Frame::default() };
    let failed = |error| Problem::not_ready("the client's rows cannot be read", &error);
    let (rows, files) = (known.clients.rows(id, live).map_err(failed)?, known.clients.files(id).map_err(failed)?);
    let Some(newest) = rows.last() else {
        let content = html! {
            h1 { "No client has this name" }
            p { "The compiled data do not contain “" (id) "”. Search for a part of the name, or see "
                a href="/" { "today's calls" } " or " a href="/clients" { "all clients" } "." }
        };
        let frame = Frame { title: "No such client", place: None, ..frame };
        return Ok((StatusCode::NOT_FOUND, frame.around(&content)));
    };
    let agenda = known.agenda;
    let entry = agenda.entry(id);
    let call = entry.map(|entry| agenda.call(entry).clone()).unwrap_or_else(|| Call {
        rank: 0,
        id: id.to_owned(),
        risk: newest.risk,
        previous_risk: rows.iter().rev().nth(1).map(|row| row.risk),
        predictors: newest.predictors.clone(),
    });
    let asked = known.what_if.asked(&live.model.schema, &call.predictors);
    let status = match asked {
        Some(Err(_)) => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::OK,
    };
    let list = &*agenda.list;
    let content = html! {
        h1 { (id) " " @if let Some(entry) = entry { (turn(entry.turn)) } }
        div.columns {
            div {
                (summary(agenda, &call, entry, newest.exited))
                section aria-labelledby="why-title" {
                    h2 id="why-title" { "Why, and what would help" }
                    @for told in list.story(&call) { p.story { (sentence(&told)) } }
                }
            }
            (calls(id, &known.contacts))
        }
        (what_if::form(live, &call, asked))
        (rows::section(live, &rows, files.as_deref(), list, &call)?)
        (contributions(list, &call))
    };
    Ok((status, frame.around(&content)))
}

fn summary(agenda: &Agenda, call: &Call, entry: Option<&Entry>, exited: Option<bool>) -> Markup {
    let list = &agenda.list;
    let account = agenda.accounts.as_deref().and_then(|accounts| Some((accounts, accounts.by_client.get(&call.id)?)));
    html! {
        section.summary aria-label="Summary" {
            dl {
                div class=(level(call.risk, list.threshold)) {
                    dt { "Risk of leaving" }
                    dd.risk {
                        (risk(call.risk, list.threshold))
                        p.note { @match call.change() {
                            None => "from its only row",
                            difference => { (change(difference)) " percentage points since its previous row" }
                        } }
                    }
                }
                div {
                    dt { "Rank" }
                    dd { (rank(list, entry, exited)) }
                }
                @if let Some((accounts, account)) = account { (account::items(accounts, account)) }
            }
        }
    }
}

fn rank(list: &CallList, entry: Option<&Entry>, exited: Option<bool>) -> Markup {
    match (entry, exited) {
        (Some(entry), _) => html! { (grouped(entry.rank as u64)) " of " (grouped(list.clients as u64)) },
        (None, Some(true)) => html! { "It has left." },
        (None, _) => html! {
            "It is not among the " (grouped(list.calls.len() as u64)) " clients with the highest risk. Only these are ranked."
        },
    }
}

/// The form that records a call, and what came of earlier ones.
fn calls(id: &str, contacts: &Result<Vec<Contact>, String>) -> Markup {
    html! {
        section.calls-so-far id="calls" aria-labelledby="calls-title" {
            h2 id="calls-title" { "Calls" }
            (contact::form(id, &format!("{}#calls", client_path(id))))
            @match contacts {
                Ok(contacts) if contacts.is_empty() => p.note { "No call is recorded." },
                Ok(contacts) => (contact::list(contacts)),
                Err(why) => p.warning { (capitalised(why)) "." },
            }
        }
    }
}

/// The exact contributions of the predictors, the strongest first.
fn contributions(list: &CallList, call: &Call) -> Markup {
    let rows = list.reasons(call).filter_map(|reason| {
        let predictor = list.schema().predictor(&reason.predictor)?;
        let imputed = if reason.imputed { " (imputed)" } else { "" };
        let values = [format!("{}{imputed}", value(predictor, &reason.value)), value(predictor, &reason.average)];
        let numbers = [number(reason.log_odds), number(reason.odds_factor), format!("{:.4}", reason.risk_at_average)];
        Some([reason.predictor].into_iter().chain(values).chain(numbers).collect())
    });
    let columns = ["Predictor", "#Value", "#Average", "#Log-odds", "#Factor of the odds", "#Risk at the average"];
    let shares = Table::of_texts("Exact contributions to the log-odds", &columns, rows).with_caption(
        "The contributions and the log-odds of the average client add up to the log-odds of this client. Those of correlated \
         predictors may be large and cancel each other.",
    );
    html! {
        details.engineers {
            summary { "For engineers: exact contributions" }
            (table(&shares, list.threshold))
        }
    }
}
