//! Who may send what to whom. A refusal names the permission that is missing.
//!
//! | who | to whom | what |
//! | --- | --- | --- |
//! | a user | listed people, the channels and departments they look after, in their own name | anything |
//! | an administrator | anyone, in their own name | anything |
//! | a personal token with `send:self` alone | its person | anything |
//! | a service | as its permissions say; see [`hongyan_wire::permission`] | as they say |

use crate::auth::Caller;
use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::log::record::{Audience, GroupKind};
use hongyan_wire::ChannelId;
use hongyan_wire::message::{SendMessageRequest, SenderType};
use hongyan_wire::permission::{Content, Permission};
use hongyan_wire::profile::Scope;
use hongyan_wire::template::TemplateCategory;
use smol_str::SmolStr;

/// Message types that begin so are system messages.
const SYSTEM_TYPE: &str = "system";

/// Of what category a message is: `system` by its type, whatever it is made from; else its template's.
pub fn category(template: Option<TemplateCategory>, message_type: &str) -> TemplateCategory {
    match message_type.starts_with(SYSTEM_TYPE) {
        true => TemplateCategory::System,
        false => template.unwrap_or(TemplateCategory::Business),
    }
}

/// Whether the caller may send this, whoever gets it.
pub fn content(caller: &Caller, request: &SendMessageRequest, category: TemplateCategory) -> Result<()> {
    match caller {
        Caller::User(_) if request.sender.is_some() || request.on_behalf_of.is_some() => {
            Err(missing(&Permission::OnBehalfOf))
        }
        Caller::User(_) => Ok(()),
        Caller::Service(known) => {
            // Shown as a person, or as the system, whoever it says it is.
            let shown_as = request.sender.as_ref().map(|sender| sender.sender_type);
            if request.on_behalf_of.is_some() || shown_as == Some(SenderType::User) {
                require(caller, &Permission::OnBehalfOf)?;
            }
            let category = match shown_as {
                Some(SenderType::System) => TemplateCategory::System,
                _ => category,
            };
            let message_type = request.message_type.as_deref().unwrap_or("text");
            match known.service.permissions.missing_for(Content { category, message_type }) {
                Some(permission) => Err(missing(&permission)),
                None => Ok(()),
            }
        }
    }
}

/// Whether the caller may send to these.
pub fn audience(caller: &Caller, audience: &Audience, directory: &Directory) -> Result<()> {
    if audience.everyone {
        require(caller, &Permission::ToAll)?;
    }
    if !audience.users.is_empty() && !is_oneself(caller, audience) {
        require(caller, &Permission::ToUsers)?;
    }
    for key in &audience.groups {
        let id = Some(key.id.clone());
        match key.kind {
            GroupKind::Channel => require(caller, &Permission::ToChannel(id))?,
            GroupKind::Role => require(caller, &Permission::ToRole(id))?,
            GroupKind::Department => {
                // To one is to those below it too.
                let chain = directory.department_chain(&key.id)?;
                if !chain.into_iter().any(|key| may(caller, &Permission::ToDepartment(Some(key.id)))) {
                    return Err(missing(&Permission::ToDepartment(id)));
                }
            }
        }
    }
    Ok(())
}

/// Whether it is for the person who calls and nobody else: the one audience of a token that allows `send:self`.
fn is_oneself(caller: &Caller, audience: &Audience) -> bool {
    matches!(caller, Caller::User(user) if audience.users.iter().all(|one| one == user.id()))
}

/// Whether the caller may see how far messages have got with each person.
pub fn recipients(caller: &Caller) -> Result<()> {
    require(caller, &Permission::SeeRecipients)
}

/// Whether the caller may have a message shown in a channel, whoever gets it.
pub fn channel(caller: &Caller, channel: &ChannelId) -> Result<()> {
    require(caller, &Permission::ToChannel(Some(channel.as_str().into())))
}

fn require(caller: &Caller, wanted: &Permission) -> Result<()> {
    if may(caller, wanted) { Ok(()) } else { Err(missing(wanted)) }
}

fn may(caller: &Caller, wanted: &Permission) -> bool {
    let user = match caller {
        Caller::Service(known) => return known.service.permissions.allows(wanted),
        Caller::User(user) => user,
    };
    let looks_after =
        |kind, id: &SmolStr| user.person.owns.iter().any(|key| key.kind == kind && key.id == *id);
    if !user.scopes.allows(Scope::Write) {
        return false;
    }
    user.is_admin()
        || match wanted {
            Permission::ToUsers => true,
            Permission::ToChannel(Some(id)) => looks_after(GroupKind::Channel, id),
            Permission::ToDepartment(Some(id)) => looks_after(GroupKind::Department, id),
            _ => false,
        }
}

fn missing(permission: &Permission) -> Error {
    Error::forbidden(&permission.to_string())
}
