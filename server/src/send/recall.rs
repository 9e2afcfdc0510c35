//! Messages taken back by their senders, and messages that take the place of earlier ones.

use super::{Gate, Prepared, RepeatKey, concluded};
use crate::auth::Caller;
use crate::error::{Error, Result};
use crate::log::record::{Audience, Posted, Recalled, Record};
use crate::log::{Appended, Entry, Idempotency, LogError, Pos};
use hongyan_wire::message::{SendAnswer, SendMessageRequest};
use hongyan_wire::{MessageId, Timestamp};
use smol_str::SmolStr;
use std::sync::Arc;

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
        self: &Arc<Self>,
        caller: &Caller,
        request: Box<SendMessageRequest>,
        repeat: Option<RepeatKey>,
    ) -> Result<SendAnswer> {
        let (this, caller) = (self.clone(), caller.clone());
        // Goes on to its end when nobody waits for it any more: the turn must not pass on before.
        let sending = tokio::spawn(async move {
            let key = request.thread_key.clone().unwrap_or_default();
            let _turn = this.threads.turn((caller.name(), &key)).await;
            match this.prepare(&caller, request, repeat).await? {
                Prepared::Known(first) => Ok(first),
                Prepared::New(entry, answer) => {
                    let appended = this.journal.append(*entry).await;
                    this.followed(&appended).await;
                    concluded(appended, answer)
                }
            }
        });
        sending.await.map_err(Error::internal)?
    }

    /// Sends a message of a thread whose time has come.
    pub(super) async fn release_in_thread(&self, posted: Posted, now: Timestamp) -> Result<()> {
        let key = posted.message.thread_key.clone().unwrap_or_default();
        let _turn = self.threads.turn((&posted.sent_by, &key)).await;
        let entry = tokio::task::block_in_place(|| self.released(posted, now))?;
        let appended = self.journal.append(entry).await;
        self.followed(&appended).await;
        appended?;
        Ok(())
    }

    /// Waits until the next one of a thread finds this one. It is on the disk, whether that can be waited for or not.
    async fn followed(&self, appended: &Result<Appended, LogError>) {
        if let Ok(Appended::Written(pos)) = appended {
            let _ = self.journal.applied(*pos).await;
        }
    }

    /// Takes a message back: nobody sees it any more. Its sender may, and administrators.
    pub async fn recall(&self, caller: &Caller, id: &MessageId) -> Result<()> {
        let by = caller.name();
        let found = self.journal.log().find(id)?;
        let found = found.ok_or_else(|| Error::not_found("message that can still be taken back"))?;
        let Record::Message(posted) = &*found.record else { return Err(Error::not_found("message")) };
        let is_admin = matches!(caller, Caller::User(user) if user.is_admin());
        if posted.sent_by != by && !is_admin {
            return Err(Error::not_found("message of yours"));
        }
        if self.pending.is_full() {
            return Err(Error::overloaded("the inboxes are behind; try again in a while"));
        }
        let (now, key) = (crate::clock::now(), format!("recall {id}"));
        let earlier = Earlier { id: id.clone(), place: found.pos, audience: posted.audience.clone() };
        let record = Record::Recalled(Box::new(earlier.recalled(None, by, now)));
        // Once is enough.
        let idempotency = Idempotency { key, fingerprint: [0; 32], answer: String::new(), at: now };
        let entry = Entry { idempotency: Some(idempotency), ..record.into() };
        self.journal.append_applied(entry).await?;
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
