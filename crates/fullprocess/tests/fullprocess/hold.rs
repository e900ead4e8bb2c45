//! Tests of a hold: the live release is not replaced until it is released.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::{Value, json};
use testkit::rows;

use crate::{bootstrapped, decision, fail, live, run, workspace};

#[test]
fn a_held_release_is_not_replaced_until_the_hold_ends() {
    let workspace = bootstrapped();
    let first = live(&workspace).id;
    workspace.run("deployment", &["--hold", "an audit"]);
    let (stdout, stderr) = run(&workspace, &[]);
    assert!(stdout.contains("nothing to do") && stdout.ends_with(" UTC (an audit)\n") && stderr.is_empty(), "{stdout}");
    workspace.csv("practicedata/dataset3.csv", &rows("c", 200, true));
    let (planned, _) = run(&workspace, &["--dry-run", "--json"]);
    let planned: Value = serde_json::from_str(&planned).unwrap();
    let outcome = decision(&workspace, "held");
    for outcome in [&planned, &outcome] {
        assert_eq!((&outcome["outcome"], &outcome["live"]), (&json!("held"), &json!(first)), "{outcome}");
        assert_eq!(
            (&outcome["held_files"], &outcome["hold"]["reason"]),
            (&json!(["dataset3.csv"]), &json!("an audit"))
        );
        assert_eq!(outcome["new_f1"], json!(0.0));
    }
    assert_eq!((live(&workspace).id, workspace.history_rows("promotions")), (first.clone(), 1));
    assert_eq!(workspace.history_rows("checked_files"), 0);
    // The file is neither scored again every ten minutes nor forgotten.
    let outcome = decision(&workspace, "nothing_to_do");
    assert_eq!((&outcome["held_files"], &outcome["pending_files"]), (&json!(["dataset3.csv"]), &json!([])));
    assert_eq!(workspace.history_rows("drift_checks"), 1);
    let (stdout, _) = run(&workspace, &[]);
    assert!(stdout.ends_with("; judged again after deployment --release-hold: dataset3.csv\n"), "{stdout}");
    // A new file that fits is judged alone.
    workspace.csv("practicedata/dataset4.csv", &rows("d", 40, false));
    let outcome = decision(&workspace, "no_drift");
    assert_eq!(
        (&outcome["scored_files"], &outcome["held_files"]),
        (&json!(["dataset4.csv"]), &json!(["dataset3.csv"]))
    );

    workspace.run("deployment", &["--release-hold"]);
    let outcome = decision(&workspace, "redeployed");
    assert_eq!((&outcome["new_files"], &outcome["hold"]), (&json!(["dataset3.csv"]), &Value::Null));
    assert_ne!(live(&workspace).id, first);
    decision(&workspace, "nothing_to_do");
}

#[test]
fn a_rollback_during_a_hold_lasts() {
    let workspace = bootstrapped();
    let first = live(&workspace).id;
    workspace.csv("practicedata/dataset3.csv", &rows("c", 200, true));
    decision(&workspace, "redeployed");
    workspace.run("deployment", &["--hold"]);
    workspace.run("deployment", &["--rollback"]);
    assert_eq!(decision(&workspace, "held")["new_files"], json!(["dataset3.csv"]));
    decision(&workspace, "reported"); // the answers of the service were those of the other release
    decision(&workspace, "nothing_to_do");
    assert_eq!(live(&workspace).id, first);
    // A deployment by hand still works, and the hold remains.
    for step in ["training", "scoring", "deployment"] {
        workspace.run(step, &[]);
    }
    assert_ne!(live(&workspace).id, first);
    assert!(decision(&workspace, "reported")["hold"]["since"].is_string());
    fs::remove_file(workspace.path("history.sqlite")).unwrap();
    assert!(decision(&workspace, "nothing_to_do")["hold"]["since"].is_string(), "the hold needs no database");
}

#[test]
fn a_hold_that_cannot_be_read_holds_and_says_what_to_do() {
    let workspace = bootstrapped();
    let first = live(&workspace).id;
    workspace.write("production_deployment/hold.json", "{");
    workspace.csv("practicedata/dataset3.csv", &rows("c", 200, true));
    let stderr = fail(&workspace);
    for words in ["hold.json", "stays held", "--release-hold"] {
        assert!(stderr.contains(words), "{words} is not in {stderr}");
    }
    let error = workspace.fail("deployment", &["--unless-held"]);
    assert!(error.contains("stays held"), "{error}");
    assert_eq!(live(&workspace).id, first);
    workspace.run("deployment", &["--hold"]);
    decision(&workspace, "held");
    workspace.run("deployment", &["--release-hold"]);
    decision(&workspace, "redeployed");
}

#[test]
fn a_hold_that_is_set_during_the_training_prevents_the_deployment() {
    let workspace = bootstrapped();
    let first = live(&workspace).id;
    workspace.csv("practicedata/dataset3.csv", &rows("c", 200, true));
    let mut command = workspace.command_without_cargo("fullprocess");
    let mut child = command.arg("--json").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.ends_with(" training")));
    workspace.write("production_deployment/hold.json", r#"{"since": "2026-11-30T11:50:00Z"}"#);
    lines.for_each(drop);
    let outcome: Value = serde_json::from_reader(child.stdout.take().unwrap()).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!((&outcome["outcome"], &outcome["held_files"]), (&json!("held"), &json!(["dataset3.csv"])), "{outcome}");
    assert_eq!(live(&workspace).id, first);
    decision(&workspace, "nothing_to_do");
    workspace.run("deployment", &["--release-hold"]);
    decision(&workspace, "redeployed");
}

#[test]
fn changed_columns_wait_for_the_end_of_the_hold() {
    let mut workspace = bootstrapped();
    let first = live(&workspace).id;
    workspace.run("deployment", &["--hold"]);
    let columns = json!({
        "id": "corporation", "target": "exited", "ignored": ["number_of_employees"],
        "predictors": ["lastmonth_activity", "lastyear_activity"],
    });
    workspace.set("columns", columns);
    let before = workspace.snapshot(&["ingesteddata", "practicemodels"]);
    let outcome = decision(&workspace, "held");
    assert!(outcome["columns_change"].is_string() && outcome["verdict"].is_null(), "{outcome}");
    assert_eq!(live(&workspace).id, first);
    assert!(workspace.snapshot(&["ingesteddata", "practicemodels"]) == before, "the live model could not read them");
    workspace.run("deployment", &["--release-hold"]);
    decision(&workspace, "columns_changed");
}

#[test]
fn a_hold_prevents_neither_a_first_deployment_nor_a_repair() {
    let workspace = workspace();
    workspace.run("deployment", &["--hold"]);
    let first = decision(&workspace, "bootstrapped")["live"].as_str().unwrap().to_owned();
    let model = format!("production_deployment/releases/{first}/trainedmodel.bin");
    fs::write(workspace.path(&model), "RISK").unwrap();
    assert_ne!(decision(&workspace, "repaired")["live"], json!(first));
}
