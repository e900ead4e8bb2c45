//! The program `deployment`; the library documents it.

use std::num::NonZeroUsize;
use std::process::ExitCode;

use clap::Parser;
use deployment::Shown;

/// Publish the trained model, its score and its file list as the live release; list, roll back, hold or remove releases
#[derive(Parser)]
#[command(version, group = clap::ArgGroup::new("action").args(["list", "rollback", "hold", "release_hold", "prune", "unless_held"]))]
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
    /// Remove old releases: keep the newest N, the live one, the one before it, and those that files wait for
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    prune: Option<NonZeroUsize>,
    /// Fail if the live release is held
    #[arg(long, hide = true)]
    unless_held: bool,
}

fn main() -> ExitCode {
    let Arguments { common, list, rollback, hold, release_hold, prune, unless_held } = Arguments::parse();
    common.run(|config| {
        let outcome = match (rollback, hold, prune) {
            (Some(id), ..) => deployment::roll_back(config, id.as_deref()),
            (_, Some(reason), _) => deployment::hold(config, reason.as_deref()),
            (.., Some(keep)) => deployment::prune(config, keep),
            _ if release_hold => deployment::release_hold(config),
            _ if list => deployment::list(config),
            _ => deployment::run(config, unless_held),
        };
        outcome.map(Shown)
    })
}

fn at_least_one(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "expected the number of releases to keep, at least 1".to_owned())
}
