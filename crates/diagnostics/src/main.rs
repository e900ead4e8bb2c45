//! `diagnostics`: see the library.

use std::process::ExitCode;

use clap::Parser;

/// Say what the deployed model predicts, what the data look like, how long steps take and how old the parts are
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    common: common::cli::Arguments,
}

fn main() -> ExitCode {
    Arguments::parse().common.run(diagnostics::run)
}
