//! `app`: see the library.

use std::num::NonZeroUsize;
use std::process::ExitCode;

use app::{LogFormat, Options};
use clap::Parser;
use common::cli::{self, narrate};
use common::config::Config;
use common::service::Bind;

/// A service that runs for months beside a pipeline reads whole datasets again and again, each time on another thread. The
/// system's allocator keeps what that leaves in arenas of its own for each thread: 260 MB after 200 runs of the pipeline,
/// where this one has 50.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Serve predictions, scores, statistics and diagnostics over HTTP, and a page for people
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    common: cli::Arguments,
    /// Where to listen: ADDRESS:PORT or unix:PATH, several times if wanted [default: the config's `bind`, else 127.0.0.1:8000]
    #[arg(long, value_name = "PLACE", value_parser = bind)]
    bind: Vec<Bind>,
    /// How many threads answer [default: one for each processor but one]
    #[arg(long, value_name = "NUMBER")]
    workers: Option<NonZeroUsize>,
    /// Ask nobody for a token, wherever the requests come from
    #[arg(long)]
    no_auth: bool,
    /// How requests are logged on stderr
    #[arg(long, value_enum, default_value_t)]
    log_format: LogFormat,
    /// Stop when stdin ends
    #[arg(long)]
    stop_with_stdin: bool,
}

fn bind(text: &str) -> anyhow::Result<Bind> {
    Bind::parse(text, &std::env::current_dir()?)
}

fn main() -> ExitCode {
    let Arguments { common, bind, workers, no_auth, log_format, stop_with_stdin } = Arguments::parse();
    let _log = app::log::start(log_format);
    let served = Config::load(common.config.as_deref()).and_then(|config| {
        let bind = if bind.is_empty() { config.bind.clone() } else { bind };
        let workers = workers.map(NonZeroUsize::get);
        app::serve(config, &Options { bind, workers, no_auth, stop_with_stdin, json: common.json })
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            narrate(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
