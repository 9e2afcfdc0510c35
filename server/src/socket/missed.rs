//! What a client missed since its cursor.

use super::Sockets;
use crate::hub::{QUEUE_BYTES_MAX, frame};
use crate::inbox::{Changes, InboxError};
use crate::log::Pos;
use bytes::Bytes;
use hongyan_wire::UserId;
use hongyan_wire::cursor::Cursor;
use hongyan_wire::frame::Hello;

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
    /// Reads what came after the cursor of a hello and after what was received since. A cursor after which nothing
    /// came opens no inbox.
    pub(super) async fn missed(&self, user: &UserId, hello: Option<&Hello>) -> Result<Missed, InboxError> {
        let given = hello.and_then(|hello| Some((hello.cursor.as_deref()?, hello.pos, hello.version)));
        let asked = match given {
            // No cursor: the client fetches what it wants and is live from now on.
            None => None,
            Some((text, pos, version)) => match text.parse::<Cursor>() {
                Ok(cursor) => Some(cursor.advanced(pos, version)),
                Err(_) => return self.lost(user, text.to_owned()).await,
            },
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
            None => self.lost(user, asked.map_or_else(String::new, |cursor| cursor.to_string())).await,
        }
    }

    /// Too much, or from a cursor that is of no use: the client fetches from its cursor, and what comes
    /// from now on is live.
    async fn lost(&self, user: &UserId, cursor: String) -> Result<Missed, InboxError> {
        let (pos, version, unread_count) = self
            .inboxes
            .access(user, |inbox| Ok((inbox.seen(), inbox.version(), inbox.unread_total())))
            .await?;
        let frames = vec![frame::RESYNC.clone()];
        Ok(Missed { frames, pos, version, cursor, unread_count })
    }
}
