//! Who sends, said to a push service: RFC 8292.

use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{EcdsaKeyPair, KeyPair};
use base64::Engine;

use crate::model::push::BASE64_URL;
use crate::model::time::Timestamp;

/// RFC 8292 section 2 allows 24 h; half of it is right also where a clock is wrong.
const GOOD_FOR: Duration = Duration::from_secs(12 * 3600);

pub(super) struct Vapid {
    key: EcdsaKeyPair,
    /// `mailto:` or `https:`; empty: said nothing.
    subject: String,
}

impl Vapid {
    pub(super) fn new(key: EcdsaKeyPair, subject: String) -> Self {
        Self { key, subject }
    }

    /// What browsers subscribe to.
    pub(super) fn public_key(&self) -> String {
        BASE64_URL.encode(self.key.public_key())
    }

    /// The `Authorization` for one push service: it is good for no other.
    pub(super) fn authorization(&self, origin: &str, now: Timestamp) -> String {
        let mut claims = serde_json::json!({"aud": origin, "exp": now.plus(GOOD_FOR).as_millis() / 1000});
        if !self.subject.is_empty() {
            claims["sub"] = self.subject.as_str().into();
        }
        let signed = format!(
            "{}.{}",
            BASE64_URL.encode(r#"{"typ":"JWT","alg":"ES256"}"#),
            BASE64_URL.encode(claims.to_string())
        );
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes());
        let signature = signature.expect("the system's random source does not fail once it is up");
        format!("vapid t={signed}.{}, k={}", BASE64_URL.encode(signature), self.public_key())
    }
}
