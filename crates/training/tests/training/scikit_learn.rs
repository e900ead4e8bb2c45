//! Compares the optimum with scikit-learn's, and checks that the pickle is a scikit-learn model.

use std::process::Command;

use common::config::Threshold;
use common::files::{DataFile, MODEL};
use common::model::{Model, probability};
use dataset::local::Local;
use dataset::{Engine, Reading};
use serde_json::Value;
use testkit::Workspace;

use crate::python;

/// Python script that fits scikit-learn on a finaldata.csv and prints coefficients and intercept.
const FIT: &str = r#"
import json, sys, pandas
from sklearn.linear_model import LogisticRegression
data = pandas.read_csv(sys.argv[1]).dropna(subset=["lastmonth_activity", "lastyear_activity", "number_of_employees", "exited"])
x = data[["lastmonth_activity", "lastyear_activity", "number_of_employees"]].astype(float)
model = LogisticRegression(solver="newton-cholesky", tol=1e-13, max_iter=1000).fit(x, data["exited"].astype(int))
print(json.dumps(list(model.coef_[0]) + [model.intercept_[0]]))
"#;

/// Python script that loads the pickle with every warning as an error, and prints its predictions for a table.
const OPEN: &str = r#"
import json, pickle, sys, warnings
warnings.simplefilter("error")
import numpy, pandas
with open(sys.argv[1], "rb") as file: model = pickle.load(file)
data = pandas.read_csv(sys.argv[2])[["lastmonth_activity", "lastyear_activity", "number_of_employees"]]
assert type(model).__name__ == "LogisticRegression" and model.classes_.dtype == numpy.int64, model
assert list(model.feature_names_in_) == list(data.columns) and model.n_features_in_ == 3 and model.C == 1.0
again = pickle.loads(pickle.dumps(model))
assert (again.coef_ == model.coef_).all()
print(json.dumps({"predict": [int(p) for p in model.predict(data)], "probability": list(model.predict_proba(data)[:, 1]),
                  "decision": list(model.decision_function(data)), "score": model.score(data, pandas.read_csv(sys.argv[2])["exited"])}))
"#;

/// Returns the model's coefficients and its intercept.
fn parameters(workspace: &Workspace) -> Vec<f64> {
    let model = Model::load(&workspace.path("practicemodels").join(MODEL)).unwrap().0;
    model.terms().map(|term| term.coefficient).chain([model.intercept]).collect()
}

fn assert_close(found: &[f64], expected: &[f64], relative: f64) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= relative * expected.abs(), "{found} is not {expected}");
    }
}

fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

/// Trains on the files in practicedata/ and compares the result with scikit-learn's on the same finaldata.csv.
fn check_against_scikit_learn(workspace: &Workspace) {
    workspace.run("ingestion", &[]);
    workspace.run("training", &[]);
    let path = workspace.path("ingesteddata/finaldata.csv").display().to_string();
    let expected: Value = serde_json::from_str(&python::run(FIT, &[&path])).unwrap();
    assert_close(&parameters(workspace), &numbers(&expected), 1e-6);
}

/// Copies the tables of one of the project's folders into practicedata/.
pub fn copy_data(workspace: &Workspace, from: &str) {
    for entry in std::fs::read_dir(testkit::project().join(from)).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, workspace.path("practicedata").join(path.file_name().unwrap())).unwrap();
    }
}

#[test]
fn the_course_data_have_the_expected_coefficients() {
    let real = testkit::project().join("../shared/realdata");
    if !real.exists() {
        testkit::skipped("the course's practice data are not beside the project");
        return;
    }
    let workspace = Workspace::new();
    copy_data(&workspace, "../shared/realdata/practicedata");
    workspace.run("ingestion", &[]);
    workspace.run("training", &[]);
    let expected: Value = serde_json::from_slice(&std::fs::read(real.join("expected.json")).unwrap()).unwrap();
    let mut wanted = numbers(&expected["coefficients"]);
    wanted.push(expected["intercept"].as_f64().unwrap());
    assert_close(&parameters(&workspace), &wanted, 1e-6);
}

#[test]
fn the_shipped_data_have_scikit_learns_coefficients() {
    if python::has("sklearn, pandas") {
        for folder in ["practicedata", "sourcedata"] {
            let workspace = Workspace::new();
            copy_data(&workspace, folder);
            check_against_scikit_learn(&workspace);
        }
    }
}

#[test]
fn a_million_rows_have_scikit_learns_coefficients() {
    if python::has("sklearn, pandas") {
        let workspace = Workspace::new();
        let folder = workspace.path("practicedata");
        let fabricate = testkit::binary("examples/fabricate");
        let arguments = ["--rows", "1000000", "--files", "4"];
        assert!(Command::new(fabricate).args(arguments).arg(folder).status().unwrap().success());
        check_against_scikit_learn(&workspace);
    }
}

#[test]
fn the_pickle_opens_without_a_warning_and_agrees_to_the_last_digits() {
    if !python::has("sklearn, pandas") {
        return;
    }
    let workspace = Workspace::new();
    copy_data(&workspace, "sourcedata");
    workspace.run("ingestion", &[]);
    workspace.run("training", &[]);
    let (pickle, table) =
        (workspace.path("practicemodels/trainedmodel.pkl"), testkit::project().join("testdata/testdata.csv"));
    let opened = python::run(OPEN, &[pickle.to_str().unwrap(), table.to_str().unwrap()]);
    let opened: Value = serde_json::from_str(&opened).unwrap();

    let model = Model::load(&workspace.path("practicemodels").join(MODEL)).unwrap().0;
    let table = Local::new(&model.schema).read(&[DataFile::at(&table).unwrap()], Reading::WHOLE).unwrap();
    let threshold = Threshold::new(0.5).unwrap().value();
    let mut decisions = Vec::new();
    table.each(&mut |_, values, _| decisions.push(model.log_odds(values.iter().copied()))).unwrap();
    let probabilities: Vec<f64> = decisions.iter().map(|log_odds| probability(*log_odds)).collect();
    let predictions: Vec<f64> = probabilities.iter().map(|p| f64::from(u8::from(*p >= threshold))).collect();
    assert_close(&numbers(&opened["probability"]), &probabilities, 1e-12);
    assert_close(&numbers(&opened["decision"]), &decisions, 1e-12);
    assert_eq!(numbers(&opened["predict"]), predictions);
}

#[test]
fn the_pickle_calls_public_constructors_and_nothing_else() {
    if !python::has("pickletools") {
        return;
    }
    let workspace = Workspace::with_data();
    workspace.run("ingestion", &[]);
    workspace.run("training", &[]);
    let script = r#"
import pickletools, sys
found, texts = set(), []
for opcode, argument, _ in pickletools.genops(open(sys.argv[1], "rb").read()):
    if opcode.name == "SHORT_BINUNICODE": texts.append(argument)
    if opcode.name == "STACK_GLOBAL": found.add(".".join(texts[-2:]))
pickletools.dis(open(sys.argv[1], "rb").read(), out=open("/dev/null", "w"))
print(sorted(found))
"#;
    let found = python::run(script, &[workspace.path("practicemodels/trainedmodel.pkl").to_str().unwrap()]);
    assert_eq!(found.trim(), "['builtins.setattr', 'numpy.array', 'sklearn.linear_model.LogisticRegression']");
}
