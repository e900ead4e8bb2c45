//! `ingestion --contract` is a valid contract, and its checks agree with `ingestion --check`.

use std::process::Command;

use serde_json::{Value, json};
use testkit::Workspace;

use crate::{ROW_FAULTS, Table, below, random, workspace};

/// Loads `contract.yaml` in each folder as YAML, compares it with `contract.json`, validates it, and prints whether the
/// files beside it keep the contract, if there are any.
const JUDGE: &str = r#"
import glob, json, logging, os, sys
import yaml
from datacontract.data_contract import DataContract
logging.disable(logging.CRITICAL)
results = []
for folder in sys.argv[1:]:
    os.chdir(folder)
    with open("contract.yaml") as text, open("contract.json") as data:
        assert yaml.safe_load(text) == json.load(data), folder
    lint = DataContract(data_contract_file="contract.yaml").lint()
    assert lint.result == "passed", [(check.name, check.reason) for check in lint.checks]
    result = None
    if glob.glob("*.csv"):
        run = DataContract(data_contract_file="contract.yaml").test()
        result = run.result == "passed"
    results.append(result)
print(json.dumps(results))
"#;

/// Returns what the Data Contract CLI says about each of these workspaces' folder `practicedata`; `None` if it is not
/// installed.
fn judged(workspaces: &[Workspace]) -> Option<Vec<Option<bool>>> {
    let installed = Command::new("python3").args(["-c", "import datacontract, duckdb"]).output();
    if !installed.is_ok_and(|output| output.status.success()) {
        testkit::skipped("python3 cannot import datacontract and duckdb; install datacontract-cli[csv]");
        return None;
    }
    for workspace in workspaces {
        workspace.write("practicedata/contract.yaml", &workspace.run("ingestion", &["--contract"]));
        workspace.write("practicedata/contract.json", &workspace.run("ingestion", &["--contract", "--json"]));
    }
    let mut python = Command::new("python3");
    python.args(["-c", JUDGE]).args(workspaces.iter().map(|workspace| workspace.path("practicedata")));
    let output = python.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    Some(serde_json::from_str(stdout.lines().last().unwrap()).unwrap())
}

#[test]
fn contracts_of_all_columns_are_valid_and_every_name_survives() {
    let names = [
        "a: \"b\"",
        "yes",
        "null",
        "~",
        "1",
        "1.5",
        "0x1f",
        "12:30",
        "2026-01-01",
        "größe € 株",
        "#x",
        "- x",
        "{[",
        "'",
        "\\x",
        "&a",
        "*a",
        "!tag",
        "|",
        ">",
        "%",
        "@",
        "`",
        "? x",
        "a\u{2028}b\u{feff}c",
        "=",
        "<<",
        "true",
        "1e3",
        "\u{10ffff}",
    ];
    let predictors: Vec<Value> = names
        .iter()
        .map(|name| json!({"name": name, "label": format!("{name} ?"), "unit": name, "transform": "log1p"}))
        .chain([json!({"name": "a/b", "kind": "category", "label": "no"})])
        .collect();
    let columns = |target: Value, ignored: Value| json!({"id": "NaN!", "target": target, "predictors": predictors, "ignored": ignored});
    let mut workspaces = vec![Workspace::new(), workspace()];
    for (target, ignored) in [
        (json!("off"), json!("*")),
        (json!({"name": "on", "positive": "Yes: \"x\"", "negative": "no"}), json!(["false", "[x]"])),
        (json!({"name": "on", "positive": "1e300", "negative": "-0.5"}), json!([])),
        (json!({"name": "on", "positive": "inf", "negative": "1"}), json!([])),
    ] {
        let mut workspace = Workspace::new();
        workspace.set("columns", columns(target, ignored));
        workspaces.push(workspace);
    }
    let Some(results) = judged(&workspaces) else { return };
    assert_eq!(results, [None; 6]);
    let contract: Value = serde_json::from_str(&workspaces[2].run("ingestion", &["--contract", "--json"])).unwrap();
    let found = contract["schema"][0]["properties"].as_array().unwrap().iter().skip(1).map(|column| &column["name"]);
    assert_eq!(found.take(names.len()).collect::<Vec<_>>(), names);
    // The contract does not depend on the machine or the time.
    let text = workspaces[2].run("ingestion", &["--contract"]);
    assert_eq!(text, workspaces[2].run("ingestion", &["--contract"]));
    assert!(!text.contains(workspaces[2].path("").to_str().unwrap()), "{text}");
}

#[test]
fn the_contract_and_the_check_agree_on_good_and_bad_files() {
    let mut random = random(19);
    let mut workspaces = Vec::new();
    let mut add = |text: &str| {
        let workspace = workspace();
        workspace.write("practicedata/clients.csv", text);
        workspaces.push(workspace);
    };
    for _ in 0..8 {
        add(&Table::valid(&mut random, 300, "").text());
    }
    for (_, change) in ROW_FAULTS {
        let mut table = Table::valid(&mut random, 300, "");
        let row = 1 + below(&mut random, 300);
        change(&mut table.0[row]);
        add(&table.text());
    }
    let good = Table::valid(&mut random, 300, "").text();
    add(&good.replacen("balance", "note", 1));
    add(&good.replace('\n', "\r\n"));
    add(good.lines().next().unwrap());
    let Some(results) = judged(&workspaces) else { return };
    for (workspace, keeps) in workspaces.iter().zip(results) {
        let folder = workspace.path("practicedata");
        let output = workspace.output("ingestion", &["--json", "--check", folder.to_str().unwrap()]);
        let outcome: Value = serde_json::from_slice(&output.stdout).unwrap();
        // The contract promises a file without a malformed row.
        let is_clean = outcome["accepted"] == json!(true) && outcome["files"][0]["quarantined"] == json!(0);
        assert_eq!(keeps, Some(is_clean), "{outcome}");
    }
}
