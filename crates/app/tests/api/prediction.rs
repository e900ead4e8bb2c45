//! Predictions in every form in which clients can be sent.

use common::production::release::Production;
use common::values::Value;
use serde_json::json;

use crate::helpers::Api;

/// Whole, decimal and missing numbers, a missing and a quoted name, and the largest count, as a table.
const TABLE: &str = "corporation,lastmonth_activity,lastyear_activity,number_of_employees,exited
plain,10,100,5,1
,20,,7,0
nothing,,,,
decimals,1.5,0.1,123.456789,NA
\"quoted, \"\"inc.\"\"\",0,0,0,0
größe,9007199254740992,0,1,1
";

/// The same clients as JSON rows.
fn rows() -> serde_json::Value {
    json!([
        {"corporation": "plain", "lastmonth_activity": 10, "lastyear_activity": 100, "number_of_employees": 5, "exited": 1},
        {"corporation": null, "lastmonth_activity": 20, "number_of_employees": 7, "exited": 0},
        {"corporation": "nothing", "lastmonth_activity": null, "lastyear_activity": null, "exited": null},
        {"corporation": "decimals", "lastmonth_activity": 1.5, "lastyear_activity": 0.1, "number_of_employees": 123.456789},
        {"number_of_employees": 0, "lastyear_activity": -0.0, "lastmonth_activity": 0.0, "corporation": "quoted, \"inc.\""},
        {"corporation": "größe", "lastmonth_activity": 9007199254740992u64, "lastyear_activity": 0, "number_of_employees": 1},
    ])
}

/// The predictors of the same clients.
const CLIENTS: [[Option<f64>; 3]; 6] = [
    [Some(10.0), Some(100.0), Some(5.0)],
    [Some(20.0), None, Some(7.0)],
    [None, None, None],
    [Some(1.5), Some(0.1), Some(123.456789)],
    [Some(0.0), Some(0.0), Some(0.0)],
    [Some(9007199254740992.0), Some(0.0), Some(1.0)],
];

#[test]
fn every_form_of_the_same_clients_gets_the_deployed_models_answer() {
    let api = Api::deployed();
    api.workspace.write("testdata/mixed.csv", TABLE);
    let release = Production::of(&api.workspace.config()).live().unwrap();
    let model = release.model().unwrap();
    let probabilities: Vec<f64> =
        CLIENTS.iter().map(|client| model.probability(&client.map(|value| value.map(Value::from)))).collect();
    let predictions: Vec<u8> = probabilities.iter().map(|probability| u8::from(*probability >= 0.5)).collect();
    assert!(predictions.contains(&0) && predictions.contains(&1), "the clients are all alike: {probabilities:?}");
    // Compared as text, because parsing would round the numbers.
    let expected = format!(
        r#"{{"model":"{}","corporations":["plain",null,"nothing","decimals","quoted, \"inc.\"","größe"],"predictions":{},"probabilities":{},"imputed":{}}}"#,
        release.id,
        serde_json::to_string(&predictions).unwrap(),
        serde_json::to_string(&probabilities).unwrap(),
        r#"{"lastmonth_activity":1,"lastyear_activity":2,"number_of_employees":1}"#,
    );

    let windows = format!("\u{feff}{}", TABLE.replace('\n', "\r\n"));
    let path = api.workspace.path("testdata/mixed.csv");
    let file = json!({"filepath": "testdata/mixed.csv"}).to_string();
    let absolute = json!({"filepath": path}).to_string();
    let in_rows = json!({"rows": rows()}).to_string();
    for (form, query, content_type, body) in [
        ("filepath in the body", "", "application/json", file.as_str()),
        ("JSON without a content type", "", "", &file),
        ("JSON as curl -d sends it", "", "application/x-www-form-urlencoded", &file),
        ("absolute filepath", "", "application/json; charset=utf-8", &absolute),
        ("filepath in the query", "?filepath=testdata/mixed.csv", "", ""),
        ("encoded filepath in the query", "?filepath=.%2Ftestdata%2F%6dixed.csv", "application/json", ""),
        ("rows", "", "application/json", &in_rows),
        ("table", "", "text/csv", TABLE),
        ("table from Windows", "", "TEXT/CSV ; header=present", &windows),
    ] {
        let answer = api.post(query, content_type, body.as_bytes());
        answer.ok();
        assert_eq!(answer.text, expected, "{form}");
    }
}

#[test]
fn the_order_of_columns_and_rows_is_the_clients_own() {
    let api = Api::deployed();
    let answer = api.post(
        "",
        "text/csv",
        b"exited,number_of_employees,corporation,lastyear_activity,lastmonth_activity\n0,60,b,40,5\n1,3,a,4000,800\n",
    );
    let answer = answer.ok();
    assert_eq!((&answer["corporations"], &answer["predictions"]), (&json!(["b", "a"]), &json!([1, 0])));
}

#[test]
fn awkward_decimals_mean_the_same_as_json_and_as_csv() {
    let api = Api::deployed();
    // Decimals with 16 and 17 digits, for which a parser that does not round correctly is wrong in the last bit. They
    // are so large that the probability is near 0, where it reveals the last bit of the log-odds.
    let decimals: Vec<f64> = (1..2000).map(|i| 20_000.0 + 70_000.0 / f64::from(2 * i + 1)).collect();
    let row = |number| json!({"lastmonth_activity": 0, "lastyear_activity": number, "number_of_employees": 0});
    let rows: Vec<_> = decimals.iter().map(row).collect();
    let table: String = decimals.iter().map(|number| format!(",0,{number},0,\n")).collect();
    let in_rows = api.predict(&json!({"rows": rows}));
    let in_table = api.post("", "text/csv", format!("{}{table}", testkit::HEADER).as_bytes());
    in_rows.ok();
    let different = in_rows.text.split(',').zip(in_table.text.split(',')).filter(|(a, b)| a != b).count();
    assert_eq!(different, 0, "of {} probabilities", decimals.len());
}

#[test]
fn the_threshold_that_the_release_was_scored_with_decides() {
    let api = Api::deployed();
    let client = json!({"rows": [{}]});
    let probability = api.predict(&client).ok()["probabilities"][0].as_f64().unwrap();
    let mut workspace = api.workspace;
    for (threshold, prediction) in [(probability / 2.0, 1), ((1.0 + probability) / 2.0, 0)] {
        workspace.set("threshold", json!(threshold));
        workspace.run("scoring", &[]);
        workspace.run("deployment", &[]);
        let api = Api::of(workspace);
        assert_eq!(api.predict(&client).ok()["predictions"], json!([prediction]), "{threshold} for {probability}");
        workspace = api.workspace;
    }
}

#[test]
fn no_clients_get_no_predictions() {
    let api = Api::deployed();
    api.workspace.csv("testdata/empty.csv", "");
    let empty = json!({"corporations": [], "predictions": [], "probabilities": [], "imputed": {}});
    for (form, answer) in [
        ("rows", api.predict(&json!({"rows": []}))),
        ("table", api.post("", "text/csv", testkit::HEADER.as_bytes())),
        ("file", api.predict(&json!({"filepath": "testdata/empty.csv"}))),
    ] {
        let mut answer = answer.ok();
        assert!(answer["model"].is_string(), "{form}");
        answer.as_object_mut().unwrap().remove("model");
        assert_eq!(answer, empty, "{form}");
    }
}

#[test]
fn many_rows_have_one_entry_each_in_their_order() {
    let api = Api::deployed();
    let n = 3000; // larger than what is answered on the event loop itself
    let rows: Vec<_> =
        (0..n).map(|i| json!({"corporation": i.to_string(), "lastmonth_activity": 5 + 800 * (i % 2)})).collect();
    let answer = api.predict(&json!({"rows": rows})).ok();
    let names: Vec<_> = (0..n).map(|i| i.to_string()).collect();
    assert_eq!(answer["corporations"], json!(names));
    assert_eq!(answer["predictions"].as_array().unwrap().len(), n);
    let first = answer["probabilities"][0].as_f64().unwrap();
    let second = answer["probabilities"][1].as_f64().unwrap();
    assert!(first > second);
    assert!((0..n).all(|i| answer["probabilities"][i] == if i % 2 == 0 { first } else { second }));
    assert_eq!(answer["imputed"], json!({"lastyear_activity": n, "number_of_employees": n}));
}
