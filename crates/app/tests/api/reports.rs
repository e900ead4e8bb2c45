//! Endpoints for operators: score, statistics and health, and their answers if something is missing.

use common::schema::Schema;
use serde_json::{Value, json};
use testkit::Workspace;

use crate::helpers::{Api, OUTPUTS};

#[test]
fn the_score_is_that_of_the_scoring_step() {
    let api = Api::deployed();
    // Rows that are predicted wrongly, unlabelled, or imputed, so that no count is 0 by chance.
    let awkward = "u1,5,40,60,0\nu2,800,4000,3,1\nu3,5,40,60,\nu4,,40,60,1\n";
    api.workspace.csv("testdata/more.csv", awkward);
    let answer = api.get("/scoring");
    assert_eq!(answer.ok()["n"], 11);
    let of_the_step = api.workspace.run("scoring", &["--deployed", "--json"]);
    assert_eq!(answer.text.replace(",\"age_seconds\":0}", "}"), of_the_step.trim());
    // A newer model that is not deployed changes nothing.
    api.workspace.csv("practicedata/dataset3.csv", &testkit::rows("c", 500, true));
    for step in ["ingestion", "training"] {
        api.workspace.run(step, &[]);
    }
    assert_eq!(api.get("/scoring").text.split(",\"age").next(), answer.text.split(",\"age").next());
}

#[test]
fn the_statistics_are_those_that_a_calculation_by_hand_gives() {
    let workspace = Workspace::new();
    workspace.csv("practicedata/1.csv", "a,1,10,5,0\nb,2,10,5,1\nc,4,30,5,1\n");
    workspace.csv("practicedata/2.csv", "b,2,10,5,1\nd,9,30,5,\ne,,20,5,0\n"); // b occurs again and counts once
    workspace.run("ingestion", &[]);
    let api = Api::of(workspace);
    let expected = json!([
        {"column": "lastmonth_activity", "mean": 4.0, "median": 3.0, "std": 3.559026084010437, "mode": 1.0},
        {"column": "lastyear_activity", "mean": 20.0, "median": 20.0, "std": 10.0, "mode": 10.0},
        {"column": "number_of_employees", "mean": 5.0, "median": 5.0, "std": 0.0, "mode": 5.0},
        {"column": "exited", "mean": 0.5, "median": 0.5, "std": 0.5773502691896257, "mode": 0.0},
    ]);
    let answer = api.get("/summarystats").ok();
    let (found, expected) = (answer.as_array().unwrap(), expected.as_array().unwrap());
    assert_eq!(found.len(), expected.len(), "{answer}");
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found["column"], expected["column"]);
        assert_eq!(found.as_object().unwrap().len(), 5, "{found}");
        for statistic in ["mean", "median", "std", "mode"] {
            let (found, expected) = (found[statistic].as_f64().unwrap(), expected[statistic].as_f64().unwrap());
            assert!((found - expected).abs() <= 1e-12, "{statistic}: {found} is not {expected}");
        }
    }
}

#[test]
fn the_call_list_is_of_the_deployed_model_and_the_current_clients() {
    let api = Api::deployed();
    let list = api.get("/calllist").ok();
    // Half of the 120 clients have left; the capacity is 50.
    assert_eq!((&list["clients"], &list["called"], &list["capacity"]), (&json!(60), &json!(50), &json!(50)));
    let calls = list["calls"].as_array().unwrap();
    assert_eq!((calls.len(), &calls[0]["rank"], &calls[0]["call"]), (50, &json!(1), &json!(true)));
    let risk = |call: &Value| call["risk"].as_f64().unwrap();
    assert!(calls.windows(2).all(|pair| risk(&pair[0]) >= risk(&pair[1])));
    let row = &calls[0];
    let values: Vec<_> =
        row["reasons"].as_array().unwrap().iter().map(|r| (r["predictor"].clone(), r["value"].clone())).collect();
    let mut asked = json!({"corporation": row["corporation"]});
    values.into_iter().for_each(|(predictor, value)| asked[predictor.as_str().unwrap()] = value);
    let predicted = api.predict(&json!({"rows": [asked]})).ok();
    assert_eq!((&predicted["probabilities"][0], &predicted["model"]), (&row["risk"], &list["model"]));

    assert_eq!(api.get("/calllist?limit=2").ok()["calls"], json!(calls[..2]));
    assert_eq!(api.get("/calllist?limit=1000").ok()["calls"].as_array().unwrap().len(), 60);
    api.check_problem("limit", &api.get("/calllist?limit=100001"), 422, &["100001", "100000"]);
    for wrong in ["limit=-1", "limit=x", "offset=3"] {
        api.check_problem(wrong, &api.get(&format!("/calllist?{wrong}")), 400, &["query"]);
    }
}

#[test]
fn the_diagnosis_has_the_agreed_shape() {
    let lock = "[[package]]\nname = \"newest\"\nversion = \"0.0.0\"\ndependencies = [\"serde\"]\n\
        [[package]]\nname = \"serde\"\nversion = \"99.0.0\"\nsource = \"registry\"";
    let api = Api::with_cargo(&format!("cat > Cargo.lock <<'END'\n{lock}\nEND"));
    let answer = api.get("/diagnostics").ok();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&answer), ["age_seconds", "dependencies", "missing_percent", "timing_seconds"]);
    assert_eq!(keys(&answer["timing_seconds"]), ["ingestion", "training"]);
    for step in ["ingestion", "training"] {
        assert!(answer["timing_seconds"][step].as_f64().unwrap() > 0.0, "{answer}");
    }
    let missing = |column: &str| json!({"column": column, "percent": 0.0});
    assert_eq!(answer["missing_percent"], Value::from_iter(Schema::default().columns().map(missing)));
    let dependencies = answer["dependencies"].as_array().unwrap();
    for dependency in dependencies {
        let name = dependency["name"].as_str().unwrap();
        let version = dependency["current"].as_str().unwrap();
        assert!(version.starts_with(|c: char| c.is_ascii_digit()), "{dependency}");
        assert_eq!(dependency["latest"], if name == "serde" { "99.0.0" } else { "unknown" });
    }
    assert!(dependencies.iter().any(|dependency| dependency["name"] == "serde"), "{answer}");
}

#[test]
fn no_page_changes_an_output() {
    let api = Api::deployed();
    let before = api.workspace.snapshot(&OUTPUTS);
    assert!(before.len() > 10, "{before:?}");
    for page in ["/scoring", "/summarystats", "/diagnostics", "/calllist", "/nothing"] {
        api.get(page);
    }
    for body in [json!({"filepath": "testdata/testdata.csv"}), json!({"rows": [{}]}), json!({"rows": 1})] {
        api.predict(&body);
    }
    api.post("", "text/csv", testkit::HEADER.as_bytes());
    assert!(api.workspace.snapshot(&OUTPUTS) == before, "a request has changed an output");
}

#[test]
fn what_is_missing_is_answered_with_503_and_what_to_run() {
    let workspace = Workspace::with_data();
    let api = Api::of(workspace);
    for (what, answer, step) in [
        ("rows", api.predict(&json!({"rows": [{}]})), "fullprocess"),
        ("file", api.predict(&json!({"filepath": "testdata/testdata.csv"})), "fullprocess"),
        ("table", api.post("", "text/csv", testkit::HEADER.as_bytes()), "fullprocess"),
        ("score", api.get("/scoring"), "fullprocess"),
        ("statistics", api.get("/summarystats"), "ingestion"),
    ] {
        api.check_problem(what, &answer, 503, &["run", step]);
    }
    // As soon as data and a release exist, the same server serves them.
    api.workspace.deploy();
    for page in ["/scoring", "/summarystats", "/diagnostics", "/calllist"] {
        api.get(page).ok();
    }
    api.check_alive();
}

#[test]
fn a_diagnosis_without_data_is_answered_with_503_and_what_to_run() {
    let api = Api::of(Workspace::with_data());
    api.check_problem("diagnosis", &api.get("/diagnostics"), 503, &["run", "ingestion"]);
}

#[test]
fn test_data_that_cannot_be_scored_are_answered_with_503() {
    let api = Api::deployed();
    for content in ["name,wage\ntopsecret,1\n", ""] {
        api.workspace.write("testdata/testdata.csv", content);
        let answer = api.get("/scoring");
        api.check_problem("unusable test data", &answer, 503, &["test data cannot be scored"]);
        assert!(!answer.text.contains("topsecret"), "{answer:?}");
    }
    std::fs::remove_file(api.workspace.path("testdata/testdata.csv")).unwrap();
    api.check_problem("no test data", &api.get("/scoring"), 503, &["test data cannot be scored"]);
    api.check_alive();
}
