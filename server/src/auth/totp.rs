//! One-time passwords by time (RFC 6238) as authenticators have them: HMAC-SHA-1, six digits, thirty seconds.

use hmac::{Hmac, Mac};
use sha1::Sha1;

/// Seconds for which a code is shown.
const STEP: i64 = 30;
/// Steps by which the clocks of both may differ (RFC 6238, section 5.2).
const DRIFT: i64 = 1;
const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The step whose code this is, if it is one of those that count at this moment, in seconds since 1970. A step must
/// not be taken twice.
pub fn step(secret: &[u8], code: &str, now: i64) -> Option<i64> {
    let current = now.div_euclid(STEP);
    (current - DRIFT..=current + DRIFT)
        .find(|step| crate::auth::secrets::same(&self::code(secret, *step), code))
}

/// The code of a step (RFC 4226, section 5.3).
fn code(secret: &[u8], step: i64) -> String {
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(secret) else { return String::new() };
    mac.update(&step.to_be_bytes());
    let hash = mac.finalize().into_bytes();
    let offset = usize::from(hash[19] & 15);
    let word = u32::from_be_bytes([hash[offset], hash[offset + 1], hash[offset + 2], hash[offset + 3]]);
    format!("{:06}", (word & 0x7fff_ffff) % 1_000_000)
}

/// Bytes in base32 without padding (RFC 4648, section 6).
pub fn base32(bytes: &[u8]) -> String {
    let bit = |n: usize| bytes.get(n / 8).is_some_and(|byte| byte >> (7 - n % 8) & 1 == 1);
    let digit = |n: usize| (0..5).fold(0, |digit, m| digit << 1 | usize::from(bit(n * 5 + m)));
    (0..(bytes.len() * 8).div_ceil(5)).map(|n| char::from(DIGITS[digit(n)])).collect()
}

/// What [`base32`] was made from.
pub fn from_base32(text: &str) -> Option<Vec<u8>> {
    let mut bits = Vec::with_capacity(text.len() * 5);
    for byte in text.bytes() {
        let digit = DIGITS.iter().position(|known| *known == byte)?;
        bits.extend((0..5).rev().map(|n| digit >> n & 1 == 1));
    }
    Some(
        bits.chunks_exact(8)
            .map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit)))
            .collect(),
    )
}

/// What an authenticator reads (Google Authenticator's key URI format).
pub fn uri(secret: &str, account: &str) -> String {
    let account: String = form_urlencoded::byte_serialize(account.as_bytes()).collect();
    let account = account.replace('+', "%20");
    format!(
        "otpauth://totp/Hongyan:{account}?secret={secret}&issuer=Hongyan&algorithm=SHA1&digits=6&period=30"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_specification() {
        // RFC 6238, appendix B, the last six of eight digits.
        for (time, expected) in [(59, "287082"), (1_111_111_109, "081804"), (2_000_000_000, "279037")] {
            assert_eq!(code(b"12345678901234567890", time / STEP), expected);
            assert_eq!(step(b"12345678901234567890", expected, time), Some(time / STEP));
            assert_eq!(step(b"12345678901234567890", expected, time + STEP), Some(time / STEP));
            assert_eq!(step(b"12345678901234567890", expected, time + 3 * STEP), None);
        }
        assert_eq!(step(b"12345678901234567890", "", 59), None);
    }

    #[test]
    fn base32_is_that_of_the_specification() {
        // RFC 4648, section 10.
        for (bytes, text) in
            [("f", "MY"), ("fo", "MZXQ"), ("foo", "MZXW6"), ("foob", "MZXW6YQ"), ("foobar", "MZXW6YTBOI")]
        {
            assert_eq!(base32(bytes.as_bytes()), text);
            assert_eq!(from_base32(text).unwrap(), bytes.as_bytes());
        }
        assert_eq!(from_base32("a1"), None);
    }
}
