//! The binary `fullprocess`; see the library.

use std::process::ExitCode;

use clap::Parser;

/// Look for new data, check the deployed model for drift, and replace it if it has drifted
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    common: common::cli::Arguments,
    /// Only print what a run would do
    #[arg(long)]
    dry_run: bool,
    /// Only compare what every `drift_test` with every `promotion` would have done with the files so far
    #[arg(long, conflicts_with = "dry_run")]
    replay: bool,
}

fn main() -> ExitCode {
    let Arguments { common, dry_run, replay } = Arguments::parse();
    common::cli::timestamp_narration();
    match replay {
        true => common.run(fullprocess::replay::run),
        false => common.run(|config| fullprocess::run(config, dry_run)),
    }
}
