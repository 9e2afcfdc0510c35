//! WeChat Open Platform, websites with a QR code (developers.weixin.qq.com, "网站应用微信登录开发指南").
//!
//! Everything stands in the address, the secret too; answers are JSON that calls itself text; errors come with status 200
//! and a number; a good answer has no number at all. There is no PKCE, and never an e-mail address.

use super::client::{self, Client};
use super::{
    About, Attempt, BuiltIn, Callback, Fault, Provider, Result, TokenInfo, UserInfo, number, text, with_query,
};
use crate::config::{ConfigError, ProviderSettings, Secret, Setting};
use async_trait::async_trait;
use hongyan_wire::account::ProviderKind;
use serde_json::Value;
use std::sync::Arc;

/// The tenant of those whom we know by the id that they have in all applications of one owner.
const UNION: &str = "unionid";

pub const BUILT_IN: BuiltIn = BuiltIn {
    settings: &[
        Setting { name: "WECHAT_CLIENT_ID", default: "none", meaning: "Sign-in with WeChat: the AppID of the website application." },
        Setting { name: "WECHAT_CLIENT_SECRET", default: "none", meaning: "Its AppSecret." },
        Setting { name: "WECHAT_OPEN_URL", default: "https://open.weixin.qq.com", meaning: "Where people scan the code." },
        Setting { name: "WECHAT_API_URL", default: "https://api.weixin.qq.com", meaning: "Its API." },
    ],
    make,
};

struct WeChat {
    about: About,
    id: String,
    secret: Secret,
    open: String,
    api: String,
    client: Client,
}

fn make(settings: &ProviderSettings) -> Result<Option<Arc<dyn Provider>>, ConfigError> {
    let Some((id, secret)) = settings.client("WECHAT_CLIENT_ID", "WECHAT_CLIENT_SECRET")? else { return Ok(None) };
    let about = About { id: "wechat".into(), name: "微信".into(), kind: ProviderKind::WeChat, is_public: true };
    let open = settings.address("WECHAT_OPEN_URL", "https://open.weixin.qq.com")?;
    let api = settings.address("WECHAT_API_URL", "https://api.weixin.qq.com")?;
    Ok(Some(Arc::new(WeChat { about, id, secret, open, api, client: Client::new(None)? })))
}

impl WeChat {
    async fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Result<Value> {
        let url = with_query(&format!("{}{path}", self.api), parameters);
        let (_, answer) = client::json(self.client.get(&url)).await?;
        match number(&answer, "errcode") {
            None | Some(0) => Ok(answer),
            // Invalid, used, expired.
            Some(code @ (40029 | 40163 | 42003)) => Err(Fault::Expired(format!("errcode {code}"))),
            Some(code @ (-1 | 45009 | 45011)) => Err(Fault::Unreachable(format!("errcode {code}"))),
            Some(code) => Err(Fault::Wrong(format!("errcode {code}"))),
        }
    }
}

#[async_trait]
impl Provider for WeChat {
    fn about(&self) -> &About {
        &self.about
    }

    async fn auth_url(&self, attempt: &Attempt) -> Result<String> {
        // In this order: an endpoint beside this one matches the address with a pattern.
        let parameters = [
            ("appid", self.id.as_str()),
            ("redirect_uri", &attempt.redirect_uri),
            ("response_type", "code"),
            ("scope", "snsapi_login"),
            ("state", &attempt.state),
        ];
        Ok(with_query(&format!("{}/connect/qrconnect", self.open), &parameters) + "#wechat_redirect")
    }

    async fn exchange_code(&self, _: &Attempt, callback: &Callback) -> Result<TokenInfo> {
        let parameters = [
            ("appid", self.id.as_str()),
            ("secret", self.secret.expose()),
            ("code", &callback.code),
            ("grant_type", "authorization_code"),
        ];
        let claims = self.ask("/sns/oauth2/access_token", &parameters).await?;
        let token = text(&claims, "access_token").ok_or_else(|| Fault::Wrong("no access_token".into()))?;
        Ok(TokenInfo { access_token: Secret::new(token), id_token: None, claims })
    }

    /// `sns/auth`: whether the token is good and the person's.
    async fn validate_token(&self, _: &Attempt, token: TokenInfo) -> Result<TokenInfo> {
        let openid = text(&token.claims, "openid").ok_or_else(|| Fault::Wrong("no openid".into()))?;
        let parameters = [("access_token", token.access_token.expose()), ("openid", &openid)];
        self.ask("/sns/auth", &parameters).await?;
        Ok(token)
    }

    async fn user_info(&self, token: &TokenInfo) -> Result<UserInfo> {
        let openid = text(&token.claims, "openid").unwrap_or_default();
        let parameters = [("access_token", token.access_token.expose()), ("openid", &openid), ("lang", "zh_CN")];
        let user = self.ask("/sns/userinfo", &parameters).await?;
        if text(&user, "openid").is_some_and(|told| told != openid) {
            return Err(Fault::Wrong("another person than the token's".into()));
        }
        // The same in all applications of one owner; the other is another in each.
        let union = text(&user, "unionid").or_else(|| text(&token.claims, "unionid"));
        let alone = (self.id.clone(), openid);
        let (tenant, subject, before) = match union {
            Some(union) => (UNION.to_owned(), union, Some(alone)),
            None => (alone.0, alone.1, None),
        };
        Ok(UserInfo {
            tenant,
            subject,
            before,
            name: text(&user, "nickname"),
            avatar: text(&user, "headimgurl"),
            ..UserInfo::default()
        })
    }
}
