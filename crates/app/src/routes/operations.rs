//! Endpoints for monitoring: whether the process runs, whether it can answer, and what it has counted.

use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse};
use common::config::service::{CHALLENGE_HEADER, PROOF_HEADER};
use history::{History, RunOutcome};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::ok;
use crate::live::{Refused, Status};
use crate::metrics::{MEDIA_TYPE, Momentary};
use crate::openapi;
use crate::problem::Problem;
use crate::state::State;
use crate::turn::{beside, broken_off};

/// Confirms that the process answers.
#[derive(Serialize, ToSchema)]
pub struct Alive {
    /// The word `alive`; there is no other value.
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
#[utoipa::path(get, path = "/health/live", tag = "operations", security(()),
    params(("x-challenge" = Option<String>, Header, description = "64 hexadecimal digits, never used before")),
    responses(
        (status = 200, body = Alive, description = "It does", headers(
            ("x-challenge-proof" = String, description = "HMAC-SHA256 of `client risk service: ` and the challenge \
                under the token, where there are both")
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
#[utoipa::path(get, path = "/health/ready", tag = "operations", security(()), responses(
    (status = 200, body = Ready, description = "It is"),
    (status = 503, body = Ready, description = "Nothing is deployed, or it cannot be loaded"),
))]
pub async fn ready(state: Data<State>) -> Result<HttpResponse, Problem> {
    // A new release is loaded now; the duration depends on the size of its files.
    let asked = state.clone();
    let Status { served, refused, .. } = web::block(move || asked.live.status()).await.map_err(broken_off)?;
    let refused = refused.map(|Refused { id }| id);
    let advice = "the live release cannot be loaded; the log says why; deployment --rollback leaves it";
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

/// Metrics in the text format that Prometheus reads.
#[utoipa::path(get, path = "/metrics", tag = "operations", responses(
    (status = 200, description = "OpenMetrics text", body = String,
        content_type = "application/openmetrics-text"),
    openapi::NotReady,
))]
pub async fn metrics(state: Data<State>) -> Result<HttpResponse, Problem> {
    let sharing = state.clone();
    let text = move || {
        let mut now = of_model(state.live.status());
        match state.door.open(&state.config) {
            Ok(Some(mut history)) => of_history(&mut history, &mut now)
                .unwrap_or_else(|error| tracing::warn!("metrics without the history: {error:#}")),
            Ok(None) => {}
            Err(error) => tracing::warn!("metrics without the history: {error:#}"),
        }
        state.metrics.text(&now).map_err(|error| Problem::not_ready("the metrics failed", &error.into()))
    };
    // If the history cannot be read now, the request does not have to wait in its queue.
    let text = match sharing.door.check() {
        Ok(()) => beside(sharing.history.take().await?, text).await,
        Err(_) => web::block(text).await.map_err(broken_off)?,
    };
    Ok(HttpResponse::Ok().insert_header((header::CONTENT_TYPE, MEDIA_TYPE)).body(text?))
}

fn of_model(Status { served, refused, failures }: Status) -> Momentary {
    let live = served.ok();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let manifest = live.as_ref().map(|live| &live.release.manifest);
    Momentary {
        release: live.as_ref().map(|live| live.id.clone()),
        age: manifest.map(|manifest| now - seconds(manifest.created)),
        recorded_f1: manifest.map(|manifest| manifest.score.f1),
        reload_failures: failures,
        refused: refused.is_some(),
        ..Momentary::default()
    }
}

fn of_history(history: &mut History, now: &mut Momentary) -> anyhow::Result<()> {
    now.last_f1 = history.newest_score()?.map(|score| score.confusion.f1());
    now.verdict = history.newest_check()?.map(|check| check.verdict);
    if let Some(run) = history.newest_process()? {
        now.last_run = run.started.parse::<Timestamp>().ok().map(seconds);
        now.last_run_failed = Some(run.outcome == RunOutcome::Failed);
    }
    Ok(())
}

fn seconds(time: Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1e3
}
