//! Tests of the first deployment and of the reports that belong to it.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use serde_json::{Value, json};
use testkit::Workspace;

use crate::{OUTPUTS, bootstrapped, decision, is_start, live, narration, record, reported_release, run, workspace};

/// The files that the specification names and a first deployment creates.
const CONTRACT: [&str; 11] = [
    "ingesteddata/finaldata.csv",
    "ingesteddata/ingestedfiles.txt",
    "ingesteddata/quarantine.csv",
    "practicemodels/trainedmodel.bin",
    "practicemodels/trainedmodel.pkl",
    "practicemodels/latestscore.txt",
    "practicemodels/confusionmatrix.png",
    "practicemodels/apireturns.txt",
    "production_deployment/trainedmodel.pkl",
    "production_deployment/latestscore.txt",
    "production_deployment/ingestedfiles.txt",
];

#[test]
fn the_first_run_does_the_whole_chain() {
    let workspace = workspace();
    let (stdout, stderr) = run(&workspace, &[]);
    let id = live(&workspace).id;
    assert_eq!(stdout.lines().last(), Some(&*format!("first deployment: {id}, trained on dataset1.csv, dataset2.csv")));
    for file in CONTRACT {
        assert!(!workspace.read(file).is_empty(), "{file}");
    }
    assert_eq!(workspace.text("production_deployment/latestscore.txt"), "0.8");
    assert_eq!(record(&workspace), ["dataset1.csv", "dataset2.csv"]);
    assert_eq!(reported_release(&workspace, "practicemodels"), json!(id));
    // stderr shows the progress, step by step.
    let steps: Vec<_> = stderr.lines().filter(|line| is_start(line)).map(narration).collect();
    assert_eq!(steps, ["ingestion", "training", "scoring", "deployment", "reporting", "apicalls"], "{stderr}");
}

#[test]
fn with_nothing_new_there_is_nothing_to_do_and_nothing_changes() {
    let workspace = bootstrapped();
    let before = workspace.snapshot(OUTPUTS);
    for _ in 0..2 {
        let (stdout, stderr) = run(&workspace, &[]);
        assert!(stdout.lines().last().unwrap().starts_with("nothing to do"), "{stdout}");
        assert_eq!(stderr, "", "no step is run");
    }
    // A file with the same bytes and another modification time is not new.
    workspace.write("practicedata/dataset1.csv", &workspace.text("practicedata/dataset1.csv"));
    decision(&workspace, "nothing_to_do");
    // A hidden file or one that is not a CSV file is not new, and a deleted file does not remove anything.
    workspace.csv("practicedata/.hidden.csv", "x,1,2,3,0\n");
    workspace.csv("practicedata/notes.txt", "x,1,2,3,0\n");
    fs::remove_file(workspace.path("practicedata/dataset2.csv")).unwrap();
    decision(&workspace, "nothing_to_do");
    assert!(workspace.snapshot(OUTPUTS) == before);
}

#[test]
fn reports_that_are_not_of_the_live_release_are_created_again() {
    type Change = fn(&Workspace);
    let changes: [Change; 8] = [
        |workspace| fs::remove_file(workspace.path("practicemodels/apireturns.txt")).unwrap(),
        |workspace| workspace.write("practicemodels/apireturns.txt", "<html>an error page</html>"),
        |workspace| fs::remove_file(workspace.path("practicemodels/confusionmatrix.png")).unwrap(),
        |workspace| fs::remove_file(workspace.path("practicemodels/modelquality.png")).unwrap(),
        |workspace| fs::write(workspace.path("practicemodels/report.pdf"), "cut short").unwrap(),
        |workspace| fs::remove_file(workspace.path("practicemodels/reports.json")).unwrap(),
        |workspace| drop(workspace.run("deployment", &[])),
        |workspace| drop(workspace.run("deployment", &["--rollback"])),
    ];
    let untouched =
        &["ingesteddata", "production_deployment", "practicemodels/latestscore.txt", "practicemodels/trainedmodel.bin"];
    let workspace = bootstrapped();
    for change in changes {
        change(&workspace);
        let (id, before) = (live(&workspace).id, workspace.snapshot(untouched));
        let (stdout, _) = run(&workspace, &[]);
        assert!(
            stdout.starts_with(&format!("no new data, but the reports were not those of {id} for today")),
            "{stdout}"
        );
        assert_eq!(reported_release(&workspace, "practicemodels"), json!(id));
        assert!(!workspace.read("practicemodels/confusionmatrix.png").is_empty());
        assert!(workspace.snapshot(untouched) == before);
        decision(&workspace, "nothing_to_do");
    }
}

/// The API's answers belong to the first release all the time; only the reports change.
#[test]
fn reports_of_another_release_are_created_again_after_a_rollback() {
    let mut workspace = bootstrapped();
    let first = live(&workspace).id;
    workspace.set("threshold", json!(0.3));
    let listed = workspace.read("practicemodels/report.pdf");
    for step in ["training", "scoring", "deployment", "reporting"] {
        workspace.run(step, &[]);
    }
    workspace.run("deployment", &["--rollback", &first]);
    assert_eq!(reported_release(&workspace, "practicemodels"), json!(first));
    assert!(workspace.read("practicemodels/report.pdf") != listed);
    decision(&workspace, "reported");
    decision(&workspace, "nothing_to_do");
}

#[test]
fn an_outcome_that_cannot_be_written_to_stdout_is_written_to_stderr() {
    let workspace = workspace();
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = workspace.command_without_cargo("fullprocess").stdout(full).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let last_line = format!("first deployment: {}, trained on", live(&workspace).id);
    assert!(stderr.contains("cannot be written to stdout (No space left on device"), "{stderr}");
    assert!(narration(stderr.lines().last().unwrap()).starts_with(&last_line), "{stderr}");
    decision(&workspace, "nothing_to_do");
}

#[test]
fn a_running_service_is_called_and_its_answers_are_saved() {
    let mut workspace = workspace();
    let server = workspace.serve();
    workspace.set("bind", json!(server.url.trim_start_matches("http://")));
    decision(&workspace, "bootstrapped");
    let returns: Value = serde_json::from_slice(&workspace.read("practicemodels/apireturns.txt")).unwrap();
    assert_eq!((&returns["url"], &returns["release"]), (&json!(server.url), &json!(live(&workspace).id)));
}

#[test]
fn another_program_at_the_address_of_the_service_does_not_stop_the_run() {
    let mut workspace = workspace();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 500 Sorry\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    workspace.set("bind", json!(address));
    let (stdout, stderr) = run(&workspace, &["--json"]);
    assert!(stdout.contains("bootstrapped"), "{stdout}");
    assert!(stderr.contains(&format!("warning: the running app at {address} could not be used")), "{stderr}");
    assert_eq!(reported_release(&workspace, "practicemodels"), json!(live(&workspace).id));
}
