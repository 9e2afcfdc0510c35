//! What became of what was sent: totals for its sender, person by person where that is allowed, lists and series for
//! administrators. Nobody who sends or reads pays for it: see [`Ledger`].

mod counts;
mod ledger;

pub use ledger::{Ledger, LedgerError, SCHEMA_VERSION, belong_to};

use crate::auth::Caller;
use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::hub::Hub;
use crate::inbox::Inboxes;
use crate::log::record::{Audience, GroupKind, Posted, Record};
use crate::log::{Journal, Logged, Pos};
use counts::HOUR;
use hongyan_wire::message::AnswerMode;
use hongyan_wire::receipt::{
    Delivery, DeliveryList, DeliveryState, Receipt, ReceiptList, Receipts, SentTo, Stats, StatsNow,
    StatsPoint, StatsStep,
};
use hongyan_wire::{ChannelId, DepartmentId, MessageId, RoleId, Timestamp, UserId};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often what was counted is written.
const SETTLE: Duration = Duration::from_secs(1);
/// Writes between two looks at what the log has dropped.
const SETTLES_A_PRUNE: u32 = 3_600;
/// People looked up at once.
const STEP: usize = 1_000;
/// Records looked at for one page of deliveries.
const SCAN_MAX: usize = 5_000;
/// Records read for it at once.
const SCAN_STEP: usize = 200;
/// Points of one series.
const POINTS_MAX: i64 = 1_000;
/// Listed people shown of a delivery.
const USERS_SHOWN: usize = 20;

/// Which deliveries are wanted.
#[derive(Debug, Default)]
pub struct DeliveryFilter {
    /// `service:<id>` or `user:<id>`.
    pub sent_by: Option<String>,
    pub message_type: Option<String>,
    /// Only what people sent to everyone.
    pub announcements: bool,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    /// Text in the title, in small letters.
    pub q: Option<String>,
}

impl DeliveryFilter {
    fn takes(&self, posted: &Posted) -> bool {
        let message = &posted.message;
        let is_announcement = || posted.audience.everyone && posted.sent_by.starts_with("user:");
        (!self.announcements || is_announcement())
            && self.sent_by.as_ref().is_none_or(|by| *by == posted.sent_by)
            && self.message_type.as_ref().is_none_or(|wanted| *wanted == message.message_type)
            && self.since.is_none_or(|since| message.created_at >= since)
            && self.until.is_none_or(|until| message.created_at < until)
            && self.q.as_ref().is_none_or(|q| message.title.to_lowercase().contains(q))
    }
}

/// Reports on what was sent.
pub struct Reports {
    pub ledger: Arc<Ledger>,
    pub hub: Arc<Hub>,
    pub directory: Arc<Directory>,
    pub inboxes: Arc<Inboxes>,
    pub journal: Journal,
}

impl Reports {
    /// Writes down what was counted, until told to stop.
    pub async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        for settled in 1u32.. {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                () = tokio::time::sleep(SETTLE) => {}
            }
            let this = self.clone();
            let written =
                tokio::task::spawn_blocking(move || this.settle(settled % SETTLES_A_PRUNE == 0)).await;
            match written {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::error!(target: "hongyan::error", %error, "the counts for receipts could not be written; trying again");
                }
                Err(ended) if ended.is_panic() => {
                    tracing::error!(target: "hongyan::error", %ended, "the counting for receipts broke off; trying again");
                }
                Err(_) => break,
            }
        }
    }

    fn settle(&self, prune: bool) -> std::result::Result<(), LedgerError> {
        let log = self.journal.log();
        self.ledger.settle(&**log)?;
        if prune {
            self.ledger.forget_before(log.first()?)?;
        }
        Ok(())
    }

    /// How far a message has got. A sender sees their own, administrators all. Blocks on storage.
    pub fn receipts(&self, caller: &Caller, id: &MessageId) -> Result<Receipts> {
        let found = self.find(id, Some(caller))?;
        let posted = posted(&found)?;
        self.refresh(&posted.audience)?;
        self.totals(found.pos, posted)
    }

    /// One page of the people whom a message was for, with how far it has got with each: after one of them, by id.
    /// Without a caller anyone's message; else the caller's own.
    pub async fn recipients(
        &self,
        caller: Option<&Caller>,
        id: &MessageId,
        after: Option<&UserId>,
        size: usize,
    ) -> Result<ReceiptList> {
        let found = tokio::task::block_in_place(|| self.find(id, caller))?;
        let (pos, posted) = (found.pos, posted(&found)?);
        let (users, delivered) = tokio::task::block_in_place(|| -> Result<_> {
            self.refresh(&posted.audience)?;
            let users = self.directory.recipients(&posted.audience, pos, after, size + 1)?;
            let delivered = self.ledger.with(pos, users.iter().take(size))?;
            Ok((users, delivered))
        })?;
        let next = if users.len() > size { users.get(size - 1).cloned() } else { None };
        let mut recipients = Vec::with_capacity(delivered.len());
        for (user, delivered) in users.into_iter().zip(delivered) {
            let name = tokio::task::block_in_place(|| self.directory.person(&user))?;
            // Gone since.
            let Some(name) = name.map(|person| person.name.clone()) else { continue };
            let read_at = self.inboxes.read_at(&user, id).await?;
            let pressed = match posted.answer {
                _ if posted.message.actions.is_empty() => None,
                _ => tokio::task::block_in_place(|| self.directory.press(id, AnswerMode::Each, &user))?,
            };
            recipients.push(Receipt { user_id: user, name, delivered, read_at, pressed });
        }
        Ok(ReceiptList { recipients, next })
    }

    /// One message that was sent. Blocks on storage.
    pub fn delivery(&self, id: &MessageId) -> Result<Delivery> {
        let found = self.find(id, None)?;
        let posted = posted(&found)?;
        self.refresh(&posted.audience)?;
        self.told(found.pos, posted)
    }

    /// What was sent, the newest first, before a place in the log. Blocks on storage.
    pub fn deliveries(
        &self,
        filter: &DeliveryFilter,
        before: Option<Pos>,
        size: usize,
    ) -> Result<DeliveryList> {
        self.refresh(&Audience { everyone: true, ..Audience::default() })?;
        let mut before = before.unwrap_or(Pos::MAX);
        let mut deliveries = Vec::new();
        let mut seen = 0;
        while seen < SCAN_MAX {
            let records = self.journal.log().messages_before(before, SCAN_STEP)?;
            if records.is_empty() {
                return Ok(DeliveryList { deliveries, next: None });
            }
            seen += records.len();
            for logged in records {
                if deliveries.len() == size {
                    return Ok(DeliveryList { deliveries, next: Some(before) });
                }
                before = logged.pos;
                let posted = posted(&logged)?;
                if filter.takes(posted) {
                    deliveries.push(self.told(logged.pos, posted)?);
                }
            }
        }
        Ok(DeliveryList { deliveries, next: Some(before) })
    }

    /// What happened from one moment to another, one point a step. Blocks on storage.
    pub fn stats(&self, from: Timestamp, to: Timestamp, step: StatsStep) -> Result<Stats> {
        let width = match step {
            StatsStep::Hour => HOUR,
            StatsStep::Day => 24 * HOUR,
        };
        let begin = |at: Timestamp| at.millis().div_euclid(width);
        let (first, end) = (begin(from), begin(to.plus_millis(width - 1)));
        if end <= first {
            return Err(Error::field("from", "must be before to"));
        }
        if end - first > POINTS_MAX {
            let reason = format!("is too long before to: at most {POINTS_MAX} steps are given at once");
            return Err(Error::field("from", reason));
        }
        self.settle(false)?;
        let mut hours = self.ledger.hours(first * width, end * width)?.into_iter().peekable();
        let points = (first..end).map(|n| {
            let mut sum = counts::Hour::default();
            while let Some((_, hour)) = hours.next_if(|(at, _)| *at < (n + 1) * width) {
                sum.add(&hour);
            }
            let counts::Hour { messages, recipients, reads, presses, recalls, sign_ins } = sum;
            let at = Timestamp::from_millis(n * width);
            StatsPoint { at, messages, recipients, reads, presses, recalls, sign_ins }
        });
        let points = points.collect();
        let (online_users, online_devices) = self.hub.online();
        let now = StatsNow {
            users: self.directory.user_count(),
            online_users,
            online_devices,
            scheduled: self.directory.scheduled_count()?,
        };
        Ok(Stats { step, points, now })
    }

    /// The record of a message that the caller has sent; administrators and nobody in particular see all.
    fn find(&self, id: &MessageId, caller: Option<&Caller>) -> Result<Logged> {
        let missing = || Error::not_found("message of yours that the log still has");
        let found = self.journal.log().find(id)?.ok_or_else(missing)?;
        let is_theirs = caller.is_none_or(|caller| {
            matches!(caller, Caller::User(user) if user.is_admin())
                || matches!(&*found.record, Record::Message(posted) if posted.sent_by == caller.name())
        });
        if is_theirs { Ok(found) } else { Err(missing()) }
    }

    /// Brings the counts up to now, with how far those of an audience have got who are online.
    fn refresh(&self, audience: &Audience) -> Result<()> {
        for (user, pos) in self.hub.reached(audience) {
            self.ledger.reached(&user, pos);
        }
        Ok(self.settle(false)?)
    }

    fn totals(&self, pos: Pos, posted: &Posted) -> Result<Receipts> {
        let message = &posted.message;
        let (state, replaced_by) = match self.ledger.recalled(pos)? {
            Some(Some(by)) => (DeliveryState::Replaced, Some(by)),
            Some(None) => (DeliveryState::Recalled, None),
            None if message.expire_at.is_some_and(|at| at <= crate::clock::now()) => {
                (DeliveryState::Expired, None)
            }
            None => (DeliveryState::Sent, None),
        };
        let pressed = match message.actions.is_empty() {
            true => Vec::new(),
            false => self.directory.press_counts(&message.id)?,
        };
        Ok(Receipts {
            message_id: message.id.clone(),
            created_at: message.created_at,
            state,
            replaced_by,
            recipients: posted.recipients,
            delivered: self.delivered(&posted.audience, pos)?,
            read: self.ledger.reads(pos)?,
            pressed,
        })
    }

    /// How many of an audience have got what stands at a place.
    fn delivered(&self, audience: &Audience, pos: Pos) -> Result<u64> {
        if audience.everyone {
            return Ok(self.ledger.all_with(pos)?);
        }
        let count = |with: Vec<bool>| with.into_iter().filter(|with| *with).count() as u64;
        if audience.groups.is_empty() {
            return Ok(count(self.ledger.with(pos, audience.users.iter())?));
        }
        let (mut delivered, mut last) = (0, None);
        loop {
            let users = self.directory.recipients(audience, pos, last.as_ref(), STEP)?;
            delivered += count(self.ledger.with(pos, users.iter())?);
            if users.len() < STEP {
                return Ok(delivered);
            }
            last = users.into_iter().next_back();
        }
    }

    fn told(&self, pos: Pos, posted: &Posted) -> Result<Delivery> {
        let message = &posted.message;
        Ok(Delivery {
            receipts: self.totals(pos, posted)?,
            title: message.title.clone(),
            message_type: message.message_type.clone(),
            priority: message.priority,
            channel_id: message.channel_id.clone(),
            sender_info: message.sender_info.clone(),
            sent_by: posted.sent_by.clone(),
            to: sent_to(&posted.audience),
            expire_at: message.expire_at,
        })
    }
}

fn posted(logged: &Logged) -> Result<&Posted> {
    match &*logged.record {
        Record::Message(posted) => Ok(posted),
        _ => Err(Error::not_found("message")),
    }
}

fn sent_to(audience: &Audience) -> SentTo {
    let ids = |kind: GroupKind| {
        audience.groups.iter().filter(move |key| key.kind == kind).map(|key| key.id.as_str())
    };
    SentTo {
        all: audience.everyone,
        users: audience.users.iter().take(USERS_SHOWN).cloned().collect(),
        users_total: audience.users.len() as u64,
        roles: ids(GroupKind::Role).filter_map(|id| RoleId::new(id).ok()).collect(),
        departments: ids(GroupKind::Department).filter_map(|id| DepartmentId::new(id).ok()).collect(),
        channels: ids(GroupKind::Channel).filter_map(|id| ChannelId::new(id).ok()).collect(),
    }
}
