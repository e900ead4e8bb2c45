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
}

fn main() -> ExitCode {
    Arguments::parse().common.run(reporting::run)
}
