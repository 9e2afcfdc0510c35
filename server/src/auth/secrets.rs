//! Random secrets and their hashes.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use smol_str::SmolStr;

/// The system's random numbers could not be had.
#[derive(Debug, thiserror::Error)]
#[error("no random numbers: {0}")]
pub struct NoRandomness(getrandom::Error);

/// `N` random bytes as URL-safe text.
pub fn random<const N: usize>() -> Result<String, NoRandomness> {
    let mut bytes = [0u8; N];
    getrandom::fill(&mut bytes).map_err(NoRandomness)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// `N` random bytes in hex.
pub fn random_hex<const N: usize>() -> Result<String, NoRandomness> {
    let mut bytes = [0u8; N];
    getrandom::fill(&mut bytes).map_err(NoRandomness)?;
    Ok(hex(&bytes))
}

/// SHA-256 in hex: enough for secrets that are random themselves.
pub fn hash(secret: &str) -> SmolStr {
    hex(&Sha256::digest(secret.as_bytes())).into()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// Hexadecimal digits of the public prefix of a service's key.
const PREFIX_LEN: usize = 12;

/// What signs a service's callbacks: `whsec_` and 32 random bytes in base64 (Standard Webhooks, "Signature scheme").
pub fn callback_secret() -> Result<String, NoRandomness> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).map_err(NoRandomness)?;
    Ok(format!("whsec_{}", STANDARD.encode(bytes)))
}

/// A service's key: `hy`, the prefix, the secret, the last two in hex. The prefix is public and finds the service.
/// Letters and digits only, so that the key fits wherever another system's token is asked for.
pub fn service_key() -> Result<(String, SmolStr), NoRandomness> {
    key("hy")
}

/// A person's token for a script, likewise: `hyp`, the prefix, the secret.
pub fn personal_token() -> Result<(String, SmolStr), NoRandomness> {
    key(PERSONAL)
}

/// How personal tokens begin; a service's key goes on with a hexadecimal digit.
const PERSONAL: &str = "hyp";

fn key(start: &str) -> Result<(String, SmolStr), NoRandomness> {
    let mut bytes = [0u8; PREFIX_LEN / 2 + 32];
    getrandom::fill(&mut bytes).map_err(NoRandomness)?;
    let digits = hex(&bytes);
    let prefix = digits[..PREFIX_LEN].into();
    Ok((format!("{start}{digits}"), prefix))
}

/// The public prefix of a service's key.
pub fn key_prefix(key: &str) -> Option<SmolStr> {
    prefix(key.strip_prefix("hy")?)
}

/// The public prefix of a personal token; what is none is another kind of token.
pub fn personal_prefix(token: &str) -> Option<SmolStr> {
    prefix(token.strip_prefix(PERSONAL)?)
}

fn prefix(digits: &str) -> Option<SmolStr> {
    let (prefix, secret) = digits.split_at_checked(PREFIX_LEN)?;
    let is_key = (1..=128).contains(&secret.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_key.then(|| prefix.into())
}

/// Whether two hashes are the same, in a time that does not tell where they differ.
pub fn same(a: &str, b: &str) -> bool {
    use subtle::ConstantTimeEq;
    a.as_bytes().ct_eq(b.as_bytes()).into()
}
