//! Tests of the program `ingestion`: its results for good input, and that bad input, killed processes, a full disk or a
//! second run leave the earlier set unchanged.

#![expect(clippy::unwrap_used, reason = "a test that cannot make its workspace has failed")]

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fs::{self, File, FileTimes};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use common::files::checksum::Checksum;
use common::files::ingested::{Ingested, record_of_names};
use common::files::lock::Lock;
use serde_json::{Value, json};
use testkit::faults::kill_at_many_moments;
use testkit::{HEADER, Workspace, rows};

const OUTPUTS: [&str; 4] = ["finaldata.csv", "ingestedfiles.txt", "quarantine.csv", "ingestion.json"];

/// Creates a workspace with one ingested file, so there is a set that could be lost.
fn ingested() -> Workspace {
    let workspace = Workspace::new();
    workspace.csv("practicedata/dataset1.csv", &rows("a", 20, false));
    workspace.run("ingestion", &[]);
    workspace
}

/// Runs ingestion and checks that it fails, that the message contains all of `words`, and that the earlier set is
/// unchanged.
fn is_refused(workspace: &Workspace, words: &[&str]) {
    let before = workspace.snapshot(&["ingesteddata"]);
    assert!(!before.is_empty());
    let stderr = workspace.fail("ingestion", &[]);
    for word in words {
        assert!(stderr.contains(word), "{word:?} is not in {stderr}");
    }
    assert!(workspace.snapshot(&["ingesteddata"]) == before, "the earlier set has changed, though: {stderr}");
    workspace.assert_no_leftovers("ingesteddata");
}

/// Ingests only files with the given names and contents. Returns finaldata.csv without its header.
fn compiled(files: &[(&str, &[u8])]) -> String {
    let workspace = Workspace::new();
    for (name, bytes) in files {
        fs::write(workspace.path("practicedata").join(name), bytes).unwrap();
    }
    workspace.run("ingestion", &[]);
    workspace.text("ingesteddata/finaldata.csv").strip_prefix(HEADER).unwrap().to_owned()
}

#[test]
fn a_folder_without_a_csv_file_does_not_replace_existing_data() {
    type Change = fn(&Workspace);
    let changes: [Change; 5] = [
        |_| {},
        |workspace| workspace.csv("practicedata/.hidden.csv", &rows("h", 20, false)),
        |workspace| {
            for name in ["notes.txt", "csv", "dataset.csv.bak", "dataset.tsv"] {
                workspace.csv(&format!("practicedata/{name}"), &rows("o", 20, false));
            }
        },
        |workspace| workspace.csv("practicedata/folder.csv/inside.csv", &rows("i", 20, false)),
        |workspace| fs::remove_dir(workspace.path("practicedata")).unwrap(),
    ];
    for change in changes {
        let workspace = ingested();
        fs::remove_file(workspace.path("practicedata/dataset1.csv")).unwrap();
        change(&workspace);
        is_refused(&workspace, &[workspace.path("practicedata").to_str().unwrap()]);
    }
}

#[test]
fn every_visible_csv_counts_in_the_order_of_the_names_whatever_the_case_of_the_suffix() {
    let workspace = Workspace::new();
    for name in ["b.csv", "C.CSV", "a.Csv", "a10.csv", "a2.csv", ".hidden.csv", "notes.txt", "folder.csv/inside.csv"] {
        workspace.csv(&format!("practicedata/{name}"), &format!("from {name},1,2,3,0\n"));
    }
    workspace.run("ingestion", &[]);
    let record = workspace.text("ingesteddata/ingestedfiles.txt");
    assert_eq!(record, r#"["C.CSV", "a.Csv", "a10.csv", "a2.csv", "b.csv"]"#);
    let data = workspace.text("ingesteddata/finaldata.csv");
    let names: Vec<_> = data.lines().skip(1).map(|row| row.split(',').next().unwrap()).collect();
    assert_eq!(names, ["from C.CSV", "from a.Csv", "from a10.csv", "from a2.csv", "from b.csv"]);
}

#[test]
fn a_file_that_cannot_be_read_is_named_and_the_old_set_stays() {
    let table = |rows: &str| format!("{HEADER}{rows}").into_bytes();
    let good = rows("g", 60, false);
    let plain = table(&good);
    let text = String::from_utf8(plain.clone()).unwrap();
    let utf16 = |bom: &[u8]| [bom, &text.bytes().flat_map(|byte| [byte, 0]).collect::<Vec<_>>()].concat();
    let faults: [(Vec<u8>, &[&str]); 14] = [
        (text.replace(",exited", "").into_bytes(), &["column exited is missing", "line 1"]),
        (text.replace("exited", "left").into_bytes(), &["column \"left\"", "unknown", "line 1"]),
        (text.replace("exited", "exited,colour").into_bytes(), &["column \"colour\"", "unknown", "line 1"]),
        (
            text.replace("lastyear_activity", "lastmonth_activity").into_bytes(),
            &["lastmonth_activity occurs twice", "line 1"],
        ),
        (good.clone().into_bytes(), &["column \"g0\"", "unknown", "line 1"]),
        (Vec::new(), &["the file is empty"]),
        ([plain.as_slice(), b"caf\xe9,1,2,3,0\n"].concat(), &["line 62", "UTF-8"]),
        ([b"caf\xe9,".as_slice(), &plain].concat(), &["line 1", "UTF-8"]),
        (utf16(b""), &["line 1", "UTF-16"]),
        (utf16(b"\xff\xfe"), &["line 1", "UTF-8"]),
        // 5 % of malformed rows are tolerated; 3 of 59 are more.
        (
            table(&format!("{}x,y,2,3,0\nx,1,2,3\nx,1,2,3,0,0\n", rows("g", 56, false))),
            &["3 of 59 lines", "more than 5 %", "line 58: lastmonth_activity is not a number"],
        ),
        // Half-copied files: cut within a row, cut within a quoted name, and a copy that has reserved space for the
        // whole file before writing all of it.
        (table(&format!("{}g10,794,4", rows("g", 10, false))), &["1 of 11 lines", "half-copied", "line 12: 3 fields"]),
        (table(&format!("{}\"broken", rows("g", 10, false))), &["1 of 11 lines", "half-copied", "line 12"]),
        ([table(&rows("g", 10, false)), vec![0; 3000]].concat(), &["1 of 11 lines", "half-copied", "line 12"]),
    ];
    // All cases share one earlier set; every refused input must have left it unchanged.
    let workspace = ingested();
    workspace.csv("practicedata/dataset2.csv", &good);
    for (bytes, words) in faults {
        // The faulty file comes before, among or after good ones.
        for name in ["a-faulty.csv", "dataset1-faulty.csv", "z-faulty.csv"] {
            let path = workspace.path("practicedata").join(name);
            fs::write(&path, &bytes).unwrap();
            is_refused(&workspace, &[&[name], words].concat());
            fs::remove_file(&path).unwrap();
        }
    }
}

#[test]
fn files_that_hold_no_row_at_all_are_refused_and_one_among_others_is_pointed_out() {
    let workspace = ingested();
    workspace.csv("practicedata/dataset1.csv", "");
    workspace.csv("practicedata/dataset2.csv", "");
    is_refused(&workspace, &["none of the 2 CSV files contains a row"]);

    workspace.csv("practicedata/dataset1.csv", &rows("a", 20, false));
    let output = workspace.output("ingestion", &[]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && stderr.contains("warning: dataset2.csv contains no row"), "{stderr}");
}

#[test]
fn a_file_that_is_written_while_it_is_read_is_refused() {
    let workspace = ingested();
    let path = workspace.path("practicedata/dataset2.csv");
    workspace.csv("practicedata/dataset2.csv", &rows("b", 100_000, false));
    let (file, done) = (File::options().append(true).open(&path).unwrap(), AtomicBool::new(false));
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            // A program that is writing to the file changes the file's modification time again and again.
            let mut time = SystemTime::UNIX_EPOCH;
            while !done.load(Ordering::Relaxed) {
                time += Duration::from_secs(1);
                file.set_times(FileTimes::new().set_modified(time)).unwrap();
            }
        });
        // `is_refused` is not used: if it panicked here, the writing thread would never end.
        let output = workspace.output("ingestion", &[]);
        done.store(true, Ordering::Relaxed);
        writer.join().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("dataset2.csv") && stderr.contains("changed while it was read"), "{stderr}");
    });
    assert_eq!(workspace.text("ingesteddata/ingestedfiles.txt"), r#"["dataset1.csv"]"#);
    workspace.run("ingestion", &[]);
}

#[test]
fn up_to_five_percent_malformed_rows_are_quarantined_unchanged_with_a_warning() {
    let workspace = Workspace::new();
    workspace.csv("practicedata/dataset1.csv", &rows("a", 20, false));
    // 76 good rows and 4 bad ones: 5 %. The blank line counts as a line, not as a row.
    let bad = "\"Smith, \"\"J\"\"\",many,2,3,0\n\nb,1,2,3\nb,1,-2,3,0\r\nb,1,2,3,maybe\n";
    workspace.csv("practicedata/dataset2.csv", &format!("{}{bad}{}", rows("b", 50, false), rows("c", 26, false)));
    let output = workspace.output("ingestion", &["--json"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.contains("warning: 4 rows of dataset2.csv cannot be read; see quarantine.csv"), "{stderr}");
    assert!(!stderr.contains("dataset1.csv"), "{stderr}");
    assert_eq!(
        workspace.text("ingesteddata/quarantine.csv"),
        "file,line,reason,row\n\
         dataset2.csv,52,lastmonth_activity is not a number,\"\"\"Smith, \"\"\"\"J\"\"\"\"\"\",many,2,3,0\"\n\
         dataset2.csv,54,4 fields where the header has 5,\"b,1,2,3\"\n\
         dataset2.csv,55,lastyear_activity is negative,\"b,1,-2,3,0\"\n\
         dataset2.csv,56,\"exited is not 0, 1 or missing\",\"b,1,2,3,maybe\"\n"
    );
    let good = format!("{HEADER}{}{}{}", rows("a", 20, false), rows("b", 50, false), rows("c", 26, false));
    assert_eq!(workspace.text("ingesteddata/finaldata.csv"), good);
    let outcome: Value = serde_json::from_slice(&output.stdout).unwrap();
    let quarantined: Vec<_> = outcome["files"].as_array().unwrap().iter().map(|file| &file["quarantined"]).collect();
    assert_eq!(quarantined, [0, 4]);
}

#[test]
fn every_dialect_of_csv_gives_the_same_dataset() {
    let plain = format!("{HEADER}abcd,1,2,3,0\n\"o'neil, ltd\",4,,6,1\nGröße 株,7,8,,\n");
    let expected = plain.strip_prefix(HEADER).unwrap();
    let reordered = "exited,number_of_employees,corporation,lastyear_activity,lastmonth_activity\n\
                     0,3,abcd,2,1\n1,6,\"o'neil, ltd\",,4\n,,Größe 株,8,7\n";
    let quoted = "\"corporation\",\"lastmonth_activity\",\"lastyear_activity\",\"number_of_employees\",\"exited\"\n\
                  \"abcd\",\"1\",\"2\",\"3\",\"0\"\n\"o'neil, ltd\",\"4\",\"\",\"6\",\"1\"\n\"Größe 株\",\"7\",\"8\",\"NA\",\"NaN\"\n";
    for text in [
        plain.clone(),
        plain.trim_end().to_owned(),
        plain.replace('\n', "\r\n"),
        plain.replace('\n', "\n\n"),
        format!("\u{feff}{plain}"),
        format!("\u{feff}{}", quoted.replace('\n', "\r\n").trim_end()),
        quoted.to_owned(),
        reordered.to_owned(),
        plain.replace("abcd,1,2,3,0", "abcd, 1 ,2.0,3.00, 0"),
    ] {
        assert_eq!(compiled(&[("dataset.csv", text.as_bytes())]), expected, "{text:?}");
    }
}

#[test]
fn every_spelling_that_pandas_reads_as_missing_is_empty() {
    let spellings = [
        "", "NA", "N/A", "n/a", "NaN", "nan", "-NaN", "-nan", "NULL", "null", "None", "<NA>", "#NA", "#N/A",
        "#N/A N/A", "1.#IND", "1.#QNAN", "-1.#IND", "-1.#QNAN",
    ];
    for (row, expected) in
        [("x{},NA,2,3,0", "x{},,2,3,0"), ("x{},1,2,NA,0", "x{},1,2,,0"), ("x{},1,2,3,NA", "x{},1,2,3,")]
    {
        let table = |row: &str, spelling: &dyn Fn(usize) -> &'static str| -> String {
            let row = |i: usize| row.replace("NA", spelling(i)).replace("{}", &i.to_string()) + "\n";
            (0..spellings.len()).map(row).collect()
        };
        let text = format!("{HEADER}{}", table(row, &|i| spellings[i]));
        assert_eq!(compiled(&[("dataset.csv", text.as_bytes())]), table(expected, &|_| "NA"));
    }
    let unnamed: String = spellings[1..].iter().enumerate().map(|(i, name)| format!("{name},{i},2,3,0\n")).collect();
    let expected: String = (0..spellings.len() - 1).map(|i| format!(",{i},2,3,0\n")).collect();
    assert_eq!(compiled(&[("dataset.csv", format!("{HEADER}{unnamed}").as_bytes())]), expected);
}

#[test]
fn integers_stay_integers_and_decimals_keep_their_value() {
    // Missing values in the same column must not turn 5 into 5.0, as they do in pandas.
    let text = format!("{HEADER}a,5,NA,007,1.0\nb,5.0,1e3,9007199254740992,NA\nc,2.50,0.1,1,0\n");
    let expected = "a,5,,7,1\nb,5,1000,9007199254740992,\nc,2.5,0.1,1,0\n";
    assert_eq!(compiled(&[("dataset.csv", text.as_bytes())]), expected);
}

#[test]
fn the_first_of_equal_rows_is_kept_across_files_in_file_name_order() {
    let one = format!("{HEADER}x,1,2,3,0\ny,1,2,3,0\nx,1,2,3,0\n");
    // Rows with equal values but different bytes: another order of columns, decimals, another spelling of missing
    // values.
    let two = "exited,corporation,lastmonth_activity,lastyear_activity,number_of_employees\n\
               0,z,9,9,9\n0,y,1.0,2,3\n1,y,1,2,3\n,w,1,2,3\n";
    let three = format!("{HEADER}w,1,2,3,NA\nz,9,9,9,0\nlast,1,2,3,0\n");
    let files = [("c.csv", three.as_bytes()), ("b.csv", two.as_bytes()), ("a.csv", one.as_bytes())];
    assert_eq!(compiled(&files), "x,1,2,3,0\ny,1,2,3,0\nz,9,9,9,0\ny,1,2,3,1\nw,1,2,3,\nlast,1,2,3,0\n");
}

#[test]
fn the_outcome_says_what_was_found_and_the_history_remembers_it() {
    let workspace = Workspace::new();
    // x has left and stayed; y has only left, twice. Rows without `exited` or without a name contradict nothing.
    workspace.csv("practicedata/a.csv", "x,1,2,3,0\nx,1,2,3,0\ny,NA,2,3,1\n,1,2,3,0\n");
    workspace.csv("practicedata/b.csv", "x,1,2,3,1\nx,9,9,9,1\ny,5,2,3,1\ny,6,2,3,NA\n,1,2,3,1\nx,1,2,3,0\n");
    let outcome = workspace.run_json("ingestion", &[]);

    let none = json!({"corporation": 0, "lastmonth_activity": 0, "lastyear_activity": 0, "number_of_employees": 0, "exited": 0});
    let missing = |changes: &[(&str, u64)]| {
        let mut counts = none.clone();
        changes.iter().for_each(|(column, count)| counts[column] = json!(count));
        counts
    };
    let file = |name: &str, rows: u64, duplicates: u64, missing: Value| {
        let sha256 = Checksum::of_bytes(&workspace.read(&format!("practicedata/{name}")));
        json!({"name": name, "sha256": sha256, "rows": rows, "duplicates": duplicates, "quarantined": 0, "missing": missing})
    };
    assert_eq!(
        outcome["files"],
        json!([
            file("a.csv", 4, 1, missing(&[("corporation", 1), ("lastmonth_activity", 1)])),
            file("b.csv", 6, 1, missing(&[("corporation", 1), ("exited", 1)])),
        ])
    );
    assert_eq!(outcome["rows"], 8);
    assert_eq!(outcome["missing"], missing(&[("corporation", 2), ("lastmonth_activity", 1), ("exited", 1)]));
    assert_eq!(outcome["contradictory_corporations"], 1);
    assert_eq!(outcome["contradictory_examples"], json!(["x"]));
    assert_eq!(outcome["dataset_sha256"], json!(Checksum::of_bytes(&workspace.read("ingesteddata/finaldata.csv"))));
    assert!(outcome["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{outcome}");

    let tables = ["runs", "ingested_files", "timings", "missing_percentages", "scores"];
    assert_eq!(tables.map(|table| workspace.history_rows(table)), [1, 2, 1, 5, 0]);
    // The history keeps a failed run, but not its results.
    fs::write(workspace.path("practicedata/c.csv"), "").unwrap();
    workspace.fail("ingestion", &[]);
    assert_eq!(tables.map(|table| workspace.history_rows(table)), [2, 2, 1, 5, 0]);
}

#[test]
fn ingesting_the_same_files_again_leaves_the_same_bytes() {
    let workspace = Workspace::with_data();
    workspace.run("ingestion", &[]);
    let once = workspace.snapshot(&["ingesteddata"]);
    workspace.run("ingestion", &[]);
    assert!(workspace.snapshot(&["ingesteddata"]) == once);
}

#[test]
fn the_record_is_json_and_a_python_list_whatever_the_names() {
    let workspace = Workspace::new();
    let mut names = [
        "dataset1.csv",
        "o'neil.csv",
        "say \"x\".csv",
        "größe 株 🙂.csv",
        "back\\slash.csv",
        "new\nline.csv",
        "tab\t.csv",
        "bell\u{7}.csv",
        "[a, b].csv",
        "${HOME}.csv",
    ];
    names.sort_unstable();
    for (i, name) in names.iter().enumerate() {
        workspace.csv(&format!("practicedata/{name}"), &format!("x{i},1,2,3,0\n"));
    }
    workspace.run("ingestion", &[]);
    let record = workspace.text("ingesteddata/ingestedfiles.txt");
    assert_eq!(serde_json::from_str::<Vec<String>>(&record).unwrap(), names);

    let script = "import ast, json, sys; print(json.dumps(ast.literal_eval(sys.stdin.buffer.read().decode('utf-8'))))";
    let python = Command::new("python3")
        .args(["-c", script])
        .stdin(File::open(workspace.path("ingesteddata/ingestedfiles.txt")).unwrap())
        .stderr(Stdio::inherit())
        .output();
    match python {
        Ok(output) => assert_eq!(serde_json::from_slice::<Vec<String>>(&output.stdout).unwrap(), names),
        Err(error) => eprintln!("SKIPPED: that Python reads the record too; python3 cannot be started: {error}"),
    }
}

const INPUTS: [&str; 2] = ["first", "second"];

/// Creates a workspace with two inputs of `n` rows and a few more, and the results of ingesting each; the second one is
/// ingested.
fn two_inputs(n: usize) -> (Workspace, [[Vec<u8>; 4]; 2]) {
    let mut workspace = Workspace::new();
    let sets = INPUTS.map(|input| {
        workspace.csv(&format!("{input}/{input}.csv"), &(rows(input, n, false) + "bad,row\n"));
        workspace.csv(&format!("{input}/small.csv"), &rows(input, 100, true));
        workspace.set("input_folder_path", json!(input));
        workspace.run("ingestion", &[]);
        OUTPUTS.map(|name| workspace.read(&format!("ingesteddata/{name}")))
    });
    (workspace, sets)
}

#[test]
fn a_run_killed_at_any_moment_leaves_the_old_set_or_the_new_one() {
    let (mut workspace, sets) = two_inputs(300_000);
    // Storing the dataset follows the publication and takes longer than the rest.
    workspace.set("store_dataset", json!(false));
    let workspace = RefCell::new(workspace);
    let (now, changes) = (Cell::new(1), Cell::new(0));
    kill_at_many_moments(
        40,
        || {
            // Ingest the input that is not ingested at the moment.
            workspace.borrow_mut().set("input_folder_path", json!(INPUTS[1 - now.get()]));
            workspace.borrow().command("ingestion")
        },
        || {
            let workspace = workspace.borrow();
            let found = OUTPUTS.map(|name| workspace.read(&format!("ingesteddata/{name}")));
            let ingested = Ingested::read(&workspace.path("ingesteddata")).unwrap();
            assert_eq!(ingested.dataset_sha256, Checksum::of_bytes(&found[0]));
            let names: Vec<_> = ingested.files.iter().map(|file| file.name.as_str()).collect();
            assert_eq!(String::from_utf8_lossy(&found[1]), record_of_names(&names));
            let is = sets.iter().position(|set| *set == found).expect("neither the old set nor the new one");
            changes.set(changes.get() + usize::from(is != now.replace(is)));
        },
    );
    assert!((2..40).contains(&changes.get()), "the kills came all too early or all too late: {changes:?}");

    let workspace = workspace.into_inner();
    workspace.run("ingestion", &[]);
    workspace.assert_no_leftovers("ingesteddata");
    assert_eq!(fs::read_dir(workspace.path("ingesteddata/versions")).unwrap().count(), 1);
}

#[test]
fn a_reader_always_finds_a_whole_set_while_others_are_ingested() {
    let (mut workspace, sets) = two_inputs(100);
    let link = workspace.path("ingesteddata/current");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = BTreeSet::new();
            while !done.load(Ordering::Relaxed) {
                let version = fs::read_link(&link).unwrap(); // the link always exists
                let found = OUTPUTS.map(|name| fs::read(link.with_file_name(&version).join(name)).ok());
                // Files may be missing only if their version has just been replaced.
                if fs::read_link(&link).unwrap() == version {
                    let is =
                        sets.iter().position(|set| set.each_ref().map(Some) == found.each_ref().map(Option::as_ref));
                    seen.insert(is.expect("neither of the two sets"));
                }
            }
            seen.len()
        });
        let results: Vec<_> = (0..30)
            .map(|run| {
                workspace.set("input_folder_path", json!(INPUTS[run % 2]));
                workspace.output("ingestion", &[])
            })
            .collect();
        done.store(true, Ordering::Relaxed);
        assert_eq!(reader.join().unwrap(), 2, "the reader did not see both sets");
        assert!(results.iter().all(|output| output.status.success()), "{results:?}");
    });
}

#[test]
fn a_full_disk_is_an_error_that_says_so_and_the_old_set_stays() {
    let workspace = ingested();
    workspace.csv("practicedata/dataset2.csv", &rows("b", 100_000, false));
    let before = workspace.snapshot(&["ingesteddata"]);
    // The space is enough for the history, but not for a dataset of 2 MB.
    let output = workspace.output_on_a_full_disk("ingestion", 500);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    for part in [workspace.path("ingesteddata").to_str().unwrap(), "/finaldata.csv", "File too large"] {
        assert!(stderr.contains(part), "{part:?} is not in {stderr}");
    }
    assert!(workspace.snapshot(&["ingesteddata"]) == before);
    workspace.assert_no_leftovers("ingesteddata");
    workspace.run("ingestion", &[]);
}

#[test]
fn a_second_run_at_the_same_time_is_refused() {
    let workspace = ingested();
    workspace.csv("practicedata/dataset2.csv", &rows("b", 20, false));
    let first = Lock::acquire(&workspace.config().output_folder, "ingestion").unwrap();
    is_refused(&workspace, &["another ingestion is at work", "ingesteddata", "try again"]);
    drop(first);
    workspace.run("ingestion", &[]);
}

#[test]
fn a_history_that_cannot_be_written_stops_the_run_before_it_changes_anything() {
    let mut workspace = ingested();
    workspace.csv("practicedata/dataset2.csv", &rows("b", 20, false));
    workspace.write("no-database", &"this is no database, however long it is\n".repeat(10));
    workspace.set("database_url", json!("sqlite://no-database"));
    is_refused(&workspace, &["no-database", "database_url"]);
}

/// A table of 200 clients with numbers and levels.
fn customers() -> String {
    let row = |i: usize| {
        let plan = ["DSL", "No internet service", "\"größe, \"\"x\"\"\""][i % 3];
        format!("k{i:03},{},{plan},{}.5,{}\n", i * 7 % 13, i * 31 % 97, if i * i % 5 == 1 { "Yes" } else { "No" })
    };
    "customer,months,\"plan, now\",amount,Churn\n".to_owned() + &(0..200).map(row).collect::<String>()
}

#[test]
fn proposed_columns_can_be_pasted_into_a_config_that_then_accepts_the_folder() {
    let mut workspace = Workspace::new();
    workspace.write("practicedata/customers.csv", &customers());
    let suggest = |arguments: &[&str]| {
        // There is no config in this folder.
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(testkit::binary("ingestion"));
        command.current_dir(&folder).env_remove("RISK_CONFIG").arg("--suggest-columns");
        let output = command.arg(workspace.path("practicedata")).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        (serde_json::from_slice::<Value>(&output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (block, reasons) = suggest(&[]);
    assert_eq!(block.as_object().unwrap().keys().collect::<Vec<_>>(), ["columns"]);
    assert!(reasons.contains("category with 3 levels"), "{reasons}");
    let (report, _) = suggest(&["--json"]);
    assert_eq!((&report["columns"], &report["rows"]), (&block["columns"], &json!(200)));

    workspace.set("columns", block["columns"].clone());
    let outcome = workspace.run_json("ingestion", &[]);
    assert_eq!(outcome["files"][0]["quarantined"], json!(0), "{outcome}");
    workspace.run("training", &[]);
}

#[test]
fn an_unknown_column_leads_to_the_proposal() {
    let workspace = Workspace::with_data();
    workspace.write("practicedata/customers.csv", &customers());
    for program in ["ingestion", "fullprocess"] {
        let stderr = workspace.fail(program, &[]);
        assert!(stderr.contains("column \"customer\" (line 1) is unknown"), "{program}: {stderr}");
        assert!(stderr.contains("ingestion --suggest-columns FOLDER"), "{program}: {stderr}");
    }
}

#[test]
fn a_list_tells_files_with_their_checksums_and_changes_nothing() {
    let workspace = ingested();
    workspace.csv("practicedata/another.csv", "b,1,2,3,0\n");
    let before = workspace.snapshot(&["ingesteddata", "practicedata"]);
    let listing = workspace.run_json("ingestion", &["--list"]);
    let files = listing["files"].as_array().unwrap();
    let names: Vec<&str> = files.iter().map(|file| file["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["another.csv", "dataset1.csv"]);
    let checksum = Checksum::of_file(&workspace.path("practicedata/another.csv")).unwrap();
    assert_eq!(files[0]["sha256"], json!(checksum));
    assert_eq!(workspace.snapshot(&["ingesteddata", "practicedata"]), before);
}
