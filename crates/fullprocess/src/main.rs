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
}

fn main() -> ExitCode {
    let Arguments { common, dry_run } = Arguments::parse();
    common::cli::timestamp_narration();
    common.run(|config| fullprocess::run(config, dry_run))
}
