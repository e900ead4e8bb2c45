//! Tests of answers that arrive in pieces: streams that the server ends, and streams that the network cuts.

use std::time::Duration;

use common::config::cluster::{Cluster, EngineAddress};
use dataset::spark::connection::Connection;
use dataset::spark::row::Value;
use testkit::engines::{Engine, EngineServer};
use testkit::proxy::CuttingProxy;

fn connect(url: &str) -> anyhow::Result<Connection> {
    Connection::open(&Cluster {
        address: EngineAddress::parse(url)?,
        ca_path: None,
        time_limit: Duration::from_secs(120),
        output: String::new(),
        dataset_csv: false,
    })
}

/// Returns a query of the numbers from 0 to `rows` − 1 in `pieces` partitions, each with a text.
fn numbers(rows: u64, pieces: u64) -> String {
    format!("SELECT id, concat('number ', CAST(id AS STRING), repeat('.', 30)) FROM range(0, {rows}, 1, {pieces})")
}

/// Checks that the numbers of an answer are complete and without repetitions.
fn check(rows: &[Vec<Value>], expected: u64) {
    let mut ids: Vec<i64> = rows
        .iter()
        .map(|row| match &row[..] {
            [Value::Whole(id), Value::Text(text)] if text.starts_with(&format!("number {id}.")) => *id,
            other => panic!("{other:?}"),
        })
        .collect();
    ids.sort_unstable();
    assert_eq!(ids.len() as u64, expected);
    assert!((0..).zip(&ids).all(|(i, id)| i == *id));
}

#[test]
fn an_answer_is_whole_although_spark_ends_its_streams() {
    let Some(server) = EngineServer::impatient() else { return };
    let connection = connect(&server.url()).unwrap();
    // Eight tasks that sleep, two at a time: many streams end before there are any rows.
    let slow = "SELECT count(s), sum(id) FROM (SELECT id, java_method('java.lang.Thread', 'sleep', 1500L) AS s FROM \
                range(0, 8, 1, 8))";
    assert_eq!(connection.row("sleeping", slow.to_owned()).unwrap(), [Value::Whole(8), Value::Whole(28)]);
    // Many megabytes: streams end in the middle of the rows.
    check(&connection.rows("counting", numbers(400_000, 40)).unwrap(), 400_000);
    let slow_failure = "SELECT java_method('java.lang.Thread', 'sleep', 2500L), raise_error('on purpose')";
    let error = connection.rows("failing", slow_failure.to_owned()).unwrap_err().to_string();
    assert!(error.contains("on purpose") && error.contains(&server.url()), "{error}");
}

#[test]
fn an_answer_that_the_network_cuts_is_whole_or_an_error() {
    for engine in [Engine::Sail, Engine::Spark] {
        let Some(server) = EngineServer::start(engine) else { continue };
        let (mut whole, mut failed, mut cuts) = (0, 0, 0);
        for seed in 0..8 {
            let proxy = CuttingProxy::start(server.port(), if seed == 0 { 300_000 } else { 3_000_000 }, seed);
            let Ok(connection) = connect(&proxy.url()) else {
                failed += 1;
                continue;
            };
            for _ in 0..3 {
                match connection.rows("counting", numbers(60_000, 30)) {
                    Ok(rows) => {
                        check(&rows, 60_000);
                        whole += 1;
                    }
                    Err(error) => {
                        let error = error.to_string();
                        assert!(error.contains("counting on sc://"), "{error}");
                        failed += 1;
                    }
                }
            }
            cuts += proxy.cuts();
        }
        println!("{engine:?}: {cuts} cuts, {whole} answers, {failed} errors");
        // Sail forgets an execution whose stream is cut; Spark continues it.
        assert!(
            cuts >= 8 && (engine == Engine::Sail || whole >= 6),
            "{engine:?}: {cuts} cuts, {whole} answers, {failed} errors"
        );
    }
}
