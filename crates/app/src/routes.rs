//! The endpoints.

use std::sync::Arc;

use actix_web::http::header;
use actix_web::web::{self, Data};
use actix_web::{HttpRequest, HttpResponse};
use common::cli::narrate;
use common::config::Config;
use common::files::csv_files;
use dataset::table::MalformedRows;
use dataset::{Table, describe};
use history::History;
use history::listing::{Listing, What};
use reporting::call_list::CallList;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::live::Live;
use crate::prediction::Request;
use crate::problem::Problem;

/// The largest body that is accepted.
const LARGEST_BODY: usize = 64 * 1024 * 1024;

/// The largest body that is read on the event loop; reading it takes less than a millisecond.
const LIGHT_BODY: usize = 64 * 1024;

/// The most rows of the history in one answer.
const LONGEST_HISTORY: u32 = 10_000;

/// The most clients in one answer.
const LONGEST_CALL_LIST: usize = 100_000;

/// What all requests share.
pub struct State {
    config: Config,
    live: Live,
    /// Held by the one long answer that is being made.
    heavy: Arc<Mutex<()>>,
    /// Held by the one reading of the history.
    history: Arc<Mutex<()>>,
    /// Held by the one large prediction that is being made; not the same, so that a diagnosis does not hold it up.
    large: Arc<Mutex<()>>,
}

impl State {
    /// For one config.
    pub fn new(config: Config) -> Self {
        Self { live: Live::new(&config), config, heavy: Arc::default(), history: Arc::default(), large: Arc::default() }
    }
}

/// Every endpoint, and a problem document for whatever else is asked.
pub fn routes(app: &mut web::ServiceConfig) {
    let only = |method| web::to(move || async move { Err::<HttpResponse, _>(Problem::WrongMethod(method)) });
    app.app_data(web::PayloadConfig::new(LARGEST_BODY))
        .service(web::resource("/prediction").route(web::post().to(prediction)).default_service(only("POST")))
        .service(web::resource("/scoring").route(web::get().to(scoring)).default_service(only("GET")))
        .service(web::resource("/summarystats").route(web::get().to(summarystats)).default_service(only("GET")))
        .service(web::resource("/diagnostics").route(web::get().to(diagnostics)).default_service(only("GET")))
        .service(web::resource("/calllist").route(web::get().to(calllist)).default_service(only("GET")))
        .service(web::resource("/history").route(web::get().to(read_history)).default_service(only("GET")))
        .default_service(web::to(async || {
            let pages =
                "there are POST /prediction, GET /scoring, GET /summarystats, GET /diagnostics, GET /calllist and GET /history";
            Err::<HttpResponse, _>(Problem::NotFound(pages.to_owned()))
        }));
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PredictionQuery {
    filepath: Option<String>,
}

async fn prediction(
    request: HttpRequest,
    state: Data<State>,
    body: Result<web::Bytes, actix_web::Error>,
) -> Result<HttpResponse, Problem> {
    let body = body.map_err(|error| match error.as_response_error().status_code().as_u16() {
        413 => Problem::TooLarge(format!("the body is larger than {LARGEST_BODY} bytes; send it in parts")),
        _ => Problem::BadRequest(format!("the body cannot be read: {error}")),
    })?;
    let query = web::Query::<PredictionQuery>::from_query(request.query_string())
        .map_err(|error| Problem::BadRequest(format!("the query cannot be read: {error}")))?;
    let light = body.len() <= LIGHT_BODY;
    let mut wanted = match query.into_inner().filepath {
        Some(_) if !body.is_empty() => {
            return Err(Problem::WrongData("expected either filepath in the query or a body; send one of them".into()));
        }
        Some(filepath) => Request::File(filepath),
        None => match media_type(&request).as_str() {
            "text/csv" => Request::Csv(body),
            // `curl -d` calls whatever it sends a form; it means JSON here.
            "" | "application/json" | "application/x-www-form-urlencoded" => Request::Json(body),
            other => {
                return Err(Problem::UnsupportedType(format!(
                    "{other} is not known; send application/json or text/csv"
                )));
            }
        },
    };
    if light {
        wanted = wanted.parsed()?;
    }
    let answer = |wanted: Request, state: &State| {
        let live = state.live.model()?;
        wanted.answer(&state.config, &live)
    };
    if let Request::Rows(_) = wanted {
        return Ok(ok(json(&answer(wanted, &state)?)?));
    }
    one_at_a_time(state.large.clone(), state, move |state| answer(wanted, state)).await
}

async fn scoring(state: Data<State>) -> Result<HttpResponse, Problem> {
    one_at_a_time(state.heavy.clone(), state, |state| {
        let live = state.live.model()?;
        csv_files(&state.config.test_data)
            .and_then(|files| {
                let table = Table::read_all(&files, MalformedRows::Refuse)?;
                scoring::evaluate_model(
                    &live.id,
                    &live.model,
                    live.model_sha256.clone(),
                    &files,
                    &table,
                    live.threshold,
                )
            })
            .map_err(|error| Problem::not_ready("the test data cannot be scored", &error))
    })
    .await
}

async fn summarystats(state: Data<State>) -> Result<HttpResponse, Problem> {
    one_at_a_time(state.heavy.clone(), state, |state| {
        describe::summary(&compiled_dataset(state)?)
            .map_err(|error| Problem::not_ready("the statistics failed", &error))
    })
    .await
}

async fn diagnostics(state: Data<State>) -> Result<HttpResponse, Problem> {
    one_at_a_time(state.heavy.clone(), state, |state| {
        let data = compiled_dataset(state)?;
        // A database that is away is no reason to keep back all the rest.
        let mut history = History::open_existing(&state.config).unwrap_or_else(|error| {
            narrate(format_args!("warning: without the history no last known versions: {error:#}"));
            None
        });
        diagnostics::health(&state.config, &data, history.as_mut())
            .map_err(|error| Problem::not_ready("the diagnosis failed", &error))
    })
    .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallListQuery {
    limit: Option<usize>,
}

async fn calllist(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, Problem> {
    let query = web::Query::<CallListQuery>::from_query(request.query_string())
        .map_err(|error| Problem::BadRequest(format!("the query cannot be read: {error}")))?;
    let limit = query.limit.unwrap_or(state.config.call_capacity as usize);
    if limit > LONGEST_CALL_LIST {
        return Err(Problem::WrongData(format!("limit is {limit}; ask for {LONGEST_CALL_LIST} clients or fewer")));
    }
    one_at_a_time(state.heavy.clone(), state, move |state| {
        let live = state.live.model()?;
        let capacity = state.config.call_capacity as usize;
        CallList::of(&compiled_dataset(state)?, &live.id, &live.model, live.threshold, capacity)
            .map(|list| list.answer(limit))
            .map_err(|error| Problem::not_ready("the call list failed", &error))
    })
    .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HistoryQuery {
    what: Option<What>,
    last: Option<u32>,
}

async fn read_history(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, Problem> {
    let query = web::Query::<HistoryQuery>::from_query(request.query_string())
        .map_err(|error| Problem::BadRequest(format!("the query cannot be read: {error}")))?;
    let (what, last) = (query.what.unwrap_or(What::Runs), query.last.unwrap_or(50));
    if last > LONGEST_HISTORY {
        return Err(Problem::WrongData(format!("last is {last}; ask for {LONGEST_HISTORY} rows or fewer")));
    }
    one_at_a_time(state.history.clone(), state, move |state| {
        let read = || match History::open_existing(&state.config)? {
            Some(mut history) => history.listing(what, last),
            None => Ok(Listing::empty(what)),
        };
        read().map_err(|error| Problem::not_ready("the history cannot be read", &error))
    })
    .await
}

fn compiled_dataset(state: &State) -> Result<Table, Problem> {
    diagnostics::compiled_dataset(&state.config)
        .map_err(|error| Problem::not_ready("there is no usable compiled dataset; run ingestion on the server", &error))
}

/// Makes a long answer beside the event loop, after the one that holds the `turn`.
async fn one_at_a_time<T: Serialize + Send + 'static>(
    turn: Arc<Mutex<()>>,
    state: Data<State>,
    work: impl FnOnce(&State) -> Result<T, Problem> + Send + 'static,
) -> Result<HttpResponse, Problem> {
    let turn = turn.lock_owned().await;
    // The turn ends with the work, and not with the request: a client that hangs up leaves the work running.
    let made = web::block(move || {
        let _turn = turn;
        json(&work(&state)?)
    });
    let body = made.await.map_err(|error| Problem::not_ready("the work was broken off", &error.into()))??;
    Ok(ok(body))
}

fn json(answer: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(answer).map_err(|error| Problem::not_ready("the answer cannot be written", &error.into()))
}

fn ok(body: Vec<u8>) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CONTENT_TYPE, "application/json")).body(body)
}

/// The body's media type without parameters, in lower case; empty where none is given.
fn media_type(request: &HttpRequest) -> String {
    let value = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
