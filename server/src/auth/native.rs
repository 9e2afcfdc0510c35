//! Programs of the person's own that sign in through the browser (RFC 8252): a request that waits until the person has
//! allowed it, then a code that is good once, for who has the verifier (RFC 7636). In memory, for minutes.

use super::jwt::Claims;
use super::logins::NoLogin;
use super::pending::Pending;
use super::secrets::{self, NoRandomness};
use crate::error::{Error, Result};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hashlink::LinkedHashMap;
use hongyan_wire::account::{CodeRequest, DeviceInfo};
use hongyan_wire::{SessionId, Timestamp};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use smol_str::SmolStr;
use std::net::IpAddr;
use std::sync::Arc;

/// Milliseconds for which a request waits for the person.
pub const REQUEST_LIFE: i64 = 10 * 60 * 1_000;
/// Milliseconds for which a code is good (RFC 6749, section 4.1.2, recommends at most ten minutes).
const CODE_LIFE: i64 = 60_000;
/// Milliseconds for which it is known that a code was used.
const USED_LIFE: i64 = 10 * 60 * 1_000;
/// Codes at one time; the oldest go first.
const CODES_MAX: usize = 10_000;
const STATE_MAX: usize = 512;

/// A program that may sign in so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    Desktop,
    AdminConsole,
}

impl Client {
    fn named(id: &str) -> Option<Self> {
        [Self::Desktop, Self::AdminConsole].into_iter().find(|client| client.id() == id)
    }

    pub const fn id(self) -> &'static str {
        match self {
            Self::Desktop => "desktop",
            Self::AdminConsole => "admin-console",
        }
    }
}

/// A program that waits to be signed in.
#[derive(Debug, Clone)]
pub struct Request {
    pub client: Client,
    pub redirect_uri: String,
    /// Its own, given back to it.
    pub state: String,
    pub challenge: String,
    pub device: DeviceInfo,
    pub until: Timestamp,
}

/// What a code stands for.
#[derive(Debug, Clone)]
pub struct Granted {
    /// Of the session in which it was allowed; when that ends, so does the code.
    pub claims: Arc<Claims>,
    pub device: DeviceInfo,
}

/// Why a code is not taken (RFC 6749, section 5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadCode {
    /// It is unknown, too old, or of something else.
    Invalid,
    /// It was used before: this is what came of it.
    Replayed(Option<SessionId>),
}

struct Code {
    request: Request,
    granted: Granted,
    until: Timestamp,
    used: bool,
    /// It was shown again.
    replayed: bool,
    session: Option<SessionId>,
}

/// Requests by their ids with the hashes of what binds them to a browser, and codes by their hashes.
#[derive(Default)]
pub struct Native {
    requests: Pending<(SmolStr, Request)>,
    codes: Mutex<LinkedHashMap<SmolStr, Code>>,
}

/// What a program asks with.
#[derive(Debug, Default)]
pub struct Asked {
    pub client_id: String,
    pub redirect_uri: Option<String>,
    pub state: Option<String>,
    pub code_challenge: Option<String>,
    pub code_challenge_method: Option<String>,
    pub device: DeviceInfo,
}

impl Asked {
    /// Checks everything before anyone is sent anywhere.
    pub fn check(self, now: Timestamp) -> Result<Request> {
        let client = Client::named(&self.client_id);
        let client = client.ok_or_else(|| Error::field("client_id", "must be desktop or admin-console"))?;
        let redirect_uri = self.redirect_uri.filter(|uri| is_loopback(uri));
        let wanted = "must be http://127.0.0.1:PORT/callback or http://[::1]:PORT/callback";
        let redirect_uri = redirect_uri.ok_or_else(|| Error::field("redirect_uri", wanted))?;
        let is_state = |state: &String| {
            (1..=STATE_MAX).contains(&state.len())
                && state.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
        };
        let state = self.state.filter(is_state);
        let state =
            state.ok_or_else(|| Error::field("state", "must be 1 to 512 visible ASCII characters"))?;
        if self.code_challenge_method.as_deref() != Some("S256") {
            return Err(Error::field("code_challenge_method", "must be S256"));
        }
        let is_url_safe = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let challenge = self.code_challenge.filter(|text| text.len() == 43 && text.bytes().all(is_url_safe));
        let wanted = "must be the SHA-256 of the verifier in base64url: 43 characters";
        let challenge = challenge.ok_or_else(|| Error::field("code_challenge", wanted))?;
        super::Opening::check(&self.device)?;
        let until = now.plus_millis(REQUEST_LIFE);
        Ok(Request { client, redirect_uri, state, challenge, device: self.device, until })
    }
}

/// Whether an address is one where a program of this machine listens (RFC 8252, section 7.3): an address and no name, on
/// any port, with the one path that we know.
fn is_loopback(uri: &str) -> bool {
    let rest = uri.strip_prefix("http://127.0.0.1:").or_else(|| uri.strip_prefix("http://[::1]:"));
    let port = rest.and_then(|rest| rest.strip_suffix("/callback"));
    port.is_some_and(|port| {
        port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

impl Native {
    /// Keeps a request. Gives its id, and what the browser keeps.
    pub fn wait(
        &self,
        request: Request,
        address: IpAddr,
        now: Timestamp,
    ) -> Result<(String, String), NoLogin> {
        let (id, binding) = (secrets::random_hex::<16>()?, secrets::random::<24>()?);
        let until = request.until;
        self.requests.keep(id.as_str().into(), (secrets::hash(&binding), request), address, until, now)?;
        Ok((id, binding))
    }

    /// A request that waits, in the browser in which it was begun.
    pub fn waiting(&self, id: &str, binding: Option<&str>, now: Timestamp) -> Option<Request> {
        let hashed = secrets::hash(binding?);
        let its =
            |(hash, request): &(SmolStr, Request)| secrets::same(hash, &hashed).then(|| request.clone());
        self.requests.look(id, now, its)?
    }

    /// The person has decided. Gives where the browser goes; with a code, when it is allowed.
    pub fn decided(
        &self,
        id: &str,
        binding: Option<&str>,
        granted: Option<Granted>,
        issuer: &str,
        now: Timestamp,
    ) -> Result<Option<String>, NoRandomness> {
        let Some(request) = self.waiting(id, binding, now) else { return Ok(None) };
        if self.requests.take(id, now).is_none() {
            return Ok(None);
        }
        let (name, value) = match granted {
            None => ("error", "access_denied".to_owned()),
            Some(granted) => {
                let code = secrets::random::<32>()?;
                let mut codes = self.codes.lock();
                while codes.front().is_some_and(|(_, oldest)| oldest.until.plus_millis(USED_LIFE) <= now)
                    || codes.len() >= CODES_MAX
                {
                    codes.pop_front();
                }
                let granted = Granted { device: request.device.clone(), ..granted };
                let until = now.plus_millis(CODE_LIFE);
                let open = Code {
                    request: request.clone(),
                    granted,
                    until,
                    used: false,
                    replayed: false,
                    session: None,
                };
                codes.insert(secrets::hash(&code), open);
                ("code", code)
            }
        };
        // The last says who gives it (RFC 9207).
        let parameters = [(name, value.as_str()), ("state", &request.state), ("iss", issuer)];
        Ok(Some(super::providers::with_query(&request.redirect_uri, &parameters)))
    }

    /// Takes a code, which is good once and only with everything that it was given for.
    pub fn redeem(&self, asked: &CodeRequest, client: Client, now: Timestamp) -> Result<Granted, BadCode> {
        let mut codes = self.codes.lock();
        let code = codes.get_mut(&secrets::hash(&asked.code)).ok_or(BadCode::Invalid)?;
        if code.used {
            code.replayed = true;
            return Err(BadCode::Replayed(code.session.clone()));
        }
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(asked.code_verifier.as_bytes()));
        let is_its = code.until > now
            && code.request.client == client
            && asked.client_id == client.id()
            && code.request.redirect_uri == asked.redirect_uri
            && secrets::same(&code.request.challenge, &challenge);
        // Whoever guesses at the rest has one try.
        code.used = true;
        if is_its { Ok(code.granted.clone()) } else { Err(BadCode::Invalid) }
    }

    /// Notes what came of a code, so that it ends when the code is shown again. `false`: it was, meanwhile.
    pub fn redeemed(&self, code: &str, session: SessionId) -> bool {
        match self.codes.lock().get_mut(&secrets::hash(code)) {
            Some(code) => {
                code.session = Some(session);
                !code.replayed
            }
            None => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn asked(redirect_uri: &str) -> Asked {
        Asked {
            client_id: "desktop".into(),
            redirect_uri: Some(redirect_uri.into()),
            state: Some("s t".into()),
            code_challenge: Some(CHALLENGE.into()),
            code_challenge_method: Some("S256".into()),
            device: DeviceInfo::default(),
        }
    }

    #[test]
    fn only_a_program_of_this_machine_is_sent_a_code() {
        for good in
            ["http://127.0.0.1:1/callback", "http://127.0.0.1:65535/callback", "http://[::1]:8000/callback"]
        {
            assert!(asked(good).check(at(0)).is_ok(), "{good}");
        }
        for bad in [
            "",
            "http://127.0.0.1/callback",
            "http://127.0.0.1:0/callback",
            "http://127.0.0.1:65536/callback",
            "http://127.0.0.1:+1/callback",
            "http://127.0.0.1:1/",
            "http://127.0.0.1:1/callback/",
            "http://127.0.0.1:1/callback?x=1",
            "http://127.0.0.1:1/callback#x",
            "http://127.0.0.1:1@evil.test/callback",
            "http://127.0.0.1.evil.test:1/callback",
            "http://localhost:1/callback",
            "https://127.0.0.1:1/callback",
            "http://127.0.0.2:1/callback",
            "http://[::2]:1/callback",
            " http://127.0.0.1:1/callback",
        ] {
            let error = asked(bad).check(at(0)).unwrap_err();
            assert_eq!(error.details[0].field, "redirect_uri", "{bad}");
        }
    }

    #[test]
    fn a_verifier_is_wanted_of_everyone() {
        let good = "http://127.0.0.1:1/callback";
        for method in [None, Some("plain"), Some("s256")] {
            let asked = Asked { code_challenge_method: method.map(str::to_owned), ..asked(good) };
            assert_eq!(asked.check(at(0)).unwrap_err().details[0].field, "code_challenge_method");
        }
        for challenge in [None, Some("short"), Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM")] {
            let asked = Asked { code_challenge: challenge.map(str::to_owned), ..asked(good) };
            assert_eq!(asked.check(at(0)).unwrap_err().details[0].field, "code_challenge");
        }
    }

    fn code_of(native: &Native) -> String {
        let request = asked("http://127.0.0.1:1/callback").check(at(0)).unwrap();
        let (id, binding) = native.wait(request, IpAddr::from([192, 0, 2, 1]), at(0)).unwrap();
        let claims = Arc::new(Claims { sub: "ann".into(), ..Claims::default() });
        let granted = Granted { claims, device: DeviceInfo::default() };
        let decide =
            |binding| native.decided(&id, binding, Some(granted.clone()), "https://us", at(1)).unwrap();
        assert_eq!(decide(None), None);
        assert_eq!(decide(Some("other")), None);
        let to = decide(Some(&binding)).unwrap();
        assert_eq!(decide(Some(&binding)), None);
        let rest = to.strip_prefix("http://127.0.0.1:1/callback?code=").unwrap();
        let (code, rest) = rest.split_once('&').unwrap();
        assert_eq!(rest, "state=s%20t&iss=https%3A%2F%2Fus");
        code.to_owned()
    }

    fn request(code: &str) -> CodeRequest {
        CodeRequest {
            grant_type: "authorization_code".into(),
            code: code.into(),
            redirect_uri: "http://127.0.0.1:1/callback".into(),
            client_id: "desktop".into(),
            code_verifier: VERIFIER.into(),
        }
    }

    #[test]
    fn a_code_is_good_once_and_its_second_use_ends_what_came_of_it() {
        let native = Native::default();
        let code = code_of(&native);
        let session = SessionId::new("s1").unwrap();
        assert_eq!(native.redeem(&request(&code), Client::Desktop, at(2)).unwrap().claims.sub, "ann");
        assert!(native.redeemed(&code, session.clone()));
        let again = native.redeem(&request(&code), Client::Desktop, at(3)).unwrap_err();
        assert_eq!(again, BadCode::Replayed(Some(session.clone())));
        // Shown again before the session was there.
        let code = code_of(&native);
        native.redeem(&request(&code), Client::Desktop, at(2)).unwrap();
        assert_eq!(
            native.redeem(&request(&code), Client::Desktop, at(2)).unwrap_err(),
            BadCode::Replayed(None)
        );
        assert!(!native.redeemed(&code, session));
    }

    #[test]
    fn a_code_is_good_only_with_what_it_was_given_for() {
        let good = request("");
        for (change, client, now) in [
            (CodeRequest { code_verifier: "x".repeat(43), ..good.clone() }, Client::Desktop, 2),
            (CodeRequest { code_verifier: CHALLENGE.into(), ..good.clone() }, Client::Desktop, 2),
            (
                CodeRequest { redirect_uri: "http://127.0.0.1:2/callback".into(), ..good.clone() },
                Client::Desktop,
                2,
            ),
            (CodeRequest { client_id: "admin-console".into(), ..good.clone() }, Client::AdminConsole, 2),
            (good.clone(), Client::Desktop, CODE_LIFE + 1),
        ] {
            let native = Native::default();
            let code = code_of(&native);
            let asked = CodeRequest { code: code.clone(), ..change };
            assert_eq!(native.redeem(&asked, client, at(now)).unwrap_err(), BadCode::Invalid);
            // And not by whoever comes next either.
            assert!(native.redeem(&request(&code), Client::Desktop, at(2)).is_err());
        }
        assert_eq!(Native::default().redeem(&good, Client::Desktop, at(0)).unwrap_err(), BadCode::Invalid);
    }
}
