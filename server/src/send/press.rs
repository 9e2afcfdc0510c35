//! Actions of messages that are pressed: recorded once, shown to those who may see it, told to the sender.

use super::Gate;
use crate::auth::UserCaller;
use crate::error::{Error, Result};
use crate::log::record::{Audience, CallbackMade, Posted, PressMade, Record};
use hongyan_wire::message::{ActionType, AnswerMode, Pressed};
use hongyan_wire::{MessageId, ServiceId};
use serde_json::json;
use std::sync::Arc;

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
            let _turn = this.threads.turn(("press", &id)).await;
            this.journal.caught_up().await?;
            tokio::task::block_in_place(|| this.pressed(&caller, &id, action))?.record(&this).await
        });
        pressing.await.map_err(Error::internal)?
    }

    /// What a press comes to.
    fn pressed(&self, caller: &UserCaller, id: &MessageId, action: String) -> Result<Press> {
        let found = self.journal.log().find(id)?;
        let found = found.ok_or_else(|| Error::not_found("message that can still be answered"))?;
        let Record::Message(posted) = &*found.record else { return Err(Error::not_found("message")) };
        let is_pressable = |kind| matches!(kind, ActionType::Button | ActionType::Confirm);
        let actions = &posted.message.actions;
        if !actions.iter().any(|known| is_pressable(known.action_type) && known.action == action) {
            return Err(Error::not_found("action"));
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
        let made = PressMade { id: id.clone(), target: found.pos, audience, pressed, callback };
        Ok(Press::New(Box::new(made)))
    }

    /// What the service that sent a message is to be told, if it wants to be told anything.
    fn callback(&self, posted: &Posted, pressed: &Pressed) -> Result<Option<CallbackMade>> {
        let id = posted.sent_by.strip_prefix("service:").and_then(|id| ServiceId::new(id).ok());
        let service = id.map(|id| self.directory.service(&id)).transpose()?.flatten();
        let Some(service) = service.filter(|service| service.callback_url.is_some()) else { return Ok(None) };
        let message = &posted.message;
        let body = json!({
            "type": "message.action.pressed",
            "timestamp": pressed.at,
            "data": {
                "message_id": message.id, "action": pressed.action,
                "user": { "id": pressed.by, "name": pressed.name }, "at": pressed.at,
                "thread_key": message.thread_key, "metadata": message.metadata,
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

impl Press {
    async fn record(self, gate: &Gate) -> Result<Pressed> {
        match self {
            Self::Known(pressed) => Ok(pressed),
            Self::New(made) => {
                let pressed = made.pressed.clone();
                gate.journal.append_applied(Record::Pressed(made)).await?;
                Ok(pressed)
            }
        }
    }
}
