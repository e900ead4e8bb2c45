//! Tests of the program `training`: what it writes, what it refuses, and how it compares with scikit-learn.

#![expect(clippy::unwrap_used, reason = "a test that cannot make its workspace has failed")]

mod categories;
mod faults;
mod precision;
mod python;
mod scikit_learn;
mod shipped;

use testkit::Workspace;

#[test]
fn the_outcome_says_what_was_fitted_and_how_well() {
    let workspace = Workspace::with_data();
    workspace.run("ingestion", &[]);
    let outcome = workspace.run_json("training", &[]);
    assert_eq!(outcome["training"]["rows"], 120);
    assert_eq!(outcome["training"]["exited"], 60);
    assert!(outcome["fit"]["newton_decrement"].as_f64().unwrap() <= 1e-7, "{outcome}");
    assert!(outcome["fit"]["log_likelihood"].as_f64().unwrap() < 0.0, "{outcome}");
    assert_eq!(outcome["fit"]["regularization"], 1.0);
    for key in ["coefficients", "standard_errors", "medians"] {
        assert!(outcome[key].as_array().unwrap().iter().all(|number| number.is_f64()), "{key}: {outcome}");
    }
    assert!(outcome["fit_seconds"].as_f64().unwrap() <= outcome["seconds"].as_f64().unwrap());
}

#[test]
fn the_same_data_give_the_same_bytes_however_many_threads_there_are() {
    let workspace = Workspace::with_data();
    workspace.csv("practicedata/dataset3.csv", &testkit::rows("c", 40_000, false));
    workspace.run("ingestion", &[]);
    let mut models = Vec::new();
    for threads in ["1", "2", "5"] {
        let status = workspace.command("training").env("RAYON_NUM_THREADS", threads).output().unwrap().status;
        assert!(status.success());
        models.push((
            workspace.read("practicemodels/trainedmodel.bin"),
            workspace.read("practicemodels/trainedmodel.pkl"),
        ));
    }
    assert!(models.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn the_regularization_of_the_config_reaches_the_model() {
    let mut workspace = Workspace::with_data();
    workspace.run("ingestion", &[]);
    let size = |workspace: &Workspace| {
        let outcome = workspace.run_json("training", &[]);
        outcome["coefficients"][1].as_f64().unwrap().abs()
    };
    let free = size(&workspace);
    workspace.set("regularization", 1e-9.into());
    assert!(size(&workspace) < free, "a stronger penalty must give smaller coefficients");
}

#[test]
fn rows_with_a_missing_value_are_left_out_and_counted() {
    let workspace = Workspace::with_data();
    workspace.csv("practicedata/dataset3.csv", "m1,,40,60,1\nm2,5,40,60,\nm3,5,NA,60,1\n,5,40,61,1\n");
    workspace.run("ingestion", &[]);
    let output = workspace.output("training", &["--json"]);
    let outcome: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    // The name is not a predictor, so a row without a name is used.
    assert_eq!((&outcome["training"]["rows"], &outcome["training"]["left_out"]), (&121.into(), &3.into()));
    assert!(String::from_utf8_lossy(&output.stderr).contains("3 rows with a missing value were left out"));
}

#[test]
fn a_replay_counts_the_same_however_many_threads_there_are_and_writes_nothing() {
    let workspace = Workspace::with_data();
    workspace.csv("practicedata/dataset3.csv", &testkit::rows("c", 3000, true));
    let paths = [1, 2, 3].map(|n| workspace.path(format!("practicedata/dataset{n}.csv")).display().to_string());
    let before = workspace.snapshot(&["."]);
    let counts = |threads| {
        let options = ["--threads", threads, "--replay"].into_iter();
        workspace.run_json("training", &options.chain(paths.iter().map(String::as_str)).collect::<Vec<_>>())
    };
    let one = counts("1");
    assert_eq!(one, counts("3"));
    assert_eq!((&one["first"], one["models"].as_array().unwrap().len()), (&1.into(), 3));
    assert_eq!(one["models"][0]["test"]["true_positives"], 4);
    assert_eq!(one["models"][0]["later"][1]["true_positives"], 0, "the outcomes of the last file are inverted");
    assert!(workspace.snapshot(&["."]) == before);
    let first = workspace.run_json("training", &["--first", "2", "--replay", &paths[0], &paths[1], &paths[2]]);
    assert_eq!((&first["first"], &first["models"][0]["test"]), (&2.into(), &one["models"][1]["test"]));
    let shown = workspace.run("training", &["--replay", &paths[0], &paths[2]]);
    assert!(
        shown.contains("trained up to dataset1.csv: F1 1.0000 on the test data, 0.0000 on dataset3.csv"),
        "{shown}"
    );
    assert!(workspace.fail("training", &["--first", "4", "--replay", &paths[0]]).contains("1 to 1 files, found 4"));
}
