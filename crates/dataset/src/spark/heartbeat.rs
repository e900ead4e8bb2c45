//! Notices that a server has gone while its answer is awaited.
//!
//! A stream without responses looks the same whether the server works or is no longer there. So the server is asked at
//! regular intervals for its health (gRPC Health Checking Protocol), over a connection of its own, since that of the
//! stream may be the one that is dead. Any answer counts, "unimplemented" too: only who is there can give it.
//! HTTP/2 pings would serve as well, but Spark closes a connection on which they come more often than every five
//! minutes.

use std::io;
use std::time::{Duration, Instant};

use tonic::{Code, Status};

use crate::spark::client::Client;
use crate::spark::tls;

/// The pause before each request.
const INTERVAL: Duration = Duration::from_secs(3);
/// Time limit for an answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// The server has ended if this many connections in a row are refused. One that is restarted within this time is not
/// missed.
const MOST_REFUSALS: u32 = 3;
/// A server that neither answers nor refuses connections counts as gone after this time, which is longer than networks
/// are usually interrupted.
const LONGEST_SILENCE: Duration = Duration::from_secs(60);

/// Returns when the server has gone, with the reason.
pub async fn watch(client: &Client) -> String {
    let mut probe = client.probe();
    let (mut answered, mut refusals) = (Instant::now(), 0);
    loop {
        tokio::time::sleep(INTERVAL).await;
        match tokio::time::timeout(ANSWER_LIMIT, probe.ask()).await {
            Ok(Ok(())) => (answered, refusals) = (Instant::now(), 0),
            Ok(Err(status)) if is_refused(&status) => refusals += 1,
            Ok(Err(_)) | Err(_) => (probe, refusals) = (client.probe(), 0),
        }
        if refusals == MOST_REFUSALS {
            return "the server can no longer be reached: it refuses connections".to_owned();
        }
        if answered.elapsed() > LONGEST_SILENCE {
            return format!("the server can no longer be reached: no answer for {} s", LONGEST_SILENCE.as_secs());
        }
    }
}

/// Returns whether an answer shows that the server is there.
pub fn is_answer(status: &Status) -> bool {
    // An error on the way has a source; one of the server has none. A proxy may say that the server is unavailable.
    std::error::Error::source(status).is_none() && status.code() != Code::Unavailable
}

/// Returns whether the connection was refused, as a machine does if no program listens on the port.
fn is_refused(status: &Status) -> bool {
    let mut kinds = tls::causes(status).filter_map(|error| error.downcast_ref::<io::Error>()).map(io::Error::kind);
    kinds.any(|kind| kind == io::ErrorKind::ConnectionRefused)
}
