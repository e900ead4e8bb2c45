//! Tests of files by which the live model cannot be judged: they are pending until labels arrive.

use std::fs;

use serde_json::{Value, json};
use testkit::{Workspace, rows};

use crate::{FIRST_F1, bootstrapped, decision, live, run};

/// Clients whose status is unknown; of each pair, one is like those that leave and one like those that stay.
fn unlabelled(pairs: usize) -> String {
    let pair = |i| format!("leaves{i},5,40,60,\nstays{i},800,4000,3,\n");
    (0..pairs).map(pair).collect()
}

/// Later rows of the same clients, with their labels. If `inverted`, the model was wrong about all of them.
fn labels(pairs: usize, inverted: bool) -> String {
    let [leaves, stays] = if inverted { [0, 1] } else { [1, 0] };
    let pair = |i| format!("leaves{i},5,40,60,{leaves}\nstays{i},800,4000,3,{stays}\n");
    (0..pairs).map(pair).collect()
}

/// Creates a workspace in which `dataset3.csv` is pending.
fn pending() -> Workspace {
    let workspace = bootstrapped();
    workspace.csv("practicedata/dataset3.csv", &unlabelled(10));
    let outcome = decision(&workspace, "cannot_be_judged");
    assert_eq!(outcome["pending_files"], json!(["dataset3.csv"]));
    workspace
}

/// Returns the newest row of a listing.
fn newest(workspace: &Workspace, what: &str) -> Value {
    workspace.run_json("dbsetup", &["--history", what, "--last", "1"])["rows"][0].take()
}

#[test]
fn without_labels_nothing_is_decided_and_the_file_is_pending() {
    let workspace = bootstrapped();
    let production = workspace.snapshot(&["production_deployment"]);
    let listed = workspace.read("practicemodels/calllist.csv");
    workspace.csv("practicedata/dataset3.csv", &unlabelled(10));
    let release = live(&workspace).id;
    let (planned, _) = run(&workspace, &["--dry-run"]);
    let (stdout, stderr) = run(&workspace, &[]);
    assert_eq!(planned, format!("dry run, nothing was changed; a run would report: {stdout}"));
    let start = "cannot be judged: 0 of 0 labelled rows of dataset3.csv left, 5 are needed (drift_min_positives), estimated F1 ";
    let end = format!(" from the calibrated probabilities; pending: dataset3.csv; {release} stays live\n");
    assert!(stdout.starts_with(start) && stdout.ends_with(&end), "{stdout}");
    assert!(stderr.contains("warning: no row of the new files has a known exited"), "{stderr}");
    // The new clients are to be called, and nothing else has changed.
    assert!(workspace.snapshot(&["production_deployment"]) == production);
    assert!(workspace.read("practicemodels/calllist.csv") != listed);
    assert_eq!((workspace.history_rows("checked_files"), workspace.history_rows("promotions")), (0, 1));

    for _ in 0..2 {
        let outcome = decision(&workspace, "nothing_to_do");
        assert_eq!((&outcome["pending_files"], &outcome["new_files"]), (&json!(["dataset3.csv"]), &json!([])));
    }
    let (stdout, stderr) = run(&workspace, &[]);
    assert_eq!(stdout, format!("nothing to do: no new data, {release} is live; pending: dataset3.csv\n"));
    assert!(stderr.is_empty(), "{stderr}");
    assert_eq!((workspace.history_rows("drift_checks"), workspace.history_rows("pending_files")), (1, 1));
}

#[test]
fn the_history_says_the_same_and_has_no_score() {
    let workspace = bootstrapped();
    workspace.csv("practicedata/dataset3.csv", &"s,800,4000,3,0\n".repeat(40));
    let outcome = decision(&workspace, "cannot_be_judged");
    assert_eq!([&outcome["new_f1"], &outcome["new_f1_interval"]], [&Value::Null; 2]);
    assert_eq!((&outcome["new_n"], &outcome["new_left"]), (&json!(40), &json!(0)));
    assert_eq!(outcome["verdict"], "cannot_be_judged");
    let check = newest(&workspace, "checks");
    assert_eq!((&check["verdict"], &check["drifted"]), (&json!("cannot be judged"), &json!(false)));
    let file = newest(&workspace, "pending");
    assert_eq!(
        (&file["release"], &file["name"], &file["state"]),
        (&outcome["live"], &json!("dataset3.csv"), &json!("cannot be judged"))
    );
    let text = workspace.run("dbsetup", &["--history", "runs", "--last", "1"]);
    assert!(
        text.contains("cannot be judged: 0 of 40 labelled rows of dataset3.csv left") && !text.contains("F1"),
        "{text}"
    );
}

#[test]
fn labels_in_a_later_file_judge_all_rows_of_both_files() {
    for (inverted, expected, f1) in [(false, "no_drift", 1.0), (true, "redeployed", 0.0)] {
        let workspace = pending();
        let first = live(&workspace).id;
        // Without the pending file only 20 rows were labelled.
        workspace.csv("practicedata/a_later.csv", &labels(10, inverted));
        let (planned, _) = run(&workspace, &["--dry-run", "--json"]);
        let planned: Value = serde_json::from_str(&planned).unwrap();
        let outcome = decision(&workspace, expected);
        for outcome in [&planned, &outcome] {
            assert_eq!((&outcome["new_f1"], &outcome["new_n"]), (&json!(f1), &json!(40)), "{outcome}");
            assert_eq!(outcome["scored_files"], json!(["dataset3.csv", "a_later.csv"]));
            assert_eq!((&outcome["new_files"], &outcome["pending_files"]), (&json!(["a_later.csv"]), &json!([])));
        }
        assert_eq!(live(&workspace).id != first, inverted);
        assert_eq!(workspace.history_rows("checked_files"), if inverted { 0 } else { 2 });
        let outcome = decision(&workspace, "nothing_to_do");
        assert_eq!((&outcome["pending_files"], &outcome["held_files"]), (&json!([]), &json!([])));
    }
}

#[test]
fn files_stay_pending_together_until_there_are_enough_leavers() {
    let workspace = pending();
    workspace.csv("practicedata/dataset4.csv", &labels(2, false));
    let outcome = decision(&workspace, "cannot_be_judged");
    assert_eq!((&outcome["new_n"], &outcome["new_left"]), (&json!(8), &json!(4)));
    assert_eq!(outcome["pending_files"], json!(["dataset3.csv", "dataset4.csv"]));
    assert_eq!(workspace.history_rows("pending_files"), 2);
    decision(&workspace, "nothing_to_do");
    workspace.csv("practicedata/dataset5.csv", "another,5,40,60,1\n");
    let outcome = decision(&workspace, "no_drift");
    assert_eq!((&outcome["new_n"], &outcome["new_left"], &outcome["new_f1"]), (&json!(9), &json!(5), &json!(1.0)));
    assert_eq!(workspace.history_rows("checked_files"), 3);
}

#[test]
fn another_content_is_a_new_file_and_a_deleted_file_is_not_pending() {
    let workspace = pending();
    let unlabelled = workspace.text("practicedata/dataset3.csv");
    workspace.csv("practicedata/dataset3.csv", &labels(10, false));
    let outcome = decision(&workspace, "no_drift");
    assert_eq!((&outcome["new_n"], &outcome["pending_files"]), (&json!(20), &json!([])));
    // The content without labels is back and is checked once more.
    workspace.write("practicedata/dataset3.csv", &unlabelled);
    assert_eq!(decision(&workspace, "cannot_be_judged")["new_files"], json!(["dataset3.csv"]));
    fs::remove_file(workspace.path("practicedata/dataset3.csv")).unwrap();
    assert_eq!(decision(&workspace, "nothing_to_do")["pending_files"], json!([]));
    assert_eq!(newest(&workspace, "pending")["state"], "gone");
}

#[test]
fn pending_files_belong_to_a_release_and_survive_neither_another_one_nor_a_lost_history() {
    let workspace = pending();
    let first = live(&workspace).id;
    for name in ["history.sqlite", "history.sqlite.lock"] {
        fs::remove_file(workspace.path(name)).unwrap();
    }
    assert_eq!(decision(&workspace, "cannot_be_judged")["new_files"], json!(["dataset3.csv"]));
    // A manual deployment contains the file.
    for step in ["training", "scoring", "deployment"] {
        workspace.run(step, &[]);
    }
    assert_eq!(decision(&workspace, "reported")["pending_files"], json!([]));
    workspace.run("deployment", &["--rollback", &first]);
    assert_eq!(decision(&workspace, "reported")["pending_files"], json!(["dataset3.csv"]));
    assert_eq!(live(&workspace).manifest.score.f1, FIRST_F1);
}

#[test]
fn a_failed_run_leaves_the_file_new() {
    let workspace = bootstrapped();
    workspace.csv("practicedata/dataset3.csv", &unlabelled(10));
    let calls = workspace.path("practicemodels/calllist.csv");
    fs::remove_file(&calls).unwrap();
    fs::create_dir_all(calls.join("in the way")).unwrap();
    crate::fail(&workspace);
    assert_eq!(workspace.history_rows("pending_files"), 0);
    fs::remove_dir_all(&calls).unwrap();
    assert_eq!(decision(&workspace, "cannot_be_judged")["new_files"], json!(["dataset3.csv"]));
}

#[test]
fn scores_that_could_not_be_judged_are_no_past_scores() {
    let mut workspace = bootstrapped();
    workspace.set("drift_test", json!("history"));
    for file in 3..9 {
        // Their F1 of 0 would make the limits so low that nothing is below them.
        workspace.csv(&format!("practicedata/dataset{file}.csv"), &format!("s{file},800,4000,3,0\n").repeat(20 + file));
        decision(&workspace, "cannot_be_judged");
    }
    for file in 1..5 {
        workspace.csv(&format!("practicedata/e{file}.csv"), &rows(&format!("f{file}_"), 20 + file, false));
        decision(&workspace, "no_drift");
    }
    workspace.csv("practicedata/f.csv", &rows("g", 40, true));
    decision(&workspace, "redeployed");
}
