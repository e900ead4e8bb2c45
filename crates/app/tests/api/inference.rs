//! The Open Inference Protocol: the answers of `/prediction` in tensors, to real clients and to wrong requests.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::columns;
use crate::helpers::{Answer, Api};

const INFER: &str = "/v2/models/risk/infer";

fn infer(api: &Api, body: &Value) -> Answer {
    api.post_to(INFER, &[("content-type", "application/json")], body.to_string().as_bytes())
}

/// Returns the data of an output.
fn output<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let outputs = answer["outputs"].as_array().unwrap();
    &outputs.iter().find(|output| output["name"] == name).unwrap_or_else(|| panic!("{name}: {answer}"))["data"]
}

fn release(api: &Api) -> String {
    api.get("/health/ready").ok()["release"].as_str().unwrap().to_owned()
}

#[test]
fn the_server_and_the_model_are_described() {
    let api = Api::deployed();
    let release = release(&api);
    let server = api.get("/v2").ok();
    assert_eq!((&server["name"], &server["extensions"]), (&json!("clients-at-risk"), &json!(["binary_tensor_data"])));
    assert_eq!(api.get("/v2/health/live").ok(), json!({"live": true}));
    assert_eq!(api.get("/v2/health/ready").ok(), json!({"live": true, "ready": true}));
    let tensor = |name: &str, datatype: &str| json!({"name": name, "datatype": datatype, "shape": [-1]});
    let metadata = json!({
        "name": "risk", "versions": [release], "platform": "clients-at-risk_logistic-regression",
        "inputs": [
            tensor("corporation", "BYTES"), tensor("lastmonth_activity", "FP64"), tensor("lastyear_activity", "FP64"),
            tensor("number_of_employees", "FP64"),
        ],
        "outputs": [
            tensor("probability", "FP64"), tensor("prediction", "INT64"), tensor("reasons", "BYTES"), tensor("id", "BYTES"),
        ],
    });
    for model in ["/v2/models/risk".to_owned(), format!("/v2/models/risk/versions/{release}")] {
        let answer = api.get(&model);
        assert_eq!((answer.ok(), answer.header("x-release")), (metadata.clone(), release.as_str()));
        assert_eq!(api.get(&format!("{model}/ready")).ok(), json!({"name": "risk", "ready": true}));
    }
    for path in ["/v2/models/risk/versions/1", "/v2/models/risk/versions/1/ready"] {
        api.check_problem(path, &api.get(path), 404, &["version 1 of the model is not loaded", &release]);
    }
    let body =
        json!({"inputs": [{"name": "lastmonth_activity", "shape": [0], "datatype": "FP64", "data": []}]}).to_string();
    let answer = api.post_to("/v2/models/risk/versions/1/infer", &[], body.as_bytes());
    api.check_problem("another version", &answer, 404, &["version 1 of the model is not loaded"]);
    let answer = api.post_to(&format!("/v2/models/risk/versions/{release}/infer"), &[], body.as_bytes());
    assert_eq!(output(&answer.ok(), "probability"), &json!([]));
    let unknown = api.get("/v2/models/other");
    assert_eq!((unknown.status, unknown.json()["error"].is_string()), (404, true));
}

#[test]
fn nothing_deployed_is_not_ready() {
    let api = Api::of(testkit::Workspace::with_data());
    assert_eq!(api.get("/v2/health/live").ok(), json!({"live": true}));
    for path in ["/v2/health/ready", "/v2/models/risk", "/v2/models/risk/ready"] {
        api.check_problem(path, &api.get(path), 503, &["nothing is deployed yet"]);
    }
}

#[test]
fn tensors_get_the_answers_of_rows_to_the_last_bit() {
    let api = Api::deployed();
    let rows = json!([
        {"corporation": "plain", "lastmonth_activity": 10, "lastyear_activity": 100, "number_of_employees": 5},
        {"corporation": "größe", "lastmonth_activity": 1.5, "lastyear_activity": null, "number_of_employees": 123.456789},
        {"corporation": "", "lastmonth_activity": 0.1, "lastyear_activity": 9007199254740992u64, "number_of_employees": null},
    ]);
    let expected = api.predict(&json!({"rows": rows}));
    let column = |name: &str| rows.as_array().unwrap().iter().map(|row| row[name].clone()).collect::<Vec<_>>();
    let tensor = |name: &str, datatype: &str, nested: bool| {
        let flat = column(name);
        let (shape, data) = match nested {
            false => (json!([3]), json!(flat)),
            true => (json!([3, 1]), flat.into_iter().map(|value| json!([value])).collect()),
        };
        json!({"name": name, "shape": shape, "datatype": datatype, "data": data})
    };
    for nested in [false, true] {
        let names = ["lastmonth_activity", "lastyear_activity", "number_of_employees"];
        let mut inputs: Vec<Value> = names.iter().map(|name| tensor(name, "FP64", nested)).collect();
        inputs.push(tensor("corporation", "BYTES", nested));
        inputs.push(json!({"name": "exited", "shape": [3], "datatype": "BOOL", "data": [true, null, false]}));
        let answer = infer(&api, &json!({"id": "x", "parameters": {"mine": [1]}, "inputs": inputs}));
        let body = answer.ok();
        // Compared as text, because parsing would round the numbers.
        let probabilities = |text: &str| {
            let after = text.split(r#""FP64","shape":[3],"data":"#).nth(1).or(text.split(r#""probabilities":"#).nth(1));
            after.unwrap().split(']').next().unwrap().to_owned()
        };
        assert_eq!(probabilities(&answer.text), probabilities(&expected.text));
        assert_eq!(output(&body, "prediction"), &expected.ok()["predictions"]);
        assert_eq!(output(&body, "id"), &json!(["plain", "größe", ""]));
        assert_eq!((&body["id"], &body["parameters"]), (&json!("x"), &json!({"mine": [1]})));
        assert_eq!((&body["model_name"], &body["model_version"]), (&json!("risk"), &json!(release(&api))));
    }

    // A tensor that is not sent is missing, and texts are read as in a table.
    let texts = json!({"inputs": [
        {"name": "lastmonth_activity", "shape": [2], "datatype": "BYTES", "data": ["12", "NA"]}],
        "outputs": [{"name": "prediction"}, {"name": "probability"}]});
    let answer = infer(&api, &texts).ok();
    let names: Vec<&Value> = answer["outputs"].as_array().unwrap().iter().map(|output| &output["name"]).collect();
    assert_eq!(names, ["prediction", "probability"]);
    let rows = api.predict(&json!({"rows": [{"lastmonth_activity": 12}, {}]})).ok();
    assert_eq!(output(&answer, "probability"), &rows["probabilities"]);
}

#[test]
fn the_reasons_are_those_of_the_call_list() {
    let api = Api::deployed();
    let calls = api.get("/calllist?limit=5").ok()["calls"].clone();
    let calls = calls.as_array().unwrap();
    let values = |name: &str| -> Vec<Value> {
        let rows = api.workspace.text("ingesteddata/finaldata.csv");
        let header: Vec<String> = rows.lines().next().unwrap().split(',').map(str::to_owned).collect();
        let position = header.iter().position(|column| column == name).unwrap();
        let of = |call: &Value| {
            let id = format!("{},", call["corporation"].as_str().unwrap());
            let row = rows.lines().rev().find(|row| row.starts_with(&id)).unwrap();
            json!(row.split(',').nth(position).unwrap())
        };
        calls.iter().map(of).collect()
    };
    let inputs: Vec<Value> = ["lastmonth_activity", "lastyear_activity", "number_of_employees"]
        .iter()
        .map(|name| json!({"name": name, "shape": [calls.len()], "datatype": "BYTES", "data": values(name)}))
        .collect();
    let answer =
        infer(&api, &json!({"inputs": inputs, "outputs": [{"name": "reasons"}, {"name": "probability"}]})).ok();
    let story = |call: &Value| {
        let sentences = call["story"].as_array().unwrap().iter().map(|sentence| sentence.as_str().unwrap());
        json!(sentences.collect::<Vec<_>>().join(" "))
    };
    assert!(!calls.is_empty());
    assert_eq!(output(&answer, "reasons").as_array().unwrap(), &calls.iter().map(story).collect::<Vec<_>>());
    assert_eq!(
        output(&answer, "probability").as_array().unwrap(),
        &calls.iter().map(|call| call["risk"].clone()).collect::<Vec<_>>()
    );
}

#[test]
fn a_wrong_request_is_refused_with_the_tensor_that_is_wrong() {
    let api = Api::deployed();
    let tensor = |shape: Value, datatype: &str, data: Value| {
        json!({"inputs": [{"name": "lastmonth_activity", "shape": shape, "datatype": datatype, "data": data}]})
            .to_string()
    };
    let two = |second: &str| {
        format!(
            r#"{{"inputs": [{{"name": "corporation", "shape": [1], "datatype": "BYTES", "data": ["a"]}}, {second}]}}"#
        )
    };
    let many = (0..100_001).map(|_| "0").collect::<Vec<_>>().join(",");
    let cases: &[(&str, String, u16, &[&str])] = &[
        ("no JSON", "x".to_owned(), 400, &["not an inference request", "inputs"]),
        ("no inputs", "{}".to_owned(), 400, &["missing field `inputs`"]),
        ("empty inputs", r#"{"inputs": []}"#.to_owned(), 400, &["inputs is empty"]),
        ("two objects", r#"{"inputs": []} {}"#.to_owned(), 400, &["more follows"]),
        ("data of the wrong type", tensor(json!([1]), "FP64", json!({"a": 1})), 400, &["inputs[0].data"]),
        ("an object as element", tensor(json!([1]), "FP64", json!([{"a": 1}])), 400, &["inputs[0].data"]),
        (
            "shape",
            tensor(json!([1, 3]), "FP64", json!([1, 2, 3])),
            400,
            &["\"lastmonth_activity\"", "[1, 3]", "[ROWS]"],
        ),
        ("no shape", tensor(json!([]), "FP64", json!([1])), 400, &["\"lastmonth_activity\"", "shape"]),
        ("negative shape", tensor(json!([-1]), "FP64", json!([])), 400, &["inputs[0].shape"]),
        ("length", tensor(json!([3]), "FP64", json!([1, 2])), 400, &["\"lastmonth_activity\"", "2 elements", "3"]),
        ("datatype", tensor(json!([1]), "FP16", json!([1])), 400, &["\"lastmonth_activity\"", "FP16", "FP64"]),
        (
            "text as number",
            tensor(json!([1]), "FP64", json!(["1"])),
            400,
            &["\"lastmonth_activity\"", "element 0", "FP64"],
        ),
        ("fraction as integer", tensor(json!([2]), "INT32", json!([1, 1.5])), 400, &["element 1", "INT32"]),
        ("negative as unsigned", tensor(json!([1]), "UINT8", json!([-1])), 400, &["element 0", "UINT8"]),
        ("truth", tensor(json!([1]), "BOOL", json!([true])), 400, &["row 0", "lastmonth_activity is not a number"]),
        (
            "no number",
            tensor(json!([2]), "BYTES", json!(["1", "many"])),
            400,
            &["row 1", "lastmonth_activity is not a number"],
        ),
        ("negative", tensor(json!([1]), "FP64", json!([-1])), 400, &["row 0", "lastmonth_activity is negative"]),
        (
            "too large",
            tensor(json!([1]), "UINT64", json!([9007199254740993u64])),
            400,
            &["lastmonth_activity is larger"],
        ),
        ("too many rows", tensor(json!([100_001]), "FP64", json!([])), 413, &["more than 100000 rows"]),
        (
            "too many elements",
            format!(
                r#"{{"inputs": [{{"name": "lastmonth_activity", "shape": [1], "datatype": "FP64", "data": [{many}]}}]}}"#
            ),
            400,
            &["more than 100000 elements"],
        ),
        (
            "unknown name",
            two(r#"{"name": "colour", "shape": [1], "datatype": "BYTES", "data": ["a"]}"#),
            400,
            &["\"colour\"", "`lastmonth_activity`"],
        ),
        (
            "twice",
            two(r#"{"name": "corporation", "shape": [1], "datatype": "BYTES", "data": ["a"]}"#),
            400,
            &["\"corporation\"", "sent twice"],
        ),
        (
            "another number of rows",
            two(r#"{"name": "lastmonth_activity", "shape": [2], "datatype": "FP64", "data": [1, 2]}"#),
            400,
            &["\"lastmonth_activity\"", "2 rows", "have 1"],
        ),
        (
            "no data",
            two(r#"{"name": "lastmonth_activity", "shape": [1], "datatype": "FP64"}"#),
            400,
            &["\"lastmonth_activity\"", "binary_data_size"],
        ),
        (
            "missing binary data",
            two(
                r#"{"name": "lastmonth_activity", "shape": [1], "datatype": "FP64", "parameters": {"binary_data_size": 8}}"#,
            ),
            400,
            &["\"lastmonth_activity\"", "8 bytes", "only 0 follow"],
        ),
        (
            "unknown output",
            r#"{"inputs": [], "outputs": [{"name": "score"}]}"#.to_owned(),
            400,
            &["\"score\"", "`probability`"],
        ),
        (
            "an output twice",
            r#"{"inputs": [], "outputs": [{"name": "id"}, {"name": "id"}]}"#.to_owned(),
            400,
            &["\"id\"", "twice"],
        ),
    ];
    for (what, body, status, parts) in cases {
        let answer = api.post_to(INFER, &[], body.as_bytes());
        api.check_problem(what, &answer, *status, parts);
        assert!(answer.json()["error"].is_string(), "{what}: {answer:?}");
    }
    for (length, part) in [("x", "not a number of bytes"), ("-1", "not a number"), ("100", "exceeds the length")] {
        let answer = api.post_to(INFER, &[("inference-header-content-length", length)], b"{}");
        api.check_problem(length, &answer, 400, &[part]);
    }
    let body = tensor(json!([1]), "FP64", json!([1]));
    let answer = api.post_to(
        INFER,
        &[("inference-header-content-length", &body.len().to_string())],
        &[body.as_bytes(), b"abc"].concat(),
    );
    api.check_problem("bytes left", &answer, 400, &["3 bytes of binary data belong to no input"]);
    api.check_alive();
}

/// Sends the tables of stdin with NVIDIA's client, in JSON and in binary, and compares the answers with those of
/// `/prediction`, which stdin has too.
const CLIENT: &str = r#"
import json, sys
import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

client = triton.InferenceServerClient(sys.argv[1])
assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("risk")
metadata = client.get_model_metadata("risk")
version = metadata["versions"][0]
assert client.is_model_ready("risk", version) and not client.is_model_ready("risk", "another")
assert client.get_server_metadata()["name"] == "clients-at-risk"
types = {tensor["name"]: tensor["datatype"] for tensor in metadata["inputs"]}
for case in json.load(sys.stdin):
    n = len(case["probabilities"])
    for binary in [True, False]:
        inputs = []
        for name, values in case["columns"].items():
            kind = types[name]
            if kind == "BYTES":
                array = np.array([value or "" for value in values], dtype=object)
            else:
                array = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
            if not binary and None in values:
                continue
            tensor = triton.InferInput(name, [n, 1] if case["nested"] else [n], kind)
            tensor.set_data_from_numpy(array.reshape(tensor.shape()), binary_data=binary)
            inputs.append(tensor)
        if not binary and len(inputs) < len(case["columns"]):
            continue
        for outputs in [None, [triton.InferRequestedOutput(name, binary_data=not binary) for name in ["probability", "reasons", "prediction"]]]:
            answer = client.infer("risk", inputs, model_version=version, outputs=outputs, request_id="7")
            assert answer.get_response()["id"] == "7"
            assert answer.as_numpy("probability").tolist() == case["probabilities"], case
            assert answer.as_numpy("prediction").tolist() == case["predictions"]
            assert answer.as_numpy("prediction").dtype == np.int64
            reasons = answer.as_numpy("reasons")
            assert len(reasons) == n and all(len(text) > 10 for text in reasons)
            if outputs is None:
                ids = [id.decode() if isinstance(id, bytes) else id for id in answer.as_numpy("id").tolist()]
                assert ids == [id or "" for id in case["ids"]]
integers = triton.InferInput("lastmonth_activity", [2], "INT16") if "lastmonth_activity" in types else None
if integers is not None:
    integers.set_data_from_numpy(np.array([12, 30000], dtype=np.int16))
    assert client.infer("risk", [integers]).as_numpy("probability").shape == (2,)
    integers.set_data_from_numpy(np.array([12, -1], dtype=np.int16))
    try:
        client.infer("risk", [integers])
        raise SystemExit("a negative count was accepted")
    except InferenceServerException as error:
        assert "lastmonth_activity is negative" in error.message() and error.status() == "400", error
print("agreed")
"#;

/// Compares the answers to `rows` with what a real client of the protocol gets.
fn check_client(api: &Api, id: &str, tables: &[Vec<Value>]) {
    let installed = Command::new("python3").args(["-c", "import tritonclient.http"]).stderr(Stdio::null()).status();
    if !installed.is_ok_and(|status| status.success()) {
        return testkit::skipped("python3 cannot import tritonclient.http; install tritonclient[http]");
    }
    let case = |(nested, rows): (usize, &Vec<Value>)| {
        let predicted = api.predict(&json!({"rows": rows})).ok();
        let names = rows.first().unwrap_or(&tables[0][0]).as_object().unwrap().keys();
        let column = |name: &str| rows.iter().map(|row| row[name].clone()).collect::<Value>();
        let columns: serde_json::Map<String, Value> = names.map(|name| (name.clone(), column(name))).collect();
        json!({
            "nested": nested % 2 == 1, "columns": columns, "ids": column(id),
            "probabilities": predicted["probabilities"], "predictions": predicted["predictions"],
        })
    };
    let cases: Vec<Value> = tables.iter().enumerate().map(case).collect();
    let mut python = Command::new("python3");
    let mut python =
        python.args(["-c", CLIENT, api.address()]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    python.stdin.take().unwrap().write_all(json!(cases).to_string().as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), "agreed");
}

#[test]
fn a_client_of_the_protocol_gets_the_same_answers() {
    let api = Api::deployed();
    let row = |i: usize, missing: bool| {
        json!({
            "corporation": format!("größe {i}"), "lastmonth_activity": i * 37 % 900, "lastyear_activity": i as f64 * 0.37,
            "number_of_employees": if missing && i.is_multiple_of(3) { Value::Null } else { json!(i * 53 % 97) },
        })
    };
    let table = |rows: usize, missing: bool| (0..rows).map(|i| row(i, missing)).collect::<Vec<_>>();
    check_client(&api, "corporation", &[table(10_000, false), table(50, true), table(1, false), table(0, false)]);
}

#[test]
fn a_client_sends_levels_and_columns_of_any_name() {
    let api = columns::deployed();
    let (contracts, sizes) = (["Monthly", "Two year", "never seen", "", "NA"], ["klein", "größer"]);
    let row = |i: usize| {
        json!({
            columns::ID: if i == 3 { json!("") } else { json!(i.to_string()) }, "tenure": i * 7 % 70, columns::CHARGES: i as f64 * 0.7,
            columns::TOTAL: i as f64 - 0.5,
            columns::CONTRACT: contracts[i % 5], columns::SIZE: sizes[i % 2],
        })
    };
    check_client(&api, columns::ID, &[(0..200).map(row).collect()]);
    let flags = json!({"inputs": [
        {"name": columns::CONTRACT, "shape": [3], "datatype": "BOOL", "data": [true, false, null]},
        {"name": columns::SIZE, "shape": [3], "datatype": "INT64", "data": [1, -2, null]},
    ]});
    let rows = json!({"rows": [{columns::CONTRACT: true, columns::SIZE: 1}, {columns::CONTRACT: false, columns::SIZE: -2}, {}]});
    let answer = infer(&api, &flags).ok();
    assert_eq!(output(&answer, "probability"), &api.predict(&rows).ok()["probabilities"]);
}
