//! Packages of Debian and Ubuntu: as root, or through sudo when it asks for no password.

use std::process::Command;

use anyhow::{Result, bail};

use crate::call;
use crate::places::program;

/// Installs packages. Where that takes a person, fails with the line that they have to run.
pub fn install(packages: &[&str]) -> Result<()> {
    let list = packages.join(" ");
    if program(&["apt-get"]).is_none() {
        bail!("there is no apt-get here: install what Debian has as {list} by other means");
    }
    let prefix: &[&str] = if call::output(Command::new("id").arg("-u"))?.trim() == "0" {
        &[]
    } else if call::succeeds(Command::new("sudo").args(["-n", "true"])) {
        &["sudo", "-n"]
    } else {
        bail!(
            "installing {list} needs root. Run this once: sudo apt-get update && sudo apt-get install -y --no-install-recommends {list}"
        );
    };
    let get = |arguments: &[&str]| {
        let words = [prefix, &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"], arguments].concat();
        call::run(Command::new(words[0]).args(&words[1..]))
    };
    get(&["update"])?;
    get(&[&["install", "-y", "--no-install-recommends"], packages].concat())
}

/// Whether this is Ubuntu, whose packages bear other names here and there.
pub fn is_ubuntu() -> bool {
    std::fs::read_to_string("/etc/os-release")
        .is_ok_and(|release| release.lines().any(|line| line == "ID=ubuntu"))
}
