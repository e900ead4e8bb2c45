//! `app`: see the library.

use std::net::SocketAddr;
use std::process::ExitCode;

use app::Options;
use clap::Parser;
use common::cli::{self, narrate};
use common::config::Config;

/// Serve predictions, scores, statistics and diagnostics over HTTP
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    common: cli::Arguments,
    /// Where to listen [default: the config's `bind`, else 127.0.0.1:8000]
    #[arg(long, value_name = "ADDRESS:PORT")]
    bind: Option<SocketAddr>,
    /// Stop when stdin ends
    #[arg(long)]
    stop_with_stdin: bool,
}

fn main() -> ExitCode {
    let Arguments { common, bind, stop_with_stdin } = Arguments::parse();
    let served = Config::load(common.config.as_deref()).and_then(|config| {
        let bind = bind.unwrap_or(config.bind);
        app::serve(config, &Options { bind, stop_with_stdin, json: common.json })
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            narrate(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
