//! Random secrets and their hashes.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
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

/// SHA-256 in hex: enough for secrets that are random themselves.
pub fn hash(secret: &str) -> SmolStr {
    use std::fmt::Write;
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(secret.as_bytes()) {
        // Writing into a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex.into()
}

/// A service's key: `hy_<prefix>_<secret>`. The prefix is public and finds the service.
pub fn service_key() -> Result<(String, SmolStr), NoRandomness> {
    let mut prefix = [0u8; 6];
    getrandom::fill(&mut prefix).map_err(NoRandomness)?;
    let prefix: String = prefix.iter().map(|byte| format!("{byte:02x}")).collect();
    let key = format!("hy_{prefix}_{}", random::<32>()?);
    Ok((key, prefix.into()))
}

/// The public prefix of a service's key.
pub fn key_prefix(key: &str) -> Option<SmolStr> {
    let (prefix, secret) = key.strip_prefix("hy_")?.split_once('_')?;
    (prefix.len() == 12 && !secret.is_empty() && secret.len() <= 128).then(|| prefix.into())
}

/// Whether two hashes are the same, in a time that does not tell where they differ.
pub fn same(a: &str, b: &str) -> bool {
    use subtle::ConstantTimeEq;
    a.as_bytes().ct_eq(b.as_bytes()).into()
}
