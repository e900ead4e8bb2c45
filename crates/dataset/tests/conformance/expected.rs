//! The tables of the conformance suite, and the definitions of the statistics as plain formulas.

use std::collections::BTreeMap;

use common::config::schema_of_json;
use common::files::checksum::Checksum;
use common::model::effect::{CategoryEffect, Effect, LevelEffect, NumberEffect};
use common::model::{Fit, Model, TrainingData};
use common::schema::Schema;
use common::values::{Predictors, Value};
use dataset::ClientRow;
use statistics::levels::LevelSummary;

/// A row of the input files. An empty id is a missing one.
#[derive(Debug)]
pub struct Row {
    pub id: String,
    pub predictors: Predictors,
    pub exited: Option<bool>,
}

/// Number of rows in the first file, without its duplicate.
pub const FIRST_FILE: usize = 5;

/// Columns whose names and levels need quotes or escapes in CSV, JSON or SQL.
pub const ODD_COLUMNS: &str = r#"{
    "id": "the client's \"key\", or id",
    "target": {"name": "SELECT", "positive": "Yes, left", "negative": "No"},
    "predictors": [
        "a.b",
        {"name": "it's an `option`; {x}=(1)", "kind": "category"},
        {"name": "größe\\株", "transform": "log1p"},
        {"name": "order", "kind": "category"},
        {"name": "count", "kind": "count"}
    ],
    "ignored": ["skip me, please"]
}"#;

/// A table: its columns and its rows.
pub struct Fixture {
    /// The value of the config's key `columns`; `None` for the default columns.
    pub columns: Option<&'static str>,
    pub schema: Schema,
    /// The distinct rows, in the order of the files.
    pub rows: Vec<Row>,
}

fn row(id: &str, predictors: Predictors, exited: Option<bool>) -> Row {
    Row { id: id.to_owned(), predictors, exited }
}

impl Fixture {
    /// Returns a table with the default columns.
    pub fn default_columns() -> Self {
        let row =
            |id: &str, numbers: [Option<f64>; 3], exited| row(id, numbers.map(|x| x.map(Value::Number)).into(), exited);
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
        Self { columns: None, schema: Schema::default(), rows }
    }

    /// Returns a table with [`ODD_COLUMNS`], negative and fractional numbers, and levels with every kind of character.
    pub fn odd_columns() -> Self {
        let row =
            |id: &str, a: Option<f64>, option: &str, size: Option<f64>, order: &str, count: Option<f64>, exited| {
                let level = |text: &str| (!text.is_empty()).then(|| Value::from(text));
                let number = |number: Option<f64>| number.map(Value::Number);
                row(id, vec![number(a), level(option), number(size), level(order), number(count)], exited)
            };
        let mut rows = vec![
            row("acme", Some(-1.5), "a, \"b\"", Some(0.5), "by", Some(3.0), Some(false)),
            row("bold", Some(-1e-3), "it's", Some(-0.5), "", Some(4.0), Some(true)),
            row("côté", Some(2.5e7), "back\\slash'", Some(1e-12), "by", Some(0.0), None),
            row("o'neil, \"ltd\"", Some(0.25), "größe 株", None, " by", Some(1.0), Some(false)),
            row("", Some(-7.0), "a, \"b\"", Some(4.0), "`tick`", Some(9.0), Some(true)),
            row("acme", Some(-1.25), "a, \"b\"", Some(0.75), "by", Some(3.0), Some(false)),
            row("bold", None, "%_", Some(12.0), "by", Some(2.0), Some(false)),
            row("delta", Some(3.5), "it's", Some(1e6), "`tick`", None, Some(true)),
            row("zeta", Some(3.5), "", Some(2.0), "only once", Some(5.0), None),
        ];
        let options = ["a, \"b\"", "it's", "back\\slash'", "größe 株", "\\n'; -- {x} ${y} :z ?"];
        let orders = ["by", " by", "`tick`", "By"];
        rows.extend((0..61).map(|i| {
            let x = f64::from(i);
            let (option, order) = (options[(i * i % 7 % 5) as usize], orders[(i % 9 % 4) as usize]);
            let size = Some(0.125 * (x % 11.0) - 0.25);
            row(
                &format!("f{i:02}"),
                Some(1.5 * x - 40.0),
                option,
                size,
                order,
                Some(x % 4.0),
                Some((i + i % 4) % 3 == 0),
            )
        }));
        let schema = schema_of_json(ODD_COLUMNS).unwrap();
        Self { columns: Some(ODD_COLUMNS), schema, rows }
    }

    /// Returns the rows of one client, in order.
    pub fn rows_of(&self, id: &str) -> Vec<&Row> {
        self.rows.iter().filter(|row| row.id == id).collect()
    }

    /// Returns the ids of the clients whose newest row does not say that they left, sorted.
    pub fn current(&self) -> Vec<&str> {
        let mut ids: Vec<&str> = self.rows.iter().map(|row| row.id.as_str()).filter(|id| !id.is_empty()).collect();
        ids.sort_unstable();
        ids.dedup();
        ids.retain(|id| self.rows_of(id).last().is_some_and(|row| row.exited != Some(true)));
        ids
    }

    /// Returns the known numbers of a predictor.
    pub fn numbers(&self, j: usize) -> Vec<f64> {
        self.rows.iter().filter_map(|row| row.predictors[j].as_ref()?.number()).collect()
    }

    /// Returns the known targets as 1 and 0.
    pub fn targets(&self) -> Vec<f64> {
        self.rows.iter().filter_map(|row| row.exited.map(f64::from)).collect()
    }

    /// Counts the rows of each level of a predictor.
    pub fn levels(&self, j: usize) -> BTreeMap<String, u64> {
        levels(self.rows.iter(), j)
    }

    /// Returns the rows without a missing predictor or target.
    pub fn complete(&self) -> Vec<&Row> {
        self.rows.iter().filter(|row| row.exited.is_some() && !row.predictors.contains(&None)).collect()
    }

    /// Returns the number of missing values of each column of the schema.
    pub fn missing(&self) -> Vec<u64> {
        let count = |is_missing: &dyn Fn(&Row) -> bool| self.rows.iter().filter(|row| is_missing(row)).count() as u64;
        let predictors = (0..self.schema.predictors().len()).map(|j| count(&|row| row.predictors[j].is_none()));
        let (id, target) = (count(&|row| row.id.is_empty()), count(&|row| row.exited.is_none()));
        [id].into_iter().chain(predictors).chain([target]).collect()
    }

    /// Returns a model that is certain of few clients, with medians unlike any value, and without one of the levels.
    pub fn model(&self) -> Model {
        let numbers = [(-0.05, 33.0), (0.001, 333.0), (0.1, 3.0)];
        let mut numbers = numbers.into_iter();
        let effect = |j: usize| match self.schema.predictors()[j].is_category() {
            false => {
                let (coefficient, median) = numbers.next().unwrap();
                Effect::Number(NumberEffect { coefficient, standard_error: 1.0, median, sketch: None })
            }
            true => {
                let names = self.levels(j).into_keys().enumerate().filter(|(i, _)| *i != 1);
                let levels: Vec<LevelEffect> = names
                    .map(|(i, name)| LevelEffect { name, coefficient: 0.7 - 0.4 * i as f64, standard_error: 1.0 })
                    .collect();
                let summary = LevelSummary { counts: vec![1; levels.len()], unseen: 0, missing: 0 };
                Effect::Category(CategoryEffect { most_frequent: levels.len() - 1, levels, summary })
            }
        };
        Model {
            schema: self.schema.clone(),
            effects: (0..self.schema.predictors().len()).map(effect).collect(),
            intercept: 0.25,
            intercept_error: 1.0,
            fit: Fit {
                regularization: 1.0,
                gradient_norm: 0.0,
                newton_decrement: 0.0,
                newton_steps: 1,
                log_likelihood: 0.0,
            },
            training: TrainingData { dataset_sha256: Checksum::of_bytes(b""), rows: 1, exited: 1, left_out: 0 },
            moments: None,
        }
    }
}

/// Counts the rows of each level of a predictor.
pub fn levels<'a>(rows: impl Iterator<Item = &'a Row>, j: usize) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for level in rows.filter_map(|row| row.predictors[j].as_ref()?.level()) {
        *counts.entry(level.to_owned()).or_insert(0) += 1;
    }
    counts
}

impl Row {
    pub fn client_row(&self) -> ClientRow {
        ClientRow { predictors: self.predictors.clone(), exited: self.exited }
    }
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
