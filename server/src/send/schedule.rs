//! Messages that wait for their time: seen, changed, taken back by who scheduled them, and sent when they
//! are due.

use super::{Gate, name_of};
use crate::auth::Caller;
use crate::directory::{Page, Window};
use crate::error::{Error, Result};
use crate::log::record::{Posted, Record, Scheduled, Unscheduled};
use crate::log::{Appended, Entry};
use hongyan_wire::message::{ScheduledMessage, SendAnswer, SendMessageRequest};
use hongyan_wire::{MessageId, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How often the clock is looked at: it may have been set, and what was scheduled meanwhile may be next.
const LOOK: Duration = Duration::from_millis(250);
/// Messages sent with one flush when many are due at once.
const RELEASED_AT_ONCE: usize = 500;

impl Gate {
    /// The caller's own scheduled messages, the next due first.
    pub fn scheduled(&self, caller: &Caller, window: &Window) -> Result<Page<ScheduledMessage>> {
        let page = self.directory.scheduled_by(&name_of(caller), window)?;
        Ok(Page { rows: page.rows.into_iter().map(shown).collect(), total: page.total })
    }

    /// One of them.
    pub fn scheduled_one(&self, caller: &Caller, id: &MessageId) -> Result<ScheduledMessage> {
        Ok(shown(self.own(caller, id)?))
    }

    /// Puts another message, or another time, in the place of one. It keeps its id.
    pub async fn reschedule(
        &self,
        caller: &Caller,
        id: &MessageId,
        request: Box<SendMessageRequest>,
    ) -> Result<SendAnswer> {
        let _turn = self.schedule.lock().await;
        self.own(caller, id)?;
        let now = crate::clock::now();
        if request.scheduled_at.is_none_or(|at| at <= now) {
            return Err(Error::field("scheduled_at", "must be in the future"));
        }
        let composed = self.compose(caller, request, id.clone(), now).await?;
        let answer = composed.answer();
        self.journal.append_applied(composed.into_record()).await?;
        Ok(answer)
    }

    /// Takes one back before it is sent.
    pub async fn unschedule(&self, caller: &Caller, id: &MessageId) -> Result<()> {
        let _turn = self.schedule.lock().await;
        self.own(caller, id)?;
        let unscheduled = Unscheduled { id: id.clone(), by: name_of(caller), at: crate::clock::now() };
        self.journal.append_applied(Record::Unscheduled(unscheduled)).await?;
        Ok(())
    }

    fn own(&self, caller: &Caller, id: &MessageId) -> Result<Scheduled> {
        let found = self.directory.scheduled(&name_of(caller), id)?;
        found.ok_or_else(|| Error::not_found("scheduled message"))
    }

    /// Sends what is due, some of it; gives whether there may be more.
    async fn release(&self, now: Timestamp) -> Result<bool> {
        let mut released = self.schedule.lock().await;
        // Only what is applied is not due any more.
        self.journal.applied(*released).await?;
        let directory = self.directory.clone();
        let due = tokio::task::spawn_blocking(move || directory.due(now, RELEASED_AT_ONCE)).await;
        let due = due.map_err(Error::internal)??;
        let is_full = due.len() == RELEASED_AT_ONCE;
        let records = due.into_iter().map(|scheduled| self.released(scheduled.posted, now));
        let entries = records.map(|record| record.map(Entry::from)).collect::<Result<Vec<_>>>()?;
        let mut failed = None;
        for appended in self.journal.append_all(entries).await {
            match appended {
                Ok(Appended::Written(pos)) => *released = pos,
                Ok(Appended::Repeated(_)) => {}
                Err(error) => failed = Some(error),
            }
        }
        self.journal.applied(*released).await?;
        failed.map_or(Ok(is_full), |error| Err(error.into()))
    }

    fn released(&self, posted: Posted, now: Timestamp) -> Result<Record> {
        if posted.message.expire_at.is_some_and(|at| at <= now) {
            let id = posted.message.id;
            return Ok(Record::Unscheduled(Unscheduled { id, by: "system".into(), at: now }));
        }
        let recipients = if posted.audience.everyone {
            self.directory.user_count()
        } else {
            self.directory.count_union(&posted.audience.users, &posted.audience.groups)?
        };
        let mut posted = Posted { recipients, was_scheduled: true, ..posted };
        posted.message.created_at = now;
        Ok(Record::Message(Box::new(posted)))
    }
}

fn shown(scheduled: Scheduled) -> ScheduledMessage {
    let Scheduled { due, posted } = scheduled;
    ScheduledMessage { scheduled_at: due, recipients: posted.recipients, message: posted.message }
}

/// Sends what is due, for as long as the server runs. Idle it looks at one number in memory.
pub struct Scheduler(pub Arc<Gate>);

impl Scheduler {
    /// Runs until told to stop.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                _ = ticks.tick() => {}
            }
            let now = crate::clock::now();
            if self.0.directory.next_due().is_none_or(|due| due > now) {
                continue;
            }
            loop {
                match self.0.release(now).await {
                    Ok(true) if !*stop.borrow() => {}
                    Ok(_) => break,
                    Err(error) => {
                        let reason = error.message;
                        tracing::error!(target: "hongyan::error", reason, "scheduled messages wait: they cannot be sent now");
                        break;
                    }
                }
            }
        }
    }
}
