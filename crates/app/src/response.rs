//! What handlers share: reading a query, and building responses.

use std::fmt::Debug;

use actix_web::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::web::Query;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::problem::{OrNotReady, Problem};

/// The header that names the release that answered.
pub const RELEASE_HEADER: HeaderName = HeaderName::from_static("x-release");

/// Parses the query of a request.
///
/// # Errors
/// [`Problem::BadRequest`] if a parameter is invalid, or unknown and `T` denies unknown fields.
pub fn query<T: DeserializeOwned + Debug>(request: &HttpRequest) -> Result<T, Problem> {
    Query::<T>::from_query(request.query_string())
        .map(Query::into_inner)
        .map_err(|error| Problem::BadRequest(format!("the query cannot be read: {error}")))
}

/// A response with status 200 and `answer` as JSON.
pub fn ok(answer: &impl Serialize) -> Result<HttpResponse, Problem> {
    to_json(answer).map(json)
}

/// Serialises an answer as JSON.
pub fn to_json(answer: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(answer).or_not_ready("the answer cannot be serialised")
}

/// A response with status 200 and a body that is already JSON.
pub fn json(body: Vec<u8>) -> HttpResponse {
    HttpResponse::Ok().insert_header((CONTENT_TYPE, "application/json")).body(body)
}

/// A response with status 200 and a file that a browser saves under `name`.
pub fn attachment(media_type: &str, name: &str, content: Vec<u8>) -> HttpResponse {
    let disposition = (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\""));
    HttpResponse::Ok().insert_header((CONTENT_TYPE, media_type)).insert_header(disposition).body(content)
}

/// Adds the header that names the `release` to a response.
pub fn of_release(mut response: HttpResponse, release: &str) -> HttpResponse {
    if let Ok(release) = HeaderValue::from_str(release) {
        response.headers_mut().insert(RELEASE_HEADER, release);
    }
    response
}
