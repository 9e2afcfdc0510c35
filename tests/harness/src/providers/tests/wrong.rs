//! Every fault at every step that has it.

use super::{CALLBACK, STATE, VERIFIER, Visit, text};
use crate::api::Reply;
use crate::providers::call::{pairs, value_of};
use crate::providers::{Fault, Providers, ROUTES};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

#[tokio::test]
async fn every_step_can_fail_as_any_server_can() {
    let test = Visit::start().await;
    let call = || Reply::of(test.get("goog/certs", &[]));
    test.providers.fail("goog.certs", Fault::Status500);
    test.providers.fail("goog.certs", Fault::WrongContentType);
    test.providers.fail("goog.certs", Fault::Redirect);
    test.providers.fail("goog.certs", Fault::RateLimited);
    let body = "{}".to_owned();
    test.providers.fail("goog.certs", Fault::Answer { status: 418, content_type: "text/x-test", body });
    test.providers.fail("goog.certs", Fault::GarbageBody);
    test.providers.fail("goog.certs", Fault::HugeBody);
    assert_eq!(call().await.status, 500);
    let wrong = call().await;
    assert!(
        wrong.json()["keys"].is_array() && wrong.header("content-type").unwrap().starts_with("text/html")
    );
    let away = call().await;
    assert_eq!((away.status, away.header("location")), (302, Some("/goog/certs")));
    assert_eq!(call().await.status, 429);
    let canned = call().await;
    assert_eq!((canned.status, canned.header("content-type")), (418, Some("text/x-test")));
    assert!(serde_json::from_str::<Value>(&call().await.text).is_err());
    let slow = Duration::from_millis(50);
    test.providers.fail("goog.certs", Fault::Slow(slow));
    let huge = test.get("goog/certs", &[]).send().await.unwrap();
    assert_eq!((huge.status().as_u16(), huge.content_length()), (200, None));
    assert!(huge.bytes().await.unwrap().len() > 100_000_000);
    let asked = Instant::now();
    assert_eq!(call().await.status, 200);
    assert!(asked.elapsed() >= slow);
    assert_eq!(test.providers.calls_of("goog.certs").len(), 8);
}

/// Every fault there is, one of a kind, but those that need a look inside (ID tokens) or a clock.
fn faults() -> Vec<Fault> {
    let body = String::new();
    vec![
        Fault::Deny,
        Fault::BadState,
        Fault::NoCode,
        Fault::OtherIssuer,
        Fault::NoIssuer,
        Fault::OtherCodeName,
        Fault::BothCodeNames,
        Fault::CodeUsed,
        Fault::CodeExpired,
        Fault::TokenError,
        Fault::TokenDied,
        Fault::Named("an_error"),
        Fault::Errcode(-2),
        Fault::Refused(403),
        Fault::NotMember,
        Fault::Customer,
        Fault::WithTicket,
        Fault::OlderNames,
        Fault::RateLimited,
        Fault::Status500,
        Fault::GarbageBody,
        Fault::WrongContentType,
        Fault::Redirect,
        Fault::Answer { status: 418, content_type: "text/x-test", body },
    ]
}

impl Visit {
    /// A call of this step to which nothing is wrong.
    async fn good_call(&self, step: &str) -> RequestBuilder {
        match step {
            "gh.authorize" => {
                let id = self.setting("GITHUB_CLIENT_ID");
                self.page("gh/login/oauth/authorize", &[("client_id", &id)])
            }
            "goog.discovery" => self.get("goog/.well-known/openid-configuration", &[]),
            "goog.certs" => self.get("goog/certs", &[]),
            "goog.authorize" => {
                let id = self.setting("GOOGLE_CLIENT_ID");
                let query = [("client_id", id.as_str()), ("response_type", "code"), ("scope", "openid")];
                self.page("goog/o/oauth2/v2/auth", &query)
            }
            "wx.authorize" => {
                let id = self.setting("WECHAT_CLIENT_ID");
                let query = [("appid", id.as_str()), ("response_type", "code"), ("scope", "snsapi_login")];
                self.page("wx/connect/qrconnect", &query)
            }
            "wecom.authorize" => {
                let (id, agent) = (self.setting("WECOM_CLIENT_ID"), self.setting("WECOM_AGENT_ID"));
                let query = [("login_type", "CorpApp"), ("appid", id.as_str()), ("agentid", &agent)];
                self.page("wecom/wwlogin/sso/login", &query)
            }
            "ding.authorize" => {
                let id = self.setting("DINGTALK_CLIENT_ID");
                let query = [("response_type", "code"), ("scope", "openid"), ("prompt", "consent")];
                let query = [&query[..], &[("client_id", id.as_str())]].concat();
                self.page("ding/oauth2/auth", &query)
            }
            _ if step.starts_with("gh.") => self.good_github_call(step).await,
            _ if step.starts_with("goog.") => self.good_google_call(step).await,
            _ if step.starts_with("wx.") => self.good_wechat_call(step).await,
            _ if step.starts_with("wecom.") => self.good_wecom_call(step).await,
            _ => self.good_dingtalk_call(step).await,
        }
    }

    fn page(&self, path: &str, query: &[(&str, &str)]) -> RequestBuilder {
        self.get(path, &[query, &[("redirect_uri", CALLBACK), ("state", STATE)]].concat())
    }

    async fn good_github_call(&self, step: &str) -> RequestBuilder {
        let back = self.github_code().await;
        let token = self.github_token(value_of(&back, "code").unwrap(), VERIFIER);
        let token = token.header("accept", "application/json");
        if step == "gh.token" {
            return token;
        }
        let token = text(&Reply::of(token).await.json(), "access_token");
        let (id, secret) = (self.setting("GITHUB_CLIENT_ID"), self.setting("GITHUB_CLIENT_SECRET"));
        let application = self.providers.url(&format!("gh/api/v3/applications/{id}/token"));
        let basic = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
        let shown = json!({ "access_token": token });
        let request = match step {
            "gh.user" => self.get("gh/api/v3/user", &[]).header("authorization", format!("Bearer {token}")),
            "gh.emails" => {
                self.get("gh/api/v3/user/emails", &[]).header("authorization", format!("Bearer {token}"))
            }
            "gh.check" => self.client.post(application).header("authorization", basic).json(&shown),
            _ => self.client.delete(application).header("authorization", basic).json(&shown),
        };
        request.header("user-agent", "test")
    }

    async fn good_google_call(&self, step: &str) -> RequestBuilder {
        if step == "goog.token" {
            let back = self.google_code().await;
            return self.google_token(value_of(&back, "code").unwrap());
        }
        let token = text(&self.google().await, "access_token");
        if step == "goog.revoke" {
            return self.post_form("goog/revoke", &[("token", &token)]);
        }
        self.get("goog/v1/userinfo", &[]).header("authorization", format!("Bearer {token}"))
    }

    async fn good_wechat_call(&self, step: &str) -> RequestBuilder {
        let back = self.wechat_code().await;
        let token = self.wechat_token(value_of(&back, "code").unwrap());
        if step == "wx.token" {
            return token;
        }
        let token = Reply::of(token).await.json();
        if step == "wx.refresh" {
            let (id, given) = (self.setting("WECHAT_CLIENT_ID"), text(&token, "refresh_token"));
            let query = [("appid", id.as_str()), ("grant_type", "refresh_token"), ("refresh_token", &given)];
            return self.get("wx/sns/oauth2/refresh_token", &query);
        }
        let path = if step == "wx.user" { "wx/sns/userinfo" } else { "wx/sns/auth" };
        let (token, openid) = (text(&token, "access_token"), text(&token, "openid"));
        self.get(path, &[("access_token", &token), ("openid", &openid)])
    }

    async fn good_wecom_call(&self, step: &str) -> RequestBuilder {
        if step == "wecom.gettoken" {
            let (id, secret) = (self.setting("WECOM_CLIENT_ID"), self.setting("WECOM_CLIENT_SECRET"));
            return self.get("wecom/cgi-bin/gettoken", &[("corpid", &id), ("corpsecret", &secret)]);
        }
        let token = self.wecom_token().await;
        if step == "wecom.user" {
            return self.get("wecom/cgi-bin/user/get", &[("access_token", &token), ("userid", "ZhangSan")]);
        }
        let back = self.wecom_code().await;
        let code = value_of(&back, "code").unwrap();
        if step == "wecom.getuserinfo" {
            return self.get("wecom/cgi-bin/auth/getuserinfo", &[("access_token", &token), ("code", code)]);
        }
        self.providers.fail("wecom.getuserinfo", Fault::WithTicket);
        let who = self.wecom_who(&token, code).await;
        let path = format!("wecom/cgi-bin/auth/getuserdetail?access_token={token}");
        self.post_json(&path, &json!({ "user_ticket": who["user_ticket"] }))
    }

    async fn good_dingtalk_call(&self, step: &str) -> RequestBuilder {
        if step == "ding.token" {
            let reply = self.dingtalk_code("openid").await;
            let back = pairs(reply.header("location").unwrap().split_once('?').unwrap().1);
            let login = self.dingtalk_login(value_of(&back, "authCode").unwrap());
            return self.post_json("ding/v1.0/oauth2/userAccessToken", &login);
        }
        if step == "ding.me" {
            let token = text(&self.dingtalk().await.json(), "accessToken");
            let request = self.get("ding/v1.0/contact/users/me", &[]);
            return request.header("x-acs-dingtalk-access-token", token);
        }
        let (key, secret) = (self.setting("DINGTALK_CLIENT_ID"), self.setting("DINGTALK_CLIENT_SECRET"));
        let body = json!({ "client_id": key, "client_secret": secret, "grant_type": "client_credentials" });
        let path = format!("ding/v1.0/oauth2/{}/token", Providers::DINGTALK_CORP_ID);
        let application = self.post_json(&path, &body);
        if step == "ding.apptoken" {
            return application;
        }
        let token = text(&Reply::of(application).await.json(), "access_token");
        let (path, body) = match step {
            "ding.getbyunionid" => ("user/getbyunionid", json!({ "unionid": "StubUnionIdOfReader" })),
            _ => ("v2/user/get", json!({ "userid": "manager4220" })),
        };
        self.post_json(&format!("ding/topapi/{path}?access_token={token}"), &body)
    }

    /// Status, type, where to, and body of an answer, without what is another every time.
    async fn gist(&self, step: &str) -> String {
        let reply = Reply::of(self.good_call(step).await).await;
        let header = |name| reply.header(name).unwrap_or_default();
        let seen = [header("content-type"), header("location"), &reply.text].join(" ");
        let random = |c: char| c.is_ascii_alphanumeric() || "-_%.".contains(c);
        // ID tokens, and the end of a token, do not say that they are secret.
        let starts = seen.replace("eyJ", "canary-").replace("last_eight\":\"", "canary-");
        let parts = starts.split("canary-").enumerate();
        let kept = parts.map(|(n, part)| if n == 0 { part } else { part.trim_start_matches(random) });
        let mut gist = format!("{} {}", reply.status, kept.collect::<Vec<_>>().join("*"));
        // By chance a signature has the letters by which an identity token begins.
        while gist.contains("**") {
            gist = gist.replace("**", "*");
        }
        gist
    }
}

#[tokio::test]
async fn every_fault_that_a_step_has_shows_in_its_answer_and_only_there() {
    let test = Visit::start().await;
    for route in ROUTES {
        let usual = test.gist(route.step).await;
        assert!(usual.starts_with('2') || usual.starts_with("302"), "{}: {usual}", route.step);
        assert!(!usual.contains("\"errcode\":4") && !usual.contains("\"error\""), "{}: {usual}", route.step);
        for fault in faults().into_iter().filter(|fault| fault.fits(route.step)) {
            test.providers.fail(route.step, fault.clone());
            let seen = test.gist(route.step).await;
            assert_ne!(seen, usual, "{fault:?} does nothing at {}", route.step);
            assert_eq!(test.gist(route.step).await, usual, "after {fault:?} at {}", route.step);
        }
    }
}
