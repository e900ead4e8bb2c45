//! Endpoints for monitoring: whether the process runs, whether it can answer, and what it has counted.

use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use common::api::Endpoint;
use common::config::Config;
use common::config::service::{CHALLENGE_HEADER, PROOF_HEADER};
use common::production::hold::Hold;
use common::production::release::Release;
use history::{DriftVerdict, History, RunOutcome, Waiting};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::live::Status;
use crate::metrics::{MEDIA_TYPE, Snapshot};
use crate::problem::{OrNotReady, Problem, UnavailableErrors};
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

/// Metrics in the text format that Prometheus reads.
#[utoipa::path(get, path = Endpoint::Metrics.documented_path(), tag = "operations", responses(
    (status = 200, description = "OpenMetrics text", body = String,
        content_type = "application/openmetrics-text"),
    UnavailableErrors,
))]
pub async fn metrics(state: Data<State>) -> Result<HttpResponse, Problem> {
    let shared = state.clone();
    let text = move || {
        let mut snapshot = Snapshot::default();
        let status = state.live.status();
        let release = status.served.as_ref().ok().map(|live| live.release.clone());
        add_model(&mut snapshot, status);
        let held = !matches!(Hold::read(&state.config), Ok(None)); // an unreadable file holds too
        snapshot.gauge("risk_hold", "1 if fullprocess may not replace the live release", f64::from(held));
        let added = state.circuit_breaker.open(&state.config).and_then(|history| match history {
            Some(mut history) => add_history(&mut snapshot, &state.config, release.as_ref(), &mut history),
            None => Ok(()),
        });
        if let Err(error) = added {
            tracing::warn!("the metrics are incomplete because the history cannot be read: {error:#}");
        }
        state.metrics.text(&snapshot).or_not_ready("the metrics cannot be written")
    };
    // If the history cannot be read now, the request does not have to wait in its queue.
    let text = match shared.circuit_breaker.check() {
        Ok(()) => shared.history_queue.enter().await?.run(text).await,
        Err(_) => unqueued(text).await,
    };
    Ok(HttpResponse::Ok().insert_header((header::CONTENT_TYPE, MEDIA_TYPE)).body(text?))
}

fn add_model(snapshot: &mut Snapshot, Status { served, refused, failures }: Status) {
    let refused = f64::from(refused.is_some());
    snapshot.gauge("risk_release_refused", "1 if the live release cannot be loaded", refused);
    snapshot.counter("risk_reload_failures", "Releases that could not be loaded", failures);
    if let Ok(live) = served {
        let manifest = &live.release.manifest;
        let age = seconds(Timestamp::now()) - seconds(manifest.created);
        snapshot.labelled("risk_model", "The release that answers", "release", &[(&live.id, 1)]);
        snapshot.gauge("risk_model_age_seconds", "Seconds since the release was deployed", age);
        snapshot.gauge("risk_model_recorded_f1", "F1 of the release when it was deployed", manifest.score.f1);
    }
}

/// Adds what the history knows of the `release` that answers, and of the newest `fullprocess`.
fn add_history(
    snapshot: &mut Snapshot,
    config: &Config,
    release: Option<&Release>,
    history: &mut History,
) -> anyhow::Result<()> {
    if let Some(release) = release {
        let recorded = &release.manifest.score;
        let newest = history.newest_score(&recorded.model_sha256, config.drift_min_positives)?;
        let f1 = newest.map_or(recorded.f1, |score| score.confusion.f1());
        snapshot.gauge("risk_last_f1", "Newest F1 of the release, on any data by which it can be judged", f1);
        let verdict = history.newest_check(&release.id)?.map(|check| check.verdict);
        let states = DriftVerdict::ALL.iter().map(|verdict| (verdict.as_str(), Some(*verdict)));
        let states = states.chain([("not checked yet", None)]);
        let states: Vec<_> = states.map(|(name, state)| (name, i64::from(state == verdict))).collect();
        snapshot.labelled("risk_drift", "1 for the result of the release's newest drift check", "verdict", &states);
        let waiting = history.waiting_files(&release.id)?;
        let pending = waiting.iter().filter(|file| file.state == Waiting::CannotBeJudged).count() as f64;
        snapshot.gauge("risk_pending_files", "Files on which the release cannot be judged yet", pending);
    }
    if let Some(run) = history.newest_process()? {
        if let Ok(started) = run.started.parse::<Timestamp>() {
            snapshot.gauge("risk_last_run_timestamp_seconds", "When the newest fullprocess started", seconds(started));
        }
        let failed = f64::from(run.outcome == RunOutcome::Failed);
        snapshot.gauge("risk_last_run_failed", "1 if the newest fullprocess failed", failed);
    }
    Ok(())
}

fn seconds(time: Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1e3
}
