//! The error responses of the API as the OpenAPI document describes them.

use std::collections::BTreeMap;

use utoipa::IntoResponses;
use utoipa::openapi::{ContentBuilder, HeaderBuilder, Object, Ref, RefOr, Response, ResponseBuilder, Type};

/// Errors of a request for predictions.
pub struct PredictionErrors;

impl IntoResponses for PredictionErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        documented(&[
            (400, "The request cannot be parsed"),
            (404, "The file is not a CSV file in one of the data folders"),
            (415, "The body is neither JSON nor CSV"),
            (422, "The data are invalid; the detail names the row"),
            (503, "Nothing is deployed yet, or too many requests are waiting"),
        ])
    }
}

/// Errors of an inference request.
pub struct InferenceErrors;

impl IntoResponses for InferenceErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        documented(&[
            (400, "The request or a tensor is wrong; the detail, repeated under `error`, names it"),
            (503, "Nothing is deployed yet, or too many requests are waiting"),
        ])
    }
}

/// Errors of a request that names a version of the model.
pub struct VersionErrors;

impl IntoResponses for VersionErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        documented(&[(404, "Another release is live")])
    }
}

/// Errors of a request that records contacts.
pub struct ContactErrors;

impl IntoResponses for ContactErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        documented(&[
            (400, "The request cannot be parsed"),
            (403, "A page of another site has sent the request"),
            (415, "The body is neither JSON nor CSV nor a form"),
            (422, "The contacts are invalid, and the detail names one; or the idempotency key belongs to others"),
            (503, "The database cannot be written; the detail says whether it is known that nothing was recorded"),
        ])
    }
}

/// Errors of a request with a body.
pub struct BodyErrors;

impl IntoResponses for BodyErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        documented(&[(408, "The body arrives too slowly"), (413, "The body is too large")])
    }
}

/// Errors of a request with a query.
pub struct QueryErrors;

impl IntoResponses for QueryErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        documented(&[(400, "The query cannot be parsed"), (422, "A value of the query is too large")])
    }
}

/// Errors of an endpoint that needs data or may be busy.
pub struct UnavailableErrors;

impl IntoResponses for UnavailableErrors {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        documented(&[(503, "A step must run first, as the detail says, or too many requests are waiting")])
    }
}

/// Responses with a problem document, one for each status and its description.
pub fn documented(statuses: &[(u16, &str)]) -> BTreeMap<String, RefOr<Response>> {
    let problem = || ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let response = |status: u16, description: &str| {
        let response = ResponseBuilder::new().description(description).content("application/problem+json", problem());
        let header =
            |kind, text| HeaderBuilder::new().schema(Some(Object::with_type(kind))).description(Some(text)).build();
        match status {
            401 => response.header("www-authenticate", header(Type::String, "The ways to send the token")),
            503 => response.header("retry-after", header(Type::Integer, "Seconds to wait, if waiting helps")),
            _ => response,
        }
    };
    statuses.iter().map(|(status, text)| (status.to_string(), response(*status, text).build().into())).collect()
}
