//! The pages for people: whom to call, one client, and the state of the model. The server renders them completely, so
//! that they work without JavaScript; the small script only sorts and filters existing content.
//!
//! maud escapes all text that comes from data.

mod client;
mod home;
mod layout;
mod section;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, ContentType};
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use common::api::Endpoint;
use insight::Ranking;
use jiff::Timestamp;
use maud::{Markup, html};
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use self::client::what_if::WhatIf;
use crate::problem::{Problem, ProblemDocument, UnavailableErrors};
use crate::response::{of_release, query};
use crate::state::State;

#[derive(Debug, Default, Deserialize)]
struct HomeQuery {
    q: Option<String>,
}

/// Today's calls and the state of the model and its data; with `q`, the clients whose names contain it.
#[utoipa::path(get, path = Endpoint::Home.documented_path(), tag = "pages",
    params(("q" = Option<String>, Query, description = "Part of a client's name")),
    responses(
        (status = 200, body = String, content_type = "text/html", description = "The page"),
        (status = 400, body = ProblemDocument, content_type = "application/problem+json",
            description = "q is given twice"),
        (status = 503, description = "Nothing is deployed yet, or too many requests are waiting", content(
            (String = "text/html"), (ProblemDocument = "application/problem+json"),
        )),
    ))]
pub async fn home(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, Problem> {
    // Links from other sites may add their own parameters; these do not change the page.
    let search = query::<HomeQuery>(&request)?.q.filter(|part| !part.trim().is_empty());
    let permit = state.page_queue.enter().await?;
    let (status, release, page) = permit
        .run(move || {
            let live = match state.live.model() {
                Ok(live) => live,
                Err(problem) => {
                    let page = home::nothing_yet(&state.config, &problem.detail(&state.config));
                    return Ok((problem.status_code(), None, page));
                }
            };
            let clients = match state.views.clients(&state.config, &live) {
                Ok(clients) => clients,
                Err(problem) => {
                    let page = home::no_clients(&live, &problem.detail(&state.config));
                    return Ok((problem.status_code(), Some(live.id.clone()), page));
                }
            };
            let page = match search {
                Some(part) => home::found(&live, &clients, part.trim())?,
                None => {
                    let overview = state.views.overview(&state.config, &state.circuit_breaker, &live, &clients);
                    let overview = overview.map_err(|error| {
                        Problem::not_ready("the state of the model cannot be shown", &error).detail(&state.config)
                    });
                    let (views, now) = (&state.views, Timestamp::now());
                    let agenda = views.agenda(&state.config, &state.circuit_breaker, &live, Ranking::Risk, now)?;
                    home::home(&live, &agenda, overview)
                }
            };
            Ok((StatusCode::OK, Some(live.id.clone()), page))
        })
        .await?;
    Ok(html_page(status, release.as_deref(), page))
}

/// One client: its risk and reasons, what would change the risk, its rows, and its risk with the values of the query.
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
            let (views, now) = (&state.views, Timestamp::now());
            let agenda = views.agenda(&state.config, &state.circuit_breaker, &live, Ranking::Risk, now)?;
            let (status, page) = client::page_of(&live, &clients, &agenda, &id, &what_if)?;
            Ok((status, page, live.id.clone()))
        })
        .await?;
    Ok(html_page(status, Some(&release), page))
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

/// The page for a request that failed; `title` is the standard phrase of the status.
pub fn problem(title: &str, detail: &str) -> Markup {
    let content = html! {
        h1 { (title) }
        p.warning role="alert" { "The request failed: " (detail) "." }
        p { "See " a href="/" { "today's calls" } " or " a href="/docs/" { "the description of the API" } "." }
    };
    layout::page(title, "", None, &content)
}

fn html_page(status: StatusCode, release: Option<&str>, page: Markup) -> HttpResponse {
    let response = HttpResponse::build(status).insert_header(ContentType::html()).body(page.into_string());
    match release {
        Some(release) => of_release(response, release),
        None => response,
    }
}
