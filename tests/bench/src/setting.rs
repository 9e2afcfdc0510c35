//! What every workload is given: the program, a folder, the sizes.

use anyhow::{Context, Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::path::PathBuf;
use tempfile::TempDir;

/// The number that `statfs` gives for a file system in memory.
const TMPFS: u64 = 0x0102_1994;
/// Open files of a process beside its sockets.
const FILES_BESIDE: u64 = 1_500;

pub struct Setting {
    pub server: PathBuf,
    folder: PathBuf,
    quick: bool,
}

impl Setting {
    pub fn new(server: Option<PathBuf>, folder: Option<PathBuf>, quick: bool) -> Result<Self> {
        let beside = std::env::current_exe().context("this program's own path")?;
        let beside = beside.parent().context("this program lies in no folder")?.to_owned();
        let server = server.unwrap_or_else(|| beside.join("hongyan-server"));
        if !server.is_file() {
            bail!("{} is no program; build the server and name it with HONGYAN_SERVER_BIN", server.display());
        }
        let folder = folder.unwrap_or(beside);
        let system = rustix::fs::statfs(&folder).with_context(|| folder.display().to_string())?;
        if u64::try_from(system.f_type).is_ok_and(|kind| kind == TMPFS) {
            bail!(
                "{} lies in memory, where a flush costs nothing; name a disk with --folder",
                folder.display()
            );
        }
        Ok(Self { server, folder, quick })
    }

    /// A folder of its own, removed when it is dropped.
    pub fn scratch(&self) -> Result<TempDir> {
        tempfile::Builder::new().prefix("bench-").tempdir_in(&self.folder).context("a folder for the data")
    }

    /// A size: the whole one, or the one that only shows that it runs.
    pub fn size(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }

    /// How often ours and the yardstick take turns.
    pub fn rounds(&self) -> usize {
        self.size(5, 2)
    }

    /// How many sockets one process may have, at most `wanted`.
    pub fn sockets(&self, wanted: usize) -> usize {
        let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        usize::try_from(files.saturating_sub(FILES_BESIDE)).unwrap_or(usize::MAX).min(wanted)
    }
}

/// Raises the limit of open files as far as it goes, for this process and its children.
pub fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        eprintln!("the limit of open files could not be raised: {error}");
    }
}
