//! The disk under the backups: what may still be written to it, where a person's files lie, and how files go.

use super::sets::SetError;
use hongyan_backup::GoOn;
use hongyan_wire::UserId;
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch;

/// Bytes of a disk that no backup takes: the log goes on when backups do not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reserve(pub u64);

impl Default for Reserve {
    fn default() -> Self {
        Self(1024 * 1024 * 1024)
    }
}

impl Reserve {
    /// Bytes that may still be written below a folder that is there.
    ///
    /// # Errors
    /// [`ErrorKind::StorageFull`] where less than the reserve is free, and what the disk says.
    pub fn room(self, folder: &Path) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(folder)?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        free.checked_sub(self.0).ok_or_else(|| self.full(0, free))
    }

    /// Looks whether so many bytes may be written below a folder that is there: before a file is begun, and not when the
    /// log has nothing left.
    ///
    /// # Errors
    /// As [`Self::room`], and [`ErrorKind::StorageFull`] where there is not so much room.
    pub fn look(self, folder: &Path, bytes: u64) -> io::Result<()> {
        match self.room(folder)? {
            room if room < bytes => Err(self.full(bytes, room.saturating_add(self.0))),
            _ => Ok(()),
        }
    }

    /// Whether to go on with what is written to a folder that is there: as long as there is room, also for what others
    /// write meanwhile, and nothing says stop.
    pub fn while_room(self, folder: &Path, stop: watch::Receiver<bool>) -> GoOn {
        let folder = folder.to_owned();
        Arc::new(move || !*stop.borrow() && self.look(&folder, 0).is_ok())
    }

    /// Why something ended that was to go on [`Self::while_room`].
    pub fn why(self, folder: &Path, error: SetError) -> SetError {
        match (error, self.look(folder, 0)) {
            (SetError::Stopping, Err(full)) => full.into(),
            (error, _) => error,
        }
    }

    fn full(self, bytes: u64, free: u64) -> io::Error {
        let kept = self.0;
        let text = format!(
            "the disk is too full: {free} bytes are free, {kept} are left to the log, and {bytes} are needed"
        );
        io::Error::new(ErrorKind::StorageFull, text)
    }
}

/// What [`Reserve::room`] gives for the reserve of a server.
pub(super) fn room(folder: &Path) -> io::Result<u64> {
    Reserve::default().room(folder)
}

/// Bytes of a database with what is written ahead of it: no copy of it has more.
pub(super) fn size(database: &Path) -> io::Result<u64> {
    let mut ahead = database.as_os_str().to_owned();
    ahead.push("-wal");
    let ahead = match fs::metadata(ahead) {
        Err(error) if error.kind() == ErrorKind::NotFound => 0,
        about => about?.len(),
    };
    Ok(database.metadata()?.len().saturating_add(ahead))
}

/// People's folders below one that is made when it is not there. Whatever else is there is passed over.
pub(super) fn people(root: &Path) -> io::Result<Vec<(UserId, PathBuf)>> {
    DirBuilder::new().recursive(true).mode(0o700).create(root)?;
    // Nobody else on this machine looks in.
    fs::set_permissions(root, Permissions::from_mode(0o700))?;
    let mut people = Vec::new();
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        let user = path.file_name().and_then(|name| UserId::new(name.to_str()?).ok());
        people.extend(user.filter(|_| path.is_dir()).map(|user| (user, path)));
    }
    Ok(people)
}

/// Removes a file, if it is there.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    gone(fs::remove_file(path))
}

/// Removes a folder with all that is in it, if it is there.
pub(super) fn remove_dir(path: &Path) -> io::Result<()> {
    gone(fs::remove_dir_all(path))
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_to_the_log_is_no_room() {
        let dir = tempfile::tempdir().unwrap();
        let all = Reserve(0).room(dir.path()).unwrap();
        assert!(Reserve(0).look(dir.path(), all / 2).is_ok());
        for (reserve, bytes) in
            [(Reserve(0), all.saturating_mul(4)), (Reserve(all / 2), all), (Reserve(u64::MAX), 0)]
        {
            let error = reserve.look(dir.path(), bytes).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StorageFull, "{error}");
            assert!(error.to_string().contains(&format!("{} are left to the log", reserve.0)), "{error}");
        }
    }

    #[test]
    fn what_is_written_ahead_of_a_database_counts() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("log.db");
        fs::write(&database, [0; 10]).unwrap();
        assert_eq!(size(&database).unwrap(), 10);
        fs::write(dir.path().join("log.db-wal"), [0; 5]).unwrap();
        assert_eq!(size(&database).unwrap(), 15);
        assert!(size(&dir.path().join("none.db")).is_err());
    }

    #[test]
    fn what_is_there_goes_and_what_is_not_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let (file, folder) = (dir.path().join("file"), dir.path().join("folder"));
        fs::write(&file, b"x").unwrap();
        fs::create_dir_all(folder.join("within")).unwrap();
        for _ in 0..2 {
            remove(&file).unwrap();
            remove_dir(&folder).unwrap();
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        fs::create_dir(&folder).unwrap();
        assert!(remove(&folder).is_err());
    }
}
