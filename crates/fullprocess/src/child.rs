//! The other steps as subprocesses: the binaries beside this one.

use std::env;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use common::cli::narrate;
use common::config::Config;
use common::engine::STEP_OF_VARIABLE;
use serde_json::Value;

/// Runs steps with one config.
pub struct Steps {
    folder: PathBuf,
    config: PathBuf,
    /// The name under which the history keeps them together; `None` where they leave no record.
    process: Option<String>,
}

impl Steps {
    /// The steps that stand beside this executable.
    pub fn of(config: &Config, process: Option<String>) -> Result<Self> {
        Ok(Self { folder: sibling_folder()?, config: config.file.clone(), process })
    }

    /// Runs a step to its end; returns its outcome.
    ///
    /// # Errors
    /// Where the step cannot be started or fails, with what it said on stderr.
    pub fn run(&self, step: &str, arguments: &[OsString]) -> Result<Value> {
        narrate(format_args!("{} {step}", jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ")));
        let output = command(&self.folder, step, &self.config)
            .arg("--json")
            .args(arguments)
            .env(STEP_OF_VARIABLE, std::process::id().to_string())
            .envs(self.process.as_ref().map(|process| (history::PROCESS_VARIABLE, process)))
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("starting {step} in {}; build the whole workspace", self.folder.display()))?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            bail!("{step} failed ({}): {}", output.status, said.trim());
        }
        for line in said.lines() {
            narrate(format_args!("{step}: {line}"));
        }
        serde_json::from_slice(&output.stdout).with_context(|| format!("{step} did not print one JSON object"))
    }
}

/// An app on a free port, started for a moment. It stops with this value, and with this process however that ends: its
/// stdin is a pipe that only this process holds.
pub struct Server {
    child: Child,
    url: String,
}

impl Server {
    /// Starts it and waits until it listens.
    pub fn start(config: &Config) -> Result<Self> {
        let mut child = command(&sibling_folder()?, "app", &config.file)
            .args(["--bind", "127.0.0.1:0", "--stop-with-stdin", "--json", "--log-format", "none"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .context("starting app")?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("app has no stdout")?;
        let mut server = Self { child, url: String::new() };
        BufReader::new(stdout).read_line(&mut line).context("reading from app")?;
        let told: Value =
            serde_json::from_str(&line).context("app did not say where it listens; its message stands above")?;
        server.url = told.get("url").and_then(Value::as_str).context("app did not say where it listens")?.to_owned();
        Ok(server)
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait(); // it has been asked to stop; how it ends changes nothing
    }
}

fn command(folder: &Path, step: &str, config: &Path) -> Command {
    let mut command = Command::new(folder.join(step));
    command.arg("--config").arg(config);
    command
}

fn sibling_folder() -> Result<PathBuf> {
    let executable = env::current_exe().context("finding this executable")?;
    Ok(executable.parent().map(Path::to_owned).unwrap_or_default())
}
