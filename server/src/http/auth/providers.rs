//! Signing in at a provider: there, and back again. Whatever goes wrong ends on a page that says so, without a session, with
//! one line in the security log.

use super::native::bound;
use crate::account::NotLetIn;
use crate::auth::providers::{Callback, Fault, Provider, UserInfo, identify};
use crate::auth::{Asked, LOGIN_LIFE, NoLogin, Opening, Purpose, SignedIn, Stray, Visitor};
use crate::error::{Error, Result};
use crate::http::UserGateway;
use crate::http::envelope::Answer;
use crate::http::extract::{Query, Stranger};
use crate::log::record::Kept;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hongyan_wire::account::{DeviceInfo, DeviceType, LoginUrl, ProviderInfo, ProviderList, browser_name};
use hongyan_wire::api::Success;
use hongyan_wire::error::{ErrorType, Failure};
use hongyan_wire::{DeviceId, SessionId};
use serde::Deserialize;
use std::sync::Arc;
use utoipa::IntoParams;

/// The name in the paths under which people sign in with what they have here.
const LOCAL: &str = "local";

/// How people can sign in here.
#[utoipa::path(
    get, path = "/api/v3/auth/providers", tag = "signing in", security(),
    responses((status = 200, description = "The providers that are set up", body = Success<ProviderList>)),
)]
pub async fn list(State(gateway): State<UserGateway>) -> Answer<ProviderList> {
    let providers = gateway.providers.iter().map(|provider| {
        let about = provider.about();
        ProviderInfo {
            id: about.id.to_string(),
            name: about.name.clone(),
            kind: about.kind,
            login_url: format!("{}/api/v3/auth/{}/login", gateway.public_url, about.id),
        }
    });
    Answer::new(ProviderList {
        providers: providers.collect(),
        local_login: gateway.auth.has_local_login(),
        passkeys: gateway.accounts.has_passkeys(),
    })
}

/// How someone wants to sign in.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LoginQuery {
    /// Where a page goes on then: a path of this server, as `/#/settings`.
    return_to: Option<String>,
    /// For a program of the person's own (RFC 8252): `desktop`. The next four go with it.
    #[serde(alias = "client")]
    client_id: Option<String>,
    /// `http://127.0.0.1:PORT/callback` or `http://[::1]:PORT/callback`.
    redirect_uri: Option<String>,
    /// Given back as it is.
    state: Option<String>,
    /// The SHA-256 of the verifier in base64url (RFC 7636).
    code_challenge: Option<String>,
    /// `S256`.
    code_challenge_method: Option<String>,
    /// Chosen by the program and kept over its restarts.
    device_id: Option<String>,
    device_name: Option<String>,
}

/// Go to a provider to sign in. A browser is sent there; others are told the address, with the cookie that binds it.
///
/// With `client_id` it is a program of the person's own that is signed in, once they have allowed it in the browser; for
/// `local` as the provider they sign in there as they like.
#[utoipa::path(
    get, path = "/api/v3/auth/{provider}/login", tag = "signing in",
    params(("provider" = String, Path), LoginQuery), security(),
    responses(
        (status = 200, description = "Where to sign in", body = Success<LoginUrl>),
        (status = 303, description = "To a browser (`Accept: text/html`): there"),
        (status = 404, description = "There is no such provider", body = Failure),
        (status = 403, description = "A foreign page has embedded the address", body = Failure),
        (status = 422, description = "A parameter is not valid", body = Failure),
        (status = 429, description = "Too many were begun and not finished, or from one address", body = Failure),
        (status = 503, description = "The provider cannot be reached", body = Failure),
    ),
)]
pub async fn login(
    State(gateway): State<UserGateway>,
    visitor: Visitor,
    Path(id): Path<String>,
    Query(query): Query<LoginQuery>,
    headers: HeaderMap,
) -> Result<Response> {
    begin(&gateway, visitor, &id, query, &headers).await
}

/// The same for those who sign in with what they have here.
#[utoipa::path(
    get, path = "/api/v3/auth/local/login", tag = "signing in", params(LoginQuery), security(),
    responses(
        (status = 200, description = "Where to sign in", body = Success<LoginUrl>),
        (status = 303, description = "To a browser (`Accept: text/html`): there"),
        (status = 422, description = "A parameter is not valid", body = Failure),
        (status = 429, description = "Too many from one address; see Retry-After", body = Failure),
    ),
)]
pub async fn login_here(
    State(gateway): State<UserGateway>,
    visitor: Visitor,
    Query(query): Query<LoginQuery>,
    headers: HeaderMap,
) -> Result<Response> {
    begin(&gateway, visitor, LOCAL, query, &headers).await
}

async fn begin(
    gateway: &UserGateway,
    visitor: Visitor,
    id: &str,
    query: LoginQuery,
    headers: &HeaderMap,
) -> Result<Response> {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_page = accept.contains("text/html");
    // A foreign page that embeds this address, as a picture or in a frame, takes nobody's places.
    let says = |name: &str, value: &str| headers.get(name).is_some_and(|told| told == value);
    if says("sec-fetch-site", "cross-site") && !says("sec-fetch-dest", "document") {
        return Err(Error::new(ErrorType::PermissionDenied, "this address is one to go to"));
    }
    gateway.meters.stranger(crate::send::Purpose::SigningIn, visitor)?;
    let provider = if id == LOCAL { None } else { Some(gateway.provider(id)?) };
    let mut cookies = Vec::new();
    let return_to = match query.client_id.clone() {
        Some(client_id) => {
            let (return_to, cookie) = bound(gateway, asked(client_id, query)?, visitor)?;
            cookies.push(cookie);
            return_to
        }
        None => own_path(query.return_to.as_deref().unwrap_or("/"))?,
    };
    let auth_url = match provider {
        None if return_to == "/" => format!("{}/#/sign-in", gateway.public_url),
        None => format!("{}{return_to}", gateway.public_url),
        Some(provider) => {
            let purpose = Purpose::SignIn { return_to, before: gateway.session_here(headers)? };
            match gateway.to_provider(&provider, purpose, visitor).await {
                Ok((auth_url, cookie)) => {
                    cookies.push(cookie);
                    auth_url
                }
                // A person is told on a page of ours.
                Err(error) if is_page => {
                    let code = match error.error_type {
                        ErrorType::RateLimited => "too_often",
                        ErrorType::Overloaded => "provider_unreachable",
                        _ => return Err(error),
                    };
                    format!("{}/#/sign-in?error={code}&provider={id}", gateway.public_url)
                }
                Err(error) => return Err(error),
            }
        }
    };
    let mut response = match is_page {
        true => see_other(&auth_url)?,
        false => Answer::new(LoginUrl { auth_url, expires_in: (LOGIN_LIFE / 1_000) as u64 }).into_response(),
    };
    private(&mut response, cookies);
    Ok(response)
}

fn asked(client_id: String, query: LoginQuery) -> Result<Asked> {
    let id = query.device_id.as_deref().map(DeviceId::new).transpose();
    let id = id.map_err(|error| Error::field("device_id", error.to_string()))?;
    Ok(Asked {
        client_id,
        redirect_uri: query.redirect_uri,
        state: query.state,
        code_challenge: query.code_challenge,
        code_challenge_method: query.code_challenge_method,
        device: DeviceInfo { id, name: query.device_name, device_type: DeviceType::Desktop },
    })
}

/// What a provider sends the browser back with.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct CallbackQuery {
    state: Option<String>,
    code: Option<String>,
    /// What DingTalk calls the code.
    #[serde(rename = "authCode")]
    auth_code: Option<String>,
    /// Who says so (RFC 9207).
    iss: Option<String>,
    error: Option<String>,
}

/// Come back from a provider. The browser goes on to a page of ours: signed in, or with the reason why not.
#[utoipa::path(
    get, path = "/api/v3/auth/{provider}/callback", tag = "signing in",
    params(("provider" = String, Path), CallbackQuery), security(),
    responses(
        (status = 303, description = "To the page that the person came from, or to the one that says what went wrong"),
        (status = 404, description = "There is no such provider", body = Failure),
        (status = 429, description = "Too many from one address; see Retry-After", body = Failure),
    ),
)]
pub async fn callback(
    State(gateway): State<UserGateway>,
    Stranger(visitor): Stranger,
    Path(id): Path<String>,
    headers: HeaderMap,
    query: Result<Query<CallbackQuery>>,
) -> Result<Response> {
    let provider = gateway.provider(&id)?;
    let mut cookies = Vec::new();
    let state = query.as_ref().ok().and_then(|Query(query)| query.state.clone()).unwrap_or_default();
    let come_back = match query {
        Ok(Query(query)) => gateway.come_back(&provider, query, &headers, visitor).await,
        Err(_) => Err(Fault::Wrong("what it sent the browser back with cannot be read".into()).into()),
    };
    let address = match come_back {
        Ok((return_to, cookie)) => {
            cookies.extend(cookie);
            format!("{}{return_to}", gateway.public_url)
        }
        Err(refusal) => {
            tracing::warn!(
                target: "hongyan::security", provider = %id, address = %visitor.address, reason = refusal.code,
                detail = refusal.detail, "a sign-in at a provider was refused",
            );
            format!("{}/#/{}?error={}&provider={id}", gateway.public_url, refusal.page, refusal.code)
        }
    };
    if gateway.cookies.binding(&headers, &state).is_some() {
        cookies.push(gateway.cookies.bind(&state, "", 0)?);
    }
    let mut response = see_other(&address)?;
    private(&mut response, cookies);
    Ok(response)
}

/// Why it ended without a session.
struct Refusal {
    /// For the page.
    code: &'static str,
    /// For the security log.
    detail: String,
    /// The page that says so.
    page: &'static str,
}

impl Refusal {
    fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), page: "sign-in" }
    }
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        let code = match &fault {
            Fault::Denied => "denied",
            Fault::Expired(_) => "expired",
            Fault::Unreachable(_) => "provider_unreachable",
            Fault::Wrong(_) => "provider_error",
            Fault::NotAMember(_) => "not_a_member",
        };
        Self::new(code, fault.to_string())
    }
}

impl From<Stray> for Refusal {
    fn from(stray: Stray) -> Self {
        match stray {
            Stray::Unknown => Self::new("expired", "the state is unknown, used or too old"),
            Stray::ForeignBrowser => Self::new("foreign_browser", "the state was begun in another browser"),
            Stray::OtherProvider => Self::new("provider_error", "the state was begun at another provider"),
        }
    }
}

impl From<NotLetIn> for Refusal {
    fn from(reason: NotLetIn) -> Self {
        match reason {
            NotLetIn::NotInvited => Self::new("not_invited", "nobody here is known under this subject"),
            NotLetIn::Disabled => Self::new("account_disabled", "the user is disabled"),
            NotLetIn::AlreadyLinked => Self::new("already_linked", "the subject is someone else's here"),
            NotLetIn::Over => Self::new("wrong_account", "the session or the link that wanted it is over"),
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::new("internal", error.message)
    }
}

impl UserGateway {
    /// A provider that is set up.
    pub fn provider(&self, id: &str) -> Result<Arc<dyn Provider>> {
        let found = self.providers.iter().find(|provider| provider.about().id == id);
        found.cloned().ok_or_else(|| Error::not_found("provider"))
    }

    /// Begins a sign-in. Gives where the browser goes, and the cookie that binds it.
    pub async fn to_provider(
        &self,
        provider: &Arc<dyn Provider>,
        purpose: Purpose,
        visitor: Visitor,
    ) -> Result<(String, HeaderValue)> {
        let id = &provider.about().id;
        let redirect_uri = format!("{}/api/v3/auth/{id}/callback", self.public_url);
        let begun = self.logins.begin(id, redirect_uri, purpose, visitor.address, crate::clock::now());
        let begun = begun.map_err(|refused| match refused {
            NoLogin::TooMany(_) => Error::rate_limited(refused.to_string()),
            NoLogin::NoRandomness(error) => Error::internal(error),
        })?;
        let auth_url = provider.auth_url(&begun.attempt).await.map_err(|fault| {
            // Nobody comes back from there: its place is free.
            let state = &begun.attempt.state;
            drop(self.logins.take(id, state, Some(&begun.binding), crate::clock::now()));
            tracing::warn!(target: "hongyan::security", provider = %id, reason = %fault, "no sign-in can begin there");
            Error::overloaded("the provider cannot be reached right now; try again, or sign in another way")
        })?;
        let cookie = self.cookies.bind(&begun.attempt.state, &begun.binding, LOGIN_LIFE / 1_000)?;
        Ok((auth_url, cookie))
    }

    /// What follows from a callback: where the browser goes on, and the cookie with the session.
    async fn come_back(
        &self,
        provider: &Arc<dyn Provider>,
        query: CallbackQuery,
        headers: &HeaderMap,
        visitor: Visitor,
    ) -> Result<(String, Option<HeaderValue>), Refusal> {
        let id = provider.about().id.clone();
        let state = query.state.unwrap_or_default();
        let binding = self.cookies.binding(headers, &state);
        let (attempt, purpose) = self.logins.take(&id, &state, binding.as_deref(), crate::clock::now())?;
        let page = match purpose {
            Purpose::SignIn { .. } | Purpose::OneTime { .. } => "sign-in",
            Purpose::Link { .. } => "settings/security",
        };
        let finished = async {
            let info = match (query.auth_code.or(query.code), query.error) {
                (_, Some(error)) if error != "access_denied" => {
                    let word: String = error.chars().filter(char::is_ascii_graphic).take(60).collect();
                    return Err(Refusal::from(Fault::Wrong(word)));
                }
                // Some say nothing at all when the person declines.
                (_, Some(_)) | (None, None) => return Err(Fault::Denied.into()),
                (Some(code), None) => {
                    identify(&**provider, &attempt, &Callback { code, iss: query.iss }).await?
                }
            };
            self.identified(&id, purpose, info, headers, visitor).await
        };
        finished.await.map_err(|refusal| Refusal { page, ..refusal })
    }

    async fn identified(
        &self,
        provider: &str,
        purpose: Purpose,
        info: UserInfo,
        headers: &HeaderMap,
        visitor: Visitor,
    ) -> Result<(String, Option<HeaderValue>), Refusal> {
        let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let opening = || Opening {
            device: DeviceInfo { name: agent.and_then(browser_name), ..DeviceInfo::default() },
            provider: provider.into(),
            kept: Kept::Cookie,
            visitor,
        };
        match purpose {
            Purpose::SignIn { return_to, before } => {
                let signed_in = self.accounts.sign_in(provider, info, opening()).await??;
                Ok((return_to, self.kept(&signed_in, before).await?))
            }
            Purpose::OneTime { user, link_hash, before } => {
                let linked = self.accounts.link_once(&user, &link_hash, provider, info, opening()).await??;
                Ok(("/".to_owned(), self.kept(&linked, before).await?))
            }
            Purpose::Link { user, session } => {
                let is_there = self.directory.session(&session).map_err(Error::from)?;
                let now = crate::clock::now();
                if is_there.is_none_or(|session| session.user != user || session.expires_at <= now) {
                    return Err(NotLetIn::Over.into());
                }
                self.accounts.link(&user, provider, info).await??;
                Ok(("/#/settings/security".to_owned(), None))
            }
        }
    }

    /// The session of the browser that calls. Where a provider sends it back from elsewhere its cookie does not come along.
    pub fn session_here(&self, headers: &HeaderMap) -> Result<Option<SessionId>> {
        let token = self.cookies.refresh_token(headers);
        token.map_or(Ok(None), |token| self.auth.session_by(&token, Kept::Cookie))
    }

    /// The cookie of a session, which takes the place of the one before. The page asks for its access token by that.
    async fn kept(&self, signed_in: &SignedIn, before: Option<SessionId>) -> Result<Option<HeaderValue>> {
        if let Some(before) = before
            && let Err(error) = self.auth.supersede(&before).await
        {
            // They are signed in all the same.
            tracing::warn!(%error, "the session before could not be ended");
        }
        signed_in.cookie.as_ref().map(|(token, until)| self.cookies.keep(token, *until)).transpose()
    }
}

/// To another page, by GET (RFC 9700, section 4.12).
fn see_other(address: &str) -> Result<Response> {
    let address = HeaderValue::from_str(address).map_err(Error::internal)?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, address)]).into_response())
}

/// What is nobody else's: not kept anywhere, and no page learns from where one came.
fn private(response: &mut Response, cookies: Vec<HeaderValue>) {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    for cookie in cookies {
        headers.append(header::SET_COOKIE, cookie);
    }
}

/// A path of ours, and nothing that a browser would take for another place (RFC 9700, section 4.11).
fn own_path(text: &str) -> Result<String> {
    const OURS: &str = "http://ours.invalid";
    let wrong = || Error::field("return_to", "must be a path of this server, such as /#/settings");
    let is_plain = text.starts_with('/') && text.len() <= 512 && !text.contains(['\\', '\t', '\r', '\n']);
    if !is_plain || text.contains(|c: char| c.is_control() || c.is_whitespace()) {
        return Err(wrong());
    }
    let base = reqwest::Url::parse(OURS).map_err(Error::internal)?;
    let joined = base.join(text).map_err(|_| wrong())?;
    // As it was understood, so that nobody understands it otherwise.
    let path =
        joined.as_str().strip_prefix(OURS).filter(|path| path.starts_with('/') && !path.starts_with("//"));
    path.filter(|_| joined.origin() == base.origin()).map(str::to_owned).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_returns_to_a_path_of_ours_and_nowhere_else() {
        for good in ["/", "/#/settings", "/#/message/msg-1", "/a?b=c#d"] {
            assert_eq!(own_path(good).unwrap(), good);
        }
        for bad in [
            "",
            "//evil.test",
            "/\\evil.test",
            "\\\\evil.test",
            "\t//evil.test",
            "/\t/evil.test",
            "http:evil.test",
            "https://evil.test/",
            "javascript:alert(1)",
            "evil.test",
            "/x/..//evil.test",
            "/a\r\nSet-Cookie: x=y",
            &format!("/{}", "x".repeat(600)),
        ] {
            assert!(own_path(bad).is_err(), "{bad:?}");
        }
    }
}
