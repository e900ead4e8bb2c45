//! The log: one line a request and a line for what an operator should know, on stderr, as text or as JSON objects.
//!
//! No client's data stand in it: a path is told by its pattern, a query and a body not at all. Lines are written by a thread
//! of their own; where nobody reads them they are dropped rather than hold up an answer.

use clap::ValueEnum;
use tracing_appender::non_blocking::{NonBlocking, WorkerGuard};
use tracing_subscriber::fmt;
use tracing_subscriber::util::SubscriberInitExt;

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: a JSON object a line.
    Json,
    /// Not at all.
    None,
}

/// Starts the log; it ends with the value, which writes what is left.
pub fn start(format: LogFormat) -> Option<WorkerGuard> {
    let (stderr, guard): (NonBlocking, _) = tracing_appender::non_blocking(std::io::stderr());
    let subscriber = fmt().with_writer(stderr).with_target(false).with_ansi(false);
    let started = match format {
        LogFormat::Text => subscriber.finish().try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).finish().try_init(),
        LogFormat::None => return None,
    };
    // Only a test that starts two services in one process meets a log that is there already.
    started.ok().map(|()| guard)
}
