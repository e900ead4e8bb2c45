//! Tests that old batches of an input database are merged: that nothing else changes, that every release knows the same
//! rows as before, and that a killed process or a damaged file loses none.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use common::files::lock::Lock;
use serde_json::{Value, json};
use testkit::faults::kill_at_many_moments;
use testkit::{Workspace, rows};

use crate::input::{dataset, ingested_names, input, insert, last_file};
use crate::{Database, OUTPUTS, check_clients, check_message, decision, on_each_history, read_json, run_without_cargo};

/// Number of batches from which they are merged.
const MANY: usize = 50;

/// Ingests batches of two new rows each, numbered `from..to`.
fn add_batches(workspace: &Workspace, input: &Database, numbers: std::ops::Range<u64>) {
    for number in numbers {
        insert(input, 2 * number, &rows(&format!("n{number}-"), 2, false));
        workspace.run("ingestion", &[]);
    }
}

/// Returns the records of the batches of the dataset.
fn batches(workspace: &Workspace) -> Vec<Value> {
    let ingested = read_json(workspace, "ingesteddata/ingestion.json");
    ingested["files"].as_array().unwrap().iter().filter(|file| !file["batch"].is_null()).cloned().collect()
}

/// Returns the ranges of the watermark that the batches hold.
fn ranges(workspace: &Workspace) -> Vec<(Option<i64>, i64)> {
    let batches = batches(workspace).into_iter();
    batches.map(|file| (file["batch"]["above"].as_i64(), file["batch"]["up_to"].as_i64().unwrap())).collect()
}

/// Records in `table` that the live release has checked the last `last` batches, or that they wait for that.
fn record(workspace: &Workspace, history: &Database, table: &str, last: usize) {
    let live = workspace.run_json("deployment", &["--list"])["live"].as_str().unwrap().to_owned();
    let (columns, state) = if table == "pending_files" { (", state", ", 'cannot be judged'") } else { ("", "") };
    let batches = batches(workspace);
    let values = batches[batches.len() - last..].iter().map(|file| {
        let text = |key| file[key].as_str().unwrap();
        format!("((SELECT MAX(id) FROM runs), '{live}', '{}', '{}'{state})", text("name"), text("sha256"))
    });
    let values: Vec<_> = values.collect();
    history
        .sql(&format!("INSERT INTO {table} (run_id, release_id, name, sha256{columns}) VALUES {}", values.join(", ")));
}

/// Returns the names of the files in the folder of the batches.
fn on_disk(workspace: &Workspace) -> BTreeSet<String> {
    let entries = fs::read_dir(workspace.path("ingesteddata/batches")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Checks that the folder of the batches holds those of the dataset and nothing else.
fn assert_nothing_is_left(workspace: &Workspace) {
    let named: BTreeSet<_> = batches(workspace).iter().map(|file| file["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(on_disk(workspace), named);
}

/// Returns quarantine.csv without the names of the files and the lines.
fn quarantined(workspace: &Workspace) -> Vec<String> {
    let text = workspace.text("ingesteddata/quarantine.csv");
    text.lines().map(|line| line.splitn(3, ',').last().unwrap().to_owned()).collect()
}

/// Returns a workspace of which the first release was trained on the first `batches` batches.
fn deployed(workspace: &mut Workspace, history: &Database, batches: u64) -> Database {
    let input = input(workspace, history);
    insert(&input, 1, &rows("first", 1, false));
    workspace.run("ingestion", &[]);
    add_batches(workspace, &input, 1..batches);
    workspace.deploy();
    input
}

/// Like [`on_each_history`] with data, but only with SQLite: the test is about files.
fn on_sqlite(body: impl Fn(&mut Workspace, &Database)) {
    on_each_history(Workspace::with_data, |workspace, history| {
        if history.is_file() {
            body(workspace, history);
        }
    });
}

#[test]
fn the_dataset_is_that_of_the_same_rows_in_files_however_many_runs_it_took() {
    on_each_history(Workspace::with_data, |workspace, history| {
        let runs = if history.is_file() { 200 } else { 60 };
        let (files, mut number) = (Workspace::with_data(), 1);
        let input = input(workspace, history);
        workspace.deploy();
        for run in 0..runs {
            // Repeated rows, missing values, quoted fields, and now and then a row that cannot be read, because its name
            // contains a line break.
            let mut new = match run % 10 {
                3 => rows(&format!("n{}-", run / 3), 2, false) + "missing,1,NULL,3,1\n",
                5 => rows(&format!("m{run}-"), 60, false),
                _ => rows(&format!("n{}-", run / 3), 2, false),
            };
            insert(&input, number, &new);
            number += new.lines().count() as u64;
            if let Some(name) =
                [(5, "a\nb"), (7, "a 'quoted' \"name\", and more")].iter().find(|(of, _)| *of == run % 10)
            {
                let literal = name.1.replace('\'', "''");
                input.sql(&format!(
                    "INSERT INTO activity (id, corporation, lastmonth_activity) VALUES ({number}, '{literal}{run}', 7)"
                ));
                number += 1;
                new.push_str(&format!("\"{}{run}\",7,,,\n", name.1.replace('"', "\"\"")));
            }
            files.csv(&format!("practicedata/from-database-{run:03}.csv"), &new.replace("NULL", ""));
            workspace.run("ingestion", &[]);
            if run + 3 < runs {
                record(workspace, history, "checked_files", 1);
            }
        }
        files.run("ingestion", &[]);
        let read = |workspace: &Workspace| workspace.text("ingesteddata/finaldata.csv").replace(".0,", ",");
        assert_eq!(read(workspace), read(&files));
        assert_eq!(quarantined(workspace), quarantined(&files));
        check_clients(workspace, history);

        let sums = |workspace: &Workspace| {
            let ingested = read_json(workspace, "ingesteddata/ingestion.json");
            let mut sums = BTreeMap::new();
            for file in ingested["files"].as_array().unwrap() {
                let missing =
                    file["missing"].as_object().unwrap().iter().map(|(column, count)| (column.as_str(), count));
                let counts = ["rows", "duplicates", "quarantined"].map(|key| (key, &file[key]));
                for (key, count) in missing.chain(counts) {
                    *sums.entry(key.to_owned()).or_insert(0) += count.as_u64().unwrap();
                }
            }
            sums
        };
        assert_eq!(sums(workspace), sums(&files));

        let ranges = ranges(workspace);
        assert!(ranges.len() <= MANY + 3, "{ranges:?}");
        assert!(ranges.windows(2).all(|pair| pair[1].0 == Some(pair[0].1)), "{ranges:?}");
        assert_eq!((ranges[0].0, ranges[ranges.len() - 1].1), (None, number as i64 - 1));

        let before = workspace.snapshot(&["ingesteddata/current"]);
        workspace.run("ingestion", &[]);
        assert!(workspace.snapshot(&["ingesteddata/current"]) == before, "nothing was new");
        assert_nothing_is_left(workspace);
    });
}

#[test]
fn what_no_release_knows_is_not_merged_and_what_the_live_one_does_not_know_neither() {
    on_sqlite(|workspace, history| {
        let input = input(workspace, history);
        insert(&input, 1, &rows("first", 1, false));
        workspace.run("ingestion", &[]);
        add_batches(workspace, &input, 1..60);
        assert_eq!(ranges(workspace).len(), 60);
        workspace.deploy(); // its ingestion has no release yet
        assert_eq!(ranges(workspace).len(), 60);
        add_batches(workspace, &input, 60..61);
        assert_eq!(ranges(workspace), [(None, 119), (Some(119), 121)]);

        // New and pending batches.
        add_batches(workspace, &input, 61..119);
        assert_eq!(ranges(workspace).len(), 60);
        record(workspace, history, "pending_files", 59);
        workspace.run("ingestion", &[]);
        assert_eq!(ranges(workspace).len(), 60);
        let plan = run_without_cargo(workspace, "fullprocess", &["--dry-run"]);
        assert_eq!(plan["pending_files"].as_array().unwrap().len(), 59);
        // Judged ones.
        record(workspace, history, "checked_files", 58);
        workspace.run("ingestion", &[]);
        assert_eq!(ranges(workspace), [(None, 119), (Some(119), 121), (Some(121), 237)]);
        workspace.run("ingestion", &[]);
        assert_nothing_is_left(workspace);
    });
}

#[test]
fn after_a_rollback_exactly_the_rows_are_new_that_the_release_does_not_know() {
    on_sqlite(|workspace, history| {
        let input = deployed(workspace, history, 55);
        let first = workspace.run_json("deployment", &["--list"])["live"].clone();
        add_batches(workspace, &input, 55..110);
        record(workspace, history, "checked_files", 55);
        add_batches(workspace, &input, 110..112); // the second release was trained on these two, the first does not know them
        workspace.deploy();
        add_batches(workspace, &input, 112..172);
        record(workspace, history, "checked_files", 60);
        add_batches(workspace, &input, 172..173);
        let merged = [(None, 219), (Some(219), 221), (Some(221), 223), (Some(223), 343), (Some(343), 345)];
        let found = ranges(workspace);
        // The two that only the second release was trained on are merged with those that only it was checked against.
        assert_eq!(found, [merged[0], (Some(219), 343), merged[4]]);
        let names = ingested_names(workspace);
        let new = &names[names.len() - 2..];

        let rolled_back = workspace.run_json("deployment", &["--rollback", first.as_str().unwrap()]);
        let plain = |names: &Value| -> Vec<_> {
            names.as_array().unwrap().iter().map(|name| crate::input::plain(name.as_str().unwrap())).collect()
        };
        assert_eq!(plain(&rolled_back["new_files"]), new);
        let plan = run_without_cargo(workspace, "fullprocess", &["--dry-run"]);
        assert_eq!(plain(&plan["new_files"]), new);
        assert_eq!(plan["new_n"], 2 * 63);
        workspace.run("ingestion", &[]);
        assert_eq!(ranges(workspace), found);
        decision(workspace, "no_drift");
        decision(workspace, "reported"); // there was no report yet
        decision(workspace, "nothing_to_do");
    });
}

#[test]
fn decisions_are_those_of_the_same_rows_in_files_and_a_replay_misses_nothing() {
    on_sqlite(|workspace, history| {
        let mut files = Workspace::with_data();
        files.set("bind", json!("127.0.0.1:1"));
        let input = input(workspace, history);
        let facts = |workspace: &Workspace| {
            let outcome = run_without_cargo(workspace, "fullprocess", &[]);
            let pending = outcome["pending_files"].as_array().unwrap().len();
            let facts = ["outcome", "new_f1", "new_n", "new_left", "verdict", "recorded_f1", "promotion_warnings"];
            (facts.map(|key| outcome[key].clone()), pending)
        };
        let mut decided = Vec::new();
        for run in 0..70_u64 {
            let new = match run {
                56 => rows("turned", 30, true),
                _ if run % 9 == 4 => format!("stays{run},800,4000,3,0\n"), // cannot be judged
                _ => rows(&format!("n{run}-"), 12, false),
            };
            insert(&input, 100 * run + 1, &new);
            files.csv(&format!("practicedata/from-database-{run:03}.csv"), &new);
            let found = facts(workspace);
            assert_eq!(found, facts(&files), "run {run}");
            decided.push(found.0[0].as_str().unwrap().to_owned());
        }
        for expected in ["no_drift", "cannot_be_judged", "redeployed"] {
            assert!(decided.iter().any(|decision| decision == expected), "{decided:?}");
        }
        let merged = ranges(workspace);
        assert!(merged.len() < MANY, "{merged:?}");
        assert_eq!(workspace.text("ingesteddata/finaldata.csv"), files.text("ingesteddata/finaldata.csv"));
        decision(workspace, "nothing_to_do");

        let replay = run_without_cargo(workspace, "fullprocess", &["--replay"]);
        assert_eq!(replay["files"].as_array().unwrap().len(), 2 + merged.len());
        assert_eq!(replay["notes"], json!([]));
    });
}

#[test]
fn a_part_that_is_missing_or_was_changed_is_named_and_nothing_changes() {
    on_sqlite(|workspace, history| {
        let input = deployed(workspace, history, 55);
        insert(&input, 1000, &rows("new", 2, false));
        let part = format!("ingesteddata/batches/{}", batches(workspace)[20]["name"].as_str().unwrap());
        let content = workspace.text(&part);
        let before = workspace.snapshot(OUTPUTS);
        for damage in [None, Some(content.clone() + "more,1,2,3,1\n"), Some(String::new())] {
            match &damage {
                Some(text) => workspace.write(&part, text),
                None => fs::remove_file(workspace.path(&part)).unwrap(),
            }
            check_message(&workspace.fail("ingestion", &[]), &[&part, "restore it", "ingestion.json"]);
            workspace.write(&part, &content);
            assert!(workspace.snapshot(OUTPUTS) == before, "{damage:?}");
        }
        workspace.run("ingestion", &[]);
        assert_eq!(ranges(workspace), [(None, 109), (Some(109), 1001)]);
        check_clients(workspace, history);
    });
}

#[test]
fn edited_batches_with_an_open_quote_or_another_header_are_not_merged() {
    on_sqlite(|workspace, history| {
        deployed(workspace, history, 120);
        let edit = |index: usize, edit: &dyn Fn(String) -> String| {
            let name = format!("ingesteddata/batches/{}", batches(workspace)[index]["name"].as_str().unwrap());
            workspace.write(&name, &edit(workspace.text(&name)));
        };
        // The present ingestion would refuse changed parts, so the description is made again from the edited files.
        edit(52, &|text| text.replace('\n', "\r\n"));
        edit(54, &|text| text.trim_end().to_owned());
        edit(119, &|_| format!("{}{}\"open,1,2,3,1\n", testkit::HEADER, rows("edited", 25, false)));
        let live = workspace.path("production_deployment/current");
        let target = fs::read_link(&live).unwrap();
        fs::remove_file(&live).unwrap(); // without a live release nothing is merged
        workspace.run("ingestion", &[]);
        std::os::unix::fs::symlink(target, &live).unwrap();
        assert_eq!(ranges(workspace).len(), 120);
        record(workspace, history, "checked_files", 120);
        let rows = dataset(workspace);
        workspace.run("ingestion", &[]);
        assert_eq!(ranges(workspace).len(), 4, "{:?}", ranges(workspace));
        assert_eq!(dataset(workspace), rows);
        assert_eq!(last_file(workspace)["quarantined"], 1);
    });
}

#[test]
fn a_release_that_cannot_be_read_or_a_deployment_at_the_same_time_prevents_it() {
    on_sqlite(|workspace, history| {
        deployed(workspace, history, 55);
        let broken = workspace.path("production_deployment/releases/20200101T000000000Z-0123456789ab");
        fs::create_dir(&broken).unwrap();
        fs::create_dir(broken.with_file_name("notes")).unwrap();
        let output = workspace.output("ingestion", &[]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && ranges(workspace).len() == 55, "{stderr}");
        check_message(&stderr, &["not merged", "20200101T000000000Z-0123456789ab", "manifest.json"]);
        fs::remove_dir(&broken).unwrap();

        let lock = Lock::acquire(broken.parent().unwrap(), "test").unwrap();
        let before = workspace.snapshot(&["ingesteddata/current"]);
        check_message(&workspace.fail("ingestion", &[]), &["another deployment is at work", "nothing was changed"]);
        assert!(workspace.snapshot(&["ingesteddata/current"]) == before);
        drop(lock);
        workspace.run("ingestion", &[]);
        assert_eq!(ranges(workspace), [(None, 109)]);
        assert!(on_disk(workspace).len() > 55, "the parts are still there for other processes");
        workspace.run("ingestion", &[]);
        assert_nothing_is_left(workspace);
        workspace.assert_no_leftovers("ingesteddata");

        // The merged file is known to the release without the history.
        for name in ["history.sqlite", "history.sqlite-wal", "history.sqlite-shm"] {
            let _ = fs::remove_file(workspace.path(name));
        }
        let plan = run_without_cargo(workspace, "fullprocess", &["--dry-run"]);
        assert_eq!(plan["new_files"], json!([]));
        // With another content it is new to it, like any other file.
        let merged = format!("ingesteddata/batches/{}", batches(workspace)[0]["name"].as_str().unwrap());
        workspace.write(&merged, &(workspace.text(&merged) + &rows("edited", 20, false)));
        let plan = run_without_cargo(workspace, "fullprocess", &["--dry-run"]);
        assert_eq!(plan["new_files"].as_array().unwrap().len(), 1);
    });
}

#[test]
fn batches_of_another_source_and_files_that_are_not_in_the_list_stay() {
    on_sqlite(|workspace, history| {
        let input = deployed(workspace, history, 55);
        workspace.run("ingestion", &[]);
        let list = "ingesteddata/batches/.merged.json";
        let good = workspace.text(list);
        workspace.write(list, &good.replacen('"', "\"../", 1));
        check_message(&workspace.fail("ingestion", &[]), &[".merged.json", "../database.", "delete the list"]);
        workspace.write(list, &good);
        input.sql("CREATE TABLE other AS SELECT * FROM activity WHERE id < 9");
        workspace.set("input_database", json!({"url": input.url(), "table": "other", "column": "id"}));
        let merged = batches(workspace)[0]["name"].as_str().unwrap().to_owned();
        workspace.run("ingestion", &[]);
        let found: Vec<_> = on_disk(workspace).into_iter().collect();
        assert!(found.len() == 2 && found.contains(&merged), "{found:?}");
    });
}

#[test]
fn killed_at_any_moment_no_row_is_lost_or_doubled() {
    on_sqlite(|workspace, history| {
        let input = deployed(workspace, history, 60);
        insert(&input, 1000, &rows("new", 40, false));
        let folders = ["ingesteddata", "history.sqlite", "history.sqlite-wal", "history.sqlite-shm"];
        let copy = |from: &Path, to: &Path| {
            for name in folders {
                let _ = fs::remove_dir_all(to.join(name)).or_else(|_| fs::remove_file(to.join(name)));
                if from.join(name).exists() {
                    let copied = Command::new("cp").arg("-a").arg(from.join(name)).arg(to.join(name)).status().unwrap();
                    assert!(copied.success());
                }
            }
        };
        let (template, now) = (workspace.path("template"), workspace.path("."));
        fs::create_dir(&template).unwrap();
        copy(&now, &template);
        let live = workspace.run_json("deployment", &["--list"])["live"].as_str().unwrap().to_owned();
        let mut expected = dataset(workspace);
        expected.extend(rows("new", 40, false).lines().map(str::to_owned));
        let (killed_merged, unmerged) = (Cell::new(0), Cell::new(0));
        let command = || {
            copy(&template, &now);
            workspace.command("ingestion")
        };
        let check = || {
            let is_merged = ranges(workspace).len() == 2;
            let counter = if is_merged { &killed_merged } else { &unmerged };
            counter.set(counter.get() + 1);
            // To every release each file is known or new.
            let outcome = workspace.run_json("deployment", &["--rollback", &live]);
            let new = outcome["new_files"].as_array().map_or(0, Vec::len);
            assert_eq!(new, usize::from(is_merged), "{outcome}");
            for _ in 0..2 {
                workspace.run("ingestion", &[]);
                assert_eq!(ranges(workspace), [(None, 119), (Some(119), 1039)]);
                assert_eq!(dataset(workspace), expected);
            }
            assert_nothing_is_left(workspace);
            workspace.assert_no_leftovers("ingesteddata");
            check_clients(workspace, history);
        };
        kill_at_many_moments(40, command, &check);

        // The moment after the merged files have got their names and before ingestion.json names them.
        command();
        workspace.run("ingestion", &[]);
        let batches = workspace.path("ingesteddata/batches");
        let later = workspace.path("later");
        fs::rename(&batches, &later).unwrap();
        copy(&template, &now);
        let _ = fs::remove_dir_all(&batches);
        fs::rename(&later, &batches).unwrap();
        assert!(batches.join(".merged.json").exists() && ranges(workspace).len() == 60);
        check();
        assert!(killed_merged.get() > 1 && unmerged.get() > 1, "{killed_merged:?} {unmerged:?}");
    });
}
