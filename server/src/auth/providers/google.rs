//! Google (developers.google.com, "OpenID Connect"): OpenID Connect as it should be, with an old spelling of its issuer and a
//! claim for the organisation.

use super::oidc::{Method, Oidc, Rules};
use super::{About, Attempt, BuiltIn, Callback, Fault, Provider, Result, TokenInfo, UserInfo, text};
use crate::auth::providers::Client;
use crate::config::{ConfigError, ProviderSettings, Setting};
use async_trait::async_trait;
use hongyan_wire::account::ProviderKind;
use jsonwebtoken::Algorithm;
use std::sync::Arc;

const ISSUER: &str = "https://accounts.google.com";
/// As old tokens have it.
const OLD_ISSUER: &str = "accounts.google.com";

pub const BUILT_IN: BuiltIn = BuiltIn {
    settings: &[
        Setting { name: "GOOGLE_CLIENT_ID", default: "none", meaning: "Sign-in with Google, with the next." },
        Setting { name: "GOOGLE_CLIENT_SECRET", default: "none", meaning: "Its secret." },
        Setting { name: "GOOGLE_ISSUER", default: ISSUER, meaning: "Where its discovery document is." },
        Setting {
            name: "GOOGLE_HOSTED_DOMAIN",
            default: "none",
            meaning: "Only people of this Google Workspace organisation.",
        },
    ],
    make,
};

struct Google {
    about: About,
    oidc: Oidc,
    domain: Option<String>,
}

fn make(settings: &ProviderSettings) -> Result<Option<Arc<dyn Provider>>, ConfigError> {
    let Some((id, secret)) = settings.client("GOOGLE_CLIENT_ID", "GOOGLE_CLIENT_SECRET")? else { return Ok(None) };
    let issuer = settings.address("GOOGLE_ISSUER", ISSUER)?;
    let domain = settings.text("GOOGLE_HOSTED_DOMAIN").map(str::to_owned);
    let mut rules = Rules::new(id, Some(secret), vec!["openid".into(), "email".into(), "profile".into()]);
    rules.method = Method::Post;
    rules.algorithms = vec![Algorithm::RS256];
    rules.extra.extend(domain.iter().map(|domain| ("hd".to_owned(), domain.clone())));
    if issuer == ISSUER {
        rules.other_issuer = Some(OLD_ISSUER.into());
    }
    let about = About {
        id: "google".into(),
        name: "Google".into(),
        kind: ProviderKind::Google,
        is_public: domain.is_none(),
    };
    let oidc = Oidc::discovered(Client::new(None)?, issuer, rules);
    Ok(Some(Arc::new(Google { about, oidc, domain })))
}

#[async_trait]
impl Provider for Google {
    fn about(&self) -> &About {
        &self.about
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
        // The parameter `hd` is a hint only; the claim is signed.
        let is_theirs = |domain: &String| token.claims["hd"].as_str().is_some_and(|hd| hd.eq_ignore_ascii_case(domain));
        if self.domain.as_ref().is_some_and(|domain| !is_theirs(domain)) {
            return Err(Fault::NotAMember("hd".into()));
        }
        let claims = self.oidc.claims(token).await?;
        let email = text(&claims, "email");
        // Google answers for its own addresses and those of its organisations; any other was verified once, by a mail.
        let is_googles = |email: &String| email.to_ascii_lowercase().ends_with("@gmail.com");
        let answers_for = claims["hd"].is_string() || email.as_ref().is_some_and(is_googles);
        Ok(UserInfo {
            tenant: String::new(),
            subject: text(&claims, "sub").unwrap_or_default(),
            before: None,
            username: email.as_ref().and_then(|email| Some(email.split_once('@')?.0.to_owned())),
            name: text(&claims, "name"),
            email_verified: answers_for && email.is_some() && claims["email_verified"] == true,
            email,
            avatar: text(&claims, "picture"),
        })
    }
}
