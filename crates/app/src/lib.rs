//! The HTTP service: predictions by the live release, reports for operators, and the page that a client manager opens
//! every morning.
//!
//! The service writes nothing but contacts, into the history. `routes` binds a handler to each endpoint of [`common::api`], and `observe`
//! wraps every request. A newly deployed release is served from the next request on (`live`). A bad request gets a
//! problem document that says what to change (`problem`). Files are read only inside the data folders (`confine`).
//! Long work runs outside the event loop, one request at a time (`queue`), and its results are cached (`cache`,
//! `views`).
//! `limits` defines every limit and lists who waits for what.

mod access;
mod answer;
mod body;
mod cache;
mod circuit_breaker;
mod confine;
mod contacts;
mod http;
mod inference;
mod limits;
mod listen;
mod live;
mod log;
mod metrics;
mod observe;
mod pages;
mod prediction;
mod problem;
mod queue;
mod response;
mod routes;
mod state;
mod unique;
mod views;
mod workers;

use std::io::{self, Write};
use std::sync::Arc;
use std::thread;

use actix_web::rt::signal::unix::{SignalKind, signal};
use actix_web::web::Data;
use anyhow::{Context, Result, anyhow};
use common::cli::narrate;
use common::config::Config;
use common::config::service::Bind;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::access::Access;
use crate::http::Peers;
use crate::limits::{SHUTDOWN_LIMIT, SWEEP};
use crate::listen::Listeners;
use crate::state::State;
use crate::workers::Workers;

pub use crate::log::{LogFormat, start as start_log};

/// Options of the service that come from the command line.
#[derive(Debug)]
pub struct Options {
    /// Addresses and sockets on which the service listens.
    pub bind: Vec<Bind>,
    /// Number of worker threads; `None` means one per processor except one.
    pub workers: Option<usize>,
    /// Whether requests need no token, even if the config names one or other machines can reach the service.
    pub no_auth: bool,
    /// Whether to stop when stdin ends, for parent processes that the server must not outlive.
    pub stop_with_stdin: bool,
    /// Whether to print the addresses as JSON objects.
    pub json: bool,
}

/// Serves until SIGTERM or SIGINT. Prints one line per address to stdout.
///
/// # Errors
/// Returns an error if access is not configured, an address cannot be bound, or a worker thread fails.
pub fn serve(config: Config, options: &Options) -> Result<()> {
    let access = Access::decide(&config, &options.bind, options.no_auth)?;
    let peers = Arc::new(Peers::new(listen::most_connections()));
    let state = Data::new(State::new(config, access));
    // Loaded now, so that the first request does not have to wait. Whether a model is available is reported by
    // `/health/ready`.
    drop(state.live.model());
    actix_web::rt::System::new().block_on(run(&state, &peers, options))?;
    narrate("stopped");
    Ok(())
}

async fn run(state: &Data<State>, peers: &Arc<Peers>, options: &Options) -> Result<()> {
    let mut listeners = Listeners::bind(&options.bind)?;
    let (workers, mut failures) = Workers::start(options.workers.unwrap_or_else(default_workers), state)?;
    // Installed before the addresses are printed, because a parent may send a signal as soon as it has read them. From
    // now on these signals no longer end the process by themselves.
    let listen = |kind| signal(kind).context("listening for signals");
    let (mut terminate, mut interrupt) = (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    for url in listeners.urls()? {
        print(options.json, &url);
    }
    let sweeping = peers.clone();
    actix_web::rt::spawn(async move {
        loop {
            sleep(SWEEP).await;
            sweeping.sweep();
        }
    });
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => return Ok(()), // after Ctrl-C the service does not wait for running requests
        () = stdin_ended(), if options.stop_with_stdin => {}
        () = listeners.accept(peers, &workers) => {}
        error = failures.recv() => return Err(error.unwrap_or_else(|| anyhow!("all worker threads have ended"))),
    }
    // Requests that were sent before the signal are answered, also on connections that are not accepted yet.
    let finish = async {
        let _sockets = listeners.finish(peers, &workers).await;
        peers.stop();
        drop(workers); // each thread ends with its last connection
        while failures.recv().await.is_some() {}
    };
    tokio::select! {
        _ = timeout(SHUTDOWN_LIMIT, finish) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Waits for the end of stdin.
async fn stdin_ended() {
    let (sender, ended) = oneshot::channel::<()>();
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        drop(sender);
    });
    let _ = ended.await;
}

/// The default number of worker threads: one per processor except one, which remains for long work, the log and other
/// programs. Without a spare processor a request would wait for whole time slices of the others.
fn default_workers() -> usize {
    thread::available_parallelism().map_or(1, |processors| (processors.get() - 1).max(1))
}

/// Prints the address. Errors are ignored, because the service should continue even if its parent no longer reads them.
fn print(json: bool, url: &str) {
    let line = match json {
        true => serde_json::json!(common::outcomes::AppListening { url: url.to_owned() }).to_string(),
        false => format!("listening on {url}"),
    };
    let _ = writeln!(io::stdout(), "{line}").and_then(|()| io::stdout().flush());
}
