//! What a request can fail with: a problem document (RFC 9457) that says what to change.
//!
//! A detail never holds an absolute path: what the server's own files say goes to its log, not to the client.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use utoipa::ToSchema;

/// Why a request has no answer.
#[derive(Debug)]
pub enum Problem {
    /// 400: the request as a whole cannot be understood.
    BadRequest(String),
    /// 401: the token is missing or another.
    Unauthorized,
    /// 404: there is no such page or file.
    NotFound(String),
    /// 405: the page is asked by another method, which this names.
    WrongMethod(&'static str),
    /// 408: the body comes too slowly.
    TooSlow(String),
    /// 413: the body is too large.
    TooLarge(String),
    /// 415: the body's type is not known.
    UnsupportedType(String),
    /// 431: the request's head is too large.
    HeadTooLarge,
    /// 422: the data in the request are wrong; the detail says where.
    WrongData(String),
    /// 503: the server lacks something that its operator must provide; the detail says what to run.
    NotReady(String),
    /// 503: too much is being asked at once; after so many seconds it may be asked again.
    Busy(String, u64),
}

/// The problem document.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct Document {
    /// Always `about:blank`: the status says the kind.
    r#type: &'static str,
    /// The status in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What is wrong and what to change.
    detail: String,
}

impl Problem {
    /// For a failure on the server's side: the whole error goes to the log, the client learns `what` and no path.
    pub fn not_ready(what: &str, error: &anyhow::Error) -> Self {
        tracing::error!("{what}: {error:#}");
        Self::NotReady(format!("{what}; the server's log says why"))
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
            // What remains of the body is not wanted.
            Self::TooSlow(_) => {
                response.force_close();
            }
            _ => {}
        }
        let document = Document {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or_default(),
            status: status.as_u16(),
            detail: self.to_string(),
        };
        response.content_type("application/problem+json").body(serde_json::to_string(&document).unwrap_or_default())
    }
}
