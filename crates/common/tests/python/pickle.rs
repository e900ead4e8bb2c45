//! Loads pickles with Python and compares their probabilities with the model's.

use std::process::Command;

use common::model::Model;
use common::model::pickle::pickle;
use common::values::Value;
use serde_json::json;

use crate::{can_import, category, model, number, some};

/// Loads the pickle, and prints the probability of the positive label for each row of the CSV file.
const OPEN: &str = r#"
import io, json, pickle, sys, warnings
warnings.simplefilter("error")
import pandas
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted
folder, positive = sys.argv[1:3]
with open(folder + "/model.pkl", "rb") as file: model = pickle.load(file)
check_is_fitted(model)
data = pandas.read_csv(folder + "/data.csv")
again = pickle.loads(pickle.dumps(model))
assert (again.predict_proba(data) == model.predict_proba(data)).all()
clone(model)
labels = [str(label) for label in model.classes_]
assert list(model.classes_) == sorted(model.classes_), labels
column = labels.index(positive)
found = model.predict_proba(data)[:, column]
assert ((found > 0.5) == (model.predict(data) == model.classes_[column])).all()
names = model.feature_names_in_
features = list(model[:-1].get_feature_names_out()) if hasattr(model, "steps") else list(names)
assert len(features) == model[-1].coef_.shape[1] if hasattr(model, "steps") else True
print(json.dumps({"type": type(model).__name__, "probability": list(found), "names": list(names), "features": features}))
"#;

/// Loads the pickle of `model` and applies it to a CSV text. Returns what the script prints; `None` if Python has no
/// scikit-learn.
fn open(model: &Model, csv: &str) -> Option<serde_json::Value> {
    if !can_import("pandas, sklearn") {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("model.pkl"), pickle(model)).unwrap();
    fs_err::write(folder.path().join("data.csv"), csv).unwrap();
    let positive = &model.schema.target().positive;
    let output = Command::new("python3").args(["-c", OPEN]).arg(folder.path()).arg(positive).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// Checks that the pickle gives the model's probability for every row.
fn agrees(model: &Model, csv: &str, rows: &[Vec<Option<Value>>]) {
    assert_eq!(pickle(model), pickle(model));
    let Some(found) = open(model, csv) else { return };
    assert_eq!(found["type"], "Pipeline");
    let names: Vec<&str> = model.schema.predictors().iter().map(|predictor| predictor.name.as_str()).collect();
    assert_eq!(found["names"], json!(names));
    let probabilities = found["probability"].as_array().unwrap();
    assert_eq!(probabilities.len(), rows.len());
    for (row, found) in rows.iter().zip(probabilities) {
        let expected = model.probability(row);
        assert!((found.as_f64().unwrap() - expected).abs() <= 1e-12, "{row:?}: {found} is not {expected}");
    }
}

#[test]
fn a_pipeline_takes_the_table_as_pandas_reads_it() {
    let long = "é".repeat(400);
    for (positive, negative) in [("Yes", "No"), ("gone", "here"), ("1", "2"), ("True", "False"), ("2.5", "1")] {
        let columns = json!({
            "id": "customer id", "target": {"name": "Churn", "positive": positive, "negative": negative},
            "predictors": [{"name": "a \"b\"", "kind": "category"}, "size", {"name": "sum", "transform": "log1p"},
                           {"name": "größe", "kind": "category"}],
        });
        let effects = vec![
            category(&[("One year", -0.4), ("two, years", 0.7), (&long, 0.9)]),
            number(-0.02, 49.5),
            number(0.6, 3.0),
            category(&[("-", 1.5), ("x", -1.0)]),
        ];
        let model = model(&columns, effects);
        let csv = format!(
            "sum,extra,größe,\"a \"\"b\"\"\",size,customer id,Churn\n10,?,x,One year,3,a,{positive}\n\
             ,,,,,b,{negative}\n0.5,1,new,\"two, years\",-7,c,\n1e3,2,-,{long},NA,d,\n 2 ,2,-, , ,d,\n"
        );
        let rows = [
            vec![some("One year"), some(3.0), some(10.0), some("x")],
            vec![None; 4],
            vec![some("two, years"), some(-7.0), some(0.5), some("new")],
            vec![some(long.as_str()), None, some(1e3), some("-")],
            vec![None, None, some(2.0), some("-")],
        ];
        agrees(&model, &csv, &rows);
    }
}

#[test]
fn levels_that_look_like_numbers_or_truth_values_are_recognised() {
    let columns = json!({"id": "k", "target": "left", "predictors": [{"name": "c", "kind": "category"}]});
    let cases: [(&[&str], &[&str]); 8] = [
        (&["0", "1"], &["0", "1", "1"]),
        (&["0", "1"], &["0", "", "1"]), // pandas reads floats
        (&["0", "1"], &["0", "x", "1"]),
        (&["007", "1.50", "12345678901234567890123"], &["007", "1.50", "12345678901234567890123"]),
        (&["False", "True"], &["True", "False", ""]),
        (&["FALSE", "true"], &["true", "FALSE", "true"]),
        (&["1", "2", "yes"], &["1", "2", "1"]),
        (&["a", "b"], &["", "", ""]),
    ];
    for (levels, fields) in cases {
        let levels: Vec<(&str, f64)> = levels.iter().zip([0.5, -0.9, 0.1]).map(|(level, b)| (*level, b)).collect();
        let model = model(&columns, vec![category(&levels)]);
        let rows: Vec<Vec<Option<Value>>> =
            fields.iter().map(|field| vec![(!field.is_empty()).then(|| Value::from(*field))]).collect();
        let csv: String = fields.iter().map(|field| format!("id,{field}\n")).collect();
        agrees(&model, &format!("k,c\n{csv}"), &rows);
    }
}

#[test]
fn numbers_without_transform_are_a_logistic_regression() {
    let target = json!({"name": "left", "positive": "gone", "negative": "here"});
    let model = model(&json!({"id": "k", "target": target, "predictors": ["a"]}), vec![number(0.5, 1.0)]);
    // A table with other columns would be refused by scikit-learn.
    let Some(found) = open(&model, "a\n3\n-2\n") else { return };
    assert_eq!(found["type"], "LogisticRegression");
    for (found, number) in found["probability"].as_array().unwrap().iter().zip([3.0, -2.0]) {
        assert!((found.as_f64().unwrap() - model.probability(&[some(number)])).abs() <= 1e-12);
    }
}
