//! Tables of many kinds, and what is proposed for them.

use std::fmt::Write;
use std::fs;

use common::config::schema_of_json;
use common::schema::Schema;
use dataset::local::Local;
use dataset::{Engine, Ids};

use super::*;

/// Proposes columns for files of the given contents.
fn suggested(files: &[&[u8]]) -> Result<Suggestion, String> {
    let folder = tempfile::tempdir().unwrap();
    for (index, content) in files.iter().enumerate() {
        fs::write(folder.path().join(format!("table{index}.csv")), content).unwrap();
    }
    suggest(folder.path()).map_err(|error| format!("{error:#}"))
}

fn of(table: &str) -> Suggestion {
    suggested(&[table.as_bytes()]).unwrap()
}

/// Parses the proposal as the config does.
fn schema(suggestion: &Suggestion) -> Schema {
    let block: serde_json::Value = serde_json::from_str(&suggestion.block().unwrap()).unwrap();
    schema_of_json(&block["columns"].to_string()).unwrap()
}

fn kinds(suggestion: &Suggestion) -> Vec<(String, Kind)> {
    schema(suggestion).predictors().iter().map(|predictor| (predictor.name.clone(), predictor.kind)).collect()
}

fn reason<'a>(suggestion: &'a Suggestion, column: &str) -> &'a str {
    &suggestion.found.iter().find(|finding| finding.column == column).unwrap().reason
}

/// A table of `rows` rows with the given columns; a column is a name and the value of each row.
fn table(rows: usize, columns: &[(&str, &dyn Fn(usize) -> String)]) -> String {
    let mut text = columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(",");
    for row in 0..rows {
        let values: Vec<String> = columns.iter().map(|(_, value)| value(row)).collect();
        write!(text, "\n{}", values.join(",")).unwrap();
    }
    text + "\n"
}

/// A number from 0 to 996 that follows no pattern.
fn mixed(row: usize, seed: usize) -> usize {
    (row * 7919 + seed * 104_729 + row * row * 31) % 997
}

fn client(row: usize) -> String {
    format!("{:04}-KLM", row + 1)
}

fn churn(row: usize) -> String {
    if mixed(row, 1).is_multiple_of(4) { "Yes".to_owned() } else { "No".to_owned() }
}

fn telco(rows: usize) -> String {
    let services = ["DSL", "Fiber optic", "No"];
    table(
        rows,
        &[
            ("customerID", &client),
            ("Senior", &|row| (mixed(row, 2) % 2).to_string()),
            ("tenure", &|row| (mixed(row, 3) % 73).to_string()),
            ("InternetService", &|row| services[mixed(row, 4) % 3].to_owned()),
            ("MonthlyCharges", &|row| format!("{}.{}", 20 + mixed(row, 5) % 90, row % 10)),
            ("TotalCharges", &|row| if row % 50 == 7 { " ".to_owned() } else { format!("{}.5", mixed(row, 6)) }),
            ("Churn", &churn),
        ],
    )
}

#[test]
fn a_table_of_customers_is_understood_and_then_accepted() {
    let text = telco(300);
    let suggestion = of(&text);
    let schema = schema(&suggestion);
    assert_eq!((schema.id(), schema.target().name.as_str()), ("customerID", "Churn"));
    assert_eq!((schema.target().label(true), schema.target().label(false)), ("Yes", "No"));
    let expected = [
        ("Senior", Kind::Count),
        ("tenure", Kind::Count),
        ("InternetService", Kind::Category),
        ("MonthlyCharges", Kind::Number),
        ("TotalCharges", Kind::Number),
    ];
    assert_eq!(kinds(&suggestion), expected.map(|(name, kind)| (name.to_owned(), kind)));
    assert!(reason(&suggestion, "TotalCharges").contains("2.0 % missing"), "{:?}", suggestion.found);
    assert_eq!((suggestion.undecided.len(), suggestion.rows), (0, 300));

    // Ingestion and training accept the files with the proposed columns.
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("table.csv");
    fs::write(&input, text).unwrap();
    let engine = Local::new(&schema);
    let files = [common::files::DataFile::at(&input).unwrap()];
    let ingested = engine.compile(&files, folder.path(), folder.path()).unwrap();
    assert_eq!((ingested.rows, ingested.files[0].quarantined), (300, 0));
    let clients = engine.compiled(folder.path(), Ids::Skipped).unwrap();
    assert_eq!(clients.training_rows().unwrap().summary().left_out, 6);
}

#[test]
fn the_shipped_columns_are_proposed_for_the_shipped_data() {
    for folder in ["practicedata", "sourcedata"] {
        let suggestion = suggest(&testkit::project().join(folder)).unwrap();
        let schema = schema(&suggestion);
        assert_eq!(Schema::default().difference(&schema), None, "{folder}");
        assert!(suggestion.warnings.is_empty(), "{:?}", suggestion.warnings);
        let is_skewed = suggestion.found.iter().any(|finding| finding.reason.contains("log1p"));
        assert!(!is_skewed, "{:?}", suggestion.found);
    }
}

#[test]
fn a_logarithm_is_proposed_for_numbers_that_span_orders_of_magnitude() {
    let revenue = |row: usize| 10f64.powf(mixed(row, 2) as f64 / 142.0).round().to_string();
    let tenure = |row: usize| (mixed(row, 3) % 73).to_string();
    let suggestion =
        of(&table(400, &[("client", &client), ("revenue", &revenue), ("tenure", &tenure), ("left", &churn)]));
    let is_proposed = |column| reason(&suggestion, column).contains("consider \"transform\": \"log1p\"");
    assert!(is_proposed("revenue") && !is_proposed("tenure"), "{:?}", suggestion.found);
}

#[test]
fn columns_without_use_are_ignored_with_the_reason() {
    let text = table(
        400,
        &[
            ("client", &client),
            ("row", &|row| row.to_string()),
            ("country", &|_| "NL".to_owned()),
            ("empty", &|_| String::new()),
            ("plan", &|row| ["a", "b", "c"][mixed(row, 2) % 3].to_owned()),
            ("plan_code", &|row| ["1", "2", "3"][mixed(row, 2) % 3].to_owned()),
            ("since", &|row| format!("20{:02}-03-1{}", row % 20, row % 9)),
            ("note", &|row| format!("\"called, said that it is fine, case {row}\"")),
            ("closed_with", &|row| if churn(row) == "Yes" { "form".to_owned() } else { "none".to_owned() }),
            ("amount", &|row| mixed(row, 3).to_string()),
            ("left", &churn),
        ],
    );
    let suggestion = of(&text);
    let expected = [("plan", Kind::Category), ("amount", Kind::Count)];
    assert_eq!(kinds(&suggestion), expected.map(|(name, kind)| (name.to_owned(), kind)));
    for (column, expected) in [
        ("row", "it identifies the row"),
        ("country", "the same value in every row"),
        ("empty", "it has no value"),
        ("plan_code", "the same information as \"plan\""),
        ("since", "it holds dates"),
        ("note", "it looks like free text"),
    ] {
        assert!(reason(&suggestion, column).contains(expected), "{column}: {}", reason(&suggestion, column));
    }
    let recoded_target = reason(&suggestion, "closed_with");
    assert!(recoded_target.contains("suspiciously well"), "{recoded_target}");
    assert!(suggestion.warnings.iter().any(|warning| warning.contains("\"closed_with\" alone predicts the target")));
    let ignored = schema(&suggestion);
    assert!(["row", "country", "note", "closed_with"].iter().all(|name| ignored.ignores(name)));
}

#[test]
fn a_leaking_number_is_ignored_and_a_decisive_level_is_named() {
    let text = table(
        400,
        &[
            ("client", &client),
            ("days_since_notice", &|row| if churn(row) == "Yes" { (1 + row % 9).to_string() } else { "0".to_owned() }),
            ("state", &|row| {
                if churn(row) == "Yes" && row % 2 == 0 { "in closure".to_owned() } else { "normal".to_owned() }
            }),
            ("size", &|row| mixed(row, 5).to_string()),
            ("left", &churn),
        ],
    );
    let suggestion = of(&text);
    assert!(reason(&suggestion, "days_since_notice").contains("suspiciously well"));
    let expected = [("state", Kind::Category), ("size", Kind::Count)];
    assert_eq!(kinds(&suggestion), expected.map(|(name, kind)| (name.to_owned(), kind)));
    assert!(suggestion.warnings.iter().any(|warning| warning.contains("\"state\" = \"in closure\" left")));
}

#[test]
fn what_cannot_be_decided_is_said() {
    let no_id = of(&table(60, &[("size", &|row| (mixed(row, 2) % 5).to_string()), ("left", &churn)]));
    assert!(no_id.undecided[0].contains("no column identifies a client"), "{:?}", no_id.undecided);
    let no_target = of(&table(60, &[("client", &client), ("size", &|row| mixed(row, 2).to_string())]));
    assert!(no_target.undecided[0].contains("two different values"), "{:?}", no_target.undecided);
    let bit = |seed: usize| move |row: usize| (mixed(row, seed) % 2).to_string();
    let (alpha, beta) = (bit(2), bit(3));
    let several = of(&table(60, &[("client", &client), ("alpha", &alpha), ("beta", &beta)]));
    assert!(several.warnings.iter().any(|warning| warning.contains("these have two values too")));
    assert!(several.undecided.is_empty(), "{:?}", several.undecided);
}

#[test]
fn a_target_with_a_third_value_is_no_predictor() {
    let third = |row: usize| if row == 3 { "?".to_owned() } else { churn(row) };
    let suggestion =
        of(&table(60, &[("client", &client), ("size", &|row| mixed(row, 2).to_string()), ("Churn", &third)]));
    assert!(suggestion.undecided[0].contains("two different values"), "{:?}", suggestion.undecided);
    assert_eq!(kinds(&suggestion), [("size".to_owned(), Kind::Count)]);
    assert!(reason(&suggestion, "Churn").contains("its name is that of a target"), "{:?}", suggestion.found);
}

#[test]
fn labels_are_recognised_by_their_meaning_or_as_the_rarer_one() {
    let target = |positive: &'static str, negative: &'static str| {
        let label = move |row: usize| if row.is_multiple_of(3) { positive.to_owned() } else { negative.to_owned() };
        let suggestion =
            of(&table(90, &[("client", &client), ("size", &|row| mixed(row, 2).to_string()), ("gone", &label)]));
        let target = schema(&suggestion).target().clone();
        (target.positive, target.negative, suggestion.warnings.len())
    };
    for (positive, negative) in [("1", "0"), ("true", "false"), ("closed", "active"), ("Yes", "No")] {
        assert_eq!(target(positive, negative), (positive.to_owned(), negative.to_owned(), 0));
    }
    assert_eq!(target("rot", "blau"), ("rot".to_owned(), "blau".to_owned(), 1));
}

#[test]
fn a_number_with_a_few_texts_is_a_number_with_a_warning() {
    let amount = |row: usize| if row == 11 { "unknown".to_owned() } else { format!("-{}.5", mixed(row, 2)) };
    let suggestion = of(&table(200, &[("client", &client), ("amount", &amount), ("left", &churn)]));
    assert_eq!(kinds(&suggestion), [("amount".to_owned(), Kind::Number)]);
    assert!(suggestion.warnings[0].contains("1 values of \"amount\" are no numbers, such as \"unknown\""));
}

#[test]
fn odd_names_and_different_headers() {
    let first = "\"größe, \"\"x\"\"\",client,SELECT,left\n1,a,x,0\n2,b,y,1\n".to_owned();
    let second = "client,left,\"größe, \"\"x\"\"\",more\nc,0,3,5\nd,1,4,6\n";
    let suggestion = suggested(&[first.as_bytes(), second.as_bytes()]).unwrap();
    let schema = schema(&suggestion);
    assert!(schema.predictors().iter().any(|predictor| predictor.name == "größe, \"x\""), "{suggestion:?}");
    assert!(schema.ignores("SELECT") && schema.ignores("more"), "{suggestion:?}");
}

#[test]
fn names_of_different_files_that_differ_only_in_case_are_not_listed() {
    let suggestion = suggested(&[b"client,Size,n,left\na,1,4,0\nb,2,7,1\n", b"client,size,n,left\nc,1,5,0\n"]).unwrap();
    assert!(schema(&suggestion).ignores("Size") && schema(&suggestion).ignores("size"), "{suggestion:?}");
}

#[test]
fn texts_that_ingestion_refuses_are_no_levels() {
    let note = |row: usize| if row.is_multiple_of(2) { "\"a\nb\"".to_owned() } else { "c".to_owned() };
    let plan = |row: usize| if row == 7 { "a\tb".to_owned() } else { ["a", "b"][mixed(row, 2) % 2].to_owned() };
    let suggestion = of(&table(200, &[("client", &client), ("note", &note), ("plan", &plan), ("left", &churn)]));
    assert_eq!(kinds(&suggestion), [("plan".to_owned(), Kind::Category)]);
    assert!(reason(&suggestion, "note").contains("control characters"), "{:?}", suggestion.found);
    assert!(suggestion.warnings.iter().any(|warning| warning.contains("1 texts of \"plan\"")));

    let two_lines = |row: usize| format!("\"{}\n{row}\"", client(row));
    let size = |row: usize| (mixed(row, 2) % 9).to_string();
    let suggestion = of(&table(200, &[("client", &two_lines), ("size", &size), ("left", &churn)]));
    assert!(suggestion.undecided[0].contains("no column identifies a client"), "{:?}", suggestion.undecided);
}

#[test]
fn no_more_than_a_model_can_hold() {
    let numbers: Vec<String> = (0..110).map(|j| format!("n{j}")).collect();
    let values: Vec<Box<dyn Fn(usize) -> String>> =
        (0..110).map(|j| Box::new(move |row| mixed(row, j + 2).to_string()) as Box<dyn Fn(usize) -> String>).collect();
    let mut columns: Vec<(&str, &dyn Fn(usize) -> String)> = vec![("client", &client), ("left", &churn)];
    columns.extend(numbers.iter().map(String::as_str).zip(values.iter().map(|value| &**value)));
    let suggestion = of(&table(120, &columns));
    assert_eq!(kinds(&suggestion).len(), 100);
    assert!(suggestion.warnings.iter().any(|warning| warning.contains("at most 100 predictors")));

    let names: Vec<String> = (0..7).map(|j| format!("c{j}")).collect();
    let values: Vec<Box<dyn Fn(usize) -> String>> = (0..7)
        .map(|j| Box::new(move |row| format!("level {}", mixed(row, j + 2) % 90)) as Box<dyn Fn(usize) -> String>)
        .collect();
    let mut columns: Vec<(&str, &dyn Fn(usize) -> String)> = vec![("client", &client), ("left", &churn)];
    columns.extend(names.iter().map(String::as_str).zip(values.iter().map(|value| &**value)));
    let suggestion = of(&table(2000, &columns));
    assert_eq!(kinds(&suggestion).len(), 5);
    assert!(suggestion.warnings.iter().any(|warning| warning.contains("500 terms")), "{:?}", suggestion.warnings);
}

#[test]
fn files_that_are_no_tables_are_errors() {
    let utf16: Vec<u8> = "a,b\n1,2\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (content, expected) in [
        (&b"client;size;left\na;1;0\nb;2;1\n"[..], ";"),
        (&utf16, "UTF-8"),
        (&b"client,size,left\n"[..], "contains a row"),
        (&b""[..], "empty"),
    ] {
        let error = suggested(&[content]).unwrap_err();
        assert!(error.contains(expected), "{error:?} does not contain {expected:?}");
    }
    assert!(suggested(&[]).unwrap_err().contains("CSV"));
}
