//! OpenID Connect Core 1.0 as a client with the code flow; and OAuth 2.0 without identity tokens, which is a part of it.
//!
//! What always holds: an identity token counts only with a signature by one of the provider's keys in an algorithm of the
//! settings, for us, from the issuer of the settings, for this attempt; and what `userinfo` says only of the same person.

use super::client::{self, Client};
use super::{Attempt, Callback, Fault, Result, TokenInfo, encoded, number, plain, text, with_query};
use crate::auth::secrets;
use crate::config::Secret;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use parking_lot::Mutex;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a discovery document is kept.
const DOCUMENT_LIFE: Duration = Duration::from_secs(24 * 3600);
/// How long keys are kept, where the provider says nothing shorter.
const KEYS_LIFE: Duration = Duration::from_secs(24 * 3600);
/// How long it is not asked again for keys, or after a failure.
const PAUSE: Duration = Duration::from_secs(60);
/// Likewise, after it could not be reached.
const FAILURE_PAUSE: Duration = Duration::from_secs(5);
const KEYS_MAX: usize = 64;

/// How we show that we are the client (RFC 6749, section 2.3.1; OpenID Connect Core, section 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Basic,
    Post,
    None,
}

/// What is agreed with a provider.
#[derive(Debug, Clone)]
pub struct Rules {
    pub id: String,
    pub secret: Option<Secret>,
    pub scopes: Vec<String>,
    pub method: Method,
    pub algorithms: Vec<Algorithm>,
    /// Parameters of the authorization request besides.
    pub extra: Vec<(String, String)>,
    /// PKCE; off for the few that refuse parameters which they do not know.
    pub pkce: bool,
    pub nonce: bool,
    /// Whether the token endpoint wants JSON.
    pub json_body: bool,
    /// Seconds by which clocks may differ.
    pub skew: u64,
    /// Another spelling of the issuer in identity tokens.
    pub other_issuer: Option<String>,
}

impl Rules {
    pub fn new(id: String, secret: Option<Secret>, scopes: Vec<String>) -> Self {
        let method = if secret.is_some() { Method::Basic } else { Method::None };
        let algorithms = vec![Algorithm::RS256, Algorithm::ES256];
        Self {
            id,
            secret,
            scopes,
            method,
            algorithms,
            extra: Vec::new(),
            pkce: true,
            nonce: true,
            json_body: false,
            skew: 60,
            other_issuer: None,
        }
    }
}

/// Where a provider is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// `None`: it has no identity tokens.
    pub issuer: Option<String>,
    pub authorize: String,
    pub token: String,
    pub userinfo: Option<String>,
    pub keys: Option<String>,
    /// It says with each code who gives it (RFC 9207).
    pub says_issuer: bool,
}

enum Where {
    /// The issuer's discovery document says it (OpenID Connect Discovery 1.0, section 4).
    Discovered {
        issuer: String,
        kept: tokio::sync::Mutex<Option<Kept>>,
    },
    Told(Arc<Endpoints>),
}

/// A discovery document, or that there was none to be had.
struct Kept {
    endpoints: Result<Arc<Endpoints>>,
    /// When it is asked again.
    until: Instant,
    /// The last good one.
    last: Option<Arc<Endpoints>>,
}

/// A provider that speaks the protocol.
pub struct Oidc {
    client: Client,
    endpoints: Where,
    rules: Rules,
    keys: Mutex<Keys>,
    /// One at a time asks for keys.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Keys {
    keys: Vec<Jwk>,
    until: Option<Instant>,
    asked: Option<Instant>,
}

impl Oidc {
    pub fn discovered(client: Client, issuer: String, rules: Rules) -> Self {
        Self::new(client, Where::Discovered { issuer, kept: tokio::sync::Mutex::default() }, rules)
    }

    pub fn told(client: Client, endpoints: Endpoints, rules: Rules) -> Self {
        Self::new(client, Where::Told(Arc::new(endpoints)), rules)
    }

    fn new(client: Client, endpoints: Where, rules: Rules) -> Self {
        Self { client, endpoints, rules, keys: Mutex::default(), asking: tokio::sync::Mutex::default() }
    }

    async fn endpoints(&self) -> Result<Arc<Endpoints>> {
        let (issuer, kept) = match &self.endpoints {
            Where::Told(endpoints) => return Ok(endpoints.clone()),
            Where::Discovered { issuer, kept } => (issuer, kept),
        };
        let mut kept = kept.lock().await;
        if let Some(kept) = kept.as_ref().filter(|kept| kept.until > Instant::now()) {
            return kept.endpoints.clone();
        }
        let last = kept.as_ref().and_then(|kept| kept.last.clone());
        let asked = self.discover(issuer).await.map(Arc::new);
        let (endpoints, life) = match (asked, last) {
            (Ok(endpoints), _) => (Ok(endpoints), DOCUMENT_LIFE),
            // What was good before is better than nothing.
            (Err(_), Some(last)) => (Ok(last), PAUSE),
            (Err(fault), None) => (Err(fault), FAILURE_PAUSE),
        };
        let last = endpoints.clone().ok();
        *kept = Some(Kept { endpoints: endpoints.clone(), until: Instant::now() + life, last });
        endpoints
    }

    async fn discover(&self, issuer: &str) -> Result<Endpoints> {
        let url = format!("{}/.well-known/openid-configuration", issuer.strip_suffix('/').unwrap_or(issuer));
        let (status, document) = client::json(self.client.get(&url)).await?;
        if status != 200 {
            return Err(Fault::Unreachable(format!("its discovery document has status {status}")));
        }
        let wanted = |name: &str| {
            text(&document, name).ok_or_else(|| Fault::Wrong(format!("its discovery document has no {name}")))
        };
        // Byte for byte, but for a slash at the end of the setting.
        if wanted("issuer")?.trim_end_matches('/') != issuer.trim_end_matches('/') {
            return Err(Fault::Wrong("its discovery document is of another issuer".into()));
        }
        let endpoints = Endpoints {
            issuer: Some(wanted("issuer")?),
            authorize: wanted("authorization_endpoint")?,
            token: wanted("token_endpoint")?,
            userinfo: text(&document, "userinfo_endpoint"),
            keys: Some(wanted("jwks_uri")?),
            says_issuer: document["authorization_response_iss_parameter_supported"] == true,
        };
        let told = [
            Some(&endpoints.authorize),
            Some(&endpoints.token),
            endpoints.userinfo.as_ref(),
            endpoints.keys.as_ref(),
        ];
        let is_url = |url: &&String| {
            let parsed = reqwest::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
            parsed && !url.contains(|c: char| c.is_control() || c.is_whitespace())
        };
        if !told.into_iter().flatten().all(|url| is_url(&url)) {
            return Err(Fault::Wrong("its discovery document names what is no address".into()));
        }
        // Nothing that was found by TLS leads past it.
        if issuer.starts_with("https://")
            && told.into_iter().flatten().any(|url| !url.starts_with("https://"))
        {
            return Err(Fault::Wrong("its discovery document names an address without https".into()));
        }
        Ok(endpoints)
    }

    pub async fn auth_url(&self, attempt: &Attempt) -> Result<String> {
        let endpoints = self.endpoints().await?;
        let (scope, challenge) = (self.rules.scopes.join(" "), attempt.challenge());
        let mut parameters = vec![
            ("response_type", "code"),
            ("client_id", self.rules.id.as_str()),
            ("redirect_uri", &attempt.redirect_uri),
            ("scope", &scope),
            ("state", &attempt.state),
        ];
        if self.rules.nonce && endpoints.issuer.is_some() {
            parameters.push(("nonce", &attempt.nonce));
        }
        if self.rules.pkce {
            parameters.extend([("code_challenge", challenge.as_str()), ("code_challenge_method", "S256")]);
        }
        parameters.extend(self.rules.extra.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        Ok(with_query(&endpoints.authorize, &parameters))
    }

    pub async fn exchange_code(&self, attempt: &Attempt, callback: &Callback) -> Result<TokenInfo> {
        let endpoints = self.endpoints().await?;
        match (&callback.iss, &endpoints.issuer) {
            (Some(told), Some(issuer)) if told != issuer => {
                return Err(Fault::Wrong("the code is of another issuer".into()));
            }
            (None, _) if endpoints.says_issuer => {
                return Err(Fault::Wrong("the code does not say its issuer".into()));
            }
            _ => {}
        }
        let secret = self.rules.secret.as_ref().map(Secret::expose).unwrap_or_default();
        let mut form = vec![
            ("grant_type", "authorization_code"),
            ("code", callback.code.as_str()),
            ("redirect_uri", &attempt.redirect_uri),
        ];
        if self.rules.pkce {
            form.push(("code_verifier", attempt.verifier.expose()));
        }
        match self.rules.method {
            Method::Basic => {}
            Method::Post => form.extend([("client_id", self.rules.id.as_str()), ("client_secret", secret)]),
            Method::None => form.push(("client_id", &self.rules.id)),
        }
        let mut request = self.client.post(&endpoints.token).header("accept", "application/json");
        if self.rules.method == Method::Basic {
            // Both are encoded before (RFC 6749, section 2.3.1).
            let pair = STANDARD.encode(format!("{}:{}", encoded(&self.rules.id), encoded(secret)));
            request = request.header("authorization", format!("Basic {pair}"));
        }
        request = match self.rules.json_body {
            true => request.json(
                &form
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), Value::from(*value)))
                    .collect::<Map<_, _>>(),
            ),
            false => request.form(&form),
        };
        let (status, answer) = client::json(request).await?;
        let error = text(&answer, "error").map(|error| plain(&error));
        match (text(&answer, "access_token"), error) {
            (Some(token), None) if (200..300).contains(&status) => Ok(TokenInfo {
                access_token: Secret::new(token),
                id_token: text(&answer, "id_token").map(Secret::new),
                claims: Value::Null,
            }),
            (_, Some(error)) if error == "invalid_grant" => Err(Fault::Expired(error)),
            (_, Some(error)) => Err(Fault::Wrong(error)),
            (_, None) if status >= 500 => Err(Fault::Unreachable(format!("status {status}"))),
            (_, None) => Err(Fault::Wrong(format!("no access_token, status {status}"))),
        }
    }

    /// Checks the identity token (OpenID Connect Core, section 3.1.3.7). Where there can be none the access token stands
    /// for itself: we had it from the provider for a code of this attempt.
    pub async fn validate_token(&self, attempt: &Attempt, token: TokenInfo) -> Result<TokenInfo> {
        let endpoints = self.endpoints().await?;
        let (Some(issuer), Some(address)) = (&endpoints.issuer, &endpoints.keys) else { return Ok(token) };
        let wrong = |reason: &str| Fault::Wrong(format!("its identity token is not valid ({reason})"));
        let id_token = token.id_token.as_ref().ok_or_else(|| wrong("there is none"))?.expose();
        let claims = self.verified(id_token, issuer, address, true).await.map_err(|reason| wrong(&reason))?;
        if self.rules.nonce
            && claims["nonce"].as_str().is_none_or(|nonce| !secrets::same(nonce, &attempt.nonce))
        {
            return Err(wrong("it is not of this attempt"));
        }
        if let Some(told) = claims["at_hash"].as_str()
            && is_of_sha256(id_token)
        {
            let hash = Sha256::digest(token.access_token.expose().as_bytes());
            if told.trim_end_matches('=') != URL_SAFE_NO_PAD.encode(&hash[..16]) {
                return Err(wrong("it is of another access token"));
            }
        }
        Ok(TokenInfo { claims, ..token })
    }

    /// Everything that the provider says of the person: the identity token's claims, and `userinfo` where there is one.
    pub async fn claims(&self, token: &TokenInfo) -> Result<Value> {
        let endpoints = self.endpoints().await?;
        let mut all = token.claims.as_object().cloned().unwrap_or_default();
        let Some(userinfo) = &endpoints.userinfo else { return Ok(Value::Object(all)) };
        let request = self.client.get(userinfo).bearer_auth(token.access_token.expose());
        let answer = client::send(request.header("accept", "application/json")).await?;
        if answer.status != 200 {
            return Err(match answer.status {
                500.. => Fault::Unreachable(format!("userinfo has status {}", answer.status)),
                status => Fault::Wrong(format!("userinfo has status {status}")),
            });
        }
        let told =
            match (answer.content_type.starts_with("application/jwt"), &endpoints.issuer, &endpoints.keys) {
                (true, Some(issuer), Some(address)) => {
                    let signed = String::from_utf8_lossy(&answer.bytes);
                    let verified = self.verified(signed.trim(), issuer, address, false).await;
                    verified.map_err(|reason| Fault::Wrong(format!("userinfo: {reason}")))?
                }
                _ => answer.json()?,
            };
        if endpoints.issuer.is_some() && told["sub"] != token.claims["sub"] {
            return Err(Fault::Wrong("userinfo is of another person".into()));
        }
        for (name, value) in told.as_object().cloned().unwrap_or_default() {
            // What was signed stays.
            if !all.contains_key(&name) {
                all.insert(name, value);
            }
        }
        Ok(Value::Object(all))
    }

    /// The claims of a token that one of the provider's keys has signed.
    async fn verified(
        &self,
        token: &str,
        issuer: &str,
        address: &str,
        is_id_token: bool,
    ) -> Result<Value, String> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| "it is none")?;
        if !self.rules.algorithms.contains(&header.alg) {
            return Err("its algorithm is not allowed".into());
        }
        // RFC 7515, section 4.1.11: what must be understood and is not.
        if header.crit.is_some() {
            return Err("it wants extensions that are unknown here".into());
        }
        let mut validation = Validation::new(header.alg);
        validation.leeway = self.rules.skew;
        validation.validate_nbf = true;
        validation.set_audience(&[&self.rules.id]);
        match &self.rules.other_issuer {
            Some(other) => validation.set_issuer(&[issuer, other]),
            None => validation.set_issuer(&[issuer]),
        }
        let wanted: &[&str] = if is_id_token { &["exp", "iss", "aud", "sub"] } else { &["sub"] };
        validation.set_required_spec_claims(wanted);
        validation.validate_exp = is_id_token;
        let mut reason = "there is no key for it".to_owned();
        for is_last in [false, true] {
            for key in self.keys(address, header.kid.as_deref(), header.alg, is_last).await {
                let Ok(key) = DecodingKey::from_jwk(&key) else { continue };
                match jsonwebtoken::decode::<Value>(token, &key, &validation) {
                    Ok(decoded) => return self.checked(decoded.claims, is_id_token),
                    Err(error) => reason = format!("{:?}", error.kind()),
                }
            }
            // Only a key that we do not have may have come since.
            if !matches!(reason.as_str(), "there is no key for it" | "InvalidSignature") {
                break;
            }
        }
        Err(reason)
    }

    /// What the library leaves to us.
    fn checked(&self, claims: Value, is_id_token: bool) -> Result<Value, String> {
        let party = claims["azp"].as_str();
        let many = claims["aud"].as_array().is_some_and(|all| all.len() > 1);
        if (many && party.is_none()) || party.is_some_and(|party| party != self.rules.id) {
            return Err("it was made for another client".into());
        }
        let now = crate::clock::now().millis() / 1_000;
        let is_early = number(&claims, "iat").is_none_or(|at| at > now + self.rules.skew as i64);
        if is_id_token && is_early {
            return Err("it is from the future".into());
        }
        Ok(claims)
    }

    /// The keys that a token may be signed with: of its id, or, without one, the only one that fits. `anew` asks the
    /// provider, but not more than once a minute.
    async fn keys(&self, address: &str, id: Option<&str>, algorithm: Algorithm, anew: bool) -> Vec<Jwk> {
        let fits = |key: &&Jwk| {
            let told = key.common.key_algorithm.and_then(|told| told.to_string().parse::<Algorithm>().ok());
            told.is_none_or(|told| told == algorithm) && is_family(key, algorithm)
        };
        let found = |keys: &[Jwk]| -> Vec<Jwk> {
            let fitting = keys.iter().filter(fits);
            match id {
                Some(id) => fitting.filter(|key| key.common.key_id.as_deref() == Some(id)).cloned().collect(),
                None => fitting.cloned().collect(),
            }
        };
        let is_good = |keys: &Keys| keys.until.is_some_and(|until| until > Instant::now());
        {
            let keys = self.keys.lock();
            if is_good(&keys) && !anew {
                return found(&keys.keys);
            }
        }
        let _one_at_a_time = self.asking.lock().await;
        let may_ask = {
            let keys = self.keys.lock();
            let pause = if keys.keys.is_empty() { FAILURE_PAUSE } else { PAUSE };
            (anew || !is_good(&keys)) && keys.asked.is_none_or(|at| at.elapsed() >= pause)
        };
        if may_ask {
            let asked = self.listed(address).await;
            let mut keys = self.keys.lock();
            keys.asked = Some(Instant::now());
            match asked {
                Ok((listed, max_age)) => {
                    keys.keys = listed;
                    let life = max_age.map_or(KEYS_LIFE, Duration::from_secs).clamp(PAUSE, KEYS_LIFE);
                    keys.until = Some(Instant::now() + life);
                }
                // What was good before stays.
                Err(fault) => tracing::warn!(%fault, "the keys of a provider cannot be read"),
            }
        }
        found(&self.keys.lock().keys)
    }

    /// The keys that the provider lists, and the seconds for which they may be kept.
    async fn listed(&self, address: &str) -> Result<(Vec<Jwk>, Option<u64>)> {
        let answer = client::send(self.client.get(address)).await?;
        if answer.status != 200 {
            return Err(Fault::Unreachable(format!("status {}", answer.status)));
        }
        let mut set = answer.json()?;
        let Some(Value::Array(listed)) = set.get_mut("keys").map(Value::take) else {
            return Err(Fault::Wrong("no list of keys".into()));
        };
        // Kinds of keys that are unknown here are no fault of the others; nor are keys for encryption.
        let usable =
            listed.into_iter().take(KEYS_MAX).filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
        let signs = |key: &Jwk| !matches!(key.common.public_key_use, Some(PublicKeyUse::Encryption));
        Ok((usable.filter(signs).collect(), answer.max_age))
    }
}

/// Whether a key is of the kind that an algorithm needs.
fn is_family(key: &Jwk, algorithm: Algorithm) -> bool {
    use jsonwebtoken::jwk::AlgorithmParameters::{EllipticCurve, OctetKeyPair, RSA};
    match algorithm {
        Algorithm::ES256 | Algorithm::ES384 => matches!(key.algorithm, EllipticCurve(_)),
        Algorithm::EdDSA => matches!(key.algorithm, OctetKeyPair(_)),
        Algorithm::RS256
        | Algorithm::RS384
        | Algorithm::RS512
        | Algorithm::PS256
        | Algorithm::PS384
        | Algorithm::PS512 => {
            matches!(key.algorithm, RSA(_))
        }
        _ => false,
    }
}

fn is_of_sha256(token: &str) -> bool {
    jsonwebtoken::decode_header(token)
        .is_ok_and(|header| matches!(header.alg, Algorithm::RS256 | Algorithm::ES256 | Algorithm::PS256))
}
