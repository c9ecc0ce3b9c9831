//! Whether the bytes of a webhook are Meta's: HMAC-SHA256 (RFC 2104) over the raw body, keyed with the app secret.
//!
//! The raw bytes matter. Meta writes `\/` and `\u00e9` where others do not, so a body that was parsed and written again
//! has another signature.

use aws_lc_rs::hmac;

/// The header that carries the signature, in the lower case that HTTP libraries use.
pub const SIGNATURE_HEADER: &str = "x-hub-signature-256";

const PREFIX: &[u8] = b"sha256=";
/// Two hex digits for each byte of the digest.
const HEX_LEN: usize = 64;

/// Why a webhook is not taken for Meta's. Tells an attacker nothing that the request did not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    #[error("the webhook has no X-Hub-Signature-256 header")]
    Missing,
    #[error("the webhook has more than one X-Hub-Signature-256 header")]
    Repeated,
    #[error("the X-Hub-Signature-256 header is not `sha256=` and 64 lower-case hex digits")]
    Malformed,
    #[error("the webhook was not signed with this app's secret")]
    Wrong,
}

/// Verifies `body` against the one signature header there must be, with any of `keys`.
pub(super) fn verify<'a>(
    keys: &[hmac::Key],
    headers: impl IntoIterator<Item = &'a [u8]>,
    body: &[u8],
) -> Result<(), BadSignature> {
    let mut headers = headers.into_iter();
    let header = headers.next().ok_or(BadSignature::Missing)?;
    if headers.next().is_some() {
        return Err(BadSignature::Repeated);
    }
    let tag = read(header).ok_or(BadSignature::Malformed)?;
    // Every key is tried, so that the time does not tell which of two secrets signed.
    let mut genuine = false;
    for key in keys {
        genuine |= hmac::verify(key, body, &tag).is_ok();
    }
    if genuine { Ok(()) } else { Err(BadSignature::Wrong) }
}

/// One spelling only, the one Meta writes: a header that differs in any bit from a good one is another header.
fn read(header: &[u8]) -> Option<[u8; HEX_LEN / 2]> {
    let digits = header.strip_prefix(PREFIX)?;
    if digits.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    let mut tag = [0; HEX_LEN / 2];
    hex::decode_to_slice(digits, &mut tag).ok()?;
    Some(tag)
}
