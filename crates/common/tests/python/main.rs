//! Opens what other programs read with those programs, and compares their probabilities with the model's: the pickle with
//! scikit-learn, the ONNX model with ONNX Runtime, the MLflow model with MLflow.

#![expect(clippy::unwrap_used, reason = "a test that cannot start Python has failed")]

mod mlflow;
mod onnx;
mod pickle;

use std::io::Write;
use std::process::Command;

use common::config::schema_of_json;
use common::files::checksum::Checksum;
use common::model::effect::{CategoryEffect, Effect, LevelEffect, NumberEffect};
use common::model::{Fit, Model, TrainingData};
use common::values::Value;
use statistics::levels::LevelSummary;

/// The effect of a number.
pub fn number(coefficient: f64, median: f64) -> Effect {
    Effect::Number(NumberEffect { coefficient, standard_error: 0.1, median, sketch: None })
}

/// A category whose last level is the most frequent one.
pub fn category(levels: &[(&str, f64)]) -> Effect {
    let level = |(name, coefficient): &(&str, f64)| LevelEffect {
        name: (*name).to_owned(),
        coefficient: *coefficient,
        standard_error: 0.1,
    };
    let counts = (1..=levels.len() as u64).collect();
    Effect::Category(CategoryEffect {
        levels: levels.iter().map(level).collect(),
        most_frequent: levels.len() - 1,
        summary: LevelSummary { counts, unseen: 0, missing: 0 },
    })
}

/// A model of `columns` with the intercept 0.3.
pub fn model(columns: &serde_json::Value, effects: Vec<Effect>) -> Model {
    let fit =
        Fit { regularization: 1.0, gradient_norm: 0.0, newton_decrement: 0.0, newton_steps: 4, log_likelihood: -1.0 };
    Model {
        schema: schema_of_json(&columns.to_string()).unwrap(),
        effects,
        intercept: 0.3,
        intercept_error: 0.1,
        fit,
        training: TrainingData { dataset_sha256: Checksum::of_bytes(b"d"), rows: 9, exited: 4, left_out: 0 },
        moments: None,
    }
}

/// Returns a value that is not missing.
pub fn some(value: impl Into<Value>) -> Option<Value> {
    Some(value.into())
}

/// Whether `python3` can import `modules`. If not, the test is reported as skipped.
pub fn can_import(modules: &str) -> bool {
    let import = Command::new("python3").args(["-c", &format!("import {modules}")]).output();
    let can = import.is_ok_and(|output| output.status.success());
    if !can {
        let test = std::thread::current();
        let name = test.name().unwrap_or("a test");
        // Written to the stream itself, which cargo does not capture.
        let _ = writeln!(std::io::stderr(), "SKIPPED {name}: python3 cannot import {modules}");
    }
    can
}

/// Runs a Python script that must succeed. Returns the JSON that it prints on its last line.
pub fn python(script: &str, arguments: &[&std::ffi::OsStr]) -> serde_json::Value {
    let folder = tempfile::tempdir().unwrap(); // MLflow may write into the current folder
    let mut command = Command::new("python3");
    let output = command.arg("-c").arg(script).args(arguments).current_dir(&folder).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");
    serde_json::from_str(stdout.lines().last().unwrap()).unwrap()
}
