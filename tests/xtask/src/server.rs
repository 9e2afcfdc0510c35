//! The server as a release build with the web UI inside, and starting it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::places::Places;
use crate::{call, web};

/// Builds the web UI and the server; the answer is the program.
pub fn build(places: &Places) -> Result<PathBuf> {
    eprintln!("==> web: the web UI, into the program");
    web::build(places)?;
    eprintln!("==> server: release build");
    call::run(call::cargo(&places.root).args(["build", "--release", "--package", "hongyan-server"]))?;
    let program = places.target.join("release/hongyan-server");
    eprintln!("    built {}", program.display());
    Ok(program)
}

/// Runs the server in the workspace's folder, where it keeps its data below `data` by default.
pub fn run(places: &Places, arguments: &[String]) -> Result<()> {
    let mut server = Command::new(build(places)?);
    server.args(arguments).current_dir(&places.root);
    eprintln!("==> run: Ctrl-C ends the server");
    become_program(server)
}

/// The server takes the place of this process, so that it gets signals itself.
#[cfg(unix)]
fn become_program(mut server: Command) -> Result<()> {
    use std::os::unix::process::CommandExt as _;
    Err(anyhow::Error::from(server.exec()).context("could not start the server"))
}

#[cfg(not(unix))]
fn become_program(mut server: Command) -> Result<()> {
    call::run(&mut server)
}
