//! The key that wraps the keys of files.

use aws_lc_rs::aead::{Aad, NONCE_LEN, RandomizedNonceKey};
use aws_lc_rs::digest;
use secrecy::{ExposeSecret, ExposeSecretMut, SecretBox, SecretSlice};

use super::super::keyfile::{KEY_BYTES, Key};
use super::{BOUND_BYTES, HEADER_BYTES, Header, KeyId, MAGIC, key_of, nonce};
use crate::record::Format;

/// A master key.
pub(in crate::record) struct Master {
    id: KeyId,
    key: RandomizedNonceKey,
}

impl Master {
    pub(in crate::record) fn new(key: &Key) -> Self {
        let key = key.expose_secret();
        // Under a name of its own: the same file used elsewhere has no digest in common with this.
        let digest = digest::digest(&digest::SHA256, &[b"tandem recording master key\0", &key[..]].concat());
        let id = KeyId(digest.as_ref()[..8].try_into().expect("a digest is longer"));
        Self { id, key: key_of(key) }
    }

    pub(in crate::record) fn id(&self) -> KeyId {
        self.id
    }

    /// The header of a file that is sealed with `key`.
    pub(super) fn wrap(&self, format: Format, key: &Key) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(&MAGIC);
        header[8] = match format {
            Format::Wav => 1,
            Format::Opus => 2,
        };
        header[16..BOUND_BYTES].copy_from_slice(&self.id.0);
        let mut sealed = *key.expose_secret();
        let (nonce, tag) = self
            .key
            .seal_in_place_separate_tag(Aad::from(&header[..BOUND_BYTES]), &mut sealed)
            .expect("AES-GCM seals anything shorter than 64 GiB");
        let wrapped = [&nonce.as_ref()[..], &sealed, tag.as_ref()].concat();
        header[BOUND_BYTES..].copy_from_slice(&wrapped);
        header
    }

    /// The key of a file; `None` if another master wrapped it, or it was changed.
    pub(super) fn unwrap(&self, header: &Header) -> Option<Key> {
        let (bound, wrapped) = header.bytes.split_at(BOUND_BYTES);
        let (nonce_bytes, sealed) = wrapped.split_at(NONCE_LEN);
        let mut sealed: SecretSlice<u8> = sealed.to_vec().into();
        let opened = {
            let sealed = sealed.expose_secret_mut();
            let key = self.key.open_in_place(nonce(nonce_bytes), Aad::from(bound), sealed).ok()?;
            <[u8; KEY_BYTES]>::try_from(&*key).ok()?
        };
        Some(SecretBox::init_with_mut(|key: &mut [u8; KEY_BYTES]| *key = opened))
    }
}
