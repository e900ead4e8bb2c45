//! Tests of queries that take long, and of what may happen meanwhile: streams end, the network is interrupted, the
//! server hangs, ends or is restarted.

use std::process::{Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::config::cluster::{Cluster, EngineAddress};
use dataset::spark::connection::Connection;
use dataset::spark::row::Value;
use serde_json::json;
use testkit::Workspace;
use testkit::engines::{Engine, EngineServer};
use testkit::proxy::Network;

use crate::noisy;

fn connect(url: &str, seconds: u64) -> Connection {
    let address = EngineAddress::parse(url).unwrap();
    let time_limit = Duration::from_secs(seconds);
    Connection::open(&Cluster { address, time_limit, output: String::new(), dataset_csv: false, ca_path: None })
        .unwrap()
}

/// Creates a workspace whose ingestion takes seconds.
fn slow(url: &str) -> Workspace {
    let mut workspace = Workspace::new();
    workspace.set("engine", json!(url));
    let rows = noisy("s", 0, 300_000);
    for i in 0..6 {
        workspace.csv(&format!("practicedata/slow{i}.csv"), &rows.replace('s', &format!("s{i}")));
    }
    workspace
}

/// Starts an ingestion, calls `meanwhile` once it reads the files, and waits for its end.
fn ingest(workspace: &Workspace, meanwhile: impl FnOnce()) -> (Output, Duration) {
    let begun = workspace.path("ingesteddata/.unfinished");
    let _ = std::fs::remove_file(&begun); // of the ingestion before
    let ingestion = workspace.command("ingestion").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let begin = Instant::now();
    while !begun.exists() {
        assert!(begin.elapsed() < Duration::from_secs(120), "the ingestion has not begun");
        thread::sleep(Duration::from_millis(10));
    }
    thread::sleep(Duration::from_millis(200));
    let begin = Instant::now();
    meanwhile();
    (ingestion.wait_with_output().unwrap(), begin.elapsed())
}

fn facts(workspace: &Workspace) -> (serde_json::Value, serde_json::Value) {
    let facts: serde_json::Value = serde_json::from_str(&workspace.text("ingesteddata/ingestion.json")).unwrap();
    (facts["rows"].clone(), facts["missing"].clone())
}

#[test]
fn a_query_of_many_streams_has_one_answer() {
    let Some(server) = EngineServer::impatient() else { return };
    let connection = connect(&server.url(), 120);
    // Half an hour on a server with Spark's own limits is 15 streams; this one ends its streams every second.
    let query = "SELECT count(s) FROM (SELECT java_method('java.lang.Thread', 'sleep', 20000L) AS s FROM range(0, 1))";
    assert_eq!(connection.row("sleeping", query.to_owned()).unwrap(), [Value::Whole(1)]);
}

#[test]
fn the_time_limit_holds_while_rows_arrive() {
    for engine in [Engine::Sail, Engine::Spark] {
        let Some(server) = EngineServer::start(engine) else { continue };
        drop(connect(&server.url(), 120)); // the first session takes long
        let (connection, begin, mut rows) = (connect(&server.url(), 10), Instant::now(), 0u64);
        // Spark collects the rows of a task before it sends them, so its tasks are small and slow.
        let endless = match engine {
            Engine::Sail => "SELECT id, concat('number ', CAST(id AS STRING)) FROM range(0, 100000000000, 1, 1000)",
            Engine::Spark => "SELECT id, java_method('java.lang.Thread', 'sleep', 1L) FROM range(0, 1000000, 1, 1000)",
        };
        let error = connection.each("reading", endless.to_owned(), |_| {
            rows += 1;
            Ok(())
        });
        let error = error.unwrap_err().to_string();
        assert!(error.contains("not finished after 10 s (key \"engine_time_limit\")"), "{engine:?}: {error}");
        assert!(begin.elapsed() < Duration::from_secs(60), "{engine:?}: {:?}", begin.elapsed());
        assert!(rows > 0, "{engine:?}: no row arrived before the limit");
    }
}

#[test]
fn a_network_that_is_away_for_20_seconds_is_waited_for() {
    for engine in [Engine::Sail, Engine::Spark] {
        let Some(server) = EngineServer::start(engine) else { continue };
        let network = Network::to(server.port());
        let mut workspace = slow(&network.url());
        let (output, _) = ingest(&workspace, || network.interrupt(Duration::from_secs(20)));
        assert!(output.status.success(), "{engine:?}: {}", String::from_utf8_lossy(&output.stderr));
        let interrupted = facts(&workspace);
        workspace.set("engine", json!(server.url()));
        workspace.run("ingestion", &[]);
        assert_eq!(facts(&workspace), interrupted, "{engine:?}");
    }
}

#[test]
fn a_server_that_hangs_is_given_up_after_a_minute() {
    let Some(server) = EngineServer::start(Engine::Sail) else { return };
    let workspace = slow(&server.url());
    let (output, needed) = ingest(&workspace, || server.freeze());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("no answer for 60 s") && error.contains(&server.url()), "{error}");
    assert!(needed < Duration::from_secs(110), "{needed:?}");
}

#[test]
fn a_server_that_ends_is_given_up_within_seconds_and_one_that_is_restarted_is_used_again() {
    for engine in [Engine::Sail, Engine::Spark] {
        let Some(mut server) = EngineServer::start(engine) else { continue };
        let workspace = slow(&server.url());
        let (output, needed) = ingest(&workspace, || server.kill());
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains("it refuses connections") && error.contains(&server.url()), "{engine:?}: {error}");
        assert!(needed < Duration::from_secs(25), "{engine:?}: {needed:?}");

        server.restart();
        let (output, _) = ingest(&workspace, || server.restart());
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() || error.contains(&server.url()), "{engine:?}: {error}");
        assert!(output.status.success() == workspace.path("ingesteddata/ingestion.json").exists());
        workspace.run("ingestion", &[]);
    }
}
