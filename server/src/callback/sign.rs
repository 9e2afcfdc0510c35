//! Signatures as Standard Webhooks has them (specification 1.0.0, "Signature scheme"): `v1,` and the base64 of
//! HMAC-SHA256 over `id.timestamp.body`; several, with spaces between them, while a secret is being replaced.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use hongyan_wire::Timestamp;
use sha2::Sha256;

/// The time that is signed, in whole seconds since 1970.
pub fn seconds(at: Timestamp) -> i64 {
    at.millis().div_euclid(1_000)
}

/// The header's value; `None` if a secret is none.
pub fn signature(secrets: &[String], id: &str, at: Timestamp, body: &str) -> Option<String> {
    let signed = format!("{id}.{}.{body}", seconds(at));
    let one = |secret: &String| {
        let key = STANDARD.decode(secret.strip_prefix("whsec_")?).ok()?;
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
        mac.update(signed.as_bytes());
        Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
    };
    let all: Option<Vec<String>> = secrets.iter().map(one).collect();
    all.filter(|all| !all.is_empty()).map(|all| all.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    #[test]
    fn signs_as_the_specification_does() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned();
        let at = Timestamp::from_millis(1_614_265_330_000);
        let signed = signature(
            std::slice::from_ref(&secret),
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            at,
            r#"{"test": 2432232314}"#,
        );
        let wanted = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(signed.as_deref(), Some(wanted));
        let two = signature(
            &[secret.clone(), secret],
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            at,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(two, Some(format!("{wanted} {wanted}")));
        assert_eq!(signature(&["no secret".into()], "msg_1", at, "{}"), None);
    }
}
