//! From `recipients` to an audience.

use crate::directory::Directory;
use crate::error::Result;
use crate::log::record::{Audience, GroupKey, GroupKind};
use hongyan_wire::message::{RecipientType, SendMessageRequest};
use hongyan_wire::{ChannelId, UserId};
use smol_str::SmolStr;
use std::borrow::Cow;
use std::collections::HashSet;

/// Who is meant.
#[derive(Debug, Default)]
pub struct Resolved {
    pub audience: Audience,
    /// How many people that is now.
    pub count: u64,
    /// Entries that are nobody.
    pub unknown: Vec<SmolStr>,
}

impl Audience {
    /// Whether no entry was found at all. A group without members is found.
    pub fn is_nobody(&self) -> bool {
        let Self { everyone, users, groups } = self;
        !everyone && users.is_empty() && groups.is_empty()
    }

    /// The channel, when the audience is exactly one.
    pub fn only_channel(&self) -> Option<ChannelId> {
        match (self.users.as_slice(), self.groups.as_slice()) {
            ([], [one]) if one.kind == GroupKind::Channel => ChannelId::new(&one.id).ok(),
            _ => None,
        }
    }
}

/// The entries of a request; a channel message without recipients goes to its own channel.
pub fn listed(request: &SendMessageRequest) -> Cow<'_, [SmolStr]> {
    match (request.recipient_type, &request.channel_id) {
        (Some(RecipientType::Channel), Some(channel)) if request.recipients.is_empty() => {
            vec![channel.as_str().into()].into()
        }
        _ => request.recipients.as_slice().into(),
    }
}

/// Looks every entry up; how many people they are is left to be counted. Blocks on storage for what is not
/// cached.
pub fn look_all_up(
    directory: &Directory,
    kind: Option<RecipientType>,
    recipients: Cow<'_, [SmolStr]>,
) -> Result<Resolved> {
    let mut resolved = Resolved::default();
    if kind == Some(RecipientType::All) {
        resolved.audience.everyone = true;
        return Ok(resolved);
    }
    let mut users = HashSet::new();
    let mut groups = HashSet::new();
    for entry in &*recipients {
        match look_up(directory, kind, entry)? {
            Some(Found::User(user)) => {
                if users.insert(user.clone()) {
                    resolved.audience.users.push(user);
                }
            }
            Some(Found::Group(key)) => {
                if groups.insert(key.clone()) {
                    resolved.audience.groups.push(key);
                }
            }
            None => resolved.unknown.push(entry.clone()),
        }
    }
    Ok(resolved)
}

enum Found {
    User(UserId),
    Group(GroupKey),
}

fn look_up(directory: &Directory, kind: Option<RecipientType>, entry: &SmolStr) -> Result<Option<Found>> {
    let as_user = || -> Result<Option<Found>> { Ok(directory.user_called(entry)?.map(Found::User)) };
    let as_group = |kind| -> Result<Option<Found>> {
        let key = GroupKey { kind, id: entry.clone() };
        Ok(directory.group(&key)?.map(|_| Found::Group(key)))
    };
    match kind {
        Some(RecipientType::User) => as_user(),
        Some(RecipientType::Role) => as_group(GroupKind::Role),
        Some(RecipientType::Channel) => as_group(GroupKind::Channel),
        Some(RecipientType::Department) => as_group(GroupKind::Department),
        Some(RecipientType::All) => Ok(None),
        None => {
            if let Some(user) = as_user()? {
                return Ok(Some(user));
            }
            match as_group(GroupKind::Role)? {
                Some(role) => Ok(Some(role)),
                None => as_group(GroupKind::Channel),
            }
        }
    }
}
