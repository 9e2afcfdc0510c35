//! Google as a web application sees it (Google Identity, "OpenID Connect", and its discovery document).

use super::answer::{Answer, Outcome};
use super::call::{Call, value_of};
use super::fault::{Fault, IdFault};
use super::grant::{Grant, Refusal};
use super::keys::{FIRST, Key, SECOND};
use super::stub::{Back, Stub, random};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(super) const CLIENT_ID: &str = "000000000000-stub.apps.googleusercontent.com";
pub(super) const CLIENT_SECRET: &str = "canary-google-secret-0b8c2e7af1d94c6b8a5d3e";

/// Of a code.
const CODE_LIFE: Duration = Duration::from_secs(600);
const TOKEN_LIFE: Duration = Duration::from_secs(3599);
const REFRESH_TOKEN_LIFE: Duration = Duration::from_secs(86_400);
/// In seconds, as `exp` counts.
const ID_TOKEN_LIFE: u64 = 3600;

/// What scopes are called in an answer.
const LONG_SCOPES: &[(&str, &str)] = &[
    ("email", "https://www.googleapis.com/auth/userinfo.email"),
    ("profile", "https://www.googleapis.com/auth/userinfo.profile"),
];
/// The claims that come with a scope.
const EMAIL_CLAIMS: &[&str] = &["email", "email_verified"];
const PROFILE_CLAIMS: &[&str] = &["name", "picture", "given_name", "family_name", "locale"];

/// Somebody of an organisation, and what only userinfo says otherwise.
pub(super) fn people() -> Vec<(&'static str, Value)> {
    let claims = json!({
        "sub": "110169484474386276334", "hd": "example.test",
        "email": "reader@example.test", "email_verified": true,
        "name": "Google Reader", "given_name": "Google", "family_name": "Reader",
        "picture": "https://lh3.googleusercontent.com/a/stub=s96-c",
    });
    vec![("goog", claims), ("goog.userinfo", json!({}))]
}

/// `GET /.well-known/openid-configuration`
pub(super) fn discovery(stub: &Stub, _: &Call, fault: Option<&Fault>) -> Outcome {
    unlimited(fault)?;
    Ok(Answer::json(
        200,
        &json!({
            "issuer": stub.url("goog"),
            "authorization_endpoint": stub.url("goog/o/oauth2/v2/auth"),
            "token_endpoint": stub.url("goog/token"),
            "userinfo_endpoint": stub.url("goog/v1/userinfo"),
            "revocation_endpoint": stub.url("goog/revoke"),
            "jwks_uri": stub.url("goog/certs"),
            "response_types_supported": ["code", "token", "id_token", "code token", "none"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ["openid", "email", "profile"],
            "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
            "code_challenge_methods_supported": ["plain", "S256"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "authorization_response_iss_parameter_supported": true,
        }),
    )
    .with("cache-control", "public, max-age=3600"))
}

/// `GET /o/oauth2/v2/auth`
pub(super) fn authorize(stub: &Stub, call: &Call, fault: Option<&Fault>) -> Outcome {
    unlimited(fault)?;
    call.required_to_be("client_id", CLIENT_ID)?;
    call.required_to_be("response_type", "code")?;
    call.required("scope")?;
    let grant = Grant::challenged(call, &["S256", "plain"])?;
    if !grant.has_scope("openid") {
        return Err(Answer::page(400, "The parameter scope has no openid"));
    }
    let mut grant = grant;
    if call.asked("access_type") == Some("offline") {
        grant.scope.push_str(" offline");
    }
    let issuer = match fault {
        Some(Fault::OtherIssuer) => "https://accounts.example.test".to_owned(),
        _ => stub.url("goog"),
    };
    let also: &[(&str, String)] = match fault {
        Some(Fault::NoIssuer) => &[],
        _ => &[("iss", issuer)],
    };
    let back = Back {
        provider: "goog",
        code_name: "code",
        // With a slash, which has to be encoded in the form that redeems it.
        code: random("canary-goog-4/0A", 73),
        life: CODE_LIFE,
        denied: &[("error", "access_denied")],
        also,
    };
    Ok(stub.send_back(call, fault, grant, back))
}

/// `POST /token`, a form
pub(super) fn token(stub: &Stub, call: &Call, fault: Option<&Fault>) -> Outcome {
    unlimited(fault)?;
    let form = call.form();
    admitted(call, &form)?;
    if let Some(Fault::Named(error)) = fault {
        return Err(refusal(if *error == "invalid_client" { 401 } else { 400 }, error, "Bad Request"));
    }
    if value_of(&form, "grant_type") != Some("authorization_code") {
        return Err(refusal(400, "unsupported_grant_type", "Invalid grant_type"));
    }
    let given = |name| {
        let missing = || refusal(400, "invalid_request", &format!("Missing required parameter: {name}"));
        value_of(&form, name).ok_or_else(missing)
    };
    let (code, redirect_uri) = (given("code")?, given("redirect_uri")?);
    let bad = |_: Refusal| refusal(400, "invalid_grant", "Bad Request");
    let grant = stub.redeem("goog", code, fault).map_err(bad)?;
    if redirect_uri != grant.redirect_uri {
        return Err(refusal(400, "redirect_uri_mismatch", "Bad Request"));
    }
    if !grant.verified_by(value_of(&form, "code_verifier")) {
        return Err(refusal(400, "invalid_grant", "Invalid code verifier."));
    }
    Ok(Answer::json(200, &handed_out(stub, &grant, fault)))
}

fn handed_out(stub: &Stub, grant: &Grant, fault: Option<&Fault>) -> Value {
    let access_token = stub.new_token("ya29", &grant.scope, TOKEN_LIFE);
    let id_fault = if let Some(Fault::IdToken(fault)) = fault { Some(*fault) } else { None };
    let id_token = id_token(stub, grant, &access_token, id_fault);
    stub.secret(&id_token);
    let long = |scope| LONG_SCOPES.iter().find(|(short, _)| *short == scope).map_or(scope, |(_, long)| *long);
    let scopes = grant.scope.split(' ').filter(|scope| *scope != "offline").map(long);
    let mut answer = json!({
        "access_token": access_token, "expires_in": TOKEN_LIFE.as_secs(), "id_token": id_token,
        "scope": scopes.collect::<Vec<_>>().join(" "), "token_type": "Bearer",
    });
    if grant.has_scope("offline") {
        answer["refresh_token"] = stub.new_token("goog-refresh", "", REFRESH_TOKEN_LIFE).into();
    }
    answer
}

/// Refuses a client that does not prove who it is, by form or by header, but not by both.
fn admitted(call: &Call, form: &[(String, String)]) -> Result<(), Answer> {
    let posted = value_of(form, "client_id").zip(value_of(form, "client_secret"));
    let basic = call.basic();
    let basic = basic.as_ref().map(|(name, password)| (name.as_str(), password.as_str()));
    match (posted, basic) {
        (Some(given), None) | (None, Some(given)) if given == (CLIENT_ID, CLIENT_SECRET) => Ok(()),
        _ => Err(refusal(401, "invalid_client", "Unauthorized")),
    }
}

/// `GET /v1/userinfo`
pub(super) fn userinfo(stub: &Stub, call: &Call, fault: Option<&Fault>) -> Outcome {
    unlimited(fault)?;
    let token = call.bearer().and_then(|given| stub.token("ya29", given));
    let token = token.filter(|_| !matches!(fault, Some(Fault::TokenError)));
    let Some(token) = token else {
        let answer = refusal(401, "invalid_request", "Invalid Credentials");
        return Err(answer.with("www-authenticate", "Bearer realm=\"https://accounts.google.com/\""));
    };
    let mut claims = claims(stub, &token.scope);
    merge(&mut claims, stub.person("goog.userinfo"));
    Ok(Answer::json(200, &claims))
}

/// `GET /certs`: the keys, the newest first
pub(super) fn certs(stub: &Stub, _: &Call, fault: Option<&Fault>) -> Outcome {
    unlimited(fault)?;
    let rotated = stub.rotated.load(Ordering::SeqCst);
    let keys = if rotated { vec![SECOND.published(), FIRST.published()] } else { vec![FIRST.published()] };
    let answer = Answer::json(200, &json!({ "keys": keys }));
    Ok(answer.with("cache-control", "public, max-age=19845, must-revalidate, no-transform"))
}

/// `POST /revoke`, a form
pub(super) fn revoke(stub: &Stub, call: &Call, fault: Option<&Fault>) -> Outcome {
    unlimited(fault)?;
    let form = call.form();
    let given = value_of(&form, "token").unwrap_or_default();
    if matches!(fault, Some(Fault::TokenError)) || !stub.end_token(given) {
        return Err(refusal(400, "invalid_token", "Token expired or revoked"));
    }
    Ok(Answer::json(200, &json!({})))
}

/// What these scopes show of the person.
fn claims(stub: &Stub, scope: &str) -> Value {
    let asked = |wanted| scope.split(' ').any(|scope| scope == wanted);
    let mut claims = stub.person("goog");
    claims.as_object_mut().unwrap().retain(|name, _| {
        let name = name.as_str();
        (asked("email") || !EMAIL_CLAIMS.contains(&name))
            && (asked("profile") || !PROFILE_CLAIMS.contains(&name))
    });
    claims
}

fn id_token(stub: &Stub, grant: &Grant, access_token: &str, fault: Option<IdFault>) -> String {
    if fault == Some(IdFault::RotatedKey) {
        stub.rotated.store(true, Ordering::SeqCst);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let half_hash = URL_SAFE_NO_PAD.encode(&Sha256::digest(access_token)[..16]);
    let mut all = json!({
        "iss": stub.url("goog"), "azp": CLIENT_ID, "aud": CLIENT_ID, "at_hash": half_hash,
        "iat": now, "exp": now + ID_TOKEN_LIFE,
    });
    if let Some(nonce) = &grant.nonce {
        all["nonce"] = nonce.as_str().into();
    }
    merge(&mut all, claims(stub, &grant.scope));
    spoil(&mut all, fault);
    sign(&all, if stub.rotated.load(Ordering::SeqCst) { &SECOND } else { &FIRST }, fault)
}

/// Makes of good claims what the fault wants.
fn spoil(claims: &mut Value, fault: Option<IdFault>) {
    match fault {
        Some(IdFault::WrongAud) => {
            claims["aud"] = "999999999999-other.apps.googleusercontent.com".into();
            claims["azp"] = claims["aud"].clone();
        }
        Some(IdFault::WrongIss) => claims["iss"] = "https://accounts.example.test".into(),
        Some(IdFault::WrongNonce) => claims["nonce"] = "a-nonce-of-somebody-else".into(),
        Some(IdFault::NoNonce) => {
            claims.as_object_mut().unwrap().remove("nonce");
        }
        Some(IdFault::Expired) => {
            let issued = claims["iat"].as_u64().unwrap() - 2 * ID_TOKEN_LIFE;
            claims["iat"] = issued.into();
            claims["exp"] = (issued + ID_TOKEN_LIFE).into();
        }
        _ => {}
    }
}

fn sign(claims: &Value, key: &Key, fault: Option<IdFault>) -> String {
    let mut header = Header::new(Algorithm::RS256);
    header.kid = Some(key.id.to_owned());
    match fault {
        Some(IdFault::AlgNone) => {
            let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            format!("{}.{}.", encoded(&json!({ "alg": "none", "typ": "JWT" })), encoded(claims))
        }
        Some(IdFault::Hs256WithPublicKey) => {
            header.alg = Algorithm::HS256;
            signed(&header, claims, &EncodingKey::from_secret(key.public.as_bytes()))
        }
        Some(IdFault::OtherKey) => {
            let other = if key.id == FIRST.id { &SECOND } else { &FIRST };
            signed(&header, claims, &other.signing())
        }
        Some(IdFault::UnknownKid) => {
            header.kid = Some("test-key-of-nobody".to_owned());
            signed(&header, claims, &SECOND.signing())
        }
        _ => signed(&header, claims, &key.signing()),
    }
}

fn signed(header: &Header, claims: &Value, key: &EncodingKey) -> String {
    jsonwebtoken::encode(header, claims, key).unwrap()
}

fn merge(into: &mut Value, from: Value) {
    let Value::Object(from) = from else { panic!("{from} is no object") };
    into.as_object_mut().unwrap().extend(from);
}

fn unlimited(fault: Option<&Fault>) -> Result<(), Answer> {
    match fault {
        Some(Fault::RateLimited) => {
            let answer = refusal(429, "rate_limit_exceeded", "Rate Limit Exceeded");
            Err(answer.with("retry-after", "60"))
        }
        _ => Ok(()),
    }
}

fn refusal(status: u16, error: &str, description: &str) -> Answer {
    Answer::json(status, &json!({ "error": error, "error_description": description }))
}
