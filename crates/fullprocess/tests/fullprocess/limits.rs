//! Tests of the time limit of the steps, and of what is known about a run that has failed early.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use common::production::last_run::LastRun;
use serde_json::json;
use testkit::{Workspace, binary};

use crate::{OUTPUTS, bootstrapped, decision, fail, live, narration, run, workspace};

/// Creates a folder with all programs, in which `script` takes the place of `step`. Returns the path of fullprocess.
fn with_script_as(step: &str, script: &str, workspace: &Workspace) -> PathBuf {
    let folder = workspace.path("programs");
    fs::create_dir(&folder).unwrap();
    for program in ["ingestion", "training", "scoring", "deployment", "reporting", "app", "apicalls"] {
        symlink(binary(program), folder.join(program)).unwrap();
    }
    fs::remove_file(folder.join(step)).unwrap();
    let source = workspace.path("script");
    fs::write(&source, format!("#!/bin/sh\n{script}\n")).unwrap();
    // A link to fullprocess would lead to the folder of the others. Another process writes the programs: one that this
    // process has open while another test starts a process cannot be executed ("Text file busy").
    for (from, to) in [(binary("fullprocess"), "fullprocess"), (source, step)] {
        assert!(Command::new("install").arg(from).arg(folder.join(to)).status().unwrap().success());
    }
    folder.join("fullprocess")
}

#[test]
fn a_step_that_hangs_is_ended_with_what_it_has_started_and_the_run_says_so() {
    thread::scope(|scope| {
        for step in ["ingestion", "training", "app"] {
            scope.spawn(move || hang(step));
        }
    });
}

fn hang(step: &str) {
    let mut workspace = workspace();
    workspace.set("step_time_limit", json!(15)); // the real steps need less than this
    let alive = workspace.path("alive");
    let script = format!(
        "echo reading the client table >&2\n(while :; do touch '{}'; sleep 0.05; done) &\nwait",
        alive.display()
    );
    let program = with_script_as(step, &script, &workspace);
    let mut command = Command::new(program);
    // As in the other tests there is no cargo that would ask a registry.
    command.arg("--config").arg(workspace.path("config.json")).env_clear().env("PATH", "/usr/bin:/bin");
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{step}: {stderr}");
    let last = LastRun::read(&workspace.config()).unwrap().unwrap();
    for part in [step, "15 s", "step_time_limit", "reading the client table"] {
        assert!(last.line.contains(part) && stderr.contains(part), "{step}: {part}: {stderr}");
    }
    assert!(!last.succeeded && last.last_success.is_none(), "{last:?}");
    let recorded = workspace.run("dbsetup", &["--history", "runs", "--last", "1"]);
    assert!(recorded.contains("fullprocess") && recorded.contains("failed"), "{recorded}");
    fs::remove_file(&alive).unwrap();
    thread::sleep(Duration::from_millis(500));
    assert!(!alive.exists(), "{step}: a process of the step still runs");
    run(&workspace, &[]); // with the real programs the next run goes on
    live(&workspace);
}

#[test]
fn a_step_ends_when_the_process_that_has_started_it_ends() {
    let workspace = bootstrapped();
    let script = format!(
        "RISK_STEP_OF=$$ '{}' --config '{}' --bind 127.0.0.1:0 --json & echo $!; wait",
        binary("app").display(),
        workspace.path("config.json").display()
    );
    let mut parent =
        Command::new("sh").args(["-c", &script]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(parent.stdout.take().unwrap()));
    let id = lines.next().unwrap().unwrap();
    assert!(lines.next().unwrap().unwrap().contains("127.0.0.1"), "it listens");
    parent.kill().unwrap();
    parent.wait().unwrap();
    assert!(lines.next().is_none(), "stdout is closed when the app has ended");
    assert!(!fs::exists(format!("/proc/{id}/exe")).unwrap_or(false));

    let output = workspace.command("scoring").env("RISK_STEP_OF", "1").output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("fullprocess, which started this step, has ended"));
}

#[test]
fn a_run_that_fails_before_the_database_is_open_is_known() {
    let mut workspace = bootstrapped();
    let success = LastRun::read(&workspace.config()).unwrap().unwrap();
    assert_eq!((success.succeeded, success.last_success), (true, Some(success.ended)));
    let database = workspace.path("history.sqlite");
    workspace.set("database_url", json!("postgres://127.0.0.1:1/none"));
    let before = workspace.snapshot(OUTPUTS);
    let stderr = fail(&workspace);
    let last = LastRun::read(&workspace.config()).unwrap().unwrap();
    assert!(!last.succeeded && stderr.contains(&last.line) && last.line.contains("127.0.0.1:1"), "{last:?}");
    assert_eq!(last.last_success, success.last_success);
    assert!(workspace.snapshot(OUTPUTS) == before);

    workspace.set("database_url", json!(format!("sqlite://{}", database.display())));
    decision(&workspace, "nothing_to_do");
    let last = LastRun::read(&workspace.config()).unwrap().unwrap();
    assert!(last.succeeded && last.line.starts_with("nothing to do") && last.last_success == Some(last.ended));

    // A damaged file is replaced, and a dry run writes nothing.
    let path = workspace.path("practicemodels/lastrun.json");
    fs::write(&path, "{").unwrap();
    run(&workspace, &["--dry-run"]);
    assert_eq!(fs::read(&path).unwrap(), b"{");
    let (_, stderr) = run(&workspace, &[]);
    assert!(stderr.contains("lastrun.json") && LastRun::read(&workspace.config()).unwrap().is_some(), "{stderr}");
}

#[test]
fn every_line_of_a_log_begins_with_its_time() {
    let workspace = bootstrapped();
    for arguments in [&["--dry-run"][..], &[]] {
        let log = fs::File::create(workspace.path("log")).unwrap();
        let mut command = workspace.command("fullprocess");
        command.args(arguments).stdout(log.try_clone().unwrap()).stderr(log);
        assert!(command.status().unwrap().success());
        let log = workspace.text("log");
        assert!(log.lines().map(narration).any(|line| line.contains("nothing to do")), "{log}");
    }
    // stdout alone is data.
    let log = fs::File::create(workspace.path("log")).unwrap();
    assert!(workspace.command("fullprocess").stdout(log).stderr(Stdio::null()).status().unwrap().success());
    assert!(workspace.text("log").starts_with("nothing to do"));
}
