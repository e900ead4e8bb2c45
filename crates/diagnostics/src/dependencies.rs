//! Every direct dependency: its version in this very program, and the newest one, of which cargo is asked.
//!
//! cargo itself resolves a scratch package that wants any version of each, and what it writes into the lock file is the
//! answer: a documented format instead of text for people. It is given [`TIME_LIMIT`]; without cargo, or without a
//! registry that answers, the newest version is "unknown", beside the last one that is known from the history.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use common::atomic::Scratch;
use fs_err as fs;
use history::{DependencyVersions, History};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const TIME_LIMIT: Duration = Duration::from_secs(15);
const UNKNOWN: &str = "unknown";

/// The lock file that this program was built with.
const CARGO_LOCK: &str = include_str!("../../../Cargo.lock");

/// One direct dependency.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Dependency {
    /// The crate's name.
    pub name: String,
    /// The version in this program.
    pub current: String,
    /// The newest version, or "unknown".
    pub latest: String,
    /// Where it is unknown: the newest version that was ever named.
    pub last_known: Option<LastKnown>,
}

impl Dependency {
    /// As the history remembers it.
    pub fn versions(&self) -> DependencyVersions {
        let Self { name, current, .. } = self;
        let latest = self.asked().map(str::to_owned);
        DependencyVersions { name: name.clone(), current: current.clone(), latest }
    }

    /// The newest version, where the registry named one.
    pub fn asked(&self) -> Option<&str> {
        (self.latest != UNKNOWN).then_some(self.latest.as_str())
    }
}

/// What was known at some time.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct LastKnown {
    /// The version.
    pub version: String,
    /// When the registry named it, UTC.
    pub seen: String,
}

/// The table of all direct dependencies, by name.
pub fn table(history: Option<&mut History>) -> Result<Vec<Dependency>> {
    table_with(&find_cargo(), history)
}

/// The same without asking: what the `history` knows of the newest versions.
pub fn known(history: &mut History) -> Result<Vec<Dependency>> {
    table_of(&BTreeMap::new(), Some(history))
}

fn table_with(cargo: &Path, history: Option<&mut History>) -> Result<Vec<Dependency>> {
    let current = direct(CARGO_LOCK)?;
    let latest = latest(cargo, current.keys(), TIME_LIMIT).unwrap_or_else(|error| {
        common::cli::narrate(format_args!("warning: cargo names no newest versions: {error:#}"));
        BTreeMap::new()
    });
    table_of(&latest, history)
}

/// Every direct dependency, with the newest versions that cargo named, else those that the history knows.
fn table_of(latest: &BTreeMap<String, String>, mut history: Option<&mut History>) -> Result<Vec<Dependency>> {
    direct(CARGO_LOCK)?
        .into_iter()
        .map(|(name, current)| {
            let asked = latest.get(&name);
            let last_known = match (asked, &mut history) {
                (None, Some(history)) => {
                    history.latest_known(&name)?.map(|(version, seen)| LastKnown { version, seen })
                }
                _ => None,
            };
            let latest = asked.cloned().unwrap_or_else(|| UNKNOWN.to_owned());
            Ok(Dependency { name, current, latest, last_known })
        })
        .collect()
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

/// Name and version of what the workspace's own packages (those without a source) depend on.
fn direct(lock: &str) -> Result<BTreeMap<String, String>> {
    let Lock { package: packages } = toml::from_str(lock).context("reading Cargo.lock")?;
    let own: BTreeSet<&str> = packages.iter().filter(|p| p.source.is_none()).map(|p| p.name.as_str()).collect();
    let mut direct = BTreeMap::new();
    for wanted in packages.iter().filter(|p| p.source.is_none()).flat_map(|p| &p.dependencies) {
        // "name", or "name version" where the lock holds several versions of it.
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

/// The newest versions of `names`, as cargo resolves them.
fn latest<'a>(
    cargo: &Path,
    names: impl Iterator<Item = &'a String>,
    limit: Duration,
) -> Result<BTreeMap<String, String>> {
    let scratch = Scratch::new()?;
    let mut manifest =
        "[package]\nname = \"newest\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[dependencies]\n".to_owned();
    for name in names {
        writeln!(manifest, "{name} = {{ version = \"*\", default-features = false }}")?;
    }
    fs::write(scratch.path().join("Cargo.toml"), manifest)?;
    fs::create_dir(scratch.path().join("src"))?;
    fs::write(scratch.path().join("src/lib.rs"), "")?;

    let mut child = Command::new(cargo)
        .args(["generate-lockfile", "--quiet"])
        .current_dir(scratch.path())
        .env("CARGO_NET_RETRY", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("starting {}", cargo.display()))?;
    let clock = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if clock.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            bail!("no answer within {} s", limit.as_secs_f64());
        }
        thread::sleep(Duration::from_millis(20));
    };
    if !status.success() {
        bail!("cargo generate-lockfile: {status}; is the registry out of reach?");
    }
    direct(&fs::read_to_string(scratch.path().join("Cargo.lock"))?)
}

/// cron's PATH is short, so cargo's usual place is tried too.
fn find_cargo() -> PathBuf {
    let installed = env::var_os("HOME").map(|home| Path::new(&home).join(".cargo/bin/cargo"));
    let on_path =
        env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|folder| folder.join("cargo").is_file()));
    match installed {
        Some(cargo) if !on_path && cargo.is_file() => cargo,
        _ => "cargo".into(),
    }
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

    /// A program that stands in for cargo.
    fn stand_in(folder: &Path, script: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = folder.join("cargo");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn without_an_answer_the_newest_version_is_unknown_and_the_last_known_one_is_shown() {
        let workspace = Workspace::new();
        let config = workspace.config();
        history::record(&config, "diagnostics", |run| {
            let latest = Some("1.99.0".to_owned());
            run.facts.dependencies.push(DependencyVersions { name: "serde".into(), current: "1.0.0".into(), latest });
            Ok(())
        })
        .unwrap();
        let folder = tempfile::tempdir().unwrap();
        for cargo in [stand_in(folder.path(), "exit 101"), "/no/such/cargo".into()] {
            let table = table_with(&cargo, Some(&mut History::open(&config).unwrap())).unwrap();
            assert!(table.iter().all(|dependency| dependency.latest == "unknown"), "{table:?}");
            let serde = table.iter().find(|dependency| dependency.name == "serde").unwrap();
            assert_eq!(serde.last_known.as_ref().unwrap().version, "1.99.0");
        }
    }

    #[test]
    fn cargo_is_given_a_limited_time() {
        let folder = tempfile::tempdir().unwrap();
        let slow = stand_in(folder.path(), "exec sleep 60");
        let clock = Instant::now();
        let error = latest(&slow, [&"serde".to_owned()].into_iter(), Duration::from_millis(200)).unwrap_err();
        assert!(error.to_string().contains("no answer within"), "{error}");
        assert!(clock.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn the_answer_is_read_from_the_lock_file_that_cargo_writes() {
        let folder = tempfile::tempdir().unwrap();
        let lock = "[[package]]\nname = \"newest\"\nversion = \"0.0.0\"\ndependencies = [\"serde\"]\n\
            [[package]]\nname = \"serde\"\nversion = \"7.0.0\"\nsource = \"registry\"";
        let cargo =
            stand_in(folder.path(), &format!("grep -q serde Cargo.toml || exit 1\ncat > Cargo.lock <<'E'\n{lock}\nE"));
        let latest = latest(&cargo, [&"serde".to_owned()].into_iter(), Duration::from_secs(20)).unwrap();
        assert_eq!(latest["serde"], "7.0.0");
    }
}
