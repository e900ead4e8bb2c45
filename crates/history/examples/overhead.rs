//! Measures how much time a step spends on its records: opens the history as a step does and writes one run with many
//! records, 50 times. Used by `bench/databases`.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use common::config::Config;
use history::DependencyVersions;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.find(|argument| argument == "--config").and_then(|_| arguments.next());
    let config = Config::load(Some(&PathBuf::from(path.context("usage: overhead --config PATH")?)))?;
    let mut milliseconds = Vec::new();
    for _ in 0..50 {
        let clock = Instant::now();
        history::record(&config, "overhead", |run| {
            run.facts.timings = vec![("ingestion", 0.1), ("training", 0.1)];
            run.facts.missing_percentages = (0..5).map(|column| (format!("column{column}"), 1.0)).collect();
            run.facts.dependencies = (0..30)
                .map(|crate_| DependencyVersions { name: format!("crate{crate_}"), current: "1".into(), latest: None })
                .collect();
            Ok(())
        })?;
        milliseconds.push(clock.elapsed().as_secs_f64() * 1000.0);
    }
    milliseconds.sort_by(f64::total_cmp);
    println!(
        "{}: median {:.2} ms, most {:.2} ms for a run with 37 facts",
        config.database, milliseconds[25], milliseconds[49]
    );
    Ok(())
}
