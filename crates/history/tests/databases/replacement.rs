//! Tests of the replacement of the table `clients` when its columns change: readers see the previous or the new rows, also
//! if the process is killed.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use common::config::Config;
use serde_json::{Value, json};
use testkit::Workspace;
use testkit::databases::Kind;

use crate::columns::{check, default_rows, odd_columns, odd_rows, record, set_up, store};
use crate::{Database, check_message, on_each_database, setup};

/// Returns the default columns as a config states them.
fn default_columns() -> Value {
    let count = |name| json!({"name": name, "kind": "count"});
    let predictors = ["lastmonth_activity", "lastyear_activity", "number_of_employees"].map(count);
    json!({"id": "corporation", "target": "exited", "predictors": predictors})
}

impl Database {
    /// Returns everything that the database states about the definition of `clients`.
    fn definition(&self) -> String {
        let columns = "CAST(column_name AS TEXT), data_type, is_nullable, character_maximum_length";
        match self {
            Self::File(_) => self.sql("PRAGMA table_info(clients)"),
            _ if self.is(Kind::MariaDb) => self.sql("SHOW CREATE TABLE clients"),
            Self::On(..) => self.sql(&format!(
                "SELECT {columns} FROM information_schema.columns WHERE table_name = 'clients' ORDER BY ordinal_position"
            )),
        }
    }

    /// Returns the names of all tables that begin with `clients`.
    fn client_tables(&self) -> String {
        self.sql(
            match self {
                Self::File(_) => "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'clients%'",
                Self::On(..) => {
                    "SELECT table_name FROM information_schema.tables WHERE table_name LIKE 'clients%' AND
                table_schema IN ('public', (SELECT current_schema))"
                }
            }
            .replace("(SELECT current_schema)", if self.is(Kind::MariaDb) { "DATABASE()" } else { "'public'" })
            .as_str(),
        )
    }
}

#[test]
fn the_table_is_replaced_when_its_columns_change_and_only_then() {
    on_each_database(Workspace::new, |workspace, database| {
        set_up(workspace);
        let (definition, columns) = (database.definition(), setup::columns(database));
        database.sql("CREATE INDEX mine ON clients (exited)");
        let with_index = database.definition();
        for n in [300, 100] {
            store(workspace, &default_rows(n)).unwrap();
            check(workspace, database, &default_rows(n));
        }
        assert_eq!(database.definition(), with_index);
        database.sql(if database.is(Kind::MariaDb) { "DROP INDEX mine ON clients" } else { "DROP INDEX mine" });

        let mut changes = Vec::new();
        for (name, kind) in [("a", "number"), ("a", "category"), ("A", "category"), ("b", "category")] {
            changes.push(json!({"id": "id", "target": "t", "predictors": [{"name": name, "kind": kind}]}));
        }
        changes
            .push(json!({"id": "id", "target": {"name": "t", "positive": "0", "negative": "1"}, "predictors": ["b"]}));
        changes
            .push(json!({"id": "id", "target": {"name": "t", "positive": "1", "negative": "2"}, "predictors": ["b"]}));
        for columns in changes {
            workspace.set("columns", columns);
            let rows = "x,1,1\ny,,\n,3,1\n"; // the same for each, so that only the columns tell that it must be replaced
            store(workspace, rows).unwrap();
            check(workspace, database, rows);
        }
        workspace.set("columns", odd_columns());
        store(workspace, &odd_rows(300)).unwrap();
        check(workspace, database, &odd_rows(300));

        // Without a change of the rows, nothing is written again.
        database.sql(&format!("UPDATE clients SET {} = 'marked'", database.quoted("monthly charges")));
        store(workspace, &odd_rows(300)).unwrap();
        assert_eq!(
            database.count(&format!("FROM clients WHERE {} = 'marked'", database.quoted("monthly charges"))),
            300
        );

        let default = default_columns();
        workspace.set("columns", default);
        store(workspace, &default_rows(100)).unwrap();
        check(workspace, database, &default_rows(100));
        assert_eq!(database.definition(), definition);
        assert_eq!(setup::columns(database), columns);
        assert_eq!(database.client_tables(), "clients");
        assert_eq!(database.count("FROM runs WHERE outcome = 'done'"), 11);
        assert_eq!(database.count("FROM datasets WHERE stored = 1"), 11);
    });
}

#[test]
fn readers_see_the_previous_rows_until_the_new_ones_are_complete() {
    on_each_database(Workspace::new, |workspace, database| {
        set_up(workspace);
        store(workspace, &default_rows(100)).unwrap();
        workspace.set("columns", odd_columns());
        let (rows, is_done) = (odd_rows(30_000), AtomicBool::new(false));
        let seen = thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut seen = Vec::new();
                while !is_done.load(Ordering::Relaxed) {
                    seen.push(database.count("FROM clients"));
                }
                seen
            });
            let stored = store(workspace, &rows);
            is_done.store(true, Ordering::Relaxed);
            stored.unwrap();
            reader.join().unwrap()
        });
        assert!(seen.contains(&100) && seen.iter().all(|count| [100, 30_000].contains(count)), "{seen:?}");
        assert!(seen.is_sorted(), "{seen:?}");
        assert_eq!(database.count("FROM clients"), 30_000);
    });
}

/// The variable that names the config of [`records_and_is_killed`].
const KILLED: &str = "RISK_TEST_KILLED";

/// Not a test of its own: the process that [`a_process_killed_while_it_replaces_the_table_is_made_good`] kills.
#[test]
fn records_and_is_killed() {
    if let Some(config) = env::var_os(KILLED) {
        record(&Config::load(Some(Path::new(&config))).unwrap()).unwrap();
    }
}

#[test]
fn a_process_killed_while_it_replaces_the_table_is_made_good() {
    on_each_database(Workspace::new, |workspace, database| {
        set_up(workspace);
        store(workspace, &default_rows(100)).unwrap();
        let (old, definition) = (database.definition(), setup::columns(database));
        let n = if database.is(Kind::Postgres) { 100_000 } else { 20_000 }; // COPY is faster
        let (rows, mut killed) = (odd_rows(n), 0);
        workspace.set("columns", odd_columns());
        let header = workspace.config().columns.header();
        workspace.write("ingesteddata/finaldata.csv", &format!("{header}\n{rows}"));
        // The first ones are shorter than the start of a process, so some are killed on any machine.
        for milliseconds in [1, 3, 10, 20, 35, 50, 80, 120, 160, 200, 300, 400] {
            let mut process = Command::new(env::current_exe().unwrap());
            process.args(["--exact", "replacement::records_and_is_killed"]).env(KILLED, workspace.path("config.json"));
            let mut process = process.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            thread::sleep(Duration::from_millis(milliseconds));
            process.kill().unwrap();
            if process.wait().unwrap().success() {
                break;
            }
            killed += 1;
            let is_old = database.definition() == old;
            assert_eq!(database.count("FROM clients"), if is_old { 100 } else { n as u64 }, "{milliseconds} ms");
            assert!(database.count("FROM runs") >= 1);
        }
        assert!(killed >= 2, "{killed}");
        store(workspace, &odd_rows(500)).unwrap();
        check(workspace, database, &odd_rows(500));
        assert_eq!(database.client_tables(), "clients");
        workspace.set("columns", default_columns());
        store(workspace, &default_rows(100)).unwrap();
        check(workspace, database, &default_rows(100));
        assert_eq!((database.definition(), setup::columns(database)), (old, definition));
    });
}

/// MySQL commits each change of a table. These are the states between two changes.
#[test]
fn an_interrupted_replacement_is_repaired_in_mysql() {
    let interruptions = [
        "CREATE TABLE clients_being_written (number BIGINT PRIMARY KEY)",
        "CREATE TABLE clients_being_replaced (number BIGINT PRIMARY KEY)",
        "CREATE TABLE clients_being_written LIKE clients; RENAME TABLE clients TO clients_being_replaced",
        "DROP TABLE clients",
    ];
    on_each_database(Workspace::new, |workspace, database| {
        if !database.is(Kind::MariaDb) {
            return;
        }
        set_up(workspace);
        for interruption in interruptions {
            for (columns, rows) in [(odd_columns(), odd_rows(50)), (default_columns(), default_rows(50))] {
                for _ in 0..2 {
                    workspace.set("columns", columns.clone());
                    database.sql(interruption);
                    store(workspace, &rows).unwrap();
                    check(workspace, database, &rows);
                    assert_eq!(database.client_tables(), "clients", "{interruption}");
                }
            }
        }
    });
}

#[test]
fn runs_with_different_columns_at_once_leave_the_rows_of_one() {
    on_each_database(Workspace::new, |workspace, database| {
        set_up(workspace);
        let mut other = Workspace::new();
        other.set("database_url", json!(database.url()));
        other.set("columns", odd_columns());
        let (rows, other_rows) = (default_rows(500), odd_rows(400));
        thread::scope(|scope| {
            for (workspace, rows) in [(&*workspace, &rows), (&other, &other_rows)] {
                scope.spawn(move || {
                    for _ in 0..8 {
                        store(workspace, rows).unwrap();
                    }
                });
            }
        });
        assert_eq!(database.count("FROM runs WHERE outcome = 'done'"), 16);
        match database.count("FROM clients") {
            500 => check(workspace, database, &rows),
            _ => check(&other, database, &other_rows),
        }
        store(workspace, &rows).unwrap();
        check(workspace, database, &rows);
        assert_eq!(database.client_tables(), "clients");
    });
}

#[test]
fn a_view_of_the_table_is_named_where_it_prevents_the_replacement() {
    on_each_database(Workspace::new, |workspace, database| {
        set_up(workspace);
        store(workspace, &default_rows(10)).unwrap();
        database.sql("CREATE VIEW of_a_colleague AS SELECT corporation FROM clients");
        workspace.set("columns", odd_columns());
        let stored = store(workspace, &odd_rows(20));
        if database.is(Kind::Postgres) {
            check_message(&format!("{:#}", stored.unwrap_err()), &["clients", "drop the views", "depend"]);
            assert_eq!(database.count("FROM of_a_colleague"), 10);
            database.sql("DROP VIEW of_a_colleague");
            store(workspace, &odd_rows(20)).unwrap();
        }
        check(workspace, database, &odd_rows(20));
    });
}
