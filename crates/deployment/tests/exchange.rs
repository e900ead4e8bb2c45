//! A deployed release, opened by MLflow, answers as this program does.

use std::process::Command;

use serde_json::{Value, json};
use testkit::Workspace;

/// Predicts for a table whose last columns contain the probability and the prediction of this program.
const PREDICT: &str = r#"
import json, sys, time
import mlflow, numpy, pandas
folder, table = sys.argv[1:]
started = time.perf_counter()
model = mlflow.pyfunc.load_model(folder)
loaded = time.perf_counter()
types = {spec.name: spec.type if spec.type.kind == "f" else str for spec in model.metadata.get_input_schema()}
clients = pandas.read_csv(table, dtype=types, float_precision="round_trip")
ready = time.perf_counter()
answer = pandas.DataFrame(model.predict(clients))
answered = time.perf_counter()
expected = clients["probability"]
certain = abs(expected - model.metadata.metadata["threshold"]) > 1e-12
assert (answer["prediction"] == clients["prediction"])[certain].all()
print(json.dumps({
    "rows": len(answer), "difference": abs(answer["probability"] - expected).max(), "leave": answer["prediction"].mean(),
    "loading": loaded - started, "predicting": answered - ready,
}))
"#;

const ROWS: usize = 100_000;

/// A row of a table like the public one of a telephone company; every seventh value is missing if `is_new`, and some
/// levels have not been seen in training.
fn row(i: usize, is_new: bool) -> String {
    let mix = |salt: usize| (i.wrapping_mul(2_654_435_761).wrapping_add(salt * 40_503) >> 7) % 10_007;
    let known = |salt: usize, text: String| if is_new && mix(salt + 50) % 7 == 0 { String::new() } else { text };
    let tenure = mix(1) % 72;
    let monthly = 20.0 + (mix(2) % 10_000) as f64 / 97.0;
    let contract = match mix(3) % 4 {
        0 if is_new => "weekly",
        0 | 1 => "Month-to-month",
        2 => "One year",
        _ => "Two year",
    };
    let leaves = mix(4) % 100 < if tenure < 20 && contract == "Month-to-month" { 90 } else { 35 };
    let values = [
        known(1, tenure.to_string()),
        known(2, monthly.to_string()),
        known(3, (monthly * tenure as f64 - 0.999).to_string()),
        known(4, contract.to_owned()),
        known(5, (mix(5) % 2).to_string()),
    ];
    format!("c{i},{},{}\n", values.join(","), if leaves { "Yes" } else { "No" })
}

/// Whether Python has what opens a release. If not, the test is reported as skipped.
fn can_open() -> bool {
    let import = Command::new("python3").args(["-c", "import mlflow.onnx, onnx, onnxruntime, pandas"]).output();
    let can = import.is_ok_and(|output| output.status.success());
    if !can {
        testkit::skipped("python3 cannot import mlflow, onnx, onnxruntime and pandas");
    }
    can
}

#[test]
fn the_examples_of_the_documentation_answer_as_scoring_does() {
    if !can_open() {
        return;
    }
    let readme = std::fs::read_to_string(testkit::project().join("crates/deployment/README.md")).unwrap();
    let examples: Vec<&str> = readme.split("```python\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(examples.len(), 2);
    let workspace = Workspace::with_data();
    workspace.csv("testdata/testdata.csv", &(testkit::rows("t", 6, false) + "x,,40,60,\ny,300,2000,\"30\",\n"));
    workspace.deploy();
    workspace.run("scoring", &["--deployed", "--predictions", workspace.path("predictions.csv").to_str().unwrap()]);
    let predictions = workspace.text("predictions.csv");
    let probabilities = predictions.lines().skip(1).map(|line| line.split(',').nth(5).unwrap());
    let probabilities: Vec<f64> = probabilities.map(|field| field.parse().unwrap()).collect();
    assert_eq!(probabilities.len(), 8);
    for (example, printed) in examples.into_iter().zip([".to_csv(index=False)", ".tolist()"]) {
        // The examples print for people; here they print every digit.
        let example = example.trim_end().strip_suffix(')').unwrap();
        let output = Command::new("python3")
            .args(["-c", &format!("{example}{printed})")])
            .current_dir(workspace.path(""))
            .output()
            .unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{stdout}\n{}", String::from_utf8_lossy(&output.stderr));
        let found: Vec<f64> = match stdout.strip_prefix("prediction,probability,log_odds\n") {
            Some(table) => table.lines().filter_map(|line| line.split(',').nth(1)?.parse().ok()).collect(),
            None => serde_json::from_str(&stdout).unwrap(),
        };
        assert_eq!(found.len(), probabilities.len(), "{stdout}");
        assert!(found.iter().zip(&probabilities).all(|(found, expected)| (found - expected).abs() < 1e-12), "{stdout}");
    }
}

#[test]
fn the_mlflow_model_of_a_release_answers_as_scoring_does() {
    if !can_open() {
        return;
    }
    let mut workspace = Workspace::new();
    workspace.set(
        "columns",
        json!({
            "id": "customerID", "target": {"name": "Churn", "positive": "Yes", "negative": "No"},
            "predictors": [
                "tenure", {"name": "Monthly \"Charges\"", "unit": "$"}, {"name": "TotalCharges", "transform": "log1p"},
                {"name": "Contract", "kind": "category"}, {"name": "SeniorCitizen", "kind": "category"},
            ],
        }),
    );
    let header = "customerID,tenure,\"Monthly \"\"Charges\"\"\",TotalCharges,Contract,SeniorCitizen,Churn\n";
    let table = |rows: std::ops::Range<usize>, is_new| -> String {
        [header.to_owned()].into_iter().chain(rows.map(|i| row(i, is_new))).collect()
    };
    workspace.write("practicedata/clients.csv", &table(0..2_000, false));
    workspace.write("testdata/clients.csv", &table(2_000..3_000, false));
    workspace.write("new.csv", &table(3_000..3_000 + ROWS, true));
    workspace.deploy();
    let (new, predictions) = (workspace.path("new.csv"), workspace.path("predictions.csv"));
    let arguments = ["--deployed", "--data", new.to_str().unwrap(), "--predictions", predictions.to_str().unwrap()];
    workspace.run("scoring", &arguments);
    let output = Command::new("python3")
        .args(["-c", PREDICT])
        .args([workspace.path("production_deployment/model"), predictions])
        .current_dir(workspace.path(""))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    println!("{found}");
    assert_eq!(found["rows"], ROWS);
    assert!(found["difference"].as_f64().unwrap() < 1e-12, "{found}");
    assert!((0.1..0.9).contains(&found["leave"].as_f64().unwrap()), "{found}");
}
