//! Personal tokens: for scripts, with less than everything allowed.

use super::{Accounts, check_name, own};
use crate::auth::{Notice, UserCaller, secrets};
use crate::error::{Error, Result};
use crate::log::record::{Record, TokenMade};
use hongyan_wire::SessionId;
use hongyan_wire::profile::{NewToken, PersonalToken, TokenRequest};

/// Tokens of one person.
const TOKENS_MAX: usize = 50;
/// Longest life, in days.
const DAYS_MAX: u32 = 366;
const DAY: i64 = 86_400_000;

impl Accounts {
    /// Makes a token. Who makes one has just signed in: a session left open somewhere does not suffice.
    pub async fn make_token(&self, caller: &UserCaller, request: TokenRequest) -> Result<NewToken> {
        check_name("name", &request.name)?;
        if request.scopes.is_empty() {
            return Err(Error::field("scopes", "must have one of read, write, send:self"));
        }
        if request.expires_in_days.is_some_and(|days| !(1..=DAYS_MAX).contains(&days)) {
            return Err(Error::field("expires_in_days", "must be 1 to 366"));
        }
        self.auth.require_recent(caller)?;
        let now = crate::clock::now();
        if self.directory.tokens_of(caller.id(), now)?.len() >= TOKENS_MAX {
            return Err(Error::field("name", "there are 50 tokens already; end one first"));
        }
        let (token, prefix) = secrets::personal_token().map_err(Error::internal)?;
        let mut scopes = request.scopes;
        scopes.sort_unstable();
        scopes.dedup();
        let id = SessionId::new(&format!("token-{}", uuid::Uuid::now_v7())).map_err(Error::internal)?;
        let expires_at = request.expires_in_days.map(|days| now.plus_millis(i64::from(days) * DAY));
        let about = PersonalToken {
            id: id.clone(),
            name: request.name.clone(),
            scopes: scopes.clone(),
            created_at: now,
            expires_at,
        };
        let made = TokenMade {
            id,
            user: caller.id().clone(),
            name: request.name,
            scopes,
            prefix,
            hash: secrets::hash(&token),
            expires_at,
        };
        let _turn = self.turn_of_recent(caller).await?;
        let made = vec![Record::TokenMade(Box::new(own(caller.id(), made)))];
        self.change_way(caller.id(), made, Notice::TokenMade(&about.name)).await?;
        Ok(NewToken { token, about })
    }
}
