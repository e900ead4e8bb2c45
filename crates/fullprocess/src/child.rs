//! Runs the other steps as subprocesses, from the binaries next to this one.

use std::env;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, bail};
use common::cli::narrate;
use common::config::Config;
use common::config::cluster::STEP_OF_VARIABLE;
use serde_json::Value;

/// The prefix of a step's error on stderr.
const ERROR: &str = "error: ";

/// A runner of steps that share one config.
pub struct Steps {
    folder: PathBuf,
    config: PathBuf,
    /// The process name under which the history groups the steps; `None` if they are not to be recorded together.
    process: Option<String>,
}

impl Steps {
    /// Creates a runner of the steps in the folder of this executable.
    pub fn of(config: &Config, process: Option<String>) -> Result<Self> {
        Ok(Self { folder: sibling_folder()?, config: config.file.clone(), process })
    }

    /// Runs a step to its end and returns its outcome. Its stderr is narrated while it runs.
    ///
    /// # Errors
    /// Fails if the step cannot be started or fails; the error contains that of the step.
    pub fn run(&self, step: &'static str, arguments: &[OsString]) -> Result<Value> {
        narrate(step);
        let mut child = command(&self.folder, step, &self.config)
            .arg("--json")
            .args(arguments)
            .env(STEP_OF_VARIABLE, std::process::id().to_string())
            .envs(self.process.as_ref().map(|process| (history::PROCESS_VARIABLE, process)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {step} in {}; build the whole workspace", self.folder.display()))?;
        let relay = child.stderr.take().map(|stderr| relay(step, stderr));
        let output = child.wait_with_output().with_context(|| format!("waiting for {step}"))?;
        let error = relay.and_then(|relay| relay.join().ok()).unwrap_or_default();
        if !output.status.success() {
            bail!("{step} failed ({}): {}", output.status, error.trim_end());
        }
        serde_json::from_slice(&output.stdout).with_context(|| format!("{step} did not print one JSON object"))
    }
}

/// Narrates the lines of a child's stderr as they arrive, each prefixed with the child's name. The error, which comes
/// last, is not narrated but returned; if there is none, the last lines are returned.
fn relay(name: &'static str, stderr: impl Read + Send + 'static) -> JoinHandle<String> {
    const LAST_LINES: usize = 20;
    thread::spawn(move || {
        let (mut held, mut has_failed) = (Vec::new(), false);
        for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            if !has_failed && line.starts_with(ERROR) {
                has_failed = true;
                held.clear();
            }
            if !has_failed {
                narrate(format_args!("{name}: {line}"));
                held.drain(..held.len().saturating_sub(LAST_LINES - 1));
            }
            held.push(line);
        }
        held.join("\n")
    })
}

/// An app that runs on a free port until this value is dropped. It also stops when this process ends for any reason,
/// because its stdin is a pipe that only this process holds.
pub struct Server {
    child: Child,
    relay: Option<JoinHandle<String>>,
    url: String,
}

impl Server {
    /// Starts the app and waits until it listens.
    pub fn start(config: &Config) -> Result<Self> {
        let mut child = command(&sibling_folder()?, "app", &config.file)
            .args(["--bind", "127.0.0.1:0", "--stop-with-stdin", "--json", "--log-format", "none"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting app")?;
        let mut line = String::new();
        let stdout = child.stdout.take().context("app has no stdout")?;
        let relay = child.stderr.take().map(|stderr| relay("app", stderr));
        let mut server = Self { child, relay, url: String::new() };
        BufReader::new(stdout).read_line(&mut line).context("reading from app")?;
        match serde_json::from_str::<Value>(&line).ok().as_ref().and_then(|told| told.get("url")?.as_str()) {
            Some(url) => url.clone_into(&mut server.url),
            None => bail!("app did not start: {}", server.stop().trim_end()),
        }
        Ok(server)
    }

    /// Asks the app to stop and waits until it has ended. Returns its error, or its last lines if there is none.
    fn stop(&mut self) -> String {
        drop(self.child.stdin.take());
        let _ = self.child.wait(); // it has been asked to stop; its exit status does not matter
        self.relay.take().and_then(|relay| relay.join().ok()).unwrap_or_default()
    }

    /// Returns the URL on which the app listens.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let last = self.stop();
        if last.starts_with(ERROR) {
            narrate(format_args!("app: {last}"));
        }
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
