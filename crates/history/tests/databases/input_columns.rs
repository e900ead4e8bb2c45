//! Tests of client rows from a table with any columns in each kind of database.

use std::path::Path;

use common::config::database::{DatabaseUrl, InputDatabase, InputRows};
use common::schema::Schema;
use history::source::{self, NewRows};
use serde_json::{Value, json};
use testkit::Workspace;
use testkit::databases::Kind;

use crate::columns::{ODD, odd_columns, odd_rows};
use crate::{Database, check_message, on_each_database};

/// Returns the schema of the key `columns`.
fn schema(columns: &Value) -> Schema {
    common::config::schema_of_json(&columns.to_string()).unwrap()
}

fn records(csv: &str) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(csv.as_bytes());
    reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
}

/// Creates another database with a table `customers`, which has a growing column `row_id` and these columns; each has a
/// name, a type and a value in each row. Returns the database and the table as input.
fn input(history: &Database, columns: &[(&str, &str, Vec<String>)]) -> (Database, InputDatabase) {
    let input = history.another("crm");
    let definitions: Vec<_> = columns.iter().map(|(name, kind, _)| format!("{} {kind}", input.quoted(name))).collect();
    input.sql(&format!("CREATE TABLE customers (row_id BIGINT, {})", definitions.join(", ")));
    for i in 0..columns[0].2.len() {
        let values: Vec<_> = columns.iter().map(|(.., values)| values[i].as_str()).collect();
        input.sql(&format!("INSERT INTO customers VALUES ({i}, {})", values.join(", ")));
    }
    let url = DatabaseUrl::parse(&input.url(), Path::new("/")).unwrap();
    (input, InputDatabase::new(url, InputRows::Table("customers".to_owned()), "row_id").unwrap())
}

/// Reads the rows above a watermark; returns the records of the file with its header.
fn read(workspace: &Workspace, input: &InputDatabase, schema: &Schema, above: Option<i64>) -> Vec<Vec<String>> {
    let above = above.map(common::files::batch::Watermark::Integer);
    let NewRows { batch, without_watermark } =
        source::read_new(input, schema, above.as_ref(), &workspace.path("batches")).unwrap();
    assert_eq!(without_watermark, 0);
    let file = batch.unwrap().file;
    let text = std::fs::read_to_string(&file.path).unwrap();
    assert_eq!(text.lines().next().unwrap(), schema.header());
    records(&text)
}

#[test]
fn any_columns_are_read() {
    on_each_database(Workspace::new, |workspace, database| {
        let schema = schema(&odd_columns());
        let rows = records(&odd_rows(30));
        let text = |text: &String| format!("'{}'", text.replace('\'', "''"));
        let or_null = |value: &dyn Fn(&String) -> String, field: &String| match field.as_str() {
            "" => "NULL".to_owned(),
            _ => value(field),
        };
        let column = |(j, name)| {
            let (kind, value): (_, &dyn Fn(&String) -> String) = match (name, j) {
                (name, 1..) if ODD.contains(&name) && j % 3 == 2 => ("DOUBLE PRECISION", &String::clone),
                (name, 1..) if ODD.contains(&name) && j % 3 == 0 => ("BIGINT", &String::clone),
                _ => ("VARCHAR(100)", &text),
            };
            (name, kind, rows.iter().map(|row| or_null(value, &row[j])).collect())
        };
        let columns: Vec<_> = schema.columns().enumerate().map(column).collect();
        let (_, input) = input(database, &columns);
        assert_eq!(read(workspace, &input, &schema, None)[1..], rows);
        assert_eq!(read(workspace, &input, &schema, Some(19))[1..], rows[20..]);
        assert!(source::has_new(&input, None).unwrap());
    });
}

#[test]
fn a_column_that_is_not_there_is_named() {
    on_each_database(Workspace::new, |workspace, database| {
        let columns = [("id", "VARCHAR(10)", vec!["'x'".to_owned()]), ("t", "INTEGER", vec!["1".to_owned()])];
        let (_, input) = input(database, &columns);
        let schema = schema(&json!({"id": "id", "target": "t", "predictors": ["monthly charges"]}));
        let error = source::read_new(&input, &schema, None, &workspace.path("batches")).unwrap_err();
        check_message(&format!("{error:#}"), &["monthly charges", "customers", "input_database"]);
    });
}

#[test]
fn booleans_are_labels() {
    on_each_database(Workspace::new, |workspace, database| {
        let truths = ["TRUE", "FALSE", "NULL"].map(str::to_owned).to_vec();
        let ids = ["'a'", "'b'", "'c'"].map(str::to_owned).to_vec();
        let columns = [("id", "VARCHAR(10)", ids), ("left?", "BOOLEAN", truths.clone()), ("p", "BOOLEAN", truths)];
        let (_, input) = input(database, &columns);
        let is_postgres = database.is(Kind::Postgres);
        for (positive, negative) in [("1", "0"), ("0", "1"), ("true", "false"), ("Yes", "No")] {
            let target = json!({"name": "left?", "positive": positive, "negative": negative});
            let predictors = json!([{"name": "p", "kind": "category"}]);
            let schema = schema(&json!({"id": "id", "target": target, "predictors": predictors}));
            let found = read(workspace, &input, &schema, None);
            let label = |row: &Vec<String>| row.last().unwrap().clone();
            let labels: Vec<_> = found[1..].iter().map(label).collect();
            let expected = if is_postgres && !["1", "0"].contains(&positive) { ["true", "false"] } else { ["1", "0"] };
            assert_eq!(labels, [expected[0], expected[1], ""], "{positive}");
            assert_eq!(found[1][1], if is_postgres { "true" } else { "1" });
        }
    });
}
