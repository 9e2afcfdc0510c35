//! Who a message was for, at its place.

use super::people::id;
use super::store::{Directory, DirectoryError};
use crate::log::Pos;
use crate::log::record::Audience;
use hongyan_wire::UserId;
use rusqlite::params;
use std::collections::BTreeSet;

impl Directory {
    /// The people whom a message at `pos` was for and who still exist, by id, in order: at most `limit` of those
    /// after one.
    pub fn recipients(
        &self,
        audience: &Audience,
        pos: Pos,
        after: Option<&UserId>,
        limit: usize,
    ) -> Result<Vec<UserId>, DirectoryError> {
        let start = after.map_or("", UserId::as_str);
        self.reading(|conn| {
            let mut found = BTreeSet::new();
            let (pos, rows) = (pos as i64, i64::try_from(limit).unwrap_or(i64::MAX));
            if audience.everyone {
                let mut users = conn.prepare_cached(
                    "SELECT id FROM user WHERE id > ?1 AND created_pos < ?2 ORDER BY id LIMIT ?3",
                )?;
                return users.query_map(params![start, pos, rows], |row| id(row, 0))?.collect();
            }
            let mut members = conn.prepare_cached(
                "SELECT DISTINCT user FROM membership
                 WHERE kind = ?1 AND group_id = ?2 AND user > ?3 AND from_pos < ?4 AND (to_pos IS NULL OR to_pos > ?4)
                 ORDER BY user LIMIT ?5",
            )?;
            for key in &audience.groups {
                let members = members
                    .query_map(params![key.kind.as_str(), key.id.as_str(), start, pos, rows], |row| id(row, 0))?;
                for member in members {
                    found.insert(member?);
                }
            }
            let mut there = conn.prepare_cached("SELECT 1 FROM user WHERE id = ?1 AND created_pos < ?2")?;
            let mut listed: Vec<&UserId> = audience.users.iter().filter(|user| user.as_str() > start).collect();
            listed.sort_unstable();
            let mut existing = 0;
            for user in listed {
                if existing == limit {
                    break;
                }
                if there.exists(params![user.as_str(), pos])? {
                    existing += 1;
                    found.insert(user.clone());
                }
            }
            Ok(found.into_iter().take(limit).collect())
        })
    }
}
