//! The program `diagnostics`; the library documents it.

use std::process::ExitCode;

use clap::Parser;

/// Show predictions of the deployed model, statistics of the data, durations of steps and versions of dependencies
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    common: common::cli::Arguments,
}

fn main() -> ExitCode {
    Arguments::parse().common.run(diagnostics::run)
}
