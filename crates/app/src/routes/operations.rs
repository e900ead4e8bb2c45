//! Endpoints for monitoring: whether the process runs, and whether it can answer.

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use common::api::Endpoint;
use common::config::service::{CHALLENGE_HEADER, PROOF_HEADER};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::live::Status;
use crate::problem::Problem;
use crate::queue::unqueued;
use crate::response::ok;
use crate::state::State;

/// Confirms that the process answers.
#[derive(Serialize, ToSchema)]
pub struct Alive {
    /// The constant `alive`; a process that cannot answer sends nothing.
    status: &'static str,
}

/// Whether the service can make predictions.
#[derive(Serialize, ToSchema)]
pub struct Ready {
    /// Either `ready` or `not ready`.
    status: &'static str,
    /// Id of the release that answers; it was loaded and has passed its self-test.
    release: Option<String>,
    /// When that release was deployed, in UTC.
    #[schema(value_type = Option<String>)]
    deployed: Option<Timestamp>,
    /// Id of the live release if it could not be loaded; the previous release continues to answer if there is one.
    refused: Option<String>,
    /// What the operator should do; null if nothing is wrong.
    detail: Option<String>,
}

/// Reports that the process answers.
///
/// A client that is about to send its token can first let the service prove that it holds the same token.
#[utoipa::path(get, path = Endpoint::HealthLive.documented_path(), tag = "operations", security(()),
    params(("x-challenge" = Option<String>, Header, description = "64 hexadecimal digits, different in each request")),
    responses(
        (status = 200, body = Alive, description = "The process answers", headers(
            ("x-challenge-proof" = String, description = "HMAC-SHA256 of `client risk service: ` and the challenge, keyed \
                with the token; absent without a challenge or without a token")
        )),
    ))]
pub async fn live(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, Problem> {
    let mut response = ok(&Alive { status: "alive" })?;
    let challenge = request.headers().get(CHALLENGE_HEADER).and_then(|challenge| challenge.to_str().ok());
    let proof = challenge.and_then(|challenge| state.access.proof(challenge));
    if let Some(proof) = proof.and_then(|proof| HeaderValue::from_str(&proof).ok()) {
        response.headers_mut().insert(HeaderName::from_static(PROOF_HEADER), proof);
    }
    Ok(response)
}

/// Reports whether a model is loaded that has passed its self-test.
#[utoipa::path(get, path = Endpoint::HealthReady.documented_path(), tag = "operations", security(()), responses(
    (status = 200, body = Ready, description = "A model is loaded"),
    (status = 503, body = Ready, description = "Nothing is deployed, or the release cannot be loaded"),
))]
pub async fn ready(state: Data<State>) -> Result<HttpResponse, Problem> {
    // A new release is loaded now; the duration depends on the size of its files.
    let shared = state.clone();
    let Status { served, refused, .. } = unqueued(move || Ok(shared.live.status())).await?;
    let advice =
        "the live release cannot be loaded; the log gives the reason; deployment --rollback returns to an earlier one";
    let advice = refused.is_some().then(|| advice.to_owned());
    let answer = match served {
        Ok(live) => Ready {
            status: "ready",
            release: Some(live.id.clone()),
            deployed: Some(live.release.manifest.created),
            refused,
            detail: advice,
        },
        Err(problem) => Ready {
            status: "not ready",
            release: None,
            deployed: None,
            refused,
            detail: Some(problem.detail(&state.config)),
        },
    };
    let mut response = ok(&answer)?;
    if answer.release.is_none() {
        *response.status_mut() = actix_web::http::StatusCode::SERVICE_UNAVAILABLE;
    }
    Ok(response)
}
