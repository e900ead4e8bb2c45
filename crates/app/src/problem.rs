//! Errors of requests: a problem document (RFC 9457) that says what to change, or a page for browsers.
//!
//! A detail never contains an absolute path: errors about the server's own files go to its log and not to the client.

mod readable;

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, Accept, ContentType, Header};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use common::config::Config;
use serde::Serialize;
use utoipa::ToSchema;

use crate::pages;

/// Maximum number of characters of a detail. A detail repeats parts of the request, which may be megabytes long.
const LONGEST_DETAIL: usize = 600;

/// The reason why a request fails.
#[derive(Debug)]
pub enum Problem {
    /// 400: the request as a whole cannot be parsed.
    BadRequest(String),
    /// 401: the token is missing or wrong.
    Unauthorized,
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
    /// 503: too many requests at once. The number is the time in seconds after which the client may retry.
    Busy(String, u64),
}

/// A problem document (RFC 9457), the body of every error.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Document {
    /// Always `about:blank`: the status alone says what kind of problem it is.
    r#type: &'static str,
    /// The standard phrase of the status, such as `Not Found`.
    title: &'static str,
    /// The HTTP status code, as in the response itself.
    status: u16,
    /// Explanation of what is wrong with the request, and what to change.
    detail: String,
}

impl Problem {
    /// A problem on the server's side: logs the whole error, while the client gets only `what`, which contains no path.
    pub fn not_ready(what: &str, error: &anyhow::Error) -> Self {
        tracing::error!("{what}: {error:#}");
        Self::NotReady(format!("{what}; the server's log says why"))
    }

    /// The response to `request`; `config` says which files the service should be able to read.
    pub fn respond(&self, request: &HttpRequest, config: &Config) -> HttpResponse {
        self.response(&self.detail(config), prefers_html(request))
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

    fn response(&self, detail: &str, as_page: bool) -> HttpResponse {
        let status = self.status_code();
        let mut response = HttpResponse::build(status);
        match self {
            Self::WrongMethod(method) => {
                response.insert_header((header::ALLOW, *method));
            }
            Self::Unauthorized => {
                for way in ["Bearer", "Basic realm=\"clients at risk\", charset=\"UTF-8\""] {
                    response.append_header((header::WWW_AUTHENTICATE, way));
                }
            }
            Self::Busy(_, seconds) => {
                response.insert_header((header::RETRY_AFTER, *seconds));
            }
            // The rest of the body is not wanted.
            Self::TooSlow(_) => {
                response.force_close();
            }
            _ => {}
        }
        let (title, detail) = (status.canonical_reason().unwrap_or_default(), shortened(detail));
        if as_page {
            return response.content_type(ContentType::html()).body(pages::problem(title, &detail).into_string());
        }
        let document = Document { r#type: "about:blank", title, status: status.as_u16(), detail };
        response.content_type("application/problem+json").body(serde_json::to_string(&document).unwrap_or_default())
    }

    fn parts(&self) -> (StatusCode, &str) {
        match self {
            Self::BadRequest(detail) => (StatusCode::BAD_REQUEST, detail),
            Self::Unauthorized => (
                StatusCode::UNAUTHORIZED,
                "show the service's token, as Authorization: Bearer TOKEN; in a browser it is the password, with any name",
            ),
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
            Self::NotReady(detail) | Self::Busy(detail, _) => (StatusCode::SERVICE_UNAVAILABLE, detail),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::WrongMethod(method) => write!(f, "ask with {method}"),
            other => f.write_str(other.parts().1),
        }
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.parts().0
    }

    fn error_response(&self) -> HttpResponse {
        self.response(&self.to_string(), false)
    }
}

/// Whether a client prefers a page to a document: browsers rank `text/html` first.
fn prefers_html(request: &HttpRequest) -> bool {
    let wishes = Accept::parse(request).map(|wishes| wishes.ranked()).unwrap_or_default();
    wishes.first().is_some_and(|wish| ["text/html", "application/xhtml+xml"].contains(&wish.essence_str()))
}

/// Removes the middle of a detail that is too long: its beginning says what is wrong and its end what to do.
fn shortened(detail: &str) -> String {
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
