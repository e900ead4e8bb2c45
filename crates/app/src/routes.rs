//! The endpoints; any other request gets a problem document.

pub mod docs;
pub mod operations;
pub mod prediction;
pub mod reports;

use std::fmt::Debug;

use actix_web::http::header::{self, HeaderValue};
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::answer::RELEASE_HEADER;
use crate::pages;
use crate::problem::Problem;

/// Patterns of all paths that are answered; metrics count requests by these patterns.
pub const ROUTES: [&str; 15] = [
    "/prediction",
    "/scoring",
    "/summarystats",
    "/diagnostics",
    "/calllist",
    "/history",
    "/health/live",
    "/health/ready",
    "/metrics",
    "/openapi.json",
    "/docs",
    "/docs/{file:.*}",
    "/",
    "/clients/{corporation:.*}",
    "/assets/{file}",
];

/// The paths that need no token. They reveal no client data, and a monitoring system should not need the service's
/// secrets.
pub const OPEN_ROUTES: [&str; 2] = ["/health/live", "/health/ready"];

pub fn routes(app: &mut ServiceConfig) {
    app.service(only("POST", "/prediction", web::post().to(prediction::prediction)))
        .service(only("GET", "/scoring", web::get().to(reports::scoring)))
        .service(only("GET", "/summarystats", web::get().to(reports::summarystats)))
        .service(only("GET", "/diagnostics", web::get().to(reports::diagnostics)))
        .service(only("GET", "/calllist", web::get().to(reports::calllist)))
        .service(only("GET", "/history", web::get().to(reports::history)))
        .service(only("GET", "/health/live", web::get().to(operations::live)))
        .service(only("GET", "/health/ready", web::get().to(operations::ready)))
        .service(only("GET", "/metrics", web::get().to(operations::metrics)))
        .service(only("GET", "/openapi.json", web::get().to(docs::openapi)))
        .service(only("GET", "/docs", web::get().to(docs::to_the_folder)))
        .service(only("GET", "/docs/{file:.*}", web::get().to(docs::file)))
        .service(only("GET", "/", web::get().to(pages::home)))
        .service(only("GET", "/clients/{corporation:.*}", web::get().to(pages::client)))
        .service(only("GET", "/assets/{file}", web::get().to(pages::asset)))
        .default_service(web::to(async || {
            let known = "this path does not exist; there are POST /prediction and GET /scoring, /summarystats, /diagnostics, \
                         /calllist, /history, /health/live, /health/ready, /metrics, /openapi.json, /docs, / and \
                         /clients/{corporation}";
            Err::<HttpResponse, _>(Problem::NotFound(known.to_owned()))
        }));
}

/// A resource that answers one method; requests with any other method get 405, which names the allowed one.
fn only(method: &'static str, path: &str, route: actix_web::Route) -> Resource {
    let refuse = move || async move { Err::<HttpResponse, _>(Problem::WrongMethod(method)) };
    web::resource(path).route(route).default_service(web::to(refuse))
}

/// Parses the query of a request.
///
/// # Errors
/// [`Problem::BadRequest`] if a parameter is invalid, or unknown and `T` denies unknown fields.
pub fn query<T: DeserializeOwned + Debug>(request: &HttpRequest) -> Result<T, Problem> {
    web::Query::<T>::from_query(request.query_string())
        .map(web::Query::into_inner)
        .map_err(|error| Problem::BadRequest(format!("the query cannot be read: {error}")))
}

/// A response with status 200 and `answer` as JSON.
pub fn ok(answer: &impl Serialize) -> Result<HttpResponse, Problem> {
    to_json(answer).map(json)
}

/// Serialises an answer as JSON.
pub fn to_json(answer: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(answer).map_err(|error| Problem::not_ready("the answer cannot be written", &error.into()))
}

/// A response with status 200 and a body that is already JSON.
pub fn json(body: Vec<u8>) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CONTENT_TYPE, "application/json")).body(body)
}

/// Adds the header that names the `release` to a response.
pub fn of_release(mut response: HttpResponse, release: &str) -> HttpResponse {
    if let Ok(release) = HeaderValue::from_str(release) {
        response.headers_mut().insert(header::HeaderName::from_static(RELEASE_HEADER), release);
    }
    response
}
