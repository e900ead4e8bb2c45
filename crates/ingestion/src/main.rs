//! The program `ingestion`; the library documents it.

use std::process::ExitCode;

use clap::Parser;

/// Merge every CSV of the input folder into finaldata.csv, without duplicate rows
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    common: common::cli::Arguments,
    /// Only list the files of the input folder with their checksums
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    let Arguments { common, list } = Arguments::parse();
    if list { common.run(ingestion::list) } else { common.run(ingestion::run) }
}
