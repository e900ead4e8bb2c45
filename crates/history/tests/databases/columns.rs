//! Tests of the table `clients` with the columns of any client table, and of its replacement when they change.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use common::files::checksum::Checksum;
use common::files::ingested::Ingested;
use history::History;
use serde_json::{Value, json};
use testkit::Workspace;
use testkit::databases::Kind;

use crate::{Database, on_each_database};

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

/// Records a run that has compiled a finaldata.csv of these rows with the columns of the config.
fn store(workspace: &Workspace, rows: &str) -> anyhow::Result<()> {
    let config = workspace.config();
    let csv = config.columns.header() + "\n" + rows;
    workspace.write("ingesteddata/finaldata.csv", &csv);
    let ingested = Ingested {
        dataset_sha256: Checksum::of_bytes(csv.as_bytes()),
        rows: rows.lines().count() as u64,
        missing: BTreeMap::new(),
        files: Vec::new(),
        contradictory_corporations: 0,
        contradictory_examples: Vec::new(),
        location: None,
    };
    history::record(&config, "ingestion", |run| {
        run.add_dataset(ingested, workspace.path("ingesteddata/finaldata.csv"));
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
