//! After every fault, the earlier model is unchanged and the message says what to do.

use testkit::Workspace;

/// Trains once, breaks something, and checks that training fails with `expected` and changes nothing.
fn check(break_it: impl FnOnce(&Workspace), expected: &[&str]) {
    let workspace = Workspace::with_data();
    workspace.run("ingestion", &[]);
    workspace.run("training", &[]);
    break_it(&workspace);
    let before = workspace.snapshot(&["practicemodels"]);
    let error = workspace.fail("training", &[]);
    for part in expected {
        assert!(error.contains(part), "{error:?} does not say {part:?}");
    }
    assert_eq!(workspace.snapshot(&["practicemodels"]), before);
}

/// Returns a function that replaces the compiled dataset by `rows`.
fn dataset(rows: &'static str) -> impl FnOnce(&Workspace) {
    move |workspace| workspace.csv("ingesteddata/finaldata.csv", rows)
}

#[test]
fn no_dataset() {
    let remove = |workspace: &Workspace| std::fs::remove_file(workspace.path("ingesteddata/finaldata.csv")).unwrap();
    check(remove, &["finaldata.csv", "run ingestion first"]);
}

#[test]
fn a_damaged_dataset() {
    check(dataset("a,1,2,3,0\nb,1,2\n"), &["finaldata.csv", "line 3", "run ingestion again"]);
}

#[test]
fn no_row_at_all() {
    check(dataset(""), &["the dataset in", "no row without a missing value"]);
}

#[test]
fn no_complete_row() {
    check(dataset("a,,2,3,0\nb,1,2,3,\n"), &["no row without a missing value", "2 rows have one"]);
}

#[test]
fn one_class_only() {
    check(dataset("a,1,2,3,1\nb,4,5,6,1\n"), &["all 2 rows", "exited = 1", "needs both classes"]);
    check(dataset("a,1,2,3,0\n"), &["all 1 rows", "exited = 0"]);
}

#[test]
fn a_full_disk() {
    let workspace = Workspace::with_data();
    workspace.run("ingestion", &[]);
    workspace.run("training", &[]);
    let before = workspace.snapshot(&["practicemodels"]);
    // No file may grow beyond 0 blocks. With the signal ignored, writing fails as on a full disk. The history stays
    // readable, but its record of the failure cannot be written.
    let script = format!(
        "trap '' XFSZ; ulimit -f 0; exec {} --config {}",
        testkit::binary("training").display(),
        workspace.path("config.json").display()
    );
    let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(!output.stderr.is_empty());
    assert_eq!(workspace.snapshot(&["practicemodels"]), before);
}

#[test]
fn another_writer() {
    let workspace = Workspace::with_data();
    workspace.run("ingestion", &[]);
    let _held = common::files::lock::Lock::acquire(&workspace.path("practicemodels"), "test").unwrap();
    let error = workspace.fail("training", &[]);
    assert!(error.contains("another step is at work"), "{error}");
}

#[test]
fn constant_and_collinear_predictors_have_a_model_thanks_to_the_penalty() {
    let workspace = Workspace::new();
    workspace.csv("ingesteddata/finaldata.csv", "a,1,2,0,1\nb,2,4,0,0\nc,3,6,0,1\nd,4,8,0,0\n");
    let outcome = workspace.run_json("training", &[]);
    assert_eq!(outcome["coefficients"][2], 0.0);
}
