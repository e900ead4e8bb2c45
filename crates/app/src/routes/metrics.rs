//! The endpoint for Prometheus. Every metric is there from the first scrape on, so that an alert needs no case for a
//! missing one; only `risk_model`, whose label is the release, needs a release.

use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use common::api::Endpoint;
use common::config::Config;
use common::model::shift::ShiftVerdict;
use common::production::hold::Hold;
use common::production::last_run::LastRun;
use common::production::promotion::Comparison;
use common::schema::Schema;
use history::DriftVerdict;
use jiff::Timestamp;

use crate::live::{LiveModel, Status};
use crate::metrics::{Format, Judged, Recorded, Snapshot};
use crate::problem::{OrNotReady, Problem, UnavailableErrors};
use crate::queue::unqueued;
use crate::state::State;
use crate::views;

/// The value of a metric that is unknown: no comparison with it is true, so it raises no alert.
const UNKNOWN: f64 = f64::NAN;

/// Metrics in the text formats that Prometheus reads.
#[utoipa::path(get, path = Endpoint::Metrics.documented_path(), tag = "operations", responses(
    (status = 200, description = "The metrics; OpenMetrics if the client asks for it",
        content((String = "text/plain"), (String = "application/openmetrics-text"))),
    UnavailableErrors,
))]
pub async fn metrics(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, Problem> {
    let format = Format::preferred_by(&request);
    let shared = state.clone();
    let status = unqueued(move || Ok(shared.live.status())).await?;
    let release = status.served.as_ref().ok().map(|live| live.release.clone());
    let shared = state.clone();
    let read = move || {
        let history = shared.circuit_breaker.open(&shared.config)?;
        Recorded::read(&shared.config, history, release.as_ref())
    };
    let recorded = state.last_known.refreshed(read).await;
    let text = unqueued(move || {
        let mut snapshot = Snapshot::default();
        add_release(&mut snapshot, &status);
        add_judgement(&mut snapshot, &state.config, status.served.as_deref().ok(), &recorded);
        add_hold(&mut snapshot, &state.config);
        add_runs(&mut snapshot, &state.config);
        let answers = f64::from(recorded.database_answers);
        snapshot.gauge("risk_database_up", "1 if the history database answers", answers);
        state.metrics.text(&snapshot, format).or_not_ready("the metrics cannot be written")
    });
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, format.media_type())).body(text.await?))
}

/// Adds which release answers.
fn add_release(snapshot: &mut Snapshot, Status { served, refused, failures }: &Status) {
    let refused = f64::from(refused.is_some());
    snapshot.gauge("risk_release_refused", "1 if the live release cannot be loaded", refused);
    snapshot.counter("risk_reload_failures", "Releases that could not be loaded", *failures);
    let live = served.as_ref().ok();
    if let Some(live) = live {
        snapshot.labelled("risk_model", "The release that answers", "release", [(live.id.as_str(), 1.0)]);
    }
    let manifest = live.map(|live| &live.release.manifest);
    let age = manifest.map_or(UNKNOWN, |manifest| seconds(Timestamp::now()) - seconds(manifest.created));
    snapshot.gauge("risk_model_age_seconds", "Seconds since the release was deployed", age);
    let recorded_f1 = manifest.map_or(UNKNOWN, |manifest| manifest.score.f1);
    snapshot.gauge("risk_model_recorded_f1", "F1 of the release when it was deployed", recorded_f1);
}

/// Adds how good the release that answers has been since it went live.
fn add_judgement(snapshot: &mut Snapshot, config: &Config, live: Option<&LiveModel>, recorded: &Recorded) {
    let judged = live.and_then(|live| recorded.judgement_of(&live.release));
    // Without a judgement, the score of the deployment is the newest that is known.
    let counts = live.map(|live| judged.map_or(live.release.manifest.score.confusion, |judged| judged.counts));
    let f1 = counts.map_or(UNKNOWN, |counts| counts.f1());
    snapshot.gauge("risk_last_f1", "Newest F1 of the release, on any data by which it can be judged", f1);
    let baseline = counts.map_or(UNKNOWN, |counts| Comparison::alone(counts).everyone_exits().f1());
    let help = "F1 on the data of risk_last_f1 if every client were predicted to leave";
    snapshot.gauge("risk_baseline_f1", help, baseline);
    let estimated = judged.and_then(|judged| judged.estimated_f1).unwrap_or(UNKNOWN);
    let help = "F1 of the release on the newest rows, estimated before their outcomes are known";
    snapshot.gauge("risk_estimated_f1", help, estimated);
    add_verdict(snapshot, live.is_some(), judged);
    add_shifts(snapshot, live.map_or(&config.columns, |live| &live.model.schema), judged);
    let pending = match (live, judged) {
        (Some(_), None) => UNKNOWN,
        _ => judged.map_or(0.0, |judged| judged.pending as f64),
    };
    snapshot.gauge("risk_pending_files", "Files on which the release cannot be judged yet", pending);
}

/// Adds the verdict of the release's newest drift check. Exactly one value is 1.
fn add_verdict(snapshot: &mut Snapshot, is_live: bool, judged: Option<&Judged>) {
    let verdict = match (is_live, judged) {
        (true, None) => "unknown",
        _ => judged.and_then(|judged| judged.verdict).map_or("not checked yet", DriftVerdict::as_str),
    };
    let known = DriftVerdict::ALL.iter().map(|verdict| verdict.as_str()).chain(["not checked yet", "unknown"]);
    let values = known.map(|known| (known, f64::from(known == verdict)));
    snapshot.labelled("risk_drift", "1 for the result of the release's newest drift check", "verdict", values);
}

/// Adds the shift of every predictor in `schema` in the rows of the release's newest drift check.
fn add_shifts(snapshot: &mut Snapshot, schema: &Schema, judged: Option<&Judged>) {
    let shift_of = |name: &str| judged?.shifts.iter().find(|shift| shift.predictor == name);
    let predictors = || schema.predictors().iter().map(|predictor| predictor.name.as_str());
    let indices = predictors().map(|name| (name, shift_of(name).map_or(UNKNOWN, |shift| shift.stability_index)));
    let help = "Population stability index of the predictor in the rows of the release's newest drift check";
    snapshot.labelled("risk_shift", help, "predictor", indices);
    let is_shifted = |name| shift_of(name).is_some_and(|shift| shift.verdict == ShiftVerdict::Shifted);
    let help = "1 if that shift is more than chance and changes the risk of an average client by a point or more";
    snapshot.labelled("risk_shifted", help, "predictor", predictors().map(|name| (name, f64::from(is_shifted(name)))));
}

/// Adds whether the release is held. A hold that cannot be read holds too.
fn add_hold(snapshot: &mut Snapshot, config: &Config) {
    let hold = Hold::read(config);
    let held = f64::from(!matches!(hold, Ok(None)));
    snapshot.gauge("risk_hold", "1 if fullprocess may not replace the live release", held);
    let since = hold.ok().flatten().map_or(UNKNOWN, |hold| seconds(hold.since));
    snapshot.gauge("risk_hold_timestamp_seconds", "When the live release was held", since);
}

/// Adds when `fullprocess` ran and how it ended, and how new the data are. A time is 0 if there was none, which is as
/// overdue as a time can be.
fn add_runs(snapshot: &mut Snapshot, config: &Config) {
    let last = LastRun::read(config).unwrap_or_else(|error| {
        tracing::warn!("the metrics show no last run: {error:#}");
        None
    });
    let time = |time: Option<Timestamp>| time.map_or(0.0, seconds);
    let started = time(last.as_ref().map(|run| run.started));
    snapshot.gauge("risk_last_run_timestamp_seconds", "When the newest fullprocess started", started);
    let ended = time(last.as_ref().map(|run| run.ended));
    snapshot.gauge("risk_last_run_end_timestamp_seconds", "When the newest fullprocess ended", ended);
    let succeeded = time(last.as_ref().and_then(|run| run.last_success));
    snapshot.gauge("risk_last_success_timestamp_seconds", "When a fullprocess last ended without error", succeeded);
    let failed = f64::from(last.is_some_and(|run| !run.succeeded));
    snapshot.gauge("risk_last_run_failed", "1 if the newest fullprocess failed", failed);
    let compiled = time(views::compiled(config));
    snapshot.gauge("risk_newest_data_timestamp_seconds", "When the newest data were compiled", compiled);
}

fn seconds(time: Timestamp) -> f64 {
    time.as_millisecond() as f64 / 1e3
}
