//! The pages for people: whom to call, all clients, one client, and the state of the model. The server renders them
//! completely, so that they work without JavaScript; the small script only adds comfort.
//!
//! maud escapes all text that comes from data.

mod account;
mod calls;
mod client;
mod clients;
mod contact;
mod empty;
mod layout;
mod model;
mod section;
mod status;
mod terms;
mod time;

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, ContentType};
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use common::api::Endpoint;
use history::Contact;
use insight::Ranking;
use jiff::Timestamp;
use maud::Markup;
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use self::client::Known;
use self::client::what_if::WhatIf;
use self::clients::Order;
use self::status::Status;
use crate::limits::LONGEST_CALL_LIST;
use crate::live::LiveModel;
use crate::problem::{OrNotReady, Problem, ProblemDocument, UnavailableErrors};
use crate::response::{of_release, query};
use crate::state::State;
use crate::views::RankedClients;

pub use self::empty::problem;

/// Maximum number of contacts on a client's page.
const MOST_CONTACTS: u32 = 50;

#[derive(Debug, Default, Deserialize)]
struct HomeQuery {
    q: Option<String>,
    owner: Option<String>,
    rank: Option<Ranking>,
    recorded: Option<String>,
}

/// Today's calls and the state of the system; with `q`, a redirect to the clients whose names contain it.
#[utoipa::path(get, path = Endpoint::Home.documented_path(), tag = "pages",
    params(("q" = Option<String>, Query, description = "Part of a client's name"),
        ("owner" = Option<String>, Query, description = "Only the clients of this owner"),
        ("rank" = inline(Option<Ranking>), Query, description = "The order; default: risk"),
        ("recorded" = Option<String>, Query, description = "The client whose call was just recorded")),
    responses(
        (status = 200, body = String, content_type = "text/html", description = "The page"),
        (status = 303, description = "The clients whose names contain q",
            headers(("location" = String, description = "Path of the page"))),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json",
            description = "A parameter is invalid or given twice"),
        (status = 503, description = "Nothing is deployed yet, or too many requests are waiting", content(
            (String = "text/html"), (ProblemDocument = "application/problem+json"),
        )),
    ))]
pub async fn home(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, Problem> {
    // Links from other sites may add their own parameters; these do not change the page.
    let HomeQuery { q, owner, rank, recorded } = query(&request)?;
    if let Some(part) = given(q) {
        let found = format!("/clients?q={}", layout::encoded(&part));
        return Ok(HttpResponse::SeeOther().insert_header((header::LOCATION, found)).finish());
    }
    let ranking = rank.unwrap_or_default();
    let asked = calls::Asked { owner: given(owner), ranking, recorded: given(recorded) };
    about_clients(state, move |state, live, _| {
        let now = Timestamp::now();
        let agenda = state.views.agenda(&state.config, &state.circuit_breaker, live, ranking, now)?;
        let status = Status::read(&state.config, &state.circuit_breaker, &live.id, now);
        Ok(calls::page(live, &agenda, &status, &asked))
    })
    .await
}

#[derive(Debug, Default, Deserialize)]
struct ClientsQuery {
    q: Option<String>,
    owner: Option<String>,
    order: Option<Order>,
    page: Option<usize>,
}

/// All clients, fifty on a page; with `q`, those whose names contain it, including those that have left.
#[utoipa::path(get, path = Endpoint::Clients.documented_path(), tag = "pages",
    params(("q" = Option<String>, Query, description = "Part of a client's name"),
        ("owner" = Option<String>, Query, description = "Only the clients of this owner"),
        ("order" = inline(Option<Order>), Query, description = "The order; default: risk"),
        ("page" = Option<u32>, Query, minimum = 1,
            description = "Number of the page; default: 1. A number beyond the last page means the last one")),
    responses(
        (status = 200, body = String, content_type = "text/html", description = "The page"),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json",
            description = "A parameter is invalid or given twice"),
        (status = 503, description = "Nothing is deployed yet, or too many requests are waiting", content(
            (String = "text/html"), (ProblemDocument = "application/problem+json"),
        )),
    ))]
pub async fn clients(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, Problem> {
    let ClientsQuery { q, owner, order, page } = query(&request)?;
    let (part, order) = (given(q).unwrap_or_default(), order.unwrap_or_default());
    let asked = clients::Asked { part, owner: given(owner), order, page: page.unwrap_or(1) };
    about_clients(state, move |state, live, clients| {
        let (ranking, now) = (asked.order.ranking(), Timestamp::now());
        let agenda = state.views.agenda(&state.config, &state.circuit_breaker, live, ranking, now)?;
        let unlisted = match asked.part.is_empty() {
            true => Vec::new(),
            false => clients.unlisted(&asked.part, LONGEST_CALL_LIST).or_not_ready("the search failed")?,
        };
        Ok(clients::page(live, &agenda, &unlisted, &asked))
    })
    .await
}

/// One client: its risk and reasons, what would change the risk, its calls and rows, and its risk with the values of the
/// query.
#[utoipa::path(get, path = Endpoint::Client.documented_path(), tag = "pages",
    params(("corporation" = String, Path, description = "The client's name")),
    responses(
        (status = 200, body = String, content_type = "text/html", description = "The page"),
        (status = 404, body = String, content_type = "text/html", description = "There is no such client"),
        (status = 422, body = String, content_type = "text/html", description = "A value in the query is invalid"),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json",
            description = "A parameter of the query is unknown or given twice"),
        UnavailableErrors,
    ))]
pub async fn client(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, Problem> {
    let encoded = request.path().strip_prefix("/clients/").unwrap_or_default();
    let id = percent_decode_str(encoded).decode_utf8().map(String::from).unwrap_or_default();
    let asked: Vec<(String, String)> = query(&request)?;
    let permit = state.page_queue.enter().await?;
    let (status, page, release) = permit
        .run(move || {
            let live = state.live.model()?;
            let what_if = WhatIf::of(&live.model.schema, asked)?;
            let clients = state.views.clients(&state.config, &live)?;
            let (ranking, now) = (Ranking::Risk, Timestamp::now());
            let agenda = state.views.agenda(&state.config, &state.circuit_breaker, &live, ranking, now)?;
            let known =
                Known { clients: &clients, agenda: &agenda, contacts: contacts(&state, &id), what_if: &what_if };
            let (status, page) = client::page_of(&live, &id, &known)?;
            Ok((status, page, live.id.clone()))
        })
        .await?;
    Ok(html_page(status, Some(&release), page))
}

/// The newest contacts of a client, or why they are unknown.
fn contacts(state: &State, id: &str) -> Result<Vec<Contact>, String> {
    let history = state.circuit_breaker.open(&state.config);
    let contacts = history
        .and_then(|history| history.map_or(Ok(Vec::new()), |mut history| history.contacts_of(id, MOST_CONTACTS)));
    contacts.map_err(|error| Problem::not_ready("the calls cannot be read", &error).detail(&state.config))
}

/// The model for engineers: coefficients, quality, drift, comparison, trends, data and dependencies.
#[utoipa::path(get, path = Endpoint::Model.documented_path(), tag = "pages",
    responses(
        (status = 200, body = String, content_type = "text/html", description = "The page"),
        (status = 503, description = "Nothing is deployed yet, or too many requests are waiting", content(
            (String = "text/html"), (ProblemDocument = "application/problem+json"),
        )),
    ))]
pub async fn model(state: Data<State>) -> Result<HttpResponse, Problem> {
    about_clients(state, |state, live, clients| {
        let overview = state.views.overview(&state.config, &state.circuit_breaker, live, clients);
        let overview = overview.map_err(|error| {
            Problem::not_ready("the state of the model cannot be shown", &error).detail(&state.config)
        });
        Ok(model::page(live, overview))
    })
    .await
}

/// What the words of the pages mean.
#[utoipa::path(get, path = Endpoint::Terms.documented_path(), tag = "pages",
    responses((status = 200, body = String, content_type = "text/html", description = "The page")))]
pub async fn terms() -> HttpResponse {
    html_page(StatusCode::OK, None, terms::page())
}

/// Serves a file that the pages need.
pub async fn asset(name: web::Path<String>) -> Result<HttpResponse, Problem> {
    let (media_type, content) = match name.as_str() {
        "page.css" => ("text/css; charset=utf-8", include_str!("pages/page.css")),
        "page.js" => ("text/javascript; charset=utf-8", include_str!("pages/page.js")),
        "icon.svg" => ("image/svg+xml", include_str!("pages/icon.svg")),
        _ => return Err(Problem::NotFound("the assets are page.css, page.js and icon.svg".to_owned())),
    };
    let keep = (header::CACHE_CONTROL, "max-age=3600");
    Ok(HttpResponse::Ok().insert_header((header::CONTENT_TYPE, media_type)).insert_header(keep).body(content))
}

/// Answers with a page about the live release and its clients, or with one that says why there are none.
async fn about_clients(
    state: Data<State>,
    make: impl FnOnce(&State, &Arc<LiveModel>, &RankedClients) -> Result<Markup, Problem> + Send + 'static,
) -> Result<HttpResponse, Problem> {
    let permit = state.page_queue.enter().await?;
    let (status, release, page) = permit
        .run(move || {
            let live = match state.live.model() {
                Ok(live) => live,
                Err(problem) => {
                    let page = empty::nothing_yet(&state.config, &problem.detail(&state.config));
                    return Ok((problem.status_code(), None, page));
                }
            };
            let (status, page) = match state.views.clients(&state.config, &live) {
                Ok(clients) => (StatusCode::OK, make(&state, &live, &clients)?),
                Err(problem) => (problem.status_code(), empty::no_clients(&live, &problem.detail(&state.config))),
            };
            Ok((status, Some(live.id.clone()), page))
        })
        .await?;
    Ok(html_page(status, release.as_deref(), page))
}

/// A parameter of a query without white space around it; an empty one counts as absent.
fn given(parameter: Option<String>) -> Option<String> {
    parameter.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn html_page(status: StatusCode, release: Option<&str>, page: Markup) -> HttpResponse {
    let response = HttpResponse::build(status).insert_header(ContentType::html()).body(page.into_string());
    match release {
        Some(release) => of_release(response, release),
        None => response,
    }
}
