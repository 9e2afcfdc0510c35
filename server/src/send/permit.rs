//! Who may send what to whom. A refusal names the permission that is missing.
//!
//! | who | to whom | what |
//! | --- | --- | --- |
//! | a user | listed people, in their own name | anything |
//! | an administrator | anyone, in their own name | anything |
//! | a service | as its permissions say; see [`hongyan_wire::permission`] | as they say |

use crate::auth::Caller;
use crate::error::{Error, Result};
use crate::log::record::{Audience, GroupKind};
use hongyan_wire::ChannelId;
use hongyan_wire::message::SendMessageRequest;
use hongyan_wire::permission::{Content, Permission};
use hongyan_wire::template::TemplateCategory;

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
            if request.on_behalf_of.is_some() {
                require(caller, &Permission::OnBehalfOf)?;
            }
            let message_type = request.message_type.as_deref().unwrap_or("text");
            match known.service.permissions.missing_for(Content { category, message_type }) {
                Some(permission) => Err(missing(&permission)),
                None => Ok(()),
            }
        }
    }
}

/// Whether the caller may send to these.
pub fn audience(caller: &Caller, audience: &Audience) -> Result<()> {
    if audience.everyone {
        require(caller, &Permission::ToAll)?;
    }
    if !audience.users.is_empty() {
        require(caller, &Permission::ToUsers)?;
    }
    for key in &audience.groups {
        let id = Some(key.id.clone());
        require(
            caller,
            &match key.kind {
                GroupKind::Channel => Permission::ToChannel(id),
                GroupKind::Role => Permission::ToRole(id),
            },
        )?;
    }
    Ok(())
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
    let allowed = match caller {
        Caller::User(user) => user.is_admin() || *wanted == Permission::ToUsers,
        Caller::Service(known) => known.service.permissions.allows(wanted),
    };
    if allowed { Ok(()) } else { Err(missing(wanted)) }
}

fn missing(permission: &Permission) -> Error {
    Error::forbidden(&permission.to_string())
}
