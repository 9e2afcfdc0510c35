//! GitHub as an OAuth App sees it (GitHub docs, "Authorizing OAuth apps"; REST, "Users", "Emails",
//! "OAuth authorizations").

use super::answer::{Answer, Outcome};
use super::call::{Call, value_of};
use super::fault::Fault;
use super::grant::{Grant, Refusal};
use super::stub::{Back, Stub, Token, random};
use serde_json::{Value, json};
use std::time::Duration;

pub(super) const CLIENT_ID: &str = "Ov23liStubOfGitHub00";
pub(super) const CLIENT_SECRET: &str = "canary-github-secret-7d0f4b1c9e5a4f2f8b3e6a";

/// Of a code.
const CODE_LIFE: Duration = Duration::from_secs(600);
/// An OAuth App's tokens have no end; this one is longer than any test.
const TOKEN_LIFE: Duration = Duration::from_secs(86_400);
const EMAILS_ON_A_PAGE: usize = 30;
const MOST_EMAILS_ON_A_PAGE: usize = 100;

/// Below these GitHub explains its errors.
const EXPLANATIONS: &str = "https://docs.github.com/apps/oauth-apps/maintaining-oauth-apps";

/// Somebody without a name and a public address, whose first address is not the one to take.
pub(super) fn people() -> Vec<(&'static str, Value)> {
    let user = json!({
        "login": "octo-reader", "id": 583_231, "node_id": "MDQ6VXNlcjU4MzIzMQ==",
        "avatar_url": "https://avatars.githubusercontent.com/u/583231?v=4",
        "html_url": "https://github.com/octo-reader", "type": "User", "site_admin": false,
        "name": null, "email": null, "company": null, "blog": "", "location": null, "bio": null,
        "created_at": "2011-01-25T18:44:36Z", "updated_at": "2026-01-22T11:29:19Z",
    });
    let emails = json!([
        { "email": "first@example.test", "primary": true, "verified": false, "visibility": "private" },
        { "email": "second@example.test", "primary": false, "verified": true, "visibility": null },
        {
            "email": "583231+octo-reader@users.noreply.github.com",
            "primary": false, "verified": true, "visibility": null,
        },
    ]);
    vec![("gh", user), ("gh.emails", emails)]
}

/// `GET /login/oauth/authorize`
pub(super) fn authorize(stub: &Stub, call: &Call, fault: Option<&Fault>) -> Outcome {
    if matches!(fault, Some(Fault::RateLimited)) {
        return Err(limited());
    }
    call.required_to_be("client_id", CLIENT_ID)?;
    // PKCE since July 2025, with SHA-256 only (GitHub changelog, 2025-07-14).
    let grant = Grant::challenged(call, &["S256"])?;
    let explained = format!("{EXPLANATIONS}/troubleshooting-authorization-request-errors/#access-denied");
    let back = Back {
        provider: "gh",
        code_name: "code",
        code: random("canary-gh-code-", 40),
        life: CODE_LIFE,
        denied: &[
            ("error", "access_denied"),
            ("error_description", "The user has denied your application access."),
            ("error_uri", &explained),
        ],
        also: &[],
    };
    Ok(stub.send_back(call, fault, grant, back))
}

/// `POST /login/oauth/access_token`: errors come with 200, and all is a form for who does not ask for JSON.
pub(super) fn token(stub: &Stub, call: &Call, fault: Option<&Fault>) -> Outcome {
    if matches!(fault, Some(Fault::RateLimited)) {
        return Err(limited());
    }
    let said = match redeem(stub, call, fault) {
        Ok(grant) => {
            let scope = grant.scope.split(' ').collect::<Vec<_>>().join(",");
            let token = stub.new_token("gho", &scope, TOKEN_LIFE);
            json!({ "access_token": token, "scope": scope, "token_type": "bearer" })
        }
        Err(error) => json!({
            "error": error, "error_description": described(error),
            "error_uri": format!("{EXPLANATIONS}/troubleshooting-oauth-app-access-token-request-errors/#{error}"),
        }),
    };
    let wants_json = call.header("accept").is_some_and(|accept| accept.contains("application/json"));
    if wants_json {
        return Ok(Answer::json(200, &said));
    }
    let fields = said.as_object().unwrap().iter().map(|(name, value)| (name, value.as_str().unwrap()));
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    Ok(Answer::new(200, "application/x-www-form-urlencoded; charset=utf-8", form))
}

fn redeem(stub: &Stub, call: &Call, fault: Option<&Fault>) -> Result<Grant, &'static str> {
    let given = parameters(call);
    let is = |name, wanted| value_of(&given, name) == Some(wanted);
    if !is("client_id", CLIENT_ID) || !is("client_secret", CLIENT_SECRET) {
        return Err("incorrect_client_credentials");
    }
    let code = value_of(&given, "code").unwrap_or_default();
    let grant = stub.redeem("gh", code, fault).map_err(|_: Refusal| "bad_verification_code")?;
    if let Some(Fault::Named(error)) = fault {
        return Err(error);
    }
    if value_of(&given, "redirect_uri").is_some_and(|given| given != grant.redirect_uri) {
        return Err("redirect_uri_mismatch");
    }
    if !grant.verified_by(value_of(&given, "code_verifier")) {
        return Err("bad_verification_code");
    }
    Ok(grant)
}

/// A form, or the same as JSON.
fn parameters(call: &Call) -> Vec<(String, String)> {
    let Some(Value::Object(given)) = call.json() else { return call.form() };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    given.iter().map(|(name, value)| (name.clone(), text(value))).collect()
}

fn described(error: &str) -> &'static str {
    match error {
        "bad_verification_code" => "The code passed is incorrect or expired.",
        "incorrect_client_credentials" => "The client_id and/or client_secret passed are incorrect.",
        "redirect_uri_mismatch" => {
            "The redirect_uri MUST match the registered callback URL for this application."
        }
        "unverified_user_email" => "The user must have a verified primary email.",
        _ => "Something else went wrong.",
    }
}

/// `GET /api/v3/user`
pub(super) fn user(stub: &Stub, call: &Call, fault: Option<&Fault>) -> Outcome {
    signed_in(stub, call, fault)?;
    Ok(Answer::json(200, &stub.person("gh")))
}

/// `GET /api/v3/user/emails`, in pages
pub(super) fn emails(stub: &Stub, call: &Call, fault: Option<&Fault>) -> Outcome {
    let token = signed_in(stub, call, fault)?;
    if !token.scope.split(',').any(|scope| matches!(scope, "user" | "user:email")) {
        return Err(refusal(404, "Not Found"));
    }
    let number = |name, usual| call.asked(name).and_then(|given| given.parse().ok()).unwrap_or(usual);
    let size: usize = number("per_page", EMAILS_ON_A_PAGE).clamp(1, MOST_EMAILS_ON_A_PAGE);
    let page: usize = number("page", 1).max(1);
    let emails = stub.person("gh.emails");
    let Some(all) = emails.as_array() else { return Ok(Answer::json(200, &emails)) };
    let some: Vec<_> = all.iter().skip((page - 1) * size).take(size).collect();
    let answer = Answer::json(200, &json!(some));
    if page * size >= all.len() {
        return Ok(answer);
    }
    let next = stub.url(&format!("gh/api/v3/user/emails?per_page={size}&page={}", page + 1));
    Ok(answer.with("link", &format!("<{next}>; rel=\"next\"")))
}

/// `POST /api/v3/applications/{client_id}/token`: whether a token is good
pub(super) fn check(stub: &Stub, call: &Call, fault: Option<&Fault>) -> Outcome {
    let (given, token) = shown_by_application(stub, call, fault)?;
    let scopes: Vec<_> = token.scope.split(',').filter(|scope| !scope.is_empty()).collect();
    Ok(Answer::json(
        200,
        &json!({
            "id": 1, "user": stub.person("gh"), "scopes": scopes, "app": { "client_id": CLIENT_ID },
            "token_last_eight": &given[given.len() - 8..], "expires_at": null,
        }),
    ))
}

/// `DELETE /api/v3/applications/{client_id}/token`
pub(super) fn revoke(stub: &Stub, call: &Call, fault: Option<&Fault>) -> Outcome {
    let (given, _) = shown_by_application(stub, call, fault)?;
    stub.end_token(&given);
    Ok(Answer::new(204, "application/json; charset=utf-8", ""))
}

/// The token of a person who calls the API.
fn signed_in(stub: &Stub, call: &Call, fault: Option<&Fault>) -> Result<Token, Answer> {
    admitted(call, fault)?;
    let known = call.bearer().and_then(|given| stub.token("gho", given));
    match known {
        Some(token) if !matches!(fault, Some(Fault::TokenError)) => Ok(token),
        _ => Err(refusal(401, "Bad credentials")),
    }
}

/// The token of a person that the application asks about with its own credentials.
fn shown_by_application(stub: &Stub, call: &Call, fault: Option<&Fault>) -> Result<(String, Token), Answer> {
    admitted(call, fault)?;
    if call.basic() != Some((CLIENT_ID.to_owned(), CLIENT_SECRET.to_owned())) {
        return Err(refusal(401, "Bad credentials"));
    }
    if !call.path.contains(CLIENT_ID) {
        return Err(refusal(404, "Not Found"));
    }
    let body = call.json().unwrap_or_default();
    let Some(given) = body["access_token"].as_str() else {
        return Err(refusal(422, "Validation Failed"));
    };
    match stub.token("gho", given) {
        Some(token) if !matches!(fault, Some(Fault::TokenError)) => Ok((given.to_owned(), token)),
        _ => Err(refusal(404, "Not Found")),
    }
}

/// What every call of the API has to have, and the faults that none survives.
fn admitted(call: &Call, fault: Option<&Fault>) -> Result<(), Answer> {
    if call.header("user-agent").unwrap_or_default().is_empty() {
        let text = "Request forbidden by administrative rules. \
                    Please make sure your request has a User-Agent header.";
        return Err(Answer::page(403, text));
    }
    match fault {
        Some(Fault::RateLimited) => Err(limited()),
        Some(Fault::Refused(401)) => Err(refusal(401, "Bad credentials")),
        Some(Fault::Refused(403)) => Err(refusal(403, "Resource not accessible by integration")),
        Some(Fault::Refused(404)) => Err(refusal(404, "Not Found")),
        Some(Fault::Refused(status)) => Err(refusal(*status, "Validation Failed")),
        _ => Ok(()),
    }
}

fn refusal(status: u16, message: &str) -> Answer {
    let url = "https://docs.github.com/rest";
    let said = json!({ "message": message, "documentation_url": url, "status": status.to_string() });
    Answer::json(status, &said)
}

fn limited() -> Answer {
    let answer = refusal(403, "API rate limit exceeded");
    let answer = answer.with("x-ratelimit-limit", "5000").with("x-ratelimit-remaining", "0");
    answer.with("retry-after", "60")
}
