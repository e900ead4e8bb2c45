//! The endpoint `POST /prediction`.

use std::sync::{Arc, PoisonError};

use actix_web::web::{Data, Payload};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use common::api::Endpoint;
use futures_util::future::join;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::document::PredictionRequest;
use crate::answer::{FinishedAnswer, Format};
use crate::body::{Body, ChunkReader, YieldingReader, is_small};
use crate::limits::{LARGEST_CSV, LARGEST_JSON};
use crate::prediction::{self, Answered};
use crate::problem::{BodyErrors, PredictionErrors, Problem};
use crate::queue::unqueued;
use crate::response::query;
use crate::state::{State, live};

/// Number of chunks of a body that may be buffered for the thread that reads them.
const CHUNKS: usize = 4;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    filepath: Option<String>,
}

/// Predicts with the deployed model which clients will leave.
///
/// The clients are given by a file on the server, by rows in JSON, or by a CSV table. A CSV table may have any length,
/// and so may the answer if it is requested as `text/csv`. A missing predictor is imputed with its median, or with its
/// most frequent level, in the training data.
#[utoipa::path(post, path = Endpoint::Prediction.documented_path(), tag = "predictions",
    params(("filepath" = Option<String>, Query, description = "A CSV file in one of the data folders, instead of a body",
        example = "testdata/testdata.csv")),
    request_body(content((PredictionRequest = "application/json"), (String = "text/csv")), description = "The clients"),
    responses(
        (status = 200, description = "One entry for each row, in the order of the request", headers(
            ("x-release" = String, description = "The release that answered")
        ), content(
            (diagnostics::predictions::Predictions = "application/json"),
            (String = "text/csv"),
        )),
        PredictionErrors, BodyErrors,
    ))]
pub async fn prediction(request: HttpRequest, state: Data<State>, payload: Payload) -> Result<HttpResponse, Problem> {
    let Query { filepath } = query(&request)?;
    let format = Format::accepted(&request);
    let finished = match (filepath, request.content_type().to_ascii_lowercase().as_str()) {
        (Some(filepath), _) => {
            if Body::of(&request, payload, LARGEST_JSON)?.next().await?.is_some_and(|piece| !piece.is_empty()) {
                let both = "the request has both filepath in the query and a body; send one of them";
                return Err(Problem::WrongData(both.to_owned()));
            }
            file(state.clone(), filepath, format).await?
        }
        (None, "text/csv") => table(&state, Body::of(&request, payload, LARGEST_CSV)?, format).await?,
        // `curl -d` labels every body as a form by default; here it is meant to be JSON.
        (None, "" | "application/json" | "application/x-www-form-urlencoded") => {
            json(&state, Body::of(&request, payload, LARGEST_JSON)?, format).await?
        }
        (None, other) => {
            let unknown = format!("the media type {other} is not supported; send application/json or text/csv");
            return Err(Problem::UnsupportedType(unknown));
        }
    };
    state.metrics.predictions.inc();
    state.metrics.rows.inc_by(finished.rows);
    finished.respond()
}

async fn json(state: &Data<State>, mut body: Body, format: Format) -> Result<FinishedAnswer, Problem> {
    let start = body.start().await?;
    if is_small(&start) {
        return match prediction::json(&start, &*live(state).await?, format)? {
            Answered::Rows(answer) => Ok(answer),
            Answered::File(filepath) => file(state.clone(), filepath, format).await,
        };
    }
    let _permit = state.large_bodies.permit()?;
    let body = body.rest(start).await?;
    let state = Arc::clone(state);
    unqueued(move || {
        let _computing = state.computing.lock().unwrap_or_else(PoisonError::into_inner);
        match prediction::json(&body, &*state.live.model()?, format)? {
            Answered::Rows(answer) => Ok(answer),
            Answered::File(_) => {
                Err(Problem::BadRequest("a body this large must contain rows, not a filepath".to_owned()))
            }
        }
    })
    .await
}

async fn file(state: Data<State>, filepath: String, format: Format) -> Result<FinishedAnswer, Problem> {
    let permit = state.file_queue.enter().await?;
    permit
        .run(move || {
            let live = state.live.model()?;
            let stream = YieldingReader::new(crate::confine::open(&state.config, &filepath)?, &state.computing);
            prediction::table(&filepath, stream, &live, format)
        })
        .await
}

async fn table(state: &Data<State>, mut body: Body, format: Format) -> Result<FinishedAnswer, Problem> {
    const NAME: &str = "the table";
    let start = body.start().await?;
    if is_small(&start) {
        return prediction::table(NAME, &*start, &*live(state).await?, format);
    }
    let _permit = state.large_bodies.permit()?;
    let (into, chunks) = mpsc::channel(CHUNKS);
    let shared = Arc::clone(state);
    let answer = unqueued(move || {
        let live = shared.live.model()?;
        prediction::table(NAME, YieldingReader::new(ChunkReader::new(chunks), &shared.computing), &live, format)
    });
    let (forwarded, answer) = join(body.forward(start, into), answer).await;
    forwarded?;
    answer
}
