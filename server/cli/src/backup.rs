//! Backups, without a server: increments joined to a full one, and a full one told for people and for other programs.

use crate::gateway::Failure;
use crate::settings;
use anyhow::{Context, anyhow};
use clap::{Args, Subcommand, ValueEnum};
use hongyan_backup::{Error, Format, Identity, Kind, Language};
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
    /// Write the messages of a full backup as a page to read, or a line of JSON each.
    ///
    /// The file may be packed and encrypted, as for `apply`.
    Export(Export),
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

#[derive(Args)]
pub struct Export {
    /// The full backup.
    full: PathBuf,
    /// `jsonl`: a message a line as the API has it, the newest last; `html`: one page that needs nothing else, the newest first.
    #[arg(long, value_enum)]
    format: Form,
    /// Of the labels of a page.
    #[arg(long, value_enum, default_value_t = Lang::En)]
    lang: Lang,
    /// Where it is written; it must not be there yet. Standard output when left out.
    #[arg(long, short)]
    out: Option<PathBuf>,
    /// A file with the AGE-SECRET-KEY-1… for which the backup is encrypted.
    #[arg(long, short)]
    identity: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    Jsonl,
    Html,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Lang {
    En,
    Zh,
}

impl Backup {
    pub fn perform(self) -> Result<(), Failure> {
        match self {
            Self::Apply(apply) => apply.perform(),
            Self::Export(export) => export.perform(),
        }
    }
}

impl Apply {
    fn perform(self) -> Result<(), Failure> {
        let identity = identity(self.identity.as_deref()).map_err(Failure::Usage)?;
        let work = beside(&self.out)?;
        let unpacked = |path: &Path, name: String| -> Result<PathBuf, Failure> {
            let name_is_full = name == "full";
            let to = work.path().join(name);
            unpack(path, &to, &identity).map_err(|error| refused(path, &error))?;
            // So that what is wrong is said of the file that has it.
            let (_, about) = hongyan_backup::open(&to).map_err(|error| refused(path, &error))?;
            if name_is_full && about.kind != Kind::Full {
                return Err(refused(path, &Error::NotFull));
            }
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
}

impl Export {
    fn perform(self) -> Result<(), Failure> {
        let identity = identity(self.identity.as_deref()).map_err(Failure::Usage)?;
        let work = match &self.out {
            Some(out) => beside(out)?,
            None => tempfile::tempdir().map_err(|error| Failure::Usage(error.into()))?,
        };
        let full = work.path().join("full");
        let refused = |error: &Error| refused(&self.full, error);
        unpack(&self.full, &full, &identity).map_err(|error| refused(&error))?;
        // What may be anything is looked through before anything is told of it.
        drop(hongyan_backup::open(&full).map_err(|error| refused(&error))?);
        let format = match self.format {
            Form::Jsonl => Format::JsonLines,
            Form::Html => Format::Html { language: self.lang.into(), name: String::new() },
        };
        let Some(out) = &self.out else {
            return match hongyan_backup::export(&full, &format, &mut std::io::stdout().lock(), &mut |_| true)
            {
                // Who reads it has enough, as `head` does.
                Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
                told => told.map(drop).map_err(|error| refused(&error)),
            };
        };
        let told = work.path().join("told");
        let mut file = File::create_new(&told).map_err(|error| Failure::Usage(error.into()))?;
        hongyan_backup::export(&full, &format, &mut file, &mut |_| true).map_err(|error| refused(&error))?;
        let kept = file.sync_all().and_then(|()| std::fs::rename(&told, out));
        kept.with_context(|| out.display().to_string()).map_err(Failure::Usage)
    }
}

impl From<Lang> for Language {
    fn from(lang: Lang) -> Self {
        match lang {
            Lang::En => Self::En,
            Lang::Zh => Self::Zh,
        }
    }
}

/// A folder to work in beside a result, so that it gets its name at once when it is whole, and is gone when it is not. The
/// result must not be there yet.
fn beside(out: &Path) -> Result<tempfile::TempDir, Failure> {
    if out.exists() {
        return Err(Failure::Usage(anyhow!("{} is there already", out.display())));
    }
    let beside = out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let work = tempfile::Builder::new().prefix(".hongyan-").tempdir_in(beside);
    work.with_context(|| format!("cannot write in {}", beside.display())).map_err(Failure::Usage)
}

/// What opens the backups: the key in this file, or the passphrase that is set.
fn identity(path: Option<&Path>) -> anyhow::Result<Identity> {
    if let Some(path) = path {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let key = text.lines().map(str::trim).find(|line| line.starts_with("AGE-SECRET-KEY-1"));
        return key
            .and_then(Identity::of_key)
            .with_context(|| format!("{}: no AGE-SECRET-KEY-1…", path.display()));
    }
    Ok(settings::backup_passphrase()
        .map_or(Identity::None, |passphrase| Identity::of_passphrase(&passphrase)))
}

fn unpack(from: &Path, to: &Path, identity: &Identity) -> Result<(), Error> {
    let mut to = BufWriter::new(File::create_new(to)?);
    hongyan_backup::unpack(File::open(from)?, &mut to, identity, UNPACKED_MAX)?;
    Ok(to.flush()?)
}

fn refused(path: &Path, error: &Error) -> Failure {
    Failure::Refused(format!("{}: {error}", path.display()))
}
