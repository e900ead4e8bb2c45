//! Endpoints for operators: score, statistics, diagnosis, call list and history.

use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use dataset::{ColumnStatistics, Reading};
use diagnostics::Health;
use history::listing::{Listing, ListingKind};
use reporting::call_list;
use serde::{Deserialize, Serialize};

use super::{json, of_release, ok, query, to_json};
use crate::limits::{LONGEST_CALL_LIST, LONGEST_HISTORY};
use crate::openapi::{NoQuery, NotReady};
use crate::problem::Problem;
use crate::state::{State, live};
use crate::turn::{Aged, beside};

/// Score of the deployed model on the current test data.
///
/// The score is computed on request, one at a time. A score younger than `answer_max_age` is reused; the answer gives
/// its age.
#[utoipa::path(get, path = "/scoring", tag = "reports", responses(
    (status = 200, body = Aged<scoring::Outcome>, description = "The score, the counts behind it and what was left out",
        headers(("age" = u64, description = "Seconds since it was made"), ("x-release" = String))),
    NotReady,
))]
pub async fn scoring(state: Data<State>) -> Result<HttpResponse, Problem> {
    let release = live(&state).await?.id.clone();
    let sharing = state.clone();
    let score = state.scores.get(&state.heavy, release, state.config.answer_max_age, move || {
        let live = sharing.live.model()?;
        dataset::open(&sharing.config)
            .and_then(|engine| {
                let files = engine.files(&sharing.config.test_data)?;
                let clients = engine.read(&files, Reading::WHOLE)?;
                let checksum = live.model_sha256.clone();
                scoring::evaluate_model(&live.id, &live.model, checksum, &files, &*clients, live.threshold)
            })
            .map_err(|error| Problem::not_ready("the test data cannot be scored", &error))
    });
    let score = score.await?;
    Ok(of_release(aged(&score)?, &score.answer.model))
}

/// Statistics of every numeric column of the compiled dataset.
#[utoipa::path(get, path = "/summarystats", tag = "reports", responses(
    (status = 200, body = Vec<ColumnStatistics>, description = "One object for each numeric column"),
    NotReady,
))]
pub async fn summarystats(state: Data<State>) -> Result<HttpResponse, Problem> {
    let turn = state.heavy.take().await?;
    let statistics =
        beside(turn, move || state.views.description(&state.config).map(|description| description.summary.clone()));
    ok(&statistics.await?)
}

/// Durations of ingestion and training, missing values, and the versions of all dependencies.
///
/// A diagnosis takes seconds and is made one at a time. One younger than `answer_max_age` is reused; the answer gives
/// its age.
#[utoipa::path(get, path = "/diagnostics", tag = "reports", responses(
    (status = 200, body = Aged<Health>, description = "The diagnosis",
        headers(("age" = u64, description = "Seconds since it was made"))),
    NotReady,
))]
pub async fn diagnostics(state: Data<State>) -> Result<HttpResponse, Problem> {
    let sharing = state.clone();
    let diagnosis = state.diagnoses.get(&state.heavy, String::new(), state.config.answer_max_age, move || {
        let missing = sharing.views.description(&sharing.config)?.missing.clone();
        // If the database is unavailable, the rest of the diagnosis is still answered.
        let mut history = sharing.door.open(&sharing.config).unwrap_or_else(|error| {
            tracing::warn!("without the history no last known versions: {error:#}");
            None
        });
        diagnostics::health(&sharing.config, missing, history.as_mut())
            .map_err(|error| Problem::not_ready("the diagnosis failed", &error))
    });
    aged(&diagnosis.await?)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CallListQuery {
    limit: Option<usize>,
}

/// Current clients in the order in which to call them, with reasons.
#[utoipa::path(get, path = "/calllist", tag = "reports",
    params(("limit" = Option<usize>, Query, maximum = 100_000,
        description = "How many clients; without it as many as can be called in a day")),
    responses(
        (status = 200, body = call_list::Answer, description = "The current clients, highest risk first",
            headers(("x-release" = String, description = "The release that judges"))),
        NoQuery, NotReady,
    ))]
pub async fn calllist(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, Problem> {
    let CallListQuery { limit } = query(&request)?;
    let limit = limit.unwrap_or(state.config.call_capacity as usize);
    if limit > LONGEST_CALL_LIST {
        return Err(Problem::WrongData(format!("limit is {limit}; ask for {LONGEST_CALL_LIST} clients or fewer")));
    }
    let turn = state.pages.take().await?;
    let (release, response) = beside(turn, move || {
        let live = state.live.model()?;
        let clients = state.views.clients(&state.config, &live)?;
        // Serialised here, outside the event loop, because the list may be long.
        Ok((live.id.clone(), to_json(&clients.list.answer(limit))?))
    })
    .await?;
    Ok(of_release(json(response), &release))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HistoryQuery {
    what: Option<ListingKind>,
    last: Option<u32>,
}

/// History of runs, scores, drift checks, promotions and releases.
#[utoipa::path(get, path = "/history", tag = "reports",
    params(("what" = Option<ListingKind>, Query, description = "Which rows; without it runs"),
        ("last" = Option<u32>, Query, maximum = 10_000, description = "How many, the newest; without it 50")),
    responses(
        (status = 200, body = Listing, description = "The newest rows, oldest first"),
        NoQuery, NotReady,
    ))]
pub async fn history(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, Problem> {
    let HistoryQuery { what, last } = query(&request)?;
    let (what, last) = (what.unwrap_or(ListingKind::Runs), last.unwrap_or(50));
    if last > LONGEST_HISTORY {
        return Err(Problem::WrongData(format!("last is {last}; ask for {LONGEST_HISTORY} rows or fewer")));
    }
    let cannot = |error| Problem::not_ready("the history cannot be read", &error);
    state.door.check().map_err(cannot)?; // a request that cannot be answered does not have to wait for its turn
    let turn = state.history.take().await?;
    let listing = beside(turn, move || {
        let read = || match state.door.open(&state.config)? {
            Some(mut history) => history.listing(what, last),
            None => Ok(Listing::empty(what)),
        };
        to_json(&read().map_err(cannot)?)
    });
    Ok(json(listing.await?))
}

/// An answer that gives its age in the body and in the header `Age`.
fn aged<T: Serialize>(answer: &Aged<T>) -> Result<HttpResponse, Problem> {
    let mut response = ok(answer)?;
    response.headers_mut().insert(header::AGE, answer.age_seconds.into());
    Ok(response)
}
