//! What `cargo xtask …` runs: building, starting, checking and measuring Hongyan.
//!
//! It needs nothing but Rust and a C compiler, and fetches what else a command wants.

mod advisories;
mod apt;
mod bench;
mod browser;
mod call;
mod command;
mod compress;
mod e2e;
mod fingerprint;
mod licences;
mod packages;
mod places;
mod providers;
mod python;
mod senders;
mod server;
mod setup;
mod steps;
mod web;

use std::process::ExitCode;

use anyhow::Result;

use crate::command::Command;
use crate::places::Places;

fn main() -> ExitCode {
    match Command::parse(std::env::args().skip(1)).and_then(perform) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(command: Command) -> Result<()> {
    if command == Command::Help {
        print!("{}", command::USAGE);
        return Ok(());
    }
    let places = Places::find()?;
    match command {
        Command::Help => Ok(()),
        Command::Run(arguments) => server::run(&places, &arguments),
        Command::Build => server::build(&places, server::Build::Dist).map(drop),
        Command::Web => web::build(&places),
        Command::Test { only: None } => steps::all(&places),
        Command::Test { only: Some(name) } => steps::only(&places, &name),
        Command::Bench(arguments) => bench::run(&places, &arguments),
        Command::Advisories => advisories::check(&places),
    }
}
