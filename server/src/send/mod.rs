//! The gate of a send: is it well formed, who gets it, and into the log. What comes out is durable.

mod audience;
mod validate;

use crate::auth::Caller;
use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::inbox::Pending;
use crate::log::record::{GroupKey, Posted, Record};
use crate::log::{Appended, Entry, Idempotency, Journal};
use audience::Resolved;
use hongyan_wire::error::ErrorType;
use hongyan_wire::limits::PRIORITY_DEFAULT;
use hongyan_wire::message::{
    Message, RecipientType, SendAnswer, SendMessageRequest, SendStatus, SenderInfo, SenderType,
};
use hongyan_wire::{MessageId, Timestamp, UserId};
use smol_str::{SmolStr, format_smolstr};
use std::sync::Arc;

/// A listed audience longer than this is looked up on a thread that may wait.
const LOOKED_UP_INLINE: usize = 32;

/// How a repeat of a request is known.
#[derive(Debug, Clone)]
pub struct RepeatKey {
    /// The caller's `Idempotency-Key`.
    pub key: String,
    /// SHA-256 of the request's body.
    pub fingerprint: [u8; 32],
}

/// The gate.
pub struct Gate {
    journal: Journal,
    directory: Arc<Directory>,
    pending: Arc<Pending>,
    message_bytes: usize,
    recipients: usize,
}

impl Gate {
    pub fn new(
        journal: Journal,
        directory: Arc<Directory>,
        pending: Arc<Pending>,
        message_bytes: usize,
        recipients: usize,
    ) -> Self {
        Self { journal, directory, pending, message_bytes, recipients }
    }

    /// Sends one message. When this answers, the message is on the disk and reaches everyone meant.
    pub async fn send(
        &self,
        caller: &Caller,
        request: Box<SendMessageRequest>,
        repeat: Option<RepeatKey>,
    ) -> Result<SendAnswer> {
        let now = crate::clock::now();
        let repeat =
            repeat.map(|repeat| RepeatKey { key: format!("{} {}", name_of(caller), repeat.key), ..repeat });
        if let Some(first) = self.first_answer(repeat.as_ref(), now)? {
            return Ok(first);
        }
        validate::check(&request, self.recipients, now)?;
        permit(caller, &request)?;
        if self.pending.is_full() {
            return Err(Error::overloaded("the inboxes are behind; try again in a while"));
        }
        let resolved = self.resolve(&request).await?;
        let recipients = resolved.count;
        let message_id = MessageId::new(&format!("msg-{}", uuid::Uuid::now_v7())).map_err(Error::internal)?;
        let (message, audience, unknown_recipients) =
            self.compose(caller, *request, resolved, message_id.clone(), now)?;
        let answer = SendAnswer {
            message_id,
            status: SendStatus::Accepted,
            recipients,
            unknown_recipients,
            scheduled_at: None,
        };
        let posted = Posted { message, audience, recipients, sent_by: name_of(caller) };
        let idempotency = match repeat {
            Some(RepeatKey { key, fingerprint }) => {
                let answer = serde_json::to_string(&answer).map_err(Error::internal)?;
                Some(Idempotency { key, fingerprint, answer, at: now })
            }
            None => None,
        };
        match self.journal.append(Entry { record: Record::Message(Box::new(posted)), idempotency }).await? {
            Appended::Written(_) => Ok(answer),
            Appended::Repeated(first) => serde_json::from_str(&first).map_err(Error::internal),
        }
    }

    /// What was answered to the same request before.
    fn first_answer(&self, repeat: Option<&RepeatKey>, now: Timestamp) -> Result<Option<SendAnswer>> {
        let Some(repeat) = repeat else { return Ok(None) };
        match self.journal.log().recall(&repeat.key, now)? {
            Some((fingerprint, _)) if fingerprint != repeat.fingerprint => {
                Err(crate::log::LogError::KeyReused.into())
            }
            Some((_, answer)) => serde_json::from_str(&answer).map(Some).map_err(Error::internal),
            None => Ok(None),
        }
    }

    async fn resolve(&self, request: &SendMessageRequest) -> Result<Resolved> {
        let (kind, recipients) = (request.recipient_type, request.recipients.clone());
        let recipients = match (kind, &request.channel_id) {
            // A channel message without recipients goes to its own channel.
            (Some(RecipientType::Channel), Some(channel)) if recipients.is_empty() => {
                vec![channel.as_str().into()]
            }
            _ => recipients,
        };
        let directory = self.directory.clone();
        let resolved = if recipients.len() <= LOOKED_UP_INLINE {
            audience::resolve(&directory, kind, recipients)?
        } else {
            tokio::task::spawn_blocking(move || audience::resolve(&directory, kind, recipients))
                .await
                .map_err(Error::internal)??
        };
        if resolved.count == 0 && !resolved.unknown.is_empty() && resolved.is_nobody() {
            return Err(Error::field("recipients", "none of them is a user, role or channel here"));
        }
        if let Some(channel) = &request.channel_id
            && self.directory.group(&GroupKey::channel(channel))?.is_none()
        {
            return Err(Error::field("channel_id", "there is no such channel"));
        }
        Ok(resolved)
    }

    /// The message as its readers will see it.
    fn compose(
        &self,
        caller: &Caller,
        request: SendMessageRequest,
        resolved: Resolved,
        id: MessageId,
        now: Timestamp,
    ) -> Result<(Message, crate::log::record::Audience, Vec<SmolStr>)> {
        let sender_info = self.sender(caller, request.sender, request.on_behalf_of.as_ref())?;
        let message = Message {
            id,
            pos: 0,
            // A message for one channel is shown in it.
            channel_id: request.channel_id.or_else(|| resolved.only_channel()),
            title: request.title.unwrap_or_default(),
            content: request.content.unwrap_or_default(),
            message_type: request.message_type.unwrap_or_else(|| "text".into()),
            priority: request.priority.unwrap_or(PRIORITY_DEFAULT),
            sender: sender_info.id.clone(),
            sender_info,
            created_at: now,
            expire_at: request.expire_at,
            metadata: request.metadata.unwrap_or_default(),
            attachments: request.attachments,
            actions: request.actions,
            is_read: false,
            read_at: None,
            version: 0,
        };
        validate::check_size(&message, self.message_bytes)?;
        Ok((message, resolved.audience, resolved.unknown))
    }

    /// Who is shown as the sender: what the request says, completed from the credentials.
    fn sender(
        &self,
        caller: &Caller,
        given: Option<SenderInfo>,
        on_behalf_of: Option<&UserId>,
    ) -> Result<SenderInfo> {
        let (mut info, service_id) = match (caller, on_behalf_of) {
            (Caller::User(user), _) => return Ok(user_sender(&user.person)),
            (Caller::Service(known), Some(user)) => {
                let person = self.directory.person(user)?;
                let person = person.ok_or_else(|| Error::field("on_behalf_of", "there is no such user"))?;
                (user_sender(&person), &known.service.id)
            }
            (Caller::Service(known), None) => {
                let service = &known.service;
                let info = SenderInfo {
                    id: service.id.to_string(),
                    sender_type: SenderType::Service,
                    name: service.name.clone(),
                    ..SenderInfo::default()
                };
                (info, &service.id)
            }
        };
        if let Some(given) = given {
            info.sender_type = given.sender_type;
            for (field, value) in
                [(&mut info.id, given.id), (&mut info.name, given.name), (&mut info.avatar, given.avatar)]
            {
                if !value.is_empty() {
                    *field = value;
                }
            }
        }
        info.service_id = Some(service_id.clone());
        Ok(info)
    }
}

fn user_sender(person: &crate::directory::Person) -> SenderInfo {
    SenderInfo {
        id: person.id.to_string(),
        sender_type: SenderType::User,
        name: person.name.clone(),
        ..SenderInfo::default()
    }
}

/// Whose credentials they are, for the log.
fn name_of(caller: &Caller) -> SmolStr {
    match caller {
        Caller::User(user) => format_smolstr!("user:{}", user.id()),
        Caller::Service(known) => format_smolstr!("service:{}", known.service.id),
    }
}

/// Services send to anyone. People send to people, in their own name; administrators to anyone.
fn permit(caller: &Caller, request: &SendMessageRequest) -> Result<()> {
    let Caller::User(user) = caller else { return Ok(()) };
    if request.sender.is_some() || request.on_behalf_of.is_some() {
        return Err(Error::forbidden("send:on_behalf_of"));
    }
    if user.is_admin() || request.recipient_type == Some(RecipientType::User) {
        return Ok(());
    }
    Err(match request.recipient_type {
        None => Error::field("recipient_type", "people send to people: it must be \"user\""),
        Some(RecipientType::Channel) => Error::forbidden("send:channel"),
        Some(RecipientType::Role) => Error::forbidden("send:role"),
        _ => Error::forbidden("send:all"),
    })
}

/// Something that is promised and not there yet: said, never ignored.
fn not_yet(field: &str, what: &str) -> Error {
    let reason = format!("{what} are not offered by this version yet");
    let details = vec![hongyan_wire::error::FieldError { field: field.into(), reason: reason.clone() }];
    Error { details, ..Error::new(ErrorType::NotYet, reason) }
}
