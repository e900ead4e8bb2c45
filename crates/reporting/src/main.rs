//! `reporting`: see the library.

use std::process::ExitCode;

use clap::Parser;

/// Draw the confusion matrix of the deployed model on the test data
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    common: common::cli::Arguments,
}

fn main() -> ExitCode {
    Arguments::parse().common.run(reporting::run)
}
