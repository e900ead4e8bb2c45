//! The `app` binary; the library documents it.

use std::num::NonZeroUsize;
use std::process::ExitCode;

use app::{LogFormat, Options};
use clap::Parser;
use common::cli::{self, narrate};
use common::config::service::Bind;

/// jemalloc, because the service reads whole datasets again and again, each time on another thread, and the system's
/// allocator keeps freed memory in an arena per thread. With 100,000 rows, after 20 ingestions and visits of all pages
/// at once, the service held 163 MB with the system's allocator and kept growing, 92 MB with mimalloc, and 69 MB with
/// jemalloc, no more than after the first.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Serve predictions, scores, statistics and diagnostics over HTTP, and web pages for people
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    common: cli::Arguments,
    /// Address to listen on: ADDRESS:PORT or unix:PATH; may be repeated [default: `bind` of the config, else
    /// 127.0.0.1:8000]
    #[arg(long, value_name = "ADDRESS", value_parser = bind)]
    bind: Vec<Bind>,
    /// Number of worker threads [default: one per processor except one]
    #[arg(long, value_name = "NUMBER")]
    workers: Option<NonZeroUsize>,
    /// Require no token, not even from other machines
    #[arg(long)]
    no_auth: bool,
    /// Format of the request log on stderr
    #[arg(long, value_enum, default_value_t)]
    log_format: LogFormat,
    /// Stop when stdin ends, for a parent process that the service must not outlive
    #[arg(long)]
    stop_with_stdin: bool,
}

fn bind(text: &str) -> anyhow::Result<Bind> {
    Bind::parse(text, &std::env::current_dir()?)
}

fn main() -> ExitCode {
    let Arguments { common, bind, workers, no_auth, log_format, stop_with_stdin } = Arguments::parse();
    let _log = app::start_log(log_format);
    let served = common.load().and_then(|config| {
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
