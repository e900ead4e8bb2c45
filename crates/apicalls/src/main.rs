//! `apicalls`: see the library.

use std::process::ExitCode;

use clap::Parser;

/// Call every endpoint of the running app and keep the answers in apireturns.txt
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    common: common::cli::Arguments,
    /// The app's address [default: http:// and the config's `bind`]
    #[arg(long)]
    url: Option<String>,
}

fn main() -> ExitCode {
    let Arguments { common, url } = Arguments::parse();
    common.run(|config| apicalls::run(config, url.as_deref()))
}
