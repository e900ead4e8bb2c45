//! Compares fits of tables that are numerically difficult with fits in 80-digit arithmetic: constant, repeated,
//! collinear, offset and separable predictors with magnitudes from 1 to 10⁹, and C from 10⁻⁶ to 10⁶.
//!
//! `RISK_PRECISION_TABLES=20000 cargo test --release -p training precision` tests more tables than the default.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use common::config::{Config, Regularization};
use serde_json::{Value, json};
use testkit::Workspace;

use crate::python;

const SCRIPT: &str = include_str!("precision.py");

/// Trains on rows of three predictors and the target. Returns the result or the error message.
fn train(workspace: &Workspace, rows: &Value, c: f64) -> Result<training::Trained, String> {
    let mut csv = String::new();
    for (number, row) in rows.as_array().unwrap().iter().enumerate() {
        let [first, second, third, left] = std::array::from_fn(|j| row[j].as_f64().unwrap());
        writeln!(csv, "c{number},{first},{second},{third},{left}").unwrap();
    }
    workspace.csv("ingesteddata/finaldata.csv", &csv);
    let config = Config::load(Some(&workspace.path("config.json"))).unwrap();
    let engine = dataset::open(&config).unwrap();
    training::train(&*engine, &config.output_folder, Regularization::new(c).unwrap())
        .map_err(|error| format!("{error:#}"))
}

fn parameters(trained: &training::Trained) -> Vec<f64> {
    trained.model.terms().map(|term| term.coefficient).chain([trained.model.intercept]).collect()
}

#[test]
fn random_tables_are_fitted_as_well_as_certified() {
    if !python::has("mpmath") {
        return;
    }
    let tables = std::env::var("RISK_PRECISION_TABLES").unwrap_or_else(|_| "150".to_owned());
    let workspace = Workspace::new();
    fs::create_dir_all(workspace.path("ingesteddata")).unwrap();
    let mut results = String::new();
    for line in python::run(SCRIPT, &["make", "1", &tables]).lines() {
        let mut case: Value = serde_json::from_str(line).unwrap();
        match train(&workspace, &case["rows"], case["c"].as_f64().unwrap()) {
            Ok(trained) => {
                case["parameters"] = json!(parameters(&trained));
                case["relative_error"] = json!(trained.relative_error);
                case["newton_decrement"] = json!(trained.model.fit.newton_decrement);
                case["gradient_norm"] = json!(trained.model.fit.gradient_norm);
            }
            Err(reason) => case["refused"] = json!(reason),
        }
        writeln!(results, "{case}").unwrap();
    }
    let path = workspace.path("results");
    fs::write(&path, results).unwrap();
    let report = python::run(SCRIPT, &["check", path.to_str().unwrap()]);
    let summary = report.lines().last().unwrap_or_default();
    assert!(summary.contains(&format!("{tables} tables, 0 wrong, ")), "{report}");
    println!("{summary}");
}

/// Reads the predictors and the target of a CSV file.
fn rows_of(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap();
    let row = |line: &str| line.split(',').skip(1).map(|field| field.parse().unwrap()).collect::<Vec<f64>>();
    json!(text.lines().skip(1).map(row).collect::<Vec<_>>())
}

#[test]
fn tables_that_once_had_a_false_certificate_have_the_optimum() {
    let folder = testkit::project().join("../shared/realdata/torture");
    let Ok(expected) = fs::read(folder.join("expected.json")) else {
        testkit::skipped("the difficult tables are not beside the project");
        return;
    };
    let expected: Value = serde_json::from_slice(&expected).unwrap();
    let workspace = Workspace::new();
    fs::create_dir_all(workspace.path("ingesteddata")).unwrap();
    for (name, case) in expected.as_object().unwrap() {
        let rows = rows_of(&folder.join(name));
        let trained = train(&workspace, &rows, case["C"].as_f64().unwrap()).unwrap();
        let wanted = case["coefficients"].as_array().unwrap().iter().chain([&case["intercept"]]);
        for (found, wanted) in parameters(&trained).into_iter().zip(wanted.map(|value| value.as_f64().unwrap())) {
            assert!((found - wanted).abs() <= 1e-6 * wanted.abs(), "{name}: {found} is not {wanted}");
        }
        assert!(trained.relative_error <= 1e-6, "{name}: {}", trained.relative_error);
        for (row, wanted) in rows.as_array().unwrap().iter().zip(case["probabilities"].as_array().unwrap()) {
            let values: Vec<_> = (0..3).map(|j| row[j].as_f64().map(Into::into)).collect();
            let found = trained.model.probability(&values);
            assert!((found - wanted.as_f64().unwrap()).abs() < 1e-7, "{name}: {found} is not {wanted}");
        }
    }
}
