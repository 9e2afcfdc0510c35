//! Packing: compressing and encrypting on the way from a file into another, and back. In constant memory.

use crate::{Error, Result};
use age::secrecy::SecretString;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::str::FromStr;

/// Read and written at once.
const CHUNK: usize = 256 * 1024;
/// As `gzip` does when it is told nothing.
const GZIP_LEVEL: u32 = 6;
/// As `zstd` does when it is told nothing.
const ZSTD_LEVEL: i32 = 3;
/// The largest window that is taken in from elsewhere: 128 MiB, as the `zstd` program has it.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// The cost of a key from a passphrase, as a power of two: 128 MiB and a third of a second (OWASP, Password Storage).
const SCRYPT_LOG_N: u8 = 17;
/// How an encrypted file begins (age-encryption.org/v1, "The file header").
const SEALED: &[u8] = b"age-encryption.org/";
/// The longest head of one: more than a hundred recipients.
const HEAD_MAX: u64 = 16 * 1024;
/// The highest that is taken in from elsewhere, 256 MiB: what `age` itself takes.
const SCRYPT_LOG_N_MAX: u8 = 18;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Compression {
    /// As it is called where one is asked for.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// What a file's name ends with.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }

    /// The content coding (RFC 9110, section 8.4.1; RFC 8878, section 7.2).
    pub const fn coding(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }
}

/// For whom a file is encrypted, in the age format (age-encryption.org/v1).
#[derive(Clone, Default)]
pub enum Encryption {
    #[default]
    None,
    /// For who knows this.
    Passphrase(SecretString),
    /// For who has the identity of this `age1…`.
    Recipient(Box<age::x25519::Recipient>),
}

impl fmt::Debug for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Passphrase(_) => "Passphrase(***)",
            Self::Recipient(_) => "Recipient(…)",
        })
    }
}

impl Encryption {
    pub fn to_passphrase(passphrase: &str) -> Self {
        Self::Passphrase(SecretString::from(passphrase.to_owned()))
    }

    /// `None` where it is no `age1…`.
    pub fn to_recipient(recipient: &str) -> Option<Self> {
        age::x25519::Recipient::from_str(recipient).ok().map(|recipient| Self::Recipient(Box::new(recipient)))
    }

    fn encryptor(&self) -> Result<Option<age::Encryptor>> {
        let encryptor = match self {
            Self::None => return Ok(None),
            Self::Passphrase(passphrase) => {
                let mut recipient = age::scrypt::Recipient::new(passphrase.clone());
                recipient.set_work_factor(SCRYPT_LOG_N);
                age::Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient))
            }
            Self::Recipient(recipient) => {
                age::Encryptor::with_recipients(std::iter::once(&**recipient as &dyn age::Recipient))
            }
        };
        encryptor
            .map(Some)
            .map_err(|_| std::io::Error::other("it cannot be encrypted for this recipient").into())
    }
}

/// What opens an encrypted file.
#[derive(Clone, Default)]
pub enum Identity {
    #[default]
    None,
    Passphrase(SecretString),
    Key(Box<age::x25519::Identity>),
}

impl Identity {
    pub fn of_passphrase(passphrase: &str) -> Self {
        Self::Passphrase(SecretString::from(passphrase.to_owned()))
    }

    /// From an `AGE-SECRET-KEY-1…`; `None` where it is none.
    pub fn of_key(key: &str) -> Option<Self> {
        age::x25519::Identity::from_str(key).ok().map(|key| Self::Key(Box::new(key)))
    }
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed {
    /// Bytes read.
    pub from: u64,
}

/// Compresses, then encrypts. `go_on` is asked now and then with the bytes read so far: whether to.
pub fn pack(
    from: &mut dyn Read,
    to: &mut dyn Write,
    compression: Compression,
    encryption: &Encryption,
    go_on: &mut dyn FnMut(u64) -> bool,
) -> Result<Packed> {
    match encryption.encryptor()? {
        None => compress(from, to, compression, go_on),
        Some(encryptor) => {
            let mut sealed = encryptor.wrap_output(to)?;
            let packed = compress(from, &mut sealed, compression, go_on)?;
            sealed.finish()?;
            Ok(packed)
        }
    }
}

fn compress(
    from: &mut dyn Read,
    to: &mut dyn Write,
    compression: Compression,
    go_on: &mut dyn FnMut(u64) -> bool,
) -> Result<Packed> {
    let from = match compression {
        Compression::None => copy(from, to, go_on)?,
        Compression::Gzip => {
            let mut packer = GzEncoder::new(to, flate2::Compression::new(GZIP_LEVEL));
            let copied = copy(from, &mut packer, go_on)?;
            packer.finish()?;
            copied
        }
        Compression::Zstd => {
            let mut packer = zstd::Encoder::new(to, ZSTD_LEVEL)?;
            packer.include_checksum(true)?;
            let copied = copy(from, &mut packer, go_on)?;
            packer.finish()?;
            copied
        }
    };
    Ok(Packed { from })
}

fn copy(from: &mut dyn Read, to: &mut dyn Write, go_on: &mut dyn FnMut(u64) -> bool) -> Result<u64> {
    let mut chunk = vec![0; CHUNK];
    let mut copied = 0;
    loop {
        let read = match from.read(&mut chunk) {
            Ok(0) => return Ok(copied),
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        to.write_all(&chunk[..read])?;
        copied += read as u64;
        if !go_on(copied) {
            return Err(Error::Cancelled);
        }
    }
}

/// Undoes whatever was done to a file, as its first bytes tell, and writes what is left: at most `max` bytes of it.
///
/// # Errors
/// That it cannot be opened with this identity, is damaged, or is larger, be it by what it unpacks to.
pub fn unpack(from: impl Read, to: &mut dyn Write, identity: &Identity, max: u64) -> Result<Packed> {
    let mut from = BufReader::with_capacity(CHUNK, from);
    if starts(&mut from, SEALED)? {
        let left = Cell::new(HEAD_MAX);
        let decryptor = age::Decryptor::new_buffered(Head { from, left: &left }).map_err(unreadable)?;
        left.set(u64::MAX);
        let opened: Box<dyn Read> = match identity {
            Identity::None => return Err(Error::Locked),
            Identity::Passphrase(passphrase) => {
                let mut identity = age::scrypt::Identity::new(passphrase.clone());
                identity.set_max_work_factor(SCRYPT_LOG_N_MAX);
                Box::new(
                    decryptor
                        .decrypt(std::iter::once(&identity as &dyn age::Identity))
                        .map_err(unreadable)?,
                )
            }
            Identity::Key(key) => {
                let key: &dyn age::Identity = &**key;
                Box::new(decryptor.decrypt(std::iter::once(key)).map_err(unreadable)?)
            }
        };
        return decompress(BufReader::with_capacity(CHUNK, opened), to, max);
    }
    decompress(from, to, max)
}

/// Whether a file is encrypted, by its first bytes.
///
/// # Errors
/// What the disk says.
pub fn is_sealed(path: &Path) -> std::io::Result<bool> {
    let mut first = Vec::with_capacity(SEALED.len());
    File::open(path)?.take(SEALED.len() as u64).read_to_end(&mut first)?;
    Ok(first == SEALED)
}

/// An encrypted file, of whose head so many bytes are taken: it is kept in memory, and read anew with each line.
struct Head<'a, R> {
    from: R,
    left: &'a Cell<u64>,
}

impl<R: BufRead> BufRead for Head<'_, R> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        let left = usize::try_from(self.left.get()).unwrap_or(usize::MAX);
        if left == 0 {
            return Err(std::io::Error::other("its head is too long"));
        }
        let bytes = self.from.fill_buf()?;
        Ok(bytes.get(..left).unwrap_or(bytes))
    }

    fn consume(&mut self, amount: usize) {
        self.left.set(self.left.get().saturating_sub(amount as u64));
        self.from.consume(amount);
    }
}

impl<R: BufRead> Read for Head<'_, R> {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        let read = self.fill_buf()?.read(to)?;
        self.consume(read);
        Ok(read)
    }
}

fn decompress(mut from: BufReader<impl Read>, to: &mut dyn Write, max: u64) -> Result<Packed> {
    let damaged = |error: Error| match error {
        // A disk that is full is ours; what a reader says is the file's.
        Error::Io(error) if error.kind() != std::io::ErrorKind::StorageFull => {
            Error::Damaged(error.to_string())
        }
        other => other,
    };
    let mut within = |from: &mut dyn Read| {
        // One byte more shows that there is more.
        let read = copy(&mut from.take(max.saturating_add(1)), to, &mut |_| true).map_err(damaged)?;
        if read > max { Err(Error::TooLarge(max)) } else { Ok(Packed { from: read }) }
    };
    if starts(&mut from, &[0x1f, 0x8b]).map_err(damaged)? {
        within(&mut MultiGzDecoder::new(from))
    } else if starts(&mut from, &[0x28, 0xb5, 0x2f, 0xfd]).map_err(damaged)? {
        let mut unpacker = zstd::Decoder::with_buffer(from).map_err(|error| damaged(error.into()))?;
        unpacker.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
        within(&mut unpacker)
    } else {
        within(&mut from)
    }
}

fn starts(from: &mut BufReader<impl Read>, with: &[u8]) -> Result<bool> {
    Ok(from.fill_buf()?.starts_with(with))
}

fn unreadable(error: age::DecryptError) -> Error {
    match error {
        age::DecryptError::Io(error) => Error::Damaged(error.to_string()),
        age::DecryptError::NoMatchingKeys
        | age::DecryptError::DecryptionFailed
        | age::DecryptError::KeyDecryptionFailed => Error::WrongKey,
        age::DecryptError::ExcessiveWork { .. } => {
            Error::Damaged("its passphrase is made costlier to try than is done here".into())
        }
        _ => Error::Damaged("it is no whole age file".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(bytes: &[u8], compression: Compression, encryption: &Encryption) -> Vec<u8> {
        let mut out = Vec::new();
        pack(&mut &bytes[..], &mut out, compression, encryption, &mut |_| true).unwrap();
        out
    }

    fn unpacked(bytes: &[u8], identity: &Identity, max: u64) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        unpack(bytes, &mut out, identity, max).map(|_| out)
    }

    #[test]
    fn what_is_packed_in_every_way_comes_back_and_only_for_whom_it_is() {
        let bytes: Vec<u8> = (0..700_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        let key = age::x25519::Identity::generate();
        let secret = age::secrecy::ExposeSecret::expose_secret(&key.to_string()).to_owned();
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            for (encryption, identity) in [
                (Encryption::None, Identity::None),
                (
                    Encryption::to_passphrase("a good passphrase"),
                    Identity::of_passphrase("a good passphrase"),
                ),
                (
                    Encryption::to_recipient(&key.to_public().to_string()).unwrap(),
                    Identity::of_key(&secret).unwrap(),
                ),
            ] {
                let sealed = packed(&bytes, compression, &encryption);
                assert!(
                    unpacked(&sealed, &identity, u64::MAX).unwrap() == bytes,
                    "{compression:?} {encryption:?}"
                );
                if !matches!(encryption, Encryption::None) {
                    for other in [
                        Identity::None,
                        Identity::of_passphrase("another"),
                        Identity::of_key(&other()).unwrap(),
                    ] {
                        assert!(matches!(
                            unpacked(&sealed, &other, u64::MAX),
                            Err(Error::WrongKey | Error::Locked)
                        ));
                    }
                }
                if !matches!(encryption, Encryption::None) {
                    // Changed in what is sealed, be it at its beginning: it is the file that says so.
                    let mut changed = sealed.clone();
                    let last = changed.len() - 1;
                    changed[last] ^= 1;
                    let found = unpacked(&changed, &identity, u64::MAX);
                    assert!(matches!(found, Err(Error::Damaged(_))), "{found:?}");
                }
                // Cut off, or changed in its middle.
                assert!(
                    unpacked(&sealed[..sealed.len() - 10], &identity, u64::MAX).is_err()
                        || compression == Compression::None
                );
                if !matches!(encryption, Encryption::None) {
                    let mut other = sealed.clone();
                    let late = other.len() - 20;
                    other[late] ^= 1;
                    assert!(matches!(unpacked(&other, &identity, u64::MAX), Err(Error::Damaged(_))));
                }
            }
        }
    }

    fn other() -> String {
        let key = age::x25519::Identity::generate();
        age::secrecy::ExposeSecret::expose_secret(&key.to_string()).to_owned()
    }

    #[test]
    fn a_head_that_is_too_long_is_read_no_further() {
        /// Counts what is taken of it.
        struct Counted<'a>(&'a [u8], &'a Cell<usize>);
        impl Read for Counted<'_> {
            fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
                let read = self.0.read(to)?;
                self.1.set(self.1.get() + read);
                Ok(read)
            }
        }
        let line = format!("{}\n", "A".repeat(64));
        let many = format!(
            "-> X25519 TEiF0ypqr+bpvcqXNyCVJpL7OuwPdVwPL7KQEbFDOCc\n{}",
            line.repeat(40 * CHUNK / line.len())
        );
        for head in [format!("-> {}", "A".repeat(40 * CHUNK)), many] {
            let bytes = format!("age-encryption.org/v1\n{head}");
            let taken = Cell::new(0);
            let from = Counted(bytes.as_bytes(), &taken);
            let found = unpack(from, &mut Vec::new(), &Identity::None, u64::MAX);
            assert!(matches!(found, Err(Error::Damaged(_))), "{found:?}");
            assert!(taken.get() <= 2 * CHUNK, "{} bytes", taken.get());
        }
        // One that ends within it is read on, however long what it seals is.
        let key = age::x25519::Identity::generate();
        let recipient = Encryption::to_recipient(&key.to_public().to_string()).unwrap();
        let long = vec![7; 4 * HEAD_MAX as usize];
        let sealed = packed(&long, Compression::None, &recipient);
        assert_eq!(unpacked(&sealed, &Identity::Key(Box::new(key)), u64::MAX).unwrap(), long);
    }

    #[test]
    fn a_bomb_ends_where_it_is_too_large() {
        let zeros = vec![0; 4_000_000];
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let bomb = packed(&zeros, compression, &Encryption::None);
            assert!(matches!(unpacked(&bomb, &Identity::None, 1_000_000), Err(Error::TooLarge(1_000_000))));
            assert_eq!(unpacked(&bomb, &Identity::None, 4_000_000).unwrap().len(), zeros.len());
        }
    }

    #[test]
    fn it_ends_when_it_is_told_to() {
        let bytes = vec![1; 4 * CHUNK];
        let mut seen = 0;
        let mut go_on = |done| {
            seen = done;
            done < 2 * CHUNK as u64
        };
        let ended = pack(&mut &bytes[..], &mut Vec::new(), Compression::Gzip, &Encryption::None, &mut go_on);
        assert!(matches!(ended, Err(Error::Cancelled)));
        assert_eq!(seen, 2 * CHUNK as u64);
    }
}
