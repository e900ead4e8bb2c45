//! Tests with thousands of small files: the results equal those of this process, and the size of the queries does not
//! grow with the number of files.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Value, json};
use testkit::engines::{Engine, EngineServer};
use testkit::{HEADER, Workspace};

use crate::noisy;

const FILES: u64 = 2000;

/// Creates small files in three layouts; some have a malformed row, some are repeated, some have names that need
/// escaping.
fn many() -> Workspace {
    let workspace = Workspace::new();
    for i in 0..FILES {
        let rows = noisy("c", (i - i % 3) * 40, 45);
        let name = match i % 100 {
            7 => format!("practicedata/f {i}, a+b.csv"),
            8 => format!("practicedata/f\u{fc}{i}.CSV"),
            _ => format!("practicedata/f{i}.csv"),
        };
        if i % 10 == 3 {
            let reversed = |row: &str| row.split(',').rev().collect::<Vec<_>>().join(",") + "\n";
            workspace.write(&name, &[HEADER, &rows].concat().lines().map(reversed).collect::<String>());
        } else {
            let bad = if i % 10 == 4 { format!("bad{i},x,2,3,0\n") } else { String::new() };
            workspace.csv(&name, &[rows, bad].concat());
        }
    }
    workspace
}

/// Returns the results of an ingestion, its quarantine, and a score over all files.
fn facts(workspace: &Workspace) -> BTreeMap<&'static str, Value> {
    let begin = Instant::now();
    workspace.run("ingestion", &[]);
    println!("ingestion: {:.1} s", begin.elapsed().as_secs_f64());
    let mut facts: Value = serde_json::from_str(&workspace.text("ingesteddata/ingestion.json")).unwrap();
    for file in facts["files"].as_array_mut().unwrap() {
        file.as_object_mut().unwrap().remove("state");
    }
    let begin = Instant::now();
    let folder = workspace.path("practicedata");
    let mut paths: Vec<String> =
        folder.read_dir().unwrap().map(|entry| entry.unwrap().path().display().to_string()).collect();
    paths.sort();
    let arguments: Vec<&str> =
        ["--data"].into_iter().chain(paths.iter().map(String::as_str)).chain(["--dry-run"]).collect();
    let score = workspace.run_json("scoring", &arguments);
    println!("scoring: {:.1} s", begin.elapsed().as_secs_f64());
    BTreeMap::from([
        ("files", facts["files"].clone()),
        ("rows", facts["rows"].clone()),
        ("missing", facts["missing"].clone()),
        ("confusion", score["confusion"].clone()),
        ("malformed", score["malformed"].clone()),
        ("quarantine", json!(workspace.text("ingesteddata/quarantine.csv"))),
    ])
}

#[test]
fn two_thousand_files_are_ingested_and_scored_as_in_this_process() {
    let mut workspace = many();
    workspace.run("ingestion", &[]);
    workspace.run("training", &[]);
    let here = facts(&workspace);
    assert_eq!(here["files"].as_array().unwrap().len() as u64, FILES);
    assert!(here["malformed"].as_u64() == Some(FILES / 10) && here["confusion"].is_object());
    for engine in [Engine::Sail, Engine::Spark] {
        let Some(server) = EngineServer::start(engine) else { continue };
        workspace.set("engine", json!(server.url()));
        let there = facts(&workspace);
        for (name, value) in &here {
            assert!(*value == there[name], "{engine:?}, {name}: {value:.2000}\n{:.2000}", there[name]);
        }
        // One file has one malformed row too many, another has a wrong header: each is found and named.
        workspace.csv("practicedata/zz.csv", &format!("{}bad,x,2,3,0\nbad,y,2,3,0\n", testkit::rows("g", 20, false)));
        let error = workspace.fail("ingestion", &[]);
        assert!(error.contains("zz.csv") && error.contains("line 22: lastmonth_activity is not a number"), "{error}");
        workspace.write("practicedata/zz.csv", "corporation,left\n");
        let error = workspace.fail("ingestion", &[]);
        assert!(error.contains("zz.csv") && error.contains("\"left\" (line 1)"), "{error}");
        std::fs::remove_file(workspace.path("practicedata/zz.csv")).unwrap();
    }
}
