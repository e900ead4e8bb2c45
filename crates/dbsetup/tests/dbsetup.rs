//! Tests of the history database: it is created, kept and counted, and refused if it cannot be used.

use serde_json::{Value, json};
use testkit::Workspace;

/// The tables of the schema, in order.
const TABLES: [&str; 25] = [
    "runs",
    "ingested_files",
    "ingested_missing_values",
    "datasets",
    "models",
    "coefficients",
    "scores",
    "drift_checks",
    "predictor_shifts",
    "promotions",
    "compared_models",
    "decisions",
    "releases",
    "timings",
    "missing_percentages",
    "summary_statistics",
    "category_levels",
    "checked_files",
    "dependencies",
    "contact_requests",
    "contacts",
    "published_lists",
    "listed_clients",
    "pending_files",
    "clients",
];

fn rows(outcome: &Value) -> Vec<(&str, u64)> {
    let row = |table: &'_ Value| table["rows"].as_u64().unwrap_or(u64::MAX);
    let tables = outcome["tables"].as_array().map_or(&[][..], Vec::as_slice);
    tables.iter().map(|table| (table["table"].as_str().unwrap_or("?"), row(table))).collect()
}

#[test]
fn it_makes_the_database_and_is_safe_to_repeat() {
    let workspace = Workspace::new();
    let first = workspace.run_json("dbsetup", &[]);
    assert_eq!(first["database"], json!(workspace.path("history.sqlite")));
    assert_eq!(first["schema_version"], history::SCHEMA_VERSION);
    assert_eq!(rows(&first), TABLES.map(|table| (table, 0)));
    assert!(workspace.read("history.sqlite").starts_with(b"SQLite format 3\0"));
    for _ in 0..2 {
        assert_eq!(workspace.run_json("dbsetup", &[]), first);
    }
    let text = workspace.run("dbsetup", &[]);
    assert!(
        text.contains(&format!("history.sqlite has schema version {}", history::SCHEMA_VERSION))
            && text.contains("dependencies"),
        "{text}"
    );
}

#[test]
fn it_counts_what_the_steps_have_left_and_adds_nothing() {
    let workspace = Workspace::with_data();
    for step in ["ingestion", "training", "scoring"] {
        workspace.run(step, &[]);
    }
    workspace.fail("deployment", &["--rollback", "none"]); // a failed run is also a run
    let outcome = workspace.run_json("dbsetup", &[]);
    let count = |table: &str| rows(&outcome).iter().find(|(name, _)| *name == table).map(|(_, rows)| *rows);
    for (table, expected) in [("runs", 4), ("ingested_files", 2), ("scores", 1), ("checked_files", 0)] {
        assert_eq!(count(table), Some(expected), "{table}: {outcome}");
    }
    assert_eq!(workspace.run_json("dbsetup", &[]), outcome);
}

#[test]
fn the_config_says_where_the_database_is_and_its_folder_is_made() {
    let mut workspace = Workspace::new();
    workspace.set("database_url", json!("sqlite://state/${NAME}.db"));
    let output = workspace.command("dbsetup").env("NAME", "größe").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(workspace.path("state/größe.db").is_file());
    assert!(!workspace.path("history.sqlite").exists());
    let error = workspace.fail("dbsetup", &[]);
    assert!(error.contains("config.json") && error.contains("database_url") && error.contains("NAME"), "{error}");
}

#[test]
fn two_first_runs_at_once_both_succeed() {
    let workspace = Workspace::new();
    let children: Vec<_> =
        (0..8).map(|_| workspace.command("dbsetup").stdout(std::process::Stdio::null()).spawn().unwrap()).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(rows(&workspace.run_json("dbsetup", &[])).len(), TABLES.len());
}

#[test]
fn an_unusable_database_is_named_with_its_key_and_left_as_it_is() {
    let header = "SQLite format 3\0and then nothing that SQLite has ever written, for longer than its header of 100 bytes is, to be sure";
    for (what, content) in
        [("text", "these are notes, not a database, and they are long enough to show it"), ("damage", header)]
    {
        let workspace = Workspace::new();
        workspace.write("history.sqlite", content);
        let error = workspace.fail("dbsetup", &[]);
        for part in ["history.sqlite", "database_url"] {
            assert!(error.contains(part), "{what}: {part} is not in {error}");
        }
        assert_eq!(workspace.text("history.sqlite"), content, "{what}");
    }
    for (what, url) in [("a folder", "sqlite://testdata"), ("below a file", "sqlite://config.json/history.sqlite")] {
        let mut workspace = Workspace::new();
        workspace.set("database_url", json!(url));
        let error = workspace.fail("dbsetup", &[]);
        for part in [url.trim_start_matches("sqlite://"), "database_url"] {
            assert!(error.contains(part), "{what}: {part} is not in {error}");
        }
    }
}

/// SQLite opens such a file, and begins a transaction on it, without an error.
#[test]
fn a_history_that_may_only_be_read_stops_every_step_before_it_changes_a_file() {
    let workspace = Workspace::with_data();
    workspace.deploy();
    workspace.csv("practicedata/dataset3.csv", &testkit::rows("c", 60, true));
    let Some(command) = workspace.as_other_user("history.sqlite") else { return };
    let outputs = &["ingesteddata", "practicemodels", "production_deployment"];
    let before = workspace.snapshot(outputs);
    for step in ["ingestion", "training", "scoring", "deployment", "reporting", "fullprocess"] {
        let output = command(step).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{step}: {stderr}");
        for part in ["history.sqlite", "database_url", "readonly", "this user may write the file"] {
            assert!(stderr.contains(part), "{step}: {part} is not in {stderr}");
        }
        assert!(!stderr.contains("move it away"), "{step}: {stderr}");
        assert!(workspace.snapshot(outputs) == before, "{step} has changed a file");
    }
}

#[test]
fn only_a_damaged_database_is_to_be_moved_away() {
    let advice = "move it away";
    let workspace = Workspace::new();
    workspace.write("history.sqlite", "these are notes, not a database, and they are long enough to show it");
    assert!(workspace.fail("dbsetup", &[]).contains(advice));

    let workspace = Workspace::new();
    let full = workspace.output_on_a_full_disk("dbsetup", 0);
    let stderr = String::from_utf8(full.stderr).unwrap();
    assert_eq!(full.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("history.sqlite") && stderr.contains("room on") && !stderr.contains(advice), "{stderr}");

    let mut workspace = Workspace::new();
    workspace.set("database_url", json!("sqlite://testdata"));
    let stderr = workspace.fail("dbsetup", &[]);
    assert!(stderr.contains("check that the path is right") && !stderr.contains(advice), "{stderr}");
}

#[test]
fn another_kind_of_address_is_refused_without_repeating_its_password() {
    let mut workspace = Workspace::new();
    workspace.set("database_url", json!("oracle://user:secret@host/db"));
    let error = workspace.fail("dbsetup", &[]);
    assert!(error.contains("database_url") && error.contains("sqlite://PATH"), "{error}");
    assert!(!error.contains("secret"), "{error}");
}
