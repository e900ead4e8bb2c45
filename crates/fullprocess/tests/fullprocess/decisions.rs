//! Tests of new data: when it is drift, when it is not, and what each decision leaves behind.

use std::fs;

use serde_json::json;
use testkit::rows;

use crate::{
    FIRST_F1, INVERTED_F1, OUTPUTS, bootstrapped, decision, live, record, reported_release, run, without_reports,
};

#[test]
fn a_file_that_fits_is_no_drift_and_is_not_checked_again() {
    let workspace = bootstrapped();
    let before = without_reports(&workspace, &["production_deployment", "practicemodels"]);
    let listed = workspace.read("practicemodels/calllist.csv");
    workspace.csv("practicedata/dataset3.csv", &rows("c", 40, false));
    let outcome = decision(&workspace, "no_drift");
    assert_eq!(outcome["new_files"], json!(["dataset3.csv"]));
    assert_eq!(
        (&outcome["recorded_f1"], &outcome["new_f1"], &outcome["new_n"]),
        (&json!(FIRST_F1), &json!(1.0), &json!(40))
    );
    assert_eq!(outcome["live"], json!(live(&workspace).id));
    // Neither production nor the recorded score has changed; the data are ingested.
    assert!(without_reports(&workspace, &["production_deployment", "practicemodels"]) == before);
    assert!(workspace.read("practicemodels/calllist.csv") != listed, "the new clients are not in the call list");
    let record = workspace.text("ingesteddata/ingestedfiles.txt");
    assert_eq!(record, r#"["dataset1.csv", "dataset2.csv", "dataset3.csv"]"#);
    assert_eq!(workspace.history_rows("checked_files"), 1);

    let (after, ingested) = (workspace.snapshot(OUTPUTS), workspace.history_rows("ingested_files"));
    decision(&workspace, "nothing_to_do");
    let (stdout, stderr) = run(&workspace, &[]);
    assert!(stdout.starts_with("nothing to do") && stderr.is_empty(), "{stdout}{stderr}");
    assert!(workspace.snapshot(OUTPUTS) == after);
    assert_eq!(workspace.history_rows("ingested_files"), ingested, "it was ingested again");
}

#[test]
fn a_drifted_file_brings_a_new_model_with_its_own_score_and_every_file_in_the_record() {
    let workspace = bootstrapped();
    let first = live(&workspace);
    workspace.csv("practicedata/dataset3.csv", &rows("c", 30, false));
    decision(&workspace, "no_drift");
    workspace.csv("practicedata/dataset4.csv", &rows("d", 200, true));
    let outcome = decision(&workspace, "redeployed");

    // With the old rows included, the score would be far from 0: the first model is right about all 150 of them.
    assert_eq!(outcome["new_files"], json!(["dataset4.csv"]));
    assert_eq!((&outcome["new_f1"], &outcome["new_n"]), (&json!(0.0), &json!(200)));
    assert_eq!(outcome["recorded_f1"], json!(FIRST_F1));

    let second = live(&workspace);
    assert_eq!(outcome["live"], json!(second.id));
    assert_ne!(second.manifest.score.model_sha256, first.manifest.score.model_sha256);
    assert_eq!(second.manifest.training_rows, 350);
    // The new model's score on the test data, which differs from the old model's score and from that on the new files.
    assert_eq!(second.manifest.score.f1, INVERTED_F1);
    assert_eq!(workspace.text("production_deployment/latestscore.txt"), INVERTED_F1.to_string());
    assert_eq!(record(&workspace), ["dataset1.csv", "dataset2.csv", "dataset3.csv", "dataset4.csv"]);
    assert_eq!(reported_release(&workspace, "practicemodels"), json!(second.id));
    decision(&workspace, "nothing_to_do");

    // A rollback to the former release is still possible.
    workspace.run("deployment", &["--rollback", &first.id]);
    assert_eq!(live(&workspace).manifest.score.f1, FIRST_F1);
}

#[test]
fn a_worse_model_is_deployed_with_a_warning_unless_only_a_better_one_may_be() {
    let mut workspace = bootstrapped();
    let first = live(&workspace);
    workspace.csv("practicedata/dataset3.csv", &rows("d", 200, true));
    workspace.set("promotion", json!("if_better"));
    let outcome = decision(&workspace, "kept");
    assert_eq!(outcome["live"], json!(first.id));
    assert_eq!(live(&workspace).id, first.id);
    let warnings = outcome["promotion_warnings"].as_array().unwrap();
    let worse = "the new model is worse than the deployed one on the same 10 test rows: F1 0.2000, not 0.8000";
    assert_eq!(warnings[0], worse);
    assert!(warnings[1].as_str().unwrap().contains("\"everyone exits\": F1 0.2000 and 0.6667"), "{warnings:?}");
    assert!(warnings[2].as_str().unwrap().contains("only 10 rows, fewer than 30"), "{warnings:?}");
    // Otherwise cron would train the same model again every ten minutes.
    let (stdout, stderr) = run(&workspace, &[]);
    assert!(stdout.starts_with("nothing to do") && stderr.is_empty(), "{stdout}{stderr}");

    workspace.set("promotion", json!("on_drift"));
    workspace.csv("practicedata/dataset4.csv", &rows("e", 200, true));
    let (stdout, stderr) = run(&workspace, &[]);
    assert!(stdout.contains("drift: ") && stdout.contains("deployed"), "{stdout}");
    assert!(stderr.contains("warning: the new model is worse than the deployed one"), "{stderr}");
    assert_ne!(live(&workspace).id, first.id);
    let comparisons = workspace.run_json("dbsetup", &["--history", "comparisons", "--last", "4"]);
    let models: Vec<_> =
        comparisons["rows"].as_array().unwrap().iter().map(|row| (&row["model"], &row["f1"])).collect();
    let expected = [("deployed model", 0.8), ("everyone exits", 2.0 / 3.0), ("new model", 0.2), ("nobody exits", 0.0)];
    assert_eq!(models, expected.map(|(name, f1)| (json!(name), json!(f1))).each_ref().map(|(a, b)| (a, b)));
}

#[test]
fn drift_is_an_f1_on_the_new_rows_below_the_recorded_one() {
    let mut workspace = bootstrapped();
    workspace.set("drift_min_positives", json!(1));
    let (leaves, stays) = ("x,5,40,60,", "x,800,4000,3,");
    // True positives, false positives, false negatives: F1 = 2TP / (2TP + FP + FN); the recorded score is 0.8.
    for (counts, f1, expected) in [
        ((3, 1, 1), 0.75, "redeployed"),
        ((39, 10, 10), 78.0 / 98.0, "redeployed"),
        ((4, 1, 1), 0.8, "no_drift"),
        ((41, 10, 10), 82.0 / 102.0, "no_drift"),
        ((0, 1, 1), 0.0, "redeployed"),
    ] {
        let (true_positives, false_positives, false_negatives) = counts;
        let labelled = |client: &str, exited: u8, times| format!("{client}{exited}\n").repeat(times);
        // The rows are split over two new files, so that the score of one file alone differs.
        workspace.csv("practicedata/new1.csv", &(labelled(leaves, 1, true_positives) + &labelled(stays, 0, 7)));
        workspace.csv(
            "practicedata/new2.csv",
            &(labelled(leaves, 0, false_positives) + &labelled(stays, 1, false_negatives)),
        );
        let (stdout, _) = run(&workspace, &["--dry-run", "--json"]);
        let outcome: serde_json::Value = serde_json::from_str(&stdout).unwrap();
        assert_eq!((&outcome["new_f1"], &outcome["outcome"]), (&json!(f1), &json!(expected)), "{counts:?}");
    }
}

#[test]
fn another_content_under_a_known_name_is_new() {
    let workspace = bootstrapped();
    let old = workspace.text("practicedata/dataset2.csv");
    let before = without_reports(&workspace, &["production_deployment", "practicemodels"]);
    workspace.csv("practicedata/dataset2.csv", &rows("b", 61, false));
    assert_eq!(decision(&workspace, "no_drift")["new_files"], json!(["dataset2.csv"]));
    decision(&workspace, "nothing_to_do");
    workspace.write("practicedata/dataset2.csv", &old); // known to the release
    decision(&workspace, "nothing_to_do");
    workspace.csv("practicedata/dataset2.csv", &rows("b", 61, false)); // already checked
    decision(&workspace, "nothing_to_do");
    assert!(without_reports(&workspace, &["production_deployment", "practicemodels"]) == before);
}

#[test]
fn a_known_content_under_another_name_is_new() {
    let workspace = bootstrapped();
    fs::copy(workspace.path("practicedata/dataset2.csv"), workspace.path("practicedata/dataset3.csv")).unwrap();
    assert_eq!(decision(&workspace, "no_drift")["new_files"], json!(["dataset3.csv"]));
    decision(&workspace, "nothing_to_do");
}

#[test]
fn without_its_history_the_checked_files_are_checked_once_more_and_nothing_is_lost() {
    let workspace = bootstrapped();
    workspace.csv("practicedata/dataset3.csv", &rows("c", 40, false));
    decision(&workspace, "no_drift");
    let before = without_reports(&workspace, OUTPUTS);
    for name in ["history.sqlite", "history.sqlite.lock"] {
        fs::remove_file(workspace.path(name)).unwrap();
    }
    assert_eq!(decision(&workspace, "no_drift")["new_files"], json!(["dataset3.csv"]));
    decision(&workspace, "nothing_to_do");
    assert!(without_reports(&workspace, OUTPUTS) == before);
}

#[test]
fn a_file_that_fits_one_release_is_checked_again_when_another_is_live() {
    let workspace = bootstrapped();
    let first = live(&workspace).id;
    workspace.csv("practicedata/dataset3.csv", &rows("c", 40, false));
    decision(&workspace, "no_drift");
    workspace.csv("practicedata/dataset4.csv", &rows("d", 200, true));
    decision(&workspace, "redeployed");
    workspace.csv("practicedata/dataset5.csv", &rows("e", 40, true));
    decision(&workspace, "no_drift");
    decision(&workspace, "nothing_to_do");
    // The first release knows dataset3 from its check and has not seen the other files.
    workspace.run("deployment", &["--rollback", &first]);
    let (stdout, _) = run(&workspace, &["--dry-run", "--json"]);
    let outcome: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(outcome["new_files"], json!(["dataset4.csv", "dataset5.csv"]));
}

/// The recorded score was computed with the release's threshold, so the new score uses it too.
#[test]
fn a_changed_threshold_is_no_drift() {
    let mut workspace = bootstrapped();
    workspace.set("threshold", json!(0.999_999_999));
    workspace.csv("practicedata/dataset3.csv", &rows("c", 40, false));
    assert_eq!(decision(&workspace, "no_drift")["new_f1"], json!(1.0));
}

#[test]
fn a_small_drop_on_few_rows_is_drift_only_for_the_raw_test_and_its_verdict_is_cannot_tell() {
    for (test, expected) in [("raw", "redeployed"), ("interval", "no_drift"), ("history", "no_drift")] {
        let mut workspace = bootstrapped();
        workspace.set("drift_test", json!(test));
        // Right about 6 of 10 rows: F1 is 0.6, the recorded score 0.8.
        workspace.csv("practicedata/dataset3.csv", &(rows("c", 6, false) + &rows("d", 4, true)));
        let planned: serde_json::Value = serde_json::from_str(&run(&workspace, &["--dry-run", "--json"]).0).unwrap();
        let outcome = decision(&workspace, expected);
        for outcome in [&planned, &outcome] {
            assert_eq!((&outcome["outcome"], &outcome["verdict"]), (&json!(expected), &json!("cannot_tell")), "{test}");
        }
        assert_eq!(planned["new_f1_interval"], outcome["new_f1_interval"], "{test}");
        let [low, high] = ["low", "high"].map(|end| outcome["new_f1_interval"][end].as_f64().unwrap());
        assert!(low < 0.6 && 0.6 < high && high < 1.0, "{low} to {high}");
        assert_eq!(workspace.history_rows("drift_checks"), 1);
    }
}

#[test]
fn a_large_drop_on_many_rows_is_drift_by_the_interval_too() {
    let mut workspace = bootstrapped();
    workspace.set("drift_test", json!("interval"));
    workspace.csv("practicedata/dataset3.csv", &rows("c", 200, true));
    assert_eq!(decision(&workspace, "redeployed")["verdict"], "drifted");
}

#[test]
fn the_history_test_decides_when_there_are_enough_scores() {
    let mut workspace = bootstrapped();
    workspace.set("drift_test", json!("history"));
    for file in 3..7 {
        workspace.csv(&format!("practicedata/dataset{file}.csv"), &rows(&format!("f{file}_"), 20 + file, false));
        decision(&workspace, "no_drift");
    }
    // The recorded scores are now the deployment's 0.8 and four times 1.0.
    workspace.csv("practicedata/dataset7.csv", &rows("g", 40, true));
    decision(&workspace, "redeployed");
}
