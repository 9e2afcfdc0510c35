//! Actions of messages that are pressed: recorded once, shown to those who may see it, told to the sender.

use super::Gate;
use crate::auth::UserCaller;
use crate::error::{Error, Result};
use crate::log::record::{Audience, CallbackMade, Posted, PressMade, Record};
use crate::log::{Logged, Pos};
use hongyan_wire::message::{ActionType, AnswerMode, Pressed};
use hongyan_wire::{MessageId, ServiceId, UserId};
use serde_json::json;
use std::sync::Arc;

/// Largest metadata that a service is told with each press, in bytes of JSON.
const METADATA_MAX: usize = 16 * 1024;

impl Gate {
    /// Presses an action of a message that the caller has. Pressing the same again is pressing it once; another answer
    /// than the one that counts is refused with it.
    pub async fn press(
        self: &Arc<Self>,
        caller: UserCaller,
        id: MessageId,
        action: String,
    ) -> Result<Pressed> {
        let this = self.clone();
        // Goes on to its end when nobody waits for it any more: the turn must not pass on before.
        let pressing = tokio::spawn(async move {
            let found = this.pressable(&id, &action)?;
            let Record::Message(posted) = &*found.record else { return Err(Error::not_found("message")) };
            // Each reader has an answer of their own, or all have one.
            let _turn = match posted.answer {
                AnswerMode::Each => this.presses.turn((&id, Some(caller.id()))).await,
                AnswerMode::First => this.presses.turn((&id, None::<&UserId>)).await,
            };
            this.journal.caught_up().await?;
            match tokio::task::block_in_place(|| this.pressed(&caller, found.pos, posted, action))? {
                Press::Known(pressed) => Ok(pressed),
                Press::New(made) => this.record(made, posted.answer).await,
            }
        });
        pressing.await.map_err(Error::internal)?
    }

    /// The message, if it has such an action.
    fn pressable(&self, id: &MessageId, action: &str) -> Result<Logged> {
        let found = tokio::task::block_in_place(|| self.journal.log().find(id))?;
        let found = found.ok_or_else(unanswerable)?;
        let Record::Message(posted) = &*found.record else { return Err(Error::not_found("message")) };
        let is_pressable = |kind| matches!(kind, ActionType::Button | ActionType::Confirm);
        let mut actions = posted.message.actions.iter();
        if !actions.any(|known| is_pressable(known.action_type) && known.action == action) {
            return Err(Error::not_found("action"));
        }
        Ok(found)
    }

    /// What a press comes to.
    fn pressed(&self, caller: &UserCaller, target: Pos, posted: &Posted, action: String) -> Result<Press> {
        let id = &posted.message.id;
        let is_over = posted.message.expire_at.is_some_and(|at| at <= crate::clock::now());
        if is_over || self.directory.is_recalled(id)? {
            return Err(unanswerable());
        }
        if let Some(counts) = self.directory.press(id, posted.answer, caller.id())? {
            return if counts.by == *caller.id() && counts.action == action {
                Ok(Press::Known(counts))
            } else {
                Err(Error::already_answered(&counts))
            };
        }
        let pressed = Pressed {
            action,
            by: caller.id().clone(),
            name: caller.person.name.clone(),
            at: crate::clock::now(),
        };
        let audience = match posted.answer {
            AnswerMode::First => posted.audience.clone(),
            AnswerMode::Each => Audience { users: vec![caller.id().clone()], ..Audience::default() },
        };
        let callback = self.callback(posted, &pressed)?;
        let made = PressMade { id: id.clone(), target, audience, pressed, callback };
        Ok(Press::New(Box::new(made)))
    }

    /// Writes a press down. The log decides whether the message was taken back before.
    async fn record(&self, made: Box<PressMade>, mode: AnswerMode) -> Result<Pressed> {
        let (id, pressed) = (made.id.clone(), made.pressed.clone());
        self.journal.append_applied(Record::Pressed(made)).await?;
        let counts = tokio::task::block_in_place(|| self.directory.press(&id, mode, &pressed.by))?;
        counts.ok_or_else(unanswerable)
    }

    /// What the service that sent a message is to be told, if it wants to be told anything.
    fn callback(&self, posted: &Posted, pressed: &Pressed) -> Result<Option<CallbackMade>> {
        let id = posted.sent_by.strip_prefix("service:").and_then(|id| ServiceId::new(id).ok());
        let service = id.map(|id| self.directory.service(&id)).transpose()?.flatten();
        let Some(service) = service.filter(|service| service.callback_url.is_some()) else { return Ok(None) };
        let message = &posted.message;
        // Each press has a copy of it.
        let size = serde_json::to_vec(&message.metadata).map_err(Error::internal)?.len();
        let metadata = (size <= METADATA_MAX).then_some(&message.metadata);
        let body = json!({
            "type": "message.action.pressed",
            "timestamp": pressed.at,
            "data": {
                "message_id": message.id, "action": pressed.action,
                "user": { "id": pressed.by, "name": pressed.name }, "at": pressed.at,
                "thread_key": message.thread_key, "metadata": metadata,
            },
        });
        Ok(Some(CallbackMade { service: service.id, body: body.to_string() }))
    }
}

enum Press {
    /// It was pressed before.
    Known(Pressed),
    New(Box<PressMade>),
}

fn unanswerable() -> Error {
    Error::not_found("message that can still be answered")
}
