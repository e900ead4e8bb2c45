//! Tests of the full process through its binary: what it decides, what it leaves unchanged, and that it can be killed
//! at any moment.
//!
//! There is no cargo and no running service in these tests, unless a test provides one.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot make its workspace has failed")]

mod changed_columns;
mod cron;
mod decisions;
mod dry_run;
mod failures;
mod first_deployment;
mod hold;
mod limits;
mod pending;
mod practice_to_production;
mod receivers;
mod repairs;
mod replay;

use std::path::PathBuf;
use std::process::Output;

use common::files::checksum::Checksum;
use common::production::release::{Production, RELEASE_FILES, Release};
use serde_json::{Value, json};
use testkit::{Workspace, rows};

/// All folders that the steps write, without the history.
const OUTPUTS: &[&str] = &["ingesteddata", "practicemodels", "production_deployment"];

/// Creates a workspace with initial data. Its test data contain 8 rows of the kind that it will be trained on and 2 of
/// the inverted kind, so that the first model's F1, computed by hand, is 8 / (8 + 1 + 1) = 0.8. A model trained on the
/// inverted kind has 2 / (2 + 4 + 4) = 0.2.
fn workspace() -> Workspace {
    let mut workspace = Workspace::with_data();
    workspace.csv("testdata/testdata.csv", &(rows("t", 8, false) + &rows("u", 2, true)));
    workspace.set("bind", json!("127.0.0.1:1")); // an address without a listener
    workspace
}

const FIRST_F1: f64 = 0.8;
const INVERTED_F1: f64 = 0.2;

/// Creates a workspace and makes its first deployment.
fn bootstrapped() -> Workspace {
    let workspace = workspace();
    assert_eq!(decision(&workspace, "bootstrapped")["live"], json!(live(&workspace).id));
    workspace
}

/// Returns the content of `folders` without the reports, which are created again when there are new clients to call.
fn without_reports(workspace: &Workspace, folders: &[&str]) -> Vec<(PathBuf, Vec<u8>)> {
    let reports = [".png", ".pdf", "calllist.csv", "reports.json"];
    let mut files = workspace.snapshot(folders);
    files.retain(|(path, _)| !reports.iter().any(|end| path.to_string_lossy().ends_with(end)));
    files
}

fn output(workspace: &Workspace, arguments: &[&str]) -> Output {
    workspace.command_without_cargo("fullprocess").args(arguments).output().unwrap()
}

/// Returns all files of a workspace, also the bytes of the history, and the number of entries at its top. Only the content
/// of SQLite's shared memory (history.sqlite-shm) is excluded, because every reader writes its locks there.
fn trace(workspace: &Workspace) -> (Vec<(PathBuf, Vec<u8>)>, usize) {
    let mut found = workspace.snapshot(&["."]);
    found.retain(|(path, _)| !path.ends_with("history.sqlite-shm"));
    (found, std::fs::read_dir(workspace.path(".")).unwrap().count())
}

/// Runs fullprocess, which must succeed; returns stdout and stderr.
fn run(workspace: &Workspace, arguments: &[&str]) -> (String, String) {
    let output = output(workspace, arguments);
    let [stdout, stderr] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success(), "{}: {stderr}", output.status);
    (stdout, stderr)
}

/// Returns the text after the time with which every line of narration begins.
fn narration(line: &str) -> &str {
    let (time, text) = line.split_once(' ').unwrap_or_default();
    assert!(time.len() == 20 && time.parse::<jiff::Timestamp>().is_ok(), "no time in UTC: {line:?}");
    text
}

/// Returns whether a line of narration reports the start of a step.
fn is_start(line: &str) -> bool {
    !narration(line).contains(' ')
}

/// Runs fullprocess, which must fail; returns stderr.
fn fail(workspace: &Workspace) -> String {
    let output = output(workspace, &[]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(output.stdout.is_empty(), "stdout is data: {:?}", output.stdout);
    stderr
}

/// Runs fullprocess, which must make this decision; returns its outcome.
fn decision(workspace: &Workspace, expected: &str) -> Value {
    let (stdout, stderr) = run(workspace, &["--json"]);
    let outcome: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(outcome["outcome"], expected, "{outcome}\n{stderr}");
    outcome
}

/// Returns the live release after checking that every link to it is intact; `None` if nothing is deployed.
fn live_or_none(workspace: &Workspace) -> Option<Release> {
    let release = Production::of(&workspace.config()).current().unwrap();
    if let Some(release) = &release {
        release.verify().unwrap();
        release.model().unwrap();
    }
    for file in RELEASE_FILES {
        let at_top = std::fs::read(workspace.path("production_deployment").join(file)).ok();
        let expected = release.as_ref().map(|release| release.manifest.sha256[file].clone());
        assert_eq!(at_top.as_deref().map(Checksum::of_bytes), expected, "{file}");
    }
    release
}

fn live(workspace: &Workspace) -> Release {
    live_or_none(workspace).expect("nothing is live")
}

/// Returns the names in production's record.
fn record(workspace: &Workspace) -> Vec<String> {
    serde_json::from_slice(&workspace.read("production_deployment/ingestedfiles.txt")).unwrap()
}

/// Returns the id of the release whose reports are in a model folder.
fn reported_release(workspace: &Workspace, model_folder: &str) -> Value {
    let returns: Value = serde_json::from_slice(&workspace.read(&format!("{model_folder}/apireturns.txt"))).unwrap();
    returns["release"].clone()
}
