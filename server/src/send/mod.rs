//! The gate of a send: is it well formed, who gets it, and into the log. What comes out is durable.

mod audience;
mod meter;
pub mod permit;
mod press;
mod recall;
mod schedule;
mod validate;

pub use meter::{Metered, Meters, Purpose};
pub use schedule::Scheduler;

use crate::auth::Caller;
use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::inbox::Pending;
use crate::lanes::Lanes;
use crate::log::record::{GroupKey, Posted, Recalled, Record, Scheduled, TemplateUsed};
use crate::log::{Appended, Entry, Idempotency, Journal, LogError};
use audience::Resolved;
use hongyan_wire::limits::PRIORITY_DEFAULT;
use hongyan_wire::message::{
    Message, PreviewAnswer, SendAnswer, SendMessageRequest, SendStatus, SenderInfo, SenderType,
};
use hongyan_wire::template::Template;
use hongyan_wire::{MessageId, Timestamp, UserId};
use smol_str::SmolStr;
use std::sync::Arc;
use tokio::sync::{Mutex, Semaphore};

/// A listed audience longer than this is looked up on a thread that may wait.
const LOOKED_UP_INLINE: usize = 32;
/// Threads that are sent to at one moment.
const THREAD_LANES: usize = 256;
/// Messages, or their readers, that are answered at one moment.
const PRESS_LANES: usize = 1_024;
/// Batches taken in at one moment: each may hold the memory of a thousand messages.
const BATCHES_AT_ONCE: usize = 4;

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
    batches: Semaphore,
    /// Each thread is sent to by one at a time, so that each message sees the one before it; and each message
    /// pressed by one at a time.
    threads: Lanes,
    presses: Lanes,
    /// Held while a scheduled message is changed, taken back or sent: it is one of these.
    schedule: Mutex<()>,
}

/// A request that has passed the gate.
enum Prepared {
    /// It was answered before.
    Known(SendAnswer),
    New(Box<Entry>, SendAnswer),
}

/// A message with its audience, before it is written anywhere.
struct Composed {
    posted: Box<Posted>,
    /// The one whose place it takes.
    replaced: Option<Recalled>,
    unknown: Vec<SmolStr>,
    due: Option<Timestamp>,
}

impl Gate {
    pub fn new(
        journal: Journal,
        directory: Arc<Directory>,
        pending: Arc<Pending>,
        message_bytes: usize,
        recipients: usize,
    ) -> Self {
        Self {
            journal,
            directory,
            pending,
            message_bytes,
            recipients,
            batches: Semaphore::new(BATCHES_AT_ONCE),
            threads: Lanes::new(THREAD_LANES),
            presses: Lanes::new(PRESS_LANES),
            schedule: Mutex::default(),
        }
    }

    /// Largest message as JSON, in bytes.
    pub fn message_bytes(&self) -> usize {
        self.message_bytes
    }

    /// Sends one message. When this answers, the message is on the disk and reaches everyone meant.
    pub async fn send(
        self: &Arc<Self>,
        caller: &Caller,
        request: Box<SendMessageRequest>,
        repeat: Option<RepeatKey>,
    ) -> Result<SendAnswer> {
        if request.thread_key.is_some() {
            return Box::pin(self.send_in_thread(caller, request, repeat)).await;
        }
        match self.prepare(caller, request, repeat).await? {
            Prepared::Known(first) => Ok(first),
            Prepared::New(entry, answer) => concluded(self.journal.append(*entry).await, answer),
        }
    }

    /// Sends many with one flush; one answer each, in order.
    pub async fn send_batch(
        self: &Arc<Self>,
        caller: &Caller,
        mut requests: Vec<Result<(Box<SendMessageRequest>, Option<RepeatKey>)>>,
        metered: &mut Metered,
    ) -> Result<Vec<Result<SendAnswer>>> {
        self.meter(caller, &mut requests, metered)?;
        let _place = self.batches.acquire().await.map_err(Error::internal)?;
        let mut entries = Vec::with_capacity(requests.len());
        let mut prepared = Vec::with_capacity(requests.len());
        let mut appended = Vec::with_capacity(requests.len());
        for request in requests {
            let item = match request {
                Ok((request, repeat)) if request.thread_key.is_some() => {
                    // It must see those before it, and those after it this one.
                    appended.extend(self.journal.append_all(std::mem::take(&mut entries)).await);
                    self.send_in_thread(caller, request, repeat).await.map(Prepared::Known)
                }
                Ok((request, repeat)) => self.prepare(caller, request, repeat).await,
                Err(error) => Err(error),
            };
            prepared.push(item.map(|item| match item {
                Prepared::Known(first) => (first, false),
                Prepared::New(entry, answer) => {
                    entries.push(*entry);
                    (answer, true)
                }
            }));
        }
        appended.extend(self.journal.append_all(entries).await);
        let mut appended = appended.into_iter();
        let answers = prepared.into_iter().map(|item| match item? {
            (answer, false) => Ok(answer),
            (answer, true) => concluded(appended.next().unwrap_or(Err(LogError::Closed)), answer),
        });
        Ok(answers.collect())
    }

    /// Takes from the caller's limit for what is new among these, in order, and refuses the rest. What was sent before
    /// costs nothing, so that a batch beyond the limit gets further each time that it is repeated.
    fn meter(
        &self,
        caller: &Caller,
        requests: &mut [Result<(Box<SendMessageRequest>, Option<RepeatKey>)>],
        metered: &mut Metered,
    ) -> Result<()> {
        if !metered.is_limited() {
            return Ok(());
        }
        let now = crate::clock::now();
        let mut new = Vec::with_capacity(requests.len());
        for request in requests.iter_mut() {
            let known = match request {
                Ok((_, Some(repeat))) => {
                    let key = own_key(caller, &repeat.key);
                    tokio::task::block_in_place(|| self.journal.log().recall(&key, now))?.is_some()
                }
                _ => false,
            };
            if !known {
                new.push(request);
            }
        }
        // One is taken already.
        let taken = 1 + metered.take((new.len() as u32).saturating_sub(1)) as usize;
        for refused in new.into_iter().skip(taken) {
            *refused = Err(Error::rate_limited("you send too often"));
        }
        Ok(())
    }

    /// What a send would send, and to how many; nothing is sent.
    pub async fn preview(&self, caller: &Caller, request: Box<SendMessageRequest>) -> Result<PreviewAnswer> {
        let composed = self.compose(caller, request, new_id()?, crate::clock::now()).await?;
        Ok(PreviewAnswer {
            recipients: composed.posted.recipients,
            unknown_recipients: composed.unknown,
            message: composed.posted.message,
            scheduled_at: composed.due,
        })
    }

    async fn prepare(
        &self,
        caller: &Caller,
        request: Box<SendMessageRequest>,
        repeat: Option<RepeatKey>,
    ) -> Result<Prepared> {
        let now = crate::clock::now();
        let repeat = repeat.map(|repeat| RepeatKey { key: own_key(caller, &repeat.key), ..repeat });
        if let Some(first) = self.first_answer(repeat.as_ref(), now)? {
            return Ok(Prepared::Known(first));
        }
        if self.pending.is_full() {
            return Err(Error::overloaded("the inboxes are behind; try again in a while"));
        }
        let composed = self.compose(caller, request, new_id()?, now).await?;
        let answer = composed.answer();
        let idempotency = match repeat {
            Some(RepeatKey { key, fingerprint }) => {
                let answer = serde_json::to_string(&answer).map_err(Error::internal)?;
                Some(Idempotency { key, fingerprint, answer, at: now })
            }
            None => None,
        };
        let entry = Box::new(Entry { idempotency, ..composed.into_entry() });
        Ok(Prepared::New(entry, answer))
    }

    /// What was answered to the same request before.
    fn first_answer(&self, repeat: Option<&RepeatKey>, now: Timestamp) -> Result<Option<SendAnswer>> {
        let Some(repeat) = repeat else { return Ok(None) };
        match self.journal.log().recall(&repeat.key, now)? {
            Some((fingerprint, _)) if fingerprint != repeat.fingerprint => Err(LogError::KeyReused.into()),
            Some((_, answer)) => serde_json::from_str(&answer).map(Some).map_err(Error::internal),
            None => Ok(None),
        }
    }

    /// Checks a request and makes a message of it.
    async fn compose(
        &self,
        caller: &Caller,
        mut request: Box<SendMessageRequest>,
        id: MessageId,
        now: Timestamp,
    ) -> Result<Box<Composed>> {
        let template = self.checked(caller, &mut request, now)?;
        let resolved = match self.resolve_now(&request)? {
            Some(resolved) => resolved,
            // Seldom, and large: apart from the futures of all others.
            None => Box::pin(self.resolve_elsewhere(&request)).await?,
        };
        self.composed(caller, request, template, resolved, id, now)
    }

    /// Everything that can be said of a request without knowing who gets it.
    fn checked(
        &self,
        caller: &Caller,
        request: &mut SendMessageRequest,
        now: Timestamp,
    ) -> Result<Option<Arc<Template>>> {
        validate::check_depth(request)?;
        let template = self.fill_in(request)?;
        validate::check(request, self.recipients, now)?;
        let message_type = request.message_type.as_deref().unwrap_or("text");
        let category = permit::category(template.as_ref().map(|template| template.category), message_type);
        permit::content(caller, request, category)?;
        if request.replaces.is_some() || request.thread_key.is_some() {
            // What it takes the place of may have gone to others.
            caller.require_write()?;
        }
        if let Some(channel) = &request.channel_id {
            permit::channel(caller, channel)?;
            if self.directory.group(&GroupKey::channel(channel))?.is_none() {
                return Err(Error::field("channel_id", "there is no such channel"));
            }
        }
        Ok(template)
    }

    fn composed(
        &self,
        caller: &Caller,
        request: Box<SendMessageRequest>,
        template: Option<Arc<Template>>,
        resolved: Resolved,
        id: MessageId,
        now: Timestamp,
    ) -> Result<Box<Composed>> {
        let Resolved { audience, count, unknown } = resolved;
        if count == 0 && !unknown.is_empty() && audience.is_nobody() {
            return Err(Error::field("recipients", "none of them is a user, role or channel here"));
        }
        permit::audience(caller, &audience, &self.directory)?;
        let request = *request;
        let sent_by = caller.name();
        let earlier = self.earlier(&sent_by, request.replaces.as_ref(), request.thread_key.as_deref())?;
        if request.replaces.is_some() && earlier.is_none() {
            return Err(Error::field("replaces", "is none of your messages that can still be replaced"));
        }
        let due = request.scheduled_at.filter(|at| *at > now);
        let sender_info = self.sender(caller, request.sender, request.on_behalf_of.as_ref())?;
        let message = Message {
            id,
            pos: 0,
            // A message for one channel is shown in it.
            channel_id: request.channel_id.or_else(|| audience.only_channel()),
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
            replaces: earlier.as_ref().map(|earlier| earlier.id.clone()),
            thread_key: request.thread_key,
            pressed: None,
        };
        validate::check_size(&message, self.message_bytes)?;
        let template =
            template.map(|template| TemplateUsed { id: template.id.clone(), version: template.version });
        // What is scheduled looks for it when its time comes.
        let earlier = earlier.filter(|_| due.is_none());
        let replaced =
            earlier.map(|earlier| earlier.recalled(Some(message.id.clone()), sent_by.clone(), now));
        let posted = Box::new(Posted {
            message,
            audience,
            recipients: count,
            sent_by,
            template,
            answer: request.answer.unwrap_or_default(),
            was_scheduled: false,
        });
        Ok(Box::new(Composed { posted, replaced, unknown, due }))
    }

    /// Fills the template in that a request names, if it names one.
    fn fill_in(&self, request: &mut SendMessageRequest) -> Result<Option<Arc<Template>>> {
        let Some(id) = &request.template_id else {
            return match request.variables {
                Some(_) => Err(Error::field("variables", "goes with template_id only")),
                None => Ok(None),
            };
        };
        for (field, given) in [("title", request.title.is_some()), ("content", request.content.is_some())] {
            if given {
                return Err(Error::field(field, "comes from the template; leave it out, or template_id"));
            }
        }
        let unknown = || Error::field("template_id", "there is no such template");
        let template = self.directory.template(id)?.ok_or_else(unknown)?;
        let variables = request.variables.take().unwrap_or_default();
        let mut filled = template.fill(&variables).map_err(Error::invalid)?;
        request.title = Some(filled.title);
        request.content = Some(filled.content);
        filled.actions.append(&mut request.actions);
        request.actions = filled.actions;
        request.message_type.get_or_insert_with(|| template.message_type.clone());
        request.priority.get_or_insert(template.priority);
        Ok(Some(template))
    }

    /// Who gets it, where that can be known without waiting.
    fn resolve_now(&self, request: &SendMessageRequest) -> Result<Option<Resolved>> {
        let recipients = audience::listed(request);
        if recipients.len() > LOOKED_UP_INLINE {
            return Ok(None);
        }
        let mut resolved = audience::look_all_up(&self.directory, request.recipient_type, recipients)?;
        if !self.directory.is_counted(&resolved.audience) {
            return Ok(None);
        }
        resolved.count = self.directory.count(&resolved.audience)?;
        Ok(Some(resolved))
    }

    /// The same on a thread that may wait.
    async fn resolve_elsewhere(&self, request: &SendMessageRequest) -> Result<Resolved> {
        let (directory, kind) = (self.directory.clone(), request.recipient_type);
        let recipients = audience::listed(request).into_owned();
        let resolving = move || {
            let mut resolved = audience::look_all_up(&directory, kind, recipients.into())?;
            resolved.count = directory.count(&resolved.audience)?;
            Ok(resolved)
        };
        tokio::task::spawn_blocking(resolving).await.map_err(Error::internal)?
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

/// A key of one caller's, among everyone's.
fn own_key(caller: &Caller, key: &str) -> String {
    format!("{} {key}", caller.name())
}

fn new_id() -> Result<MessageId> {
    MessageId::new(&format!("msg-{}", uuid::Uuid::now_v7())).map_err(Error::internal)
}

/// The answer once the record is written, or the one that was given before.
fn concluded(appended: Result<Appended, LogError>, answer: SendAnswer) -> Result<SendAnswer> {
    match appended? {
        Appended::Written(_) => Ok(answer),
        Appended::Repeated(first) => serde_json::from_str(&first).map_err(Error::internal),
    }
}

impl Composed {
    fn answer(&self) -> SendAnswer {
        SendAnswer {
            message_id: self.posted.message.id.clone(),
            status: if self.due.is_some() { SendStatus::Scheduled } else { SendStatus::Accepted },
            recipients: self.posted.recipients,
            unknown_recipients: self.unknown.clone(),
            scheduled_at: self.due,
        }
    }

    fn into_entry(self) -> Entry {
        let record = match self.due {
            Some(due) => Record::Scheduled(Box::new(Scheduled { due, posted: *self.posted })),
            None => Record::Message(self.posted),
        };
        let before = self.replaced.map(|recalled| Box::new(Record::Recalled(Box::new(recalled))));
        Entry { before, ..record.into() }
    }
}
