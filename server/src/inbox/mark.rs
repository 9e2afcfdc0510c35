//! A person's own change: read and taken back.

use super::{InboxError, Inboxes, State};
use crate::log::Pos;
use crate::log::record::{Marked, Record};
use hongyan_wire::frame::StatusUpdate;
use hongyan_wire::{ChannelId, DeviceId, MessageId, UserId};
use std::sync::Arc;

/// Changes told one by one; a larger change tells the other devices to fetch it.
const UPDATES_MAX: usize = 64;

/// Messages marked with one record; a larger change is several.
const PLACES_MAX: usize = 10_000;

/// What is to be marked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MarkRequest {
    /// One message; an unknown one is an error.
    One { id: MessageId, is_read: bool, if_version: Option<u64> },
    /// Some messages as read; unknown ones are passed over.
    Some(Vec<MessageId>),
    /// All up to a place as read.
    Through { until_pos: Option<Pos>, channel: Option<ChannelId> },
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkOutcome {
    /// How many messages changed.
    pub changed: u64,
    /// The first of them, in the order of their new versions; see [`UPDATES_MAX`].
    pub updates: Vec<StatusUpdate>,
    /// The state of the one message that was asked for.
    pub state: State,
    pub unread_count: u64,
}

/// What a request comes to, once the inbox has been looked at.
enum Decision {
    /// Everything is already so: nothing is written.
    Nothing(MarkOutcome),
    Append {
        /// The person's last number before.
        before: u64,
        places: Vec<Pos>,
        is_read: bool,
    },
}

impl Inboxes {
    /// Makes a person's own change durable, applies it, and lets `tell` know before the next change of
    /// the same person: so other devices hear of changes in the order of their versions. `tell` gets nothing
    /// when a change is durable and could not be read back.
    ///
    /// Goes on to its end also when nobody waits for it any more: once it is durable, all must hear of it.
    pub async fn mark(
        self: &Arc<Self>,
        user: &UserId,
        device: Option<DeviceId>,
        request: MarkRequest,
        tell: impl FnOnce(Option<&MarkOutcome>) + Send + 'static,
    ) -> Result<MarkOutcome, InboxError> {
        let (this, user) = (self.clone(), user.clone());
        let marking = tokio::spawn(async move { this.mark_to_the_end(&user, device, request, tell).await });
        marking
            .await
            .map_err(|ended| if ended.is_panic() { InboxError::Panicked } else { InboxError::Stopping })?
    }

    async fn mark_to_the_end(
        self: &Arc<Self>,
        user: &UserId,
        device: Option<DeviceId>,
        request: MarkRequest,
        tell: impl FnOnce(Option<&MarkOutcome>),
    ) -> Result<MarkOutcome, InboxError> {
        let _one_at_a_time = self.marks.turn(user).await;
        let asked = request.clone();
        let (before, places, is_read) = match self.access(user, move |inbox| decide(inbox, &asked)).await? {
            Decision::Nothing(outcome) => return Ok(outcome),
            Decision::Append { before, places, is_read } => (before, places, is_read),
        };
        let at = self.clock.now();
        let marked = |part: &[Pos]| Marked {
            user: user.clone(),
            places: part.to_vec(),
            is_read,
            device: device.clone(),
            at,
        };
        let parts = places.chunks(PLACES_MAX).map(|part| Record::Marked(marked(part)).into());
        let appended = self.journal.append_all(parts.collect()).await;
        let some = appended.iter().any(Result::is_ok);
        if let Some(error) = appended.into_iter().find_map(Result::err) {
            if some {
                tell(None);
            }
            return Err(error.into());
        }
        let outcome = self
            .access(user, move |inbox| {
                let state = match &request {
                    MarkRequest::One { id, .. } => inbox.state(id)?.map(|(_, state)| state),
                    _ => None,
                };
                Ok(MarkOutcome {
                    changed: inbox.version().saturating_sub(before),
                    updates: inbox.updates_after(before, UPDATES_MAX)?,
                    state: state.unwrap_or_default(),
                    unread_count: inbox.unread_total(),
                })
            })
            .await;
        tell(outcome.as_ref().ok());
        outcome
    }
}

fn decide(inbox: &super::Inbox, request: &MarkRequest) -> Result<Decision, InboxError> {
    let nothing =
        |state| MarkOutcome { changed: 0, updates: Vec::new(), state, unread_count: inbox.unread_total() };
    let append = |places, is_read| Ok(Decision::Append { before: inbox.version(), places, is_read });
    match request {
        MarkRequest::One { id, is_read, if_version } => {
            let (pos, state) = inbox.state(id)?.ok_or(InboxError::NoMessage)?;
            if if_version.is_some_and(|version| version != state.version) {
                return Err(InboxError::Moved(state));
            }
            if state.is_read == *is_read {
                return Ok(Decision::Nothing(nothing(state)));
            }
            append(vec![pos], *is_read)
        }
        MarkRequest::Some(ids) => {
            let mut places = Vec::new();
            for id in ids {
                if let Some((pos, state)) = inbox.state(id)?
                    && !state.is_read
                {
                    places.push(pos);
                }
            }
            places.sort_unstable();
            places.dedup();
            if places.is_empty() {
                return Ok(Decision::Nothing(nothing(State::default())));
            }
            append(places, true)
        }
        MarkRequest::Through { until_pos, channel } => {
            // Without a place it means what is there now, not what arrives while the record is written.
            let until_pos = until_pos.unwrap_or(Pos::MAX).min(inbox.seen());
            let places = inbox.unread_places(until_pos, channel.as_ref())?;
            if places.is_empty() {
                return Ok(Decision::Nothing(nothing(State::default())));
            }
            append(places, true)
        }
    }
}
