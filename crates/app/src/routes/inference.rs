//! The Open Inference Protocol: `/v2` and what is below it.

use actix_web::http::header::{CONTENT_TYPE, HeaderName};
use actix_web::web::{Bytes, Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse};
use common::api::Endpoint;

use crate::body::{Body, is_small};
use crate::inference::described::{
    InferenceRequest, InferenceResponse, ModelMetadata, ModelReady, ServerLive, ServerMetadata, ServerReady,
};
use crate::inference::{self, Inferred, MODEL};
use crate::limits::LARGEST_JSON;
use crate::live::LiveModel;
use crate::problem::{BodyErrors, InferenceErrors, Problem, UnavailableErrors, VersionErrors};
use crate::response::{of_release, ok};
use crate::state::{State, live};

/// The header that says how many bytes of a body are JSON; binary data follow.
const JSON_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");

/// Returns name, version and extensions of this program.
#[utoipa::path(get, path = Endpoint::InferenceServer.documented_path(), tag = "inference", responses(
    (status = 200, body = ServerMetadata, description = "Name, version and extensions"),
))]
pub async fn server() -> Result<HttpResponse, Problem> {
    ok(&ServerMetadata {
        name: "clients-at-risk",
        version: env!("CARGO_PKG_VERSION"),
        extensions: ["binary_tensor_data"],
    })
}

/// Reports that the server runs.
#[utoipa::path(get, path = Endpoint::InferenceLive.documented_path(), tag = "inference", security(()), responses(
    (status = 200, body = ServerLive, description = "The process answers"),
))]
pub async fn server_live() -> Result<HttpResponse, Problem> {
    ok(&ServerLive { live: true })
}

/// Reports whether a model is loaded.
#[utoipa::path(get, path = Endpoint::InferenceReady.documented_path(), tag = "inference", security(()), responses(
    (status = 200, body = ServerReady, description = "A model is loaded"), UnavailableErrors,
))]
pub async fn server_ready(state: Data<State>) -> Result<HttpResponse, Problem> {
    live(&state).await?;
    ok(&ServerReady { live: true, ready: true })
}

/// Describes the tensors of the live model.
#[utoipa::path(get, path = Endpoint::InferenceModel.documented_path(), tag = "inference", responses(
    (status = 200, body = ModelMetadata, description = "Inputs and outputs", headers(("x-release" = String))),
    UnavailableErrors,
))]
pub async fn model(state: Data<State>) -> Result<HttpResponse, Problem> {
    let live = live(&state).await?;
    Ok(of_release(ok(&inference::metadata(&live))?, &live.id))
}

/// Describes the tensors of a release, which must be the live one.
#[utoipa::path(get, path = Endpoint::InferenceVersion.documented_path(), tag = "inference",
    params(("version" = String, Path, description = "The live release")), responses(
    (status = 200, body = ModelMetadata, description = "Inputs and outputs", headers(("x-release" = String))),
    VersionErrors, UnavailableErrors,
))]
pub async fn version(state: Data<State>, version: Path<String>) -> Result<HttpResponse, Problem> {
    check(&*live(&state).await?, Some(&version))?;
    model(state).await
}

/// Reports whether the live model can answer.
#[utoipa::path(get, path = Endpoint::InferenceModelReady.documented_path(), tag = "inference", responses(
    (status = 200, body = ModelReady, description = "The model is loaded", headers(("x-release" = String))),
    UnavailableErrors,
))]
pub async fn model_ready(state: Data<State>) -> Result<HttpResponse, Problem> {
    let live = live(&state).await?;
    Ok(of_release(ok(&ModelReady { name: MODEL, ready: true })?, &live.id))
}

/// Reports whether a release can answer, which must be the live one.
#[utoipa::path(get, path = Endpoint::InferenceVersionReady.documented_path(), tag = "inference",
    params(("version" = String, Path, description = "The live release")), responses(
    (status = 200, body = ModelReady, description = "The model is loaded", headers(("x-release" = String))),
    VersionErrors, UnavailableErrors,
))]
pub async fn version_ready(state: Data<State>, version: Path<String>) -> Result<HttpResponse, Problem> {
    check(&*live(&state).await?, Some(&version))?;
    model_ready(state).await
}

/// Predicts which clients will leave, with one tensor for each column.
///
/// The rules for values are those of `POST /prediction`, and so are the probabilities. A tensor that is not sent is a column
/// of missing values. With the header Inference-Header-Content-Length, binary data follow that many bytes of JSON.
#[utoipa::path(post, path = Endpoint::Infer.documented_path(), tag = "inference",
    request_body(content = InferenceRequest, description = "The clients"), responses(
    (status = 200, description = "One element for each row in every output", headers(("x-release" = String)), content(
        (InferenceResponse = "application/json"), (String = "application/octet-stream"),
    )),
    InferenceErrors, BodyErrors,
))]
pub async fn infer(request: HttpRequest, state: Data<State>, payload: Payload) -> Result<HttpResponse, Problem> {
    answer(request, state, payload, None).await
}

/// The same with a release, which must be the live one.
#[utoipa::path(post, path = Endpoint::InferVersion.documented_path(), tag = "inference",
    params(("version" = String, Path, description = "The live release")),
    request_body(content = InferenceRequest, description = "The clients"), responses(
    (status = 200, description = "One element for each row in every output", headers(("x-release" = String)), content(
        (InferenceResponse = "application/json"), (String = "application/octet-stream"),
    )),
    VersionErrors, InferenceErrors, BodyErrors,
))]
pub async fn infer_version(
    request: HttpRequest,
    state: Data<State>,
    payload: Payload,
    version: Path<String>,
) -> Result<HttpResponse, Problem> {
    answer(request, state, payload, Some(version.into_inner())).await
}

async fn answer(
    request: HttpRequest,
    state: Data<State>,
    payload: Payload,
    version: Option<String>,
) -> Result<HttpResponse, Problem> {
    let head = json_length(&request)?;
    let mut body = Body::of(&request, payload, LARGEST_JSON)?;
    let start = body.start().await?;
    if is_small(&start) {
        return respond(state, start, head, version).await;
    }
    let shared = state.clone();
    let _permit = shared.large_bodies.permit()?;
    let whole = body.rest(start).await?;
    respond(state, whole, head, version).await
}

async fn respond(
    state: Data<State>,
    body: Bytes,
    head: Option<usize>,
    version: Option<String>,
) -> Result<HttpResponse, Problem> {
    let shared = state.clone();
    let work = move || {
        let live = shared.live.model()?;
        check(&live, version.as_deref())?;
        Ok((inference::infer(&live, &body, head)?, live.id.clone()))
    };
    let (Inferred { rows, body, head }, release) = state.inference_queue.enter().await?.run(work).await?;
    state.metrics.predictions.inc();
    state.metrics.rows.inc_by(rows);
    let mut response = HttpResponse::Ok();
    match head {
        None => response.insert_header((CONTENT_TYPE, "application/json")),
        Some(head) => {
            response.insert_header((CONTENT_TYPE, "application/octet-stream")).insert_header((JSON_LENGTH, head))
        }
    };
    Ok(of_release(response.body(body), &release))
}

/// Checks the version that a request names. Only the live release is loaded.
fn check(live: &LiveModel, version: Option<&str>) -> Result<(), Problem> {
    match version {
        Some(version) if version != live.id => Err(Problem::NotFound(format!(
            "version {version} of the model is not loaded; the live release is {}, and only it answers",
            live.id
        ))),
        _ => Ok(()),
    }
}

/// Reads the header with the number of bytes of JSON; `None` without it.
fn json_length(request: &HttpRequest) -> Result<Option<usize>, Problem> {
    let Some(length) = request.headers().get(&JSON_LENGTH) else { return Ok(None) };
    let length = length.to_str().ok().and_then(|length| length.parse().ok());
    let wrong =
        || Problem::BadRequest("the header Inference-Header-Content-Length is not a number of bytes".to_owned());
    length.map(Some).ok_or_else(wrong)
}
