//! The endpoint `POST /prediction`.

use std::sync::{Arc, PoisonError};

use actix_web::http::header::{ACCEPT, Accept, CONTENT_TYPE, Header};
use actix_web::web::{self, Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::future::join;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::query;
use crate::answer::{Finished, Form};
use crate::body::{Beginning, Body, InTurns, Pieces, place};
use crate::limits::{LARGEST_CSV, LARGEST_JSON};
use crate::openapi::{Refused, TooLargeOrSlow};
use crate::prediction::{self, Request, RequestSchema};
use crate::problem::Problem;
use crate::state::{State, live};
use crate::turn::{beside, broken_off};

/// Number of pieces of a body that may be buffered for the thread that reads them.
const PIECES: usize = 4;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    filepath: Option<String>,
}

/// Predicts with the deployed model which clients will leave.
///
/// The clients are given by a file on the server, by rows in JSON, or by a CSV table. A CSV table may have any length,
/// and so may the answer if it is requested as `text/csv`. A missing predictor is imputed with its median in the
/// training data.
#[utoipa::path(post, path = "/prediction", tag = "predictions",
    params(("filepath" = Option<String>, Query, description = "A CSV file in one of the data folders, instead of a body",
        example = "testdata/testdata.csv")),
    request_body(content((RequestSchema = "application/json"), (String = "text/csv")), description = "The clients"),
    responses(
        (status = 200, description = "One entry for each client, in their order", headers(
            ("x-release" = String, description = "The release that has answered")
        ), content(
            (diagnostics::predictions::Predictions = "application/json"),
            (String = "text/csv", example = "corporation,prediction,probability,imputed\nnciz,1,0.86,\n"),
        )),
        Refused, TooLargeOrSlow,
    ))]
pub async fn prediction(request: HttpRequest, state: Data<State>, payload: Payload) -> Result<HttpResponse, Problem> {
    let Query { filepath } = query(&request)?;
    let form = form_of_answer(&request);
    let finished = match (filepath, media_type(&request).as_str()) {
        (Some(filepath), _) => {
            if Body::of(&request, payload, LARGEST_JSON)?.next().await?.is_some_and(|piece| !piece.is_empty()) {
                let what = "expected either filepath in the query or a body; send one of them";
                return Err(Problem::WrongData(what.to_owned()));
            }
            file(state.clone(), filepath, form).await?
        }
        (None, "text/csv") => table(&state, Body::of(&request, payload, LARGEST_CSV)?, form).await?,
        // `curl -d` labels every body as a form by default; here it is meant to be JSON.
        (None, "" | "application/json" | "application/x-www-form-urlencoded") => {
            json(&state, Body::of(&request, payload, LARGEST_JSON)?, form).await?
        }
        (None, other) => {
            let what = format!("{other} is not known; send application/json or text/csv");
            return Err(Problem::UnsupportedType(what));
        }
    };
    state.metrics.predictions.inc();
    state.metrics.rows.inc_by(finished.rows);
    finished.respond()
}

async fn json(state: &Data<State>, mut body: Body, form: Form) -> Result<Finished, Problem> {
    let part = match body.beginning().await? {
        Beginning::Whole(body) => {
            return match Request::from_json(&body)? {
                Request::Rows(rows) => prediction::rows(rows, &*live(state).await?, form),
                Request::File(filepath) => file(state.clone(), filepath, form).await,
            };
        }
        Beginning::Part(part) => part,
    };
    let _place = place(&state.places)?;
    let body = body.rest(part).await?;
    let state = Arc::clone(state);
    let answer = web::block(move || {
        let _computing = state.computing.lock().unwrap_or_else(PoisonError::into_inner);
        match Request::from_json(&body)? {
            Request::Rows(rows) => prediction::rows(rows, &*state.live.model()?, form),
            Request::File(_) => Err(Problem::BadRequest("a body this large must hold rows, not a filepath".to_owned())),
        }
    });
    answer.await.map_err(broken_off)?
}

async fn file(state: Data<State>, filepath: String, form: Form) -> Result<Finished, Problem> {
    let turn = state.files.take().await?;
    beside(turn, move || {
        let live = state.live.model()?;
        let stream = InTurns::new(crate::confine::open(&state.config, &filepath)?, &state.computing);
        prediction::table(&filepath, stream, &live, form)
    })
    .await
}

async fn table(state: &Data<State>, mut body: Body, form: Form) -> Result<Finished, Problem> {
    const NAME: &str = "the table";
    let part = match body.beginning().await? {
        Beginning::Whole(body) => {
            return prediction::table(NAME, &*body, &*live(state).await?, form);
        }
        Beginning::Part(part) => part,
    };
    let _place = place(&state.places)?;
    let (into, pieces) = mpsc::channel(PIECES);
    let sharing = Arc::clone(state);
    let answer = web::block(move || {
        let live = sharing.live.model()?;
        prediction::table(NAME, InTurns::new(Pieces::new(pieces), &sharing.computing), &live, form)
    });
    let (pumped, answer) = join(body.pump(part, into), answer).await;
    pumped?;
    answer.map_err(broken_off)?
}

/// CSV if the client ranks it above JSON, otherwise JSON. A client that accepts neither also gets JSON, which HTTP
/// allows (RFC 9110 §12.5.1).
fn form_of_answer(request: &HttpRequest) -> Form {
    if !request.headers().contains_key(ACCEPT) {
        return Form::Json;
    }
    let wishes = Accept::parse(request).map(|wishes| wishes.ranked()).unwrap_or_default();
    let form = wishes.iter().find_map(|wish| match wish.essence_str() {
        "text/csv" | "text/*" => Some(Form::Csv),
        "application/json" | "application/*" | "*/*" => Some(Form::Json),
        _ => None,
    });
    form.unwrap_or(Form::Json)
}

/// The body's media type without parameters, in lower case; empty if none is given.
fn media_type(request: &HttpRequest) -> String {
    let value = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
