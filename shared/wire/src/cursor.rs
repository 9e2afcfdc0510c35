//! A client's place in its inbox. To everyone else a cursor is an opaque string; the server and
//! our own clients know what is in it, so that a client can move it on with each live frame.

use std::fmt;
use std::str::FromStr;

/// How far a client has got: everything at or before it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// Which log it belongs to; another server's cursor is of no use.
    pub epoch: u64,
    /// The last place in the delivery log.
    pub pos: u64,
    /// The user's last own change.
    pub version: u64,
}

impl Cursor {
    /// This cursor, moved on to the highest position and version received since it.
    pub fn advanced(self, pos: Option<u64>, version: Option<u64>) -> Self {
        let (pos, version) = (pos.unwrap_or_default(), version.unwrap_or_default());
        Self { epoch: self.epoch, pos: self.pos.max(pos), version: self.version.max(version) }
    }
}

/// The text is no cursor of this version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a cursor that this server gave")]
pub struct InvalidCursor;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "h1.{:016x}.{}.{}", self.epoch, self.pos, self.version)
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let mut parts = text.split('.');
        let mut next = || parts.next().ok_or(InvalidCursor);
        if next()? != "h1" {
            return Err(InvalidCursor);
        }
        let epoch = u64::from_str_radix(next()?, 16).map_err(|_| InvalidCursor)?;
        let pos = next()?.parse().map_err(|_| InvalidCursor)?;
        let version = next()?.parse().map_err(|_| InvalidCursor)?;
        // Both are SQLite integers on the server.
        if parts.next().is_some() || pos > i64::MAX as u64 || version > i64::MAX as u64 {
            return Err(InvalidCursor);
        }
        Ok(Self { epoch, pos, version })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(epoch: u64, pos in 0..=i64::MAX as u64, version in 0..=i64::MAX as u64) {
            let cursor = Cursor { epoch, pos, version };
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }

        #[test]
        fn any_other_text_is_refused_without_panic(text in ".{0,80}") {
            if let Ok(cursor) = text.parse::<Cursor>() {
                prop_assert!(cursor.pos <= i64::MAX as u64);
            }
        }
    }
}
