//! The key that signs a site's recordings, and what others check it with: Ed25519 (RFC 8032).

use std::fmt;
use std::path::Path;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;

use super::super::KeyError;
use super::super::keyfile::Key;

/// Signs; it never leaves the machine.
pub(in crate::record) struct SiteKey(Ed25519KeyPair);

impl SiteKey {
    pub(in crate::record) fn new(key: &Key) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(key.expose_secret()).expect("any 32 bytes are a key"))
    }

    pub(in crate::record) fn public_key(&self) -> PublicKey {
        PublicKey(self.0.public_key().as_ref().try_into().expect("a public key has 32 bytes"))
    }

    pub(super) fn sign(&self, bytes: &[u8]) -> String {
        hex::encode(self.0.sign(bytes))
    }
}

/// Whose signature is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// From 64 hex digits, or a file that holds them.
    ///
    /// # Errors
    /// [`KeyError::Public`] for anything else.
    pub fn read(given: &str) -> Result<Self, KeyError> {
        let of_file = || std::fs::read_to_string(Path::new(given)).ok().and_then(|text| Self::parse(text.trim()));
        Self::parse(given).or_else(of_file).ok_or_else(|| KeyError::Public(given.to_owned()))
    }

    pub(super) fn parse(hex: &str) -> Option<Self> {
        Some(Self(hex::decode(hex).ok()?.try_into().ok()?))
    }

    /// In the form that OpenSSL reads (RFC 8410 section 4).
    pub fn pem(&self) -> String {
        // SEQUENCE { SEQUENCE { OID 1.3.101.112 }, BIT STRING }
        const BEFORE: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
        let der = [&BEFORE[..], &self.0].concat();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
    }

    pub(super) fn fits(&self, bytes: &[u8], signature: &str) -> bool {
        let Ok(signature) = hex::decode(signature) else { return false };
        UnparsedPublicKey::new(&ED25519, &self.0).verify(bytes, &signature).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}
