//! Tests of the table `clients` with the columns of any client table, and of its replacement when they change.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use common::config::Config;
use common::files::checksum::Checksum;
use common::files::ingested::Ingested;
use history::History;
use serde_json::{Value, json};
use testkit::Workspace;
use testkit::databases::Kind;

use crate::{Database, check_message, on_each_database, setup};

/// Names that must be quoted in SQL, in each kind of database.
const ODD: [&str; 14] = [
    "monthly charges",
    "say \"hi\"",
    "o'neil",
    "back`tick",
    "select",
    "größe",
    "a.b",
    "50%",
    "what?",
    "$1",
    "number",
    "a,b;c",
    "漢字\\",
    "run",
];

/// The columns of a table of customers, with odd names.
fn odd_columns() -> Value {
    let predictor = |(index, name): (usize, &&str)| match index % 3 {
        0 => json!({"name": name, "kind": "category"}),
        1 => json!(name),
        _ => json!({"name": name, "kind": "count"}),
    };
    let predictors: Vec<_> = ODD.iter().enumerate().map(predictor).collect();
    json!({
        "id": "customer \"ID\"",
        "target": {"name": "left?", "positive": "Yes", "negative": "No"},
        "predictors": predictors,
    })
}

/// Returns `n` rows of the table with [`odd_columns`].
fn odd_rows(n: usize) -> String {
    let mut rows = String::new();
    for i in 0..n {
        let _ = write!(rows, "client {i}");
        for j in 0..ODD.len() {
            let _ = match (i + j, j % 3) {
                (0, _) => write!(rows, ","),
                (_, 0) => write!(rows, ",\"level \"\"{}\"\", ?\"", i % 3),
                (_, 1) => write!(rows, ",{}.5", i as i64 - 10),
                _ => write!(rows, ",{i}"),
            };
        }
        rows += if i % 2 == 0 { ",Yes\n" } else { ",No\n" };
    }
    rows
}

/// Writes a finaldata.csv of these rows with the columns of the config, and records a run that has compiled it.
fn store(workspace: &Workspace, rows: &str) -> anyhow::Result<()> {
    let config = workspace.config();
    workspace.write("ingesteddata/finaldata.csv", &format!("{}\n{rows}", config.columns.header()));
    record(&config)
}

/// Records a run that has compiled the finaldata.csv of the config.
fn record(config: &Config) -> anyhow::Result<()> {
    let path = config.output_folder.join("finaldata.csv");
    let csv = fs::read(&path)?;
    let ingested = Ingested {
        dataset_sha256: Checksum::of_bytes(&csv),
        rows: csv.iter().filter(|byte| **byte == b'\n').count() as u64 - 1,
        missing: BTreeMap::new(),
        files: Vec::new(),
        contradictory_corporations: 0,
        contradictory_examples: Vec::new(),
        location: None,
    };
    history::record(config, "ingestion", |run| {
        run.add_dataset(ingested, path);
        Ok(())
    })
}

/// Creates the history of the config.
fn set_up(workspace: &Workspace) {
    History::set_up(&workspace.config()).unwrap();
}

impl Database {
    /// Quotes an identifier.
    fn quoted(&self, name: &str) -> String {
        let quote = if self.is(Kind::MariaDb) { '`' } else { '"' };
        format!("{quote}{}{quote}", name.replace(quote, &format!("{quote}{quote}")))
    }

    /// Returns names and types of the columns of `clients`, as the database states them.
    fn client_columns(&self) -> Vec<Vec<String>> {
        let columns = match self {
            Self::File(_) => "name, type FROM pragma_table_info('clients') ORDER BY cid",
            Self::On(..) => {
                "column_name, data_type FROM information_schema.columns WHERE table_name = 'clients' AND
                    table_schema IN ('public', SCHEMA_HERE) ORDER BY ordinal_position"
            }
        };
        let here = if self.is(Kind::MariaDb) { "DATABASE()" } else { "'public'" };
        let text = self.sql(&format!("SELECT {}", columns.replace("SCHEMA_HERE", here)));
        text.lines().map(|line| line.replace("\\\\", "\\").split('\t').map(str::to_owned).collect()).collect()
    }

    fn client_names(&self) -> Vec<String> {
        self.client_columns().into_iter().map(|mut column| column.remove(0)).collect()
    }
}

/// Checks that `clients` contains these rows and has the columns of the config.
fn check(workspace: &Workspace, database: &Database, rows: &str) {
    let columns = workspace.config().columns;
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(rows.as_bytes());
    let records: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(database.count("FROM clients"), records.len() as u64);
    assert_eq!(database.client_names()[1..], columns.columns().collect::<Vec<_>>());
    for (index, name) in columns.columns().enumerate() {
        let column = format!("COALESCE(CAST({} AS CHAR(1000)), 'NULL')", database.quoted(name));
        let row_number = database.quoted(&database.client_names()[0]);
        let found = database.sql(&format!("SELECT {column} FROM clients ORDER BY {row_number}"));
        let found: Vec<_> = found.lines().map(str::trim_end).collect(); // PostgreSQL appends spaces to a CHAR
        let expected = records.iter().map(|record| if record[index].is_empty() { "NULL" } else { &record[index] });
        let different = found.iter().copied().zip(expected).find(|(found, expected)| found != expected);
        assert_eq!((different, found.len()), (None, records.len()), "{name}");
    }
}

#[test]
fn any_columns_are_stored() {
    on_each_database(Workspace::new, |workspace, database| {
        workspace.set("columns", odd_columns());
        set_up(workspace);
        let rows = odd_rows(1000);
        store(workspace, &rows).unwrap();
        check(workspace, database, &rows);
        assert_eq!(database.client_names()[0], "number_", "the name of the row number is taken");
        let types: Vec<_> = database.client_columns().into_iter().map(|mut column| column.remove(1)).collect();
        let expected = match database {
            Database::File(_) => ["INTEGER", "TEXT", "TEXT", "NUMERIC", "NUMERIC"],
            _ if database.is(Kind::Postgres) => ["bigint", "text", "text", "double precision", "double precision"],
            Database::On(..) => ["bigint", "varchar", "text", "double", "double"],
        };
        assert_eq!(types[..5], expected);
        assert!(types.last().unwrap().eq_ignore_ascii_case("text"), "{types:?}");
    });
}

/// Rows of the default columns.
fn default_rows(n: usize) -> String {
    (0..n).fold(String::new(), |rows, i| rows + &format!("client {i},{i},0.5,3,{}\n", i % 2))
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

/// Returns the default columns as a config states them.
fn default_columns() -> Value {
    let count = |name| json!({"name": name, "kind": "count"});
    let predictors = ["lastmonth_activity", "lastyear_activity", "number_of_employees"].map(count);
    json!({"id": "corporation", "target": "exited", "predictors": predictors})
}

#[test]
fn a_hundred_categories_of_long_levels_are_stored() {
    on_each_database(Workspace::new, |workspace, database| {
        let category = |i| json!({"name": format!("{i:02} {}", "ä".repeat(30)), "kind": "category"});
        let predictors: Vec<_> = (0..100).map(category).collect();
        workspace.set("columns", json!({"id": "id", "target": "t", "predictors": predictors}));
        set_up(workspace);
        let mut rows = String::new();
        for (i, length) in [1000, 250, 40, 41, 90, 127, 128, 768, 1].into_iter().cycle().take(40).enumerate() {
            let _ = write!(rows, "{}", "i".repeat(1000));
            for j in 0..100 {
                let _ = write!(rows, ",{}", random_text(i * 100 + j, length));
            }
            rows += ",1\n";
        }
        store(workspace, &rows).unwrap();
        check(workspace, database, &rows);
        store(workspace, &rows.lines().take(7).map(|row| format!("{row}\n")).collect::<String>()).unwrap();
        assert_eq!(database.count("FROM clients"), 7);
    });
}

/// Returns a text that cannot be compressed.
fn random_text(seed: usize, length: usize) -> String {
    let mut state = seed as u64 + 1;
    let letter = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'a' + ((state >> 33) % 26) as u8)
    };
    (0..length).map(letter).collect()
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
        let (rows, mut killed) = (odd_rows(100_000), 0);
        workspace.set("columns", odd_columns());
        let header = workspace.config().columns.header();
        workspace.write("ingesteddata/finaldata.csv", &format!("{header}\n{rows}"));
        for milliseconds in [20, 50, 80, 120, 160, 200, 300, 400, 600, 1000] {
            let mut process = Command::new(env::current_exe().unwrap());
            process.args(["--exact", "columns::records_and_is_killed"]).env(KILLED, workspace.path("config.json"));
            let mut process = process.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            thread::sleep(Duration::from_millis(milliseconds));
            process.kill().unwrap();
            if process.wait().unwrap().success() {
                break;
            }
            killed += 1;
            let is_old = database.definition() == old;
            assert_eq!(database.count("FROM clients"), if is_old { 100 } else { 100_000 }, "{milliseconds} ms");
            assert!(database.count("FROM runs") >= 1);
        }
        assert!(killed >= 2, "{killed}");
        store(workspace, &rows).unwrap();
        check(workspace, database, &rows);
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
        for (i, interruption) in interruptions.iter().enumerate() {
            database.sql(interruption);
            workspace.set("columns", if i % 2 == 0 { odd_columns() } else { default_columns() });
            let rows = if i % 2 == 0 { odd_rows(50) } else { default_rows(50) };
            store(workspace, &rows).unwrap();
            check(workspace, database, &rows);
            assert_eq!(database.client_tables(), "clients", "{interruption}");
        }
    });
}

#[test]
fn a_name_that_the_database_cannot_hold_is_refused_before_the_work() {
    on_each_database(Workspace::new, |workspace, database| {
        set_up(workspace);
        store(workspace, &default_rows(10)).unwrap();
        let name = match database {
            Database::File(_) => return,
            _ if database.is(Kind::Postgres) => "ctid",
            Database::On(..) => "🦀 claws",
        };
        workspace.set("columns", json!({"id": "id", "target": "t", "predictors": [name]}));
        let refused = history::record(&workspace.config(), "ingestion", |_| -> anyhow::Result<()> {
            panic!("the work must not begin")
        });
        let error = format!("{:#}", refused.unwrap_err());
        check_message(&error, &[&database.shown(), &format!("\"{name}\""), "rename the column", "store_dataset"]);
        workspace.set("store_dataset", json!(false));
        store(workspace, "x,1,1\n").unwrap();
        assert_eq!(database.count("FROM clients"), 0);
    });
}

#[test]
fn names_that_mariadb_does_not_distinguish_are_named_and_the_rows_stay() {
    on_each_database(Workspace::new, |workspace, database| {
        set_up(workspace);
        store(workspace, &default_rows(10)).unwrap();
        workspace.set("columns", json!({"id": "id", "target": "t", "predictors": ["istanbul", "İstanbul"]}));
        let stored = store(workspace, "x,1,2,1\n");
        if database.is(Kind::MariaDb) {
            check_message(&format!("{:#}", stored.unwrap_err()), &["İstanbul", "store_dataset"]);
            assert_eq!(database.count("FROM clients"), 10);
            workspace.set("columns", json!({"id": "id", "target": "t", "predictors": ["istanbul", "ankara"]}));
            store(workspace, "x,1,2,1\n").unwrap();
        }
        assert_eq!(database.count("FROM clients"), 1);
    });
}
