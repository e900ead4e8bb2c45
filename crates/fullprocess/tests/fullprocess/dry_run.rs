//! Tests that `--dry-run` reports what a run would do and leaves no trace.

use std::fs;

use serde_json::Value;
use testkit::{Workspace, rows};

use crate::{decision, run, trace, workspace};

/// Makes a dry run, which must leave everything unchanged, and then a run, which must do what the dry run reported.
fn assert_planned_and_done(workspace: &Workspace, expected: &str) {
    workspace.command_without_cargo("fullprocess"); // creates its own folder on the first call
    let before = trace(workspace);
    let (stdout, _) = run(workspace, &["--dry-run", "--json"]);
    let planned: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((&planned["outcome"], &planned["dry_run"]), (&expected.into(), &true.into()), "{planned}");
    let (stdout, _) = run(workspace, &["--dry-run"]);
    assert!(stdout.starts_with("dry run, nothing was changed"), "{stdout}");
    assert!(trace(workspace) == before, "{expected}: the dry run has left a trace");

    let done = decision(workspace, expected);
    for key in ["new_files", "recorded_f1", "new_f1", "new_n"] {
        assert_eq!(planned[key], done[key], "{expected}: {key}");
    }
    assert_eq!(done["dry_run"], false);
}

#[test]
fn a_dry_run_leaves_no_trace_and_reports_what_the_run_then_does() {
    let workspace = workspace();
    assert_planned_and_done(&workspace, "bootstrapped");
    assert_planned_and_done(&workspace, "nothing_to_do");
    workspace.csv("practicedata/dataset3.csv", &rows("c", 40, false));
    assert_planned_and_done(&workspace, "no_drift");
    assert_planned_and_done(&workspace, "nothing_to_do");
    workspace.csv("practicedata/dataset4.csv", &rows("d", 200, true));
    assert_planned_and_done(&workspace, "redeployed");
    fs::remove_file(workspace.path("practicemodels/apireturns.txt")).unwrap();
    assert_planned_and_done(&workspace, "reported");
}

#[test]
fn a_dry_run_makes_no_history_and_adds_nothing_to_one() {
    let workspace = workspace();
    decision(&workspace, "bootstrapped");
    workspace.csv("practicedata/dataset3.csv", &rows("c", 40, false));
    let tables = ["runs", "ingested_files", "scores", "timings", "missing_percentages", "checked_files"];
    let before = tables.map(|table| workspace.history_rows(table));
    run(&workspace, &["--dry-run"]);
    assert_eq!(tables.map(|table| workspace.history_rows(table)), before);

    for name in ["history.sqlite", "history.sqlite.lock"] {
        fs::remove_file(workspace.path(name)).unwrap();
    }
    run(&workspace, &["--dry-run"]);
    assert!(!workspace.path("history.sqlite").exists());
}
