//! Looking through a set: every file is what its manifest says, can be unpacked, and is a whole database of its person.

use super::SetError;
use super::manifest::{DIRECTORY, InboxFile, LOG, Manifest, PackedFile, REPORTS, hex};
use super::scratch::Scratch;
use crate::backup::disk::{Reserve, remove};
use hongyan_backup::{About, GoOn, Identity, Kind, database};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use tokio::sync::watch;

/// Gathered before it is written, in bytes.
const BUFFER: usize = 256 * 1024;

/// One part of a set, unpacked and found whole.
pub(super) enum Part<'a> {
    /// One of the server's databases, by the name that it has there.
    Database(&'static str),
    Inbox(&'a InboxFile, About),
}

/// Everything that is wrong with a set, each with the name of its file; nothing when it is good. What is unpacked for it
/// lies below `beside` for the while. Blocks on storage.
///
/// # Errors
/// What hinders the looking, and that it was cancelled.
pub fn verify(folder: &Path, beside: &Path, go_on: &GoOn) -> Result<Vec<String>, SetError> {
    let manifest = match Manifest::read(folder) {
        Ok(manifest) => manifest,
        Err(SetError::Unusable { file, reason }) => return Ok(vec![format!("{file}: {reason}")]),
        Err(error) => return Err(error),
    };
    let scratch = Scratch::new(beside)?;
    look_through(folder, &manifest, scratch.path(), go_on, &mut |_, _| Ok(()))
}

/// For what works beside a server that goes on: as long as the disk of a folder that is there has room.
pub fn while_room(folder: &Path) -> GoOn {
    let (_, never) = watch::channel(false);
    Reserve::default().while_room(folder, never)
}

/// Why something ended that was to go on [`while_room`].
pub fn why(folder: &Path, error: SetError) -> SetError {
    Reserve::default().why(folder, error)
}

/// Looks through a set and hands each part on, unpacked, in the order of the manifest; once something is wrong nothing is
/// handed on any more. Gives what is wrong. The unpacked file is removed afterwards unless it was moved away.
pub(super) fn look_through(
    folder: &Path,
    manifest: &Manifest,
    scratch: &Path,
    go_on: &GoOn,
    each: &mut dyn FnMut(Part<'_>, &Path) -> Result<(), SetError>,
) -> Result<Vec<String>, SetError> {
    let plain = scratch.join("unpacked");
    let mut problems = Vec::new();
    for (name, version) in [
        (DIRECTORY, crate::directory::SCHEMA_VERSION),
        (REPORTS, crate::report::SCHEMA_VERSION),
        (LOG, crate::log::copied::VERSION),
    ] {
        // The manifest has all three, or it is none.
        let Some(file) = manifest.database(name) else { continue };
        match unpack(folder, file, &plain, go_on).and_then(|()| Ok(database::faults(&plain, version)?)) {
            Ok(faults) if faults.is_empty() && problems.is_empty() => each(Part::Database(name), &plain)?,
            Ok(faults) => problems.extend(faults.iter().map(|fault| format!("{}: {fault}", file.path))),
            Err(error) => problems.push(told(file, error)?),
        }
        remove(&plain)?;
    }
    for inbox in &manifest.inboxes {
        match unpack(folder, &inbox.file, &plain, go_on).and_then(|()| about(inbox, &plain, go_on)) {
            Ok(about) if problems.is_empty() => each(Part::Inbox(inbox, about), &plain)?,
            Ok(_) => {}
            Err(error) => problems.push(told(&inbox.file, error)?),
        }
        remove(&plain)?;
    }
    Ok(problems)
}

/// What a file is told to have, or the error where it is not the file's.
fn told(file: &PackedFile, error: SetError) -> Result<String, SetError> {
    match error {
        SetError::Unusable { reason, .. } => Ok(format!("{}: {reason}", file.path)),
        SetError::Backup(error @ hongyan_backup::Error::Storage(_)) if error.is_of_disk() => {
            Err(SetError::Backup(error))
        }
        SetError::Backup(error) => Ok(format!("{}: {error}", file.path)),
        error => Err(error),
    }
}

/// Unpacks a file, checking on the way that it is what the manifest says.
pub(super) fn unpack(folder: &Path, file: &PackedFile, to: &Path, go_on: &GoOn) -> Result<(), SetError> {
    let wrong = |reason: String| SetError::Unusable { file: file.path.clone(), reason };
    // No link that leads elsewhere, and no pipe that never ends.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let mut open = File::options();
    open.read(true).custom_flags(flags.bits().cast_signed());
    let packed = open.open(folder.join(&file.path)).map_err(|error| wrong(error.to_string()))?;
    if !packed.metadata().is_ok_and(|about| about.is_file()) {
        return Err(wrong("it is no file".to_owned()));
    }
    let mut from = Summing { from: packed, sum: Sha256::new(), size: 0, go_on };
    let mut to = Target { to: BufWriter::with_capacity(BUFFER, File::create(to)?), failed: None };
    let unpacked = hongyan_backup::unpack(&mut from, &mut to, &Identity::None, file.unpacked);
    if !go_on() {
        return Err(SetError::Stopping);
    }
    // That says nothing of the set.
    if let Some(error) = to.failed {
        return Err(error.into());
    }
    // The sum is of all of it, also of what comes after its end.
    io::copy(&mut from, &mut io::sink()).map_err(|error| wrong(error.to_string()))?;
    if from.size != file.size {
        return Err(wrong(format!("it has {} bytes, and had {}", from.size, file.size)));
    }
    if hex(&from.sum.finalize()) != file.sha256 {
        return Err(wrong("it is damaged: its sum is another".into()));
    }
    to.to.flush()?;
    let found = unpacked.map_err(SetError::from)?.from;
    match to.to.get_ref().metadata()?.len() {
        written if written == file.unpacked => Ok(()),
        written => {
            Err(wrong(format!("it unpacks to {written} bytes ({found} read), and was {}", file.unpacked)))
        }
    }
}

/// Whether an unpacked inbox is that of its person, as the manifest has it.
fn about(inbox: &InboxFile, plain: &Path, go_on: &GoOn) -> Result<About, SetError> {
    let (_, about) = hongyan_backup::open_while(plain, go_on)?;
    let wrong = |reason: String| Err(SetError::Unusable { file: inbox.file.path.clone(), reason });
    if about.user != inbox.user.as_str() {
        return wrong(format!("it is the inbox of {}", about.user));
    }
    if about.kind != Kind::Full {
        return wrong("it is no full backup".into());
    }
    let found = (about.pos, about.version, about.messages, about.states);
    if found != (inbox.pos, inbox.version, inbox.messages, inbox.states) {
        return wrong("it is of another moment than the set says".into());
    }
    if about.epoch != inbox.stamp.epoch() {
        return wrong("it is of another server".into());
    }
    Ok(about)
}

/// Writes on, and knows what the disk said.
struct Target {
    to: BufWriter<File>,
    failed: Option<io::Error>,
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to.write(bytes).map_err(|error| {
            let kind = error.kind();
            self.failed = Some(error);
            kind.into()
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Reads on, and knows the sum of what went through. Ends early when it is told to.
struct Summing<'a> {
    from: File,
    sum: Sha256,
    size: u64,
    go_on: &'a GoOn,
}

impl Read for Summing<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if !(self.go_on)() {
            return Ok(0);
        }
        let read = self.from.read(into)?;
        self.sum.update(into.get(..read).unwrap_or_default());
        self.size += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hongyan_backup::{Compression, Encryption, always};

    #[test]
    fn a_disk_that_takes_nothing_is_no_fault_of_the_set() {
        let dir = tempfile::tempdir().unwrap();
        let (mut packed, plain) = (Vec::new(), vec![7; 4 * BUFFER]);
        hongyan_backup::pack(&mut &plain[..], &mut packed, Compression::Zstd, &Encryption::None, &mut |_| {
            true
        })
        .unwrap();
        std::fs::write(dir.path().join("f.zst"), &packed).unwrap();
        let file = PackedFile {
            path: "f.zst".into(),
            size: packed.len() as u64,
            unpacked: plain.len() as u64,
            sha256: hex(&Sha256::digest(&packed)),
        };
        unpack(dir.path(), &file, &dir.path().join("plain"), &always()).unwrap();
        let error = unpack(dir.path(), &file, Path::new("/dev/full"), &always()).unwrap_err();
        assert!(
            matches!(&error, SetError::Io(error) if error.kind() == io::ErrorKind::StorageFull),
            "{error}"
        );
        assert!(told(&file, error).is_err());
    }
}
