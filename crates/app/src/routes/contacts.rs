//! The endpoint `POST /contacts`, the only one that writes.

mod described;

use std::collections::HashSet;

use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::web::{Bytes, Data, Payload};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use common::api::Endpoint;
use history::{Added, NotRecorded};
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use self::described::{ContactForm, ContactRequest};
use crate::body::{Body, is_small};
use crate::contacts::{self, Format, Posted};
use crate::limits::{CONTACT_LIMIT, LARGEST_CONTACTS};
use crate::problem::{BodyErrors, ContactErrors, Problem};
use crate::queue::unqueued;
use crate::response::ok;
use crate::state::{State, live};
use crate::views::RankedClients;

/// What became of the contacts of a request.
#[derive(Serialize, ToSchema)]
pub struct ContactAnswer {
    /// Number of contacts that this request has recorded.
    recorded: usize,
    /// Number of contacts that an earlier request with the same key had recorded.
    repeated: usize,
    /// Number of contacts with clients that the call list does not contain, because they have left or are not in the data;
    /// null if there is no complete call list. They are recorded too.
    unknown_clients: Option<usize>,
}

/// Records calls to clients and what came of them.
///
/// All contacts of a request are recorded, or none. A request with an idempotency key can be sent again without recording
/// anything twice. Requests that pages of other sites send are refused.
#[utoipa::path(post, path = Endpoint::Contacts.documented_path(), tag = "contacts",
    params(("idempotency-key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$",
        description = "Identifies the request if it is sent again; a form has the field `key` instead")),
    request_body(content(
        (ContactRequest = "application/json"),
        (String = "text/csv", example = "corporation,outcome,by,note,at\nacme,reached,Anna,,2026-11-30T09:00:00Z\n"),
        (ContactForm = "application/x-www-form-urlencoded"),
    ), description = "The contacts"),
    responses(
        (status = 201, body = ContactAnswer, description = "The contacts were recorded"),
        (status = 200, body = ContactAnswer, description = "An earlier request with the same key has recorded them"),
        (status = 303, description = "The form was recorded, now or earlier", headers(
            ("location" = String, description = "The path that the form names")
        )),
        ContactErrors, BodyErrors,
    ))]
pub async fn contacts(request: HttpRequest, state: Data<State>, payload: Payload) -> Result<HttpResponse, Problem> {
    let format = Format::of(request.content_type())?;
    let key = contacts::key(&request)?;
    let body = receive(&state, Body::of(&request, payload, LARGEST_CONTACTS)?).await?;
    let id = live(&state)
        .await
        .map_or_else(|_| state.config.columns.id().to_owned(), |live| live.model.schema.id().to_owned());
    let posted = unqueued(move || contacts::read(format, &body, &id, key, Timestamp::now())).await?;
    // A request that cannot be answered does not wait in the queue.
    state.circuit_breaker.check().map_err(|error| unwritable(&error, &posted))?;
    let permit = timeout(CONTACT_LIMIT, state.contact_queue.enter()).await.unwrap_or_else(|_| {
        let late = "nothing was recorded, because earlier requests take too long; send it again later";
        Err(Problem::Busy(late.to_owned()))
    })?;
    let return_to = posted.form.as_ref().map(|form| form.return_to.clone());
    let answer = permit.run(move || record(&state, &posted)).await?;
    if let Some(path) = return_to {
        return Ok(HttpResponse::SeeOther().insert_header((LOCATION, path)).finish());
    }
    let mut response = ok(&answer)?;
    if answer.recorded > 0 {
        *response.status_mut() = StatusCode::CREATED;
    }
    Ok(response)
}

/// Receives the whole body.
async fn receive(state: &Data<State>, mut body: Body) -> Result<Bytes, Problem> {
    let start = body.start().await?;
    if is_small(&start) {
        return Ok(start);
    }
    let _permit = state.large_bodies.permit()?;
    body.rest(start).await
}

fn record(state: &State, posted: &Posted) -> Result<ContactAnswer, Problem> {
    let Posted { contacts, sha256, key, form } = posted;
    let live = state.live.model().ok();
    let clients = live.as_ref().and_then(|live| state.views.clients(&state.config, live).ok());
    if let (Some(_), Some(live), Some(clients)) = (form, &live, &clients) {
        let is_known =
            |id: &str| clients.call(id).is_some() || clients.rows(id, live).map_or(true, |rows| !rows.is_empty());
        if let Some(unknown) = contacts.iter().find(|contact| !is_known(&contact.client)) {
            return Err(Problem::WrongData(format!("there is no client {:?} in the data", unknown.client)));
        }
    }
    let add = || state.circuit_breaker.open_for_contacts(&state.config)?.add_contacts(key.as_deref(), sha256, contacts);
    let added = add().map_err(|error| unwritable(&error, posted))?;
    let (recorded, repeated) = match added {
        Added::Recorded => (contacts.len(), 0),
        Added::Repeated => (0, contacts.len()),
        Added::Conflict => {
            let conflict = match form {
                Some(_) => {
                    "this form was sent before with other content, which is recorded; reload the page and record the call in the \
                     new form"
                }
                None => "an earlier request with this Idempotency-Key had other contacts; use another key",
            };
            return Err(Problem::WrongData(conflict.to_owned()));
        }
    };
    state.metrics.contacts.inc_by(recorded as u64);
    let clients = clients.filter(|clients| clients.list.is_whole());
    Ok(ContactAnswer { recorded, repeated, unknown_clients: clients.map(|clients| unknown(&clients, posted)) })
}

/// Number of contacts with clients that the call list does not contain.
fn unknown(clients: &RankedClients, Posted { contacts, .. }: &Posted) -> usize {
    let listed: HashSet<&str> = clients.list.calls.iter().map(|call| call.id.as_str()).collect();
    contacts.iter().filter(|contact| !listed.contains(contact.client.as_str())).count()
}

/// Logs why the contacts were not recorded, and says so and what to do.
fn unwritable(error: &anyhow::Error, Posted { key, form, .. }: &Posted) -> Problem {
    tracing::error!("contacts were not recorded: {error:#}");
    let reason = NotRecorded::of(error);
    let advice = match (reason, key, form) {
        (NotRecorded::Unknown, Some(_), Some(_)) => "; go back to the form and send it again: it is not recorded twice",
        (NotRecorded::Unknown, Some(_), None) => "; send the request again with the same Idempotency-Key",
        (NotRecorded::Unknown, None, _) => {
            "; look at GET /history?what=contacts before you send them again, and use an Idempotency-Key"
        }
        (_, _, Some(_)) => "; go back to the form, which still has what you have entered, and send it again later",
        (_, _, None) => "",
    };
    Problem::Unwritable(format!("{reason}{advice}"))
}
