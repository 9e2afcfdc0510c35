//! From where an increment goes on: what a backup ends with, as one word.

use hongyan_backup::{About, Since};
use std::fmt;
use std::str::FromStr;

/// `b1.EPOCH.POS.VERSION.MADE_AT`; the epoch in hex, the rest in decimal digits, the last in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pub epoch: u64,
    pos: u64,
    version: u64,
    made_at: i64,
}

impl Cursor {
    pub fn of(about: &About) -> Self {
        let About { epoch, pos, version, made_at, .. } = *about;
        Self { epoch, pos, version, made_at }
    }

    pub fn since(self) -> Since {
        Since::Place { pos: self.pos, version: self.version, at: Some(self.made_at) }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { epoch, pos, version, made_at } = self;
        write!(f, "b1.{epoch:016x}.{pos}.{version}.{made_at}")
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.strip_prefix("b1.").ok_or(())?.split('.');
        let mut next = || parts.next().ok_or(());
        let cursor = Self {
            epoch: u64::from_str_radix(next()?, 16).map_err(drop)?,
            pos: next()?.parse().map_err(drop)?,
            version: next()?.parse().map_err(drop)?,
            made_at: next()?.parse().map_err(drop)?,
        };
        if parts.next().is_none() { Ok(cursor) } else { Err(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_was_written() {
        let cursor = Cursor { epoch: u64::MAX, pos: 12, version: 3, made_at: 1_800_000_000_000 };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for bad in ["", "b1.", "b2.1.2.3.4", "b1.1.2.3", "b1.1.2.3.4.5", "b1.x.2.3.4", "b1.1.-2.3.4"] {
            assert_eq!(bad.parse::<Cursor>(), Err(()), "{bad}");
        }
    }
}
