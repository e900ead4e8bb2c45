//! Tests of a cluster that is unreachable, does not answer or disappears, of invalid input, and of runs that are
//! stopped.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use dataset::spark::connection::Connection;
use dataset::spark::row::Value;
use serde_json::{Value as Json, json};
use testkit::Workspace;
use testkit::engines::{Engine, EngineServer};

use crate::noisy;

/// The files that a failed run must not change.
pub const OUTPUTS: [&str; 4] =
    ["ingesteddata/versions", "ingesteddata/current", "practicemodels", "production_deployment"];

fn on(server: &EngineServer) -> Workspace {
    let mut workspace = Workspace::with_data();
    workspace.set("engine", json!(server.url()));
    workspace
}

pub fn location(workspace: &Workspace) -> String {
    let facts: Json = serde_json::from_str(&workspace.text("ingesteddata/ingestion.json")).unwrap();
    facts["location"].as_str().unwrap().to_owned()
}

#[test]
fn a_dead_cluster_changes_nothing() {
    let mut workspace = Workspace::with_data();
    workspace.deploy();
    let before = workspace.snapshot(&OUTPUTS);
    workspace.set("engine", json!("sc://127.0.0.1:1/;user_id=x"));
    let begin = Instant::now();
    for step in ["fullprocess", "ingestion", "training", "scoring", "diagnostics", "reporting"] {
        let error = workspace.fail(step, &[]);
        assert!(error.contains("sc://127.0.0.1:1 cannot be reached") && !error.contains("user_id"), "{step}: {error}");
    }
    assert!(begin.elapsed() < Duration::from_secs(30));
    assert_eq!(workspace.snapshot(&OUTPUTS), before);
}

#[test]
fn input_that_is_refused_here_is_refused_there() {
    for engine in [Engine::Sail, Engine::Spark] {
        let Some(server) = EngineServer::start(engine) else { continue };
        let workspace = on(&server);
        workspace.deploy();
        let before = workspace.snapshot(&OUTPUTS);
        let many_bad = format!("{}bad,x,2,3,0\nbad,y,2,3,0\n", testkit::rows("g", 20, false));
        let cases: [(&[u8], &[&str]); 7] = [
            (
                b"corporation,lastmonth_activity,lastyear_activity,number_of_employees\na,1,2,3\n",
                &["exited is missing"],
            ),
            (b"corporation,lastmonth_activity,lastyear_activity,number_of_employees,left\n", &["\"left\" (line 1)"]),
            (b"", &[]),
            (b"corporation;lastmonth_activity\n", &["is unknown"]),
            (
                &[testkit::HEADER.as_bytes(), many_bad.as_bytes()].concat(),
                &["2 of 22 lines cannot be read", "line 22: lastmonth_activity is not a number"],
            ),
            (&[testkit::HEADER.as_bytes(), b"caf\xe9,1,2,3,0\n"].concat(), &["UTF-8"]),
            (&[testkit::HEADER.as_bytes(), b"a,1,2,3,0\n\"b,1,2,3,0\n"].concat(), &["1 of 2 lines", "line 3: a quote"]),
        ];
        for (content, expected) in cases {
            fs::write(workspace.path("practicedata/wrong.csv"), content).unwrap();
            if expected.is_empty() {
                continue; // an empty file is not listed: see dataset's README
            }
            let error = workspace.fail("ingestion", &[]);
            assert!(error.contains("wrong.csv"), "{engine:?}: {error}");
            assert!(expected.iter().all(|part| error.contains(part)), "{engine:?} {expected:?}: {error}");
            assert_eq!(workspace.snapshot(&OUTPUTS), before);
        }
        fs::remove_dir_all(workspace.path("practicedata")).unwrap();
        fs::create_dir(workspace.path("practicedata")).unwrap();
        let error = workspace.fail("ingestion", &[]);
        assert!(error.contains("no CSV file"), "{engine:?}: {error}");
        workspace.csv("practicedata/dataset1.csv", "");
        let error = workspace.fail("ingestion", &[]);
        assert!(error.contains("none of the 1 CSV files contains a row"), "{engine:?}: {error}");
        workspace.csv("practicedata/50%.csv", "a,1,2,3,0\n");
        assert!(workspace.fail("ingestion", &[]).contains("rename it"));
        assert_eq!(workspace.snapshot(&OUTPUTS), before);

        // A missing dataset must not be treated as an empty one.
        fs::remove_dir_all(location(&workspace).strip_prefix("file://").unwrap()).unwrap();
        assert!(workspace.fail("training", &[]).contains("location") || workspace.snapshot(&OUTPUTS) == before);
    }
}

/// Creates a workspace whose ingestion takes seconds.
fn slow(server: &EngineServer) -> Workspace {
    let workspace = on(server);
    workspace.run("ingestion", &[]);
    let rows = noisy("s", 0, 300_000);
    for i in 0..24 {
        workspace.csv(&format!("practicedata/slow{i}.csv"), &rows.replace("s", &format!("s{i}")));
    }
    workspace
}

pub fn start(workspace: &Workspace, step: &str) -> Child {
    workspace.command(step).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn signal(child: &Child, signal: &str) {
    assert!(Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn a_signal_cancels_and_a_kill_leaves_the_old_dataset() {
    let Some(server) = EngineServer::start(Engine::Sail) else { return };
    let workspace = slow(&server);
    let (before, old) = (workspace.snapshot(&OUTPUTS[1..]), location(&workspace));
    for (name, when) in [("TERM", 300), ("INT", 700), ("TERM", 1100)] {
        let child = start(&workspace, "ingestion");
        thread::sleep(Duration::from_millis(when));
        signal(&child, name);
        let output = child.wait_with_output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains("cancelled by a signal") && error.contains(&server.url()), "{error}");
        assert_eq!((workspace.snapshot(&OUTPUTS[1..]), location(&workspace)), (before.clone(), old.clone()));
    }
    for when in [200, 600, 1000, 1500] {
        let mut child = start(&workspace, "ingestion");
        thread::sleep(Duration::from_millis(when));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(location(&workspace), old);
        workspace.run("training", &[]);
    }
    workspace.run("ingestion", &[]);
    assert_ne!(location(&workspace), old);
    workspace.run("training", &[]);
}

#[test]
fn a_step_of_a_fullprocess_that_is_killed_ends_with_it() {
    let Some(server) = EngineServer::start(Engine::Sail) else { return };
    let workspace = slow(&server);
    let old = location(&workspace);
    let mut process = start(&workspace, "fullprocess");
    thread::sleep(Duration::from_millis(700));
    process.kill().unwrap();
    process.wait().unwrap();
    thread::sleep(Duration::from_secs(4));
    assert_eq!(location(&workspace), old);
    workspace.run("ingestion", &[]); // the lock is free
}

#[test]
fn a_server_that_hangs_or_dies_is_given_up() {
    let Some(server) = EngineServer::start(Engine::Sail) else { return };
    let mut workspace = slow(&server);
    workspace.set("engine_time_limit", json!(2));
    let before = workspace.snapshot(&OUTPUTS[1..]);
    let child = start(&workspace, "ingestion");
    thread::sleep(Duration::from_millis(500));
    server.freeze();
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.contains("not finished after 2 s (key \"engine_time_limit\")") && error.contains(&server.url()),
        "{error}"
    );
    assert_eq!(output.status.code(), Some(1));

    let Some(server) = EngineServer::start(Engine::Sail) else { return };
    workspace.set("engine", json!(server.url()));
    workspace.set("engine_time_limit", json!(600));
    let child = start(&workspace, "ingestion");
    thread::sleep(Duration::from_millis(500));
    let begin = Instant::now();
    server.kill();
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(begin.elapsed() < Duration::from_secs(40), "{:?}", begin.elapsed());
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert_eq!(workspace.snapshot(&OUTPUTS[1..]), before);
}

#[test]
fn only_folders_of_datasets_are_emptied_whatever_the_record_says() {
    let Some(server) = EngineServer::start(Engine::Sail) else { return };
    let workspace = on(&server);
    workspace.write("precious/letters/2026.parquet", "not to be lost");
    let precious = format!("file://{}", workspace.path("precious").display());
    let output = format!("file://{}", workspace.path("ingesteddata").display());
    for wrong in [
        precious.clone(),
        format!("{output}/finaldata/../../precious"),
        format!("{output}/finaldata/20260101T000000-1Z-7/../../../precious"),
        workspace.path("precious").display().to_string(),
    ] {
        workspace.run("ingestion", &[]);
        let record = workspace.path("ingesteddata/ingestion.json");
        let text = workspace.text("ingesteddata/ingestion.json").replace(&location(&workspace), &wrong);
        fs::write(&record, text).unwrap();
        workspace.write("ingesteddata/.unfinished", &wrong);
        let output = workspace.command("ingestion").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains(&format!("{wrong} is no folder of this project's")), "{said}");
        assert_eq!(workspace.text("precious/letters/2026.parquet"), "not to be lost", "{wrong}");
    }
}

#[test]
fn a_session_that_was_forgotten_is_opened_again() {
    let Some(server) = EngineServer::forgetful() else { return };
    let workspace = on(&server);
    let connection = Connection::open(&workspace.config().engine.unwrap()).unwrap();
    for _ in 0..2 {
        let row = connection.row("counting", "SELECT 40 + 2".to_owned()).unwrap();
        assert_eq!(row, [Value::Whole(42)]);
        thread::sleep(Duration::from_secs(6));
    }
    assert_eq!(connection.rows("counting again", "SELECT 1".to_owned()).unwrap().len(), 1);
}

#[test]
fn a_query_that_fails_says_what_and_where() {
    let Some(server) = EngineServer::start(Engine::Sail) else { return };
    let workspace = on(&server);
    workspace.run("ingestion", &[]);
    let folder = location(&workspace);
    let folder = folder.strip_prefix("file://").unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    }
    let error = workspace.fail("training", &[]);
    assert!(error.contains(&format!("on {}", server.url())) && error.contains("training"), "{error}");
}
