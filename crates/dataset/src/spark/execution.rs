//! The execution of a plan, from its first response to the response that declares the answer complete.
//!
//! A server may end the stream of responses at any time: Spark does so every two minutes
//! (`spark.connect.execute.reattachable.senderMaxStreamDuration`), proxies and networks whenever they want. The end of
//! a stream is therefore not the end of the answer. An answer is complete when `ResultComplete` has arrived. Until then
//! the stream is continued after the last response received; if that is impossible, the execution has failed.

use std::time::{Duration, Instant};

use spark_connect_proto::execute_plan_response::{ArrowBatch, ExecutionProgress, ResponseType};
use spark_connect_proto::plan::OpType;
use spark_connect_proto::{ExecutePlanResponse, Plan};
use tonic::{Code, Status, Streaming};

use crate::spark::client::Client;

/// An execution counts as lost if for this time every stream of it broke without a response. Longer than
/// [`crate::spark::heartbeat`] waits for the server itself.
const LONGEST_BREAK: Duration = Duration::from_secs(75);
/// Pauses before a stream that delivered no response is continued. A stream that delivered some is continued
/// immediately.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A response of a running execution.
pub enum Event {
    /// Rows, as an Arrow stream.
    Rows(ArrowBatch),
    Progress(ExecutionProgress),
}

/// A receiver of events, one at a time. It returns `Err` when it does not want more events.
pub trait Sink: Send {
    fn send(&mut self, event: Event) -> impl Future<Output = Result<(), Unwanted>> + Send;
}

/// The error of a receiver that no longer waits for the answer.
pub struct Unwanted;

/// The reason why an execution has no complete answer.
#[derive(Debug)]
pub enum Broken {
    /// The server returned an error, about the execution or about the session.
    Refused(Status),
    /// The answer could not be received to its end.
    Incomplete(String),
    /// The server is not there any more.
    Gone(String),
}

/// The way in which a stream of responses ended.
enum End {
    Complete,
    Unwanted,
    /// The server, or a proxy in between, closed it.
    Closed,
    Failed(Status),
    /// Responses are missing or inconsistent.
    Damaged(String),
}

/// The state of an answer that has been received in part.
#[derive(Default)]
struct Received {
    last_response: Option<String>,
    rows: i64,
    /// Number of responses of all streams.
    responses: u64,
}

/// Executes `plan` and passes its events to `sink` until the answer is complete.
pub async fn execute(client: &Client, plan: Plan, operation: &str, sink: &mut impl Sink) -> Result<(), Broken> {
    let mut received = Received::default();
    let (mut begin, mut broken_since, mut pause) = (true, None, FIRST_PAUSE);
    let is_query = matches!(plan.op_type, Some(OpType::Root(_)));
    loop {
        let (opened, before) = (Instant::now(), received.responses);
        let stream = match begin {
            true => client.execute(plan.clone(), operation).await,
            false => client.reattach(operation, received.last_response.clone()).await,
        };
        let end = match stream {
            Ok(stream) => follow(stream, &mut received, sink).await,
            Err(status) => End::Failed(status),
        };
        let brought_nothing = received.responses == before;
        match &end {
            End::Complete | End::Unwanted => break,
            End::Damaged(why) => return Err(Broken::Incomplete(why.clone())),
            End::Failed(status) if !begin && may_be_sent_again(status, is_query, &received) => {
                (begin, received.last_response) = (true, None);
            }
            // The request did arrive, and only its answer was lost.
            End::Failed(status) if begin && status.message().contains(OPERATION_EXISTS) => begin = false,
            End::Failed(status) if !is_transient(status) => return Err(refused(status, begin)),
            End::Closed | End::Failed(_) => begin = false,
        }
        let failed = match &end {
            End::Failed(status) if brought_nothing => Some(status),
            _ => None,
        };
        match failed {
            None => broken_since = None,
            Some(status) if broken_since.get_or_insert_with(Instant::now).elapsed() > LONGEST_BREAK => {
                return Err(Broken::Incomplete(format!(
                    "the answer broke off and could not be continued for {} s: {}",
                    LONGEST_BREAK.as_secs(),
                    message(status)
                )));
            }
            Some(_) => {}
        }
        // A server that closes streams regularly keeps each of them open for a while.
        if brought_nothing && (failed.is_some() || opened.elapsed() < LONGEST_PAUSE) {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        } else {
            pause = FIRST_PAUSE;
        }
    }
    Ok(())
}

/// Receives the responses of a stream until it ends.
async fn follow(mut stream: Streaming<ExecutePlanResponse>, received: &mut Received, sink: &mut impl Sink) -> End {
    loop {
        let response = match stream.message().await {
            Ok(Some(response)) => response,
            Ok(None) => return End::Closed,
            Err(status) => return End::Failed(status),
        };
        received.responses += 1;
        if !response.response_id.is_empty() {
            received.last_response = Some(response.response_id);
        }
        let event = match response.response_type {
            Some(ResponseType::ResultComplete(_)) => return End::Complete,
            Some(ResponseType::ArrowBatch(batch)) => match received.take(batch) {
                Ok(batch) => Event::Rows(batch),
                Err(why) => return End::Damaged(why),
            },
            Some(ResponseType::ExecutionProgress(progress)) => Event::Progress(progress),
            _ => continue,
        };
        if sink.send(event).await.is_err() {
            return End::Unwanted;
        }
    }
}

impl Received {
    /// Accepts a batch if it continues the rows received so far.
    fn take(&mut self, batch: ArrowBatch) -> Result<ArrowBatch, String> {
        if let Some(start) = batch.start_offset.filter(|start| *start != self.rows) {
            return Err(format!("rows are missing from the answer: row {start} follows {} rows", self.rows));
        }
        if batch.num_chunks_in_batch.is_some_and(|chunks| chunks > 1) {
            return Err("a batch of rows came in parts, which was not asked for".to_owned());
        }
        self.rows += batch.row_count;
        Ok(batch)
    }
}

const OPERATION_EXISTS: &str = "OPERATION_ALREADY_EXISTS";

const UNKNOWN_TO_SPARK: &str = "INVALID_HANDLE.OPERATION_NOT_FOUND";
const UNKNOWN_TO_SAIL: &str = "operation not found";

/// Returns whether a plan whose execution the server does not know can be sent again under the same id: the request did
/// not arrive, or the server has been restarted.
fn may_be_sent_again(status: &Status, is_query: bool, received: &Received) -> bool {
    let says = |text| status.message().contains(text);
    match is_query {
        true => (says(UNKNOWN_TO_SPARK) || says(UNKNOWN_TO_SAIL)) && received.rows == 0,
        // Sail may still be writing, and two executions must not write into one folder.
        false => says(UNKNOWN_TO_SPARK) && received.responses == 0,
    }
}

/// Returns whether a stream broke for a reason that is unrelated to the execution.
fn is_transient(status: &Status) -> bool {
    // Only a transport error has a source; an error reported by the server has none.
    let on_the_way = std::error::Error::source(status).is_some();
    let cut = ["INVALID_CURSOR.DISCONNECTED", "missing grpc-status trailer", "Unexpected EOF"];
    on_the_way || status.code() == Code::Unavailable || cut.iter().any(|cut| status.message().contains(cut))
}

fn refused(status: &Status, begin: bool) -> Broken {
    let cannot_continue = status.code() == Code::Unimplemented
        || ["INVALID_HANDLE.OPERATION", "INVALID_CURSOR", "not found for operation"]
            .iter()
            .any(|word| status.message().contains(word));
    match !begin && cannot_continue {
        true => Broken::Incomplete(format!(
            "the answer broke off before its end, and the server cannot continue it: {}",
            message(status)
        )),
        false => Broken::Refused(status.clone()),
    }
}

/// Returns a server's message without its stack trace; the description of the status code if the message is empty.
pub fn message(status: &Status) -> String {
    let message = status.message().split("\nJVM stacktrace").next().unwrap_or_default().trim();
    match message.is_empty() {
        true => status.code().description().to_owned(),
        false => message.chars().take(2000).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_are_missing_or_come_twice_are_noticed() {
        let batch = |start, rows| ArrowBatch { row_count: rows, start_offset: start, ..Default::default() };
        let mut received = Received::default();
        assert!(received.take(batch(Some(0), 3)).is_ok() && received.take(batch(Some(3), 2)).is_ok());
        assert!(received.take(batch(Some(3), 2)).unwrap_err().contains("row 3 follows 5 rows"));
        assert!(received.take(batch(Some(7), 2)).is_err() && received.take(batch(None, 2)).is_ok());
    }

    #[test]
    fn only_what_happened_on_the_way_is_tried_again() {
        let transport = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert!(is_transient(&Status::from_error(Box::new(transport))) && is_transient(&Status::unavailable("")));
        assert!(is_transient(&Status::internal("[INVALID_CURSOR.DISCONNECTED] The cursor has been disconnected")));
        for said in [Status::internal("[DIVIDE_BY_ZERO]"), Status::unimplemented("no"), Status::not_found("session")] {
            assert!(!is_transient(&said), "{said}");
        }
    }

    #[test]
    fn only_queries_without_rows_and_writes_that_never_began_are_sent_again() {
        let spark = Status::not_found("[INVALID_HANDLE.OPERATION_NOT_FOUND] Operation not found.");
        let sail = Status::invalid_argument("invalid argument: operation not found: 1");
        let after = |responses, rows| Received { responses, rows, ..Received::default() };
        for status in [&spark, &sail] {
            assert!(may_be_sent_again(status, true, &after(2, 0)) && !may_be_sent_again(status, true, &after(2, 1)));
        }
        assert!(may_be_sent_again(&spark, false, &after(0, 0)) && !may_be_sent_again(&spark, false, &after(1, 0)));
        assert!(!may_be_sent_again(&sail, false, &after(0, 0)));
        assert!(!may_be_sent_again(&Status::internal("[DIVIDE_BY_ZERO]"), true, &after(0, 0)));
    }

    #[test]
    fn a_server_that_cannot_continue_is_no_complete_answer() {
        let Broken::Incomplete(why) = refused(&Status::unimplemented("no such method"), false) else { panic!() };
        assert!(why.contains("broke off") && why.contains("no such method"), "{why}");
        // A lost session is handled by the connection, which can open another.
        for said in ["[DIVIDE_BY_ZERO]", "[INVALID_HANDLE.SESSION_CLOSED] Session was closed"] {
            assert!(matches!(refused(&Status::internal(said), false), Broken::Refused(_)));
        }
    }

    #[test]
    fn the_stack_of_a_server_is_left_out() {
        assert_eq!(message(&Status::internal("[X] wrong\n\nJVM stacktrace:\norg.apache")), "[X] wrong");
        assert!(!message(&Status::internal("")).is_empty());
    }
}
