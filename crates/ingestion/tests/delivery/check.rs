//! `ingestion --check` says what ingestion would do, and changes nothing.

use std::collections::BTreeSet;
use std::fs;

use common::files::lock::Lock;
use rand_xoshiro::Xoshiro256PlusPlus;
use serde_json::{Value, json};
use testkit::{HEADER, Workspace, rows};

use crate::{ROW_FAULTS, Table, below, random, workspace};

/// Runs `--check` on `paths` and checks that it changes nothing. Returns the exit code, the outcome and stderr.
fn checked(workspace: &Workspace, paths: &[&str]) -> (i32, Value, String) {
    let before = workspace.snapshot(&["."]);
    let mut command = workspace.command("ingestion");
    let output = command.current_dir(workspace.path("")).args(["--json", "--check"]).args(paths).output().unwrap();
    assert!(workspace.snapshot(&["."]) == before, "a check has changed files");
    let stderr = String::from_utf8(output.stderr).unwrap();
    let outcome = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    (output.status.code().unwrap(), outcome, stderr)
}

/// Returns the content of a file, which may be good or bad in any way.
fn any_file(random: &mut Xoshiro256PlusPlus) -> Vec<u8> {
    let rows = [0, 1, 30, 200][below(random, 4)];
    let missing = ["", "NA", "<NA>"][below(random, 3)];
    let mut table = Table::valid(random, rows, missing);
    let bad = if rows == 0 { 0 } else { [0, 0, 1, rows / 20, rows / 20 + 1][below(random, 5)] };
    for _ in 0..bad {
        let row = 1 + below(random, rows);
        table.break_row(random, row);
    }
    let mut text = table.text();
    match below(random, 24) {
        0 => text = text.replacen("balance", "balances", 1),
        1 => text = text.replacen("left", "note", 1),
        2 => text = text.replacen("amount", "visits", 1),
        3 => text = String::new(),
        4 => return [text.as_bytes(), b"caf\xe9,1,1,1,basic,No\n"].concat(),
        5 => text.push_str("\"not closed,1,1,1,basic,No\n"),
        6 => text = text.replace('\n', "\r\n"),
        7 => text = format!("\u{feff}{}", text.replace('\n', "\n\n").trim_end()),
        8 => return text.bytes().flat_map(|byte| [byte, 0]).collect(),
        _ => {}
    }
    text.into_bytes()
}

#[test]
fn a_check_says_of_any_files_what_ingestion_does_with_them() {
    let mut random = random(7);
    let mut reasons = BTreeSet::new();
    let mut verdicts = [0, 0];
    for round in 0..120 {
        let workspace = workspace();
        for file in 0..1 + below(&mut random, 3) {
            fs::write(workspace.path(format!("practicedata/{file}.csv")), any_file(&mut random)).unwrap();
        }
        let (code, outcome, _) = checked(&workspace, &["practicedata"]);
        assert!(!workspace.path("history.sqlite").exists());
        let ingestion = workspace.output("ingestion", &[]);
        let stderr = String::from_utf8(ingestion.stderr).unwrap();
        let accepted = ingestion.status.success();
        verdicts[usize::from(accepted)] += 1;
        assert_eq!(
            (&outcome["accepted"], code),
            (&json!(accepted), i32::from(!accepted)),
            "{round}: {outcome} {stderr}"
        );
        let files = outcome["files"].as_array().unwrap();
        for file in files {
            for fault in file["reasons"].as_array().unwrap() {
                reasons.insert(fault["reason"].as_str().unwrap().to_owned());
            }
        }
        if !accepted {
            let refused = files.iter().find(|file| file["accepted"] == json!(false));
            let fault = refused.map_or(&outcome["faults"][0], |file| &file["fault"]).as_str().unwrap();
            assert!(stderr.contains(fault), "{round}: {fault:?} is not in {stderr}");
            continue;
        }
        let ingested: Value = serde_json::from_slice(&workspace.read("ingesteddata/ingestion.json")).unwrap();
        for key in ["rows", "contradictory_corporations", "contradictory_examples"] {
            assert_eq!(outcome[key], ingested[key], "{round}: {key}");
        }
        let pairs = files.iter().zip(ingested["files"].as_array().unwrap());
        for (file, ingested) in pairs {
            for key in ["rows", "duplicates", "quarantined", "missing"] {
                assert_eq!(file[key], ingested[key], "{round}: {key}");
            }
        }
        assert_eq!(listed_by_check(files), listed_by_ingestion(&workspace), "{round}");
    }
    assert!(verdicts.iter().all(|count| *count > 30), "{verdicts:?}");
    for (reason, _) in ROW_FAULTS {
        assert!(reasons.iter().any(|found| found.starts_with(reason)), "{reason}: {reasons:?}");
    }
}

/// Returns the malformed rows of an outcome: file, line, reason.
fn listed_by_check(files: &[Value]) -> BTreeSet<(String, u64, String)> {
    let mut listed = BTreeSet::new();
    for file in files {
        let name = file["path"].as_str().unwrap().rsplit('/').next().unwrap();
        for fault in file["reasons"].as_array().unwrap() {
            let lines = fault["lines"].as_array().unwrap();
            assert_eq!(fault["rows"], json!(lines.len()));
            let reason = fault["reason"].as_str().unwrap();
            listed.extend(lines.iter().map(|line| (name.to_owned(), line.as_u64().unwrap(), reason.to_owned())));
        }
    }
    listed
}

/// Returns the malformed rows of quarantine.csv: file, line, reason.
fn listed_by_ingestion(workspace: &Workspace) -> BTreeSet<(String, u64, String)> {
    let quarantine = workspace.read("ingesteddata/quarantine.csv");
    let mut reader = csv::Reader::from_reader(quarantine.as_slice());
    let record = |record: csv::StringRecord| (record[0].to_owned(), record[1].parse().unwrap(), record[2].to_owned());
    reader.records().map(|found| record(found.unwrap())).collect()
}

#[test]
fn every_file_is_checked_whatever_is_wrong_with_others() {
    let workspace = Workspace::new();
    fs::create_dir(workspace.path("empty")).unwrap();
    workspace.csv("new/a.csv", "x,many,2,3,0\n");
    workspace.write("new/b.csv", "corporation,exited\n");
    workspace.write("new/c.csv", "");
    workspace.csv("new/notes.txt", "never read");
    workspace.csv("d.csv", &format!("{}x,-1,2,3,0\n", rows("d", 19, false)));
    workspace.csv(".e.csv.part", &rows("e", 20, false));
    let paths = ["new", "d.csv", "missing.csv", "new/../d.csv", ".e.csv.part", "empty", "/dev/null"];
    let (code, outcome, stderr) = checked(&workspace, &paths);
    assert_eq!((code, &outcome["accepted"]), (1, &json!(false)));
    let files = outcome["files"].as_array().unwrap();
    let verdicts: Vec<_> = files.iter().map(|file| (file["path"].as_str().unwrap(), &file["accepted"])).collect();
    let folder = workspace.path("");
    let folder = folder.to_str().unwrap();
    let expected =
        [(".e.csv.part", true), ("new/a.csv", false), ("new/b.csv", false), ("new/c.csv", false), ("d.csv", true)];
    assert_eq!(verdicts.len(), 5, "{folder}: {verdicts:?}");
    for (path, accepted) in expected {
        assert!(verdicts.contains(&(path, &json!(accepted))), "{path}: {verdicts:?}");
    }
    let faults = outcome["faults"].to_string();
    for word in ["missing.csv", "empty holds no CSV file", "/dev/null is neither a file nor a folder"] {
        assert!(faults.contains(word), "{word}: {faults}");
    }
    let d = files.iter().find(|file| file["path"] == "d.csv").unwrap();
    assert_eq!(
        d["reasons"],
        json!([{"column": "lastmonth_activity", "reason": "lastmonth_activity is negative", "rows": 1, "lines": [21]}])
    );
    for word in ["1 rows of d.csv cannot be read", "not more than 5 %", ".e.csv.part must get another name"] {
        assert!(stderr.contains(word), "{word}: {stderr}");
    }

    let text = workspace.command("ingestion").current_dir(folder).args(["--check", "new"]).output().unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    for line in [
        "refused: 3 files checked, 3 with a fault",
        "    1 of 1 lines cannot be read",
        "    line 2 (1 rows): lastmonth_activity is not a number",
        "    column lastmonth_activity is missing in line 1",
        "    the file is empty",
    ] {
        assert!(text.contains(line), "{line:?} is not in {text}");
    }
}

#[test]
fn all_rows_are_counted_even_where_ingestion_gives_up() {
    let workspace = Workspace::new();
    // Ingestion judges the share of malformed rows early once there are 16 MiB of them.
    let bad = format!("{},many,2,3,0\n", "b".repeat(900));
    let good = rows("a", 20, false);
    workspace.csv("first.csv", &format!("{}{good}{good}", bad.repeat(30_000)));
    workspace.csv("second.csv", &good);
    let (code, outcome, _) = checked(&workspace, &["first.csv", "second.csv"]);
    assert_eq!(code, 1);
    let first = &outcome["files"][0];
    assert_eq!((&first["quarantined"], &first["rows"], &first["duplicates"]), (&json!(30_000), &json!(40), &json!(20)));
    assert!(first["fault"].as_str().unwrap().contains("30000 of 30040 lines"), "{first}");
    let reason = &first["reasons"][0];
    assert_eq!((&reason["rows"], reason["lines"].as_array().unwrap().len()), (&json!(30_000), 20));
    assert_eq!((&outcome["files"][1]["accepted"], &outcome["files"][1]["duplicates"]), (&json!(true), &json!(20)));
}

#[test]
fn a_check_waits_for_no_ingestion_and_needs_no_database() {
    let mut workspace = Workspace::new();
    workspace.set("database_url", json!("postgres://nobody@127.0.0.1:1/nothing"));
    workspace.csv("a.csv", &rows("a", 20, false));
    fs::create_dir(workspace.path("ingesteddata")).unwrap();
    let lock = Lock::acquire(&workspace.path("ingesteddata"), "ingestion").unwrap();
    let (code, outcome, stderr) = checked(&workspace, &["a.csv"]);
    drop(lock);
    assert_eq!((code, &outcome["accepted"], &*stderr), (0, &json!(true), ""));
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let workspace = Workspace::new();
    workspace.write("empty.csv", HEADER);
    for arguments in [&["--check"][..], &["--check", "a.csv", "--list"], &["--contract", "--check", "a.csv"]] {
        assert_eq!(workspace.output("ingestion", arguments).status.code(), Some(2), "{arguments:?}");
    }
    let (code, outcome, _) = checked(&workspace, &["empty.csv"]);
    assert_eq!((code, &outcome["faults"]), (1, &json!(["none of the 1 CSV files contains a row"])));
}

#[test]
fn a_file_that_ingestion_judges_early_is_judged_like_that() {
    let bad = format!("{},many,2,3,0\n", "b".repeat(900)).repeat(20_000);
    let good: String = (0..450_000).map(|i| format!("c{},1,2,3,0\n", i % 1000)).collect();
    for (text, accepted) in [(format!("{bad}{good}"), false), (format!("{good}{bad}"), true)] {
        let workspace = Workspace::new();
        workspace.csv("practicedata/a.csv", &text);
        let (_, outcome, _) = checked(&workspace, &["practicedata"]);
        let file = &outcome["files"][0];
        assert_eq!((&file["quarantined"], &file["rows"]), (&json!(20_000), &json!(450_000)));
        let ingested = workspace.output("ingestion", &[]).status.success();
        assert_eq!((&outcome["accepted"], ingested), (&json!(accepted), accepted), "{file}");
    }
}
