//! Who people are at providers. Found by what the provider calls the subject and by nothing else: names and addresses
//! change, and anyone may claim them.

use super::{Accounts, is_address, own};
use crate::auth::Notice;
use crate::auth::providers::UserInfo;
use crate::auth::{Opening, SignedIn, UserCaller};
use crate::config::SignUp;
use crate::directory::StoredIdentity;
use crate::error::{Error, Result};
use crate::log::record::{Change, IdentityKey, IdentityLinked, Record, Subject, UserPut};
use hongyan_wire::UserId;
use hongyan_wire::admin::IdentityRequest;
use hongyan_wire::limits::{NAME_MAX, is_unshowable};
use hongyan_wire::profile::Identity;
use smol_str::SmolStr;

/// Identities of one person.
const IDENTITIES_MAX: usize = 20;
/// Names that are tried before one of ours is made.
const NAME_TRIES: u32 = 50;

/// Why someone whom a provider knows is not let in here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotLetIn {
    /// Nobody knows them, and strangers do not come in so.
    NotInvited,
    Disabled,
    /// Someone else here signs in so already.
    AlreadyLinked,
    /// The session that wanted it, or the link, is there no more.
    Over,
}

impl Accounts {
    /// Signs in who a provider says it is; who comes for the first time has an account from then on, where that is
    /// allowed.
    pub async fn sign_in(
        &self,
        provider: &str,
        info: UserInfo,
        opening: Opening,
    ) -> Result<Result<SignedIn, NotLetIn>> {
        let user = match self.known(provider, &info)? {
            Some(known) => {
                self.keep_fresh(&known, provider, &info).await?;
                known.user
            }
            None => match self.newcomer(provider, &info).await? {
                Ok(user) => user,
                Err(reason) => return Ok(Err(reason)),
            },
        };
        self.open(&user, opening).await
    }

    /// Whether an account at a provider may become one more way to sign in for a person.
    pub async fn link(&self, user: &UserId, provider: &str, info: UserInfo) -> Result<Result<(), NotLetIn>> {
        let _turn = self.administration.turn().await?;
        if self.directory.person(user)?.is_none_or(|person| person.disabled) {
            return Ok(Err(NotLetIn::Disabled));
        }
        match self.known(provider, &info)? {
            Some(known) if known.user == *user => return Ok(Ok(())),
            Some(_) => return Ok(Err(NotLetIn::AlreadyLinked)),
            None => {}
        }
        if self.directory.identities_of(user)?.len() >= IDENTITIES_MAX {
            return Err(Error::field("provider", "there are 20 identities already; unlink one first"));
        }
        let linked = linked(user, provider, &info, None)?;
        let linked = vec![Record::IdentityLinked(Box::new(own(user, linked)))];
        self.change_way(user, linked, Notice::Linked(provider)).await?;
        self.fetch_picture(user, &info);
        Ok(Ok(()))
    }

    /// Links an account at a provider to the person whose one-time link it is, which is used up by that, and signs in.
    pub async fn link_once(
        &self,
        user: &UserId,
        link_hash: &str,
        provider: &str,
        info: UserInfo,
        opening: Opening,
    ) -> Result<Result<SignedIn, NotLetIn>> {
        {
            let _turn = self.administration.turn().await?;
            let is_good =
                self.directory.link(link_hash, crate::clock::now())?.is_some_and(|(whose, _)| whose == *user);
            if !is_good {
                return Ok(Err(NotLetIn::Over));
            }
            if self.directory.person(user)?.is_none_or(|person| person.disabled) {
                return Ok(Err(NotLetIn::Disabled));
            }
            if self.known(provider, &info)?.is_some_and(|known| known.user != *user) {
                return Ok(Err(NotLetIn::AlreadyLinked));
            }
            let linked = linked(user, provider, &info, None)?;
            let linked = Record::IdentityLinked(Box::new(own(user, linked)));
            let used = Record::LinkUsed(own(user, user.clone()));
            self.change_way(user, vec![linked, used], Notice::Linked(provider)).await?;
        }
        self.fetch_picture(user, &info);
        self.open(user, opening).await
    }

    /// Takes a way to sign in away; not the last one.
    pub async fn unlink(&self, user: &UserId, id: &str) -> Result<()> {
        let _turn = self.administration.turn().await?;
        let identities = self.directory.identities_of(user)?;
        let identity = identities.iter().find(|identity| identity.about.id == id);
        let identity = identity.ok_or_else(|| Error::not_found("identity"))?;
        let person = self.directory.person(user)?.ok_or_else(|| Error::not_found("user"))?;
        let has_local = self.auth.has_local_login()
            && (person.has_password || !self.directory.passkeys_of(user)?.is_empty());
        if identities.len() == 1 && !has_local {
            return Err(Error::field(
                "id",
                "it is the last way to sign in; set a password or link another one first",
            ));
        }
        let key = IdentityKey { user: user.clone(), id: id.into() };
        let unlinked = vec![Record::IdentityUnlinked(Box::new(own(user, key)))];
        self.change_way(user, unlinked, Notice::Unlinked(&identity.about.provider)).await
    }

    /// Notes for an administrator who a user is at a provider.
    pub async fn add_identity(
        &self,
        actor: &UserCaller,
        user: &UserId,
        request: IdentityRequest,
    ) -> Result<Identity> {
        let IdentityRequest { provider, tenant, subject } = request;
        if subject.is_empty() || subject.len() > 255 || subject.contains(char::is_control) {
            return Err(Error::field("subject", "must be 1 to 255 characters"));
        }
        let _turn = self.administration.turn().await?;
        self.directory.person(user)?.ok_or_else(|| Error::not_found("user"))?;
        let info = UserInfo { tenant, subject, ..UserInfo::default() };
        match self.known(&provider, &info)? {
            Some(known) if known.user == *user => return Ok(known.about),
            Some(_) => return Err(Error::exists("identity", "subject")),
            None => {}
        }
        let linked = linked(user, &provider, &info, None)?;
        let (id, at) = (linked.id.clone(), crate::clock::now());
        let change = Change { actor: actor.id().as_str().into(), at, what: linked };
        self.change_way(user, vec![Record::IdentityLinked(Box::new(change))], Notice::Linked(&provider))
            .await?;
        let found = self.directory.identities_of(user)?.into_iter().find(|one| one.about.id == id);
        found.map(|one| one.about).ok_or_else(|| Error::not_found("identity"))
    }

    /// Unlinks an identity for an administrator, be it the last.
    pub async fn remove_identity(&self, actor: &UserCaller, user: &UserId, id: &str) -> Result<()> {
        let identities = self.directory.identities_of(user)?;
        let identity = identities.iter().find(|identity| identity.about.id == id);
        let identity = identity.ok_or_else(|| Error::not_found("identity"))?;
        let what = IdentityKey { user: user.clone(), id: id.into() };
        let change = Change { actor: actor.id().as_str().into(), at: crate::clock::now(), what };
        let unlinked = vec![Record::IdentityUnlinked(Box::new(change))];
        self.change_way(user, unlinked, Notice::Unlinked(&identity.about.provider)).await
    }

    async fn open(&self, user: &UserId, opening: Opening) -> Result<Result<SignedIn, NotLetIn>> {
        let person = self.directory.person(user)?.filter(|person| !person.disabled);
        match person {
            Some(person) => Ok(Ok(self.auth.open_session(&person, opening).await?)),
            None => Ok(Err(NotLetIn::Disabled)),
        }
    }

    fn known(&self, provider: &str, info: &UserInfo) -> Result<Option<StoredIdentity>> {
        if let Some(known) = self.directory.identity(&subject(provider, &info.tenant, &info.subject))? {
            return Ok(Some(known));
        }
        match &info.before {
            Some((tenant, before)) => Ok(self.directory.identity(&subject(provider, tenant, before))?),
            None => Ok(None),
        }
    }

    /// Brings what is shown of an identity up to date, and the subject under which it is known.
    async fn keep_fresh(&self, known: &StoredIdentity, provider: &str, info: &UserInfo) -> Result<()> {
        let mut fresh = linked(&known.user, provider, info, Some(known.about.id.as_str().into()))?;
        fresh.before = (known.subject != fresh.subject).then(|| known.subject.clone());
        fresh.is_update = true;
        let is_same =
            fresh.before.is_none() && known.about.name == fresh.name && known.about.email == fresh.email;
        if !is_same {
            self.journal.append_applied(Record::IdentityLinked(Box::new(own(&known.user, fresh)))).await?;
        }
        Ok(())
    }

    /// Makes an account for someone who comes for the first time.
    async fn newcomer(&self, provider: &str, info: &UserInfo) -> Result<Result<UserId, NotLetIn>> {
        let email = info.email.clone().filter(|email| info.email_verified && is_address(email));
        let is_let_in = match self.sign_up {
            SignUp::Open => true,
            SignUp::Domain => email.as_ref().is_some_and(|email| {
                let domain = email.rsplit_once('@').map_or("", |(_, domain)| domain);
                self.sign_up_domains.iter().any(|allowed| allowed.eq_ignore_ascii_case(domain))
            }),
            SignUp::Invitation | SignUp::Closed => false,
        };
        if !is_let_in {
            return Ok(Err(NotLetIn::NotInvited));
        }
        let _turn = self.administration.turn().await?;
        // Two windows may have come at once.
        if let Some(known) = self.known(provider, info)? {
            return Ok(Ok(known.user));
        }
        let user = UserId::new(&uuid::Uuid::now_v7().to_string()).map_err(Error::internal)?;
        let username = self.free_name(info, provider)?;
        let put = UserPut {
            id: user.clone(),
            name: info.name.as_deref().and_then(shown).unwrap_or_else(|| username.to_string()),
            username,
            email,
            password_hash: None,
            department: None,
            roles: None,
        };
        let linked = linked(&user, provider, info, None)?;
        let records =
            [Record::UsersPut(own(&user, vec![put])), Record::IdentityLinked(Box::new(own(&user, linked)))];
        self.journal.append_all_applied(records.into_iter().map(Into::into).collect()).await?;
        self.fetch_picture(&user, info);
        Ok(Ok(user))
    }

    /// A username that nobody has, like the one at the provider where that can be.
    fn free_name(&self, info: &UserInfo, provider: &str) -> Result<SmolStr> {
        let hint = info.username.as_deref().or(info.name.as_deref()).unwrap_or(provider);
        let hint: String =
            hint.chars().filter(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-')).take(40).collect();
        let hint = if hint.is_empty() { provider.to_owned() } else { hint };
        for n in 1..=NAME_TRIES {
            let name: SmolStr =
                if n == 1 { hint.as_str().into() } else { smol_str::format_smolstr!("{hint}-{n}") };
            if !self.means_something(&name)? {
                return Ok(name);
            }
        }
        Ok(smol_str::format_smolstr!("{provider}-{}", uuid::Uuid::now_v7().simple()))
    }
}

impl Accounts {
    /// Whether someone who sends to this name may mean another by it: a user, or a group. Whoever chooses their name
    /// elsewhere must not get what is for those.
    fn means_something(&self, name: &str) -> Result<bool> {
        Ok(self.directory.user_called(name)?.is_some() || self.directory.has_group_called(name)?)
    }
}

fn subject(provider: &str, tenant: &str, subject: &str) -> Subject {
    Subject { provider: provider.into(), tenant: tenant.into(), subject: subject.into() }
}

fn linked(user: &UserId, provider: &str, info: &UserInfo, id: Option<SmolStr>) -> Result<IdentityLinked> {
    let name = info.name.as_deref().or(info.username.as_deref()).and_then(shown);
    Ok(IdentityLinked {
        user: user.clone(),
        id: id.unwrap_or_else(|| smol_str::format_smolstr!("{}", uuid::Uuid::now_v7())),
        subject: subject(provider, &info.tenant, &info.subject),
        before: None,
        name: name.unwrap_or_else(|| info.subject.chars().take(NAME_MAX).collect()),
        email: info.email.clone().filter(|email| is_address(email)),
        is_update: false,
    })
}

/// A name of someone else's as it can be shown: in one line, not too long.
fn shown(name: &str) -> Option<String> {
    let clean: String = name.chars().filter(|c| !is_unshowable(*c)).take(NAME_MAX).collect();
    let clean = clean.trim().to_owned();
    (!clean.is_empty()).then_some(clean)
}
