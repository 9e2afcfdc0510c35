//! Which server and which key: the command line, the environment, a file, in that order.

#![allow(clippy::disallowed_methods, reason = "what config is for the server, this is for this program")]

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Longest file of settings or key, in bytes.
const FILE_MAX: u64 = 64 * 1024;

/// What is needed to speak to a server.
pub struct Settings {
    /// Without a slash at its end.
    pub url: String,
    /// A secret.
    pub key: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    url: Option<String>,
    key: Option<String>,
}

impl Settings {
    /// Puts together what was given and what is in the environment and the file of settings.
    pub fn gather(url: Option<String>, key_file: Option<&Path>, config: Option<&Path>) -> Result<Self> {
        let file = match config {
            Some(path) => read(path)?,
            None => match default_path() {
                Some(path) if path.exists() => read(&path)?,
                _ => File::default(),
            },
        };
        let url = url.or(file.url).unwrap_or_else(|| "http://127.0.0.1:8080".into());
        let key = match key_file {
            Some(path) => Some(text(path)?),
            None => std::env::var("HONGYAN_KEY").ok().filter(|key| !key.is_empty()).or(file.key),
        };
        let Some(key) = key else {
            bail!("no key: set HONGYAN_KEY, give --key-file FILE, or write `key` into the file of settings");
        };
        let key = key.lines().next().unwrap_or_default().trim().to_owned();
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            bail!("the key must be one line of visible characters without blanks");
        }
        Ok(Self { url: url.trim_end_matches('/').to_owned(), key })
    }
}

/// What opens a backup that is encrypted for a passphrase.
pub fn backup_passphrase() -> Option<String> {
    std::env::var("HONGYAN_BACKUP_PASSPHRASE").ok().filter(|passphrase| !passphrase.is_empty())
}

fn default_path() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = base.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".config")))?;
    Some(base.join("hongyan/config.toml"))
}

fn read(path: &Path) -> Result<File> {
    // What toml says of an error shows the line, and in it may be the key.
    toml::from_str(&text(path)?).map_err(|error| anyhow::anyhow!("{}: {}", path.display(), error.message()))
}

fn text(path: &Path) -> Result<String> {
    let cannot = || format!("{} cannot be read", path.display());
    let mut text = String::new();
    let file = std::fs::File::open(path).with_context(cannot)?;
    file.take(FILE_MAX).read_to_string(&mut text).with_context(cannot)?;
    Ok(text)
}
