//! The parts of the command line that all binaries share: `--config`, `--json`, exit codes, and the use of stdout and
//! stderr.
//!
//! Data are written to stdout, messages to stderr. Exit codes: 0 for success, 1 for a failure, 2 for wrong usage
//! (clap's own code).

use std::cell::Cell;
use std::env;
use std::fmt::Display;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use jiff::Timestamp;
use serde::Serialize;

use crate::config::Config;

/// Name of the environment variable in which `fullprocess` passes its own process id to the steps that it starts.
pub const STEP_OF_VARIABLE: &str = "RISK_STEP_OF";

/// The command-line flags of every step.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The config file [default: $RISK_CONFIG, else ./config.json]
    #[arg(long, value_name = "PATH")]
    pub config: Option<PathBuf>,
    /// Print the outcome as one JSON object
    #[arg(long)]
    pub json: bool,
    /// Number of threads that work on client data [default: `threads` of the config, else one per processor]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub threads: Option<u32>,
}

/// The result of a step: `Display` prints it for people, `Serialize` for programs.
pub trait Outcome: Display + Serialize {
    /// Warnings that the reader should see although the step succeeded. They are written to stderr.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether the exit code is 0. An outcome that says no to what was asked gives 1.
    fn is_success(&self) -> bool {
        true
    }
}

impl Arguments {
    /// Loads the config, runs the step and prints its outcome. Returns the exit code of the process.
    pub fn run<O: Outcome>(&self, step: impl FnOnce(&Config) -> Result<O>) -> ExitCode {
        match self.load().and_then(|config| step(&config)) {
            Ok(outcome) => {
                for warning in outcome.warnings() {
                    narrate(format_args!("warning: {warning}"));
                }
                let printed = self.print(&outcome);
                if outcome.is_success() { printed } else { ExitCode::FAILURE }
            }
            Err(error) => {
                narrate(format_args!("error: {error:#}"));
                ExitCode::FAILURE
            }
        }
    }

    /// Loads the config, with the number of threads that was given. A step of `fullprocess` ends with it from now on.
    ///
    /// # Errors
    /// Fails like [`Config::load`], or if the `fullprocess` that has started this step has ended.
    pub fn load(&self) -> Result<Config> {
        end_with_fullprocess()?;
        let mut config = Config::load(self.config.as_deref())?;
        config.threads = self.threads.unwrap_or(config.threads);
        Ok(config)
    }

    fn print<O: Outcome>(&self, outcome: &O) -> ExitCode {
        let text = match self.json {
            true => serde_json::to_string(outcome),
            false if output_is_a_log() => Ok(format!("{}{outcome}", timestamp())),
            false => Ok(outcome.to_string()),
        };
        match text.map_err(io::Error::from).and_then(|text| writeln!(io::stdout(), "{text}")) {
            // If the reader has closed the pipe early (`| head -1`), the step has not failed.
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

/// Makes a step that `fullprocess` has started end when `fullprocess` ends for any reason. The step has a process group
/// of its own, so it would not notice a Ctrl-C; the next run must not meet it while it still works.
fn end_with_fullprocess() -> Result<()> {
    #[cfg(target_os = "linux")]
    if let Ok(parent) = env::var(STEP_OF_VARIABLE) {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))?;
        let here = rustix::process::getppid().map(|id| id.as_raw_nonzero().to_string());
        ensure!(here.as_deref() == Some(&parent), "fullprocess, which started this step, has ended");
    }
    Ok(())
}

/// Whether [`narrate`] writes the time before each line.
static TIMESTAMPS: AtomicBool = AtomicBool::new(false);

/// Makes [`narrate`], and in a log the outcome too, begin every line with the time (RFC 3339, UTC), unless stderr is a
/// terminal. It is used under cron, which appends the lines to a log.
pub fn timestamp_narration() {
    TIMESTAMPS.store(!io::stderr().is_terminal(), Ordering::Relaxed);
}

/// The time at the beginning of a line; empty if lines have none.
fn timestamp() -> String {
    match TIMESTAMPS.load(Ordering::Relaxed) {
        true => Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ ").to_string(),
        false => String::new(),
    }
}

/// Whether stdout and stderr are appended to the same file, as cron does it (`>> LOG 2>&1`). Then the outcome is a line of
/// a log like the others, and no program reads it from stdout.
fn output_is_a_log() -> bool {
    let file = |descriptor| fs::metadata(descriptor).ok().filter(fs::Metadata::is_file);
    let [stdout, stderr] = ["/dev/fd/1", "/dev/fd/2"].map(file);
    stdout.zip(stderr).is_some_and(|(stdout, stderr)| (stdout.dev(), stdout.ino()) == (stderr.dev(), stderr.ino()))
}

/// Writes a message, usually one line, to stderr. A closed stderr is ignored.
pub fn narrate(text: impl Display) {
    let time = timestamp();
    let lines: String = text.to_string().lines().map(|line| format!("{time}{line}\n")).collect();
    let _ = io::stderr().write_all(lines.as_bytes()); // in one write, because other processes may write there too
}

/// A progress line on stderr; silent unless stderr is a terminal.
pub struct Progress<'a> {
    what: &'a str,
    terminal: bool,
    shown: Cell<Instant>,
}

impl<'a> Progress<'a> {
    /// Creates a progress line for `what`. The line first appears after 200 ms, so short work shows nothing.
    pub fn new(what: &'a str) -> Self {
        Self { what, terminal: io::stderr().is_terminal(), shown: Cell::new(Instant::now()) }
    }

    /// Shows `count` and the description. The line changes at most every 200 ms.
    pub fn show(&self, count: u64) {
        self.line(|| format!("{count} {}", self.what));
    }

    /// Shows the description and a text. The line changes at most every 200 ms.
    pub fn show_text(&self, text: impl FnOnce() -> String) {
        self.line(|| format!("{}: {}", self.what, text()));
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
            let _ = write!(io::stderr(), "\r\x1b[K"); // the outcome replaces the progress line
        }
    }
}
