//! Frames sealed one after the other.

use aws_lc_rs::aead::{NONCE_LEN, RandomizedNonceKey};
use secrecy::ExposeSecret;

use super::super::keyfile::{self, Key};
use super::{FRAME_BYTES_MAX, HEADER_BYTES, LAST, LEAD_BYTES, Master, bound, key_of};
use crate::record::Format;

/// Seals the frames of one file.
pub(in crate::record) struct Sealer {
    key: RandomizedNonceKey,
    /// Number of the next frame.
    index: u64,
}

impl Sealer {
    /// For a new file: its header, and what seals its frames.
    pub(in crate::record) fn begin(format: Format, master: &Master) -> ([u8; HEADER_BYTES], Self) {
        let key = keyfile::random();
        (master.wrap(format, &key), Self::resume(&key, 0))
    }

    /// For a file that has `frames` already.
    pub(super) fn resume(key: &Key, frames: u64) -> Self {
        Self { key: key_of(key.expose_secret()), index: frames }
    }

    /// Turns [`LEAD_BYTES`] of anything and the sound behind them into the next frame. `last`: there will be no other.
    pub(in crate::record) fn seal(&mut self, frame: &mut Vec<u8>, last: bool) {
        let sound = frame.len() - LEAD_BYTES;
        debug_assert!(sound <= FRAME_BYTES_MAX as usize);
        let length = (sound as u32 | if last { LAST } else { 0 }).to_le_bytes();
        let sealed = self.key.seal_in_place_separate_tag(bound(self.index, length), &mut frame[LEAD_BYTES..]);
        let (nonce, tag) = sealed.expect("AES-GCM seals anything shorter than 64 GiB");
        frame[..4].copy_from_slice(&length);
        frame[4..4 + NONCE_LEN].copy_from_slice(nonce.as_ref());
        frame.extend_from_slice(tag.as_ref());
        self.index += 1;
    }
}
