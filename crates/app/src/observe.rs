//! Wraps every request: assigns a request id, checks host name, token and origin, turns errors into problem documents
//! or pages, writes the log, updates the metrics, and adds the security headers for browsers.

use std::time::Instant;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::ErrorInternalServerError;
use actix_web::http::header::{self, Accept, ContentType, Header, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpRequest, HttpResponse, ResponseError};
use common::api::Endpoint;
use common::config::Config;

use crate::access::{Access, check_origin};
use crate::pages;
use crate::problem::{Problem, shortened};
use crate::response::RELEASE_HEADER;
use crate::state::State;
use crate::unique;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The headers of every answer. They forbid loading anything from other origins, framing a page, and caching.
const HEADERS: [(HeaderName, HeaderValue); 6] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    // With `no-referrer` browsers would send the service's own forms with `Origin: null`.
    (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (header::CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("same-origin")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// The content security policy of the pages.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Maximum length of a request id that is taken over from the client.
const LONGEST_ID: usize = 64;

/// Calls `next` if the request is admitted; logs and counts every request.
pub async fn observe(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse, Error> {
    let clock = Instant::now();
    let id = request_id(request.headers());
    let Some(state) = request.app_data::<Data<State>>().cloned() else {
        return Err(ErrorInternalServerError("the application has no state"));
    };
    let mut response = match refused(&state.access, &request) {
        Some(problem) => request.error_response(problem),
        None => next.call(request).await?.map_into_boxed_body(),
    };
    if let Some(problem) = response.response().error().and_then(|error| error.as_error::<Problem>()) {
        let answer = error_response(problem, response.request(), &state.config);
        response = response.into_response(answer);
    }
    let headers = response.headers_mut();
    for (name, value) in &HEADERS {
        if !headers.contains_key(name) {
            headers.insert(name.clone(), value.clone());
        }
    }
    headers.insert(REQUEST_ID, id.clone());
    let (status, took) = (response.status().as_u16(), clock.elapsed());
    let request = response.request();
    let route = label(request.match_pattern().as_deref());
    state.metrics.observe(route, request.method().as_str(), status, took);
    tracing::info!(
        id = id.to_str().unwrap_or_default(),
        method = request.method().as_str(),
        route,
        status,
        milliseconds = took.as_secs_f64() * 1e3,
        release = response.headers().get(RELEASE_HEADER).and_then(|value| value.to_str().ok()),
        "request"
    );
    Ok(response)
}

/// The problem of a request that is not admitted; `None` if it is.
fn refused(access: &Access, request: &ServiceRequest) -> Option<Problem> {
    if let Err(problem) = access.hosts.check(request) {
        return Some(problem);
    }
    if Endpoint::path_needs_token(request.path()) && !access.admits(request.headers()) {
        return Some(Problem::Unauthorized);
    }
    if Endpoint::path_writes(request.path()) {
        return check_origin(request.headers()).err();
    }
    None
}

/// The response to a request that failed: a page for clients that prefer HTML, otherwise a problem document.
fn error_response(problem: &Problem, request: &HttpRequest, config: &Config) -> HttpResponse {
    let detail = problem.detail(config);
    match prefers_html(request) {
        true => {
            let page = pages::problem(problem.status_code(), &shortened(&detail));
            problem.head().content_type(ContentType::html()).body(page.into_string())
        }
        false => problem.document(&detail, request.path()),
    }
}

/// Whether a client ranks HTML highest, as browsers do.
fn prefers_html(request: &HttpRequest) -> bool {
    let accepted = Accept::parse(request).map(|accepted| accepted.ranked()).unwrap_or_default();
    accepted.first().is_some_and(|first| ["text/html", "application/xhtml+xml"].contains(&first.essence_str()))
}

/// The pattern under which a request is logged and counted: never the path itself, which may contain a client's name.
fn label(pattern: Option<&str>) -> &'static str {
    let mut patterns = Endpoint::ALL.iter().map(|endpoint| endpoint.properties().pattern);
    patterns.find(|known| pattern == Some(known)).unwrap_or("unknown")
}

/// The request's own id if it is short and consists of harmless characters; otherwise a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let harmless = |id: &&HeaderValue| {
        let harmless = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        (1..=LONGEST_ID).contains(&id.len()) && id.as_bytes().iter().all(harmless)
    };
    match headers.get(&REQUEST_ID).filter(harmless) {
        Some(id) => id.clone(),
        None => HeaderValue::from_str(&unique::key()).unwrap_or(HeaderValue::from_static("-")),
    }
}
