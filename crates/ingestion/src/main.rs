//! `ingestion`: see the library.

use std::process::ExitCode;

use clap::Parser;

/// Merge every CSV of the input folder into finaldata.csv, without duplicate rows
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    common: common::cli::Arguments,
}

fn main() -> ExitCode {
    Arguments::parse().common.run(ingestion::run)
}
