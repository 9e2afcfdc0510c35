//! Messages taken back by their senders, and messages that take the place of earlier ones.

use super::{Gate, Prepared, RepeatKey, concluded, name_of};
use crate::auth::Caller;
use crate::error::{Error, Result};
use crate::log::record::{Audience, Recalled, Record};
use crate::log::{Appended, Pos};
use hongyan_wire::message::{SendAnswer, SendMessageRequest};
use hongyan_wire::{MessageId, Timestamp};
use smol_str::SmolStr;
use std::hash::{BuildHasher, RandomState};
use tokio::sync::{Mutex, MutexGuard};

/// Locks for threads; two of them seldom share one.
const LANES: usize = 256;

/// Each thread is sent to by one at a time, so that each message sees the one before it.
pub struct ThreadLanes {
    lanes: Box<[Mutex<()>]>,
    hasher: RandomState,
}

impl Default for ThreadLanes {
    fn default() -> Self {
        let lanes = std::iter::repeat_with(Mutex::default).take(LANES).collect();
        Self { lanes, hasher: RandomState::new() }
    }
}

impl ThreadLanes {
    async fn turn(&self, owner: &str, key: &str) -> MutexGuard<'_, ()> {
        let lane = self.hasher.hash_one((owner, key)) as usize % LANES;
        self.lanes[lane].lock().await
    }
}

/// A message that was sent before and is still in the log.
pub(super) struct Earlier {
    pub id: MessageId,
    place: Pos,
    audience: Audience,
}

impl Earlier {
    /// The record that takes it back.
    pub fn recalled(self, replaced_by: Option<MessageId>, by: SmolStr, at: Timestamp) -> Recalled {
        Recalled { id: self.id, target: self.place, audience: self.audience, replaced_by, at, by }
    }
}

impl Gate {
    /// Sends a message that takes the place of the last one of its thread.
    pub(super) async fn send_in_thread(
        &self,
        caller: &Caller,
        request: Box<SendMessageRequest>,
        repeat: Option<RepeatKey>,
    ) -> Result<SendAnswer> {
        let key = request.thread_key.clone().unwrap_or_default();
        let _turn = self.threads.turn(&name_of(caller), &key).await;
        match self.prepare(caller, request, repeat).await? {
            Prepared::Known(first) => Ok(first),
            Prepared::New(entry, answer) => {
                let appended = self.journal.append(*entry).await;
                if let Ok(Appended::Written(pos)) = appended {
                    // The next one finds this one only once it is applied.
                    self.journal.applied(pos).await?;
                }
                concluded(appended, answer)
            }
        }
    }

    /// Takes a message back: nobody sees it any more. Its sender may, and administrators.
    pub async fn recall(&self, caller: &Caller, id: &MessageId) -> Result<()> {
        let by = name_of(caller);
        let found = self.journal.log().find(id)?;
        let found = found.ok_or_else(|| Error::not_found("message that can still be taken back"))?;
        let Record::Message(posted) = &*found.record else { return Err(Error::not_found("message")) };
        let is_admin = matches!(caller, Caller::User(user) if user.is_admin());
        if posted.sent_by != by && !is_admin {
            return Err(Error::not_found("message of yours"));
        }
        let earlier = Earlier { id: id.clone(), place: found.pos, audience: posted.audience.clone() };
        let recalled = earlier.recalled(None, by, crate::clock::now());
        self.journal.append_applied(Record::Recalled(recalled)).await?;
        Ok(())
    }

    /// The message whose place another one takes: the one that is named, or the last of the thread. `None` when
    /// there is none, or it is too old to be in the log.
    pub(super) fn earlier(
        &self,
        owner: &SmolStr,
        replaces: Option<&MessageId>,
        thread: Option<&str>,
    ) -> Result<Option<Earlier>> {
        let last = match (replaces, thread) {
            (Some(id), _) => Some(id.clone()),
            (None, Some(key)) => self.directory.last_of_thread(owner, key)?,
            (None, None) => return Ok(None),
        };
        let Some(id) = last else { return Ok(None) };
        let Some(found) = self.journal.log().find(&id)? else { return Ok(None) };
        match &*found.record {
            Record::Message(posted) if posted.sent_by == *owner => {
                Ok(Some(Earlier { id, place: found.pos, audience: posted.audience.clone() }))
            }
            _ => Ok(None),
        }
    }
}
