//! Tests of `--replay`: that it plays what real runs do, agrees with an independent implementation, and leaves no trace.

use std::fs;
use std::process::Command;

use common::config::{DriftTest, Promotion};
use common::files::lock::Lock;
use serde_json::{Value, json};
use testkit::{Workspace, rows};

use crate::{output, run, trace, workspace};

const POLICIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fullprocess/replay/policies.py");

/// Replays, and returns the outcome and stderr.
fn replay(workspace: &Workspace) -> (Value, String) {
    let (stdout, stderr) = run(workspace, &["--replay", "--json"]);
    (serde_json::from_str(&stdout).unwrap(), stderr)
}

/// Returns what one policy did.
fn policy<'v>(replay: &'v Value, test: &str, promotion: &str) -> &'v Value {
    let policies = replay["policies"].as_array().unwrap();
    policies.iter().find(|policy| policy["drift_test"] == test && policy["promotion"] == promotion).unwrap()
}

/// Rows of which so many are of the kind that the first model knows, and so many of the inverted kind.
fn mixed(prefix: &str, usual: usize, inverted: usize) -> String {
    rows(prefix, usual, false) + &rows(&format!("{prefix}-"), inverted, true)
}

/// Lets files arrive one after the other, with a real run after each. Their names are not in the order of their arrival.
fn arrive(workspace: &Workspace) -> Vec<Value> {
    let unlabelled = rows("q", 40, false).replace(",0\n", ",\n").replace(",1\n", ",\n");
    let files = [
        ("m", mixed("a", 50, 10)),
        ("k", mixed("b", 40, 10)),
        ("z", mixed("c", 40, 0)),
        ("b", mixed("d", 20, 60)),
        ("x", mixed("e", 10, 80)),
        // Nobody is known to have left; labels of some of these clients arrive with the file after the next one.
        ("p", unlabelled.clone()),
        ("o", mixed("i", 4, 0)),
        ("n", mixed("j", 6, 0) + &unlabelled.lines().take(12).map(|row| format!("{row}1\n")).collect::<String>()),
        ("a", mixed("f", 10, 200) + &rows("a", 6, false)),
        ("c", mixed("g", 30, 90)),
    ];
    let arrival = |(name, rows): &(&str, String)| {
        workspace.csv(&format!("practicedata/{name}.csv"), rows);
        let (stdout, _) = run(workspace, &["--json"]);
        serde_json::from_str(&stdout).unwrap()
    };
    files.iter().map(arrival).collect()
}

#[test]
fn a_replay_decides_what_real_runs_have_decided() {
    let mut decisions = Vec::new();
    for (test, promotion) in [("raw", "on_drift"), ("raw", "if_better"), ("interval", "on_drift")] {
        let mut workspace = workspace();
        for file in ["dataset1.csv", "dataset2.csv"] {
            fs::remove_file(workspace.path("practicedata").join(file)).unwrap();
        }
        workspace.csv("testdata/testdata.csv", &mixed("t", 60, 40));
        workspace.set("drift_test", json!(test));
        workspace.set("promotion", json!(promotion));
        let runs = arrive(&workspace);
        let (replay, stderr) = replay(&workspace);
        assert!(!stderr.contains("warning"), "{stderr}");
        assert_eq!(
            replay["files"],
            json!(["m", "k", "z", "b", "x", "p", "o", "n", "a", "c"].map(|name| format!("{name}.csv")))
        );
        let played = policy(&replay, test, promotion)["decisions"].as_array().unwrap();
        assert_eq!(played.len(), runs.len() - 1);
        for (played, run) in played.iter().zip(&runs[1..]) {
            assert_eq!(run["new_files"], json!([played["file"]]));
            assert_eq!(
                (&played["decision"], &played["judged_f1"]),
                (&run["outcome"], &run["new_f1"]),
                "{played} {run}"
            );
            decisions.push(run["outcome"].as_str().unwrap().to_owned());
        }
    }
    for decision in ["no_drift", "cannot_be_judged", "redeployed", "kept"] {
        assert!(decisions.iter().any(|made| made == decision), "no run has made the decision {decision}");
    }
}

#[test]
fn a_replay_leaves_no_trace_and_works_during_a_run() {
    let workspace = workspace();
    run(&workspace, &[]);
    workspace.csv("practicedata/dataset3.csv", &rows("c", 40, false));
    let _cron = Lock::acquire(&workspace.config().production, "fullprocess").unwrap();
    workspace.command_without_cargo("fullprocess"); // creates its own folder on the first call
    let before = trace(&workspace);
    let (stdout, stderr) = run(&workspace, &["--replay"]);
    assert!(trace(&workspace) == before, "the replay has left a trace");
    assert!(
        stdout.starts_with("replay of 3 files; the first model is trained on dataset1.csv, and 100 labelled"),
        "{stdout}"
    );
    let lines = 1 + DriftTest::ALL.len() * Promotion::ALL.len() + 2; // titles, rules, "never" and "always"
    assert_eq!(stdout.lines().filter(|line| line.starts_with("  ")).count(), lines, "{stdout}");
    assert!(stdout.contains("too few files: a recommendation needs 7") && stdout.contains("there are 3"), "{stdout}");
    assert!(stderr.contains("the history does not know dataset3.csv with the present content"), "{stderr}");
}

#[test]
fn without_a_history_names_are_the_order_and_nothing_is_created() {
    let workspace = workspace();
    let before = fs::read_dir(workspace.path(".")).unwrap().count();
    let (outcome, stderr) = replay(&workspace);
    assert_eq!(outcome["files"], json!(["dataset1.csv", "dataset2.csv"]));
    assert!(stderr.contains("there is no history, so the files are in the order of their names"), "{stderr}");
    assert_eq!(fs::read_dir(workspace.path(".")).unwrap().count(), before + 1); // the folder of the command
    assert!(!workspace.path("history.sqlite").exists());
}

#[test]
fn lost_and_changed_files_are_named() {
    let workspace = workspace();
    workspace.csv("practicedata/dataset0.csv", &rows("z", 60, false));
    run(&workspace, &[]);
    fs::remove_file(workspace.path("practicedata/dataset0.csv")).unwrap();
    workspace.csv("practicedata/dataset1.csv", &rows("a", 70, false));
    let (outcome, _) = replay(&workspace);
    assert_eq!(outcome["files"], json!(["dataset2.csv", "dataset1.csv"]));
    let notes: Vec<&str> = outcome["notes"].as_array().unwrap().iter().map(|note| note.as_str().unwrap()).collect();
    assert!(notes[0].contains("dataset1.csv with the present content"), "{notes:?}");
    assert!(notes[1].starts_with("dataset1.csv had another content before"), "{notes:?}");
    assert!(notes[2].starts_with("dataset0.csv cannot be played"), "{notes:?}");
}

#[test]
fn files_of_one_class_belong_to_the_first_model_and_one_class_alone_is_an_error() {
    let workspace = workspace();
    for (file, exited) in [("dataset1.csv", 0), ("dataset2.csv", 0)] {
        let rows: String = (0..20).map(|i| format!("{file}{i},{i},2,3,{exited}\n")).collect();
        workspace.csv(&format!("practicedata/{file}"), &rows);
    }
    let failed = output(&workspace, &["--replay"]);
    assert_eq!(failed.status.code(), Some(1));
    let stderr = String::from_utf8(failed.stderr).unwrap();
    assert!(stderr.contains("the 2 files have no complete rows of both classes of exited"), "{stderr}");

    workspace.csv("practicedata/dataset3.csv", &rows("c", 40, false));
    workspace.csv("practicedata/dataset4.csv", &rows("d", 40, true));
    let (outcome, _) = replay(&workspace);
    assert_eq!((&outcome["first"], &outcome["policies"][0]["n"]), (&json!(3), &json!(40)));
}

#[test]
fn a_cluster_and_a_dry_run_are_refused() {
    let mut workspace = workspace();
    assert_eq!(output(&workspace, &["--replay", "--dry-run"]).status.code(), Some(2));
    workspace.set("engine", json!("sc://127.0.0.1:1"));
    let failed = output(&workspace, &["--replay"]);
    let stderr = String::from_utf8(failed.stderr).unwrap();
    assert!(failed.status.code() == Some(1) && stderr.contains("key \"engine\""), "{stderr}");
}

#[test]
fn the_winners_of_simulated_histories_are_those_of_pandas_and_scikit_learn() {
    let installed = Command::new("python3").args(["-c", "import pandas, scipy, sklearn"]).output();
    if !installed.is_ok_and(|output| output.status.success()) {
        testkit::skipped("python3 cannot import pandas, scipy and sklearn");
        return;
    }
    let python = |arguments: &[&str]| {
        let output = Command::new("python3").arg(POLICIES).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let mut winners = Vec::new();
    for kind in ["stable", "sudden", "slow"] {
        let mut workspace = Workspace::new();
        let folder = workspace.path("practicedata");
        let folder = folder.to_str().unwrap();
        python(&["simulate", kind, folder]);
        workspace.set("test_data_path", json!("practicedata/test"));
        let (outcome, _) = replay(&workspace);
        let policies = outcome["policies"].as_array().unwrap();

        let rules = policies.iter().filter(|policy| policy["policy"] == "rule");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let rules: Vec<String> =
            rules.map(|rule| format!("{},{}", text(&rule["drift_test"]), text(&rule["promotion"]))).collect();
        let files = outcome["files"].as_array().unwrap().iter().map(|file| format!("{folder}/{}", text(file)));
        let (rules, test, files) = (rules.join(" "), format!("{folder}/test/test.csv"), files.collect::<Vec<_>>());
        let arguments: Vec<&str> =
            ["play", &rules, &test].into_iter().chain(files.iter().map(String::as_str)).collect();
        let expected: Value = serde_json::from_str(&python(&arguments)).unwrap();

        let expected_policies = expected["policies"].as_array().unwrap();
        assert_eq!(policies.len(), expected_policies.len());
        for (found, expected) in policies.iter().zip(expected_policies) {
            let decisions: Vec<&Value> =
                found["decisions"].as_array().unwrap().iter().map(|file| &file["decision"]).collect();
            assert_eq!(json!(decisions), expected["decisions"], "{kind} {rules}");
            let near = |found: &Value, expected: &Value| {
                let (found, expected) = (found.as_f64().unwrap(), expected.as_f64().unwrap());
                assert!((found - expected).abs() < 1e-9, "{kind}: {found} is not {expected}");
            };
            near(&found["f1"], &expected["f1"]);
            near(&found["f1_interval"]["low"], &expected["interval"][0]);
            near(&found["f1_interval"]["high"], &expected["interval"][1]);
            for (key, name) in [
                ("n", "n"),
                ("retrainings", "retrainings"),
                ("deployments", "deployments"),
                ("missed_drifts", "missed"),
                ("needless_deployments", "needless"),
            ] {
                assert_eq!(found[key], expected[name], "{kind}: {key}: {found}");
            }
        }
        let recommended = &outcome["recommended"];
        assert_eq!(json!([recommended["drift_test"], recommended["promotion"]]), expected["recommended"], "{kind}");
        assert_eq!(
            (&outcome["conclusion"], &outcome["judged_files"]),
            (&expected["conclusion"], &expected["judged"]),
            "{kind}"
        );
        winners.push((kind, text(&outcome["conclusion"])));
    }
    let expected = [("stable", "none_better"), ("sudden", "better"), ("slow", "better")];
    assert_eq!(winners, expected.map(|(kind, conclusion)| (kind, conclusion.to_owned())));
}
