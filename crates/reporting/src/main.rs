//! The `reporting` binary; the library documents it.

use std::process::ExitCode;

use clap::Parser;

/// jemalloc, because the reasons of hundreds of thousands of clients are made of many short texts on several threads.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Report on the deployed model: call list, plots and report.pdf
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    common: common::cli::Arguments,
    /// Ask cargo for the newest versions of the dependencies, at most once a day, and record them
    #[arg(long)]
    ask_cargo: bool,
}

fn main() -> ExitCode {
    let Arguments { common, ask_cargo } = Arguments::parse();
    common.run(|config| reporting::run(config, ask_cargo))
}
