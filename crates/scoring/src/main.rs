//! The program `scoring`; the library documents it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use scoring::{Options, Shown};

/// Score the trained model on the test data and write latestscore.txt
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    common: common::cli::Arguments,
    /// Score the deployed model; do not write latestscore.txt
    #[arg(long)]
    deployed: bool,
    /// Score on these CSV files; do not write latestscore.txt
    #[arg(long, value_name = "PATH", num_args = 1..)]
    data: Vec<PathBuf>,
    /// Give a row without a target that of the same client in a later one of the files
    #[arg(long, requires = "data")]
    later_labels: bool,
    /// Only print the score; write and record nothing
    #[arg(long)]
    dry_run: bool,
    /// Write every row with its probability of leaving and its prediction to this file; rows then need no target
    #[arg(long, value_name = "PATH", conflicts_with = "dry_run")]
    predictions: Option<PathBuf>,
}

fn main() -> ExitCode {
    let Arguments { common, deployed, data, later_labels, dry_run, predictions } = Arguments::parse();
    let options = Options { deployed, data, later_labels, dry_run, predictions };
    common.run(|config| {
        let columns = config.columns.clone();
        scoring::run(config, &options).map(|outcome| Shown { outcome, columns })
    })
}
