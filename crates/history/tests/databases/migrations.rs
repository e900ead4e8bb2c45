//! Databases that earlier versions of the program created are migrated, and every row is read back. `fixtures/` holds a
//! SQLite file of schema version 1, and of version 3 a SQLite file and dumps of both servers, each with what `dbsetup
//! --history` of that program printed.

use std::fs;
use std::path::{Path, PathBuf};

use common::schema::Schema;
use history::listing::ListingKind;
use history::{History, SCHEMA_VERSION, State};
use serde_json::{Value, json};
use testkit::Workspace;
use testkit::databases::Kind;

use crate::{Database, check_message, on_each_database, setup};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/databases/fixtures").join(name)
}

/// Creates the database as the program of schema version 3 left it. Returns what that program listed.
fn create_version_3(database: &Database) -> Value {
    let listed = match database {
        Database::File(path) => {
            fs::copy(fixture("version3.db"), path).unwrap();
            "sqlite.json"
        }
        Database::On(server, name) => {
            server.sql("", &format!("CREATE DATABASE {name}"));
            let (dump, listed) = match server.kind() {
                Kind::Postgres => ("postgres.sql", "postgres.json"),
                Kind::MariaDb => ("mariadb.sql", "mariadb.json"),
            };
            server.sql(name, &fs::read_to_string(fixture(dump)).unwrap());
            listed
        }
    };
    serde_json::from_slice(&fs::read(fixture(listed)).unwrap()).unwrap()
}

/// The columns that schema version 8 has added.
const NEW_IN_PROMOTIONS: [&str; 8] = [
    "test_sha256",
    "f1_difference_low",
    "f1_difference_high",
    "top_clients",
    "top_precision",
    "top_precision_deployed",
    "top_difference_low",
    "top_difference_high",
];
const NEW_IN_SCORES: [&str; 3] = ["repeated_rows", "repeated_clients", "separating"];

/// Adds columns without a value.
fn add(row: &mut serde_json::Map<String, Value>, columns: &[&str]) {
    row.extend(columns.iter().map(|column| ((*column).to_owned(), Value::Null)));
}

/// Returns a row that was listed by the program of schema version 3 as this program lists it.
fn as_listed_now(kind: ListingKind, row: &Value) -> Value {
    let mut row = row.as_object().unwrap().clone();
    let rename = |row: &mut serde_json::Map<String, Value>, from: &str, to: &str| {
        let value = row.remove(from).unwrap();
        row.insert(to.to_owned(), value);
    };
    match kind {
        ListingKind::Timings => rename(&mut row, "what", "operation"),
        ListingKind::Shifts => {
            rename(&mut row, "ks_distance", "ks_statistic");
            add(&mut row, &["chi_square"]);
        }
        ListingKind::Comparisons => {
            rename(&mut row, "contestant", "model");
            rename(&mut row, "model_sha256", "challenger_sha256");
            add(&mut row, &NEW_IN_PROMOTIONS);
        }
        ListingKind::Scores => add(&mut row, &NEW_IN_SCORES),
        _ => {}
    }
    for list in ["data", "warnings"] {
        if let Some(text) = row.get(list) {
            let list_of_texts: Vec<String> = serde_json::from_str(text.as_str().unwrap()).unwrap();
            row.insert(list.to_owned(), json!(list_of_texts));
        }
    }
    for boolean in ["drifted", "promoted"] {
        if let Some(number) = row.get(boolean) {
            row.insert(boolean.to_owned(), json!(number == &json!(1)));
        }
    }
    if kind == ListingKind::Scores {
        row.insert("threshold".to_owned(), json!(0.5));
    }
    row.into()
}

fn check_listings(history: &mut History, listed: &Value) {
    for kind in ListingKind::ALL {
        let found = serde_json::to_value(history.listing(*kind, &Schema::default(), 1000).unwrap()).unwrap();
        // There were none of these in version 3.
        let expected = listed[kind.as_str()].as_array().cloned().unwrap_or_default();
        assert_eq!(
            expected.is_empty(),
            matches!(kind, ListingKind::Contacts | ListingKind::Lists | ListingKind::Pending | ListingKind::Estimates)
        );
        let expected: Vec<_> = expected.iter().map(|row| as_listed_now(*kind, row)).collect();
        assert_eq!(found, json!({"what": kind.as_str(), "rows": expected}));
    }
}

/// All tables of schema version 3 that have an own name in this version.
const RENAMED: [(&str, &str); 1] = [("contestants", "compared_models")];

/// The tables that were added after schema version 3.
const ADDED: [&str; 7] = [
    "category_levels",
    "contact_requests",
    "contacts",
    "published_lists",
    "listed_clients",
    "pending_files",
    "estimated_quality",
];

/// Returns the rows of all tables under their names of this version.
fn all_rows(database: &Database, tables: impl Iterator<Item = String>) -> Vec<(String, String)> {
    let rows = |table: String| {
        let now = RENAMED.iter().find(|(old, _)| *old == table).map_or(table.as_str(), |(_, now)| now).to_owned();
        // These tables have new columns; the listing checks the renamed ones.
        let columns = match table.as_str() {
            "predictor_shifts" => "run_id, predictor, stability_index, stability_cutoff, p_value, risk_change, verdict",
            "promotions" => "run_id, champion, rule_name, promoted, warnings",
            "scores" => "run_id, model_sha256, release_id, data, n, f1, threshold",
            _ => "*",
        };
        (now, database.sql(&format!("SELECT {columns} FROM {table} ORDER BY 1, 2, 3")))
    };
    tables.map(rows).collect()
}

#[test]
fn a_database_of_version_3_is_migrated_and_every_row_is_read_back() {
    on_each_database(Workspace::new, |workspace, database| {
        let listed = create_version_3(database);
        let config = workspace.config();
        assert_eq!(History::state(&config).unwrap(), State::Behind(3));
        check_message(&workspace.fail("dbsetup", &["--check"]), &["schema version 3", "run dbsetup"]);
        if !database.is_file() {
            check_message(&format!("{:#}", History::open(&config).err().unwrap()), &["version 3", "run dbsetup"]);
        }
        let tables: Vec<_> = {
            let mut history = History::set_up(&Workspace::new().config()).unwrap();
            let tables = history.row_counts().unwrap().into_iter().map(|(table, _)| table);
            tables.filter(|table| !ADDED.contains(table)).map(str::to_owned).collect()
        };
        let old = tables.iter().map(|now| match RENAMED.iter().find(|(_, new)| new == now) {
            Some((old, _)) => (*old).to_owned(),
            None => now.clone(),
        });
        let before = all_rows(database, old);
        assert!(before.iter().all(|(_, rows)| !rows.is_empty()), "{before:?}");

        for _ in 0..2 {
            let mut history = History::set_up(&config).unwrap();
            check_listings(&mut history, &listed);
            assert_eq!(history.latest_known("serde").unwrap(), None);
            assert_eq!(history.past_scores(100).unwrap().len(), 5);
        }
        assert_eq!(all_rows(database, tables.into_iter()), before);
        assert_eq!(History::state(&config).unwrap(), State::Current);
    });
}

#[test]
fn a_migrated_database_has_the_columns_of_a_new_one() {
    on_each_database(Workspace::new, |workspace, database| {
        create_version_3(database);
        History::set_up(&workspace.config()).unwrap();
        let new = database.another("new");
        if let Database::File(path) = &new {
            assert!(!path.exists());
        }
        workspace.set("database_url", json!(new.url()));
        History::set_up(&workspace.config()).unwrap();
        assert_eq!(setup::columns(database), setup::columns(&new));
    });
}

#[test]
fn a_sqlite_file_of_version_1_is_migrated_by_the_first_step() {
    let workspace = Workspace::new();
    fs::copy(fixture("version1.db"), workspace.path("history.sqlite")).unwrap();
    let config = workspace.config();
    assert_eq!(History::state(&config).unwrap(), State::Behind(1));
    let mut history = History::open(&config).unwrap();
    let listed: Value = serde_json::from_slice(&fs::read(fixture("sqlite.json")).unwrap()).unwrap();
    let mut rows = |kind| {
        let listing = serde_json::to_value(history.listing(kind, &Schema::default(), 1000).unwrap()).unwrap();
        listing["rows"].as_array().unwrap().clone()
    };
    for (kind, unknown) in [
        (ListingKind::Runs, &["process", "message"][..]), // `message` is also the reason of a decision
        (ListingKind::Timings, &[]),
        (ListingKind::Missing, &[]),
        (ListingKind::Scores, &["release", "threshold"]),
    ] {
        let expected: Vec<_> =
            listed[kind.as_str()].as_array().unwrap().iter().map(|row| as_listed_now(kind, row)).collect();
        let found = rows(kind);
        assert_eq!(found.len(), expected.len());
        for (found, mut expected) in found.into_iter().zip(expected) {
            for key in unknown {
                expected[*key] = if expected["outcome"] == "failed" { expected[*key].clone() } else { Value::Null };
            }
            assert_eq!(found, expected);
        }
    }
    let counts = history.row_counts().unwrap();
    let count = |table: &str| counts.iter().find(|(name, _)| *name == table).unwrap().1;
    assert_eq!((count("runs"), count("ingested_files"), count("checked_files"), count("dependencies")), (28, 12, 1, 1));
    assert_eq!(history.latest_known("serde").unwrap().unwrap().0, "1.99.0");
    assert_eq!(History::state(&config).unwrap(), State::Current);
}

/// Without a transaction around a migration, as in MySQL, it can be interrupted after each of its statements.
#[test]
fn a_migration_that_was_interrupted_anywhere_is_finished() {
    let changes = [
        "ALTER TABLE predictor_shifts RENAME COLUMN ks_distance TO ks_statistic",
        "ALTER TABLE promotions RENAME COLUMN model_sha256 TO challenger_sha256",
        "ALTER TABLE contestants RENAME TO compared_models",
        "ALTER TABLE compared_models RENAME COLUMN contestant TO model",
        "ALTER TABLE timings RENAME COLUMN what TO operation",
        "ALTER TABLE models RENAME COLUMN left_out TO incomplete_rows",
    ];
    for done in 0..=changes.len() {
        on_each_database(Workspace::new, |workspace, database| {
            if !database.is(Kind::MariaDb) {
                return;
            }
            let listed = create_version_3(database);
            for change in &changes[..done] {
                database.sql(change);
            }
            database.sql(
                "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                    VALUES (4, 'names', FALSE, x'00', -1)",
            );
            assert_eq!(History::state(&workspace.config()).unwrap(), State::Behind(3));
            check_listings(&mut History::set_up(&workspace.config()).unwrap(), &listed);
            let versions = database.column("version", "FROM _sqlx_migrations WHERE success = TRUE ORDER BY version");
            assert_eq!(versions.last().unwrap(), &SCHEMA_VERSION.to_string());
        });
    }
}

/// Checks that a migration in MySQL is finished after an interruption anywhere. `undo` undoes its statements from the last
/// to the first; `tables` are those that it changes.
fn check_interruptions(version: i64, undo: &[&str], tables: &[&str]) {
    on_each_database(Workspace::new, |workspace, database| {
        if !database.is(Kind::MariaDb) {
            return;
        }
        History::set_up(&workspace.config()).unwrap();
        let definition = |table: &&str| database.sql(&format!("SHOW CREATE TABLE {table}"));
        let definitions = || tables.iter().map(definition).collect::<Vec<_>>();
        let whole = definitions();
        for undone in 0..=undo.len() {
            for statement in &undo[..undone] {
                database.sql(statement);
            }
            database.sql(&format!("DELETE FROM _sqlx_migrations WHERE version > {version}"));
            database.sql(&format!("UPDATE _sqlx_migrations SET success = FALSE WHERE version = {version}"));
            assert_eq!(History::state(&workspace.config()).unwrap(), State::Behind(version - 1));
            History::set_up(&workspace.config()).unwrap();
            assert_eq!(definitions(), whole, "{undone} undone");
        }
    });
}

#[test]
fn migration_5_is_finished_after_an_interruption_anywhere() {
    let undo = [
        "DROP TABLE category_levels",
        "ALTER TABLE coefficients MODIFY term VARCHAR(255) NOT NULL",
        "ALTER TABLE predictor_shifts DROP COLUMN chi_square",
    ];
    check_interruptions(5, &undo, &["category_levels", "coefficients", "predictor_shifts"]);
}

#[test]
fn migration_6_is_finished_after_an_interruption_anywhere() {
    check_interruptions(6, &["DROP TABLE contacts", "DROP TABLE contact_requests"], &["contacts", "contact_requests"]);
}

#[test]
fn migration_7_is_finished_after_an_interruption_anywhere() {
    let lists = ["published_lists", "listed_clients"];
    check_interruptions(7, &["DROP TABLE listed_clients", "DROP TABLE published_lists"], &lists);
}

#[test]
fn migration_8_is_finished_after_an_interruption() {
    check_interruptions(8, &["DROP TABLE pending_files"], &["pending_files"]);
}

#[test]
fn migration_9_is_finished_after_an_interruption() {
    check_interruptions(9, &["DROP TABLE estimated_quality"], &["estimated_quality"]);
}

#[test]
fn migration_10_is_finished_after_an_interruption_anywhere() {
    let drop = |table: &str, columns: &[&str]| {
        columns.iter().rev().map(|column| format!("ALTER TABLE {table} DROP COLUMN {column}")).collect::<Vec<_>>()
    };
    let undo = [drop("scores", &NEW_IN_SCORES), drop("promotions", &NEW_IN_PROMOTIONS)].concat();
    let undo: Vec<&str> = undo.iter().map(String::as_str).collect();
    check_interruptions(10, &undo, &["promotions", "scores"]);
}

#[test]
fn a_term_may_be_as_long_as_a_column_and_a_level() {
    on_each_database(Workspace::new, |workspace, database| {
        create_version_3(database);
        History::set_up(&workspace.config()).unwrap();
        let term = format!("{}={}", "c".repeat(63), "ä".repeat(500));
        database.sql(&format!(
            "INSERT INTO coefficients (run_id, term, coefficient, standard_error) SELECT MAX(id), '{term}', 1, 1 FROM runs"
        ));
        assert_eq!(database.count(&format!("FROM coefficients WHERE term = '{term}'")), 1);
    });
}
