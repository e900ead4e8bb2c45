//! Tests a cluster that loses a worker during a training.

use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::Workspace;
use testkit::engines::SparkCluster;

use crate::noisy;

#[test]
fn a_training_whose_worker_is_killed_ends_with_the_same_model() {
    let Some(cluster) = SparkCluster::start() else { return };
    let mut workspace = Workspace::new();
    workspace.set("engine", json!(cluster.server.url()));
    for i in 0..4 {
        workspace.csv(&format!("practicedata/{i}.csv"), &noisy("c", i * 60_000, 60_000));
    }
    workspace.run("ingestion", &[]);
    let begin = Instant::now();
    let undisturbed = workspace.run_json("training", &[]);
    let needed = begin.elapsed();

    let mut training = workspace.command("training");
    let mut training = training.arg("--json").stdout(Stdio::piped()).spawn().unwrap();
    thread::sleep((needed / 4).max(Duration::from_millis(500)));
    assert!(training.try_wait().unwrap().is_none(), "the training has ended before its worker was killed");
    cluster.kill_worker();
    let output = training.wait_with_output().unwrap();
    assert!(output.status.success());
    let survived: Value = serde_json::from_slice(&output.stdout).unwrap();

    assert_eq!(survived["training"], undisturbed["training"]);
    let numbers = |model: &Value| -> Vec<f64> {
        let all = model["coefficients"].as_array().unwrap().iter().chain([&model["intercept"]]);
        all.map(|number| number.as_f64().unwrap()).collect()
    };
    for (a, b) in numbers(&survived).into_iter().zip(numbers(&undisturbed)) {
        assert!((a - b).abs() <= 1e-12 * b.abs(), "{a} {b}");
    }
}
