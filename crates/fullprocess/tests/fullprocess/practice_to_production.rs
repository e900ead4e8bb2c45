//! Tests the switch from the practice data to production data by changing two keys of the config.

use std::fs;

use serde_json::{Value, json};
use testkit::{Workspace, project, rows};

use crate::{decision, live, record, reported_release, workspace};

/// Changes the two keys.
fn switch(workspace: &mut Workspace) {
    workspace.set("input_folder_path", json!("sourcedata"));
    workspace.set("output_model_path", json!("models"));
}

fn rounded(value: &Value) -> String {
    format!("{:.2}", value.as_f64().unwrap())
}

#[test]
fn drifted_source_data_bring_a_new_model_into_the_other_folder() {
    let mut workspace = workspace();
    decision(&workspace, "bootstrapped");
    let practice = workspace.snapshot(&["practicemodels", "practicedata"]);
    workspace.csv("sourcedata/dataset3.csv", &rows("c", 100, true));
    workspace.csv("sourcedata/dataset4.csv", &rows("d", 100, true));
    switch(&mut workspace);
    let outcome = decision(&workspace, "redeployed");
    assert_eq!(outcome["new_files"], json!(["dataset3.csv", "dataset4.csv"]));
    assert_eq!(record(&workspace), ["dataset3.csv", "dataset4.csv"]);
    assert_eq!(workspace.read("models/trainedmodel.bin"), workspace.read("production_deployment/trainedmodel.bin"));
    assert_eq!(reported_release(&workspace, "models"), json!(live(&workspace).id));
    decision(&workspace, "nothing_to_do");
    assert!(workspace.snapshot(&["practicemodels", "practicedata"]) == practice);
}

#[test]
fn source_data_that_fit_leave_production_as_it_is() {
    let mut workspace = workspace();
    decision(&workspace, "bootstrapped");
    let before = workspace.snapshot(&["practicemodels", "production_deployment"]);
    workspace.csv("sourcedata/dataset3.csv", &rows("c", 100, false));
    switch(&mut workspace);
    decision(&workspace, "no_drift");
    // The other folder has no reports yet.
    decision(&workspace, "reported");
    decision(&workspace, "nothing_to_do");
    assert!(workspace.snapshot(&["practicemodels", "production_deployment"]) == before);
}

/// The expected numbers are documented in crates/testkit/examples/fabricate.rs, which generates these files.
#[test]
fn the_shipped_data_lead_to_the_documented_scores() {
    let mut workspace = Workspace::new();
    for folder in ["practicedata", "sourcedata", "testdata"] {
        fs::create_dir_all(workspace.path(folder)).unwrap();
        for entry in fs::read_dir(project().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, workspace.path(folder).join(path.file_name().unwrap())).unwrap();
        }
    }
    workspace.set("bind", json!("127.0.0.1:1"));
    decision(&workspace, "bootstrapped");
    assert_eq!(rounded(&json!(live(&workspace).manifest.score.f1)), "0.68");
    switch(&mut workspace);
    let outcome = decision(&workspace, "redeployed");
    assert_eq!([&outcome["recorded_f1"], &outcome["new_f1"]].map(rounded), ["0.68", "0.55"]);
    assert_eq!(rounded(&json!(live(&workspace).manifest.score.f1)), "0.79");
    decision(&workspace, "nothing_to_do");
}
