//! The description of the API, and Swagger UI to try it; the files of Swagger UI are embedded in this program.

use std::sync::{Arc, LazyLock};

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::Config;

use super::document;
use crate::problem::Problem;
use crate::response::ok;
use crate::state::{State, live};

/// Swagger UI sets styles on its own elements, so inline styles are allowed; it never shows text from other sources.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/// Answers `GET /openapi.json` with the columns of the live release, or with those of the config if there is none.
pub async fn openapi(state: web::Data<State>, document: web::Data<OpenApi>) -> Result<HttpResponse, Problem> {
    let live = live(&state).await.ok();
    let model = live.as_ref().map(|live| &live.model);
    ok(&document::of(&document, model.map_or(&state.config.columns, |model| &model.schema), model))
}

/// Redirects to the path with a trailing slash, against which the relative addresses of Swagger UI's files resolve.
pub async fn to_the_folder() -> HttpResponse {
    HttpResponse::MovedPermanently().insert_header((header::LOCATION, "/docs/")).finish()
}

/// Serves a file of Swagger UI.
pub async fn file(request: HttpRequest, name: web::Path<String>) -> Result<HttpResponse, Problem> {
    static CONFIG: LazyLock<Arc<Config>> =
        LazyLock::new(|| Arc::new(Config::from("/openapi.json").validator_url("none")));
    match utoipa_swagger_ui::serve(&name, CONFIG.clone()) {
        Ok(Some(file)) => Ok(HttpResponse::Ok()
            .insert_header((header::CONTENT_TYPE, file.content_type))
            .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
            .body(file.bytes.into_owned())),
        Ok(None) => Err(Problem::NotFound("Swagger UI has no such file; start at /docs/".to_owned())),
        Err(error) => {
            tracing::error!(path = request.path(), "Swagger UI: {error}");
            Err(Problem::NotReady("Swagger UI cannot be shown; /openapi.json describes the API".to_owned()))
        }
    }
}
