//! What roles, channels and departments share: who is in them, who looks after them.

use super::{PageQuery, meta};
use crate::directory::Window;
use crate::error::{Error, Result};
use crate::http::AdminGateway;
use crate::http::envelope::Answer;
use crate::http::extract::{AdminCaller, id};
use crate::log::record::GroupKey;
use hongyan_wire::UserId;
use hongyan_wire::admin::UserList;
use hongyan_wire::api::Done;

/// Lets a user join or leave.
pub async fn set(
    gateway: &AdminGateway,
    caller: &AdminCaller,
    key: GroupKey,
    user: &str,
    joined: bool,
) -> Result<Answer<Done>> {
    let user: UserId = id(user, "user")?;
    gateway.administration.set_member(caller.name(), key, user, joined).await?;
    Ok(Answer::new(Done {}))
}

/// Lets a user look after it, or no more.
pub async fn set_owner(
    gateway: &AdminGateway,
    caller: &AdminCaller,
    key: GroupKey,
    user: &str,
    owns: bool,
) -> Result<Answer<Done>> {
    let user: UserId = id(user, "user")?;
    gateway.administration.set_owner(caller.name(), key, user, owns).await?;
    Ok(Answer::new(Done {}))
}

/// One page of the members, by id.
pub fn list(gateway: &AdminGateway, key: &GroupKey, query: PageQuery) -> Result<Answer<UserList>> {
    let window: Window = query.window()?;
    if gateway.directory.group(key)?.is_none() {
        return Err(Error::not_found(key.kind.as_str()));
    }
    let page = tokio::task::block_in_place(|| gateway.directory.members(key, &window))?;
    Ok(Answer { meta: meta(&window, page.total), data: UserList { users: page.rows, total: page.total } })
}
