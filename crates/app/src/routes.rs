//! Binds a handler to each endpoint of [`common::api`], and builds the OpenAPI document from the same list. A request
//! for any other path, or with any other method, gets a problem document.

mod contacts;
mod docs;
mod document;
mod inference;
mod metrics;
mod operations;
mod prediction;
mod report_file;
mod reports;

use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http;
use actix_web::middleware::from_fn;
use actix_web::web::{self, Data};
use actix_web::{App, Error, HttpResponse, Resource, Route};
use common::api::{Endpoint, Method};
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::observe::observe;
use crate::pages;
use crate::problem::{self, Problem};
use crate::state::State;

/// Defines [`handler`] and [`Description`] from one list of handlers. An endpoint without handler does not compile. A
/// handler that is not in the list is reported as unused.
macro_rules! handlers {
    (documented { $($endpoint:ident: $($handler:ident)::+,)* } others { $($other:ident: $($plain:ident)::+,)* }) => {
        /// The handler of an endpoint.
        fn handler(endpoint: Endpoint) -> Route {
            match endpoint {
                $(Endpoint::$endpoint => web::to($($handler)::+),)*
                $(Endpoint::$other => web::to($($plain)::+),)*
            }
        }

        #[derive(OpenApi)]
        #[openapi(
            info(
                title = "Clients at risk",
                description = "Predicts which corporate clients will leave, with the deployed model. Every error is a problem \
                               document (RFC 9457). If the service has a token, all requests except health checks must send it."
            ),
            paths($($($handler)::+),*),
            components(schemas(problem::ProblemDocument)),
            tags(
                (name = "predictions", description = "Which clients will leave"),
                (name = "inference", description = "The same predictions by the Open Inference Protocol, version 2"),
                (name = "reports", description = "Whom to call, the quality of the model, the history of runs"),
                (name = "contacts", description = "What came of the calls"),
                (name = "operations", description = "Health and metrics for monitoring"),
                (name = "pages", description = "HTML pages for client managers"),
            ),
            security(("token" = []), ("password" = []), ()),
            modifiers(&Everywhere)
        )]
        struct Description;
    };
}

handlers! {
    documented {
        HealthLive: operations::live,
        HealthReady: operations::ready,
        Prediction: prediction::prediction,
        Scoring: reports::scoring,
        SummaryStatistics: reports::summarystats,
        Diagnostics: reports::diagnostics,
        CallList: reports::calllist,
        Contacts: contacts::contacts,
        History: reports::history,
        Home: pages::home,
        Clients: pages::clients,
        Client: pages::client,
        Model: pages::model,
        Terms: pages::terms,
        Report: report_file::report,
        Metrics: metrics::metrics,
        InferenceServer: inference::server,
        InferenceLive: inference::server_live,
        InferenceReady: inference::server_ready,
        InferenceModel: inference::model,
        InferenceModelReady: inference::model_ready,
        Infer: inference::infer,
        InferenceVersion: inference::version,
        InferenceVersionReady: inference::version_ready,
        InferVersion: inference::infer_version,
    }
    others {
        OpenApi: docs::openapi,
        DocsFile: docs::file,
        DocsFolder: docs::to_the_folder,
        Asset: pages::asset,
    }
}

/// The application that answers requests. Each worker thread builds its own.
pub fn application(
    state: Data<State>,
) -> App<impl ServiceFactory<ServiceRequest, Config = (), Response = ServiceResponse, Error = Error, InitError = ()>> {
    let app = App::new().app_data(state).app_data(Data::new(Description::openapi()));
    let app = Endpoint::ALL.iter().fold(app, |app, endpoint| app.service(resource(*endpoint)));
    app.default_service(web::to(unknown_path)).wrap(from_fn(observe))
}

/// A resource that answers one method; requests with any other method get 405, which names the allowed one.
fn resource(endpoint: Endpoint) -> Resource {
    let properties = endpoint.properties();
    let method = match properties.method {
        Method::Get => http::Method::GET,
        Method::Post => http::Method::POST,
    };
    let refuse = move || async move { Err::<HttpResponse, _>(Problem::WrongMethod(properties.method.name())) };
    web::resource(properties.pattern).route(handler(endpoint).method(method)).default_service(web::to(refuse))
}

async fn unknown_path() -> Result<HttpResponse, Problem> {
    let documented = Endpoint::ALL.iter().filter(|endpoint| endpoint.properties().is_documented);
    let names =
        documented.map(|endpoint| format!("{} {}", endpoint.properties().method.name(), endpoint.documented_path()));
    let names = names.collect::<Vec<_>>().join(", ");
    Err(Problem::NotFound(format!(
        "this path does not exist; the service answers {names}; see also /docs and /openapi.json"
    )))
}

/// Adds what applies to every request: common error responses and the ways to send the token.
struct Everywhere;

impl Modify for Everywhere {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let common = problem::documented(&[
            (400, "The head of the request cannot be parsed"),
            (401, "The token is missing or wrong"),
            (408, "The request arrives too slowly"),
            (421, "The request names a host that this service does not answer for"),
        ]);
        for path in document.paths.paths.values_mut() {
            let methods: [&mut Option<Operation>; 2] = [&mut path.get, &mut path.post];
            for operation in methods.into_iter().flatten() {
                for (status, response) in &common {
                    operation.responses.responses.entry(status.clone()).or_insert_with(|| response.clone());
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_document_describes_the_documented_endpoints_and_every_answer_of_each() {
        let document = serde_json::to_value(Description::openapi()).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        let mut described = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                described.insert((path.clone(), method.to_uppercase()));
                let responses = operation["responses"].as_object().unwrap();
                for status in ["200", "400", "401", "408", "421"] {
                    assert!(responses.contains_key(status), "{method} {path}: {status}");
                }
                assert!(operation["summary"].is_string() && operation["tags"].is_array(), "{method} {path}");
            }
        }
        let documented = Endpoint::ALL.iter().filter(|endpoint| endpoint.properties().is_documented);
        let documented = documented
            .map(|endpoint| (endpoint.documented_path(), endpoint.properties().method.name().to_owned()))
            .collect::<BTreeSet<_>>();
        assert_eq!(described, documented);
        assert!(document["components"]["schemas"]["Problem"].is_object());
    }

    #[test]
    fn only_the_paths_without_the_token_rule_are_described_without_security() {
        let document = serde_json::to_value(Description::openapi()).unwrap();
        for endpoint in Endpoint::ALL.iter().filter(|endpoint| endpoint.properties().is_documented) {
            let properties = endpoint.properties();
            let operation = &document["paths"][endpoint.documented_path()][properties.method.name().to_lowercase()];
            assert_eq!(operation["security"].is_null(), properties.needs_token, "{operation}");
        }
    }
}
