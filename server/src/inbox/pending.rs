//! What stands in the log and may not yet be in everyone's inbox: an index by addressee, in memory,
//! made anew from the log at each start. It says what an inbox must take in without reading the log, and
//! that there is nothing to take in without opening the inbox.

use crate::directory::Person;
use crate::log::record::{Audience, GroupKey, Record};
use crate::log::{Logged, Pos};
use hongyan_wire::UserId;
use parking_lot::RwLock;
use std::collections::HashMap;

/// Entries beyond which new sends are refused until the inboxes have caught up: about 400 MB.
const ENTRIES_MAX: usize = 4_000_000;

#[derive(Default)]
struct Index {
    /// Messages for listed users.
    messages: HashMap<UserId, Vec<Pos>>,
    /// Users' own changes.
    marks: HashMap<UserId, Vec<Pos>>,
    groups: HashMap<GroupKey, Vec<Pos>>,
    /// Messages for everyone.
    everyone: Vec<Pos>,
    /// Recalls of messages for groups, with the places of those: who has left since must hear of it too.
    recalls: HashMap<GroupKey, Vec<(Pos, Pos)>>,
    entries: usize,
}

/// The index. All its lists are in order.
#[derive(Default)]
pub struct Pending {
    index: RwLock<Index>,
}

/// Those whose inboxes may lack something.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Dirty {
    pub everyone: bool,
    pub groups: Vec<GroupKey>,
    pub users: Vec<UserId>,
}

impl Dirty {
    pub fn is_empty(&self) -> bool {
        !self.everyone && self.groups.is_empty() && self.users.is_empty()
    }
}

impl Pending {
    /// Notes records, given in order.
    pub fn note(&self, batch: &[Logged]) {
        let mut index = self.index.write();
        for logged in batch {
            match &*logged.record {
                Record::Message(posted) => index.note_message(&posted.audience, logged.pos),
                Record::Recalled(recalled) => {
                    index.note_message(&recalled.audience, logged.pos);
                    for key in &recalled.audience.groups {
                        index.recalls.entry(key.clone()).or_default().push((logged.pos, recalled.target));
                        index.entries += 1;
                    }
                }
                Record::Pressed(made) => index.note_message(&made.audience, logged.pos),
                Record::Marked(marked) => {
                    index.marks.entry(marked.user.clone()).or_default().push(logged.pos);
                    index.entries += 1;
                }
                // It brings both.
                Record::Restored(restored) => {
                    index.messages.entry(restored.user.clone()).or_default().push(logged.pos);
                    index.marks.entry(restored.user.clone()).or_default().push(logged.pos);
                    index.entries += 2;
                }
                _ => {}
            }
        }
    }

    /// Whether so much waits that nothing more should be taken.
    pub fn is_full(&self) -> bool {
        self.entries() >= ENTRIES_MAX
    }

    /// How many entries there are.
    pub fn entries(&self) -> usize {
        self.index.read().entries
    }

    /// The places of messages after `after` that are meant for a person, in order.
    pub fn messages_for(&self, person: &Person, after: Pos) -> Vec<Pos> {
        let index = self.index.read();
        let after = after.max(person.created_pos);
        let mut places: Vec<Pos> = Vec::new();
        if let Some(own) = index.messages.get(&person.id) {
            places.extend(later(own, after));
        }
        places.extend(later(&index.everyone, after));
        for membership in &person.memberships {
            if let Some(list) = index.groups.get(&membership.key) {
                let until = membership.to.unwrap_or(Pos::MAX);
                places.extend(later(list, after.max(membership.from)).iter().take_while(|pos| **pos < until));
            }
        }
        places.extend(index.recalls_for(person, after));
        places.sort_unstable();
        places.dedup();
        places
    }

    /// The places of a person's own changes after `after`, in order.
    pub fn marks_for(&self, user: &UserId, after: Pos) -> Vec<Pos> {
        let index = self.index.read();
        index.marks.get(user).map(|list| later(list, after).to_vec()).unwrap_or_default()
    }

    /// Whether anything at all is meant for a person after a place.
    pub fn anything_for(&self, person: &Person, after: Pos) -> bool {
        let index = self.index.read();
        let after_creation = after.max(person.created_pos);
        let ends_after = |list: Option<&Vec<Pos>>, after: Pos| {
            list.and_then(|list| list.last()).is_some_and(|last| *last > after)
        };
        ends_after(Some(&index.everyone), after_creation)
            || ends_after(index.messages.get(&person.id), after_creation)
            || ends_after(index.marks.get(&person.id), after)
            || index.recalls_for(person, after_creation).next().is_some()
            || person.memberships.iter().any(|membership| {
                let after = after_creation.max(membership.from);
                let until = membership.to.unwrap_or(Pos::MAX);
                let list = index.groups.get(&membership.key);
                list.is_some_and(|list| later(list, after).first().is_some_and(|pos| *pos < until))
            })
    }

    /// A person's inbox has everything up to here.
    pub fn forget_person(&self, user: &UserId, through: Pos) {
        let mut index = self.index.write();
        let Index { messages, marks, entries, .. } = &mut *index;
        for map in [messages, marks] {
            if let Some(list) = map.get_mut(user) {
                *entries -= drop_through(list, through);
                if list.is_empty() {
                    map.remove(user);
                }
            }
        }
    }

    /// All inboxes have everything up to here.
    pub fn forget_all(&self, through: Pos) {
        let mut index = self.index.write();
        let Index { messages, marks, groups, everyone, recalls, entries } = &mut *index;
        recalls.retain(|_, list| {
            let done = list.partition_point(|(pos, _)| *pos <= through);
            list.drain(..done);
            *entries -= done;
            !list.is_empty()
        });
        for map in [messages, marks] {
            map.retain(|_, list| {
                *entries -= drop_through(list, through);
                !list.is_empty()
            });
        }
        groups.retain(|_, list| {
            *entries -= drop_through(list, through);
            !list.is_empty()
        });
        *entries -= drop_through(everyone, through);
    }

    /// Whose inboxes may lack something at or before a place.
    pub fn dirty(&self, through: Pos) -> Dirty {
        let begins = |list: &Vec<Pos>| list.first().is_some_and(|first| *first <= through);
        let mut dirty = {
            let index = self.index.read();
            let lists = index.messages.iter().chain(&index.marks);
            let groups = index.groups.iter().filter(|(_, list)| begins(list));
            Dirty {
                everyone: begins(&index.everyone),
                groups: groups.map(|(key, _)| key.clone()).collect(),
                users: lists.filter(|(_, list)| begins(list)).map(|(user, _)| user.clone()).collect(),
            }
        };
        // Put in order without keeping others from the index.
        dirty.users.sort_unstable();
        dirty.users.dedup();
        dirty
    }
}

impl Index {
    /// Recalls of what a person got through groups that they have left since. Of the groups they are in, they hear
    /// as of messages.
    fn recalls_for(&self, person: &Person, after: Pos) -> impl Iterator<Item = Pos> {
        let ended = person.memberships.iter().filter(|membership| membership.to.is_some());
        ended.flat_map(move |membership| {
            let list = self.recalls.get(&membership.key).map_or(&[][..], Vec::as_slice);
            let start = list.partition_point(|(pos, _)| *pos <= after);
            let later = list.get(start..).unwrap_or_default().iter();
            later.filter(|(_, target)| membership.covers(*target)).map(|(pos, _)| *pos)
        })
    }

    fn note_message(&mut self, audience: &Audience, pos: Pos) {
        if audience.everyone {
            self.everyone.push(pos);
            self.entries += 1;
            return;
        }
        for user in &audience.users {
            self.messages.entry(user.clone()).or_default().push(pos);
        }
        for key in &audience.groups {
            self.groups.entry(key.clone()).or_default().push(pos);
        }
        self.entries += audience.users.len() + audience.groups.len();
    }
}

/// The part of an ordered list that lies after a place.
fn later(list: &[Pos], after: Pos) -> &[Pos] {
    let start = list.partition_point(|pos| *pos <= after);
    list.get(start..).unwrap_or_default()
}

fn drop_through(list: &mut Vec<Pos>, through: Pos) -> usize {
    let end = list.partition_point(|pos| *pos <= through);
    list.drain(..end);
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::Membership;
    use hongyan_wire::Timestamp;

    fn person(id: &str, created_pos: Pos, memberships: Vec<Membership>) -> Person {
        Person {
            id: UserId::new(id).unwrap(),
            username: id.into(),
            name: id.into(),
            email: None,
            department: None,
            disabled: false,
            has_password: false,
            avatar: None,
            tokens_since: Timestamp::default(),
            created_at: Timestamp::default(),
            created_pos,
            memberships,
            owns: Vec::new(),
        }
    }

    fn role(id: &str) -> GroupKey {
        GroupKey { kind: crate::log::record::GroupKind::Role, id: id.into() }
    }

    fn noted(audiences: Vec<Audience>) -> Pending {
        let pending = Pending::default();
        let mut index = pending.index.write();
        for (n, audience) in audiences.iter().enumerate() {
            index.note_message(audience, n as Pos + 1);
        }
        drop(index);
        pending
    }

    #[test]
    fn a_message_is_for_those_who_were_members_when_it_was_sent() {
        let ops = Audience { groups: vec![role("ops")], ..Audience::default() };
        let pending = noted(vec![ops.clone(), ops.clone(), ops.clone(), ops]);
        let joined_and_left = Membership { key: role("ops"), from: 1, to: Some(4) };
        assert_eq!(pending.messages_for(&person("a", 0, vec![joined_and_left.clone()]), 0), [2, 3]);
        let again = Membership { key: role("ops"), from: 4, to: None };
        let twice = person("a", 0, vec![joined_and_left, again]);
        assert_eq!(pending.messages_for(&twice, 0), [2, 3]);
        assert!(!pending.anything_for(&twice, 3));
    }

    #[test]
    fn a_message_that_reaches_someone_twice_is_one_and_newcomers_get_no_old_ones() {
        let a = UserId::new("a").unwrap();
        let both = Audience { users: vec![a.clone()], groups: vec![role("ops")], everyone: false };
        let all = Audience { everyone: true, ..Audience::default() };
        let pending = noted(vec![all.clone(), both, all]);
        let member = Membership { key: role("ops"), from: 0, to: None };
        assert_eq!(pending.messages_for(&person("a", 1, vec![member]), 0), [2, 3]);
        assert_eq!(pending.messages_for(&person("b", 2, vec![]), 0), [3]);
    }

    #[test]
    fn forgetting_keeps_the_count_of_entries() {
        let a = UserId::new("a").unwrap();
        let own = Audience { users: vec![a.clone()], ..Audience::default() };
        let all = Audience { everyone: true, ..Audience::default() };
        let pending = noted(vec![own.clone(), all, own]);
        assert_eq!(pending.entries(), 3);
        pending.forget_person(&a, 2);
        assert_eq!(pending.entries(), 2);
        assert_eq!(pending.dirty(2), Dirty { everyone: true, groups: vec![], users: vec![] });
        pending.forget_all(3);
        assert_eq!(pending.entries(), 0);
        assert!(pending.dirty(3).is_empty());
    }
}
