//! Endpoints for operators: score, statistics, diagnosis, call list and history.

use std::num::NonZeroUsize;

use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use common::api::Endpoint;
use common::files::CALL_LIST;
use dataset::{CategoryStatistics, ColumnStatistics, Reading};
use diagnostics::Health;
use history::listing::{Listing, ListingKind};
use insight::{Agenda, Entry, Ranking, Turn, call_list};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::answer::Format;
use crate::cache::Aged;
use crate::limits::{LONGEST_CALL_LIST, LONGEST_HISTORY};
use crate::problem::{OrNotReady, Problem, QueryErrors, UnavailableErrors};
use crate::response::{attachment, json, of_release, ok, query, to_json};
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
    page: Option<NonZeroUsize>,
    owner: Option<String>,
    rank: Option<Ranking>,
    format: Option<Format>,
}

/// Current clients in the order in which to call them, with reasons.
///
/// Paused and held-out clients keep their rank; `turn` says why they are not called today.
#[utoipa::path(get, path = Endpoint::CallList.documented_path(), tag = "reports",
    params(("limit" = Option<usize>, Query, maximum = 100_000,
        description = "Number of clients on a page; default: those up to the last of today's calls, in CSV all"),
        ("page" = Option<usize>, Query, minimum = 1, description = "Number of the page; default: 1"),
        ("owner" = Option<String>, Query, description = "Only the clients whose account has this owner"),
        ("rank" = Option<Ranking>, Query, description = "The order; default: risk"),
        ("format" = Option<Format>, Query, description = "The format; default: what the header Accept asks for")),
    responses(
        (status = 200, description = "The current clients, the one to call first at the top",
            headers(("x-release" = String, description = "The release that computed the risks")),
            content((call_list::Answer = "application/json"), (String = "text/csv"))),
        QueryErrors, UnavailableErrors,
    ))]
pub async fn calllist(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, Problem> {
    let CallListQuery { limit, page, owner, rank, format } = query(&request)?;
    if let Some(limit) = limit.filter(|limit| *limit > LONGEST_CALL_LIST) {
        return Err(Problem::WrongData(format!(
            "limit is {limit}, but an answer has at most {LONGEST_CALL_LIST} clients"
        )));
    }
    let format = format.unwrap_or_else(|| Format::accepted(&request));
    let owner = owner.filter(|owner| !owner.is_empty()); // a form sends an empty one for everybody
    let skipped = move |limit: usize| page.map_or(0, |page| (page.get() - 1).saturating_mul(limit));
    let permit = state.page_queue.enter().await?;
    let (release, list) = permit
        .run(move || {
            let State { config, circuit_breaker, views, .. } = &**state;
            let (live, owner) = (state.live.model()?, owner.as_deref());
            let agenda = views.agenda(config, circuit_breaker, &live, rank.unwrap_or_default(), Timestamp::now())?;
            let limit = limit.unwrap_or_else(|| match format {
                Format::Json => up_to_the_last_call(&agenda, owner),
                Format::Csv => LONGEST_CALL_LIST,
            });
            let entries: Vec<Entry> = agenda.of_owner(owner).skip(skipped(limit)).take(limit).copied().collect();
            // Written here, outside the event loop, because the list may be long.
            let list = match format {
                Format::Json => to_json(&agenda.answer(owner, &entries))?,
                Format::Csv => {
                    let mut table = Vec::new();
                    let written = call_list::csv::write_csv(&agenda, &entries, config.threads as usize, &mut table);
                    written.or_not_ready("the list cannot be written")?;
                    table
                }
            };
            Ok((live.id.clone(), list))
        })
        .await?;
    let response = match format {
        Format::Json => json(list),
        Format::Csv => attachment("text/csv; charset=utf-8", CALL_LIST, list),
    };
    Ok(of_release(response, &release))
}

/// The number of clients in the list of `owner` up to the last of today's calls.
fn up_to_the_last_call(agenda: &Agenda, owner: Option<&str>) -> usize {
    let calls = agenda.of_owner(owner).enumerate().filter(|(_, entry)| entry.turn == Turn::Today);
    calls.last().map_or(0, |(index, _)| index + 1)
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
