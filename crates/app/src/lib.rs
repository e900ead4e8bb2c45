//! The HTTP service: predictions by the live release, what an operator asks, and the page that a client manager opens every
//! morning.
//!
//! It reads and never writes. A newly deployed release is served from the next request on ([`live`]); a request that is
//! wrong gets a problem document that says what to change ([`problem`]); a file is read only inside the data folders
//! ([`confine`]). What takes long runs beside the event loop, one at a time ([`turn`]), and what many ask for is made once
//! ([`views`]). What happens around every request stands in [`observe`], every limit in [`limits`].

pub mod access;
pub mod answer;
pub mod body;
pub mod cached;
pub mod confine;
pub mod door;
mod limits;
pub mod listen;
pub mod live;
pub mod log;
pub mod metrics;
pub mod observe;
pub mod openapi;
pub mod pages;
pub mod prediction;
pub mod problem;
pub mod routes;
pub mod state;
pub mod turn;
pub mod views;

use std::io::{self, Write};
use std::thread;

use actix_web::middleware::from_fn;
use actix_web::rt::signal::unix::{Signal, SignalKind, signal};
use actix_web::{App, HttpServer, web};
use anyhow::{Context, Result};
use common::cli::narrate;
use common::config::Config;
use common::service::Bind;

use crate::access::Access;
use crate::limits::{HEAD_LIMIT, SHUTDOWN_SECONDS};
use crate::listen::Sockets;
use crate::observe::observe;
use crate::routes::routes;
use crate::state::State;

pub use crate::log::LogFormat;

/// How the service is run.
#[derive(Debug)]
pub struct Options {
    /// Where to listen.
    pub bind: Vec<Bind>,
    /// Threads that answer; without a number one for each processor but one.
    pub workers: Option<usize>,
    /// Ask nobody for a token.
    pub no_auth: bool,
    /// Stop when stdin ends: for a parent that wants no server to outlive it.
    pub stop_with_stdin: bool,
    /// Say where it listens as JSON objects.
    pub json: bool,
}

/// Serves until SIGTERM or SIGINT. One line on stdout for each place says where it listens.
pub fn serve(config: Config, options: &Options) -> Result<()> {
    let access = Access::decide(&config, &options.bind, options.no_auth)?;
    let workers = options.workers.unwrap_or_else(workers);
    let connections = listen::connections_of_each(workers);
    let state = web::Data::new(State::new(config, access));
    // The first request should not wait for the model; whether there is one, `/health/ready` says.
    drop(state.live.model());
    let mut sockets = Sockets::default();
    actix_web::rt::System::new().block_on(async {
        let mut server =
            HttpServer::new(move || App::new().wrap(from_fn(observe)).app_data(state.clone()).configure(routes))
                .workers(workers)
                .max_connections(connections)
                .client_request_timeout(HEAD_LIMIT)
                .shutdown_timeout(SHUTDOWN_SECONDS);
        let (addresses, sockets_wanted): (Vec<_>, Vec<_>) =
            options.bind.iter().partition(|place| place.address().is_some());
        let busy = |place: &Bind| format!("listening on {place}; is another server there? (--bind takes another)");
        for place in addresses {
            if let Bind::Tcp(address) = place {
                server = server.bind(address).with_context(|| busy(place))?;
            }
        }
        // Before the sockets, for which actix-web would name an address that there is not.
        let listening = server.addrs();
        for place in &sockets_wanted {
            if let Bind::Unix(path) = place {
                sockets.claim(path).with_context(|| busy(place))?;
                server = server.bind_uds(path).with_context(|| busy(place))?;
            }
        }
        // Before anybody is told that there is something to stop; actix-web's own handlers come after its first answers.
        let mut stop_signals = StopSignals::listen()?;
        let listening = listening.iter().map(|address| format!("http://{address}"));
        for url in listening.chain(sockets_wanted.iter().map(ToString::to_string)) {
            say(options.json, &url);
        }
        let server = server.disable_signals().run();
        let handle = server.handle();
        actix_web::rt::spawn(async move {
            let graceful = stop_signals.next().await;
            handle.stop(graceful).await;
        });
        if options.stop_with_stdin {
            let handle = server.handle();
            thread::spawn(move || {
                let _ = io::copy(&mut io::stdin(), &mut io::sink());
                drop(handle.stop(true)); // the command is sent at once; the future only waits for its end
            });
        }
        server.await.context("serving")
    })?;
    narrate("stopped");
    Ok(())
}

/// What tells the service to stop.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// From here on these signals no longer end the process by themselves.
    fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("listening for signals");
        Ok(Self { terminate: listen(SignalKind::terminate())?, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Waits for the next one; returns whether running requests may be finished. Who presses Ctrl-C does not wait for them.
    async fn next(&mut self) -> bool {
        tokio::select! {
            _ = self.terminate.recv() => true,
            _ = self.interrupt.recv() => false,
        }
    }
}

/// One for each processor but one, which is for long work, the log, and whatever else the machine does: with none to spare
/// a request waits for whole time slices of the others.
fn workers() -> usize {
    thread::available_parallelism().map_or(1, |processors| (processors.get() - 1).max(1))
}

/// Tells where it listens. A parent that has gone away is no reason not to serve.
fn say(json: bool, url: &str) {
    let line = match json {
        true => serde_json::json!({ "url": url }).to_string(),
        false => format!("listening on {url}"),
    };
    let _ = writeln!(io::stdout(), "{line}").and_then(|()| io::stdout().flush());
}
