//! The program `deployment`; the library documents it.

use std::process::ExitCode;

use clap::Parser;
use deployment::Shown;

/// Publish the trained model, its score and its file list as the live release; list, roll back or hold releases
#[derive(Parser)]
#[command(version, group = clap::ArgGroup::new("action").args(["list", "rollback", "hold", "release_hold", "unless_held"]))]
struct Arguments {
    #[command(flatten)]
    common: common::cli::Arguments,
    /// Only list the releases
    #[arg(long)]
    list: bool,
    /// Make an earlier release live again [default ID: the one before the live one]
    #[arg(long, value_name = "ID")]
    rollback: Option<Option<String>>,
    /// Prevent fullprocess from replacing the live release; deployments and rollbacks by hand still work
    #[arg(long, value_name = "REASON")]
    hold: Option<Option<String>>,
    /// End the hold: the next fullprocess checks the files again on which the release has drifted
    #[arg(long)]
    release_hold: bool,
    /// Fail if the live release is held
    #[arg(long, hide = true)]
    unless_held: bool,
}

fn main() -> ExitCode {
    let Arguments { common, list, rollback, hold, release_hold, unless_held } = Arguments::parse();
    common.run(|config| {
        let outcome = match (rollback, hold) {
            (Some(id), _) => deployment::roll_back(config, id.as_deref()),
            (_, Some(reason)) => deployment::hold(config, reason.as_deref()),
            _ if release_hold => deployment::release_hold(config),
            _ if list => deployment::list(config),
            _ => deployment::run(config, unless_held),
        };
        outcome.map(Shown)
    })
}
