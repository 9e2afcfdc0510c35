//! What is asked of a backup, in an address, in headers or in a body: understood, or refused with the field that is wrong.

use crate::backup::{Asked, Format, Sealed, Wanted};
use crate::error::{Error, Result};
use crate::http::UserGateway;
use axum::http::{HeaderMap, HeaderName, header};
use hongyan_backup::{Compression, Encryption, Kind, Language, Since};
use hongyan_wire::backup::BackupRequest;
use hongyan_wire::limits::{PASSPHRASE_MAX, PASSPHRASE_MIN};
use serde::Deserialize;
use utoipa::IntoParams;

/// The passphrase of an encrypted backup: never in an address.
pub(super) const PASSPHRASE: HeaderName = HeaderName::from_static("x-backup-passphrase");
/// The recipient of an encrypted backup, `age1…`.
const RECIPIENT: HeaderName = HeaderName::from_static("x-backup-recipient");
/// By how much a client's clock may be ahead, in milliseconds.
const CLOCKS_APART: i64 = 60_000;

/// What is wanted, in an address.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BackupQuery {
    /// `full` (messages, read states, devices), `messages`, or `incremental`; `full` when left out.
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    /// `gzip` and `zstd` make such a file; `none` or `false` none. `true` or left out: in transit, as `Accept-Encoding` has it.
    pub(super) compress: Option<String>,
    /// `passphrase`, with it in the header `X-Backup-Passphrase`; `recipient`, with an `age1…` in `X-Backup-Recipient`; `none`.
    pub(super) encrypt: Option<String>,
    /// For `incremental`: the `X-Backup-Cursor` of the backup before, a place (`pos`), or a time (RFC 3339).
    pub(super) since: Option<String>,
}

/// What is wanted of an export, in an address.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    /// `jsonl` (a message a line, the newest last) or `html` (a page to read, the newest first).
    format: Option<String>,
    /// `full`, or left out.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// As for a backup.
    compress: Option<String>,
    /// As for a backup.
    encrypt: Option<String>,
    /// Of the labels of a page: `zh` or `en`; as `Accept-Language` has it when left out.
    lang: Option<String>,
}

impl From<ExportQuery> for BackupRequest {
    fn from(query: ExportQuery) -> Self {
        let ExportQuery { format, kind, compress, encrypt, lang } = query;
        Self { kind, compress, encrypt, format, lang, ..Self::default() }
    }
}

impl From<BackupQuery> for BackupRequest {
    fn from(query: BackupQuery) -> Self {
        let BackupQuery { kind, compress, encrypt, since } = query;
        Self { kind, compress, encrypt, since, ..Self::default() }
    }
}

impl UserGateway {
    /// What a request asks for, by its address and its headers, and the coding in which it goes over.
    pub(super) fn wanted(
        &self,
        query: BackupRequest,
        headers: &HeaderMap,
    ) -> Result<(Wanted, Option<&'static str>)> {
        let is_in_transit = matches!(query.compress.as_deref(), None | Some("true"));
        let request = BackupRequest { compress: query.compress.filter(|_| !is_in_transit), ..query };
        let wanted = self.wanted_by(request, headers)?;
        // What is encrypted looks like chance: nothing makes it smaller.
        if !is_in_transit || wanted.asked.sealed != Sealed::None {
            return Ok((wanted, None));
        }
        let packing = accepted(headers);
        let coding = packing.coding();
        Ok((Wanted { asked: Asked { compression: packing, ..wanted.asked }, ..wanted }, coding))
    }

    /// What a request asks for; what it does not say of the language and of who can open it follows from its headers.
    pub(super) fn wanted_by(&self, request: BackupRequest, headers: &HeaderMap) -> Result<Wanted> {
        let passphrase = once(request.passphrase, "passphrase", headers, &PASSPHRASE)?;
        let recipient = once(request.recipient, "recipient", headers, &RECIPIENT)?;
        let request = BackupRequest { passphrase, recipient, ..request };
        let kind = match request.kind.as_deref() {
            None => Kind::Full,
            Some(word) => Kind::named(word)
                .ok_or_else(|| Error::field("type", "must be full, messages or incremental"))?,
        };
        let compression = match request.compress.as_deref() {
            None | Some("none" | "false") => Compression::None,
            Some("gzip" | "true") => Compression::Gzip,
            Some("zstd") => Compression::Zstd,
            Some(_) => return Err(Error::field("compress", "must be gzip, zstd, true, false or none")),
        };
        let format = format(&request, headers)?;
        if format != Format::Database && kind != Kind::Full {
            return Err(Error::field("type", "must be full, or left out, where the format is jsonl or html"));
        }
        let (sealed, encryption) = self.encryption(&request)?;
        let since = match (kind, request.since.as_deref()) {
            (Kind::Incremental, Some(text)) => Some(self.since(text)?),
            (Kind::Incremental, None) => {
                let reason = "is missing: the X-Backup-Cursor of the backup before, a place or a time";
                return Err(Error::field("since", reason));
            }
            (_, Some(_)) => return Err(Error::field("since", "is for type=incremental")),
            (_, None) => None,
        };
        let since_text = request.since.filter(|_| since.is_some());
        let asked = Asked { kind, since: since_text, compression, sealed, format };
        Ok(Wanted { asked, since, encryption })
    }

    fn since(&self, text: &str) -> Result<Since> {
        let wrong = |reason: &str| Error::field("since", reason);
        let log = self.journal.log();
        let since = crate::backup::since(text, log.epoch()).map_err(wrong)?;
        match since {
            // Nothing would ever come behind it, and nobody would notice.
            Since::Place { pos, .. } if pos > log.head() => {
                let reason = "is a place that is not there yet (a time is written as 2026-01-15T10:30:00Z)";
                Err(wrong(reason))
            }
            Since::Time(at) if at > crate::clock::now().plus_millis(CLOCKS_APART).millis() => {
                Err(wrong("is in the future"))
            }
            since => Ok(since),
        }
    }

    fn encryption(&self, request: &BackupRequest) -> Result<(Sealed, Encryption)> {
        let (passphrase, recipient) = (request.passphrase.as_deref(), request.recipient.as_deref());
        let wanted = match (request.encrypt.as_deref(), passphrase, recipient) {
            (Some("none" | "false"), None, None) => "none",
            (Some("none" | "false"), ..) => {
                return Err(Error::field(
                    "encrypt",
                    "must be left out where a passphrase or a recipient is given",
                ));
            }
            (None | Some("true"), Some(_), Some(_)) => {
                return Err(Error::field("encrypt", "must be passphrase or recipient: both are given"));
            }
            (Some("passphrase"), ..) | (None | Some("true"), Some(_), _) => "passphrase",
            (Some("recipient"), ..) | (None | Some("true"), _, Some(_)) => "recipient",
            (None, None, None) => "none",
            // It is not said again what was given: it may be a secret that has no place in an address.
            _ => {
                let reason = "must be passphrase (given in the header X-Backup-Passphrase), recipient (X-Backup-Recipient) or none";
                return Err(Error::field("encrypt", reason));
            }
        };
        match wanted {
            "passphrase" => {
                let given = passphrase.unwrap_or_default();
                if !(PASSPHRASE_MIN..=PASSPHRASE_MAX).contains(&given.chars().count()) {
                    let reason =
                        "must have 12 to 1024 characters, in the header X-Backup-Passphrase or the body";
                    return Err(Error::field("passphrase", reason));
                }
                let same = self.backups.number_of(given);
                Ok((Sealed::Passphrase(Some(same)), Encryption::to_passphrase(given)))
            }
            "recipient" => {
                let given = recipient.unwrap_or_default().trim();
                let reason = "must be an age1… recipient, in the header X-Backup-Recipient or the body";
                let encryption =
                    Encryption::to_recipient(given).ok_or_else(|| Error::field("recipient", reason))?;
                Ok((Sealed::Recipient(given.to_owned()), encryption))
            }
            _ => Ok((Sealed::None, Encryption::None)),
        }
    }
}

/// What is given in a body or in a header, and not in both.
fn once(
    in_body: Option<String>,
    field: &str,
    headers: &HeaderMap,
    name: &HeaderName,
) -> Result<Option<String>> {
    match (in_body, given(headers, name)?) {
        (Some(_), Some(_)) => {
            Err(Error::field(field, format!("must be left out where the header {name} is given")))
        }
        (in_body, in_header) => Ok(in_body.or(in_header)),
    }
}

/// The text of a header that may be there once.
pub(super) fn given(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Error::field(name.as_str(), "must be given once"));
    }
    let text = std::str::from_utf8(value.as_bytes());
    text.map(|text| Some(text.to_owned())).map_err(|_| Error::field(name.as_str(), "must be text in UTF-8"))
}

/// As what the messages are wanted.
fn format(request: &BackupRequest, headers: &HeaderMap) -> Result<Format> {
    let named = request
        .lang
        .as_deref()
        .map(|tag| Language::named(tag).ok_or_else(|| Error::field("lang", "must be zh or en")));
    let language = named.transpose()?;
    match request.format.as_deref() {
        None | Some("database") => Ok(Format::Database),
        Some("jsonl") => Ok(Format::Jsonl),
        Some("html") => Ok(Format::Html(language.unwrap_or_else(|| spoken(headers)))),
        Some(_) => Err(Error::field("format", "must be database, jsonl or html")),
    }
}

/// The language that a client prefers, of those that there are (RFC 9110, section 12.5.4); English where it says nothing.
fn spoken(headers: &HeaderMap) -> Language {
    let lines = headers.get_all(header::ACCEPT_LANGUAGE).iter().filter_map(|value| value.to_str().ok());
    let mut best = (0.0, Language::default());
    for part in lines.flat_map(|line| line.split(',')) {
        let (tag, weight) = weighed(part);
        if let Some(language) = Language::named(tag).filter(|_| weight > best.0) {
            best = (weight, language);
        }
    }
    best.1
}

/// One of a list of preferences, and its weight (RFC 9110, section 12.4.2).
fn weighed(part: &str) -> (&str, f32) {
    let (name, weight) = part.split_once(';').unwrap_or((part, ""));
    let weight = weight.trim().strip_prefix("q=").map_or(1.0, |q| q.trim().parse().unwrap_or(0.0));
    (name.trim(), weight)
}

/// The coding that a client prefers, of those that there are (RFC 9110, section 12.5.3): zstd before gzip where it does
/// not mind.
fn accepted(headers: &HeaderMap) -> Compression {
    let lines = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut best = (0.0, Compression::None);
    for part in lines.flat_map(|line| line.split(',')) {
        let (name, weight) = weighed(part);
        let packing = match name {
            "zstd" => Compression::Zstd,
            "gzip" | "x-gzip" => Compression::Gzip,
            _ => continue,
        };
        let is_better = weight > best.0 || (weight == best.0 && packing == Compression::Zstd);
        if weight > 0.0 && is_better {
            best = (weight, packing);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn the_coding_is_what_a_client_prefers() {
        let of = |text: &str| {
            accepted(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_str(text).unwrap())]))
        };
        for (text, expected) in [
            ("gzip, deflate, br, zstd", Compression::Zstd),
            ("gzip", Compression::Gzip),
            ("deflate, br", Compression::None),
            ("gzip;q=1.0, zstd;q=0.5", Compression::Gzip),
            ("zstd;q=0, gzip;q=0", Compression::None),
            ("identity", Compression::None),
            ("", Compression::None),
        ] {
            assert_eq!(of(text), expected, "{text}");
        }
        assert_eq!(accepted(&HeaderMap::new()), Compression::None);
    }

    #[test]
    fn the_language_is_what_a_client_prefers() {
        let of = |text: &str| {
            spoken(&HeaderMap::from_iter([(header::ACCEPT_LANGUAGE, HeaderValue::from_str(text).unwrap())]))
        };
        for (text, expected) in [
            ("zh-CN,zh;q=0.9,en;q=0.8", Language::Zh),
            ("en-GB, zh;q=0.9", Language::En),
            ("de, zh;q=0.5, en;q=0.4", Language::Zh),
            ("zh;q=0", Language::En),
            ("fr", Language::En),
        ] {
            assert_eq!(of(text), expected, "{text}");
        }
        assert_eq!(spoken(&HeaderMap::new()), Language::En);
    }
}
