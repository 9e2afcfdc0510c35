//! Where things are: the workspace, Cargo's target folder, the built web UI.
//!
//! The only file of this tool that reads the environment.
#![allow(clippy::disallowed_methods, reason = "the tool is told by Cargo and the shell where things are")]

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::call;

pub struct Places {
    pub root: PathBuf,
    pub target: PathBuf,
    /// The finished web UI, which the server embeds. Not `target/web`: there Cargo keeps what the profile of
    /// that name compiles for the build itself.
    pub web: PathBuf,
}

impl Places {
    pub fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .nth(2)
            .context("tests/xtask is not inside a workspace")?
            .to_owned();
        let metadata = call::output(call::cargo(&root).args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ]))?;
        let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
        let target = metadata["target_directory"]
            .as_str()
            .context("`cargo metadata` does not name the target folder")?
            .into();
        let web = match variable("HONGYAN_WEB_DIR") {
            Some(folder) => std::path::absolute(folder)?,
            None => root.join("target/web-ui"),
        };
        Ok(Self { root, target, web })
    }
}

pub fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// The first of these programs on the search path; a name with a slash is a place of its own.
pub fn program(names: &[&str]) -> Option<PathBuf> {
    let path = variable("PATH").unwrap_or_default();
    names.iter().find_map(|name| {
        if name.contains('/') {
            return Some(PathBuf::from(name)).filter(|file| file.is_file());
        }
        env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
    })
}
