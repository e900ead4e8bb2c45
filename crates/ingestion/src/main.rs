//! The program `ingestion`; the library documents it.

use std::process::ExitCode;

use clap::Parser;
use ingestion::Shown;

/// Merge all CSV files of the input folder into finaldata.csv, without duplicate rows
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    common: common::cli::Arguments,
    /// Only list the input files with their checksums
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    let Arguments { common, list } = Arguments::parse();
    match list {
        true => common.run(|config| ingestion::list(config).map(Shown)),
        false => common.run(|config| ingestion::run(config).map(Shown)),
    }
}
