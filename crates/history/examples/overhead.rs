//! Measures how much time a step spends on its records: opens the history as a step does and writes one run with many
//! records, 50 times. Used by the benchmark `databases`.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use common::config::Config;
use history::{DependencyVersions, MissingPercentage, Operation, StepTiming};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.find(|argument| argument == "--config").and_then(|_| arguments.next());
    let config = Config::load(Some(&PathBuf::from(path.context("usage: overhead --config PATH")?)))?;
    let mut milliseconds = Vec::new();
    for _ in 0..50 {
        let clock = Instant::now();
        history::record(&config, "overhead", |run| {
            run.add(
                [Operation::Ingestion, Operation::Training]
                    .map(|operation| StepTiming { operation, seconds: 0.1 })
                    .to_vec(),
            );
            let percent = |column| MissingPercentage { column: format!("column{column}"), percent: 1.0 };
            run.add((0..5).map(percent).collect::<Vec<_>>());
            let versions = |i| DependencyVersions { name: format!("crate{i}"), current: "1".into(), latest: None };
            run.add((0..30).map(versions).collect::<Vec<_>>());
            Ok(())
        })?;
        milliseconds.push(clock.elapsed().as_secs_f64() * 1000.0);
    }
    milliseconds.sort_by(f64::total_cmp);
    println!(
        "{}: median {:.2} ms, most {:.2} ms for a run with 37 records",
        config.database, milliseconds[25], milliseconds[49]
    );
    Ok(())
}
