//! The MLflow model, opened with MLflow.

use common::files::checksum::Checksum;
use common::model::Model;
use common::model::mlflow::package;
use common::values::Value;
use serde_json::json;

use crate::{can_import, category, model, number, python, some};

/// Opens the folder and applies the model to its example and to tables in the forms that pandas gives them.
const OPEN: &str = r#"
import io, json, sys
import mlflow, numpy, onnx, pandas
from mlflow.exceptions import MlflowException
from mlflow.models import Model
folder, csv = sys.argv[1:3]
description = Model.load(folder)
assert set(description.flavors) == {"onnx", "python_function"}, description.flavors
assert isinstance(mlflow.onnx.load_model(folder), onnx.ModelProto)
model = mlflow.pyfunc.load_model(folder)
schema = model.metadata.get_input_schema()
def risk(table):
    answer = model.predict(table)
    assert list(answer) == model.metadata.get_output_schema().input_names()
    return [list(values) for values in answer.values()][1]
example = risk(model.metadata.load_input_example(folder))
data = pandas.read_csv(io.StringIO(csv))
texts = [spec.name for spec in schema if spec.type == numpy.dtype("O")]
exact = pandas.read_csv(io.StringIO(csv), dtype={name: str for name in texts})
found = {"inferred": risk(data), "exact": risk(exact), "object": risk(exact.astype({name: object for name in texts}))}
filled = exact.astype(object).where(exact.notna(), None)
found["None"] = risk(filled.astype({spec.name: spec.type for spec in schema if spec.name not in texts}))
found["dict"] = risk({spec.name: exact[spec.name].to_numpy(dtype=spec.type) for spec in schema})
refused = []
last_number = [spec.name for spec in schema if spec.name not in texts][-1]
for table in [exact.drop(columns=schema.input_names()[0]), exact.assign(**{last_number: "many"})]:
    try: model.predict(table)
    except MlflowException as error: refused.append(str(error))
from mlflow.utils.proto_json_utils import dataframe_from_parsed_json
request = json.load(open(folder + "/serving_input_example.json"))["dataframe_split"]
served = risk(dataframe_from_parsed_json(request, "split", schema))
print(json.dumps({
    "example": example, "served": served, "tables": found, "refused": refused,
    "inputs": [[spec.name, str(spec.type), list(spec.shape)] for spec in schema],
    "outputs": [[spec.name, str(spec.type)] for spec in model.metadata.get_output_schema()],
    "metadata": model.metadata.metadata, "id": model.metadata.model_uuid,
    "requirements": mlflow.pyfunc.get_model_dependencies(folder),
}))
"#;

/// Opens the MLflow model of `model`, applies it to a table and compares the probabilities with those of `rows`.
fn agrees(model: &Model, csv: &str, rows: &[Vec<Option<Value>>]) -> Option<serde_json::Value> {
    if !can_import("mlflow.onnx, numpy, onnx, onnxruntime, pandas") {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in package(model, &Checksum::of_bytes(b"model"), 0.4) {
        fs_err::write(folder.path().join(name), bytes).unwrap();
    }
    let found = python(OPEN, &[folder.path().as_os_str(), csv.as_ref()]);
    let is = |found: &serde_json::Value, rows: &[Vec<Option<Value>>], form: &str| {
        let found: Vec<f64> = found.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect();
        assert_eq!(found.len(), rows.len());
        for (row, found) in rows.iter().zip(found) {
            assert!((found - model.probability(row)).abs() < 1e-12, "{form}: {row:?}: {found}");
        }
    };
    for (form, found) in found["tables"].as_object().unwrap() {
        is(found, rows, form);
    }
    let example = [model.averages().into_iter().map(Some).collect(), vec![None; model.effects.len()]];
    is(&found["example"], &example, "example");
    is(&found["served"], &example, "served");
    let requirements = found["requirements"].as_str().unwrap();
    assert!(requirements.ends_with("/requirements.txt"), "{requirements}");
    Some(found)
}

#[test]
fn a_table_with_categories_and_awkward_names() {
    let columns = json!({
        "id": "k", "target": {"name": "Churn", "positive": "Yes", "negative": "No"},
        "predictors": [{"name": "a \"b\"", "kind": "category"}, "size", {"name": "sum", "transform": "log1p"},
                       {"name": "größe 𝛼", "kind": "category"}, {"name": "code", "kind": "category"}],
    });
    let effects = vec![
        category(&[("One year", -0.4), ("two, years", 0.7)]),
        number(-0.02, 49.5),
        number(0.6, 3.0),
        category(&[("-", 1.5), ("x", -1.0)]),
        category(&[("0", 0.25), ("1", -0.75)]),
    ];
    let model = model(&columns, effects);
    let csv = "sum,extra,größe 𝛼,\"a \"\"b\"\"\",size,k,code\n10,?,x,One year,3,a,1\n,,,,,b,\n\
               0.5,1,new,\"two, years\",-7,c,0\n1e3,2,-,,NA,d,1\n";
    let rows = [
        vec![some("One year"), some(3.0), some(10.0), some("x"), some("1")],
        vec![None; 5],
        vec![some("two, years"), some(-7.0), some(0.5), some("new"), some("0")],
        vec![None, None, some(1e3), some("-"), some("1")],
    ];
    let Some(found) = agrees(&model, csv, &rows) else { return };
    assert_eq!(
        found["inputs"],
        json!([
            ["a \"b\"", "object", [-1]],
            ["size", "float64", [-1]],
            ["sum", "float64", [-1]],
            ["größe 𝛼", "object", [-1]],
            ["code", "object", [-1]]
        ])
    );
    let outputs = [["prediction", "int64"], ["probability", "float64"], ["log_odds", "float64"]];
    assert_eq!(found["outputs"], json!(outputs));
    let refused = &found["refused"];
    assert!(refused[0].as_str().unwrap().contains("missing inputs ['a \"b\"']"), "{refused}");
    assert!(refused[1].as_str().unwrap().contains("could not convert string to float"), "{refused}");
    assert_eq!(found["metadata"]["model_sha256"], Checksum::of_bytes(b"model").as_str());
    assert_eq!(found["metadata"]["threshold"], 0.4);
    assert_eq!(found["id"].as_str().unwrap().len(), 32);
}

#[test]
fn a_table_of_whole_numbers_and_one_of_a_single_column() {
    let columns = json!({"id": "k", "target": "left", "predictors": [{"name": "a", "kind": "count"}, "b"]});
    let two = model(&columns, vec![number(0.5, 1.0), number(-0.25, 3.0)]);
    let rows = [vec![some(3.0), some(2.0)], vec![some(5.0), some(-7.0)]];
    agrees(&two, "k,a,b\nx,3,2\ny,5,-7\n", &rows);
    let one = json!({"id": "k", "target": "left", "predictors": ["a"]});
    agrees(&model(&one, vec![number(0.5, 1.0)]), "k,a\nx,3\ny,\n", &[vec![some(3.0)], vec![None]]);
}
