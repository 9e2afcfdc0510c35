//! What a client missed since its cursor.

use super::Sockets;
use crate::hub::{QUEUE_BYTES_MAX, frame};
use crate::inbox::{Changes, InboxError};
use crate::log::Pos;
use bytes::Bytes;
use hongyan_wire::UserId;
use hongyan_wire::cursor::Cursor;

/// Changes that are sent over the socket; a client that missed more fetches them page by page.
const CHANGES_MAX: usize = 500;

/// What goes out after the welcome, and where that leads.
pub(super) struct Missed {
    pub frames: Vec<Bytes>,
    /// Everything up to here is among the frames or already known.
    pub pos: Pos,
    pub version: u64,
    /// Where the client stands once it has the frames.
    pub cursor: String,
    pub unread_count: u64,
}

impl Sockets {
    /// Reads what came after a cursor. A cursor after which nothing came opens no inbox.
    pub(super) async fn missed(&self, user: &UserId, given: Option<&str>) -> Result<Missed, InboxError> {
        let parsed = given.map(|text| text.parse::<Cursor>().ok());
        let asked = match parsed {
            // No cursor: the client fetches what it wants and is live from now on.
            None => None,
            Some(None) => return self.lost(user, given.unwrap_or_default()).await,
            Some(Some(cursor)) => Some(cursor),
        };
        if let Some(tip) = self.inboxes.known_tip(user).await? {
            let unchanged = asked.is_none_or(|cursor| {
                cursor.epoch == tip.epoch
                    && (tip.last_message..=tip.seen).contains(&cursor.pos)
                    && cursor.version == tip.version
            });
            if unchanged {
                return Ok(Missed {
                    frames: Vec::new(),
                    pos: tip.seen,
                    version: tip.version,
                    cursor: tip.cursor().to_string(),
                    unread_count: tip.unread.total,
                });
            }
        }
        let read = self
            .inboxes
            .access(user, move |inbox| {
                let changes = match asked {
                    Some(cursor) if !inbox.knows(cursor) => None,
                    Some(cursor) => Some(inbox.changes(cursor.pos, cursor.version, CHANGES_MAX)?),
                    None => Some(Changes {
                        changes: Vec::new(),
                        pos: inbox.seen(),
                        version: inbox.version(),
                        has_more: false,
                    }),
                };
                Ok((changes, inbox.cursor(), inbox.unread_total()))
            })
            .await?;
        let (changes, cursor, unread_count) = read;
        let (pos, version) = (cursor.pos, cursor.version);
        let frames: Option<Vec<Bytes>> = changes.filter(|changes| !changes.has_more).and_then(|changes| {
            let frames: Vec<Bytes> = changes.changes.iter().filter_map(frame::encode_as).collect();
            (frames.iter().map(Bytes::len).sum::<usize>() <= QUEUE_BYTES_MAX / 2).then_some(frames)
        });
        match frames {
            Some(frames) => Ok(Missed { frames, pos, version, cursor: cursor.to_string(), unread_count }),
            None => self.lost(user, given.unwrap_or_default()).await,
        }
    }

    /// Too much, or from a cursor that is of no use: the client fetches from its cursor, and what comes
    /// from now on is live.
    async fn lost(&self, user: &UserId, given: &str) -> Result<Missed, InboxError> {
        let (pos, version, unread_count) = self
            .inboxes
            .access(user, |inbox| Ok((inbox.seen(), inbox.version(), inbox.unread_total())))
            .await?;
        let frames = vec![frame::RESYNC.clone()];
        Ok(Missed { frames, pos, version, cursor: given.to_owned(), unread_count })
    }
}
