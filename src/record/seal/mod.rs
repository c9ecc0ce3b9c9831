//! Recordings nobody reads without the key: a file of sealed frames that only ever grows.
//!
//! Each file has a random key of its own, which a master key wraps; a copy of the disk without the master key is noise.
//! All of it is AES-256-GCM with random nonces of 96 bits (NIST SP 800-38D section 8.2.2: safe for 2³² frames under one key;
//! a file of 18 hours has 260,000), so no nonce is ever chosen, and none can be chosen twice: not by a crash, not by a repair.
//!
//! ```text
//! header, 84 bytes: magic 8 · format 1 · zero 7 · master key's id 8 · nonce 12 · file's key, sealed 32 + 16
//!                   (associated data: the first 24 bytes)
//! frame:            length of the sound 4, little-endian, top bit: the last one · nonce 12 · sound, sealed · tag 16
//!                   (associated data: the frame's number 8 · its length 4)
//! ```
//!
//! The sound of a WAV is its samples alone: its header would change with every flush, so it is made up while reading. The
//! frames' numbers and the mark of the last one show when a frame is missing, moved, or cut off.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};

use super::Format;

pub(super) use master::Master;
pub(super) use sealer::Sealer;
pub(super) use unsealed::{Scan, UnsealError, Unsealed};

mod master;
mod sealer;
mod unsealed;

/// The first byte is in no text, RIFF or Ogg.
const MAGIC: [u8; 8] = *b"\x89TANDEM1";

/// What the wrapped key is bound to.
const BOUND_BYTES: usize = 24;
pub(super) const HEADER_BYTES: usize = BOUND_BYTES + NONCE_LEN + 32 + TAG_BYTES;

/// Before a frame's sound: length and nonce.
pub(super) const LEAD_BYTES: usize = 4 + NONCE_LEN;
pub(super) const TAG_BYTES: usize = 16;

const LAST: u32 = 1 << 31;
/// More than any writer seals at once, so that a damaged length does not ask for memory.
const FRAME_BYTES_MAX: u32 = 1 << 18;

/// What stands before the frames.
pub(super) struct Header {
    pub(super) format: Format,
    /// Of the master key.
    pub(super) key_id: KeyId,
    bytes: [u8; HEADER_BYTES],
}

/// Which master key: the beginning of its digest, in hex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyId([u8; 8]);

impl std::fmt::Display for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl Header {
    /// `None` if the file begins otherwise.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; HEADER_BYTES] = bytes.get(..HEADER_BYTES)?.try_into().ok()?;
        let format = match bytes[8] {
            1 => Format::Wav,
            2 => Format::Opus,
            _ => return None,
        };
        let key_id = KeyId(bytes[16..24].try_into().ok()?);
        is_sealed(&bytes).then_some(Self { format, key_id, bytes })
    }
}

/// Whether a file that begins like this is sealed.
pub(super) fn is_sealed(start: &[u8]) -> bool {
    start.starts_with(&MAGIC)
}

fn key_of(bytes: &[u8; 32]) -> RandomizedNonceKey {
    RandomizedNonceKey::new(&AES_256_GCM, bytes).expect("the length is right")
}

/// What a frame's tag covers beside its sound.
fn bound(index: u64, length: [u8; 4]) -> Aad<[u8; 12]> {
    let mut bound = [0; 12];
    bound[..8].copy_from_slice(&index.to_le_bytes());
    bound[8..].copy_from_slice(&length);
    Aad::from(bound)
}

fn nonce(bytes: &[u8]) -> Nonce {
    Nonce::try_assume_unique_for_key(bytes).expect("the length is right")
}
