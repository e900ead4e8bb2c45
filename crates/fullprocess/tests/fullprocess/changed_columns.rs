//! Tests of a config whose columns differ from those of the live release.

use serde_json::{Value, json};
use testkit::{Workspace, rows};

use crate::{OUTPUTS, bootstrapped, decision, live, run};

/// Describes the columns of the test data; `employees` is added to the description of the number of employees.
fn columns(employees: Option<Value>) -> Value {
    let predictors = [json!("lastmonth_activity"), json!("lastyear_activity")];
    let ignored = if employees.is_none() { json!(["number_of_employees"]) } else { json!([]) };
    let predictors: Vec<Value> = predictors.into_iter().chain(employees).collect();
    json!({"id": "corporation", "target": "exited", "predictors": predictors, "ignored": ignored})
}

fn columns_of_live(workspace: &Workspace) -> Vec<String> {
    live(workspace).model().unwrap().schema.columns().map(str::to_owned).collect()
}

#[test]
fn changed_columns_bring_a_new_release_and_the_reason() {
    let mut workspace = bootstrapped();
    let first = live(&workspace).id;
    workspace.set("columns", columns(None));

    let before = workspace.snapshot(OUTPUTS);
    let (stdout, _) = run(&workspace, &["--dry-run"]);
    let reason = "(\"lastmonth_activity\" is a number instead of a count)";
    let reason_without = "the columns of the config have changed (without \"number_of_employees\"); ";
    assert!(stdout.contains(reason_without) && !stdout.contains(reason), "{stdout}");
    assert!(stdout.contains(&format!("a new model is trained and deployed instead of {first}")), "{stdout}");
    assert!(workspace.snapshot(OUTPUTS) == before, "the dry run changed something");

    let outcome = decision(&workspace, "columns_changed");
    assert_eq!(outcome["columns_change"], "without \"number_of_employees\"");
    assert_ne!(outcome["live"], json!(first));
    assert_eq!(columns_of_live(&workspace), ["corporation", "lastmonth_activity", "lastyear_activity", "exited"]);
    let header = workspace.text("ingesteddata/finaldata.csv").lines().next().unwrap().to_owned();
    assert_eq!(header, "corporation,lastmonth_activity,lastyear_activity,exited");
    decision(&workspace, "nothing_to_do");

    // New files are checked with the new columns.
    workspace.csv("practicedata/dataset3.csv", &rows("c", 40, false));
    decision(&workspace, "no_drift");
}

#[test]
fn a_label_changes_nothing_and_a_kind_does() {
    let mut workspace = bootstrapped();
    let number = json!({"name": "number_of_employees", "kind": "category"});
    workspace.set("columns", columns(Some(number)));
    let outcome = decision(&workspace, "columns_changed");
    let change = outcome["columns_change"].as_str().unwrap();
    assert_eq!(change, "\"lastmonth_activity\" is a number instead of a count");

    let labelled = json!({"name": "number_of_employees", "kind": "category", "label": "size of the company"});
    workspace.set("columns", columns(Some(labelled)));
    decision(&workspace, "nothing_to_do");
}

#[test]
fn a_release_of_a_killed_change_is_made_by_the_next_run() {
    let mut workspace = bootstrapped();
    let first = live(&workspace).id;
    workspace.set("columns", columns(None));
    // The steps up to training have run, but nothing was deployed.
    workspace.run("ingestion", &[]);
    workspace.run("training", &[]);
    assert_eq!(live(&workspace).id, first);
    decision(&workspace, "columns_changed");
    assert_eq!(columns_of_live(&workspace).len(), 4);
}
