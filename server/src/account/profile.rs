//! What people say of themselves.

use super::{Accounts, check_name, own};
use crate::admin::is_address;
use crate::auth::UserCaller;
use crate::error::{Error, Result};
use crate::log::record::{ProfileChange, Record};
use hongyan_wire::profile::ProfileUpdate;

impl Accounts {
    /// Changes what is given of the caller's profile.
    pub async fn change_profile(&self, caller: &UserCaller, update: ProfileUpdate) -> Result<()> {
        if let Some(name) = &update.name {
            check_name("name", name)?;
        }
        if update.email.as_deref().is_some_and(|email| !email.is_empty() && !is_address(email)) {
            return Err(Error::field("email", "must be an e-mail address, or empty"));
        }
        let ProfileUpdate { name, email } = update;
        if name.is_none() && email.is_none() {
            return Ok(());
        }
        let name = name.map(|name| name.trim().to_owned());
        let what = ProfileChange { user: caller.id().clone(), name, email };
        self.journal.append_applied(Record::ProfileChanged(Box::new(own(caller.id(), what)))).await?;
        Ok(())
    }
}
