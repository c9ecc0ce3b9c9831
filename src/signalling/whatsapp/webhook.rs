//! The lock on the webhook's door. The door itself, and where the body goes, is the control API's.

use std::sync::Arc;

use aws_lc_rs::{constant_time, digest, hmac};
use secrecy::{ExposeSecret, SecretString};

use super::signature::{self, BadSignature};

/// Meta's challenge is a number of about ten digits; room for more, none for a page.
const CHALLENGE_LEN_MAX: usize = 128;

/// Knows the app secret and the verify token, and says yes or no.
#[derive(Clone)]
pub struct Webhook {
    keys: Arc<[hmac::Key]>,
    verify_token: SecretString,
}

/// A secret without which no webhook can be recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmptySecret {
    #[error("the WhatsApp app secret is empty: set whatsapp.app_secret_file or its environment variable")]
    App,
    #[error("the WhatsApp verify token is empty: set whatsapp.verify_token_file or its environment variable")]
    VerifyToken,
}

impl Webhook {
    /// `app_secrets` holds one secret a line: one, or two while Meta's app secret is being rotated.
    ///
    /// # Errors
    /// [`EmptySecret`]: an empty key would accept what anybody signs.
    pub fn new(app_secrets: &SecretString, verify_token: SecretString) -> Result<Self, EmptySecret> {
        let lines = app_secrets.expose_secret().lines().map(str::trim).filter(|line| !line.is_empty());
        let keys: Arc<[hmac::Key]> = lines.map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes())).collect();
        if keys.is_empty() {
            return Err(EmptySecret::App);
        }
        if verify_token.expose_secret().is_empty() {
            return Err(EmptySecret::VerifyToken);
        }
        Ok(Self { keys, verify_token })
    }

    /// Whether `body`, the bytes as they came, was signed by Meta. `signatures` are all values of
    /// [`SIGNATURE_HEADER`](super::SIGNATURE_HEADER); there must be exactly one.
    ///
    /// # Errors
    /// [`BadSignature`]: answer 401 and keep nothing.
    pub fn verify<'a>(&self, signatures: impl IntoIterator<Item = &'a [u8]>, body: &[u8]) -> Result<(), BadSignature> {
        signature::verify(&self.keys, signatures, body)
    }

    /// Answers Meta's question when the webhook's address is set: the text to send back as `text/plain`, or `None` for
    /// 403.
    ///
    /// The challenge is echoed, so it must be what Meta sends, a short word; nothing that a browser could read as a page.
    pub fn challenge(&self, mode: &str, token: &str, challenge: &str) -> Option<String> {
        // Digests have one length, so the comparison does not tell the token's.
        let digest = |text: &str| digest::digest(&digest::SHA256, text.as_bytes());
        let ours = digest(self.verify_token.expose_secret());
        let right = constant_time::verify_slices_are_equal(ours.as_ref(), digest(token).as_ref()).is_ok();
        let harmless = (1..=CHALLENGE_LEN_MAX).contains(&challenge.len())
            && challenge.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
        (right && harmless && mode == "subscribe").then(|| challenge.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    const BODY: &[u8] = br#"{"object":"whatsapp_business_account","entry":[{"id":"200000000000002","changes":[{"field":"calls","value":{"contacts":[{"profile":{"name":"Nin\u00f3 \/ K"}}]}}]}]}"#;

    fn webhook(app_secrets: &str) -> Webhook {
        Webhook::new(&SecretString::from(app_secrets), SecretString::from("verify-me")).unwrap()
    }

    fn sign(secret: &str, body: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        format!("sha256={}", hex::encode(hmac::sign(&key, body)))
    }

    #[test]
    fn the_signature_is_the_hmac_of_the_raw_bytes_as_openssl_computes_it() {
        // printf '%s' '{"a":"b\/c"}' | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
        let header = "sha256=1bc2878d13783815753f166945236c2c3ac7fd5694e44e2e3f5c3851005f43ff";
        assert_eq!(webhook(SECRET).verify([header.as_bytes()], br#"{"a":"b\/c"}"#), Ok(()));
        assert_eq!(webhook(SECRET).verify([header.as_bytes()], br#"{"a":"b/c"}"#), Err(BadSignature::Wrong));
    }

    #[test]
    fn no_mutant_of_a_signed_body_or_of_its_signature_is_accepted() {
        let webhook = webhook(SECRET);
        let header = sign(SECRET, BODY);
        assert_eq!(webhook.verify([header.as_bytes()], BODY), Ok(()));
        let mut mutants = 0;
        for bit in 0..BODY.len() * 8 {
            let mut body = BODY.to_vec();
            body[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(webhook.verify([header.as_bytes()], &body), Err(BadSignature::Wrong), "bit {bit} of the body");
            mutants += 1;
        }
        for bit in 0..header.len() * 8 {
            let mut header = header.clone().into_bytes();
            header[bit / 8] ^= 1 << (bit % 8);
            assert!(webhook.verify([header.as_slice()], BODY).is_err(), "bit {bit} of the header");
            mutants += 1;
        }
        for len in 0..BODY.len() {
            assert_eq!(webhook.verify([header.as_bytes()], &BODY[..len]), Err(BadSignature::Wrong), "cut at {len}");
            mutants += 1;
        }
        assert!(mutants > 1800, "{mutants}");
    }

    #[test]
    fn only_one_header_in_metas_own_spelling_counts() {
        #[track_caller]
        fn check(headers: &[&str], want: Result<(), BadSignature>) {
            assert_eq!(webhook(SECRET).verify(headers.iter().map(|h| h.as_bytes()), BODY), want, "{headers:?}");
        }
        let good = sign(SECRET, BODY);
        let digits = good.strip_prefix("sha256=").unwrap();
        check(&[&good], Ok(()));
        check(&[], Err(BadSignature::Missing));
        check(&[&good, &good], Err(BadSignature::Repeated));
        check(&[&good, "sha256=00"], Err(BadSignature::Repeated));
        check(&[&format!("sha256={}", digits.to_uppercase())], Err(BadSignature::Malformed));
        check(&[&good.to_uppercase()], Err(BadSignature::Malformed));
        for prefix in ["", "sha1=", "sha512=", "SHA256=", "sha256:", "sha256= ", "sha256=0x"] {
            check(&[&format!("{prefix}{digits}")], Err(BadSignature::Malformed));
        }
        for bad in [
            "",
            "sha256=",
            &good[..good.len() - 1],
            &format!("{good}0"),
            &format!("{good} "),
            &format!("{good},{good}"),
        ] {
            check(&[bad], Err(BadSignature::Malformed));
        }
        check(&[&sign("another secret", BODY)], Err(BadSignature::Wrong));
        check(&[&sign("", BODY)], Err(BadSignature::Wrong));
        // The verify token is no key.
        check(&[&sign("verify-me", BODY)], Err(BadSignature::Wrong));
    }

    #[test]
    fn json_written_again_has_another_signature() {
        let again = serde_json::to_vec(&serde_json::from_slice::<serde_json::Value>(BODY).unwrap()).unwrap();
        assert_eq!(webhook(SECRET).verify([sign(SECRET, BODY).as_bytes()], &again), Err(BadSignature::Wrong));
    }

    #[test]
    fn during_a_rotation_both_secrets_count_and_afterwards_only_the_new_one() {
        for (secrets, old, new) in
            [("old-one", true, false), ("old-one\r\nnew-one\n", true, true), ("\nnew-one", false, true)]
        {
            let webhook = webhook(secrets);
            assert_eq!(webhook.verify([sign("old-one", BODY).as_bytes()], BODY).is_ok(), old, "{secrets:?}");
            assert_eq!(webhook.verify([sign("new-one", BODY).as_bytes()], BODY).is_ok(), new, "{secrets:?}");
            assert_eq!(webhook.verify([sign("", BODY).as_bytes()], BODY), Err(BadSignature::Wrong), "{secrets:?}");
        }
    }

    #[test]
    fn an_empty_secret_is_refused_at_the_start() {
        let new = |app: &str, token: &str| Webhook::new(&SecretString::from(app), SecretString::from(token)).err();
        assert_eq!(new(" \n\n", "verify-me"), Some(EmptySecret::App));
        assert_eq!(new(SECRET, ""), Some(EmptySecret::VerifyToken));
        assert_eq!(new(SECRET, "verify-me"), None);
    }

    #[test]
    fn the_challenge_is_echoed_to_who_knows_the_token_and_only_if_it_is_a_word() {
        #[track_caller]
        fn check(mode: &str, token: &str, challenge: &str, echoed: bool) {
            let want = echoed.then(|| challenge.to_owned());
            assert_eq!(webhook(SECRET).challenge(mode, token, challenge), want, "{mode} {token} {challenge}");
        }
        check("subscribe", "verify-me", "1158201444", true);
        check("subscribe", "verify-me", "0012", true);
        check("subscribe", "verify-me ", "1158201444", false);
        check("subscribe", "Verify-me", "1158201444", false);
        check("subscribe", "", "1158201444", false);
        check("unsubscribe", "verify-me", "1158201444", false);
        check("subscribe", "verify-me", "", false);
        check("subscribe", "verify-me", "<script>alert(1)</script>", false);
        check("subscribe", "verify-me", "1\r\nset-cookie: a=b", false);
        check("subscribe", "verify-me", &"1".repeat(129), false);
    }
}
