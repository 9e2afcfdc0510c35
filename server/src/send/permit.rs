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
use hongyan_wire::message::SendMessageRequest;
use hongyan_wire::permission::{Content, Permission, Permissions};
use hongyan_wire::template::TemplateCategory;

/// Message types that begin so are system messages, also without a template.
const SYSTEM_TYPE: &str = "system";

/// Of what category a message is: its template's; without one, by its type.
pub fn category(template: Option<TemplateCategory>, message_type: &str) -> TemplateCategory {
    template.unwrap_or(match message_type.starts_with(SYSTEM_TYPE) {
        true => TemplateCategory::System,
        false => TemplateCategory::Business,
    })
}

/// Whether the caller may send this, whoever gets it.
pub fn content(caller: &Caller, request: &SendMessageRequest, category: TemplateCategory) -> Result<()> {
    match caller {
        Caller::User(_) if request.sender.is_some() || request.on_behalf_of.is_some() => {
            Err(missing(&Permission::OnBehalfOf))
        }
        Caller::User(_) => Ok(()),
        Caller::Service(known) => {
            let held = &known.service.permissions;
            if request.on_behalf_of.is_some() {
                require(held, &Permission::OnBehalfOf)?;
            }
            let message_type = request.message_type.as_deref().unwrap_or("text");
            match held.missing_for(Content { category, message_type }) {
                Some(permission) => Err(missing(&permission)),
                None => Ok(()),
            }
        }
    }
}

/// Whether the caller may send to these.
pub fn audience(caller: &Caller, audience: &Audience) -> Result<()> {
    let person = Permissions(vec![Permission::ToUsers]);
    let held = match caller {
        Caller::User(user) if user.is_admin() => return Ok(()),
        Caller::User(_) => &person,
        Caller::Service(known) => &known.service.permissions,
    };
    if audience.everyone {
        require(held, &Permission::ToAll)?;
    }
    if !audience.users.is_empty() {
        require(held, &Permission::ToUsers)?;
    }
    for key in &audience.groups {
        let id = Some(key.id.clone());
        require(
            held,
            &match key.kind {
                GroupKind::Channel => Permission::ToChannel(id),
                GroupKind::Role => Permission::ToRole(id),
            },
        )?;
    }
    Ok(())
}

fn require(held: &Permissions, wanted: &Permission) -> Result<()> {
    if held.allows(wanted) { Ok(()) } else { Err(missing(wanted)) }
}

fn missing(permission: &Permission) -> Error {
    Error::forbidden(&permission.to_string())
}
