//! Programs that others wrote to send, for the tests of the doors: Apprise and Alertmanager. The first goes below the
//! target folder.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::places::{Places, program};
use crate::{apt, call, python};

/// The release that the tests were written with.
const APPRISE: &str = "apprise==2.2.0";
const ALERTMANAGER: &str = "prometheus-alertmanager";

/// The Python that has Apprise.
pub fn apprise(places: &Places) -> Result<PathBuf> {
    let python = python::interpreter(&places.target.join("senders/apprise"));
    let imports = call::succeeds(Command::new(&python).args(["-c", "import apprise"]));
    if imports {
        Ok(python)
    } else {
        bail!("Apprise is missing: `cargo xtask test --only setup` installs it")
    }
}

pub fn install_apprise(places: &Places) -> Result<()> {
    python::install(&places.target.join("senders/apprise"), &[APPRISE])
}

pub fn alertmanager() -> Result<PathBuf> {
    program(&["prometheus-alertmanager", "alertmanager"])
        .context("Alertmanager is missing: `cargo xtask test --only setup` installs it")
}

/// Debian's package looks for its templates in one place only, so it is installed; its service is not wanted.
pub fn install_alertmanager() -> Result<()> {
    apt::install(&[ALERTMANAGER])?;
    apt::disable(ALERTMANAGER)
}
