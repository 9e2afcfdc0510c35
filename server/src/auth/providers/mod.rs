//! Signing in at someone else's: what every provider is asked for, in one small trait, and one file each. What a provider
//! gives is used while someone signs in and then dropped: no token of theirs is stored.

mod client;
mod custom;
mod oidc;

pub use client::{Client, address};
pub use custom::CustomSettings;

use crate::config::{ConfigError, ProviderSettings, Secret, Setting};
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hongyan_wire::account::ProviderKind;
use serde_json::Value;
use sha2::{Digest, Sha256};
use smol_str::SmolStr;
use std::sync::Arc;

/// A new provider is its file and its line here.
macro_rules! built_in {
    ($($provider:ident)*) => {
        $(mod $provider;)*
        /// The providers that have settings of their own.
        pub const BUILT_IN: &[BuiltIn] = &[$($provider::BUILT_IN),*];
    };
}

built_in! {
    github
    google
    wechat
    wecom
    dingtalk
}

/// A provider, where its settings are there.
type Made = Result<Option<Arc<dyn Provider>>, ConfigError>;

/// A provider with settings of its own.
pub struct BuiltIn {
    pub settings: &'static [Setting],
    /// Makes it where its settings are there.
    make: fn(&ProviderSettings) -> Made,
}

/// What people and pages know of a provider.
#[derive(Debug, Clone)]
pub struct About {
    /// As in the paths.
    pub id: SmolStr,
    pub name: String,
    pub kind: ProviderKind,
    /// Whether anyone in the world may have an account there.
    pub is_public: bool,
}

/// One attempt to sign in at a provider, as it is told of it.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// 32 letters and digits, which every provider gives back as they are.
    pub state: String,
    pub redirect_uri: String,
    /// Of PKCE (RFC 7636).
    pub verifier: Secret,
    /// Of OpenID Connect.
    pub nonce: String,
}

impl Attempt {
    /// The code challenge S256 of its verifier (RFC 7636, section 4.2).
    fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier.expose().as_bytes()))
    }
}

/// What a provider has sent the browser back with.
#[derive(Clone, Default)]
pub struct Callback {
    /// `code`, or what DingTalk calls `authCode`.
    pub code: String,
    /// Who says so (RFC 9207).
    pub iss: Option<String>,
}

/// What a provider gave for a code.
#[derive(Debug, Clone)]
pub struct TokenInfo {
    pub access_token: Secret,
    pub id_token: Option<Secret>,
    /// What is known of the person by the token itself, once it is checked.
    pub claims: Value,
}

/// A person, as a provider has them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UserInfo {
    /// Within what `subject` is unique; empty where the provider has one name space.
    pub tenant: String,
    /// What stays the same whatever the person changes. Never a name or an address.
    pub subject: String,
    /// Tenant and subject under which the person was known before the provider told these.
    pub before: Option<(String, String)>,
    /// A hint for a username here.
    pub username: Option<String>,
    pub name: Option<String>,
    pub email: Option<String>,
    /// Whether the provider says that the address is the person's.
    pub email_verified: bool,
    /// Where a picture is.
    pub avatar: Option<String>,
}

/// Why a provider did not let someone in. The words are for the log; they hold no secret and no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("the person declined")]
    Denied,
    #[error("the code is used or too old: {0}")]
    Expired(String),
    #[error("the provider cannot be reached: {0}")]
    Unreachable(String),
    #[error("the provider answered wrongly: {0}")]
    Wrong(String),
    #[error("the person is none of those who are let in: {0}")]
    NotAMember(String),
}

pub type Result<T, E = Fault> = std::result::Result<T, E>;

/// A provider: the four steps of the specification's `OAuthProvider`.
#[async_trait]
pub trait Provider: Send + Sync {
    fn about(&self) -> &About;

    /// Where the browser goes to sign in (`GetAuthURL`).
    async fn auth_url(&self, attempt: &Attempt) -> Result<String>;

    /// What the provider gives for the code (`ExchangeCode`). Never tried twice: a code is good once.
    async fn exchange_code(&self, attempt: &Attempt, callback: &Callback) -> Result<TokenInfo>;

    /// Checks that a token is good and was given to us (`ValidateToken`), as far as the provider lets one.
    async fn validate_token(&self, attempt: &Attempt, token: TokenInfo) -> Result<TokenInfo>;

    /// The tenant that [`Self::user_info`] gives, where there is but one.
    fn tenant(&self) -> &str {
        ""
    }

    /// A subject as [`Self::user_info`] gives it, of one that somebody has typed.
    fn subject(&self, typed: &str) -> String {
        typed.to_owned()
    }

    /// Who the person is (`GetUserInfo`).
    async fn user_info(&self, token: &TokenInfo) -> Result<UserInfo>;
}

/// The whole way from a code to a person.
pub async fn identify(provider: &dyn Provider, attempt: &Attempt, callback: &Callback) -> Result<UserInfo> {
    let token = provider.exchange_code(attempt, callback).await?;
    let token = provider.validate_token(attempt, token).await?;
    let info = provider.user_info(&token).await?;
    let fits = |text: &str, most: usize| text.len() <= most && !text.contains(char::is_control);
    if info.subject.is_empty() || !fits(&info.subject, 255) || !fits(&info.tenant, 255) {
        return Err(Fault::Wrong("no subject that can be used".into()));
    }
    Ok(info)
}

/// All providers whose settings are there, in the order in which they are shown.
pub fn all(settings: &ProviderSettings) -> Result<Vec<Arc<dyn Provider>>, ConfigError> {
    let mut providers: Vec<Arc<dyn Provider>> = Vec::new();
    for built_in in BUILT_IN {
        providers.extend((built_in.make)(settings)?);
    }
    for custom in &settings.custom {
        let provider = custom::make(custom)?;
        let id = &provider.about().id;
        let is_taken =
            providers.iter().any(|known| known.about().id == *id) || RESERVED.contains(&id.as_str());
        if is_taken {
            return Err(ConfigError::new("providers", &format!("the id `{id}` is taken")));
        }
        providers.push(provider);
    }
    Ok(providers)
}

/// What stands in the paths where a provider's id may stand.
const RESERVED: &[&str] = &[
    "local",
    "passkey",
    "passkeys",
    "link",
    "requests",
    "sessions",
    "tokens",
    "identities",
    "personal-token",
];

/// An address with parameters, in their order. Blanks are `%20`, which all providers take; some do not take `+`.
pub fn with_query(address: &str, parameters: &[(&str, &str)]) -> String {
    let mut url = address.to_owned();
    let mut separator = if address.contains('?') { '&' } else { '?' };
    for (name, value) in parameters {
        url.push(separator);
        url.push_str(name);
        url.push('=');
        url.push_str(&encoded(value));
        separator = '&';
    }
    url
}

/// A text as it stands in a form or a query.
fn encoded(text: &str) -> String {
    let encoded: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
    encoded.replace('+', "%20")
}

/// A text of an answer, if there is one.
fn text(value: &Value, name: &str) -> Option<String> {
    match &value[name] {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A provider's word for what is wrong, as it may stand in a log.
fn plain(word: &str) -> String {
    word.chars().filter(|c| c.is_ascii_graphic()).take(60).collect()
}

/// A number of an answer, which some write as a text.
fn number(value: &Value, name: &str) -> Option<i64> {
    value[name].as_i64().or_else(|| value[name].as_str()?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_written_once_and_without_plus() {
        let url =
            with_query("https://a.example/x", &[("scope", "a b"), ("redirect_uri", "https://b/?c=d&e")]);
        assert_eq!(url, "https://a.example/x?scope=a%20b&redirect_uri=https%3A%2F%2Fb%2F%3Fc%3Dd%26e");
        assert_eq!(with_query("https://a.example/?x=1", &[("y", "2")]), "https://a.example/?x=1&y=2");
    }

    #[test]
    fn a_challenge_is_that_of_the_specification() {
        // RFC 7636, appendix B.
        let verifier = Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        let attempt =
            Attempt { state: String::new(), redirect_uri: String::new(), verifier, nonce: String::new() };
        assert_eq!(attempt.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
