//! The program `diagnostics`; the library documents it.

use std::process::ExitCode;

use clap::Parser;

/// Show what the deployed model predicts, what the data look like, how long steps take and how old the dependencies are
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    common: common::cli::Arguments,
}

fn main() -> ExitCode {
    Arguments::parse().common.run(diagnostics::run)
}
