//! Tests of client rows from a table of each kind of database: each row is ingested once, checked like the rows of a
//! file, and its origin is recorded.

use std::process::Output;

use serde_json::{Value, json};
use testkit::databases::{DatabaseServer, Kind, fresh_name};
use testkit::{Workspace, rows};

use crate::{Database, OUTPUTS, check_clients, check_message, decision, on_each_history, read_json, run_without_cargo};

impl Database {
    /// Creates another database of the same kind.
    pub fn another(&self, name: &str) -> Self {
        match self {
            Self::File(path) => Self::File(path.with_file_name(format!("{name}.sqlite"))),
            Self::On(server, _) => {
                let name = fresh_name(name);
                server.sql("", &format!("CREATE DATABASE {name}"));
                Self::On(server, name)
            }
        }
    }
}

/// Creates the input database with its table, and names both databases in the config.
pub fn input(workspace: &mut Workspace, history: &Database) -> Database {
    let input = history.another("crm");
    let exited = if input.is(Kind::Postgres) { "BOOLEAN" } else { "INTEGER" };
    input.sql(&format!(
        "CREATE TABLE activity (id BIGINT, corporation VARCHAR(1000), lastmonth_activity NUMERIC(30, 9),
            lastyear_activity DOUBLE PRECISION, number_of_employees BIGINT, exited {exited}, changed TIMESTAMP NULL)"
    ));
    name_input(workspace, &input, "activity", "id");
    input
}

fn name_input(workspace: &mut Workspace, input: &Database, table: &str, column: &str) {
    workspace.set("input_database", json!({"url": input.url(), "table": table, "column": column}));
}

/// Inserts rows in the format of [`testkit::rows`], numbered from `first`.
pub fn insert(input: &Database, first: u64, rows: &str) {
    let value = |(place, row): (usize, &str)| {
        let fields: Vec<_> = row.split(',').collect();
        let exited = if fields[4] == "1" { "TRUE" } else { "FALSE" };
        let id = first + place as u64;
        let time = format!("2026-11-{:02} 09:00:00", 1 + id % 28);
        format!("({id}, '{}', {}, {}, {}, {exited}, '{time}')", fields[0], fields[1], fields[2], fields[3])
    };
    let values: Vec<_> = rows.lines().enumerate().map(value).collect();
    input.sql(&format!("INSERT INTO activity VALUES {}", values.join(", ")));
}

pub fn ingested_names(workspace: &Workspace) -> Vec<String> {
    let names: Vec<String> = serde_json::from_slice(&workspace.read("ingesteddata/ingestedfiles.txt")).unwrap();
    names.iter().map(|name| plain(name)).collect()
}

/// Returns a batch's name without the part that distinguishes batches of different sources.
pub fn plain(name: &str) -> String {
    match name.strip_suffix(".csv").and_then(|name| name.rsplit_once('.')) {
        Some((name, identity)) if name.starts_with("database.") && identity.len() == 6 => format!("{name}.csv"),
        _ => name.to_owned(),
    }
}

fn plain_names(names: &Value) -> Vec<String> {
    names.as_array().unwrap().iter().map(|name| plain(name.as_str().unwrap())).collect()
}

/// Returns the record of the file that was ingested last.
pub fn last_file(workspace: &Workspace) -> Value {
    read_json(workspace, "ingesteddata/ingestion.json")["files"].as_array().unwrap().last().unwrap().clone()
}

/// Returns the rows of finaldata.csv.
pub fn dataset(workspace: &Workspace) -> Vec<String> {
    workspace.text("ingesteddata/finaldata.csv").lines().skip(1).map(str::to_owned).collect()
}

#[test]
fn the_first_ingestion_takes_all_rows_and_each_later_one_those_above_the_mark() {
    on_each_history(Workspace::new, |workspace, database| {
        let input = input(workspace, database);
        insert(&input, 1, &rows("a", 60, false));
        workspace.run("ingestion", &[]);
        assert_eq!(ingested_names(workspace), ["database.activity.id.60.csv"]);
        assert_eq!(dataset(workspace), rows("a", 60, false).lines().collect::<Vec<_>>());
        let batch = json!({"database": input.shown(), "rows": "activity", "column": "id", "above": null, "up_to": 60});
        assert_eq!(last_file(workspace)["batch"], batch);

        let before = workspace.snapshot(OUTPUTS);
        workspace.run("ingestion", &[]);
        assert!(workspace.snapshot(OUTPUTS) == before, "nothing was new");

        insert(&input, 61, &rows("b", 10, false));
        input.sql("UPDATE activity SET corporation = 'changed too late' WHERE id = 1");
        workspace.run("ingestion", &[]);
        assert_eq!(ingested_names(workspace), ["database.activity.id.60.csv", "database.activity.id.70.csv"]);
        assert_eq!(dataset(workspace).len(), 70);
        assert!(!workspace.text("ingesteddata/finaldata.csv").contains("too late"));
        let file = last_file(workspace);
        assert_eq!(
            (&file["rows"], &file["batch"]["above"], &file["batch"]["up_to"]),
            (&json!(10), &json!(60), &json!(70))
        );

        let newest = "FROM ingested_files WHERE run_id = (SELECT MAX(id) FROM runs) ORDER BY name";
        let source = |above| format!("{}, activity: id {above}", input.shown());
        assert_eq!(database.column("source", newest), [source("up to 60"), source("above 60 up to 70")]);
        check_clients(workspace, database);
        let all: String =
            workspace.snapshot(OUTPUTS).iter().map(|(_, text)| String::from_utf8_lossy(text).into_owned()).collect();
        assert!(!all.contains(DatabaseServer::PASSWORD));
    });
}

#[test]
fn they_are_checked_and_merged_as_a_files_rows_are() {
    on_each_history(Workspace::with_data, |workspace, database| {
        let input = input(workspace, database);
        insert(&input, 1, &rows("a", 70, false)); // 60 of them are in dataset1.csv
        insert(&input, 71, "negative,-1,2,3,1\n");
        workspace.run("ingestion", &[]);
        let file = last_file(workspace);
        assert_eq!((&file["rows"], &file["duplicates"], &file["quarantined"]), (&json!(70), &json!(60), &json!(1)));
        assert_eq!(dataset(workspace).len(), 130);
        assert_eq!(ingested_names(workspace), ["dataset1.csv", "dataset2.csv", "database.activity.id.71.csv"]);
        let quarantine = workspace.text("ingesteddata/quarantine.csv");
        assert!(quarantine.contains("database.activity.id.71.") && quarantine.contains("negative"), "{quarantine}");
        check_clients(workspace, database);
    });
}

#[test]
fn every_value_comes_as_it_is() {
    on_each_history(Workspace::new, |workspace, database| {
        let input = input(workspace, database);
        input.sql(
            "INSERT INTO activity VALUES
            (9007199254740993, 'O''Neil, \"Söhne\" 🦀', 0.1, 123456.789012345, 9007199254740992, TRUE, NULL),
            (9007199254740995, '', 0.5, 0.1, 3, FALSE, NULL), (9007199254740997, NULL, NULL, NULL, NULL, NULL, NULL),
            (9007199254740999, ' x ', 7, 1e15, 0, TRUE, NULL),
            (9007199254740996, 'third', 1, 0.3333333333333333, 1, NULL, NULL)",
        );
        workspace.run("ingestion", &[]);
        let expected = [
            "\"O'Neil, \"\"Söhne\"\" 🦀\",0.1,123456.789012345,9007199254740992,1",
            ",0.5,0.1,3,0",
            "third,1,0.3333333333333333,1,",
            ",,,,",
            " x ,7,1000000000000000,0,1",
        ];
        assert_eq!(dataset(workspace), expected);
        assert_eq!(last_file(workspace)["batch"]["up_to"], json!(9_007_199_254_740_999_i64));
        input.sql(
            "INSERT INTO activity (id, corporation) VALUES (9007199254741000, 'next'), (9007199254740998, 'below')",
        );
        workspace.run("ingestion", &[]);
        assert_eq!(dataset(workspace)[5..], ["next,,,,"]);
    });
}

#[test]
fn a_time_can_be_the_growing_column() {
    on_each_history(Workspace::new, |workspace, database| {
        let input = input(workspace, database);
        name_input(workspace, &input, "activity", "changed");
        let row = |name: &str, time: &str| {
            let time = if time.is_empty() { "NULL".to_owned() } else { format!("'{time}'") };
            input.sql(&format!("INSERT INTO activity (corporation, changed) VALUES ('{name}', {time})"));
        };
        row("b", "2026-11-23 09:00:01");
        row("a", "2026-11-22 23:59:59");
        row("never", "");
        let outcome = workspace.run_json("ingestion", &[]);
        assert_eq!(outcome["without_watermark"], 1);
        assert_eq!(dataset(workspace), ["a,,,,", "b,,,,"]);
        assert_eq!(last_file(workspace)["batch"]["up_to"], "2026-11-23 09:00:01");
        row("old", "2026-11-23 09:00:00");
        row("new", "2026-11-23 09:00:02");
        workspace.run("ingestion", &[]);
        assert_eq!(dataset(workspace), ["a,,,,", "b,,,,", "new,,,,"]);
    });
}

#[test]
fn a_query_can_rename_and_join() {
    on_each_history(Workspace::new, |workspace, database| {
        let input = input(workspace, database);
        input.sql("CREATE TABLE staff (client INTEGER, heads INTEGER)");
        input.sql("INSERT INTO staff VALUES (1, 10), (2, 20)");
        insert(&input, 1, "a,1,2,3,1\nwhat?,1,2,3,0\n");
        let query =
            "SELECT id AS number, corporation, lastmonth_activity, lastyear_activity, heads AS number_of_employees,
            exited FROM activity JOIN staff ON client = id WHERE corporation LIKE '%?' OR corporation = 'a'";
        workspace.set("input_database", json!({"url": input.url(), "query": query, "column": "number"}));
        workspace.run("ingestion", &[]);
        assert_eq!(dataset(workspace), ["a,1,2,10,1", "what?,1,2,20,0"]);
        assert_eq!(ingested_names(workspace), ["database.query.number.2.csv"]);
    });
}

#[test]
fn an_empty_table_beside_files_is_no_fault_and_without_files_one() {
    on_each_history(Workspace::new, |workspace, database| {
        let input = input(workspace, database);
        let folder = workspace.path("practicedata");
        check_message(&workspace.fail("ingestion", &[]), &[folder.to_str().unwrap(), "activity", &input.shown()]);
        assert_eq!(workspace.snapshot(OUTPUTS), []);
        workspace.csv("practicedata/dataset1.csv", &rows("a", 60, false));
        workspace.run("ingestion", &[]);
        assert_eq!(ingested_names(workspace), ["dataset1.csv"]);
        insert(&input, 1, &rows("b", 4, false));
        workspace.run("ingestion", &[]);
        assert_eq!(ingested_names(workspace), ["dataset1.csv", "database.activity.id.4.csv"]);
    });
}

#[test]
fn what_is_not_there_is_named_and_nothing_changes() {
    on_each_history(Workspace::with_data, |workspace, database| {
        workspace.deploy();
        let input = input(workspace, database);
        insert(&input, 1, &rows("b", 4, false));
        let before = workspace.snapshot(OUTPUTS);
        for (table, column, missing) in [("absent", "id", "absent"), ("activity", "nothing", "nothing")] {
            name_input(workspace, &input, table, column);
            for step in ["ingestion", "fullprocess"] {
                check_message(&workspace.fail(step, &[]), &[missing, &input.shown(), "input_database"]);
            }
        }
        input.sql(
            "CREATE TABLE incomplete (id INTEGER, corporation VARCHAR(10)); INSERT INTO incomplete VALUES (1, 'a')",
        );
        name_input(workspace, &input, "incomplete", "id");
        check_message(&workspace.fail("ingestion", &[]), &["lastmonth_activity", &input.shown()]);
        assert!(workspace.snapshot(OUTPUTS) == before);
    });
}

#[test]
fn an_ingestion_that_fails_does_not_move_the_mark() {
    on_each_history(Workspace::with_data, |workspace, database| {
        let input = input(workspace, database);
        insert(&input, 1, &rows("c", 10, false));
        workspace.run("ingestion", &[]);
        let before = workspace.snapshot(OUTPUTS);
        insert(&input, 11, "bad,-1,2,3,1\nworse,-2,2,3,1\ngood,1,2,3,1\n");
        check_message(&workspace.fail("ingestion", &[]), &["2 of 3 lines", "database.activity.id.13."]);
        let kept = |name: &str| !name.contains("/batches/");
        let of_dataset = |files: Vec<(std::path::PathBuf, Vec<u8>)>| -> Vec<_> {
            files.into_iter().filter(|(path, _)| kept(path.to_str().unwrap())).collect()
        };
        assert!(of_dataset(workspace.snapshot(OUTPUTS)) == of_dataset(before));
        input.sql("UPDATE activity SET lastmonth_activity = 5 WHERE id > 10");
        workspace.run("ingestion", &[]);
        assert_eq!((&last_file(workspace)["rows"], &last_file(workspace)["batch"]["above"]), (&json!(3), &json!(10)));
        check_clients(workspace, database);
        workspace.assert_no_leftovers("ingesteddata");
    });
}

#[test]
fn new_rows_are_new_data_for_the_full_process() {
    on_each_history(Workspace::with_data, |workspace, database| {
        let input = input(workspace, database);
        insert(&input, 1, &rows("c", 20, false));
        let names = ["dataset1.csv", "dataset2.csv", "database.activity.id.20.csv"];
        assert_eq!(plain_names(&decision(workspace, "bootstrapped")["new_files"]), names);
        decision(workspace, "nothing_to_do");

        let plan = |expected: &str| {
            let (before, runs) = (workspace.snapshot(OUTPUTS), database.count("FROM runs"));
            let outcome = run_without_cargo(workspace, "fullprocess", &["--dry-run"]);
            assert_eq!(outcome["outcome"], expected, "{outcome}");
            assert!(workspace.snapshot(OUTPUTS) == before && database.count("FROM runs") == runs);
            outcome["new_files"].clone()
        };
        plan("nothing_to_do");
        insert(&input, 21, &rows("d", 20, false));
        let new = plan("no_drift");
        assert_eq!(plain_names(&new), ["database.activity.id.40.csv"]);
        assert_eq!(decision(workspace, "no_drift")["new_files"], new);
        assert_eq!(json!(database.column("name", "FROM checked_files")), new);
        decision(workspace, "nothing_to_do");

        insert(&input, 41, &rows("e", 30, true));
        let new = plan("redeployed");
        assert_eq!(decision(workspace, "redeployed")["new_files"], new);
        assert_eq!(plain_names(&new), ["database.activity.id.70.csv"]);
        let check = database.row(&["data", "n", "drifted"], "FROM drift_checks ORDER BY run_id DESC LIMIT 1");
        assert_eq!(check, [new.to_string().as_str(), "30", "1"]);
        let record: Vec<String> =
            serde_json::from_slice(&workspace.read("production_deployment/ingestedfiles.txt")).unwrap();
        assert_eq!(record.len(), 5);
        decision(workspace, "nothing_to_do");
        plan("nothing_to_do");
    });
}

#[test]
fn an_input_database_that_is_away_stops_everything() {
    on_each_history(Workspace::with_data, |workspace, _| {
        workspace.deploy();
        let before = workspace.snapshot(OUTPUTS);
        for scheme in ["postgres", "mysql"] {
            let url = format!("{scheme}://tester:{}@127.0.0.1:1/crm", DatabaseServer::PASSWORD);
            workspace.set("input_database", json!({"url": url, "table": "activity", "column": "id"}));
            for (step, arguments) in
                [("ingestion", vec![]), ("fullprocess", vec![]), ("fullprocess", vec!["--dry-run"])]
            {
                let Output { status, stderr, .. } = workspace.output(step, &arguments);
                assert_eq!(status.code(), Some(1));
                let shown = format!("{scheme}://127.0.0.1:1/crm");
                check_message(&String::from_utf8(stderr).unwrap(), &[&shown, "input_database", "activity"]);
            }
        }
        let url = format!("sqlite://{}", workspace.path("absent.sqlite").display());
        workspace.set("input_database", json!({"url": url, "table": "activity", "column": "id"}));
        check_message(&workspace.fail("ingestion", &[]), &["absent.sqlite", "input_database"]);
        assert!(!workspace.path("absent.sqlite").exists() && workspace.snapshot(OUTPUTS) == before);
    });
}
