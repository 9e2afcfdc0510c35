//! The two cookies there are: one has a page's refresh token, one binds a sign-in at a provider to the browser in which
//! it began. Neither says who calls: that is always the `Authorization` header.

use super::origin::Origins;
use crate::config::Config;
use crate::error::{Error, Result};
use axum::http::{HeaderMap, HeaderValue, header};
use hongyan_wire::Timestamp;
use hongyan_wire::error::ErrorType;

/// A header that a form on a foreign page cannot send.
pub const OURS: &str = "x-requested-with";
/// What it holds.
const HONGYAN: &str = "hongyan";

/// How cookies are written: the way by which people come decides whether they need TLS (RFC 6265bis, section 4.1.3).
#[derive(Debug, Clone, Copy)]
pub struct Cookies {
    secure: bool,
}

impl Cookies {
    pub fn new(config: &Config) -> Self {
        Self { secure: config.public_url.starts_with("https://") }
    }

    /// Keeps a refresh token until it ends, for this server's own pages and the paths that need it.
    pub fn keep(self, token: &str, until: Timestamp) -> Result<HeaderValue> {
        let seconds = (until.millis() - crate::clock::now().millis()).max(0) / 1_000;
        self.session(token, seconds)
    }

    /// Takes it away.
    pub fn forget(self) -> Result<HeaderValue> {
        self.session("", 0)
    }

    fn session(self, value: &str, seconds: i64) -> Result<HeaderValue> {
        let name = self.session_name();
        self.written(format!(
            "{name}={value}; Path=/api/v3/auth; Max-Age={seconds}; HttpOnly; SameSite=Strict"
        ))
    }

    /// Binds a sign-in to this browser. It must come along when a provider sends the browser back.
    pub fn bind(self, state: &str, secret: &str, seconds: i64) -> Result<HeaderValue> {
        let name = self.binding_name(state);
        // What begins with `__Host-` is of this host alone, and of all its paths.
        let path = if self.secure { "/" } else { "/api/v3/auth" };
        self.written(format!("{name}={secret}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Lax"))
    }

    fn written(self, mut text: String) -> Result<HeaderValue> {
        if self.secure {
            text.push_str("; Secure");
        }
        HeaderValue::from_str(&text).map_err(Error::internal)
    }

    /// The refresh token, from a page of ours.
    pub fn refresh_token(self, headers: &HeaderMap) -> Option<String> {
        find(headers, self.session_name()).map(str::to_owned)
    }

    /// What binds a sign-in to this browser.
    pub fn binding(self, headers: &HeaderMap, state: &str) -> Option<String> {
        find(headers, &self.binding_name(state)).map(str::to_owned)
    }

    /// Browsers take a name that begins so only with `Secure`.
    const fn session_name(self) -> &'static str {
        if self.secure { "__Secure-hongyan_session" } else { "hongyan_session" }
    }

    /// One for each sign-in, so that two tabs do not disturb each other. No neighbouring host can plant one.
    fn binding_name(self, state: &str) -> String {
        let start = if self.secure { "__Host-" } else { "" };
        let short: String = state.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
        format!("{start}hongyan_login_{short}")
    }
}

/// The last cookie of a name that is the same wherever it was set; two that differ are none.
fn find<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut values = pairs.filter(|(known, _)| *known == name).map(|(_, value)| value);
    let first = values.next()?;
    values.all(|other| other == first).then_some(first)
}

/// Lets pass only what a page of ours has sent by a script.
pub fn own_page(headers: &HeaderMap, origins: &Origins) -> Result<()> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_scripted = text(OURS).is_some_and(|value| value.eq_ignore_ascii_case(HONGYAN));
    let is_same_site = text("sec-fetch-site").is_none_or(|site| site == "same-origin");
    if is_scripted && is_same_site && origins.allows_socket(headers) {
        return Ok(());
    }
    let message = "cookies are taken only from this server's own pages, with `X-Requested-With: hongyan`";
    Err(Error::new(ErrorType::PermissionDenied, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(cookies: &[&str]) -> HeaderMap {
        cookies.iter().map(|line| (header::COOKIE, HeaderValue::from_str(line).unwrap())).collect()
    }

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let read = |lines: &[&str]| find(&headers(lines), "a").map(str::to_owned);
        assert_eq!(read(&["b=1; a=2", "c=3"]).as_deref(), Some("2"));
        assert_eq!(read(&["xa=1; ab=2"]), None);
        assert_eq!(read(&["a=1; a=1"]).as_deref(), Some("1"));
        // Someone else's page on a neighbouring host has put one there.
        assert_eq!(read(&["a=1", "a=2"]), None);
    }

    #[test]
    fn over_tls_a_cookie_goes_over_nothing_else() {
        let kept = Cookies { secure: true }.keep("t", crate::clock::now().plus_millis(5_500)).unwrap();
        let expected =
            "__Secure-hongyan_session=t; Path=/api/v3/auth; Max-Age=5; HttpOnly; SameSite=Strict; Secure";
        assert_eq!(kept.to_str().unwrap(), expected);
        let bound = Cookies { secure: true }.bind("abcdefghijkl", "s", 600).unwrap();
        let expected = "__Host-hongyan_login_abcdefgh=s; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure";
        assert_eq!(bound.to_str().unwrap(), expected);
        assert!(!Cookies { secure: false }.forget().unwrap().to_str().unwrap().contains("Secure"));
    }
}
