//! Runs the other steps as subprocesses, from the binaries next to this one. Each step returns its typed outcome.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use common::cli::narrate;
use common::config::Config;
use common::files::ingested::ListedFile;
use common::outcomes::replay::ReplayOutcome;
use common::outcomes::{AppListening, DeploymentOutcome, IngestionOutcome, InputFiles, ScoringOutcome};
use serde::de::{DeserializeOwned, IgnoredAny};

use crate::child::{Child, ERROR, Ended};

/// A runner of steps that share one config.
pub struct Steps {
    folder: PathBuf,
    config: PathBuf,
    threads: u32,
    /// Maximum duration of a step.
    time_limit: Duration,
    /// The process name under which the history groups the steps; `None` in a dry run, whose steps record nothing.
    process: Option<String>,
}

impl Steps {
    /// Creates a runner of the steps in the folder of this executable. `process` is `None` for a dry run.
    pub fn of(config: &Config, process: Option<String>) -> Result<Self> {
        let executable = env::current_exe().context("finding this executable")?;
        let folder = executable.parent().map(Path::to_owned).unwrap_or_default();
        Ok(Self {
            folder,
            config: config.file.clone(),
            threads: config.threads,
            time_limit: config.step_time_limit,
            process,
        })
    }

    /// Merges all input files into the compiled dataset.
    pub fn ingest(&self) -> Result<IngestionOutcome> {
        self.run("ingestion", &[])
    }

    /// Lists the input files with their checksums.
    pub fn list_files(&self) -> Result<InputFiles> {
        self.run("ingestion", &["--list".as_ref()])
    }

    /// Trains a model on the compiled dataset.
    pub fn train(&self) -> Result<()> {
        self.run::<IgnoredAny>("training", &[]).map(drop)
    }

    /// Scores the trained model on the test data and records the score. With `against_deployed`, it is compared with the
    /// deployed model on the same rows.
    pub fn score_trained(&self, against_deployed: bool) -> Result<ScoringOutcome> {
        let flag = against_deployed.then_some(OsStr::new("--against-deployed"));
        self.run("scoring", &Vec::from_iter(flag))
    }

    /// Scores the deployed model on `files`. With `later_labels`, unlabelled rows have the newest label of the same client
    /// in a later file.
    pub fn score_deployed(&self, files: &[&ListedFile], later_labels: bool) -> Result<ScoringOutcome> {
        let mut arguments: Vec<&OsStr> = vec!["--deployed".as_ref()];
        if self.process.is_none() {
            arguments.push("--dry-run".as_ref());
        }
        if later_labels {
            arguments.push("--later-labels".as_ref());
        }
        arguments.push("--data".as_ref());
        arguments.extend(files.iter().map(|file| file.path.as_os_str()));
        self.run("scoring", &arguments)
    }

    /// Publishes the trained model as the live release. If it `replaces` a release that can be used, this fails while that
    /// release is held.
    pub fn deploy(&self, replaces: bool) -> Result<DeploymentOutcome> {
        let arguments: &[&OsStr] = if replaces { &["--unless-held".as_ref()] } else { &[] };
        self.run("deployment", arguments)
    }

    /// Makes release `id` live again.
    pub fn roll_back(&self, id: &str) -> Result<DeploymentOutcome> {
        self.run("deployment", &["--rollback".as_ref(), id.as_ref()])
    }

    /// Creates the reports of the live release, with the newest versions of the program's dependencies.
    pub fn report(&self) -> Result<()> {
        self.run::<IgnoredAny>("reporting", &["--ask-cargo".as_ref()]).map(drop)
    }

    /// Calls every endpoint of the app at `url` (default: the address in the config) and saves the answers.
    pub fn call_api(&self, url: Option<&str>) -> Result<()> {
        let arguments: Vec<&OsStr> = url.into_iter().flat_map(|url| ["--url".as_ref(), url.as_ref()]).collect();
        self.run::<IgnoredAny>("apicalls", &arguments).map(drop)
    }

    /// Counts what every model predicts that could have been trained while `files` arrived in this order; the first
    /// model is trained on `first` of them. Changes and records nothing.
    pub fn replay(&self, files: &[ListedFile], first: usize) -> Result<ReplayOutcome> {
        let first = first.to_string();
        let options: [&OsStr; 3] = ["--first".as_ref(), first.as_ref(), "--replay".as_ref()];
        let arguments: Vec<&OsStr> =
            options.into_iter().chain(files.iter().map(|file| file.path.as_os_str())).collect();
        self.run("training", &arguments)
    }

    /// Starts the app on a free port and waits until it listens.
    pub fn start_app(&self) -> Result<App> {
        let mut command = self.command("app");
        command.args(["--bind", "127.0.0.1:0", "--stop-with-stdin", "--log-format", "none"]).stdin(Stdio::piped());
        let mut child = Child::spawn("app", command).with_context(|| self.starting("app"))?;
        let line = child.first_line(self.time_limit).context("app failed to start")?.unwrap_or_default();
        let mut app = App { child: Some(child), time_limit: self.time_limit, url: String::new() };
        match serde_json::from_slice(&line) {
            Ok(AppListening { url }) => app.url = url,
            Err(_) => bail!("app failed to start: {}", app.stop().trim_end()),
        }
        Ok(app)
    }

    /// Runs a step to its end and returns its outcome. Its stderr is narrated while it runs.
    ///
    /// # Errors
    /// Fails if the step cannot be started, fails or exceeds the time limit; the error contains that of the step.
    fn run<T: DeserializeOwned>(&self, step: &'static str, arguments: &[&OsStr]) -> Result<T> {
        narrate(step);
        let mut command = self.command(step);
        let process = self.process.as_ref().map(|process| (history::PROCESS_VARIABLE, process));
        command.args(arguments).envs(process).stdin(Stdio::null());
        let child = Child::spawn(step, command).with_context(|| self.starting(step))?;
        let Ended { status, stdout, error } = child.wait(self.time_limit)?;
        if !status.success() {
            bail!("{step} failed ({status}): {}", error.trim_end());
        }
        serde_json::from_slice(&stdout).with_context(|| format!("reading the outcome of {step}"))
    }

    fn command(&self, step: &str) -> Command {
        let mut command = Command::new(self.folder.join(step));
        command.arg("--config").arg(&self.config).arg("--json").arg("--threads").arg(self.threads.to_string());
        command
    }

    fn starting(&self, step: &str) -> String {
        format!("starting {step} in {}; build the whole workspace", self.folder.display())
    }
}

/// An app that runs on a free port until this value is dropped. It also stops when this process ends for any reason,
/// because its stdin is a pipe whose other end only this process has open.
pub struct App {
    child: Option<Child>,
    time_limit: Duration,
    url: String,
}

impl App {
    /// Returns the URL on which the app listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Asks the app to stop and waits until it has ended. Returns its error, or its last lines if there is none.
    fn stop(&mut self) -> String {
        let Some(mut child) = self.child.take() else { return String::new() };
        drop(child.stdin.take());
        // The exit status of a process that was asked to stop does not matter.
        child.wait(self.time_limit).map_or_else(|error| format!("{ERROR}{error:#}"), |ended| ended.error)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let last = self.stop();
        if last.starts_with(ERROR) {
            narrate(format_args!("app: {last}"));
        }
    }
}
