//! The log on stderr, as text or as JSON objects: one line per request, and one for each event that an operator should
//! know.
//!
//! It contains no data of clients: a path is logged as its pattern, queries and bodies are not logged. A separate
//! thread writes the lines; if nothing reads them, they are dropped so that they do not delay answers.

use clap::ValueEnum;
use tracing_appender::non_blocking::{NonBlocking, WorkerGuard};
use tracing_subscriber::fmt;
use tracing_subscriber::util::SubscriberInitExt;

/// The format of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines of text for people
    #[default]
    Text,
    /// For programs: one JSON object per line
    Json,
    /// Write no log at all
    None,
}

/// Starts the log. Dropping the returned guard writes the remaining lines and ends the log.
pub fn start(format: LogFormat) -> Option<WorkerGuard> {
    let (stderr, guard): (NonBlocking, _) = tracing_appender::non_blocking(std::io::stderr());
    let subscriber = fmt().with_writer(stderr).with_target(false).with_ansi(false);
    let started = match format {
        LogFormat::Text => subscriber.finish().try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).finish().try_init(),
        LogFormat::None => return None,
    };
    // Fails only if a log exists already: in a test that starts two services in one process.
    started.ok().map(|()| guard)
}
