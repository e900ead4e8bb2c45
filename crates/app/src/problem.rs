//! What a request can fail with: a problem document (RFC 9457) that says what to change.
//!
//! A detail never holds an absolute path: what the server's own files say goes to its log, not to the client.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::{HttpResponse, ResponseError};
use common::cli::narrate;
use serde_json::json;

/// Why a request has no answer.
#[derive(Debug)]
pub enum Problem {
    /// 400: the request as a whole cannot be understood.
    BadRequest(String),
    /// 404: there is no such page or file.
    NotFound(String),
    /// 405: the page is asked by another method, which this names.
    WrongMethod(&'static str),
    /// 413: the body is too large.
    TooLarge(String),
    /// 415: the body's type is not known.
    UnsupportedType(String),
    /// 422: the data in the request are wrong; the detail says where.
    WrongData(String),
    /// 503: the server lacks something that its operator must provide; the detail says what to run.
    NotReady(String),
}

impl Problem {
    /// For a failure on the server's side: the whole error goes to the log, the client learns `what` and no path.
    pub fn not_ready(what: &str, error: &anyhow::Error) -> Self {
        narrate(format_args!("error: {what}: {error:#}"));
        Self::NotReady(format!("{what}; the server's log says why"))
    }

    fn parts(&self) -> (StatusCode, &str) {
        match self {
            Self::BadRequest(detail) => (StatusCode::BAD_REQUEST, detail),
            Self::NotFound(detail) => (StatusCode::NOT_FOUND, detail),
            Self::WrongMethod(method) => (StatusCode::METHOD_NOT_ALLOWED, method),
            Self::TooLarge(detail) => (StatusCode::PAYLOAD_TOO_LARGE, detail),
            Self::UnsupportedType(detail) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, detail),
            Self::WrongData(detail) => (StatusCode::UNPROCESSABLE_ENTITY, detail),
            Self::NotReady(detail) => (StatusCode::SERVICE_UNAVAILABLE, detail),
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
        if let Self::WrongMethod(method) = self {
            response.insert_header((header::ALLOW, *method));
        }
        response.content_type("application/problem+json").body(
            json!({
                "type": "about:blank",
                "title": status.canonical_reason().unwrap_or_default(),
                "status": status.as_u16(),
                "detail": self.to_string(),
            })
            .to_string(),
        )
    }
}
