//! How people can sign in: identities at providers, second factors, passkeys, one-time links; and their pictures.
//! Nothing here is on the way of a message, so nothing is cached.

use super::store::{Directory, DirectoryError};
use crate::log::record::Subject;
use hongyan_wire::profile::Identity;
use hongyan_wire::{Timestamp, UserId};
use rusqlite::{OptionalExtension, Row, params};

/// Who someone is at a provider, and what user that is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredIdentity {
    pub user: UserId,
    pub subject: Subject,
    pub about: Identity,
}

/// A passkey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPasskey {
    pub user: UserId,
    /// The credential's id in base64url.
    pub id: String,
    pub name: String,
    /// JSON.
    pub key: String,
    pub created_at: Timestamp,
}

const IDENTITY: &str = "id, user, provider, tenant, subject, name, email, linked_at";
const PASSKEY: &str = "id, user, name, key, created_at";

impl Directory {
    /// The user who is this at a provider.
    pub fn identity(&self, subject: &Subject) -> Result<Option<StoredIdentity>, DirectoryError> {
        let Subject { provider, tenant, subject } = subject;
        self.reading(|conn| {
            let sql = format!(
                "SELECT {IDENTITY} FROM identity WHERE provider = ?1 AND tenant = ?2 AND subject = ?3"
            );
            conn.prepare_cached(&sql)?
                .query_row([provider.as_str(), tenant.as_str(), subject.as_str()], identity)
                .optional()
        })
    }

    /// Who a user is at providers, in the order in which that was linked.
    pub fn identities_of(&self, user: &UserId) -> Result<Vec<StoredIdentity>, DirectoryError> {
        self.reading(|conn| {
            let sql = format!("SELECT {IDENTITY} FROM identity WHERE user = ?1 ORDER BY linked_at, id");
            conn.prepare_cached(&sql)?.query_map([user.as_str()], identity)?.collect()
        })
    }

    /// The user with whom someone may sign in by a one-time link of this hash, and until when.
    pub fn link(&self, hash: &str, now: Timestamp) -> Result<Option<(UserId, Timestamp)>, DirectoryError> {
        self.reading(|conn| {
            conn.prepare_cached("SELECT user, until FROM link WHERE hash = ?1 AND until > ?2")?
                .query_row(params![hash, now.millis()], |row| {
                    Ok((super::people::id(row, 0)?, Timestamp::from_millis(row.get(1)?)))
                })
                .optional()
        })
    }

    /// What a user's authenticator has, in base32.
    pub fn totp_secret(&self, user: &UserId) -> Result<Option<String>, DirectoryError> {
        self.reading(|conn| {
            conn.prepare_cached("SELECT secret FROM totp WHERE user = ?1")?
                .query_row([user.as_str()], |row| row.get(0))
                .optional()
        })
    }

    /// The hashes of a user's recovery codes that were not used yet.
    pub fn recovery_hashes(&self, user: &UserId) -> Result<Vec<String>, DirectoryError> {
        self.reading(|conn| {
            conn.prepare_cached("SELECT hash FROM recovery WHERE user = ?1")?
                .query_map([user.as_str()], |row| row.get(0))?
                .collect()
        })
    }

    /// The passkey with this id.
    pub fn passkey(&self, id: &str) -> Result<Option<StoredPasskey>, DirectoryError> {
        self.reading(|conn| {
            let sql = format!("SELECT {PASSKEY} FROM passkey WHERE id = ?1");
            conn.prepare_cached(&sql)?.query_row([id], passkey).optional()
        })
    }

    /// A user's passkeys, oldest first.
    pub fn passkeys_of(&self, user: &UserId) -> Result<Vec<StoredPasskey>, DirectoryError> {
        self.reading(|conn| {
            let sql = format!("SELECT {PASSKEY} FROM passkey WHERE user = ?1 ORDER BY created_at, id");
            conn.prepare_cached(&sql)?.query_map([user.as_str()], passkey)?.collect()
        })
    }

    /// A picture by its name: JPEG.
    pub fn avatar(&self, name: &str) -> Result<Option<Vec<u8>>, DirectoryError> {
        self.reading(|conn| {
            conn.prepare_cached("SELECT picture FROM avatar WHERE name = ?1 LIMIT 1")?
                .query_row([name], |row| row.get(0))
                .optional()
        })
    }
}

fn identity(row: &Row<'_>) -> rusqlite::Result<StoredIdentity> {
    let provider: String = row.get(2)?;
    Ok(StoredIdentity {
        user: super::people::id(row, 1)?,
        subject: Subject {
            provider: provider.as_str().into(),
            tenant: row.get_ref(3)?.as_str()?.into(),
            subject: row.get_ref(4)?.as_str()?.into(),
        },
        about: Identity {
            id: row.get(0)?,
            provider,
            name: row.get(5)?,
            email: row.get(6)?,
            linked_at: Timestamp::from_millis(row.get(7)?),
        },
    })
}

fn passkey(row: &Row<'_>) -> rusqlite::Result<StoredPasskey> {
    Ok(StoredPasskey {
        id: row.get(0)?,
        user: super::people::id(row, 1)?,
        name: row.get(2)?,
        key: row.get(3)?,
        created_at: Timestamp::from_millis(row.get(4)?),
    })
}
