//! The program `training`; the library documents it.

use std::process::ExitCode;

use clap::Parser;

/// Train the attrition model on finaldata.csv and certify that it is the optimum
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    common: common::cli::Arguments,
}

fn main() -> ExitCode {
    Arguments::parse().common.run(training::run)
}
