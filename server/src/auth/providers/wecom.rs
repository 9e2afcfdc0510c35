//! WeCom, an application of one's own in the browser (developer.work.weixin.qq.com, "企业微信Web登录").
//!
//! The code is not exchanged: one asks with the application's own token whose it is. That token is the same for everyone and
//! must be fetched seldom. Someone from outside the company is answered as if all were well, but without a `userid`.

use super::client::{self, Client};
use super::{
    About, Attempt, BuiltIn, Callback, Fault, Provider, Result, TokenInfo, UserInfo, number, text, with_query,
};
use crate::config::{ConfigError, ProviderSettings, Secret, Setting};
use async_trait::async_trait;
use hongyan_wire::account::ProviderKind;
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// How long before its end the application's token is fetched anew.
const EARLY: Duration = Duration::from_secs(300);
/// How long it is not asked again for a token that could not be had.
const FAILURE_PAUSE: Duration = Duration::from_secs(2);
/// A status of members: others are disabled, not activated or have left.
const ACTIVE: i64 = 1;

pub const BUILT_IN: BuiltIn = BuiltIn {
    settings: &[
        Setting { name: "WECOM_CLIENT_ID", default: "none", meaning: "Sign-in with WeCom: the company's CorpID." },
        Setting { name: "WECOM_AGENT_ID", default: "none", meaning: "The application's AgentId." },
        Setting { name: "WECOM_CLIENT_SECRET", default: "none", meaning: "The application's Secret." },
        Setting {
            name: "WECOM_LOGIN_URL",
            default: "https://login.work.weixin.qq.com",
            meaning: "Where people scan the code.",
        },
        Setting { name: "WECOM_API_URL", default: "https://qyapi.weixin.qq.com", meaning: "Its API." },
    ],
    make,
};

struct WeCom {
    about: About,
    company: String,
    agent: String,
    secret: Secret,
    login: String,
    api: String,
    client: Client,
    /// The application's token. Whoever needs a new one fetches it for all.
    token: Mutex<Option<Kept>>,
}

/// The application's token, or why there is none.
struct Kept {
    token: Result<Secret>,
    /// When it is fetched again.
    until: Instant,
}

fn make(settings: &ProviderSettings) -> Result<Option<Arc<dyn Provider>>, ConfigError> {
    let Some((company, secret)) = settings.client("WECOM_CLIENT_ID", "WECOM_CLIENT_SECRET")? else { return Ok(None) };
    let agent = settings.text("WECOM_AGENT_ID");
    let agent = agent.ok_or_else(|| ConfigError::new("WECOM_AGENT_ID", "is missing; WECOM_CLIENT_ID needs it"))?;
    let about = About { id: "wecom".into(), name: "企业微信".into(), kind: ProviderKind::WeCom, is_public: false };
    Ok(Some(Arc::new(WeCom {
        about,
        company,
        agent: agent.to_owned(),
        secret,
        login: settings.address("WECOM_LOGIN_URL", "https://login.work.weixin.qq.com")?,
        api: settings.address("WECOM_API_URL", "https://qyapi.weixin.qq.com")?,
        client: Client::new(None)?,
        token: Mutex::default(),
    })))
}

impl WeCom {
    async fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value, Refused> {
        let url = with_query(&format!("{}{path}", self.api), parameters);
        let (_, answer) = client::json(self.client.get(&url)).await.map_err(Refused::Fault)?;
        match number(&answer, "errcode") {
            Some(0) => Ok(answer),
            // The application's token has died before its time.
            Some(40001 | 40014 | 42001) if !path.ends_with("/gettoken") => Err(Refused::Token),
            Some(code @ (40029 | 42003)) => Err(Refused::Fault(Fault::Expired(format!("errcode {code}")))),
            Some(code @ (-1 | 45009)) => Err(Refused::Fault(Fault::Unreachable(format!("errcode {code}")))),
            Some(code @ (48002 | 60011 | 60111)) => Err(Refused::NotAllowed(code)),
            Some(code) => Err(Refused::Fault(Fault::Wrong(format!("errcode {code}")))),
            None => Err(Refused::Fault(Fault::Wrong("no errcode".into()))),
        }
    }

    /// Asks with the application's token; once more with a new one when it was refused.
    async fn ask_as_application(&self, path: &str, more: &[(&str, &str)]) -> Result<Value, Refused> {
        let mut refused = None;
        loop {
            let token = self.token(refused.as_ref()).await.map_err(Refused::Fault)?;
            let mut parameters = vec![("access_token", token.expose())];
            parameters.extend(more);
            match self.ask(path, &parameters).await {
                Err(Refused::Token) if refused.is_none() => refused = Some(token),
                answer => return answer,
            }
        }
    }

    /// The application's token; another one than `refused`. Many who come with the same dead one fetch one together.
    async fn token(&self, refused: Option<&Secret>) -> Result<Secret> {
        let mut kept = self.token.lock().await;
        if let Some(Kept { token, .. }) = kept.as_ref().filter(|kept| kept.until > Instant::now()) {
            let is_refused = |token: &Secret| refused.is_some_and(|dead| dead.expose() == token.expose());
            match token {
                Ok(token) if is_refused(token) => {}
                known => return known.clone(),
            }
        }
        let (token, life) = match self.fetched().await {
            Ok((token, life)) => (Ok(token), life),
            Err(fault) => (Err(fault), FAILURE_PAUSE),
        };
        *kept = Some(Kept { token: token.clone(), until: Instant::now() + life });
        token
    }

    /// A new token of the application, and for how long it is kept.
    async fn fetched(&self) -> Result<(Secret, Duration)> {
        let parameters = [("corpid", self.company.as_str()), ("corpsecret", self.secret.expose())];
        let answer = self.ask("/cgi-bin/gettoken", &parameters).await?;
        let token = text(&answer, "access_token").ok_or_else(|| Fault::Wrong("no access_token".into()))?;
        let life = number(&answer, "expires_in").and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(7200).min(86_400);
        Ok((Secret::new(token), Duration::from_secs(life).saturating_sub(EARLY)))
    }
}

enum Refused {
    /// The application's token.
    Token,
    /// The application may not ask this; with WeCom's number for it.
    NotAllowed(i64),
    Fault(Fault),
}

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Token => Self::Wrong("it refuses the token that it gave".into()),
            Refused::NotAllowed(code) => Self::Wrong(format!("errcode {code}")),
            Refused::Fault(fault) => fault,
        }
    }
}

#[async_trait]
impl Provider for WeCom {
    fn about(&self) -> &About {
        &self.about
    }

    async fn auth_url(&self, attempt: &Attempt) -> Result<String> {
        let parameters = [
            ("login_type", "CorpApp"),
            ("appid", self.company.as_str()),
            ("agentid", &self.agent),
            ("redirect_uri", &attempt.redirect_uri),
            ("state", &attempt.state),
        ];
        Ok(with_query(&format!("{}/wwlogin/sso/login", self.login), &parameters))
    }

    /// Whose code it is. There is no token of the person.
    async fn exchange_code(&self, _: &Attempt, callback: &Callback) -> Result<TokenInfo> {
        let claims = self.ask_as_application("/cgi-bin/auth/getuserinfo", &[("code", &callback.code)]).await?;
        Ok(TokenInfo { access_token: Secret::new(String::new()), id_token: None, claims })
    }

    /// Only members have a `userid`; an older endpoint, which private installations have, spells it otherwise.
    async fn validate_token(&self, _: &Attempt, token: TokenInfo) -> Result<TokenInfo> {
        let is_member = text(&token.claims, "userid").or_else(|| text(&token.claims, "UserId")).is_some();
        if is_member { Ok(token) } else { Err(Fault::NotAMember("no userid".into())) }
    }

    fn tenant(&self) -> &str {
        &self.company
    }

    /// WeCom does not tell capitals from small letters here.
    fn subject(&self, typed: &str) -> String {
        typed.to_lowercase()
    }

    async fn user_info(&self, token: &TokenInfo) -> Result<UserInfo> {
        let id = text(&token.claims, "userid").or_else(|| text(&token.claims, "UserId")).unwrap_or_default();
        let member = match self.ask_as_application("/cgi-bin/user/get", &[("userid", &id)]).await {
            Ok(member) => member,
            // An application without the right to read it still knows who it is.
            Err(Refused::NotAllowed(_)) => Value::Null,
            Err(refused) => return Err(refused.into()),
        };
        if number(&member, "status").is_some_and(|status| status != ACTIVE) {
            return Err(Fault::NotAMember("the member is not active".into()));
        }
        Ok(UserInfo {
            tenant: self.company.clone(),
            subject: self.subject(&id),
            before: None,
            username: text(&member, "alias").or_else(|| Some(id.clone())),
            name: text(&member, "name").or(Some(id)),
            email: text(&member, "biz_mail").or_else(|| text(&member, "email")),
            email_verified: false,
            avatar: text(&member, "avatar").or_else(|| text(&member, "thumb_avatar")),
        })
    }
}
