//! What has to be on the machine for a command, and how it gets there.

use std::fmt;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::places::{Places, program};
use crate::{apt, browser, call, providers, senders};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Formatter,
    Linter,
    WasmTarget,
    /// For the memory allocator, which is C.
    Make,
    Browser,
    Apprise,
    Alertmanager,
    /// For the sign-in servers that run on it.
    Node,
    NodeSignInServers,
    PythonSignInServer,
    /// Which open backups.
    Archivers,
}

/// Programs, and the packages of the same names.
const ARCHIVERS: [&str; 5] = ["age", "curl", "gzip", "sqlite3", "zstd"];

/// Installs those of the needs that are not met yet.
pub fn provide(places: &Places, needs: &[Need]) -> Result<()> {
    for need in needs {
        if is_met(places, *need)? {
            eprintln!("    {need}: there");
            continue;
        }
        eprintln!("    {need}: missing, installing");
        match need {
            Need::Formatter => rustup(places, &["component", "add", "rustfmt"])?,
            Need::Linter => rustup(places, &["component", "add", "clippy"])?,
            Need::WasmTarget => rustup(places, &["target", "add", "wasm32-unknown-unknown"])?,
            Need::Make => apt::install(&["make"])?,
            Need::Browser => apt::install(browser::packages())?,
            Need::Apprise => senders::install_apprise(places)?,
            Need::Alertmanager => senders::install_alertmanager()?,
            Need::Node => providers::install_node(places)?,
            Need::NodeSignInServers => providers::install_node_servers(places)?,
            Need::PythonSignInServer => providers::install_python_server(places)?,
            Need::Archivers => apt::install(&ARCHIVERS)?,
        }
        if !is_met(places, *need)? {
            bail!("{need} cannot be found although installing it went well");
        }
    }
    Ok(())
}

fn is_met(places: &Places, need: Need) -> Result<bool> {
    Ok(match need {
        Need::Formatter => call::succeeds(call::cargo(&places.root).args(["fmt", "--version"])),
        Need::Linter => call::succeeds(call::cargo(&places.root).args(["clippy", "--version"])),
        Need::WasmTarget => {
            let question = ["--print", "target-libdir", "--target", "wasm32-unknown-unknown"];
            let folder = call::output(Command::new("rustc").current_dir(&places.root).args(question))?;
            Path::new(folder.trim()).is_dir()
        }
        Need::Make => program(&["make"]).is_some(),
        Need::Browser => browser::chromium().is_ok() && browser::chromedriver().is_ok(),
        Need::Apprise => senders::apprise(places).is_ok(),
        Need::Alertmanager => senders::alertmanager().is_ok(),
        Need::Node => providers::node(places).is_ok(),
        Need::NodeSignInServers => providers::node_servers(places).is_ok(),
        Need::PythonSignInServer => providers::python_server(places).is_ok(),
        Need::Archivers => ARCHIVERS.iter().all(|name| program(&[name]).is_some()),
    })
}

fn rustup(places: &Places, arguments: &[&str]) -> Result<()> {
    if program(&["rustup"]).is_none() {
        bail!(
            "rustup is missing. Install Rust with rustup, or do by other means what `rustup {}` does",
            arguments.join(" ")
        );
    }
    call::run(Command::new("rustup").current_dir(&places.root).args(arguments))
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Formatter => "rustfmt",
            Self::Linter => "clippy",
            Self::WasmTarget => "the target wasm32-unknown-unknown",
            Self::Make => "make",
            Self::Browser => "Chromium and its driver",
            Self::Apprise => "Apprise",
            Self::Alertmanager => "Alertmanager",
            Self::Node => "Node.js and npm",
            Self::NodeSignInServers => "oidc-provider and oauth2-mock-server",
            Self::PythonSignInServer => "oidc-provider-mock",
            Self::Archivers => "sqlite3, age, gzip, zstd and curl",
        })
    }
}
