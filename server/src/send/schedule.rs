//! Messages that wait for their time: seen, changed, taken back by who scheduled them, and sent when they
//! are due.

use super::Gate;
use crate::auth::Caller;
use crate::directory::{Page, Window};
use crate::error::{Error, Result};
use crate::log::Entry;
use crate::log::record::{Posted, Record, Scheduled, Unscheduled};
use hongyan_wire::message::{ScheduledMessage, SendAnswer, SendMessageRequest};
use hongyan_wire::{MessageId, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{MutexGuard, watch};

/// How often the clock is looked at: it may have been set, and what was scheduled meanwhile may be next.
const LOOK: Duration = Duration::from_millis(250);
/// Messages sent with one flush when many are due at once, and about how many people they list together.
const RELEASED_AT_ONCE: usize = 500;
const LISTED_AT_ONCE: usize = 200_000;

impl Gate {
    /// The caller's own scheduled messages, the next due first.
    pub async fn scheduled(&self, caller: &Caller, window: &Window) -> Result<Page<ScheduledMessage>> {
        // Who has just scheduled one sees it.
        self.journal.caught_up().await?;
        let page = tokio::task::block_in_place(|| self.directory.scheduled_by(&caller.name(), window))?;
        Ok(Page { rows: page.rows.into_iter().map(shown).collect(), total: page.total })
    }

    /// One of them.
    pub async fn scheduled_one(&self, caller: &Caller, id: &MessageId) -> Result<ScheduledMessage> {
        self.journal.caught_up().await?;
        Ok(shown(tokio::task::block_in_place(|| self.own(caller, id))?))
    }

    /// Puts another message, or another time, in the place of one. It keeps its id.
    pub async fn reschedule(
        &self,
        caller: &Caller,
        id: &MessageId,
        request: Box<SendMessageRequest>,
    ) -> Result<SendAnswer> {
        let _turn = self.schedule_turn().await?;
        self.own(caller, id)?;
        let now = crate::clock::now();
        if request.scheduled_at.is_none_or(|at| at <= now) {
            return Err(Error::field("scheduled_at", "must be in the future"));
        }
        let composed = self.compose(caller, request, id.clone(), now).await?;
        let answer = composed.answer();
        self.journal.append_applied(composed.into_entry()).await?;
        Ok(answer)
    }

    /// Takes one back before it is sent.
    pub async fn unschedule(&self, caller: &Caller, id: &MessageId) -> Result<()> {
        let _turn = self.schedule_turn().await?;
        self.own(caller, id)?;
        let unscheduled = Unscheduled { id: id.clone(), by: caller.name(), at: crate::clock::now() };
        self.journal.append_applied(Record::Unscheduled(unscheduled)).await?;
        Ok(())
    }

    fn own(&self, caller: &Caller, id: &MessageId) -> Result<Scheduled> {
        let found = self.directory.scheduled(&caller.name(), id)?;
        found.ok_or_else(|| Error::not_found("scheduled message"))
    }

    /// Sends what is due, some of it; gives whether there may be more.
    async fn release(self: &Arc<Self>, now: Timestamp) -> Result<bool> {
        let _turn = self.schedule_turn().await?;
        if self.pending.is_full() {
            return Err(Error::overloaded("the inboxes are behind"));
        }
        let gate = self.clone();
        let due = tokio::task::spawn_blocking(move || {
            let due = gate.directory.due(now, RELEASED_AT_ONCE)?;
            let is_full = due.len() == RELEASED_AT_ONCE;
            let posted = due.into_iter().map(|scheduled| scheduled.posted);
            let (threaded, plain): (Vec<_>, Vec<_>) =
                posted.partition(|posted| posted.message.thread_key.is_some());
            let mut listed = 0;
            let plain = plain.into_iter().take_while(|posted| {
                let fits = listed < LISTED_AT_ONCE;
                listed += posted.audience.users.len();
                fits
            });
            let entries = plain.map(|posted| gate.released(posted, now)).collect::<Result<Vec<_>>>()?;
            Ok::<_, Error>((entries, threaded, is_full || listed >= LISTED_AT_ONCE))
        });
        let (entries, threaded, is_full) = due.await.map_err(Error::internal)??;
        for posted in threaded {
            self.release_in_thread(posted, now).await?;
        }
        for appended in self.journal.append_all(entries).await {
            appended?;
        }
        Ok(is_full)
    }

    /// What a message that is due becomes.
    pub(super) fn released(&self, posted: Posted, now: Timestamp) -> Result<Entry> {
        if posted.message.expire_at.is_some_and(|at| at <= now) {
            let id = posted.message.id;
            return Ok(Record::Unscheduled(Unscheduled { id, by: "system".into(), at: now }).into());
        }
        let recipients = self.directory.count(&posted.audience)?;
        let mut posted = Posted { recipients, was_scheduled: true, ..posted };
        let message = &mut posted.message;
        message.created_at = now;
        // What was the last of the thread when it was scheduled need not be so any more.
        let replaces = message.replaces.take().filter(|_| message.thread_key.is_none());
        let earlier = self.earlier(&posted.sent_by, replaces.as_ref(), message.thread_key.as_deref())?;
        message.replaces = earlier.as_ref().map(|earlier| earlier.id.clone());
        let (id, by) = (message.id.clone(), posted.sent_by.clone());
        let recalled = earlier.map(|earlier| Box::new(earlier.recalled(Some(id), by, now)));
        let before = recalled.map(|recalled| Box::new(Record::Recalled(recalled)));
        Ok(Entry { before, ..Record::Message(Box::new(posted)).into() })
    }

    /// The turn of one who looks at what is scheduled and changes it: everything before has been applied.
    async fn schedule_turn(&self) -> Result<MutexGuard<'_, ()>> {
        let turn = self.schedule.lock().await;
        self.journal.caught_up().await?;
        Ok(turn)
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
                // In a task of its own: a panic in one release ends no later one.
                let gate = self.0.clone();
                match tokio::spawn(async move { gate.release(now).await }).await {
                    Ok(Ok(true)) if !*stop.borrow() => {}
                    Ok(Ok(_)) => break,
                    Ok(Err(Error { message: reason, .. })) => {
                        tracing::error!(target: "hongyan::error", reason, "scheduled messages wait: they cannot be sent now");
                        break;
                    }
                    Err(ended) => {
                        tracing::error!(target: "hongyan::error", %ended, "scheduled messages wait: sending them broke off");
                        break;
                    }
                }
            }
        }
    }
}
