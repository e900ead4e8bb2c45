//! `dbsetup`: see the library.

use std::process::ExitCode;

use clap::Parser;

/// Create the history database or bring it up to date, and say what it holds
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    common: common::cli::Arguments,
}

fn main() -> ExitCode {
    Arguments::parse().common.run(dbsetup::run)
}
