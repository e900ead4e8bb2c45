//! The direct dependencies: the version of each in this program, and the newest version according to cargo.
//!
//! cargo resolves a scratch package that accepts any version of each dependency, and the newest versions are read from
//! its lock file, which has a documented format, unlike cargo's messages. If cargo is missing or does not succeed
//! within `TIME_LIMIT`, the newest version is "unknown", and the last known one is read from the history. Steps that are
//! not about dependencies ask at most once a day, in the background.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::OsString;
use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use common::files::atomic::Scratch;
use fs_err as fs;
use history::{DependencyVersions, History};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const TIME_LIMIT: Duration = Duration::from_secs(15);
const UNKNOWN: &str = "unknown";

/// How long an answer, or the lack of one, is good enough for a step that is not about dependencies.
const ANSWER_LASTS: SignedDuration = SignedDuration::from_hours(24);

/// The lock file with which this program was built.
const CARGO_LOCK: &str = include_str!("../../../Cargo.lock");

/// A direct dependency of this program.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Dependency {
    /// Name of the crate.
    pub name: String,
    /// Version in this program.
    pub current: String,
    /// Newest version, or "unknown".
    pub latest: String,
    /// Newest version in the history, if the newest one is unknown now.
    pub last_known: Option<LastKnown>,
}

impl Dependency {
    /// The versions in the form in which the history stores them.
    fn versions(&self) -> DependencyVersions {
        let Self { name, current, .. } = self;
        let latest = self.latest().map(str::to_owned);
        DependencyVersions { name: name.clone(), current: current.clone(), latest }
    }

    /// The newest version; `None` if it is unknown.
    pub(crate) fn latest(&self) -> Option<&str> {
        (self.latest != UNKNOWN).then_some(self.latest.as_str())
    }
}

/// Version that was the newest at an earlier time.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct LastKnown {
    /// Version of the crate.
    pub version: String,
    /// Time of the registry's answer, in UTC.
    pub seen: String,
}

/// A question to cargo that is answered in the background.
pub struct Question {
    asked: Timestamp,
    answer: JoinHandle<BTreeMap<String, String>>,
}

/// Asks cargo for the newest versions in the background, unless the history says that it was asked within the last day.
///
/// # Errors
/// Returns an error if the history cannot be read.
pub fn ask_once_a_day(history: &mut History, now: Timestamp) -> Result<Option<Question>> {
    let last: Option<Timestamp> = history.dependencies_asked()?.and_then(|time| time.parse().ok());
    let is_recent = last.is_some_and(|last| now.duration_since(last).abs() < ANSWER_LASTS);
    let ask = || Question { asked: now, answer: thread::spawn(|| latest_or_none("cargo")) };
    Ok((!is_recent).then(ask))
}

impl Question {
    /// Waits for the answer, at most until the time limit. Returns all direct dependencies with the newest versions that
    /// cargo has named or that the `history` knows.
    ///
    /// # Errors
    /// Returns an error if the history cannot be read.
    pub fn answer(self, history: &mut History) -> Result<Vec<Dependency>> {
        let mut table = table_of(self.answer.join().unwrap_or_default(), Some(history))?;
        for dependency in &mut table {
            let version = dependency.latest().map(str::to_owned);
            let known = version.map(|version| LastKnown { version, seen: self.asked.to_string() });
            dependency.last_known = known.or(dependency.last_known.take());
        }
        Ok(table)
    }
}

/// The versions in the form in which the history stores them.
pub fn records(table: &[Dependency]) -> Vec<DependencyVersions> {
    table.iter().map(Dependency::versions).collect()
}

/// Returns all direct dependencies, sorted by name, with the newest versions according to cargo.
pub fn table(history: Option<&mut History>) -> Result<Vec<Dependency>> {
    table_with("cargo", history)
}

/// Returns all direct dependencies without running cargo, with the newest versions from the `history`.
pub fn known(history: &mut History) -> Result<Vec<Dependency>> {
    table_of(BTreeMap::new(), Some(history))
}

fn table_with(cargo: &str, history: Option<&mut History>) -> Result<Vec<Dependency>> {
    table_of(latest_or_none(cargo), history)
}

/// Returns the newest versions according to cargo; none, with a message, if it does not answer.
fn latest_or_none(cargo: &str) -> BTreeMap<String, String> {
    latest(cargo, TIME_LIMIT).unwrap_or_else(|error| {
        common::cli::narrate(format_args!("warning: the newest versions are unknown: {error:#}"));
        BTreeMap::new()
    })
}

/// Returns all direct dependencies. The newest versions are those in `latest`, or the last ones in the history.
fn table_of(mut latest: BTreeMap<String, String>, mut history: Option<&mut History>) -> Result<Vec<Dependency>> {
    let mut table = Vec::new();
    for (name, current) in direct(CARGO_LOCK)? {
        let latest = latest.remove(&name);
        let last_known = match &mut history {
            Some(history) if latest.is_none() => history.latest_known(&name)?,
            _ => None,
        };
        let last_known = last_known.map(|(version, seen)| LastKnown { version, seen });
        table.push(Dependency { name, current, latest: latest.unwrap_or_else(|| UNKNOWN.to_owned()), last_known });
    }
    Ok(table)
}

#[derive(Deserialize)]
struct Lock {
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    source: Option<String>,
    #[serde(default)]
    dependencies: Vec<String>,
}

/// Returns name and version of the direct dependencies of the workspace's own packages, which are those without a
/// source.
fn direct(lock: &str) -> Result<BTreeMap<String, String>> {
    let Lock { package: packages } = toml::from_str(lock).context("reading Cargo.lock")?;
    let own: BTreeSet<&str> = packages.iter().filter(|p| p.source.is_none()).map(|p| p.name.as_str()).collect();
    let mut direct = BTreeMap::new();
    for wanted in packages.iter().filter(|p| p.source.is_none()).flat_map(|p| &p.dependencies) {
        // The entry is "name", or "name version" if the lock file contains several versions of it.
        let (name, version) = wanted.split_once(' ').map_or((wanted.as_str(), None), |(name, rest)| (name, Some(rest)));
        if own.contains(name) {
            continue;
        }
        let found = packages.iter().find(|p| p.name == name && version.is_none_or(|version| p.version == version));
        let package = found.with_context(|| format!("Cargo.lock has no package {wanted}"))?;
        direct.insert(name.to_owned(), package.version.clone());
    }
    Ok(direct)
}

/// Returns the newest versions of the direct dependencies, as cargo resolves them.
fn latest(cargo: &str, limit: Duration) -> Result<BTreeMap<String, String>> {
    let scratch = Scratch::new()?;
    let mut manifest =
        "[package]\nname = \"newest\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[dependencies]\n".to_owned();
    for name in direct(CARGO_LOCK)?.keys() {
        writeln!(manifest, "{name} = {{ version = \"*\", default-features = false }}")?;
    }
    fs::write(scratch.path().join("Cargo.toml"), manifest)?;
    fs::create_dir(scratch.path().join("src"))?;
    fs::write(scratch.path().join("src/lib.rs"), "")?;

    let mut child = Command::new(cargo)
        .args(["generate-lockfile", "--quiet"])
        .current_dir(scratch.path())
        .env("PATH", path_with_cargo()?)
        .env("CARGO_NET_RETRY", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("starting {cargo}"))?;
    let clock = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if clock.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            bail!("cargo generate-lockfile took longer than {} s", limit.as_secs_f64());
        }
        thread::sleep(Duration::from_millis(20));
    };
    if !status.success() {
        bail!("cargo generate-lockfile failed ({status}); check that the package registry can be reached");
    }
    direct(&fs::read_to_string(scratch.path().join("Cargo.lock"))?)
}

/// Returns the PATH with cargo's usual folder appended, because the PATH of cron is short.
fn path_with_cargo() -> Result<OsString> {
    let path = env::var_os("PATH");
    let installed = env::var_os("HOME").map(|home| Path::new(&home).join(".cargo/bin"));
    Ok(env::join_paths(path.iter().flat_map(env::split_paths).chain(installed))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::Workspace;

    #[test]
    fn the_direct_dependencies_are_those_of_the_workspace() {
        let direct = direct(CARGO_LOCK).unwrap();
        for name in ["serde", "serde_json", "polars", "smartcore", "plotters", "actix-web", "ureq", "anyhow"] {
            assert!(direct.contains_key(name), "{name} is not in {direct:?}");
        }
        assert_eq!(direct["bincode"], "2.0.1");
        assert!(!direct.contains_key("common") && !direct.contains_key("syn"), "{direct:?}");
    }

    #[test]
    fn an_ambiguous_name_takes_its_stated_version() {
        let lock = "[[package]]\nname = \"own\"\nversion = \"0.1.0\"\ndependencies = [\"a 2.0.0\", \"b\"]\n\
            [[package]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"registry\"\n\
            [[package]]\nname = \"a\"\nversion = \"2.0.0\"\nsource = \"registry\"\n\
            [[package]]\nname = \"b\"\nversion = \"3.0.0\"\nsource = \"registry\"\ndependencies = [\"a 1.0.0\"]\n";
        let direct = direct(lock).unwrap();
        assert_eq!(direct, BTreeMap::from([("a".into(), "2.0.0".into()), ("b".into(), "3.0.0".into())]));
    }

    /// Creates a program that replaces cargo in a test.
    fn replacement(folder: &Path, script: &str) -> String {
        use std::os::unix::fs::PermissionsExt;
        let path = folder.join("cargo");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[test]
    fn without_an_answer_the_newest_version_is_unknown_and_the_last_known_one_is_shown() {
        let workspace = Workspace::new();
        let config = workspace.config();
        history::record(&config, "diagnostics", |run| {
            let latest = Some("1.99.0".to_owned());
            run.add(DependencyVersions { name: "serde".into(), current: "1.0.0".into(), latest });
            Ok(())
        })
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        for cargo in [replacement(folder.path(), "exit 101"), "/no/such/cargo".to_owned()] {
            let table = table_with(&cargo, Some(&mut History::open(&config).unwrap())).unwrap();
            assert!(table.iter().all(|dependency| dependency.latest == "unknown"), "{table:?}");
            let serde = table.iter().find(|dependency| dependency.name == "serde").unwrap();
            assert_eq!(serde.last_known.as_ref().unwrap().version, "1.99.0");
        }
    }

    #[test]
    fn another_step_asks_once_a_day_whether_or_not_there_was_an_answer() {
        let workspace = Workspace::new();
        let config = workspace.config();
        let now = Timestamp::now();
        let day = SignedDuration::from_hours(24);
        let is_asked = |at| {
            let question = ask_once_a_day(&mut History::open(&config).unwrap(), at).unwrap();
            question.map(|question| question.answer(&mut History::open(&config).unwrap()).unwrap()).is_some()
        };
        assert!(is_asked(now));
        history::record(&config, "reporting", |run| {
            run.add(DependencyVersions { name: "serde".into(), current: "1.0.0".into(), latest: None });
            Ok(())
        })
        .unwrap();
        assert_eq!([now, now + day / 2, now + day * 2].map(is_asked), [false, false, true]);
    }

    #[test]
    fn an_answer_is_known_from_its_time_on() {
        let workspace = Workspace::new();
        let mut history = History::open(&workspace.config()).unwrap();
        let newest = BTreeMap::from([("serde".to_owned(), "7.0.0".to_owned())]);
        let question = Question { asked: Timestamp::UNIX_EPOCH, answer: thread::spawn(|| newest) };
        let table = question.answer(&mut history).unwrap();
        let serde = table.iter().find(|dependency| dependency.name == "serde").unwrap();
        let known = serde.last_known.as_ref().unwrap();
        assert_eq!((known.version.as_str(), &known.seen[..10]), ("7.0.0", "1970-01-01"));
        assert!(table.iter().all(|dependency| dependency.name == "serde" || dependency.last_known.is_none()));
        assert_eq!(records(&table).iter().filter(|record| record.latest.is_some()).count(), 1);
    }

    #[test]
    fn cargo_is_given_a_limited_time() {
        let folder = tempfile::tempdir().unwrap();
        let slow = replacement(folder.path(), "exec sleep 60");
        let clock = Instant::now();
        let error = latest(&slow, Duration::from_millis(200)).unwrap_err();
        assert!(error.to_string().contains("took longer than 0.2 s"), "{error}");
        assert!(clock.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn the_answer_is_read_from_the_lock_file_that_cargo_writes() {
        let folder = tempfile::tempdir().unwrap();
        let lock = "[[package]]\nname = \"newest\"\nversion = \"0.0.0\"\ndependencies = [\"serde\"]\n\
            [[package]]\nname = \"serde\"\nversion = \"7.0.0\"\nsource = \"registry\"";
        let cargo = replacement(
            folder.path(),
            &format!("grep -q serde Cargo.toml || exit 1\ncat > Cargo.lock <<'E'\n{lock}\nE"),
        );
        let latest = latest(&cargo, Duration::from_secs(20)).unwrap();
        assert_eq!(latest["serde"], "7.0.0");
    }
}
