//! Packages of Debian and Ubuntu: as root, or through sudo when it asks for no password.

use std::process::Command;

use anyhow::{Result, bail};

use crate::call;
use crate::places::program;

/// Installs packages, and starts none of their services. Where that takes a person, fails with the line that they
/// have to run.
pub fn install(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if program(&["apt-get"]).is_none() {
        bail!("there is no apt-get here: install what Debian has as {list} by other means");
    }
    let as_root = as_root(&format!(
        "installing {list} needs root. Run this once: sudo apt-get update && sudo apt-get install -y --no-install-recommends {list}"
    ))?;
    as_root(&["apt-get", "update"])?;
    as_root(&[&["apt-get", "install", "-y", "--no-install-recommends"], packages].concat())
}

/// Keeps a service that came with a package from starting with the machine.
pub fn disable(service: &str) -> Result<()> {
    if program(&["systemctl"]).is_none() {
        return Ok(());
    }
    as_root(&format!("run this once: sudo systemctl disable {service}"))?(&["systemctl", "disable", service])
}

/// Whether this is Ubuntu, whose packages bear other names here and there.
pub fn is_ubuntu() -> bool {
    std::fs::read_to_string("/etc/os-release")
        .is_ok_and(|release| release.lines().any(|line| line == "ID=ubuntu"))
}

/// What calls a program as root; fails with `otherwise` where that takes a person.
fn as_root(otherwise: &str) -> Result<impl Fn(&[&str]) -> Result<()> + use<>> {
    let prefix: &[&str] = if call::output(Command::new("id").arg("-u"))?.trim() == "0" {
        &[]
    } else if call::succeeds(Command::new("sudo").args(["-n", "true"])) {
        &["sudo", "-n"]
    } else {
        bail!("{otherwise}");
    };
    // Offline, the scripts of packages start and stop nothing (systemd's docs/ENVIRONMENT.md).
    let environment = ["env", "DEBIAN_FRONTEND=noninteractive", "SYSTEMD_OFFLINE=1"];
    Ok(move |words: &[&str]| {
        let words = [prefix, &environment[..], words].concat();
        call::run(Command::new(words[0]).args(&words[1..]))
    })
}
