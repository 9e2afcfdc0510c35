//! The providers as a server that signs somebody in uses them.

mod kept;
mod sign_in;
mod wrong;

use super::Providers;
use super::call::{pairs, value_of};
use crate::api::Reply;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Where the browser goes back to. Nobody is there: the tests only read the address.
const CALLBACK: &str = "http://127.0.0.1:9/callback";
const STATE: &str = "0123456789abcdef0123456789abcdef";
const VERIFIER: &str = "a-verifier-that-is-long-enough-to-be-one-0123";

/// A server's side of a sign-in: it follows no redirect, and names itself only where it has to.
struct Visit {
    client: Client,
    providers: Providers,
}

/// The pairs with which a browser came back.
type Back = Vec<(String, String)>;

impl Visit {
    async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client =
            Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
        Self { client, providers: Providers::start().await }
    }

    fn setting(&self, name: &str) -> String {
        let settings = self.providers.settings();
        settings.into_iter().find(|(known, _)| *known == name).unwrap().1
    }

    fn get(&self, path: &str, query: &[(&str, &str)]) -> RequestBuilder {
        let url = format!("{}?{}", self.providers.url(path), form(query));
        self.client.get(url)
    }

    fn post_form(&self, path: &str, fields: &[(&str, &str)]) -> RequestBuilder {
        let post = self.client.post(self.providers.url(path));
        post.header("content-type", "application/x-www-form-urlencoded").body(form(fields))
    }

    fn post_json(&self, path: &str, body: &Value) -> RequestBuilder {
        self.client.post(self.providers.url(path)).json(body)
    }

    /// Opens an authorize page and gives what the browser came back with.
    async fn authorize(&self, path: &str, query: &[(&str, &str)]) -> Back {
        let reply = Reply::of(self.get(path, query)).await;
        assert_eq!(reply.status, 302, "{}", reply.text);
        let location = reply.header("location").unwrap();
        pairs(location.strip_prefix(CALLBACK).unwrap().strip_prefix('?').unwrap())
    }

    async fn github_code(&self) -> Back {
        let (id, challenge) = (self.setting("GITHUB_CLIENT_ID"), challenge());
        let query = [
            ("client_id", id.as_str()),
            ("redirect_uri", CALLBACK),
            ("scope", "read:user user:email"),
            ("state", STATE),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        self.authorize("gh/login/oauth/authorize", &query).await
    }

    fn github_token(&self, code: &str, verifier: &str) -> RequestBuilder {
        let (id, secret) = (self.setting("GITHUB_CLIENT_ID"), self.setting("GITHUB_CLIENT_SECRET"));
        let fields = [
            ("client_id", id.as_str()),
            ("client_secret", &secret),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", verifier),
        ];
        self.post_form("gh/login/oauth/access_token", &fields)
    }

    async fn google_code(&self) -> Back {
        let (id, challenge) = (self.setting("GOOGLE_CLIENT_ID"), challenge());
        let query = [
            ("client_id", id.as_str()),
            ("redirect_uri", CALLBACK),
            ("response_type", "code"),
            ("scope", "openid email profile"),
            ("state", STATE),
            ("nonce", "a-nonce"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        self.authorize("goog/o/oauth2/v2/auth", &query).await
    }

    fn google_token(&self, code: &str) -> RequestBuilder {
        let (id, secret) = (self.setting("GOOGLE_CLIENT_ID"), self.setting("GOOGLE_CLIENT_SECRET"));
        let fields = [
            ("grant_type", "authorization_code"),
            ("client_id", id.as_str()),
            ("client_secret", &secret),
            ("code", code),
            ("redirect_uri", CALLBACK),
            ("code_verifier", VERIFIER),
        ];
        self.post_form("goog/token", &fields)
    }

    /// Signs in at Google and gives the answer of its token step.
    async fn google(&self) -> Value {
        let back = self.google_code().await;
        Reply::of(self.google_token(value_of(&back, "code").unwrap())).await.json()
    }

    async fn wechat_code(&self) -> Back {
        let id = self.setting("WECHAT_CLIENT_ID");
        let query = [
            ("appid", id.as_str()),
            ("redirect_uri", CALLBACK),
            ("response_type", "code"),
            ("scope", "snsapi_login"),
            ("state", STATE),
        ];
        self.authorize("wx/connect/qrconnect", &query).await
    }

    fn wechat_token(&self, code: &str) -> RequestBuilder {
        let (id, secret) = (self.setting("WECHAT_CLIENT_ID"), self.setting("WECHAT_CLIENT_SECRET"));
        let query = [
            ("appid", id.as_str()),
            ("secret", &secret),
            ("code", code),
            ("grant_type", "authorization_code"),
        ];
        self.get("wx/sns/oauth2/access_token", &query)
    }

    async fn wecom_code(&self) -> Back {
        let (id, agent) = (self.setting("WECOM_CLIENT_ID"), self.setting("WECOM_AGENT_ID"));
        let query = [
            ("login_type", "CorpApp"),
            ("appid", id.as_str()),
            ("agentid", &agent),
            ("redirect_uri", CALLBACK),
            ("state", STATE),
        ];
        self.authorize("wecom/wwlogin/sso/login", &query).await
    }

    async fn wecom_token(&self) -> String {
        let (id, secret) = (self.setting("WECOM_CLIENT_ID"), self.setting("WECOM_CLIENT_SECRET"));
        let query = [("corpid", id.as_str()), ("corpsecret", &secret)];
        text(&Reply::of(self.get("wecom/cgi-bin/gettoken", &query)).await.json(), "access_token")
    }

    async fn wecom_who(&self, token: &str, code: &str) -> Value {
        let query = [("access_token", token), ("code", code)];
        Reply::of(self.get("wecom/cgi-bin/auth/getuserinfo", &query)).await.json()
    }

    /// By hand, because here a space has to be `%20`.
    async fn dingtalk_code(&self, scope: &str) -> Reply {
        let id = self.setting("DINGTALK_CLIENT_ID");
        let query = [
            ("client_id", id.as_str()),
            ("redirect_uri", CALLBACK),
            ("response_type", "code"),
            ("prompt", "consent"),
            ("state", STATE),
        ];
        let url = format!("{}?{}&scope={scope}", self.providers.url("ding/oauth2/auth"), form(&query));
        Reply::of(self.client.get(url)).await
    }

    fn dingtalk_login(&self, code: &str) -> Value {
        json!({
            "clientId": self.setting("DINGTALK_CLIENT_ID"),
            "clientSecret": self.setting("DINGTALK_CLIENT_SECRET"),
            "code": code, "grantType": "authorization_code",
        })
    }

    async fn dingtalk(&self) -> Reply {
        let reply = self.dingtalk_code("openid%20corpid").await;
        assert_eq!(reply.status, 302, "{}", reply.text);
        let back = pairs(reply.header("location").unwrap().split_once('?').unwrap().1);
        assert_eq!(value_of(&back, "code"), None);
        let login = self.dingtalk_login(value_of(&back, "authCode").unwrap());
        Reply::of(self.post_json("ding/v1.0/oauth2/userAccessToken", &login)).await
    }
}

fn form(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn challenge() -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER))
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}")).to_owned()
}
