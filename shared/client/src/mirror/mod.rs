//! The kept copy of what a client knows, so that it can begin where it ended.
//!
//! What always holds: the writes of one call are kept together or not at all; so a message is never kept
//! without the cursor that covers it going with it or staying behind it.

pub mod contract;

use crate::engine::counts::Counts;
use crate::engine::pending::Wish;
use hongyan_wire::message::Message;
use hongyan_wire::{Cursor, MessageId};
use std::collections::HashMap;
use std::sync::Arc;

/// One change of the kept copy.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    Put(Arc<Message>),
    Remove(MessageId),
    /// The place that the kept messages stand for.
    Place {
        cursor: Option<Cursor>,
        floor: u64,
        has_older: bool,
        counts: Counts,
    },
    /// What the reader did and the server has not confirmed; replaces what was kept of it.
    Wishes(Vec<Wish>),
    /// Forget everything but the wishes.
    Clear,
    /// Forget everything.
    Erase,
}

/// What was kept.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Kept {
    /// In no particular order.
    pub messages: Vec<Message>,
    pub cursor: Option<Cursor>,
    pub floor: u64,
    pub has_older: bool,
    pub counts: Counts,
    pub wishes: Vec<Wish>,
}

/// Where the copy is kept.
pub trait Mirror {
    type Error: std::fmt::Display;

    /// What is kept; `None` when nothing ever was, or it was erased.
    fn load(&mut self) -> Result<Option<Kept>, Self::Error>;

    /// Keeps these writes, in order, all or nothing.
    fn write(&mut self, writes: &[Write]) -> Result<(), Self::Error>;
}

/// A copy that lasts as long as the program.
#[derive(Debug, Default)]
pub struct Memory {
    messages: HashMap<MessageId, Arc<Message>>,
    /// All but the messages.
    rest: Option<Kept>,
}

impl Mirror for Memory {
    type Error = std::convert::Infallible;

    fn load(&mut self) -> Result<Option<Kept>, Self::Error> {
        let messages = || self.messages.values().map(|message| Message::clone(message)).collect();
        Ok(self.rest.clone().map(|rest| Kept { messages: messages(), ..rest }))
    }

    fn write(&mut self, writes: &[Write]) -> Result<(), Self::Error> {
        for write in writes {
            let rest = self.rest.get_or_insert_default();
            match write {
                Write::Put(message) => {
                    self.messages.insert(message.id.clone(), message.clone());
                }
                Write::Remove(id) => {
                    self.messages.remove(id);
                }
                Write::Place { cursor, floor, has_older, counts } => {
                    (rest.cursor, rest.floor, rest.has_older) = (*cursor, *floor, *has_older);
                    rest.counts = counts.clone();
                }
                Write::Wishes(wishes) => rest.wishes.clone_from(wishes),
                Write::Clear => {
                    self.messages.clear();
                    *rest = Kept { wishes: std::mem::take(&mut rest.wishes), ..Kept::default() };
                }
                Write::Erase => {
                    self.messages.clear();
                    self.rest = None;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Memory, contract};

    #[test]
    fn memory_keeps_the_contract() {
        contract::check(Memory::default(), |memory| memory);
    }
}
