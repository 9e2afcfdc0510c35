//! Passwords: changed by whoever knows the one before, set anew by a one-time link that an administrator has made.

use super::{Accounts, own};
use crate::auth::{Notice, UserCaller, Visitor, secrets};
use crate::error::{Error, Result};
use crate::log::record::{Change, LinkMade, PasswordSet, Record, Sealed};
use hongyan_wire::limits::is_password;
use hongyan_wire::profile::{LinkInfo, PasswordChange};
use hongyan_wire::{Timestamp, UserId};
use smol_str::SmolStr;

impl Accounts {
    /// Changes the caller's password. All other sessions, and the personal tokens, end.
    pub async fn change_password(
        &self,
        caller: &UserCaller,
        change: PasswordChange,
        visitor: Visitor,
    ) -> Result<()> {
        check("new", &change.new)?;
        let before = self.directory.password_hash(caller.id())?;
        match (caller.person.has_password, change.current) {
            (true, Some(current)) => self.auth.check_own_password(caller, current, visitor).await?,
            (true, None) => return Err(Error::field("current", "is missing")),
            (false, _) => self.auth.require_recent(caller)?,
        }
        let user = caller.id();
        let set = self.password_set(user, change.new).await?;
        let _turn = self.auth.turn_of(user).await;
        self.auth.bearer(caller.claims.clone())?;
        if self.directory.password_hash(user)? != before {
            return Err(Error::unauthenticated("the password was changed meanwhile"));
        }
        let ended = self.auth.ending(user, caller.claims.session_id.as_ref())?;
        self.change_way(user, vec![set, ended], Notice::PasswordSet).await
    }

    /// Makes a link with which a person can set a password, or link an account at a provider, once. Gives its token.
    pub async fn make_link(&self, actor: &UserCaller, user: &UserId, until: Timestamp) -> Result<String> {
        let token = secrets::random::<32>().map_err(Error::internal)?;
        self.directory.person(user)?.ok_or_else(|| Error::not_found("user"))?;
        let what = LinkMade { user: user.clone(), hash: secrets::hash(&token), until };
        let change = Change { actor: actor.id().as_str().into(), at: crate::clock::now(), what };
        self.journal.append_applied(Record::LinkMade(Box::new(change))).await?;
        Ok(token)
    }

    /// Whose a one-time link is.
    pub fn link_info(&self, token: &str) -> Result<LinkInfo> {
        let (user, expires_at, _) = self.whose_link(token)?;
        let person = self.directory.person(&user)?.ok_or_else(no_link)?;
        Ok(LinkInfo { username: person.username.to_string(), name: person.name.clone(), expires_at })
    }

    /// The person whose one-time link it is, until when, and the link's hash.
    pub fn whose_link(&self, token: &str) -> Result<(UserId, Timestamp, SmolStr)> {
        let hash = secrets::hash(token);
        let (user, until) = self.directory.link(&hash, crate::clock::now())?.ok_or_else(no_link)?;
        let is_there = self.directory.person(&user)?.is_some_and(|person| !person.disabled);
        if is_there { Ok((user, until, hash)) } else { Err(no_link()) }
    }

    /// Sets a password by a one-time link, which is used up by that. All sessions and personal tokens end; a second
    /// factor stays.
    pub async fn set_password(&self, token: &str, password: String) -> Result<()> {
        check("password", &password)?;
        if !self.auth.has_local_login() {
            return Err(Error::forbidden("local_login"));
        }
        let (user, ..) = self.whose_link(token)?;
        let set = self.password_set(&user, password).await?;
        let _turn = self.administration.turn().await?;
        // Somebody else may have used it meanwhile.
        self.whose_link(token)?;
        let _turn_of_user = self.auth.turn_of(&user).await;
        let used = Record::LinkUsed(own(&user, user.clone()));
        let ended = self.auth.ending(&user, None)?;
        self.change_way(&user, vec![set, used, ended], Notice::PasswordSet).await?;
        tracing::info!(target: "hongyan::security", %user, "a password was set by a one-time link");
        Ok(())
    }

    async fn password_set(&self, user: &UserId, password: String) -> Result<Record> {
        let hash = Sealed(self.auth.passwords.hash(password).await?);
        Ok(Record::PasswordSet(Box::new(own(user, PasswordSet { user: user.clone(), hash }))))
    }
}

fn check(field: &str, password: &str) -> Result<()> {
    let wrong = || Error::field(field, "must have at least 8 characters, and at most 256 bytes");
    if is_password(password) { Ok(()) } else { Err(wrong()) }
}

fn no_link() -> Error {
    Error::not_found("link; it was used, or it has expired")
}
