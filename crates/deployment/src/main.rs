//! The program `deployment`; the library documents it.

use std::process::ExitCode;

use clap::Parser;
use deployment::Shown;

/// Publish the trained model, its score and its file list as the live release
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    common: common::cli::Arguments,
    /// Only list the releases
    #[arg(long, conflicts_with = "rollback")]
    list: bool,
    /// Make an earlier release live again [default ID: the one before the live one]
    #[arg(long, value_name = "ID")]
    rollback: Option<Option<String>>,
}

fn main() -> ExitCode {
    let Arguments { common, list, rollback } = Arguments::parse();
    common.run(|config| {
        let outcome = match rollback {
            Some(id) => deployment::roll_back(config, id.as_deref()),
            None if list => deployment::list(config),
            None => deployment::run(config),
        };
        outcome.map(Shown)
    })
}
