//! The one place through which everything that is logged goes: whatever looks like a secret is written as `***`, whoever
//! has logged it, a library's own words included.

use regex::Regex;
use std::borrow::Cow;
use std::io::{self, Stderr, Write};
use std::sync::{Arc, OnceLock};
use tracing_subscriber::fmt::MakeWriter;

/// Secrets by their looks: the first group stays.
const LOOKS: &[&str] = &[
    // As parameters and as JSON.
    r#"(?i)(\b(?:access_?token|refresh_?token|id_?token|token|ticket|(?:auth_?)?code|code_verifier|state|secret|\w*secret|password|otp|api_?key|challenge_id)["']?\s*[=:]\s*["']?)[^\s&"',;})]+"#,
    // As credentials in headers.
    r"(?i)(\b(?:bearer|service|basic)\s+)[A-Za-z0-9._~+/=-]{12,}",
    r"(?i)((?:set-)?cookie:?\s+\S*?=)[^\s;]+",
    // Our own, wherever they stand: JWT, keys and personal tokens, refresh tokens, one-time links, callback secrets.
    r"()\beyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*",
    r"(\bhyp?)[0-9a-f]{40,}",
    r"()\b[0-9a-f]{8}-[0-9a-f-]{27}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{20,}",
    r"(#/link/)[A-Za-z0-9_-]+",
    r"(whsec_)[A-Za-z0-9+/=]+",
];

/// What is shorter is a part of other words.
const SHORTEST: usize = 8;

fn looks() -> &'static [Regex] {
    static COMPILED: OnceLock<Vec<Regex>> = OnceLock::new();
    COMPILED.get_or_init(|| LOOKS.iter().filter_map(|look| Regex::new(look).ok()).collect())
}

/// Takes out what looks like a secret, and what is known to be one.
pub fn redacted<'a>(text: &'a str, known: &[String]) -> Cow<'a, str> {
    let mut text = Cow::Borrowed(text);
    for secret in known.iter().filter(|secret| secret.len() >= SHORTEST) {
        if text.contains(secret.as_str()) {
            text = Cow::Owned(text.replace(secret.as_str(), "***"));
        }
    }
    for look in looks() {
        if look.is_match(&text) {
            text = Cow::Owned(look.replace_all(&text, "${1}***").into_owned());
        }
    }
    text
}

/// Standard error, without secrets.
#[derive(Clone, Default)]
pub struct Redacting {
    /// Secrets of the settings.
    pub known: Arc<[String]>,
}

impl<'a> MakeWriter<'a> for Redacting {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { known: self.known.clone(), stderr: io::stderr() }
    }
}

/// Writes one event, which comes whole.
pub struct Line {
    known: Arc<[String]>,
    stderr: Stderr,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        self.stderr.write_all(redacted(&text, &self.known).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stderr.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_taken_out_and_the_rest_stays() {
        assert_eq!(looks().len(), LOOKS.len());
        let long = "0123456789abcdef".repeat(5);
        for (before, after) in [
            ("GET /x?access_token=abc&b=1", "GET /x?access_token=***&b=1"),
            ("corpsecret=s-1&corpid=c", "corpsecret=***&corpid=c"),
            (r#"{"clientSecret":"x y","n":1}"#, r#"{"clientSecret":"*** y","n":1}"#),
            (r#""code": "4/0Ab", "z""#, r#""code": "***", "z""#),
            ("authorization: Bearer abcdefghijklmnop", "authorization: Bearer ***"),
            ("eyJhbGciOiJI.eyJzdWIi.c2ln end", "*** end"),
            ("https://x/#/link/AbC-1_2 end", "https://x/#/link/*** end"),
            ("a plain line about ann, session=1", "a plain line about ann, session=1"),
            ("the word is canary-1", "the word is ***"),
        ] {
            assert_eq!(redacted(before, &["canary-1".into(), "a".into()]), after);
        }
        assert_eq!(redacted(&format!("hyp{long}"), &[]), "hyp***");
        assert_eq!(redacted(&format!("hy{long}"), &[]), "hy***");
        let refresh = format!("01a20a5a-acba-7767-9f55-9e2709400021.{}.{}", "A".repeat(22), "b".repeat(43));
        assert_eq!(redacted(&refresh, &[]), "***");
    }
}
