//! What every binary's command line has in common: `--config`, `--json`, exit codes, and which stream says what.
//!
//! stdout is data, stderr is narration. Exit 0: done; 1: failed; 2: wrong usage (clap's own code).

use std::fmt::Display;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
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
        let text = if self.json {
            serde_json::to_string(outcome).unwrap_or_else(|error| format!("{{\"error\": \"{error}\"}}"))
        } else {
            outcome.to_string()
        };
        match writeln!(io::stdout(), "{text}") {
            // A reader that has seen enough (`| head -1`) is no failure of the step.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                narrate(format_args!("error: printing the outcome: {error}"));
                ExitCode::FAILURE
            }
            _ => ExitCode::SUCCESS,
        }
    }
}

/// One line of narration on stderr; a closed stderr stops nothing.
pub fn narrate(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}
