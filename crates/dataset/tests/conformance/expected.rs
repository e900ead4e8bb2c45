//! The rows of the conformance suite, and the definitions of the statistics as plain formulas.

use common::model::schema::Predictors;

/// A row of the input files. An empty name is a missing one.
#[derive(Debug)]
pub struct Row {
    pub name: String,
    pub predictors: Predictors,
    pub exited: Option<bool>,
}

/// Number of rows in the first file, without its duplicate.
pub const FIRST_FILE: usize = 5;

/// Returns the distinct rows, in the order of the files.
pub fn rows() -> Vec<Row> {
    let row = |name: &str, predictors, exited| Row { name: name.to_owned(), predictors, exited };
    let mut rows = vec![
        row("acme", [Some(10.0), Some(100.0), Some(5.0)], Some(false)),
        row("bold", [Some(20.0), Some(200.0), None], Some(true)),
        row("côté", [Some(30.0), Some(300.0), Some(6.0)], None),
        row("o'neil, \"ltd\"", [Some(40.0), None, Some(7.0)], Some(false)),
        row("", [Some(50.0), Some(500.0), Some(8.0)], Some(true)),
        row("acme", [Some(12.0), Some(120.0), Some(5.5)], Some(false)),
        row("bold", [None, Some(250.0), Some(9.0)], Some(false)),
        row("delta", [Some(1.5), Some(900.25), Some(10.0)], Some(true)),
        row("zeta", [Some(0.0), Some(60.0), Some(11.0)], None),
    ];
    // One malformed row must be below 5 % of its file.
    rows.extend((0..16).map(|i| {
        let x = f64::from(i);
        row(&format!("f{i:02}"), [Some(3.0 * x), Some(40.0 * (x % 5.0)), Some(x * x)], Some(i % 3 == 0))
    }));
    rows
}

/// Returns the rows of one client, in order.
pub fn rows_of(name: &str) -> Vec<Row> {
    rows().into_iter().filter(|row| row.name == name).collect()
}

/// Returns the names of the clients whose newest row does not say that they left, sorted.
pub fn current() -> Vec<String> {
    let mut names: Vec<String> = rows().into_iter().map(|row| row.name).filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    names.dedup();
    names.retain(|name| rows_of(name).last().is_some_and(|row| row.exited != Some(true)));
    names
}

/// Returns the known values of a numeric column: a predictor or, after these, the target.
pub fn known(column: usize) -> Vec<f64> {
    let value = |row: Row| match row.predictors.get(column) {
        Some(value) => *value,
        None => row.exited.map(f64::from),
    };
    rows().into_iter().filter_map(value).collect()
}

pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

pub fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len().is_multiple_of(2) { (values[middle - 1] + values[middle]) / 2.0 } else { values[middle] }
}

/// The sample standard deviation.
pub fn standard_deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64).sqrt()
}

/// The most frequent value; the smallest of several.
pub fn mode(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let count = |value: f64| values.iter().filter(|other| **other == value).count();
    values.iter().rev().copied().max_by_key(|value| count(*value)).unwrap_or(f64::NAN)
}

/// Checks that two sums are equal up to the order of summation.
#[track_caller]
pub fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-12 * expected.abs().max(1.0), "found {found}, expected {expected}");
}
