//! Writes a model as an MLflow model: the model as ONNX, its description `MLmodel`, and the files from which MLflow
//! creates an environment and an example.
//!
//! The flavours are `onnx` and `python_function`, so `mlflow.pyfunc.load_model` and everything that builds on it opens
//! the folder; loading executes no code from it. The format is described in <https://mlflow.org/docs/latest/ml/model/>.
//!
//! The signature describes tensors with one value per row. With a signature of columns, MLflow would refuse the whole
//! numbers that pandas reads in a column of doubles, and would pass the texts of pandas 3 on in a form that ONNX Runtime
//! does not accept.

use serde_json::{Value as Json, json};

use crate::files::checksum::Checksum;
use crate::model::Model;
use crate::model::onnx::{Outputs, onnx};
use crate::values::Value;

const ONNX: &str = "model.onnx";
const CONDA: &str = "conda.yaml";
const PYTHON: &str = "python_env.yaml";
const REQUIREMENTS: &str = "requirements.txt";
const EXAMPLE: &str = "input_example.json";
const REQUEST: &str = "serving_input_example.json";

/// The version of Python for environments that MLflow creates. MLflow warns if a model is opened with another one.
const PYTHON_VERSION: &str = "3.11.9";

/// The oldest versions with which a package has been opened.
const PACKAGES: [&str; 3] = ["mlflow>=2.15", "onnx>=1.15", "onnxruntime>=1.16"];

/// Returns the files of the MLflow model (name and content).
///
/// `model_sha256` is the checksum of the model's own file, and clients are predicted to leave from the probability
/// `threshold`. The same arguments always give the same bytes; therefore the description contains no time.
pub fn package(model: &Model, model_sha256: &Checksum, threshold: f64) -> Vec<(&'static str, Vec<u8>)> {
    let graph = onnx(model, model_sha256, threshold);
    let description = description(model, model_sha256, threshold, &Checksum::of_bytes(&graph));
    let example = example(model);
    let request = json!({ "dataframe_split": example });
    let requirements: String = PACKAGES.map(|package| format!("{package}\n")).concat();
    vec![
        ("MLmodel", description.into_bytes()),
        (ONNX, graph),
        (CONDA, conda().into_bytes()),
        (PYTHON, python().into_bytes()),
        (REQUIREMENTS, requirements.into_bytes()),
        (EXAMPLE, ascii(&example).into_bytes()),
        (REQUEST, ascii(&request).into_bytes()),
    ]
}

/// Returns the content of `MLmodel`. `onnx_sha256` is the checksum of the model as ONNX, from which its id is made.
fn description(model: &Model, model_sha256: &Checksum, threshold: f64, onnx_sha256: &Checksum) -> String {
    let tensor = |name: &str, element: &str| json!({"name": name, "tensor-spec": {"dtype": element, "shape": [-1]}, "type": "tensor"});
    let inputs = model.schema.predictors().iter().map(|predictor| {
        let element = if predictor.is_category() { "object" } else { "float64" };
        tensor(&predictor.name, element)
    });
    let inputs = inputs.collect::<Json>();
    let Outputs { prediction, probability, log_odds } = Outputs::of(&model.schema);
    let outputs = json!([tensor(&prediction, "int64"), tensor(&probability, "float64"), tensor(&log_odds, "float64")]);
    // MLflow expects each list as a text. A JSON string of ASCII characters is also one of YAML.
    let [inputs, outputs] = [inputs, outputs].map(|list| ascii(&Json::String(ascii(&list))));
    let dataset_sha256 = model.training.dataset_sha256.as_str();
    let model_sha256 = model_sha256.as_str();
    let rows = model.training.rows;
    let id: String = onnx_sha256.as_str().chars().take(32).collect();
    format!(
        "\
flavors:
  onnx:
    code: null
    data: {ONNX}
    onnx_version: 1.6.0
    providers:
    - CPUExecutionProvider
  python_function:
    data: {ONNX}
    env:
      conda: {CONDA}
      virtualenv: {PYTHON}
    loader_module: mlflow.onnx
    python_version: {PYTHON_VERSION}
metadata:
  dataset_sha256: \"{dataset_sha256}\"
  model_sha256: \"{model_sha256}\"
  threshold: {threshold}
  training_rows: {rows}
model_uuid: \"{id}\"
saved_input_example_info:
  artifact_path: {EXAMPLE}
  pandas_orient: split
  serving_input_path: {REQUEST}
  type: dataframe
signature:
  inputs: {inputs}
  outputs: {outputs}
"
    )
}

/// Returns the example: the average client, and a client of whom nothing is known. It contains no row of the data.
fn example(model: &Model) -> Json {
    let names: Vec<&str> = model.schema.predictors().iter().map(|predictor| predictor.name.as_str()).collect();
    let average = model.averages().into_iter().map(|value| match value {
        Value::Number(number) => json!(number),
        Value::Level(level) => json!(level),
    });
    json!({"columns": names, "data": [average.collect::<Json>(), vec![Json::Null; names.len()]]})
}

/// Returns the content of conda.yaml.
fn conda() -> String {
    let packages: String = PACKAGES.map(|package| format!("  - {package}\n")).concat();
    format!(
        "channels:\n- conda-forge\ndependencies:\n- python={PYTHON_VERSION}\n- pip\n- pip:\n{packages}name: mlflow-env\n"
    )
}

/// Returns the content of python_env.yaml.
fn python() -> String {
    format!(
        "python: {PYTHON_VERSION}\nbuild_dependencies:\n- pip\n- setuptools\n- wheel\ndependencies:\n- -r {REQUIREMENTS}\n"
    )
}

/// Returns the JSON of a value with all other characters than those of ASCII escaped, because Python reads the files in
/// the encoding of its locale.
fn ascii(value: &Json) -> String {
    let mut text = String::new();
    for character in value.to_string().chars() {
        if character.is_ascii() {
            text.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::{model, with_category};

    fn texts(model: &Model) -> Vec<(&'static str, String)> {
        let files = package(model, &Checksum::of_bytes(b"model"), 0.25).into_iter().filter(|(name, _)| *name != ONNX);
        files.map(|(name, bytes)| (name, String::from_utf8(bytes).unwrap())).collect()
    }

    fn file(model: &Model, name: &str) -> String {
        texts(model).into_iter().find(|(other, _)| *other == name).unwrap().1
    }

    #[test]
    fn the_same_model_gives_the_same_bytes_and_another_threshold_another_id() {
        let package = |threshold| package(&with_category(), &Checksum::of_bytes(b"model"), threshold);
        assert_eq!(package(0.5), package(0.5));
        let ids = [0.5, 0.25].map(|threshold| {
            let description = String::from_utf8(package(threshold).remove(0).1).unwrap();
            description.lines().find(|line| line.starts_with("model_uuid")).unwrap().to_owned()
        });
        assert_ne!(ids[0], ids[1]);
    }

    #[test]
    fn every_text_is_ascii_and_ends_with_its_line() {
        let columns = r#"{"id": "k", "target": "left", "predictors": ["grö\"ß\"e", "𝛼\u2028.", {"name": "c d"}]}"#;
        let schema = crate::config::schema_of_json(columns).unwrap();
        let model = Model { schema, ..model() };
        for (name, text) in texts(&model) {
            assert!(text.is_ascii() && !text.contains('\r'), "{name}: {text}");
        }
        let example: Json = serde_json::from_str(&file(&model, EXAMPLE)).unwrap();
        assert_eq!(example["columns"], json!(["grö\"ß\"e", "𝛼\u{2028}.", "c d"]));
        assert!(file(&model, "MLmodel").contains(r#"\\u00f6\\\"\\u00df"#), "{}", file(&model, "MLmodel"));
    }

    #[test]
    fn the_example_is_the_average_client_and_one_of_whom_nothing_is_known() {
        let example: Json = serde_json::from_str(&file(&with_category(), EXAMPLE)).unwrap();
        assert_eq!(example["data"], json!([[49.5, "Month-to-month"], [null, null]]));
        let request: Json = serde_json::from_str(&file(&with_category(), REQUEST)).unwrap();
        assert_eq!(request, json!({ "dataframe_split": example }));
    }
}
