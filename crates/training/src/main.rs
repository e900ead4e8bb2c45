//! The program `training`; the library documents it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use training::replay::{self, Shown};

/// Train the attrition model on finaldata.csv and certify that it is the optimum
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    common: common::cli::Arguments,
    /// Train on the first of these CSV files, on the first two, and so on; only print what each model predicts on the
    /// test data and on the files after it. For `fullprocess --replay`
    #[arg(long, value_name = "FILE", num_args = 1..)]
    replay: Vec<PathBuf>,
    /// Number of files of the first model of a replay
    #[arg(long, value_name = "NUMBER", default_value_t = 1, requires = "replay")]
    first: usize,
}

fn main() -> ExitCode {
    let Arguments { common, replay, first } = Arguments::parse();
    match replay.as_slice() {
        [] => common.run(training::run),
        files => common.run(|config| replay::run(config, files, first).map(Shown)),
    }
}
