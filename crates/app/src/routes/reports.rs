//! Endpoints for operators: score, statistics, diagnosis, call list and history.

use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use common::api::Endpoint;
use dataset::{CategoryStatistics, ColumnStatistics, Reading};
use diagnostics::Health;
use history::listing::{Listing, ListingKind};
use insight::call_list;
use serde::{Deserialize, Serialize};

use crate::cache::Aged;
use crate::limits::{LONGEST_CALL_LIST, LONGEST_HISTORY};
use crate::problem::{OrNotReady, Problem, QueryErrors, UnavailableErrors};
use crate::response::{json, of_release, ok, query, to_json};
use crate::state::{State, live};

/// Score of the deployed model on the current test data.
///
/// The score is computed on request, one at a time. A score younger than `answer_max_age` is reused; the answer gives
/// its age.
#[utoipa::path(get, path = Endpoint::Scoring.documented_path(), tag = "reports", responses(
    (status = 200, body = Aged<scoring::Outcome>,
        description = "The score, the confusion counts, and how many rows were not scored",
        headers(("age" = u64, description = "Age of the score in seconds"), ("x-release" = String))),
    UnavailableErrors,
))]
pub async fn scoring(state: Data<State>) -> Result<HttpResponse, Problem> {
    let release = live(&state).await?.id.clone();
    let shared = state.clone();
    let score = state.scores.get(&state.scoring_queue, release, state.config.answer_max_age, move || {
        let live = shared.live.model()?;
        dataset::open_for(&shared.config, &live.model.schema)
            .and_then(|engine| {
                let files = engine.files(&shared.config.test_data)?;
                let clients = engine.read(&files, Reading::WHOLE.without_ids())?;
                let checksum = live.release.manifest.score.model_sha256.clone();
                scoring::evaluate_model(&live.id, &live.model, checksum, &files, &*clients, live.threshold)
            })
            .or_not_ready("the test data cannot be scored")
    });
    let score = score.await?;
    Ok(of_release(aged(&score)?, &score.answer.model))
}

/// Statistics of one column of the compiled dataset.
#[derive(Serialize)]
#[serde(untagged)]
enum Statistics<'d> {
    Number(&'d ColumnStatistics),
    Category(&'d CategoryStatistics),
}

/// Statistics of every numeric column of the compiled dataset.
#[utoipa::path(get, path = Endpoint::SummaryStatistics.documented_path(), tag = "reports", responses(
    (status = 200, body = Vec<ColumnStatistics>, description = "One object for each numeric column"),
    UnavailableErrors,
))]
pub async fn summarystats(state: Data<State>) -> Result<HttpResponse, Problem> {
    let permit = state.scoring_queue.enter().await?;
    let description = permit.run(move || state.views.description(&state.config, state.live.model().ok().as_deref()));
    let description = description.await?;
    let numbers = description.summary.iter().map(Statistics::Number);
    let categories = description.categories.iter().map(Statistics::Category);
    ok(&numbers.chain(categories).collect::<Vec<_>>())
}

/// Durations of ingestion and training, missing values, and the versions of all dependencies.
///
/// A diagnosis takes seconds and is made one at a time. One younger than `answer_max_age` is reused; the answer gives
/// its age.
#[utoipa::path(get, path = Endpoint::Diagnostics.documented_path(), tag = "reports", responses(
    (status = 200, body = Aged<Health>, description = "Durations, missing values and versions",
        headers(("age" = u64, description = "Age of the diagnosis in seconds"))),
    UnavailableErrors,
))]
pub async fn diagnostics(state: Data<State>) -> Result<HttpResponse, Problem> {
    let shared = state.clone();
    let diagnosis = state.diagnoses.get(&state.scoring_queue, String::new(), state.config.answer_max_age, move || {
        let missing = shared.views.description(&shared.config, shared.live.model().ok().as_deref())?.missing.clone();
        // If the database is unavailable, the rest of the diagnosis is still answered.
        let mut history = shared.circuit_breaker.open(&shared.config).unwrap_or_else(|error| {
            tracing::warn!("the last known versions are left out because the history cannot be read: {error:#}");
            None
        });
        diagnostics::health(&shared.config, missing, history.as_mut()).or_not_ready("the diagnosis failed")
    });
    aged(&diagnosis.await?)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CallListQuery {
    limit: Option<usize>,
}

/// Current clients in the order in which to call them, with reasons.
#[utoipa::path(get, path = Endpoint::CallList.documented_path(), tag = "reports",
    params(("limit" = Option<usize>, Query, maximum = 100_000,
        description = "Number of clients; default: as many as can be called in a day")),
    responses(
        (status = 200, body = call_list::Answer, description = "The current clients, highest risk first",
            headers(("x-release" = String, description = "The release that computed the risks"))),
        QueryErrors, UnavailableErrors,
    ))]
pub async fn calllist(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, Problem> {
    let CallListQuery { limit } = query(&request)?;
    let limit = limit.unwrap_or(state.config.call_capacity as usize);
    if limit > LONGEST_CALL_LIST {
        return Err(Problem::WrongData(format!(
            "limit is {limit}, but an answer has at most {LONGEST_CALL_LIST} clients"
        )));
    }
    let permit = state.page_queue.enter().await?;
    let (release, list) = permit
        .run(move || {
            let live = state.live.model()?;
            let clients = state.views.clients(&state.config, &live)?;
            // Serialised here, outside the event loop, because the list may be long.
            Ok((live.id.clone(), to_json(&clients.list.answer(limit))?))
        })
        .await?;
    Ok(of_release(json(list), &release))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HistoryQuery {
    what: Option<ListingKind>,
    last: Option<u32>,
}

/// History of runs, scores, drift checks, promotions and releases.
#[utoipa::path(get, path = Endpoint::History.documented_path(), tag = "reports",
    params(("what" = Option<ListingKind>, Query, description = "Kind of rows; default: runs"),
        ("last" = Option<u32>, Query, maximum = 10_000, description = "Number of rows; default: 50")),
    responses(
        (status = 200, body = Listing, description = "The newest rows, oldest first"),
        QueryErrors, UnavailableErrors,
    ))]
pub async fn history(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, Problem> {
    let HistoryQuery { what, last } = query(&request)?;
    let (what, last) = (what.unwrap_or(ListingKind::Runs), last.unwrap_or(50));
    if last > LONGEST_HISTORY {
        return Err(Problem::WrongData(format!("last is {last}, but an answer has at most {LONGEST_HISTORY} rows")));
    }
    const FAILED: &str = "the history cannot be read";
    state.circuit_breaker.check().or_not_ready(FAILED)?; // a request that cannot be answered does not wait in the queue
    let permit = state.history_queue.enter().await?;
    let listing = permit.run(move || {
        let live = state.live.model().ok();
        let columns = live.as_ref().map_or(&state.config.columns, |live| &live.model.schema);
        let read = || match state.circuit_breaker.open(&state.config)? {
            Some(mut history) => history.listing(what, columns, last),
            None => Ok(Listing::empty(what)),
        };
        to_json(&read().or_not_ready(FAILED)?)
    });
    Ok(json(listing.await?))
}

/// An answer that gives its age in the body and in the header `Age`.
fn aged<T: Serialize>(answer: &Aged<T>) -> Result<HttpResponse, Problem> {
    let mut response = ok(answer)?;
    response.headers_mut().insert(header::AGE, answer.age_seconds.into());
    Ok(response)
}
