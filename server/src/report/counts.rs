//! The fold: what records add to the counts. No clock: hours are those of the records.

use crate::log::record::Record;
use crate::log::{Logged, Pos};
use hongyan_wire::{MessageId, Timestamp, UserId};
use std::collections::HashMap;

/// Milliseconds.
pub const HOUR: i64 = 60 * 60 * 1000;

/// Someone who came or went.
#[derive(Debug)]
pub enum Change {
    Came(UserId, Pos),
    Gone(UserId),
}

/// What happened in an hour.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Hour {
    pub messages: u64,
    pub recipients: u64,
    pub reads: u64,
    pub presses: u64,
    pub recalls: u64,
    pub sign_ins: u64,
}

impl Hour {
    pub fn add(&mut self, other: &Self) {
        self.messages += other.messages;
        self.recipients += other.recipients;
        self.reads += other.reads;
        self.presses += other.presses;
        self.recalls += other.recalls;
        self.sign_ins += other.sign_ins;
    }
}

/// What some records in a row add.
#[derive(Debug, Default)]
pub struct Counts {
    pub people: Vec<Change>,
    /// By the places of messages.
    pub reads: HashMap<Pos, i64>,
    pub recalled: Vec<(Pos, Option<MessageId>)>,
    /// Furthest places that people have shown to know.
    pub reached: HashMap<UserId, Pos>,
    /// By the milliseconds since 1970 at which they begin.
    pub hours: HashMap<i64, Hour>,
}

impl Counts {
    pub fn take_in(&mut self, logged: &Logged) {
        match &*logged.record {
            Record::Message(posted) => {
                let hour = self.hour(posted.message.created_at);
                hour.messages += 1;
                hour.recipients += posted.recipients;
            }
            Record::Marked(marked) => {
                let by = if marked.is_read { 1 } else { -1 };
                for place in &marked.places {
                    *self.reads.entry(*place).or_default() += by;
                }
                if let Some(last) = marked.places.iter().max() {
                    self.reach(&marked.user, *last);
                }
                if marked.is_read {
                    self.hour(marked.at).reads += marked.places.len() as u64;
                }
            }
            Record::Pressed(made) => {
                self.reach(&made.pressed.by, made.target);
                self.hour(made.pressed.at).presses += 1;
            }
            Record::Recalled(recalled) => {
                self.recalled.push((recalled.target, recalled.replaced_by.clone()));
                self.hour(recalled.at).recalls += 1;
            }
            Record::SessionOpened(opened) => self.hour(opened.at).sign_ins += 1,
            Record::UsersPut(change) => {
                self.people.extend(change.what.iter().map(|put| Change::Came(put.id.clone(), logged.pos)));
            }
            Record::UserDeleted(change) => self.people.push(Change::Gone(change.what.clone())),
            _ => {}
        }
    }

    /// A person has got everything up to a place.
    pub fn reach(&mut self, user: &UserId, pos: Pos) {
        match self.reached.get_mut(user) {
            Some(known) => *known = pos.max(*known),
            None => {
                self.reached.insert(user.clone(), pos);
            }
        }
    }

    fn hour(&mut self, at: Timestamp) -> &mut Hour {
        let millis = at.millis();
        self.hours.entry(millis - millis.rem_euclid(HOUR)).or_default()
    }
}
