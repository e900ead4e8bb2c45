//! Tests of dbsetup: it creates the same schema in each kind of database, also when several run concurrently, and does
//! not touch a database that is not its own.

use std::collections::BTreeSet;
use std::process::Stdio;

use serde_json::json;
use testkit::databases::Kind;
use testkit::{Workspace, rows};

use crate::{Database, OUTPUTS, check_message, on_each_database, on_each_history};

#[test]
fn it_makes_the_database_from_nothing_and_is_safe_to_repeat() {
    on_each_database(Workspace::new, |workspace, database| {
        for _ in 0..2 {
            let error = workspace.fail("dbsetup", &["--check"]); // creates nothing
            check_message(&error, &[&database.shown(), "dbsetup"]);
        }
        let first = workspace.run_json("dbsetup", &[]);
        assert_eq!(
            (&first["database"], &first["schema_version"]),
            (&json!(database.shown()), &json!(history::SCHEMA_VERSION))
        );
        let tables = first["tables"].as_array().unwrap();
        assert!(tables.len() == 26 && tables.iter().all(|table| table["rows"] == 0), "{first}");
        assert_eq!(workspace.run_json("dbsetup", &[]), first);
        assert_eq!(workspace.run_json("dbsetup", &["--check"])["schema_version"], history::SCHEMA_VERSION);
        check_message(&workspace.run("dbsetup", &[]), &[&database.shown()]);
    });
}

#[test]
fn an_empty_database_that_somebody_else_made_is_taken() {
    on_each_database(Workspace::new, |workspace, database| {
        if let Database::On(server, name) = database {
            server.sql("", &format!("CREATE DATABASE {name}"));
            check_message(&workspace.fail("dbsetup", &["--check"]), &["run dbsetup"]);
            workspace.run("dbsetup", &[]);
            workspace.run("dbsetup", &["--check"]);
        }
    });
}

#[test]
fn eight_at_once_all_succeed() {
    on_each_database(Workspace::new, |workspace, _| {
        let spawn = |_| workspace.command("dbsetup").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let children: Vec<_> = (0..8).map(spawn).collect();
        let outputs: Vec<_> = children.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
        let failed: Vec<_> = outputs.iter().filter(|output| !output.status.success()).collect();
        let failed: Vec<_> = failed.into_iter().map(|output| String::from_utf8_lossy(&output.stderr)).collect();
        assert!(failed.is_empty(), "{failed:#?}");
        workspace.run("dbsetup", &["--check"]);
    });
}

#[test]
fn all_kinds_have_the_same_tables_and_columns() {
    let schemas = std::cell::RefCell::new(Vec::new());
    on_each_history(Workspace::new, |_, database| schemas.borrow_mut().push(columns(database)));
    let schemas = schemas.into_inner();
    for pair in schemas.windows(2) {
        assert_eq!(pair[0], pair[1]);
        assert!(pair[0].len() > 80, "{pair:?}");
    }
}

/// Returns table, position, name and nullability of each column.
pub fn columns(database: &Database) -> BTreeSet<Vec<String>> {
    let may_be_null = |yes: &str| format!("CASE WHEN {yes} THEN 'null' ELSE 'not null' END");
    let rows = match database {
        Database::File(_) => database.rows(
            &["m.name", "p.cid + 1", "p.name", &may_be_null("p.\"notnull\" = 0 AND p.pk = 0")],
            "FROM sqlite_master AS m, pragma_table_info(m.name) AS p WHERE m.type = 'table'",
        ),
        Database::On(..) => {
            let schema = if database.is(Kind::Postgres) { "'public'" } else { "DATABASE()" };
            database.rows(
                &["table_name", "ordinal_position", "column_name", &may_be_null("is_nullable = 'YES'")],
                &format!("FROM information_schema.columns WHERE table_schema = {schema}"),
            )
        }
    };
    // SQLite could not add `ended` to the existing table `runs` without allowing NULL.
    let rows = rows.into_iter().filter(|row| row[0] != "runs" || row[2] != "ended");
    rows.filter(|row| !row[0].starts_with("sqlite_") && row[0] != "_sqlx_migrations").collect()
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    on_each_history(Workspace::with_data, |workspace, database| {
        database.sql(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                VALUES (99, 'later', TRUE, '00', 0)",
        );
        let before = workspace.snapshot(OUTPUTS);
        let calls = [("dbsetup", vec![]), ("dbsetup", vec!["--check"]), ("dbsetup", vec!["--history"])];
        for (step, arguments) in calls.into_iter().chain([("ingestion", vec![]), ("fullprocess", vec![])]) {
            check_message(&workspace.fail(step, &arguments), &[&database.shown(), "version 99", "newer"]);
        }
        assert!(workspace.snapshot(OUTPUTS) == before);
        assert_eq!(
            (database.count("FROM runs"), database.column("MAX(version)", "FROM _sqlx_migrations")),
            (0, vec!["99".into()])
        );
    });
}

#[test]
fn on_a_server_a_step_before_dbsetup_changes_nothing_and_says_what_to_do() {
    on_each_database(Workspace::with_data, |workspace, database| {
        let Database::On(server, name) = database else { return };
        server.sql("", &format!("CREATE DATABASE {name}"));
        for step in ["ingestion", "training", "scoring", "deployment", "diagnostics", "reporting", "fullprocess"] {
            check_message(&workspace.fail(step, &[]), &[&database.shown(), "run dbsetup"]);
        }
        assert_eq!(workspace.snapshot(OUTPUTS), []);
    });
}

#[test]
fn on_a_server_a_step_without_the_database_changes_nothing() {
    on_each_database(Workspace::with_data, |workspace, database| {
        if !database.is_file() {
            for step in ["ingestion", "fullprocess"] {
                check_message(&workspace.fail(step, &[]), &[&database.shown(), "dbsetup"]);
            }
            assert_eq!(workspace.snapshot(OUTPUTS), []);
        }
    });
}

#[test]
fn a_migration_that_was_cut_short_is_finished() {
    on_each_history(Workspace::new, |workspace, database| {
        if database.is(Kind::MariaDb) {
            let whole = columns(database);
            // The state after an interruption of migration 2: some of its tables are missing, and all of later ones.
            let missing = ["clients", "dependencies", "scores", "timings", "models"];
            let later = ["predictor_shifts", "promotions", "compared_models", "category_levels"];
            let newest = ["contacts", "contact_requests", "published_lists", "listed_clients", "estimated_quality"];
            for table in missing.into_iter().chain(later).chain(newest) {
                database.sql(&format!("DROP TABLE {table}"));
            }
            database.sql("DELETE FROM _sqlx_migrations WHERE version > 2; UPDATE _sqlx_migrations SET success = 0");
            check_message(&workspace.fail("dbsetup", &["--check"]), &["run dbsetup"]);
            workspace.run("dbsetup", &[]);
            assert_eq!(columns(database), whole);
            workspace.run("dbsetup", &["--check"]);
        }
    });
}

#[test]
fn the_log_of_a_sqlite_file_does_not_grow_from_process_to_process() {
    const ONE_RUN: u64 = 200 << 10;
    let workspace = Workspace::with_data();
    workspace.csv("practicedata/large.csv", &rows("x", 100_000, false));
    let length = |name: &str| std::fs::metadata(workspace.path(name)).map_or(0, |file| file.len());
    workspace.run("ingestion", &[]);
    assert!(length("history.sqlite") > 1 << 20 && length("history.sqlite-wal") == 0, "the clients are in the log");
    workspace.run("training", &[]);
    let mut longest = 0;
    for _ in 0..60 {
        workspace.run("scoring", &[]);
        longest = longest.max(length("history.sqlite-wal"));
    }
    assert!((1..(1 << 20) + ONE_RUN).contains(&longest), "{longest} bytes");
    let runs = workspace.run_json("dbsetup", &["--history", "runs", "--last", "1000"]);
    assert_eq!(runs["rows"].as_array().unwrap().len(), 62);
}
