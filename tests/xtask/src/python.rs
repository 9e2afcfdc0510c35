//! Python programs that others wrote, each in a virtual environment of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::{apt, call};

/// The Python of an environment.
pub fn interpreter(environment: &Path) -> PathBuf {
    environment.join("bin/python")
}

/// Makes the environment anew, with these packages in it.
pub fn install(environment: &Path, packages: &[&str]) -> Result<()> {
    if !call::succeeds(Command::new("python3").args(["-c", "import ensurepip"])) {
        apt::install(&["python3", "python3-venv"])?;
    }
    call::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(environment))?;
    let mut pip = Command::new(environment.join("bin/pip"));
    call::run(pip.args(["install", "--disable-pip-version-check"]).args(packages))
}
