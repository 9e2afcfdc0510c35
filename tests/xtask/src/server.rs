//! The server with the web UI inside: built to be tried or to be installed, and starting it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::places::Places;
use crate::setup::{self, Need};
use crate::{call, web};

/// How the server is built.
#[derive(Debug, Clone, Copy)]
pub enum Build {
    /// Fast, and built again within seconds after a change.
    Release,
    /// Faster by a tenth, and built in one piece: for installing and measuring.
    Dist,
}

impl Build {
    /// The profile's name in Cargo.toml, which its folder below `target` bears too.
    pub const fn profile(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Dist => "dist",
        }
    }
}

/// Builds the web UI, the server and the program that sends from a shell; the answer is the server.
pub fn build(places: &Places, build: Build) -> Result<PathBuf> {
    eprintln!("==> web: the web UI, into the program");
    web::build(places)?;
    let profile = build.profile();
    eprintln!("==> server: {profile} build");
    setup::provide(places, &[Need::Make])?;
    call::run(call::cargo(&places.root).args([
        "build",
        "--profile",
        profile,
        "--package",
        "hongyan-server",
        "--package",
        "hongyan-cli",
    ]))?;
    let [program, client] = ["hongyan-server", "hongyan"].map(|name| places.target.join(profile).join(name));
    eprintln!("    built {} and {}", program.display(), client.display());
    Ok(program)
}

/// Runs the server in the workspace's folder, where it keeps its data below `data` by default.
pub fn run(places: &Places, arguments: &[String]) -> Result<()> {
    let mut server = Command::new(build(places, Build::Release)?);
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
