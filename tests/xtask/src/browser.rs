//! Chromium and its driver, for the tests in a browser: where they are, and how they get there.

use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::apt;
use crate::places::program;

pub fn chromium() -> Result<PathBuf> {
    program(&["chromium", "chromium-browser", "google-chrome"])
        .context("Chromium is missing: `cargo xtask test --only setup` installs it")
}

pub fn chromedriver() -> Result<PathBuf> {
    program(&["chromedriver", "chromium.chromedriver", "/usr/lib/chromium-browser/chromedriver"])
        .context("chromedriver is missing: `cargo xtask test --only setup` installs it")
}

/// What the tests are told.
pub fn variables() -> Result<[(&'static str, PathBuf); 2]> {
    Ok([("CHROMIUM", chromium()?), ("CHROMEDRIVER", chromedriver()?)])
}

/// The packages that hold both.
pub fn packages() -> &'static [&'static str] {
    if apt::is_ubuntu() {
        &["chromium-browser", "chromium-chromedriver"]
    } else {
        &["chromium", "chromium-driver"]
    }
}
