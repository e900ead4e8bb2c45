//! The binary `dbsetup`; see the library.

use std::process::ExitCode;

use clap::Parser;
use dbsetup::Request;
use history::listing::ListingKind;
use jiff::Timestamp;

/// Create the history database or migrate it, and print what it contains; or read the history
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    common: common::cli::Arguments,
    /// Change nothing; exit with code 1 if the database is missing or has an older schema than this program
    #[arg(long, conflicts_with_all = ["history", "at"])]
    check: bool,
    /// Print the newest rows, oldest first: runs, scores, timings, missing, releases, checks, pending, shifts,
    /// comparisons, contacts or lists
    #[arg(long, value_name = "WHAT", num_args = 0..=1, default_missing_value = "runs")]
    history: Option<ListingKind>,
    /// How many rows of the history to print
    #[arg(long, value_name = "N", default_value_t = 20, requires = "history")]
    last: u32,
    /// Print which release was live at this time (UTC unless it has an offset)
    #[arg(long, value_name = "TIME", value_parser = dbsetup::parse_time, conflicts_with = "history")]
    at: Option<Timestamp>,
}

fn main() -> ExitCode {
    let Arguments { common, check, history, last, at } = Arguments::parse();
    let request = match (check, history, at) {
        (true, ..) => Request::Check,
        (_, Some(what), _) => Request::History(what, last),
        (_, _, Some(time)) => Request::At(time),
        _ => Request::SetUp,
    };
    common.run(|config| dbsetup::run(config, request))
}
