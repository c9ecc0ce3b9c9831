//! A message as only one browser can read it: RFC 8291 over RFC 8188. Push services see its length and nothing else.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use aws_lc_rs::rand;

use crate::model::push::PushKeys;

/// RFC 8291 section 4: one record, and no push service need take more than 4096 bytes.
const RECORD_LEN: usize = 4096;
const SALT_LEN: usize = 16;
const POINT_LEN: usize = 65;
/// Salt, record size, length of the key's name, and the key itself (RFC 8188 section 2.1).
const HEAD_LEN: usize = SALT_LEN + 4 + 1 + POINT_LEN;
/// The last record ends with this before its padding (RFC 8188 section 2).
const LAST: u8 = 2;
const TAG_LEN: usize = 16;

/// The longest message.
pub(super) const PLAIN_LEN_MAX: usize = RECORD_LEN - HEAD_LEN - 1 - TAG_LEN;

/// Seals `plain` for a browser, with a key made for this message alone. `None` if the browser's key is no point on the curve.
pub(super) fn seal(plain: &[u8], to: &PushKeys) -> Option<Vec<u8>> {
    let mut salt = [0; SALT_LEN];
    rand::fill(&mut salt).ok()?;
    seal_with(plain, to, &PrivateKey::generate(&ECDH_P256).ok()?, salt).ok()
}

fn seal_with(plain: &[u8], to: &PushKeys, sender: &PrivateKey, salt: [u8; SALT_LEN]) -> Result<Vec<u8>, Unspecified> {
    debug_assert!(plain.len() <= PLAIN_LEN_MAX);
    let ours = sender.compute_public_key()?;
    let theirs = UnparsedPublicKey::new(&ECDH_P256, &to.p256dh[..]);
    let secret = agree(sender, theirs, Unspecified, |secret| Ok(secret.to_vec()))?;
    // RFC 8291 section 3.4
    let info = [b"WebPush: info\0", &to.p256dh[..], ours.as_ref()];
    let mut input = [0; 32];
    expand(&Salt::new(HKDF_SHA256, &to.auth).extract(&secret), &info, &mut input)?;
    // RFC 8188 sections 2.2 and 2.3
    let prk = Salt::new(HKDF_SHA256, &salt).extract(&input);
    let (mut key, mut nonce) = ([0; 16], [0; NONCE_LEN]);
    expand(&prk, &[b"Content-Encoding: aes128gcm\0"], &mut key)?;
    expand(&prk, &[b"Content-Encoding: nonce\0"], &mut nonce)?;

    let mut body = [plain, &[LAST]].concat();
    LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key)?).seal_in_place_append_tag(
        Nonce::assume_unique_for_key(nonce),
        Aad::empty(),
        &mut body,
    )?;
    let mut message = Vec::with_capacity(HEAD_LEN + body.len());
    message.extend(salt);
    message.extend((RECORD_LEN as u32).to_be_bytes());
    message.push(POINT_LEN as u8);
    message.extend(ours.as_ref());
    message.append(&mut body);
    Ok(message)
}

fn expand(prk: &Prk, info: &[&[u8]], into: &mut [u8]) -> Result<(), Unspecified> {
    prk.expand(info, Len(into.len()))?.fill(into)
}

struct Len(usize);

impl KeyType for Len {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;

    use super::*;
    use crate::model::push::BASE64_URL;

    /// RFC 8291 appendix A.
    #[test]
    fn the_example_of_the_standard_comes_out_to_the_byte() {
        let bytes = |text: &str| BASE64_URL.decode(text).unwrap();
        let keys = PushKeys::parse(
            "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
            "BTBZMqHH6r4Tts7J_aSIgg",
        );
        let sender = bytes("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw");
        let sender = PrivateKey::from_private_key(&ECDH_P256, &sender).unwrap();
        let salt = bytes("DGv6ra1nlYgDCS1FRnbzlw").try_into().unwrap();
        let plain = b"When I grow up, I want to be a watermelon";
        let sealed = seal_with(plain, &keys.unwrap(), &sender, salt).unwrap();
        assert_eq!(
            BASE64_URL.encode(sealed),
            "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
        );
    }

    #[test]
    fn each_message_has_a_key_of_its_own_and_no_point_off_the_curve_is_used() {
        let browser = PrivateKey::generate(&ECDH_P256).unwrap();
        let p256dh = browser.compute_public_key().unwrap().as_ref().try_into().unwrap();
        let keys = PushKeys { p256dh, auth: [9; 16] };
        let longest = vec![b'x'; PLAIN_LEN_MAX];
        let (first, second) = (seal(&longest, &keys).unwrap(), seal(&longest, &keys).unwrap());
        assert_eq!((first.len(), second.len()), (RECORD_LEN, RECORD_LEN));
        assert!(first[..16] != second[..16] && first[21..86] != second[21..86]);
        assert_eq!(seal(b"", &PushKeys { p256dh: [4; 65], auth: [9; 16] }), None);
    }
}
