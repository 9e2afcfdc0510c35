//! Files of sets.

use super::manifest::hex;
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// A new file that nobody else may read.
pub(super) fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Copies a file into a new one that nobody else may read.
pub(super) fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    io::copy(&mut File::open(from)?, &mut private(to)?).map(drop)
}

/// Writes on, and knows the sum of what went through.
pub(super) struct Summing<W> {
    to: W,
    sum: Sha256,
    size: u64,
}

impl<W> Summing<W> {
    pub fn new(to: W) -> Self {
        Self { to, sum: Sha256::new(), size: 0 }
    }

    /// Bytes that went through.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// SHA-256 of them, in hex.
    pub fn sum(self) -> String {
        hex(&self.sum.finalize())
    }
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.sum.update(bytes.get(..written).unwrap_or_default());
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
