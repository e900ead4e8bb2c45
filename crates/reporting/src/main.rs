//! The `reporting` binary; the library documents it.

use std::process::ExitCode;

use clap::Parser;

/// Report on the deployed model: call list, plots and report.pdf
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    common: common::cli::Arguments,
}

fn main() -> ExitCode {
    Arguments::parse().common.run(reporting::run)
}
