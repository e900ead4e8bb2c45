//! Tests that the embedded engine and a cluster find the same rows, statistics, model, score and predictions, and write
//! the same files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use testkit::Workspace;
use testkit::engines::{Engine, EngineServer};

use crate::{noisy, untidy};

/// The results of a complete run, by name.
pub type Findings = BTreeMap<String, Value>;

#[test]
fn sail_finds_what_this_process_finds() {
    check(Engine::Sail, false);
}

#[test]
fn spark_finds_what_this_process_finds() {
    check(Engine::Spark, true);
}

/// Compares a run on an engine with one in this process. `by_address` states whether the config names folders by the
/// cluster's addresses or by paths of this machine.
fn check(engine: Engine, by_address: bool) {
    let Some(server) = EngineServer::start(engine) else { return };
    let (embedded, cluster) = (run(None), run(Some((&server.url(), by_address))));
    assert_same(engine, &embedded, &cluster);
}

/// Fails with all differences between the findings in this process and on an engine.
pub fn assert_same(engine: Engine, here: &Findings, there: &Findings) {
    assert_eq!(here.keys().collect::<Vec<_>>(), there.keys().collect::<Vec<_>>());
    let mut differences = Vec::new();
    for (name, value) in here {
        compare(name, value, &there[name], &mut differences);
    }
    assert!(differences.is_empty(), "{engine:?} differs:\n{}", differences.join("\n"));
}

/// Deploys for the first time, and returns what people and other programs read afterwards.
pub fn first_run(workspace: &Workspace) -> Findings {
    let summary = without(workspace.run_json("fullprocess", &[]), &["live"]);
    let text = |path| json!(workspace.text(path));
    let findings = [
        ("first run", summary),
        ("ingested files", text("ingesteddata/ingestedfiles.txt")),
        ("quarantine", text("ingesteddata/quarantine.csv")),
        ("score", text("practicemodels/latestscore.txt")),
        ("clients to call", called(&workspace.text("practicemodels/calllist.csv"))),
    ];
    findings.map(|(name, value)| (name.to_owned(), value)).into()
}

/// Returns rows with the opposite target, so that a model that fits the others drifts.
pub fn inverted(rows: &str) -> String {
    let invert = |row: &str| {
        let (rest, exited) = row.rsplit_once(',').unwrap();
        format!("{rest},{}\n", 1 - exited.parse::<u8>().unwrap())
    };
    rows.lines().map(invert).collect()
}

/// Runs the whole pipeline on untidy files: first deployment, nothing new, new data without and with drift.
fn run(engine: Option<(&str, bool)>) -> Findings {
    let mut workspace = untidy();
    let mut dataset = "ingesteddata/finaldata.csv";
    if let Some((url, by_address)) = engine {
        workspace.set("engine", json!(url));
        workspace.set("dataset_csv", json!(true));
        dataset = "ingesteddata/finaldata";
        if by_address {
            let keys = ["input_folder_path", "output_folder_path", "test_data_path"];
            for (key, folder) in keys.into_iter().zip(["practicedata", "shared", "testdata"]) {
                workspace.set(key, json!(format!("file://{}", workspace.path(folder).display())));
            }
            dataset = "shared/finaldata";
        }
    }
    workspace.set("drift_test", json!("interval"));
    let mut findings = first_run(&workspace);
    let mut note = |name: &str, value: Value| {
        assert!(findings.insert(name.to_owned(), value).is_none(), "{name}");
    };

    note("rows", rows(&workspace.path(dataset)));
    let mut facts: Value = serde_json::from_str(&workspace.text("ingesteddata/ingestion.json")).unwrap();
    for file in facts["files"].as_array_mut().unwrap() {
        let state = file.as_object_mut().unwrap().remove("state");
        assert_eq!(state.is_some(), engine.is_some(), "an engine recognises unchanged files by it");
    }
    note("facts", without(facts, &["dataset_sha256", "location"]));
    let again = workspace.run_json("fullprocess", &[]);
    note("second run", again["outcome"].clone());

    note("training", model(&workspace));
    let unmarked = ["model", "model_sha256"];
    note("test score", without(workspace.run_json("scoring", &["--dry-run"]), &unmarked));
    let diagnosis = workspace.run_json("diagnostics", &[]);
    note("statistics", diagnosis["summary_statistics"].clone());
    note("missing", diagnosis["missing_percent"].clone());
    note("predictions", without(diagnosis["predictions"].clone(), &["model"]));
    note("batch predictions", batch_predictions(&workspace));

    workspace.csv("practicedata/e.csv", &noisy("e", 9000, 500));
    let unchanged = workspace.run_json("fullprocess", &["--dry-run"]);
    note("dry run", without(unchanged, &["live"]));
    note("no drift", without(workspace.run_json("fullprocess", &[]), &["live"]));
    workspace.csv("practicedata/f.csv", &inverted(&noisy("f", 12_000, 800)));
    note("drift", without(workspace.run_json("fullprocess", &[]), &["live"]));
    note("score after drift", json!(workspace.text("practicemodels/latestscore.txt")));
    if engine.is_some() {
        let kept = fs::read_dir(workspace.path(dataset)).unwrap().count();
        assert_eq!(kept, 2, "the current dataset as Parquet and as CSV, and none before it");
    }
    findings
}

/// Returns the distinct rows, sorted by their text.
fn rows(dataset: &Path) -> Value {
    let (header, rows) = records(dataset);
    assert_eq!(header, "corporation,lastmonth_activity,lastyear_activity,number_of_employees,exited");
    json!(rows)
}

/// Returns the header and the records, sorted by their text, of a CSV file or of all CSV files below a folder.
pub fn records(place: &Path) -> (String, Vec<Vec<String>>) {
    let mut files = vec![place.to_owned()];
    let mut header = String::new();
    let mut records = Vec::new();
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|suffix| suffix == "csv") {
            let mut reader = csv::Reader::from_path(path).unwrap();
            header = reader.headers().unwrap().iter().collect::<Vec<_>>().join(",");
            records.extend(reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()));
        }
    }
    records.sort();
    (header, records)
}

/// Returns the model that training finds, with the statistics of its fit.
pub fn model(workspace: &Workspace) -> Value {
    let model = workspace.run_json("training", &[]);
    assert!(model["relative_error"].as_f64().unwrap() < 1e-6, "{model}");
    let mut model = without(model, &["model_sha256", "seconds", "fit_seconds", "relative_error"]);
    // At the optimum these are bounds of rounding errors; the number of steps depends on the sample that the start is fitted on.
    for (rounding, most) in [("newton_decrement", 1e-6), ("newton_steps", 40.0), ("gradient_norm", f64::MAX)] {
        assert!(model["fit"][rounding].as_f64().unwrap() < most, "{model}");
        model["fit"].as_object_mut().unwrap().remove(rounding);
    }
    model["training"].as_object_mut().unwrap().remove("dataset_sha256");
    model
}

fn batch_predictions(workspace: &Workspace) -> Value {
    let data = workspace.path("unlabelled.csv");
    let text = "number_of_employees,corporation,lastyear_activity,lastmonth_activity\n7,x,80,9\n,y,800,90\n";
    fs::write(&data, text).unwrap();
    let place = workspace.path("predictions.csv");
    let arguments = ["--deployed", "--data", data.to_str().unwrap(), "--predictions", place.to_str().unwrap()];
    let scored = workspace.run_json("scoring", &arguments);
    assert_eq!((scored["predicted"].as_u64(), scored["n"].as_u64()), (Some(2), Some(0)));
    let (header, rows) = records(&place);
    assert!(header.ends_with("exited,probability,prediction"), "{header}");
    let numbers = |row: Vec<String>| -> Vec<Value> {
        row.into_iter().map(|field| field.parse::<f64>().map_or(json!(field), |number| json!(number))).collect()
    };
    json!(rows.into_iter().map(numbers).collect::<Vec<_>>())
}

/// Returns the name and risk of each client, sorted by name. Excludes the client `twice`, which has several rows in one
/// file, because no engine can determine the newest of them.
fn called(list: &str) -> Value {
    let mut reader = csv::Reader::from_reader(list.as_bytes());
    let clients = reader.records().map(|record| {
        let record = record.unwrap();
        json!([record[1], record[3].parse::<f64>().unwrap()])
    });
    let mut clients: Vec<Value> = clients.filter(|client| client[0] != "twice").collect();
    clients.sort_by_key(|client| client[0].to_string());
    json!(clients)
}

pub fn without(mut value: Value, keys: &[&str]) -> Value {
    for key in keys {
        value.as_object_mut().unwrap().remove(*key);
    }
    value
}

/// Records where two values differ: coefficients by more than a relative 1e-9, other numbers by more than 1e-12.
fn compare(name: &str, a: &Value, b: &Value, differences: &mut Vec<String>) {
    match (a, b) {
        (Value::Object(left), Value::Object(right)) if left.keys().eq(right.keys()) => {
            for key in left.keys() {
                compare(&format!("{name}.{key}"), &left[key], &right[key], differences);
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            for (i, (left, right)) in left.iter().zip(right).enumerate() {
                compare(&format!("{name}[{i}]"), left, right, differences);
            }
        }
        (Value::Number(left), Value::Number(right)) => {
            let (left, right) = (left.as_f64().unwrap(), right.as_f64().unwrap());
            // Values computed from the coefficients have the same tolerance as these.
            let fitted = ["coefficients", "intercept", "errors", "likelihood", "redictions", "clients", "risk_change"];
            let tolerance = if fitted.iter().any(|part| name.contains(part)) { 1e-9 } else { 1e-12 };
            if (left - right).abs() > tolerance * left.abs().max(right.abs()) {
                differences.push(format!("{name}: {left} here, {right} there"));
            }
        }
        _ if a == b => {}
        _ => differences.push(format!("{name}: {a:.300} here, {b:.300} there")),
    }
}
