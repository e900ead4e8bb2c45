//! What every binary's command line has in common: `--config`, `--json`, exit codes, and which stream says what.
//!
//! stdout is data, stderr is narration. Exit 0: done; 1: failed; 2: wrong usage (clap's own code).

use std::cell::Cell;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use jiff::Timestamp;
use serde::Serialize;

use crate::config::Config;

/// The flags of every step.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The config file [default: $RISK_CONFIG, else ./config.json]
    #[arg(long, value_name = "PATH")]
    pub config: Option<PathBuf>,
    /// Print the outcome as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What a step has to say when it is done: for people by `Display`, for programs by `Serialize`.
pub trait Outcome: Display + Serialize {
    /// What the reader should know although the step succeeded; goes to stderr.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Arguments {
    /// Loads the config, runs the step and reports its outcome; the value is the process's exit code.
    pub fn run<O: Outcome>(&self, step: impl FnOnce(&Config) -> Result<O>) -> ExitCode {
        match Config::load(self.config.as_deref()).and_then(|config| step(&config)) {
            Ok(outcome) => {
                for warning in outcome.warnings() {
                    narrate(format_args!("warning: {warning}"));
                }
                self.print(&outcome)
            }
            Err(error) => {
                narrate(format_args!("error: {error:#}"));
                ExitCode::FAILURE
            }
        }
    }

    fn print<O: Outcome>(&self, outcome: &O) -> ExitCode {
        let text = if self.json { serde_json::to_string(outcome) } else { Ok(outcome.to_string()) };
        match text.map_err(io::Error::from).and_then(|text| writeln!(io::stdout(), "{text}")) {
            // A reader that has seen enough (`| head -1`) is no failure of the step.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                narrate(format_args!(
                    "error: the step has succeeded, but its outcome cannot be written to stdout ({error}); it is:\n{outcome}"
                ));
                ExitCode::FAILURE
            }
            _ => ExitCode::SUCCESS,
        }
    }
}

/// Whether [`narrate`] writes the time before each line.
static TIMESTAMPS: AtomicBool = AtomicBool::new(false);

/// Makes every line of narration begin with its time (RFC 3339, UTC) unless stderr is a terminal: cron appends the lines
/// to a log.
pub fn timestamp_narration() {
    TIMESTAMPS.store(!io::stderr().is_terminal(), Ordering::Relaxed);
}

/// Writes narration, usually one line, to stderr; a closed stderr stops nothing.
pub fn narrate(text: impl Display) {
    let time = match TIMESTAMPS.load(Ordering::Relaxed) {
        true => Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ ").to_string(),
        false => String::new(),
    };
    let lines: String = text.to_string().lines().map(|line| format!("{time}{line}\n")).collect();
    let _ = io::stderr().write_all(lines.as_bytes()); // in one piece, as other processes may write there too
}

/// A running count, or another word of how far something is, on stderr where that is a terminal, and nothing elsewhere.
pub struct Progress<'a> {
    what: &'a str,
    terminal: bool,
    shown: Cell<Instant>,
}

impl<'a> Progress<'a> {
    /// Of `what`, from the moment when there has been something to wait for.
    pub fn new(what: &'a str) -> Self {
        Self { what, terminal: io::stderr().is_terminal(), shown: Cell::new(Instant::now()) }
    }

    /// Shows the count, a few times a second at the most.
    pub fn show(&self, count: u64) {
        self.line(|| format!("{count} {}", self.what));
    }

    /// Shows how far it is, as often.
    pub fn tell(&self, how_far: impl FnOnce() -> String) {
        self.line(|| format!("{}: {}", self.what, how_far()));
    }

    fn line(&self, text: impl FnOnce() -> String) {
        if self.terminal && self.shown.get().elapsed() > Duration::from_millis(200) {
            let _ = write!(io::stderr(), "\r\x1b[K{}", text());
            self.shown.set(Instant::now());
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if self.terminal {
            let _ = write!(io::stderr(), "\r\x1b[K"); // the outcome says it better
        }
    }
}
