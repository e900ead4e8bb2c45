//! Tests of the program `scoring`: the score is correct, and only the default scoring changes the recorded score.

#![expect(clippy::unwrap_used, reason = "a test that cannot make its workspace has failed")]

use std::time::Duration;
use std::{fs, thread};

use common::files::lock::Lock;
use scoring::Options;
use serde_json::{Value, json};
use testkit::faults::kill_at_many_moments;
use testkit::{Workspace, rows};

/// Creates a workspace with a trained model whose predictions are known: `LEAVES` is a client that it predicts to
/// leave, `STAYS` one that it predicts to stay. Two of three clients stay, and only last month's activity differs
/// between the groups, so its training median is that of a client that stays.
fn trained() -> Workspace {
    let workspace = Workspace::new();
    let row = |i: u32| match i % 3 {
        0 => format!("a{i},{},1000,10,1\n", 5 + i % 7),
        _ => format!("a{i},{},1000,10,0\n", 790 + i % 9),
    };
    workspace.csv("practicedata/dataset1.csv", &(0..90).map(row).collect::<String>());
    workspace.csv("testdata/testdata.csv", &labelled(MIXED));
    workspace.run("ingestion", &[]);
    workspace.run("training", &[]);
    workspace
}

const LEAVES: &str = "x,5,1000,10,";
const STAYS: &str = "x,795,1000,10,";

/// Three true positives, one false positive, two false negatives, two true negatives: F1 = 6 / (6 + 1 + 2).
const MIXED: &[(&str, &str, usize)] = &[(LEAVES, "1", 3), (LEAVES, "0", 1), (STAYS, "1", 2), (STAYS, "0", 2)];
const MIXED_F1: f64 = 6.0 / 9.0;

/// Formats rows of clients with an `exited`, each repeated the given number of times.
fn labelled(clients: &[(&str, &str, usize)]) -> String {
    clients.iter().map(|(client, exited, times)| format!("{client}{exited}\n").repeat(*times)).collect()
}

const RECORD: &[&str] = &["practicemodels/latestscore.txt", "practicemodels/latestscore.json"];

/// Folders that a scoring which records nothing must not change.
const FOLDERS: &[&str] = &["practicemodels", "production_deployment", "ingesteddata", "testdata", "practicedata"];

#[test]
fn the_recorded_score_is_the_plain_f1_computed_by_hand() {
    let workspace = trained();
    let outcome = workspace.run_json("scoring", &[]);
    let text = workspace.text("practicemodels/latestscore.txt");
    assert_eq!(text, MIXED_F1.to_string());
    assert_eq!(text.parse::<f64>().unwrap(), 0.6666666666666666);
    let counts = json!({"true_positives": 3, "false_positives": 1, "false_negatives": 2, "true_negatives": 2});
    let expected = [
        ("f1", json!(MIXED_F1)),
        ("precision", json!(0.75)),
        ("recall", json!(0.6)),
        ("n", json!(8)),
        ("confusion", counts),
    ];
    for (key, value) in expected {
        assert_eq!(outcome[key], value, "{key}");
    }
    assert_eq!(outcome["data"], json!(["testdata.csv"]));
    assert!(workspace.run("scoring", &[]).starts_with("F1 0.6666666666666666 of model "));
}

#[test]
fn every_csv_of_the_test_folder_is_scored() {
    let workspace = trained();
    workspace.csv("testdata/MORE.CSV", &labelled(&[(STAYS, "1", 1)]));
    workspace.csv("testdata/.hidden.csv", &labelled(&[(STAYS, "1", 1)]));
    let outcome = workspace.run_json("scoring", &[]);
    assert_eq!((&outcome["data"], &outcome["f1"]), (&json!(["MORE.CSV", "testdata.csv"]), &json!(6.0 / 10.0)));
}

#[test]
fn rows_without_exited_are_left_out_and_a_missing_predictor_counts_as_its_median_and_both_are_counted() {
    let workspace = trained();
    // If the unlabelled clients were scored as having stayed, or the missing activity as 0, F1 would differ.
    let unlabelled = labelled(&[(LEAVES, "NA", 1), (STAYS, "", 1), (LEAVES, "", 1)]);
    let incomplete = "x,,1000,10,1\nx,NA,NA,NA,0\n";
    workspace.csv("testdata/testdata.csv", &[&labelled(MIXED), &unlabelled, incomplete].concat());
    let output = workspace.output("scoring", &["--json"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    let outcome: Value = serde_json::from_slice(&output.stdout).unwrap();
    let counts = json!({"true_positives": 3, "false_positives": 1, "false_negatives": 3, "true_negatives": 3});
    assert_eq!((&outcome["confusion"], &outcome["n"]), (&counts, &json!(10)));
    assert_eq!((&outcome["unlabelled"], &outcome["imputed"]), (&json!(3), &json!(2)));
    assert_eq!(workspace.text("practicemodels/latestscore.txt"), "0.6"); // 6 / (6 + 1 + 3)
    assert!(stderr.contains("warning: 3 rows have no known exited"), "{stderr}");
    assert!(stderr.contains("warning: 2 rows have a missing predictor"), "{stderr}");
}

#[test]
fn malformed_new_rows_are_left_out_and_counted_and_malformed_test_rows_refused() {
    let workspace = trained();
    let good = labelled(MIXED).repeat(5); // 40 rows
    let rows = format!("{good}x,many,1000,10,1\nx,5,1000,10,2\n");
    workspace.csv("testdata/testdata.csv", &rows);
    let refused = workspace.fail("scoring", &[]);
    assert!(refused.contains("testdata.csv") && refused.contains("line 42: lastmonth_activity"), "{refused}");
    let path = workspace.path("testdata/testdata.csv").display().to_string();
    let outcome = workspace.run_json("scoring", &["--data", &path]);
    assert_eq!((&outcome["malformed"], &outcome["n"], &outcome["f1"]), (&json!(2), &json!(40), &json!(MIXED_F1)));
}

#[test]
fn without_any_positive_f1_is_zero_with_a_warning() {
    let workspace = trained();
    for (rows, warned) in [
        (labelled(&[(STAYS, "0", 3)]), true),
        (labelled(&[(LEAVES, "0", 3)]), false), // 0, because all three are false positives
        (labelled(&[(STAYS, "1", 3)]), false),
    ] {
        workspace.csv("testdata/testdata.csv", &rows);
        let output = workspace.output("scoring", &[]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{stderr}");
        assert_eq!(workspace.text("practicemodels/latestscore.txt"), "0", "{rows}");
        assert_eq!(stderr.contains("F1 is 0 by convention"), warned, "{rows}{stderr}");
    }
}

#[test]
fn scoring_another_model_or_other_data_or_a_dry_run_never_changes_the_record() {
    let workspace = trained();
    workspace.run("scoring", &[]);
    workspace.run("deployment", &[]);
    // From here on every score differs from the recorded one, so writing any of them would be noticed.
    workspace.csv("testdata/testdata.csv", &labelled(&[(LEAVES, "1", 1), (STAYS, "1", 1)]));
    workspace.csv("other/other.csv", &labelled(&[(LEAVES, "0", 1), (LEAVES, "1", 1)]));
    workspace.csv("other/more.csv", &labelled(&[(STAYS, "1", 2)]));
    let other = workspace.path("other/other.csv");
    let more = workspace.path("other/more.csv");
    let (other, more) = (other.to_str().unwrap(), more.to_str().unwrap());
    let before = workspace.snapshot(FOLDERS);

    // Arguments, the score computed by hand, and the number of runs added to the history.
    let cases: [(&[&str], f64, u64); 8] = [
        (&["--deployed"], 2.0 / 3.0, 1),
        (&["--data", other], 2.0 / 3.0, 1),
        (&["--data", other, more], 2.0 / 5.0, 1),
        (&["--deployed", "--data", more], 0.0, 1),
        (&["--dry-run"], 2.0 / 3.0, 0),
        (&["--deployed", "--dry-run"], 2.0 / 3.0, 0),
        (&["--dry-run", "--data", other, more], 2.0 / 5.0, 0),
        (&["--deployed", "--dry-run", "--data", more], 0.0, 0),
    ];
    for (arguments, f1, runs) in cases {
        let history = ["runs", "scores"].map(|table| workspace.history_rows(table));
        let outcome = workspace.run_json("scoring", arguments);
        assert_eq!(outcome["f1"], json!(f1), "{arguments:?}");
        assert!(workspace.snapshot(FOLDERS) == before, "{arguments:?} has changed something");
        let now = ["runs", "scores"].map(|table| workspace.history_rows(table));
        assert_eq!(now, history.map(|rows| rows + runs), "{arguments:?}");
    }
    workspace.run("scoring", &[]);
    assert!(workspace.snapshot(RECORD) != before, "this scoring is the one that records");
    assert_eq!(workspace.text("practicemodels/latestscore.txt"), (2.0f64 / 3.0).to_string());
}

#[test]
fn the_deployed_model_is_scored_even_where_another_has_been_trained_since() {
    let workspace = trained();
    workspace.run("scoring", &[]);
    workspace.run("deployment", &[]);
    let deployed = workspace.run_json("scoring", &["--deployed"]);
    workspace.csv("practicedata/dataset1.csv", &rows("b", 60, true));
    workspace.run("ingestion", &[]);
    workspace.run("training", &[]);
    assert_eq!(workspace.run_json("scoring", &["--deployed"]), deployed);
    assert_ne!(workspace.run_json("scoring", &["--dry-run"])["model_sha256"], deployed["model_sha256"]);
}

#[test]
fn both_models_are_compared_on_the_same_rows() {
    let mut workspace = trained();
    workspace.run("scoring", &[]);
    workspace.run("deployment", &[]);
    let refused = workspace.output("scoring", &["--against-deployed", "--deployed"]);
    assert_eq!(refused.status.code(), Some(2));
    // The new model predicts of every client that it leaves; of the rows of the highest risk, one stays.
    workspace.set("threshold", json!(1e-300));
    workspace.set("call_capacity", json!(4));
    let outcome = workspace.run_json("scoring", &["--against-deployed"]);
    let [alone, deployed] = [&[][..], &["--deployed"]].map(|arguments| workspace.run_json("scoring", arguments));
    let against = &outcome["against"];
    assert_eq!(against["release"], deployed["model"]);
    let left = json!({"both": 3, "only_challenger": 2, "only_champion": 0, "neither": 0});
    let stayed = json!({"both": 1, "only_challenger": 2, "only_champion": 0, "neither": 0});
    assert_eq!(against["joint"], json!({"left": left, "stayed": stayed}));
    assert_eq!(outcome["confusion"], alone["confusion"]);
    assert_eq!(deployed["confusion"]["true_positives"], json!(3));
    let top = json!({"clients": 4, "left_both": 3.0, "left_only_challenger": 0.0, "left_only_champion": 0.0, "exchanged": 0.0});
    assert_eq!(against["top"], top);
    assert!(alone.get("against").is_none() && outcome["test_sha256"] == alone["test_sha256"]);
    let text = workspace.run("scoring", &["--against-deployed"]);
    assert!(text.contains(&format!("F1 {MIXED_F1} of release ")) && text.contains("95 % interval"), "{text}");

    fs::remove_dir_all(workspace.path("production_deployment")).unwrap();
    assert!(workspace.fail("scoring", &["--against-deployed"]).contains("nothing is deployed"));
}

#[test]
fn test_rows_that_training_has_seen_are_counted_and_may_be_refused() {
    let mut workspace = trained();
    let overlap = |workspace: &Workspace| workspace.run_json("scoring", &[])["overlap"].clone();
    assert_eq!(overlap(&workspace), json!({"rows": 0, "clients": 0}));
    // The client a3 with other values, the row of a0 in another spelling, and a row of a1 whose outcome is unknown.
    let seen = "a3,1,1,1,0\na0,5.0, 1000,10,1\na0,5,1000,10,1\na1,791,1000,10,\n";
    workspace.csv("testdata/testdata.csv", &(labelled(MIXED) + seen));
    assert_eq!(overlap(&workspace), json!({"rows": 2, "clients": 2, "example": "a0"}));
    let stderr = String::from_utf8(workspace.output("scoring", &[]).stderr).unwrap();
    assert!(
        stderr.contains("2 of 11 test rows are also in the training data") && stderr.contains("of a0,"),
        "{stderr}"
    );
    workspace.run("deployment", &[]);
    assert!(workspace.text("production_deployment/current/manifest.json").contains("\"example\": \"a0\""));

    workspace.set("test_overlap", json!("refuse"));
    let before = workspace.snapshot(RECORD);
    for arguments in [&[][..], &["--dry-run"]] {
        let refused = workspace.fail("scoring", arguments);
        for part in ["\"test_overlap\": \"refuse\"", "2 of 11 test rows", "of a0", "remove them", "testdata"] {
            assert!(refused.contains(part), "{part} is not in {refused}");
        }
    }
    assert!(workspace.snapshot(RECORD) == before);
    workspace.run("scoring", &["--deployed"]); // is no new model

    // The same client with other values is no reason to refuse.
    workspace.csv("testdata/testdata.csv", &(labelled(MIXED) + "a3,1,1,1,0\n"));
    let stderr = String::from_utf8(workspace.output("scoring", &[]).stderr).unwrap();
    assert!(stderr.contains("1 clients of the test data") && stderr.contains("weaker leak"), "{stderr}");

    // Another dataset says nothing about the training data of the model.
    workspace.csv("practicedata/dataset2.csv", &rows("b", 10, false));
    workspace.run("ingestion", &[]);
    assert!(workspace.fail("scoring", &[]).contains("is not the one that the model was trained on"));
    workspace.set("test_overlap", json!("warn"));
    assert_eq!(overlap(&workspace), json!(null));
}

#[test]
fn a_predictor_that_alone_separates_is_named() {
    let workspace = trained();
    let separated = labelled(&[(LEAVES, "1", 10), (STAYS, "0", 10)]);
    let named = |rows: &str| {
        workspace.csv("testdata/testdata.csv", rows);
        let output = workspace.output("scoring", &["--json"]);
        let outcome: Value = serde_json::from_slice(&output.stdout).unwrap();
        let warned = String::from_utf8(output.stderr).unwrap().contains("lastmonth_activity alone separates");
        assert_eq!(warned, outcome.get("separating").is_some());
        outcome["separating"].clone()
    };
    assert_eq!(named(&separated), json!([{"predictor": "lastmonth_activity", "auc": 1.0}]));
    // Also if the model is wrong about the direction.
    let inverted = labelled(&[(LEAVES, "0", 10), (STAYS, "1", 10)]);
    assert_eq!(named(&inverted), json!([{"predictor": "lastmonth_activity", "auc": 1.0}]));
    assert_eq!(named(&labelled(MIXED).repeat(10)), json!(null));
    assert_eq!(named(&labelled(&[(LEAVES, "1", 9), (STAYS, "0", 100)])), json!(null), "that may be chance");
}

#[test]
fn a_changed_threshold_is_for_the_next_model_and_not_for_the_deployed_one() {
    let mut workspace = trained();
    workspace.run("scoring", &[]);
    workspace.run("deployment", &[]);
    workspace.set("threshold", json!(1e-300)); // every client is predicted to leave
    let deployed = workspace.run_json("scoring", &["--deployed"]);
    assert_eq!((&deployed["f1"], &deployed["threshold"]), (&json!(MIXED_F1), &json!(0.5)));
    let next = workspace.run_json("scoring", &["--dry-run"]);
    assert_eq!(next["f1"], json!(10.0 / 13.0)); // 5 of 8 left: 2 * 5 / (2 * 5 + 3)
}

#[test]
fn a_dry_run_makes_no_history() {
    let workspace = trained();
    for name in ["history.sqlite", "history.sqlite.lock"] {
        fs::remove_file(workspace.path(name)).unwrap();
    }
    let before = workspace.snapshot(&["."]);
    workspace.run("scoring", &["--dry-run"]);
    assert!(workspace.snapshot(&["."]) == before);
}

#[test]
fn every_failure_names_its_cause_and_keeps_the_old_score() {
    type Fault = fn(&Workspace);
    let faults: [(Fault, &[&str], &[&str]); 12] = [
        (
            |w| fs::remove_file(w.path("practicemodels/trainedmodel.bin")).unwrap(),
            &[],
            &["trainedmodel.bin", "run training"],
        ),
        (|w| cut_short(w, "practicemodels/trainedmodel.bin"), &[], &["trainedmodel.bin", "cut short", "run training"]),
        (|w| w.write("practicemodels/trainedmodel.bin", ""), &[], &["trainedmodel.bin", "cut short"]),
        (|w| flip_a_bit(w, "practicemodels/trainedmodel.bin"), &[], &["trainedmodel.bin", "checksum"]),
        (|w| w.write("practicemodels/trainedmodel.bin", &"no model ".repeat(50)), &[], &["trainedmodel.bin"]),
        (
            |w| cut_short(w, "production_deployment/trainedmodel.bin"),
            &["--deployed"],
            &["trainedmodel.bin", "roll back"],
        ),
        (
            |w| fs::remove_dir_all(w.path("production_deployment")).unwrap(),
            &["--deployed"],
            &["nothing is deployed", "fullprocess"],
        ),
        (|w| fs::remove_file(w.path("testdata/testdata.csv")).unwrap(), &[], &["testdata", "no CSV file"]),
        (
            |w| w.csv("testdata/testdata.csv", &labelled(&[(LEAVES, "", 1)])),
            &[],
            &["testdata", "no row whose exited is known"],
        ),
        (|w| w.csv("testdata/testdata.csv", "x,5\n"), &[], &["testdata.csv", "line 2: 2 fields"]),
        (
            |w| w.write("testdata/testdata.csv", "corporation,exited\nx,1\n"),
            &[],
            &["testdata.csv", "lastmonth_activity"],
        ),
        (|_| {}, &["--data", "/no/such/file.csv"], &["/no/such/file.csv"]),
    ];
    for (fault, arguments, words) in faults {
        let workspace = trained();
        workspace.run("scoring", &[]);
        workspace.run("deployment", &[]);
        fault(&workspace);
        let before = workspace.snapshot(RECORD);
        let stderr = workspace.fail("scoring", arguments);
        for word in words {
            assert!(stderr.contains(word), "{word:?} is not in {stderr}");
        }
        assert!(workspace.snapshot(RECORD) == before, "the old score has changed, though: {stderr}");
        workspace.assert_no_leftovers("practicemodels");
    }
}

fn cut_short(workspace: &Workspace, name: &str) {
    let bytes = workspace.read(name);
    fs::write(workspace.path(name), &bytes[..bytes.len() - 1]).unwrap();
}

fn flip_a_bit(workspace: &Workspace, name: &str) {
    let mut bytes = workspace.read(name);
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(workspace.path(name), bytes).unwrap();
}

#[test]
fn a_model_that_is_being_trained_is_not_scored() {
    let workspace = trained();
    let training = Lock::acquire(&workspace.config().output_model, "training or scoring").unwrap();
    let stderr = workspace.fail("scoring", &[]);
    assert!(stderr.contains("another step is at work"), "{stderr}");
    workspace.run("scoring", &["--dry-run"]); // needs no lock, because it only reads
    drop(training);
    // A child that another test is starting may hold a copy of the lock for a moment.
    let scored = || {
        thread::sleep(Duration::from_millis(50));
        workspace.output("scoring", &[]).status.success()
    };
    assert!((0..100).any(|_| scored()), "the lock is still held");
}

#[test]
fn wrong_usage_exits_with_two_and_does_nothing() {
    let workspace = trained();
    let before = workspace.snapshot(&["."]);
    for arguments in
        [&["--no-such-flag"][..], &["--data"], &["extra"], &["--deployed=yes"], &["--deployed", "--deployed"]]
    {
        let output = workspace.output("scoring", arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains("error:") && output.stdout.is_empty(), "{arguments:?}: {stderr}");
    }
    assert!(workspace.snapshot(&["."]) == before);
    let help = workspace.run("scoring", &["--help"]);
    for flag in ["--deployed", "--data", "--dry-run", "--config", "--json"] {
        assert!(help.contains(flag), "{flag} is not in {help}");
    }
}

#[test]
fn predictions_are_written_for_every_row_whether_or_not_it_is_labelled() {
    let workspace = trained();
    let header = "number_of_employees,corporation,lastmonth_activity,lastyear_activity\n";
    workspace.write(
        "new.csv",
        &format!("{header}10,\"a, b\",5,1000\n10,,795,1000\n,c,,\n10,d,x,1000\n{}", { "10,e,5,1000\n".repeat(20) }),
    );
    let path = workspace.path("risks/predictions.csv");
    let new = workspace.path("new.csv");
    let before = workspace.snapshot(RECORD);
    let arguments = ["--data", new.to_str().unwrap(), "--predictions", path.to_str().unwrap()];
    let outcome = workspace.run_json("scoring", &arguments);
    assert_eq!((&outcome["predicted"], &outcome["n"], &outcome["malformed"]), (&json!(23), &json!(0), &json!(1)));
    assert_eq!(workspace.snapshot(RECORD), before);
    let text = workspace.text("risks/predictions.csv");
    let rows: Vec<&str> = text.lines().collect();
    let columns = "corporation,lastmonth_activity,lastyear_activity,number_of_employees,exited,probability,prediction";
    assert_eq!((rows[0], rows.len()), (columns, 24));
    let probability = |row: &str| row.split(',').rev().nth(1).unwrap().parse::<f64>().unwrap();
    assert!(rows[1].starts_with("\"a, b\",5,1000,10,,") && rows[1].ends_with(",1") && probability(rows[1]) > 0.5);
    assert!(rows[2].starts_with(",795,1000,10,,") && rows[2].ends_with(",0") && probability(rows[2]) < 0.5);
    assert!(rows[3].starts_with("c,,,,,") && probability(rows[3]) < 0.5, "medians are imputed: {}", rows[3]);

    workspace.write("new.csv", "corporation\n");
    assert!(workspace.fail("scoring", &arguments).contains("lastmonth_activity is missing"));
    assert_eq!(workspace.text("risks/predictions.csv"), text);
}

#[test]
fn a_dry_run_of_the_library_writes_no_predictions() {
    let workspace = trained();
    let path = workspace.path("risks/predictions.csv");
    let options = Options { dry_run: true, predictions: Some(path.clone()), ..Options::default() };
    for run in [scoring::run, scoring::evaluate] {
        let error = run(&workspace.config(), &options).unwrap_err().to_string();
        assert!(error.contains("a dry run writes no predictions"), "{error}");
    }
    assert!(!path.exists() && !workspace.path("risks").exists());
}

#[test]
fn what_killed_writers_of_predictions_left_is_removed_by_the_next_one() {
    let workspace = trained();
    let path = workspace.path("risks/predictions.csv");
    let data = workspace.path("testdata/testdata.csv");
    let command = || {
        let mut command = workspace.command("scoring");
        command.arg("--data").arg(&data).arg("--predictions").arg(&path);
        command
    };
    kill_at_many_moments(40, command, || ());
    assert!(command().output().unwrap().status.success());
    workspace.assert_no_leftovers("risks");
}

/// Rows from which the model is calibrated: of the clients predicted to leave, three of four leave, of the others one of
/// four.
const CALIBRATING: &[(&str, &str, usize)] =
    &[(LEAVES, "1", 300), (LEAVES, "0", 100), (STAYS, "1", 100), (STAYS, "0", 300)];

fn estimated(workspace: &Workspace, rows: &str) -> Value {
    workspace.csv("new/new.csv", rows);
    let path = workspace.path("new/new.csv").display().to_string();
    workspace.run_json("scoring", &["--deployed", "--data", &path])["estimated"].clone()
}

#[test]
fn the_quality_on_new_rows_is_estimated_without_their_labels() {
    let workspace = trained();
    workspace.csv("testdata/testdata.csv", &labelled(CALIBRATING));
    workspace.run("scoring", &[]);
    workspace.run("deployment", &[]);
    let rows = |left: &str, stayed: &str| labelled(&[(LEAVES, left, 60), (STAYS, stayed, 100)]);
    let quality = estimated(&workspace, &rows("", "NA"));
    assert_eq!((&quality["rows"], &quality["calibrated"]), (&json!(160), &json!(true)));
    // About 45 of 60 true positives and 25 of 100 false negatives, although the model itself is nearly certain.
    for (key, value) in [("precision", 0.75), ("recall", 45.0 / 70.0), ("f1", 90.0 / 130.0)] {
        let number = |end: &str| quality[format!("{key}{end}")].as_f64().unwrap();
        assert!((number("") - value).abs() < 0.05, "{key} {quality}");
        assert!(number("_low") < value - 0.05 && value + 0.05 < number("_high"), "{key} {quality}");
    }
    // Labels change nothing.
    assert_eq!(estimated(&workspace, &rows("1", "0")), quality);
    assert_eq!(estimated(&workspace, &rows("0", "")), quality);
    let path = workspace.path("new/new.csv").display().to_string();
    let text = workspace.run("scoring", &["--deployed", "--data", &path]);
    assert!(
        text.contains("\n  estimated F1 0.") && text.contains("calibrated probabilities of all 160 rows"),
        "{text}"
    );
    // Neither the test data nor the trained model are estimated: their labels are known, or its calibration is not.
    for arguments in [&["--deployed"][..], &["--data", &path], &[]] {
        assert_eq!(workspace.run_json("scoring", arguments).get("estimated"), None, "{arguments:?}");
    }
}

#[test]
fn a_release_without_a_calibration_is_estimated_from_the_probabilities_of_its_model() {
    let workspace = trained();
    workspace.csv("testdata/testdata.csv", &labelled(CALIBRATING));
    workspace.run("scoring", &[]);
    let record = "practicemodels/latestscore.json";
    let mut score: Value = serde_json::from_str(&workspace.text(record)).unwrap();
    assert_eq!(score["calibration"]["rows"], 800);
    score.as_object_mut().unwrap().remove("calibration");
    fs::write(workspace.path(record), score.to_string()).unwrap();
    workspace.run("deployment", &[]);
    let quality = estimated(&workspace, &labelled(&[(LEAVES, "", 60), (STAYS, "", 100)]));
    assert_eq!(quality["calibrated"], false);
    assert!(quality["f1"].as_f64().unwrap() > 0.9, "{quality}");
}
