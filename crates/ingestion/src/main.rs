//! The program `ingestion`; the library documents it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::Parser;
use common::cli::narrate;
use dataset::UnknownColumn;
use ingestion::{Contract, Shown, suggest};

/// Merge all CSV files of the input folder into finaldata.csv, without duplicate rows
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    common: common::cli::Arguments,
    /// Only list the input files with their checksums
    #[arg(long)]
    list: bool,
    /// Only check files that are not delivered yet: whether ingestion would accept them, and what is wrong. Writes nothing
    ///
    /// A folder stands for the CSV files in it. The exit code is 0 if all files would be accepted, 1 if not.
    #[arg(long, value_name = "PATH", num_args = 1.., conflicts_with_all = ["list", "suggest_columns"])]
    check: Vec<PathBuf>,
    /// Only print the contract for those who deliver files: the Open Data Contract Standard, as YAML
    #[arg(long, conflicts_with_all = ["list", "suggest_columns", "check"])]
    contract: bool,
    /// Only read the CSV files of a folder and propose the config key "columns" for them. Needs no config
    ///
    /// The proposal is printed on stdout, the reasons on stderr. The exit code is 1 if a column must still be chosen.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["list", "config"])]
    suggest_columns: Option<PathBuf>,
}

fn main() -> ExitCode {
    let Arguments { common, list, check, contract, suggest_columns } = Arguments::parse();
    if let Some(folder) = suggest_columns {
        suggest_columns_of(&folder, common.json).unwrap_or_else(|error| {
            narrate(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        })
    } else if !check.is_empty() {
        common.run(|config| Ok(ingestion::check(config, &check)))
    } else if contract {
        common.run(|config| Ok(Contract::of(&config.columns)))
    } else if list {
        common.run(|config| ingestion::list(config).map(Shown))
    } else {
        common.run(|config| ingestion::run(config).map(Shown).map_err(with_hint))
    }
}

/// Prints the proposal and the reasons. Returns the exit code.
fn suggest_columns_of(folder: &Path, json: bool) -> Result<ExitCode> {
    let suggestion = suggest::suggest(folder)?;
    let text = if json { serde_json::to_string(&suggestion)? } else { suggestion.block()? };
    suggestion.reasons().iter().for_each(narrate);
    match writeln!(io::stdout(), "{text}") {
        // The reader may have closed the pipe early (`| head -1`).
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error.into()),
        _ => {}
    }
    Ok(if suggestion.undecided.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Tells a new user how to describe a table with other columns.
fn with_hint(error: anyhow::Error) -> anyhow::Error {
    match error.chain().any(|cause| cause.is::<UnknownColumn>()) {
        true => anyhow!(
            "{error:#}; name the columns of your table in the config key \"columns\": ingestion --suggest-columns FOLDER \
             prints a proposal"
        ),
        false => error,
    }
}
