//! Tests of the program `diagnostics`: the figures are correct, nothing is changed, and what could not be found out is
//! reported as such.

#![expect(clippy::unwrap_used, reason = "a test that cannot ask its question has failed")]

use std::cell::Cell;
use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use testkit::Workspace;
use testkit::faults::kill_at_many_moments;

/// Folders that diagnostics must not change.
const OUTPUTS: [&str; 5] = ["ingesteddata", "practicemodels", "production_deployment", "practicedata", "testdata"];

/// Runs diagnostics, which must succeed. Returns the outcome and the messages on stderr.
fn diagnose(mut command: Command) -> (Value, String) {
    let output = command.arg("--json").output().unwrap();
    let narration = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{}: {narration}", output.status);
    (serde_json::from_slice(&output.stdout).unwrap(), narration)
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn dependency<'a>(outcome: &'a Value, name: &str) -> &'a Value {
    outcome["dependencies"].as_array().unwrap().iter().find(|dependency| dependency["name"] == name).unwrap()
}

#[test]
fn it_says_everything_and_changes_no_output() {
    let workspace = Workspace::with_data();
    workspace.deploy();
    let before = workspace.snapshot(&OUTPUTS);
    let (outcome, _) = diagnose(workspace.command_without_cargo("diagnostics"));
    assert_eq!(
        keys(&outcome),
        ["dependencies", "missing_percent", "predictions", "summary_statistics", "timing_seconds"]
    );
    assert_eq!(keys(&outcome["predictions"]), ["corporations", "imputed", "model", "predictions", "probabilities"]);
    for step in ["ingestion", "training"] {
        let seconds = outcome["timing_seconds"][step].as_f64().unwrap();
        assert!(seconds > 0.0 && seconds < 600.0, "{step}: {seconds}");
    }
    for dependency in outcome["dependencies"].as_array().unwrap() {
        assert_eq!(keys(dependency), ["current", "last_known", "latest", "name"]);
    }
    for name in ["serde", "serde_json", "polars", "smartcore", "bincode", "plotters", "actix-web", "ureq", "anyhow"] {
        assert!(dependency(&outcome, name)["current"].as_str().unwrap().contains('.'));
    }
    assert!(workspace.snapshot(&OUTPUTS) == before, "a diagnosis has changed an output");
}

#[test]
fn statistics_and_missing_values_are_those_that_a_calculation_by_hand_gives() {
    let workspace = Workspace::new();
    workspace.csv("practicedata/1.csv", "a,1,10,5,0\nb,2,10,5,1\nc,4,30,5,1\n");
    workspace.csv("practicedata/2.csv", "b,2,10,5,1\n,9,30,5,NA\ne,,20,,0\n"); // b is repeated and counts once
    workspace.csv("testdata/testdata.csv", "t,1,2,3,0\n");
    workspace.run("ingestion", &[]);
    let (outcome, _) = diagnose(workspace.command_without_cargo("diagnostics"));
    let expected = [
        ("lastmonth_activity", [4.0, 3.0, (38.0_f64 / 3.0).sqrt(), 1.0]), // 1 2 4 9
        ("lastyear_activity", [20.0, 20.0, 10.0, 10.0]),                  // 10 10 30 30 20
        ("number_of_employees", [5.0, 5.0, 0.0, 5.0]),                    // 5 5 5 5
        ("exited", [0.5, 0.5, (1.0_f64 / 3.0).sqrt(), 0.0]),              // 0 1 1 0
    ];
    let statistics = outcome["summary_statistics"].as_array().unwrap();
    assert_eq!(statistics.len(), expected.len());
    for (found, (column, numbers)) in statistics.iter().zip(expected) {
        assert_eq!(found["column"], column);
        for (statistic, number) in ["mean", "median", "std", "mode"].into_iter().zip(numbers) {
            let found = found[statistic].as_f64().unwrap();
            assert!((found - number).abs() < 1e-12, "{statistic} of {column}: {found} is not {number}");
        }
    }
    // One of five rows each, except for lastyear_activity.
    let missing: Vec<_> = outcome["missing_percent"].as_array().unwrap().iter().map(|m| &m["percent"]).collect();
    assert_eq!(missing, [20.0, 20.0, 0.0, 20.0, 20.0]);
}

#[test]
fn its_predictions_are_the_services() {
    let workspace = Workspace::with_data();
    workspace.csv("testdata/testdata.csv", "a,10,100,5,1\n,20,,7,\nc,,,,0\n\"d, e\",1.5,0.25,60.125,1\n");
    workspace.deploy();
    // A newer model that is not deployed must not affect the result.
    workspace.csv("practicedata/dataset3.csv", &testkit::rows("c", 500, true));
    for step in ["ingestion", "training"] {
        workspace.run(step, &[]);
    }
    let (outcome, _) = diagnose(workspace.command_without_cargo("diagnostics"));
    let server = workspace.serve();
    let mut response =
        ureq::post(format!("{}/prediction", server.url)).send(r#"{"filepath": "testdata/testdata.csv"}"#).unwrap();
    let answer: Value = serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap();
    assert_eq!(answer["corporations"], json!(["a", null, "c", "d, e"]));
    assert_eq!(outcome["predictions"], answer);
}

#[test]
fn before_any_deployment_there_are_no_predictions_and_a_warning() {
    let workspace = Workspace::with_data();
    workspace.run("ingestion", &[]);
    let (outcome, narration) = diagnose(workspace.command_without_cargo("diagnostics"));
    assert_eq!(outcome["predictions"], Value::Null);
    assert!(narration.contains("warning: nothing is deployed yet"), "{narration}");
    assert!(outcome["timing_seconds"]["training"].as_f64().unwrap() > 0.0);
}

#[test]
fn the_scratch_folders_of_killed_diagnoses_are_removed_by_the_next_one() {
    let workspace = Workspace::with_data();
    workspace.deploy();
    fs::create_dir(workspace.path("tmp")).unwrap();
    let left = || fs::read_dir(workspace.path("tmp")).unwrap().count();
    let diagnose = || {
        let mut command = workspace.command_without_cargo("diagnostics");
        command.env("TMPDIR", workspace.path("tmp"));
        command
    };
    let most = Cell::new(0);
    kill_at_many_moments(40, diagnose, || most.set(most.get().max(left())));
    assert!((1..=2).contains(&most.get()), "{} folders were left at once", most.get());
    assert!(diagnose().output().unwrap().status.success());
    assert_eq!(left(), 0);
}

#[test]
fn without_a_compiled_dataset_it_says_what_to_run() {
    let workspace = Workspace::with_data();
    let error = workspace.fail("diagnostics", &[]);
    for part in ["finaldata.csv", "run ingestion"] {
        assert!(error.contains(part), "{part} is not in {error}");
    }
}

#[test]
fn without_cargo_the_newest_versions_are_unknown_and_that_is_no_failure() {
    let workspace = Workspace::with_data();
    workspace.run("ingestion", &[]);
    let (outcome, narration) = diagnose(workspace.command_without_cargo("diagnostics"));
    for dependency in outcome["dependencies"].as_array().unwrap() {
        assert_eq!((&dependency["latest"], &dependency["last_known"]), (&json!("unknown"), &Value::Null));
    }
    assert!(narration.contains("warning: the newest version of some dependencies is unknown"), "{narration}");
}

#[test]
fn the_last_known_version_is_shown_when_cargo_does_not_answer() {
    let workspace = Workspace::with_data();
    workspace.run("ingestion", &[]);
    // A lock file as cargo writes it: the wanted package, its dependencies, and their dependencies.
    let cargo = r#"grep -q '^serde = ' Cargo.toml && [ "$1" = generate-lockfile ] || exit 1
cat > Cargo.lock <<'END'
version = 4
[[package]]
name = "newest"
version = "0.0.0"
dependencies = ["anyhow", "serde"]
[[package]]
name = "anyhow"
version = "98.0.0"
source = "registry"
[[package]]
name = "serde"
version = "99.1.2"
source = "registry"
dependencies = ["serde_core"]
[[package]]
name = "serde_core"
version = "97.0.0"
source = "registry"
END"#;
    let (asked, _) = diagnose(workspace.command_with_cargo("diagnostics", cargo));
    for (name, version) in [("serde", "99.1.2"), ("anyhow", "98.0.0"), ("polars", "unknown")] {
        let found = dependency(&asked, name);
        assert_eq!((&found["latest"], &found["last_known"]), (&json!(version), &Value::Null), "{found}");
    }

    let (unasked, _) = diagnose(workspace.command_without_cargo("diagnostics"));
    for (name, version) in [("serde", "99.1.2"), ("anyhow", "98.0.0")] {
        let found = dependency(&unasked, name);
        assert_eq!(
            (&found["latest"], &found["last_known"]["version"]),
            (&json!("unknown"), &json!(version)),
            "{found}"
        );
        assert!(found["last_known"]["seen"].as_str().unwrap().ends_with('Z'), "{found}");
    }
    assert_eq!(dependency(&unasked, "polars")["last_known"], Value::Null);

    // The output for people shows it in the table.
    let text = workspace.command_without_cargo("diagnostics").output().unwrap().stdout;
    let text = String::from_utf8(text).unwrap();
    let line = text.lines().find(|line| line.starts_with("serde ")).unwrap();
    assert!(line.contains("unknown") && line.contains("99.1.2 on "), "{text}");
}

#[test]
fn a_cargo_that_fails_or_writes_an_invalid_file_is_no_failure() {
    for cargo in ["exit 101", "exit 0", "echo 'no toml' > Cargo.lock", "mkdir Cargo.lock", "kill -9 $$"] {
        let workspace = Workspace::with_data();
        workspace.run("ingestion", &[]);
        let (outcome, narration) = diagnose(workspace.command_with_cargo("diagnostics", cargo));
        assert_eq!(dependency(&outcome, "serde")["latest"], "unknown", "{cargo}");
        assert!(narration.contains("warning: the newest versions are unknown"), "{cargo}: {narration}");
    }
}
