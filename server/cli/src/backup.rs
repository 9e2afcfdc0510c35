//! Backups, without a server: increments joined to a full one.

use crate::gateway::Failure;
use crate::settings;
use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use hongyan_backup::{Error, Identity};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// What a file may unpack to, in bytes: more than any inbox has.
const UNPACKED_MAX: u64 = 1 << 42;

#[derive(Subcommand)]
pub enum Backup {
    /// Join increments, in their order, to a full backup: the result is the inbox at the last of them.
    ///
    /// Files may be packed with gzip or zstd and encrypted with age. A passphrase is taken from the environment variable
    /// HONGYAN_BACKUP_PASSPHRASE.
    Apply(Apply),
}

#[derive(Args)]
pub struct Apply {
    /// The full backup.
    full: PathBuf,
    /// What came after it.
    increments: Vec<PathBuf>,
    /// Where the result is written, a SQLite database; it must not be there yet.
    #[arg(long, short)]
    out: PathBuf,
    /// A file with the AGE-SECRET-KEY-1… for which the backups are encrypted.
    #[arg(long, short)]
    identity: Option<PathBuf>,
}

impl Backup {
    pub fn perform(self) -> Result<(), Failure> {
        match self {
            Self::Apply(apply) => apply.perform(),
        }
    }
}

impl Apply {
    fn perform(self) -> Result<(), Failure> {
        if self.out.exists() {
            return Err(Failure::Usage(anyhow!("{} is there already", self.out.display())));
        }
        let identity = self.identity().map_err(Failure::Usage)?;
        // Beside the result, so that it gets its name at once when it is whole, and is gone when it is not.
        let beside =
            self.out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let work = tempfile::Builder::new().prefix(".hongyan-").tempdir_in(beside);
        let work =
            work.with_context(|| format!("cannot write in {}", beside.display())).map_err(Failure::Usage)?;
        let unpacked = |path: &Path, name: String| -> Result<PathBuf, Failure> {
            let to = work.path().join(name);
            unpack(path, &to, &identity).map_err(|error| refused(path, &error))?;
            Ok(to)
        };
        let full = unpacked(&self.full, "full".into())?;
        for (n, path) in self.increments.iter().enumerate() {
            let increment = unpacked(path, n.to_string())?;
            hongyan_backup::apply(&full, &[&increment]).map_err(|error| refused(path, &error))?;
            std::fs::remove_file(&increment).map_err(|error| Failure::Usage(error.into()))?;
        }
        // Also where there was nothing to join.
        hongyan_backup::apply(&full, &[] as &[PathBuf]).map_err(|error| refused(&self.full, &error))?;
        let kept = File::open(&full)
            .and_then(|file| file.sync_all())
            .and_then(|()| std::fs::rename(&full, &self.out));
        kept.with_context(|| self.out.display().to_string()).map_err(Failure::Usage)
    }

    fn identity(&self) -> anyhow::Result<Identity> {
        if let Some(path) = &self.identity {
            let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
            let key = text.lines().map(str::trim).find(|line| line.starts_with("AGE-SECRET-KEY-1"));
            return key
                .and_then(Identity::of_key)
                .with_context(|| format!("{}: no AGE-SECRET-KEY-1…", path.display()));
        }
        Ok(settings::backup_passphrase()
            .map_or(Identity::None, |passphrase| Identity::of_passphrase(&passphrase)))
    }
}

fn unpack(from: &Path, to: &Path, identity: &Identity) -> Result<(), Error> {
    let mut to = BufWriter::new(File::create_new(to)?);
    hongyan_backup::unpack(File::open(from)?, &mut to, identity, UNPACKED_MAX)?;
    Ok(to.flush()?)
}

fn refused(path: &Path, error: &Error) -> Failure {
    Failure::Refused(format!("{}: {error}", path.display()))
}
