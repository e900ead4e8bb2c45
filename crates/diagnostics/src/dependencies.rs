//! The direct dependencies: the version of each in this program, and the newest version according to cargo.
//!
//! cargo resolves a scratch package that accepts any version of each dependency, and the newest versions are read from
//! its lock file, which has a documented format, unlike cargo's messages. cargo has `TIME_LIMIT` to answer. Without
//! cargo, or if the registry does not answer, the newest version is "unknown", and the newest one in the history is
//! given too.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use common::files::atomic::Scratch;
use fs_err as fs;
use history::{DependencyVersions, History};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

const TIME_LIMIT: Duration = Duration::from_secs(15);
const UNKNOWN: &str = "unknown";

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
    /// Newest version that was ever found, if the newest one is unknown now.
    pub last_known: Option<LastKnown>,
}

impl Dependency {
    /// The versions in the form in which the history stores them.
    pub fn versions(&self) -> DependencyVersions {
        let Self { name, current, .. } = self;
        let latest = self.asked().map(str::to_owned);
        DependencyVersions { name: name.clone(), current: current.clone(), latest }
    }

    /// The newest version; `None` if the registry did not give one.
    pub fn asked(&self) -> Option<&str> {
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

/// Returns all direct dependencies, sorted by name. Asks cargo for the newest versions.
pub fn table(history: Option<&mut History>) -> Result<Vec<Dependency>> {
    table_with(&find_cargo(), history)
}

/// Returns all direct dependencies without asking cargo, with the newest versions from the `history`.
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

/// Returns all direct dependencies. The newest versions are those in `latest`, or the last ones in the history.
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

/// Returns name and version of the direct dependencies of the workspace's own packages, which are those without a
/// source.
fn direct(lock: &str) -> Result<BTreeMap<String, String>> {
    let Lock { package: packages } = toml::from_str(lock).context("reading Cargo.lock")?;
    let own: BTreeSet<&str> = packages.iter().filter(|p| p.source.is_none()).map(|p| p.name.as_str()).collect();
    let mut direct = BTreeMap::new();
    for wanted in packages.iter().filter(|p| p.source.is_none()).flat_map(|p| &p.dependencies) {
        // The entry is "name", or "name version" if the lock file holds several versions of it.
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

/// Returns the newest versions of `names`, as cargo resolves them.
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

/// Returns the path of cargo. The PATH of cron is short, so cargo's usual location is tried too.
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

    /// Creates a program that replaces cargo in a test.
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
            run.add(DependencyVersions { name: "serde".into(), current: "1.0.0".into(), latest });
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
