//! What the reader has done here and the server has not confirmed: shown at once, sent in order, bounded.
//!
//! What always holds: one request is under way at a time, so the server sees the reader's wishes in the
//! order in which they were made; a wish is shown until the server's own state says what became of it.

use super::request::Request;
use hongyan_wire::api::{ReadBatchRequest, UnreadCount};
use hongyan_wire::limits::READ_BATCH_MAX;
use hongyan_wire::message::Message;
use hongyan_wire::{ChannelId, MessageId};
use std::collections::{HashMap, VecDeque};

/// Wishes kept; beyond it the oldest is given up.
pub const WISHES_MAX: usize = 1_000;

/// Something the reader wants to be so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    Mark {
        id: MessageId,
        is_read: bool,
    },
    /// Everything up to a place, or what of it is in a channel, is read.
    ReadAll {
        channel: Option<ChannelId>,
        until_pos: u64,
    },
}

#[derive(Debug, Default)]
pub struct Pending {
    waiting: VecDeque<Wish>,
    sent: Option<Vec<Wish>>,
    /// Done by the server, whose answer did not say what became of each message: that comes with the
    /// `sync` of this number.
    done: Vec<(u64, Wish)>,
}

impl Pending {
    pub fn restore(wishes: Vec<Wish>) -> Self {
        Self { waiting: wishes.into(), ..Self::default() }
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.sent.is_none() && self.done.is_empty()
    }

    /// All, oldest first.
    pub fn wishes(&self) -> impl DoubleEndedIterator<Item = &Wish> {
        let sent = self.sent.iter().flatten();
        self.done.iter().map(|(_, wish)| wish).chain(sent).chain(&self.waiting)
    }

    /// What was last wanted for a message by itself.
    pub fn last_wish(&self, wanted: &MessageId) -> Option<bool> {
        self.wishes().rev().find_map(|wish| match wish {
            Wish::Mark { id, is_read } if id == wanted => Some(*is_read),
            _ => None,
        })
    }

    pub fn push(&mut self, wish: Wish) {
        // What was wanted before for the same messages, and is not under way, has been thought better of.
        self.waiting.retain(|older| !wish.covers(older));
        self.waiting.push_back(wish);
        if self.waiting.len() > WISHES_MAX {
            self.waiting.pop_front();
        }
    }

    /// Whether something could be sent now.
    pub fn is_ready(&self) -> bool {
        self.sent.is_none() && !self.waiting.is_empty()
    }

    /// The next request; neighbouring reads go together.
    pub fn send_next(&mut self) -> Option<Request> {
        if self.sent.is_some() {
            return None;
        }
        let first = self.waiting.pop_front()?;
        let (wishes, asked) = match first {
            Wish::Mark { ref id, is_read: true } => {
                let mut ids = vec![id.clone()];
                let mut wishes = vec![first];
                while let Some(Wish::Mark { id, is_read: true }) = self.waiting.front()
                    && ids.len() < READ_BATCH_MAX
                {
                    ids.push(id.clone());
                    wishes.extend(self.waiting.pop_front());
                }
                let asked = match ids.as_slice() {
                    [id] => Request::Mark { id: id.clone(), is_read: true },
                    _ => Request::MarkMany(ReadBatchRequest { message_ids: Some(ids), ..Default::default() }),
                };
                (wishes, asked)
            }
            Wish::Mark { ref id, is_read } => {
                let asked = Request::Mark { id: id.clone(), is_read };
                (vec![first], asked)
            }
            Wish::ReadAll { ref channel, until_pos } => {
                let asked = ReadBatchRequest {
                    all: Some(true),
                    channel_id: channel.clone(),
                    until_pos: Some(until_pos),
                    ..Default::default()
                };
                (vec![first], Request::MarkMany(asked))
            }
        };
        self.sent = Some(wishes);
        Some(asked)
    }

    /// The server has answered with the new state, or refused: either way its state is what holds.
    pub fn settle(&mut self) {
        self.sent = None;
    }

    /// The server has done it without saying how the messages stand now.
    pub fn settle_with_sync(&mut self, number: u64) {
        if let Some(wishes) = self.sent.take() {
            self.done.extend(wishes.into_iter().map(|wish| (number, wish)));
        }
    }

    /// It was not heard whether the server did it: the same again later.
    pub fn take_back(&mut self) {
        if let Some(wishes) = self.sent.take() {
            for wish in wishes.into_iter().rev() {
                // Not if it has been thought better of meanwhile.
                if !self.waiting.iter().any(|newer| newer.covers(&wish)) {
                    self.waiting.push_front(wish);
                }
            }
        }
    }

    /// A `sync`, or a first page, that was begun with this number is complete.
    pub fn synced(&mut self, number: u64) {
        self.done.retain(|(wanted, _)| *wanted > number);
    }

    pub fn awaits_sync(&self) -> bool {
        !self.done.is_empty()
    }

    pub fn is_under_way(&self) -> bool {
        self.sent.is_some() || !self.done.is_empty()
    }

    /// Who wins for each message: the last wish.
    pub fn overlay(&self) -> Overlay<'_> {
        let mut overlay = Overlay::default();
        for (order, wish) in self.wishes().enumerate() {
            match wish {
                Wish::Mark { id, is_read } => {
                    overlay.marks.insert(id, (order, *is_read));
                }
                Wish::ReadAll { channel, until_pos } => {
                    overlay.alls.push((order, channel.as_ref(), *until_pos));
                }
            }
        }
        overlay
    }
}

impl Wish {
    /// Whether nothing is left of `older` once this is done after it.
    fn covers(&self, older: &Wish) -> bool {
        match (self, older) {
            (Wish::Mark { id, .. }, Wish::Mark { id: other, .. }) => id == other,
            (Wish::ReadAll { channel, until_pos }, Wish::ReadAll { channel: other, until_pos: before }) => {
                before <= until_pos && (channel.is_none() || channel == other)
            }
            _ => false,
        }
    }
}

/// The wishes, ready to be looked up message by message.
#[derive(Debug, Default)]
pub struct Overlay<'a> {
    marks: HashMap<&'a MessageId, (usize, bool)>,
    alls: Vec<(usize, Option<&'a ChannelId>, u64)>,
}

impl Overlay<'_> {
    /// How the message is shown.
    pub fn is_read(&self, message: &Message) -> bool {
        let mark = self.marks.get(&message.id).copied();
        let all = self.alls.iter().rev().find(|(_, channel, until)| {
            message.pos <= *until
                && channel.is_none_or(|channel| message.channel_id.as_ref() == Some(channel))
        });
        match (mark, all) {
            (Some((order, is_read)), Some((all, ..))) => order < *all || is_read,
            (Some((_, is_read)), None) => is_read,
            (None, Some(_)) => true,
            (None, None) => message.is_read,
        }
    }

    /// The counts as they are shown. Of messages that are not here, only a wish for all of them says anything.
    pub fn unread<'m>(
        &self,
        mut counts: UnreadCount,
        messages: impl Iterator<Item = &'m Message>,
    ) -> UnreadCount {
        if self.marks.is_empty() && self.alls.is_empty() {
            return counts;
        }
        let mut here = UnreadCount::default();
        for message in messages {
            let (was, is) = (!message.is_read, !self.is_read(message));
            let channel = message.channel_id.as_ref();
            if is {
                here.total += 1;
                if let Some(channel) = channel {
                    *here.by_channel.entry(channel.clone()).or_default() += 1;
                }
            }
            if was != is {
                let moved = |count: u64| if is { count + 1 } else { count.saturating_sub(1) };
                counts.total = moved(counts.total);
                if let Some(channel) = channel {
                    let count = counts.by_channel.entry(channel.clone()).or_default();
                    *count = moved(*count);
                }
            }
        }
        for (_, channel, _) in &self.alls {
            match channel {
                None => counts = here.clone(),
                Some(channel) => {
                    let left = here.by_channel.get(*channel).copied().unwrap_or(0);
                    if let Some(count) = counts.by_channel.get_mut(*channel) {
                        counts.total = counts.total.saturating_sub(count.saturating_sub(left));
                        *count = left;
                    }
                }
            }
        }
        counts.by_channel.retain(|_, count| *count > 0);
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> MessageId {
        MessageId::new(text).unwrap()
    }

    fn mark(text: &str, is_read: bool) -> Wish {
        Wish::Mark { id: id(text), is_read }
    }

    #[test]
    fn neighbouring_reads_go_together_and_the_order_of_wishes_is_kept() {
        let mut pending = Pending::default();
        for wish in [mark("a", true), mark("b", true), mark("c", false), mark("d", true)] {
            pending.push(wish);
        }
        let Some(Request::MarkMany(batch)) = pending.send_next() else { panic!("a batch") };
        assert_eq!(batch.message_ids.unwrap(), [id("a"), id("b")]);
        assert_eq!(pending.send_next(), None, "one at a time");
        pending.settle();
        assert_eq!(pending.send_next(), Some(Request::Mark { id: id("c"), is_read: false }));
        pending.settle();
        assert_eq!(pending.send_next(), Some(Request::Mark { id: id("d"), is_read: true }));
    }

    #[test]
    fn what_was_not_heard_is_said_again_unless_thought_better_of() {
        let mut pending = Pending::default();
        pending.push(mark("a", true));
        pending.push(mark("b", true));
        pending.send_next();
        pending.push(mark("a", false));
        pending.take_back();
        let wishes: Vec<_> = pending.wishes().cloned().collect();
        assert_eq!(wishes, [mark("b", true), mark("a", false)]);
    }

    #[test]
    fn wishes_are_bounded() {
        let mut pending = Pending::default();
        for number in 0..WISHES_MAX + 5 {
            pending.push(mark(&format!("m{number}"), true));
        }
        assert_eq!(pending.wishes().count(), WISHES_MAX);
        assert_eq!(pending.wishes().next(), Some(&mark("m5", true)));
    }
}
