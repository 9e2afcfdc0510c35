//! Any other provider, from the configuration file: by its discovery document, or with every address by hand; what it says
//! of a person is found by paths.

use super::client::{self, Client};
use super::oidc::{Endpoints, Method, Oidc, Rules};
use super::{About, Attempt, Callback, Fault, Provider, Result, TokenInfo, UserInfo};
use crate::config::{ConfigError, Secret};
use async_trait::async_trait;
use hongyan_wire::account::ProviderKind;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

/// One `[[providers]]` of the configuration file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomSettings {
    /// 1 to 32 of `a-z 0-9 -`: its place in the paths.
    id: String,
    /// For people.
    name: String,
    kind: CustomKind,
    /// Where its discovery document is, and what its tokens say.
    issuer: Option<String>,
    /// By hand, where there is no discovery document.
    authorize_url: Option<String>,
    token_url: Option<String>,
    userinfo_url: Option<String>,
    jwks_url: Option<String>,
    client_id: String,
    client_secret: Option<Secret>,
    /// A file with nothing but the secret.
    client_secret_file: Option<PathBuf>,
    auth_method: Option<CustomMethod>,
    scopes: Option<Vec<String>>,
    #[serde(default)]
    extra_authorize_params: BTreeMap<String, String>,
    #[serde(default = "yes")]
    pkce: bool,
    #[serde(default = "yes")]
    use_nonce: bool,
    allowed_algs: Option<Vec<String>>,
    #[serde(default)]
    token_body: CustomBody,
    #[serde(default)]
    claims: Paths,
    /// What must be so of a person, by the paths of claims: who differs is not let in.
    #[serde(default)]
    require: BTreeMap<String, String>,
    clock_skew: Option<u64>,
    /// One more certificate to trust, PEM.
    ca_file: Option<PathBuf>,
    /// Whether addresses outside of this machine may be `http`.
    #[serde(default)]
    allow_http: bool,
}

impl CustomSettings {
    /// The file of its secret, where it has one.
    pub fn secret_file(&self) -> Option<&Path> {
        self.client_secret_file.as_deref()
    }

    /// Its secret, in the configuration file or in one of its own.
    pub fn secret(&self) -> Option<String> {
        match (&self.client_secret, &self.client_secret_file) {
            (Some(secret), _) => Some(secret.expose().to_owned()),
            // One that cannot be read is told of where the provider is made.
            (None, Some(path)) => std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned()),
            (None, None) => None,
        }
    }
}

fn yes() -> bool {
    true
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum CustomKind {
    Oidc,
    OAuth2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum CustomMethod {
    Basic,
    Post,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum CustomBody {
    #[default]
    Form,
    Json,
}

/// Where in its claims things are: names, or paths as `/data/user/id` (JSON Pointer, RFC 6901).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Paths {
    subject: String,
    username: String,
    email: String,
    email_verified: String,
    name: String,
    avatar: String,
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            subject: "sub".into(),
            username: "preferred_username".into(),
            email: "email".into(),
            email_verified: "email_verified".into(),
            name: "name".into(),
            avatar: "picture".into(),
        }
    }
}

struct Custom {
    about: About,
    oidc: Oidc,
    /// The issuer, where there is one; without it the provider's own id keeps its people apart from others.
    tenant: String,
    paths: Paths,
    require: BTreeMap<String, String>,
}

/// Makes a provider of its settings.
pub fn make(settings: &CustomSettings) -> Result<Arc<dyn Provider>, ConfigError> {
    let at = |name: &str| format!("providers.{}.{name}", settings.id);
    let is_id = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if settings.id.is_empty() || settings.id.len() > 32 || !settings.id.bytes().all(is_id) {
        return Err(ConfigError::new("providers.id", "must be 1 to 32 of a-z 0-9 -"));
    }
    let needed = |name: &str, value: &Option<String>| {
        let value = value.as_deref().ok_or_else(|| ConfigError::new(&at(name), "is missing"))?;
        client::address(&at(name), value, settings.allow_http)
    };
    let given = |name: &str, value: &Option<String>| {
        value.as_deref().map(|value| client::address(&at(name), value, settings.allow_http)).transpose()
    };
    let issuer = given("issuer", &settings.issuer)?;
    let is_oidc = settings.kind == CustomKind::Oidc;
    let rules = rules(settings)?;
    let client = Client::new(certificate(settings)?)?;
    let oidc = match (&issuer, &settings.authorize_url) {
        // As it is written: a slash at its end is a part of it.
        (Some(_), None) if is_oidc => {
            Oidc::discovered(client, settings.issuer.clone().unwrap_or_default(), rules)
        }
        _ => {
            let endpoints = Endpoints {
                issuer: if is_oidc { Some(needed("issuer", &settings.issuer)?) } else { None },
                authorize: needed("authorize_url", &settings.authorize_url)?,
                token: needed("token_url", &settings.token_url)?,
                userinfo: match is_oidc {
                    true => given("userinfo_url", &settings.userinfo_url)?,
                    false => Some(needed("userinfo_url", &settings.userinfo_url)?),
                },
                keys: if is_oidc { Some(needed("jwks_url", &settings.jwks_url)?) } else { None },
                says_issuer: false,
            };
            Oidc::told(client, endpoints, rules)
        }
    };
    let kind = if is_oidc { ProviderKind::Oidc } else { ProviderKind::OAuth2 };
    // Whoever runs it decides who has an account there.
    let about =
        About { id: settings.id.as_str().into(), name: settings.name.clone(), kind, is_public: false };
    let tenant = settings.issuer.clone().unwrap_or_default();
    let (paths, require) = (settings.claims.clone(), settings.require.clone());
    Ok(Arc::new(Custom { about, oidc, tenant, paths, require }))
}

fn rules(settings: &CustomSettings) -> Result<Rules, ConfigError> {
    let at = |name: &str| format!("providers.{}.{name}", settings.id);
    let secret = match (&settings.client_secret, &settings.client_secret_file) {
        (Some(_), Some(_)) => {
            return Err(ConfigError::new(&at("client_secret_file"), "is there beside client_secret"));
        }
        (Some(secret), None) => Some(secret.clone()),
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path);
            let text =
                text.map_err(|error| ConfigError::new(&at("client_secret_file"), &error.to_string()))?;
            Some(Secret::new(text.trim()))
        }
        (None, None) => None,
    };
    let scopes = settings.scopes.clone().unwrap_or_else(|| match settings.kind {
        CustomKind::Oidc => ["openid", "profile", "email"].map(str::to_owned).to_vec(),
        CustomKind::OAuth2 => Vec::new(),
    });
    let mut rules = Rules::new(settings.client_id.clone(), secret, scopes);
    match settings.auth_method {
        Some(CustomMethod::Basic) => rules.method = Method::Basic,
        Some(CustomMethod::Post) => rules.method = Method::Post,
        Some(CustomMethod::None) => rules.method = Method::None,
        None => {}
    }
    if rules.secret.is_none() && rules.method != Method::None {
        return Err(ConfigError::new(&at("client_secret"), "is missing"));
    }
    if let Some(names) = &settings.allowed_algs {
        let known =
            [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384];
        let known =
            known.into_iter().chain([Algorithm::PS512, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA]);
        let known: Vec<Algorithm> = known.collect();
        rules.algorithms = names
            .iter()
            .map(|name| Algorithm::from_str(name).ok().filter(|algorithm| known.contains(algorithm)))
            .collect::<Option<_>>()
            .ok_or_else(|| {
                ConfigError::new(&at("allowed_algs"), "must be of RS256 … PS512, ES256, ES384, EdDSA")
            })?;
    }
    rules.extra = settings.extra_authorize_params.clone().into_iter().collect();
    rules.pkce = settings.pkce;
    rules.nonce = settings.use_nonce;
    rules.json_body = settings.token_body == CustomBody::Json;
    rules.skew = settings.clock_skew.unwrap_or(rules.skew).min(600);
    Ok(rules)
}

fn certificate(settings: &CustomSettings) -> Result<Option<reqwest::Certificate>, ConfigError> {
    let Some(path) = &settings.ca_file else { return Ok(None) };
    let wrong = |reason: String| ConfigError::new(&format!("providers.{}.ca_file", settings.id), &reason);
    let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    reqwest::Certificate::from_pem(&pem).map(Some).map_err(|error| wrong(error.to_string()))
}

/// What a path finds.
fn find<'a>(claims: &'a Value, path: &str) -> &'a Value {
    match path.starts_with('/') {
        true => claims.pointer(path).unwrap_or(&Value::Null),
        false => &claims[path],
    }
}

/// A text or number that a path finds.
fn found(claims: &Value, path: &str) -> Option<String> {
    match find(claims, path) {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is) => Some(is.to_string()),
        _ => None,
    }
}

#[async_trait]
impl Provider for Custom {
    fn about(&self) -> &About {
        &self.about
    }

    fn tenant(&self) -> &str {
        &self.tenant
    }

    async fn auth_url(&self, attempt: &Attempt) -> Result<String> {
        self.oidc.auth_url(attempt).await
    }

    async fn exchange_code(&self, attempt: &Attempt, callback: &Callback) -> Result<TokenInfo> {
        self.oidc.exchange_code(attempt, callback).await
    }

    async fn validate_token(&self, attempt: &Attempt, token: TokenInfo) -> Result<TokenInfo> {
        self.oidc.validate_token(attempt, token).await
    }

    async fn user_info(&self, token: &TokenInfo) -> Result<UserInfo> {
        let claims = self.oidc.claims(token).await?;
        for (path, wanted) in &self.require {
            let has = |value: &Value| value.as_str().is_some_and(|text| text == wanted);
            let is_so = match find(&claims, path) {
                Value::Array(all) => all.iter().any(has),
                _ => found(&claims, path).as_ref() == Some(wanted),
            };
            if !is_so {
                return Err(Fault::NotAMember(path.clone()));
            }
        }
        let email = found(&claims, &self.paths.email);
        Ok(UserInfo {
            tenant: self.tenant.clone(),
            subject: found(&claims, &self.paths.subject).ok_or_else(|| Fault::Wrong("no subject".into()))?,
            before: None,
            username: found(&claims, &self.paths.username),
            name: found(&claims, &self.paths.name),
            // Nothing but `true` is true.
            email_verified: email.is_some() && *find(&claims, &self.paths.email_verified) == true,
            email,
            avatar: found(&claims, &self.paths.avatar),
        })
    }
}
