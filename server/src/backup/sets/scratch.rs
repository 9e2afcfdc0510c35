//! A folder for what is needed only for a while. It is removed with its owner; that of an owner who was killed is removed by
//! whoever comes next, as nobody holds its lock any more.

use super::folder::make_dir;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

const BEGINNING: &str = ".scratch-";

/// The folder, until this is dropped.
pub struct Scratch {
    path: PathBuf,
    _lock: File,
}

impl Scratch {
    /// Makes one within a folder, which is made if need be.
    pub fn new(within: &Path) -> io::Result<Self> {
        Self::clear_left(within)?;
        loop {
            let path = within.join(format!("{BEGINNING}{}", uuid::Uuid::now_v7().simple()));
            make_dir(&path)?;
            let lock = File::open(&path)?;
            // Another who clears may have come between.
            if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() && path.exists() {
                return Ok(Self { path, _lock: lock });
            }
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes those of owners who are no more.
    pub fn clear_left(within: &Path) -> io::Result<()> {
        let entries = match fs::read_dir(within) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            if !entry.file_name().to_string_lossy().starts_with(BEGINNING) {
                continue;
            }
            // Its owner may remove it at the same moment.
            let Ok(folder) = File::open(entry.path()) else { continue };
            if flock(&folder, FlockOperation::NonBlockingLockExclusive).is_ok() {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a folder that is not needed any more stays");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_with_its_owner_and_what_nobody_holds_goes_with_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let left = dir.path().join(".scratch-left");
        fs::create_dir(&left).unwrap();
        fs::write(left.join("f"), b"x").unwrap();
        let first = Scratch::new(dir.path()).unwrap();
        assert!(!left.exists());
        let second = Scratch::new(dir.path()).unwrap();
        assert!(first.path().exists() && second.path().exists());
        drop(first);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        drop(second);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
