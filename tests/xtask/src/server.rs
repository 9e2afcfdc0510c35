//! The server as a release build with the web UI inside, and starting it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::places::{self, Places};
use crate::{call, web};

/// Where the server keeps its data when nobody says otherwise: variable, folder in the workspace.
const STORAGE: [(&str, &str); 2] =
    [("USER_STORAGE_PATH", "data/user_storage"), ("DATABASE_BACKUP_PATH", "data/backups")];

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

pub fn run(places: &Places, arguments: &[String]) -> Result<()> {
    let mut server = Command::new(build(places)?);
    server.args(arguments).current_dir(&places.root);
    for (variable, folder) in STORAGE {
        if places::variable(variable).is_none() {
            server.env(variable, places.root.join(folder));
            eprintln!("    {variable} is not set: using {folder}");
        }
    }
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
