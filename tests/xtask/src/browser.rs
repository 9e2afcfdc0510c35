//! Chromium and its driver, for the tests in a browser: where they are, and how they get there.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::call;
use crate::places::program;

pub fn chromium() -> Result<PathBuf> {
    program(&["chromium", "chromium-browser", "google-chrome"])
        .context("Chromium is missing: `cargo xtask test --only setup` installs it")
}

pub fn chromedriver() -> Result<PathBuf> {
    program(&["chromedriver", "chromium.chromedriver", "/usr/lib/chromium-browser/chromedriver"])
        .context("chromedriver is missing: `cargo xtask test --only setup` installs it")
}

/// Installs both with apt: as root, or through sudo when it asks for no password.
pub fn install() -> Result<()> {
    let packages = packages();
    let list = packages.join(" ");
    if program(&["apt-get"]).is_none() {
        bail!("there is no apt-get here: install Chromium and a chromedriver of the same version by hand");
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

fn packages() -> &'static [&'static str] {
    let is_ubuntu = std::fs::read_to_string("/etc/os-release")
        .is_ok_and(|release| release.lines().any(|line| line == "ID=ubuntu"));
    if is_ubuntu { &["chromium-browser", "chromium-chromedriver"] } else { &["chromium", "chromium-driver"] }
}
