//! GitHub and GitHub Enterprise Server, OAuth Apps and GitHub Apps (GitHub Docs, "Authorizing OAuth apps").
//!
//! Errors of the token endpoint come with status 200, scopes with commas, and a user agent is wanted everywhere.

use super::client::{self, Client};
use super::{About, Attempt, BuiltIn, Callback, Fault, Provider, Result, TokenInfo, UserInfo, plain, text, with_query};
use crate::config::{ConfigError, ProviderSettings, Secret, Setting};
use async_trait::async_trait;
use hongyan_wire::account::ProviderKind;
use serde_json::{Value, json};
use std::sync::Arc;

pub const BUILT_IN: BuiltIn = BuiltIn {
    settings: &[
        Setting { name: "GITHUB_CLIENT_ID", default: "none", meaning: "Sign-in with GitHub, with the next." },
        Setting { name: "GITHUB_CLIENT_SECRET", default: "none", meaning: "Its secret." },
        Setting { name: "GITHUB_WEB_URL", default: "https://github.com", meaning: "Of GitHub Enterprise: `https://HOST`." },
        Setting {
            name: "GITHUB_API_URL",
            default: "https://api.github.com",
            meaning: "Of GitHub Enterprise: `https://HOST/api/v3`.",
        },
    ],
    make,
};

struct GitHub {
    about: About,
    id: String,
    secret: Secret,
    web: String,
    api: String,
    client: Client,
}

fn make(settings: &ProviderSettings) -> Result<Option<Arc<dyn Provider>>, ConfigError> {
    let Some((id, secret)) = settings.client("GITHUB_CLIENT_ID", "GITHUB_CLIENT_SECRET")? else { return Ok(None) };
    let about = About { id: "github".into(), name: "GitHub".into(), kind: ProviderKind::GitHub, is_public: true };
    let web = settings.address("GITHUB_WEB_URL", "https://github.com")?;
    let api = settings.address("GITHUB_API_URL", "https://api.github.com")?;
    Ok(Some(Arc::new(GitHub { about, id, secret, web, api, client: Client::new(None)? })))
}

impl GitHub {
    async fn ask(&self, path: &str, token: &TokenInfo) -> Result<(u16, Value)> {
        let request = self.client.get(&format!("{}{path}", self.api));
        let request = request.bearer_auth(token.access_token.expose());
        client::json(request.header("accept", "application/vnd.github+json")).await
    }

    /// The address that is the person's first and that GitHub has checked. Without the permission there is none.
    async fn email(&self, token: &TokenInfo) -> Option<String> {
        let (status, emails) = self.ask("/user/emails?per_page=100", token).await.ok()?;
        let is_good = |email: &&Value| email["primary"] == true && email["verified"] == true;
        let email = emails.as_array().filter(|_| status == 200)?.iter().find(is_good)?["email"].as_str()?;
        // Addresses that hide the person's own are no mailboxes.
        (!email.ends_with("@users.noreply.github.com")).then(|| email.to_owned())
    }
}

#[async_trait]
impl Provider for GitHub {
    fn about(&self) -> &About {
        &self.about
    }

    fn tenant(&self) -> &str {
        if self.web == "https://github.com" { "" } else { &self.web }
    }

    async fn auth_url(&self, attempt: &Attempt) -> Result<String> {
        let parameters = [
            ("client_id", self.id.as_str()),
            ("redirect_uri", &attempt.redirect_uri),
            ("scope", "read:user user:email"),
            ("state", &attempt.state),
            ("code_challenge", &attempt.challenge()),
            ("code_challenge_method", "S256"),
        ];
        Ok(with_query(&format!("{}/login/oauth/authorize", self.web), &parameters))
    }

    async fn exchange_code(&self, attempt: &Attempt, callback: &Callback) -> Result<TokenInfo> {
        let form = [
            ("client_id", self.id.as_str()),
            ("client_secret", self.secret.expose()),
            ("code", &callback.code),
            ("redirect_uri", &attempt.redirect_uri),
            ("code_verifier", attempt.verifier.expose()),
        ];
        let request = self.client.post(&format!("{}/login/oauth/access_token", self.web));
        let (status, answer) = client::json(request.header("accept", "application/json").form(&form)).await?;
        if let Some(error) = text(&answer, "error").map(|error| plain(&error)) {
            return Err(match error.as_str() {
                "bad_verification_code" => Fault::Expired(error),
                "unverified_user_email" => Fault::NotAMember(error),
                _ => Fault::Wrong(error),
            });
        }
        let token = text(&answer, "access_token");
        let token = token.ok_or_else(|| Fault::Wrong(format!("no access_token, status {status}")))?;
        Ok(TokenInfo { access_token: Secret::new(token), id_token: None, claims: Value::Null })
    }

    /// GitHub tells of a token whether this application was given it ("REST API endpoints for OAuth authorizations").
    async fn validate_token(&self, _: &Attempt, token: TokenInfo) -> Result<TokenInfo> {
        let request = self.client.post(&format!("{}/applications/{}/token", self.api, self.id));
        let request = request.basic_auth(&self.id, Some(self.secret.expose()));
        let body = json!({ "access_token": token.access_token.expose() });
        match client::send(request.header("accept", "application/vnd.github+json").json(&body)).await {
            Ok(answer) if answer.status == 404 || answer.status == 422 => {
                Err(Fault::Wrong(format!("the token is not ours, status {}", answer.status)))
            }
            // What it cannot tell now the next step shows: the token is asked with there.
            Ok(_) | Err(_) => Ok(token),
        }
    }

    async fn user_info(&self, token: &TokenInfo) -> Result<UserInfo> {
        let (status, user) = self.ask("/user", token).await?;
        if status != 200 {
            return Err(Fault::Wrong(format!("the user cannot be read, status {status}")));
        }
        let subject = user["id"].as_i64().ok_or_else(|| Fault::Wrong("the user has no numeric id".into()))?;
        let email = self.email(token).await;
        Ok(UserInfo {
            // Another GitHub has other people under the same numbers.
            tenant: self.tenant().to_owned(),
            subject: subject.to_string(),
            before: None,
            username: text(&user, "login"),
            name: text(&user, "name").or_else(|| text(&user, "login")),
            email_verified: email.is_some(),
            email,
            avatar: text(&user, "avatar_url"),
        })
    }
}
