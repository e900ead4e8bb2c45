//! Errors of requests. Each becomes a problem document (RFC 9457) that says what to change; `observe` makes a page of
//! it for browsers.
//!
//! A detail never contains an absolute path: errors about the server's own files go to its log and not to the client.

mod described;
mod readable;

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use common::api::Endpoint;
use common::config::Config;
use serde::Serialize;
use utoipa::ToSchema;

use crate::limits::{LONGEST_DETAIL, RETRY_AFTER};

pub use self::described::{
    BodyErrors, ContactErrors, InferenceErrors, PredictionErrors, QueryErrors, UnavailableErrors, VersionErrors,
    documented,
};

/// The reason why a request fails.
#[derive(Debug)]
pub enum Problem {
    /// 400: the request as a whole cannot be parsed.
    BadRequest(String),
    /// 401: the token is missing or wrong.
    Unauthorized,
    /// 403: a page of another site has sent the request.
    Forbidden(String),
    /// 404: the page or file does not exist.
    NotFound(String),
    /// 405: the path does not support the method; the field names the one that it supports.
    WrongMethod(&'static str),
    /// 408: the request arrives too slowly.
    TooSlow(String),
    /// 413: the body is too large.
    TooLarge(String),
    /// 415: the body's media type is not supported.
    UnsupportedType(String),
    /// 421: the request names a host that this service does not answer for.
    WrongHost(String),
    /// 431: the request's head is too large.
    HeadTooLarge,
    /// 422: the data in the request are invalid; the detail says where.
    WrongData(String),
    /// 503: something is missing that the operator must provide; the detail says which command to run.
    NotReady(String),
    /// 503 with `Retry-After`: too many requests at once.
    Busy(String),
    /// 503 with `Retry-After`: the database cannot be written.
    Unwritable(String),
}

/// A problem document (RFC 9457), the body of every error.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDocument {
    /// Always `about:blank`: the status alone says what kind of problem it is.
    r#type: &'static str,
    /// The standard phrase of the status, such as `Not Found`.
    title: &'static str,
    /// The HTTP status code, as in the response itself.
    status: u16,
    /// Explanation of what is wrong with the request, and what to change.
    detail: String,
    /// The same explanation, which the Open Inference Protocol expects under this key; only below `/v2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Problem {
    /// A problem on the server's side: logs the whole error, while the client gets only `what`, which contains no path.
    pub fn not_ready(what: &str, error: &anyhow::Error) -> Self {
        tracing::error!("{what}: {error:#}");
        Self::NotReady(format!("{what}; the server's log gives the reason"))
    }

    /// The text for the client. For [`NotReady`](Self::NotReady) it also names the files that the service is not
    /// allowed to read, and logs them.
    pub fn detail(&self, config: &Config) -> String {
        let Self::NotReady(detail) = self else { return self.to_string() };
        match readable::complaint(config) {
            Some(complaint) => {
                tracing::error!("{complaint}");
                format!("{detail}; {complaint}")
            }
            None => detail.clone(),
        }
    }

    /// Status and headers of the response; the body is still missing.
    pub fn head(&self) -> HttpResponseBuilder {
        let mut response = HttpResponse::build(self.status_code());
        match self {
            Self::WrongMethod(method) => {
                response.insert_header((header::ALLOW, *method));
            }
            Self::Unauthorized => {
                for scheme in ["Bearer", "Basic realm=\"clients at risk\", charset=\"UTF-8\""] {
                    response.append_header((header::WWW_AUTHENTICATE, scheme));
                }
            }
            Self::Busy(_) | Self::Unwritable(_) => {
                response.insert_header((header::RETRY_AFTER, RETRY_AFTER));
            }
            // The rest of the body is not wanted.
            Self::TooSlow(_) => {
                response.force_close();
            }
            _ => {}
        }
        response
    }

    /// The problem document, whose detail is `detail`; for `path`, the path of the request.
    pub fn document(&self, detail: &str, path: &str) -> HttpResponse {
        let (status, title, detail) = (self.status_code().as_u16(), self.title(), shortened(detail));
        let error = Endpoint::path_is_inference(path).then(|| detail.clone());
        let document = ProblemDocument { r#type: "about:blank", title, status, detail, error };
        let body = serde_json::to_string(&document).unwrap_or_default();
        self.head().content_type("application/problem+json").body(body)
    }

    /// The standard phrase of the status, such as `Not Found`.
    pub fn title(&self) -> &'static str {
        self.status_code().canonical_reason().unwrap_or_default()
    }

    fn parts(&self) -> (StatusCode, &str) {
        match self {
            Self::BadRequest(detail) => (StatusCode::BAD_REQUEST, detail),
            Self::Unauthorized => (
                StatusCode::UNAUTHORIZED,
                "send the service's token as Authorization: Bearer TOKEN; in a browser, enter it as the password of any user",
            ),
            Self::Forbidden(detail) => (StatusCode::FORBIDDEN, detail),
            Self::NotFound(detail) => (StatusCode::NOT_FOUND, detail),
            Self::WrongMethod(method) => (StatusCode::METHOD_NOT_ALLOWED, method),
            Self::TooSlow(detail) => (StatusCode::REQUEST_TIMEOUT, detail),
            Self::TooLarge(detail) => (StatusCode::PAYLOAD_TOO_LARGE, detail),
            Self::UnsupportedType(detail) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, detail),
            Self::WrongHost(detail) => (StatusCode::MISDIRECTED_REQUEST, detail),
            Self::HeadTooLarge => {
                (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "the request's head is too large; send data as the body")
            }
            Self::WrongData(detail) => (StatusCode::UNPROCESSABLE_ENTITY, detail),
            Self::NotReady(detail) | Self::Busy(detail) | Self::Unwritable(detail) => {
                (StatusCode::SERVICE_UNAVAILABLE, detail)
            }
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::WrongMethod(method) => write!(f, "this path answers only {method} requests"),
            other => f.write_str(other.parts().1),
        }
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.parts().0
    }

    fn error_response(&self) -> HttpResponse {
        self.document(&self.to_string(), "")
    }
}

/// Turns errors on the server's side into problems.
pub trait OrNotReady<T> {
    /// Logs the error and replaces it by [`Problem::NotReady`] with the text `what`, which contains no path.
    fn or_not_ready(self, what: &str) -> Result<T, Problem>;
}

impl<T, E: Into<anyhow::Error>> OrNotReady<T> for Result<T, E> {
    fn or_not_ready(self, what: &str) -> Result<T, Problem> {
        self.map_err(|error| Problem::not_ready(what, &error.into()))
    }
}

/// Removes the middle of a detail that is too long: its beginning says what is wrong and its end what to do.
pub fn shortened(detail: &str) -> String {
    let longest = LONGEST_DETAIL / 2;
    match (detail.char_indices().nth(longest), detail.char_indices().nth_back(longest - 1)) {
        (Some((begin, _)), Some((end, _))) if begin < end => format!("{} … {}", &detail[..begin], &detail[end..]),
        _ => detail.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_middle_of_a_long_detail_is_left_out() {
        let half = LONGEST_DETAIL / 2;
        for short in [String::new(), "ä".repeat(half), "ä".repeat(LONGEST_DETAIL)] {
            assert_eq!(shortened(&short), short);
        }
        let long = format!("begin{}end", "ä".repeat(16 << 20));
        let cut = shortened(&long);
        assert_eq!(cut.chars().count(), LONGEST_DETAIL + 3);
        assert!(cut.starts_with("beginä") && cut.ends_with("äend") && cut.contains("ä … ä"), "{cut}");
    }
}
