//! The `whereas` program; everything is in the library.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    whereas::cli::run(whereas::cli::Cli::parse())
}
