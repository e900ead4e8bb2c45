//! Tests of the table `clients` with the columns of any client table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use common::config::Config;
use common::files::checksum::Checksum;
use common::files::ingested::Ingested;
use history::History;
use serde_json::{Value, json};
use testkit::Workspace;
use testkit::databases::Kind;

use crate::{Database, check_message, on_each_database};

/// Names that must be quoted in SQL, in each kind of database.
pub const ODD: [&str; 14] = [
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
pub fn odd_columns() -> Value {
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
pub fn odd_rows(n: usize) -> String {
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
pub fn store(workspace: &Workspace, rows: &str) -> anyhow::Result<()> {
    let config = workspace.config();
    workspace.write("ingesteddata/finaldata.csv", &format!("{}\n{rows}", config.columns.header()));
    record(&config)
}

/// Records a run that has compiled the finaldata.csv of the config.
pub fn record(config: &Config) -> anyhow::Result<()> {
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
pub fn set_up(workspace: &Workspace) {
    History::set_up(&workspace.config()).unwrap();
}

/// Returns rows of the default columns.
pub fn default_rows(n: usize) -> String {
    (0..n).fold(String::new(), |rows, i| rows + &format!("client {i},{i},0.5,3,{}\n", i % 2))
}

impl Database {
    /// Returns a name as an identifier.
    pub fn quoted(&self, name: &str) -> String {
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

    pub fn client_names(&self) -> Vec<String> {
        self.client_columns().into_iter().map(|mut column| column.remove(0)).collect()
    }
}

/// Checks that `clients` contains these rows and has the columns of the config.
pub fn check(workspace: &Workspace, database: &Database, rows: &str) {
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
