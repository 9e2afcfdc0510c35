//! What a set says of itself: two files of its folder, of which the first names all others with their sums, and the second
//! has the sum of the first.

use super::SetError;
use crate::inbox::Stamp;
use crate::log::Pos;
use hongyan_wire::sets::{BackupSet, LeftOut};
use hongyan_wire::{Timestamp, UserId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The version that is written.
pub const FORMAT: u32 = 1;
pub(super) const NAME: &str = "manifest.json";
/// As `sha256sum` writes and checks it.
const SUM: &str = "manifest.sha256";

pub(super) const DIRECTORY: &str = "directory.db";
pub(super) const REPORTS: &str = "reports.db";
pub(super) const LOG: &str = "log.db";

/// All that a set has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    pub id: String,
    pub made_at: Timestamp,
    /// The version of the server that made it.
    pub server: String,
    /// The number of the log.
    pub epoch: u64,
    /// Where the log was when the making began: all that came after it stands in the copy of the log.
    pub start: Pos,
    /// The end of the copy of the log.
    pub head: Pos,
    pub people: u64,
    /// In all inboxes together.
    pub messages: u64,
    /// Bytes of all files together.
    pub size: u64,
    /// Inboxes that could not be read.
    pub left_out: Vec<LeftOut>,
    /// Directory, counts and log.
    pub files: Vec<PackedFile>,
    pub inboxes: Vec<InboxFile>,
}

/// A database, packed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackedFile {
    /// Within the set's folder.
    pub path: String,
    /// Bytes as it lies there.
    pub size: u64,
    /// Bytes of what is in it.
    pub unpacked: u64,
    /// Of it as it lies there, in hex.
    pub sha256: String,
}

/// A person's inbox as a full backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboxFile {
    pub user: UserId,
    #[serde(flatten)]
    pub file: PackedFile,
    /// What the inbox was.
    pub stamp: Stamp,
    pub pos: Pos,
    pub version: u64,
    pub messages: u64,
    pub states: u64,
}

impl Manifest {
    /// Bytes of the server's databases and of the inboxes once they are unpacked.
    pub fn unpacked(&self) -> [u64; 2] {
        let sum = |sum: u64, file: &PackedFile| sum.saturating_add(file.unpacked);
        [self.files.iter().fold(0, sum), self.inboxes.iter().map(|inbox| &inbox.file).fold(0, sum)]
    }

    /// Reads and checks it.
    ///
    /// # Errors
    /// What is wrong with it, with the name of the file.
    pub fn read(folder: &Path) -> Result<Self, SetError> {
        let unusable = |file: &str, reason: String| SetError::Unusable { file: file.to_owned(), reason };
        let read =
            |file: &str| fs::read(folder.join(file)).map_err(|error| unusable(file, error.to_string()));
        let (bytes, sum) = (read(NAME)?, read(SUM)?);
        let format: Format = serde_json::from_slice(&bytes)
            .map_err(|error| unusable(NAME, format!("it is damaged: {error}")))?;
        if format.format > FORMAT {
            return Err(unusable(NAME, format!("it has format {}, newer than is known", format.format)));
        }
        if sum != sum_line(&bytes).as_bytes() {
            return Err(unusable(NAME, format!("it is damaged: it is not what {SUM} says")));
        }
        let manifest: Self = serde_json::from_slice(&bytes)
            .map_err(|error| unusable(NAME, format!("it is damaged: {error}")))?;
        let strange = |what: &str| Err(unusable(NAME, format!("it names {what}")));
        let names: Vec<&str> = manifest.files.iter().map(|file| file.path.as_str()).collect();
        if names != [DIRECTORY, REPORTS, LOG].map(packed_name) {
            return strange("other files than a set has");
        }
        match manifest.inboxes.iter().find(|inbox| inbox.file.path != inbox_path(&inbox.user)) {
            Some(inbox) => strange(&inbox.file.path),
            None => Ok(manifest),
        }
    }

    /// Writes it so that it is on the disk, whole, or not there.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        let bytes = serde_json::to_vec(self)?;
        put(folder, SUM, sum_line(&bytes).as_bytes())?;
        put(folder, NAME, &bytes)?;
        File::open(folder)?.sync_all()
    }

    /// The packed file of one of the three databases.
    pub fn database(&self, name: &str) -> Option<&PackedFile> {
        self.files.iter().find(|file| file.path == packed_name(name))
    }
}

/// What is looked at before all else.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// What is shown of a set. The inboxes are passed over.
pub(super) fn summary(folder: &Path) -> io::Result<BackupSet> {
    #[derive(Deserialize)]
    struct Shown {
        id: String,
        made_at: Timestamp,
        server: String,
        people: u64,
        messages: u64,
        size: u64,
        left_out: Vec<LeftOut>,
    }
    let Shown { id, made_at, server, people, messages, size, left_out } =
        serde_json::from_slice(&fs::read(folder.join(NAME))?)?;
    Ok(BackupSet { id, made_at, server, people, messages, size, complete: left_out.is_empty(), left_out })
}

pub(super) fn packed_name(database: &str) -> String {
    format!("{database}.zst")
}

pub(super) fn inbox_path(user: &UserId) -> String {
    format!("inboxes/{user}.db.zst")
}

/// Bytes in hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sum_line(bytes: &[u8]) -> String {
    format!("{}  {NAME}\n", hex(&Sha256::digest(bytes)))
}

fn put(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let half = folder.join(format!("{name}.partial"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&half)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&half, folder.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: String) -> PackedFile {
        PackedFile { path, size: 1, unpacked: 2, sha256: "00".into() }
    }

    fn manifest() -> Manifest {
        let ann = UserId::new("ann").unwrap();
        Manifest {
            format: FORMAT,
            id: "20260115T103000Z".into(),
            made_at: Timestamp::from_millis(1_768_473_000_000),
            server: "0.1.0".into(),
            epoch: u64::MAX,
            start: 3,
            head: 9,
            people: 1,
            messages: 4,
            size: 5,
            left_out: vec![LeftOut { user: UserId::new("bob").unwrap(), reason: "damaged".into() }],
            files: [DIRECTORY, REPORTS, LOG].map(|name| file(packed_name(name))).into(),
            inboxes: vec![InboxFile {
                file: file(inbox_path(&ann)),
                user: ann,
                stamp: Stamp::default(),
                pos: 8,
                version: 2,
                messages: 4,
                states: 1,
            }],
        }
    }

    #[test]
    fn it_is_read_as_it_was_written_and_a_flipped_byte_anywhere_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let written = manifest();
        written.write(dir.path()).unwrap();
        assert_eq!(Manifest::read(dir.path()).unwrap(), written);
        let shown = summary(dir.path()).unwrap();
        assert_eq!((shown.people, shown.complete, shown.left_out.len()), (1, false, 1));
        for name in [NAME, SUM] {
            let path = dir.path().join(name);
            let bytes = fs::read(&path).unwrap();
            for at in 0..bytes.len() {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1;
                fs::write(&path, flipped).unwrap();
                let error = Manifest::read(dir.path()).unwrap_err().to_string();
                assert!(error.starts_with("manifest.json: "), "{error}");
            }
            fs::write(&path, bytes).unwrap();
        }
        assert!(Manifest::read(dir.path()).is_ok());
    }

    #[test]
    fn what_it_names_stays_within_its_folder_and_what_is_newer_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut other = manifest();
        other.inboxes[0].file.path = "../../etc/passwd".into();
        other.write(dir.path()).unwrap();
        let error = Manifest::read(dir.path()).unwrap_err().to_string();
        assert!(error.contains("../../etc/passwd"), "{error}");
        let mut other = manifest();
        other.files.pop();
        other.write(dir.path()).unwrap();
        assert!(Manifest::read(dir.path()).is_err());
        let newer = Manifest { format: FORMAT + 1, ..manifest() };
        newer.write(dir.path()).unwrap();
        let error = Manifest::read(dir.path()).unwrap_err().to_string();
        assert!(error.contains("newer"), "{error}");
    }
}
