//! The HTTP service: predictions by the live release, and what an operator asks every morning.
//!
//! It reads and never writes. A newly deployed release is served from the next request on ([`live`]); a request that is
//! wrong gets a problem document that says what to change ([`problem`]); a file is read only inside the data folders
//! ([`confine`]). What takes long runs beside the event loop, one at a time.

pub mod confine;
pub mod live;
pub mod prediction;
pub mod problem;
pub mod routes;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::thread;

use actix_web::{App, HttpServer, web};
use anyhow::{Context, Result};
use common::cli::narrate;
use common::config::Config;

use crate::routes::{State, routes};

/// How the service is run.
#[derive(Debug)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub bind: SocketAddr,
    /// Stop when stdin ends: for a parent that wants no server to outlive it.
    pub stop_with_stdin: bool,
    /// Say where it listens as a JSON object.
    pub json: bool,
}

/// Seconds that running requests have to finish after SIGTERM.
const SHUTDOWN_SECONDS: u64 = 5;

/// Serves until SIGTERM or SIGINT. The first line on stdout says where it listens.
pub fn serve(config: Config, options: &Options) -> Result<()> {
    let state = web::Data::new(State::new(config));
    actix_web::rt::System::new().block_on(async {
        let server = HttpServer::new(move || App::new().app_data(state.clone()).configure(routes))
            .shutdown_timeout(SHUTDOWN_SECONDS)
            .bind(options.bind)
            .with_context(|| {
                format!("listening on {}; is another server there? (--bind takes another)", options.bind)
            })?;
        for address in server.addrs() {
            let line = match options.json {
                true => format!("{{\"url\":\"http://{address}\"}}"),
                false => format!("listening on http://{address}"),
            };
            // A parent that has gone away is no reason not to serve.
            let _ = writeln!(io::stdout(), "{line}").and_then(|()| io::stdout().flush());
        }
        let server = server.run();
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
