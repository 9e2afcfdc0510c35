//! WeChat's Open Platform as a website sees it (WeChat docs, "Website App: WeChat Login" and
//! "Authorized Interface Calling"). All answers have status 200, and JSON under the name `text/plain`.

use super::answer::{Answer, Outcome};
use super::call::Call;
use super::fault::Fault;
use super::grant::{Grant, Refusal};
use super::stub::{Back, Stub, Token, random};
use serde_json::{Value, json};
use std::time::Duration;

pub(super) const CLIENT_ID: &str = "wx0123456789abcdef";
pub(super) const CLIENT_SECRET: &str = "canary-wechat-secret-4f9a6c3be27d4d10a8c5f1";

/// Of a code.
const CODE_LIFE: Duration = Duration::from_secs(600);
const TOKEN_LIFE: Duration = Duration::from_secs(7200);
const REFRESH_TOKEN_LIFE: Duration = Duration::from_secs(30 * 86_400);
/// The only scope a website may ask for.
const SCOPE: &str = "snsapi_login";
/// How others call what is called `appid` and `secret` here.
const NAMES_OF_OTHERS: &[&str] = &["client_id", "client_secret"];

/// The numbers of the errors.
mod error {
    pub(super) const BUSY: i64 = -1;
    pub(super) const BAD_TOKEN: i64 = 40001;
    pub(super) const BAD_GRANT_TYPE: i64 = 40002;
    pub(super) const OTHER_OPENID: i64 = 40003;
    pub(super) const BAD_APPID: i64 = 40013;
    pub(super) const BAD_CODE: i64 = 40029;
    pub(super) const BAD_REFRESH_TOKEN: i64 = 40030;
    pub(super) const BAD_SECRET: i64 = 40125;
    pub(super) const CODE_USED: i64 = 40163;
    pub(super) const NO_CODE: i64 = 41008;
    pub(super) const CODE_EXPIRED: i64 = 42003;
    pub(super) const LIMITED: i64 = 45011;
    pub(super) const NO_SCOPE: i64 = 48001;
}

/// Somebody with a name that is no ASCII, and without all that was retired in 2021.
pub(super) fn people() -> Vec<(&'static str, Value)> {
    let user = json!({
        "openid": "oStub6_OpenIdOfReader0000001", "nickname": "鸿雁🪿/读者", "sex": 0, "language": "",
        "province": "", "city": "", "country": "",
        "headimgurl": "https://thirdwx.qlogo.cn/mmopen/vi_32/Stub/132",
        "privilege": [], "unionid": "oStub6_UnionIdOfReader00001",
    });
    vec![("wx", user)]
}

/// `GET /connect/qrconnect`
pub(super) fn authorize(stub: &Stub, call: &Call, fault: Option<&Fault>) -> Outcome {
    if matches!(fault, Some(Fault::RateLimited)) {
        return Err(Answer::page(429, "Too many requests"));
    }
    call.refused(NAMES_OF_OTHERS)?;
    call.required_to_be("appid", CLIENT_ID)?;
    call.required_to_be("response_type", "code")?;
    call.required_to_be("scope", SCOPE)?;
    call.plain_state()?;
    let back = Back {
        provider: "wx",
        code_name: "code",
        code: random("canary-wx-code-", 47),
        life: CODE_LIFE,
        // No error: `state` comes back alone.
        denied: &[],
        also: &[],
    };
    Ok(stub.send_back(call, fault, Grant::asked(call)?, back))
}

/// `GET /sns/oauth2/access_token`: a success has no `errcode` at all
pub(super) fn token(stub: &Stub, call: &Call, fault: Option<&Fault>) -> Outcome {
    numbered(fault)?;
    if call.asked("appid") != Some(CLIENT_ID) {
        return Err(refusal(error::BAD_APPID));
    }
    if call.asked("secret") != Some(CLIENT_SECRET) {
        return Err(refusal(error::BAD_SECRET));
    }
    if call.asked("grant_type") != Some("authorization_code") {
        return Err(refusal(error::BAD_GRANT_TYPE));
    }
    let Some(code) = call.asked("code") else { return Err(refusal(error::NO_CODE)) };
    let grant = stub.redeem("wx", code, fault).map_err(|why| {
        refusal(match why {
            Refusal::Unknown => error::BAD_CODE,
            Refusal::Used => error::CODE_USED,
            Refusal::Expired => error::CODE_EXPIRED,
        })
    })?;
    let refresh_token = stub.new_token("wx-refresh", &grant.scope, REFRESH_TOKEN_LIFE);
    Ok(handed_out(stub, &grant.scope, &refresh_token))
}

/// `GET /sns/oauth2/refresh_token`: without the secret
pub(super) fn refresh(stub: &Stub, call: &Call, fault: Option<&Fault>) -> Outcome {
    numbered(fault)?;
    if call.asked("appid") != Some(CLIENT_ID) {
        return Err(refusal(error::BAD_APPID));
    }
    if call.asked("grant_type") != Some("refresh_token") {
        return Err(refusal(error::BAD_GRANT_TYPE));
    }
    let given = call.asked("refresh_token").unwrap_or_default();
    let known = stub.token("wx-refresh", given).filter(|_| !matches!(fault, Some(Fault::TokenError)));
    let Some(known) = known else { return Err(refusal(error::BAD_REFRESH_TOKEN)) };
    Ok(handed_out(stub, &known.scope, given))
}

fn handed_out(stub: &Stub, scope: &str, refresh_token: &str) -> Answer {
    let user = stub.person("wx");
    let mut said = json!({
        "access_token": stub.new_token("wx", scope, TOKEN_LIFE), "expires_in": TOKEN_LIFE.as_secs(),
        "refresh_token": refresh_token, "openid": user["openid"], "scope": scope,
    });
    if let Some(unionid) = user.get("unionid") {
        said["unionid"] = unionid.clone();
    }
    text(&said)
}

/// `GET /sns/userinfo`
pub(super) fn user(stub: &Stub, call: &Call, fault: Option<&Fault>) -> Outcome {
    numbered(fault)?;
    let Some(token) = shown(stub, call, fault) else { return Err(refusal(error::BAD_TOKEN)) };
    let user = stub.person("wx");
    if call.asked("openid") != user["openid"].as_str() {
        return Err(refusal(error::OTHER_OPENID));
    }
    if token.scope != SCOPE {
        return Err(refusal(error::NO_SCOPE));
    }
    Ok(text(&user))
}

/// `GET /sns/auth`: whether a token is good
pub(super) fn auth(stub: &Stub, call: &Call, fault: Option<&Fault>) -> Outcome {
    numbered(fault)?;
    let user = stub.person("wx");
    if shown(stub, call, fault).is_none() || call.asked("openid") != user["openid"].as_str() {
        return Err(refusal(error::OTHER_OPENID));
    }
    Ok(text(&json!({ "errcode": 0, "errmsg": "ok" })))
}

/// The token of a person, which stands in the query.
fn shown(stub: &Stub, call: &Call, fault: Option<&Fault>) -> Option<Token> {
    let known = call.asked("access_token").and_then(|given| stub.token("wx", given));
    known.filter(|_| !matches!(fault, Some(Fault::TokenError)))
}

/// The faults that are only a number.
fn numbered(fault: Option<&Fault>) -> Result<(), Answer> {
    match fault {
        Some(Fault::Errcode(number)) => Err(refusal(*number)),
        Some(Fault::RateLimited) => Err(refusal(error::LIMITED)),
        _ => Ok(()),
    }
}

fn refusal(number: i64) -> Answer {
    let words = match number {
        error::BUSY => "system error",
        error::BAD_TOKEN => "invalid credential, access_token is invalid or not latest",
        error::BAD_GRANT_TYPE => "invalid grant_type",
        error::OTHER_OPENID => "invalid openid",
        error::BAD_APPID => "invalid appid",
        error::BAD_CODE => "invalid code",
        error::BAD_REFRESH_TOKEN => "invalid refresh_token",
        error::BAD_SECRET => "invalid appsecret",
        error::CODE_USED => "code been used",
        error::NO_CODE => "missing code",
        error::CODE_EXPIRED => "code expired",
        error::LIMITED => "api minute-quota reach limit, must slower, retry next minute",
        error::NO_SCOPE => "api unauthorized",
        _ => "error",
    };
    text(&json!({ "errcode": number, "errmsg": format!("{words}, rid: 0-0-0") }))
}

/// JSON as WeChat writes it: with `\/` for every slash, and under another name.
fn text(said: &Value) -> Answer {
    Answer::new(200, "text/plain", said.to_string().replace('/', "\\/"))
}
