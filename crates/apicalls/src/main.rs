//! The `apicalls` binary; the library documents it.

use std::process::ExitCode;

use clap::Parser;

/// Call every endpoint of the running app and keep the answers in apireturns.txt
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    common: common::cli::Arguments,
    /// URL of the app [default: http:// and the `bind` address of the config]
    #[arg(long)]
    url: Option<String>,
}

fn main() -> ExitCode {
    let Arguments { common, url } = Arguments::parse();
    common.run(|config| apicalls::run(config, url.as_deref()))
}
