//! DingTalk (open.dingtalk.com, "实现登录第三方网站").
//!
//! The code is called `authCode`, the token call speaks JSON in another spelling than everyone, and the token goes into a
//! header of its own. The scope `openid` brings no identity token. Without a company anyone may sign in.

use super::client::{self, Client};
use super::{About, Attempt, BuiltIn, Callback, Fault, Provider, Result, TokenInfo, UserInfo, text, with_query};
use crate::config::{ConfigError, ProviderSettings, Secret, Setting};
use async_trait::async_trait;
use hongyan_wire::account::ProviderKind;
use serde_json::{Value, json};
use std::sync::Arc;

pub const BUILT_IN: BuiltIn = BuiltIn {
    settings: &[
        Setting { name: "DINGTALK_CLIENT_ID", default: "none", meaning: "Sign-in with DingTalk: the AppKey." },
        Setting { name: "DINGTALK_CLIENT_SECRET", default: "none", meaning: "Its AppSecret." },
        Setting { name: "DINGTALK_CORP_ID", default: "none", meaning: "Only people of this company." },
        Setting { name: "DINGTALK_LOGIN_URL", default: "https://login.dingtalk.com", meaning: "Where people sign in." },
        Setting { name: "DINGTALK_API_URL", default: "https://api.dingtalk.com", meaning: "Its API." },
    ],
    make,
};

struct DingTalk {
    about: About,
    id: String,
    secret: Secret,
    company: Option<String>,
    login: String,
    api: String,
    client: Client,
}

fn make(settings: &ProviderSettings) -> Result<Option<Arc<dyn Provider>>, ConfigError> {
    let Some((id, secret)) = settings.client("DINGTALK_CLIENT_ID", "DINGTALK_CLIENT_SECRET")? else { return Ok(None) };
    let company = settings.text("DINGTALK_CORP_ID").map(str::to_owned);
    let about = About {
        id: "dingtalk".into(),
        name: "钉钉".into(),
        kind: ProviderKind::DingTalk,
        is_public: company.is_none(),
    };
    let login = settings.address("DINGTALK_LOGIN_URL", "https://login.dingtalk.com")?;
    let api = settings.address("DINGTALK_API_URL", "https://api.dingtalk.com")?;
    Ok(Some(Arc::new(DingTalk { about, id, secret, company, login, api, client: Client::new(None)? })))
}

#[async_trait]
impl Provider for DingTalk {
    fn about(&self) -> &About {
        &self.about
    }

    async fn auth_url(&self, attempt: &Attempt) -> Result<String> {
        let scope = if self.company.is_some() { "openid corpid" } else { "openid" };
        let mut parameters = vec![
            ("client_id", self.id.as_str()),
            ("redirect_uri", &attempt.redirect_uri),
            ("response_type", "code"),
            ("scope", scope),
            ("prompt", "consent"),
            ("state", &attempt.state),
        ];
        // A hint, so that the person need not choose; what counts is the answer.
        parameters.extend(self.company.as_ref().map(|company| ("corpId", company.as_str())));
        Ok(with_query(&format!("{}/oauth2/auth", self.login), &parameters))
    }

    async fn exchange_code(&self, _: &Attempt, callback: &Callback) -> Result<TokenInfo> {
        let body = json!({
            "clientId": self.id,
            "clientSecret": self.secret.expose(),
            "code": callback.code,
            "grantType": "authorization_code",
        });
        let request = self.client.post(&format!("{}/v1.0/oauth2/userAccessToken", self.api));
        let (status, claims) = client::json(request.json(&body)).await?;
        match text(&claims, "accessToken") {
            Some(token) if status == 200 => {
                Ok(TokenInfo { access_token: Secret::new(token), id_token: None, claims })
            }
            _ => Err(fault(status, &claims)),
        }
    }

    /// To ask who it is shows whether a token is good; here, whether it is for the company that was meant.
    async fn validate_token(&self, _: &Attempt, token: TokenInfo) -> Result<TokenInfo> {
        let told = text(&token.claims, "corpId");
        match &self.company {
            Some(company) if told.as_ref() != Some(company) => Err(Fault::NotAMember("corpId".into())),
            _ => Ok(token),
        }
    }

    async fn user_info(&self, token: &TokenInfo) -> Result<UserInfo> {
        let request = self.client.get(&format!("{}/v1.0/contact/users/me", self.api));
        let request = request.header("x-acs-dingtalk-access-token", token.access_token.expose());
        let (status, user) = client::json(request).await?;
        if status != 200 {
            return Err(fault(status, &user));
        }
        if user["visitor"] == true {
            return Err(Fault::NotAMember("a visitor".into()));
        }
        let subject = text(&user, "unionId").ok_or_else(|| Fault::Wrong("no unionId".into()))?;
        Ok(UserInfo {
            subject,
            name: text(&user, "nick"),
            email: text(&user, "email"),
            avatar: text(&user, "avatarUrl"),
            ..UserInfo::default()
        })
    }
}

/// DingTalk says with a word what is wrong; its sentence may hold anything.
fn fault(status: u16, answer: &Value) -> Fault {
    let code: String = text(answer, "code").unwrap_or_default().chars().filter(char::is_ascii_graphic).take(60).collect();
    match status {
        429 | 500.. => Fault::Unreachable(format!("status {status} {code}")),
        400 if code.to_ascii_lowercase().contains("code") => Fault::Expired(code),
        _ => Fault::Wrong(format!("status {status} {code}")),
    }
}
