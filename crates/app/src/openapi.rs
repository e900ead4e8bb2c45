//! The OpenAPI 3.1 description of the API, generated from the handlers and the types of their answers.

use std::collections::BTreeMap;

use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, HeaderBuilder, Object, OpenApi as Document, Ref, RefOr, Response, ResponseBuilder, Type,
};
use utoipa::{IntoResponses, Modify, OpenApi};

use crate::pages;
use crate::problem;
use crate::routes::{operations, prediction, reports};

/// The OpenAPI document of all endpoints.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Clients at risk",
        description = "Which corporate clients will leave, by the deployed model. Every error is a problem document (RFC 9457). \
                       Where the service has a token, every request but those for health must show it."
    ),
    paths(
        prediction::prediction,
        reports::calllist,
        reports::scoring,
        reports::summarystats,
        reports::diagnostics,
        reports::history,
        operations::live,
        operations::ready,
        operations::metrics,
        pages::home,
        pages::client,
    ),
    components(schemas(problem::Document)),
    tags(
        (name = "predictions", description = "Who will leave"),
        (name = "reports", description = "Whom to call, how good the model is, what happened"),
        (name = "operations", description = "For those who watch the service"),
        (name = "pages", description = "For people"),
    ),
    security(("token" = []), ("password" = []), ()),
    modifiers(&Everywhere)
)]
pub struct Description;

/// Adds what applies to every request: common error responses and the ways to send the token.
struct Everywhere;

impl Modify for Everywhere {
    fn modify(&self, document: &mut Document) {
        let any = [
            (400, "The request's head cannot be understood"),
            (401, "The token is missing or wrong"),
            (408, "The request comes too slowly"),
            (421, "The request names a host that the service does not answer for"),
        ];
        for path in document.paths.paths.values_mut() {
            let methods: [&mut Option<Operation>; 2] = [&mut path.get, &mut path.post];
            for operation in methods.into_iter().flatten() {
                for (status, response) in problems(&any) {
                    operation.responses.responses.entry(status).or_insert(response);
                }
            }
        }
        if let Some(components) = &mut document.components {
            let http = |scheme| SecurityScheme::Http(HttpBuilder::new().scheme(scheme).build());
            components.add_security_scheme("token", http(HttpAuthScheme::Bearer));
            components.add_security_scheme("password", http(HttpAuthScheme::Basic));
        }
    }
}

/// Error responses of a request that contains clients.
pub struct Refused;

impl IntoResponses for Refused {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[
            (400, "The request cannot be understood"),
            (404, "The file is none of the data folders'"),
            (415, "The body is neither JSON nor CSV"),
            (422, "The data are wrong; the detail says where"),
            (503, "Nothing is deployed yet, or too much is being asked at once"),
        ])
    }
}

/// Error responses of a request with a body.
pub struct TooLargeOrSlow;

impl IntoResponses for TooLargeOrSlow {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[(408, "The body comes too slowly"), (413, "The body is too large")])
    }
}

/// Error responses of a request with a query.
pub struct NoQuery;

impl IntoResponses for NoQuery {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[(400, "The query cannot be understood"), (422, "A value of the query is too large")])
    }
}

/// Error responses of an endpoint that needs data or may be busy.
pub struct NotReady;

impl IntoResponses for NotReady {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems(&[(503, "Something must be run first, or too much is being asked at once")])
    }
}

fn problems(statuses: &[(u16, &str)]) -> BTreeMap<String, RefOr<Response>> {
    let problem = || ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let response = |status: u16, why: &str| {
        let response = ResponseBuilder::new().description(why).content("application/problem+json", problem());
        let header =
            |of, what| HeaderBuilder::new().schema(Some(Object::with_type(of))).description(Some(what)).build();
        match status {
            401 => response.header("www-authenticate", header(Type::String, "How to show the token")),
            503 => response.header("retry-after", header(Type::Integer, "Seconds to wait, where waiting helps")),
            _ => response,
        }
    };
    statuses.iter().map(|(status, why)| (status.to_string(), response(*status, why).build().into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_of_every_path_is_described() {
        let document = serde_json::to_value(Description::openapi()).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        let paths = document["paths"].as_object().unwrap();
        assert_eq!(paths.len(), 11, "{:?}", paths.keys());
        for (path, methods) in paths {
            for (method, operation) in methods.as_object().unwrap() {
                let responses = operation["responses"].as_object().unwrap();
                for status in ["200", "400", "401", "408", "421"] {
                    assert!(responses.contains_key(status), "{method} {path}: {status}");
                }
                assert!(operation["summary"].is_string() && operation["tags"].is_array(), "{method} {path}");
            }
        }
        assert!(document["components"]["schemas"]["Problem"].is_object());
    }
}
