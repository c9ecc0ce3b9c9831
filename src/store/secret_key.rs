//! The key file beside the database: it seals what must be readable again (Graph tokens, answers that carry a new token)
//! and marks cursors, so that a copy of the database alone gives nothing away.
//!
//! AES-256-GCM with a random 96-bit nonce per value (NIST SP 800-38D section 8.2.2: safe for 2³² values under one key;
//! a gateway seals a few per request at most). The sealed form is nonce ‖ ciphertext ‖ tag. The associated data names
//! the place of the value, so a row's value moved to another row does not open.

use std::io::Write;
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::{constant_time, hmac, rand};

use super::error::{Result, StoreError};

const KEY_LEN: usize = 32;
/// Long enough that guessing a cursor is hopeless, short enough for a URL.
const MARK_LEN: usize = 16;

pub(super) struct SecretKey {
    path: PathBuf,
    aead: RandomizedNonceKey,
    mark: hmac::Key,
}

impl SecretKey {
    /// Reads `<dir>/secret.key`, making it if `may_create`.
    ///
    /// # Errors
    /// The file cannot be read or written, has the wrong length, or is absent and must not be made anew.
    pub(super) fn load(dir: &Path, may_create: bool) -> Result<Self> {
        let path = dir.join("secret.key");
        match std::fs::read(&path) {
            Ok(bytes) => Self::from_bytes(path, &bytes),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && may_create => {
                let mut fresh = [0; KEY_LEN];
                fill_random(&mut fresh);
                if write_private(&path, &fresh)? { Self::from_bytes(path, &fresh) } else { Self::load(dir, false) }
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(lost(path, "the file is missing")),
            Err(source) => Err(StoreError::File { verb: "read the key file", path, source }),
        }
    }

    fn from_bytes(path: PathBuf, bytes: &[u8]) -> Result<Self> {
        if bytes.len() != KEY_LEN {
            return Err(lost(path, &format!("it holds {} bytes, a key has {KEY_LEN}", bytes.len())));
        }
        let aead = RandomizedNonceKey::new(&AES_256_GCM, bytes).expect("the length was checked above");
        // Another use gets another key, derived from the first.
        let mark = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, bytes), b"tandem cursor mark");
        Ok(Self { path, aead, mark: hmac::Key::new(hmac::HMAC_SHA256, mark.as_ref()) })
    }

    /// Seals `plain` for the place `at`.
    pub(super) fn seal(&self, at: &str, plain: &[u8]) -> Vec<u8> {
        let mut body = plain.to_vec();
        let nonce = self
            .aead
            .seal_in_place_append_tag(Aad::from(at.as_bytes()), &mut body)
            .expect("AES-GCM seals anything shorter than 64 GiB");
        let mut sealed = nonce.as_ref().to_vec();
        sealed.append(&mut body);
        sealed
    }

    /// Opens what [`seal`](Self::seal) made for the same place.
    ///
    /// # Errors
    /// [`StoreError::SecretKey`] when it was sealed with another key, or changed.
    pub(super) fn open(&self, at: &str, sealed: &[u8]) -> Result<Vec<u8>> {
        let wrong = || lost(self.path.clone(), "it is not the key the database was sealed with");
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN).ok_or_else(wrong)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| wrong())?;
        let mut body = body.to_vec();
        let plain_len = self.aead.open_in_place(nonce, Aad::from(at.as_bytes()), &mut body).map_err(|_| wrong())?.len();
        body.truncate(plain_len);
        Ok(body)
    }

    /// `bytes` with a mark behind them that shows later that we gave them out, for this `purpose`.
    pub(super) fn mark(&self, purpose: &'static str, bytes: &[u8]) -> Vec<u8> {
        let mut marked = bytes.to_vec();
        marked.extend_from_slice(&self.mark_of(purpose, bytes).as_ref()[..MARK_LEN]);
        marked
    }

    /// What [`mark`](Self::mark) was given; `None` if we never gave this out.
    pub(super) fn unmark<'a>(&self, purpose: &'static str, marked: &'a [u8]) -> Option<&'a [u8]> {
        let (bytes, mark) = marked.split_at_checked(marked.len().checked_sub(MARK_LEN)?)?;
        let want = self.mark_of(purpose, bytes);
        constant_time::verify_slices_are_equal(mark, &want.as_ref()[..MARK_LEN]).is_ok().then_some(bytes)
    }

    fn mark_of(&self, purpose: &'static str, bytes: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.mark);
        // The purpose is a literal without 0, so the two parts cannot be cut differently.
        context.update(purpose.as_bytes());
        context.update(&[0]);
        context.update(bytes);
        context.sign()
    }
}

fn lost(path: PathBuf, what: &str) -> StoreError {
    StoreError::SecretKey {
        path,
        problem: format!(
            "{what}. The Graph tokens in the database are sealed with this key: restore the file from the backup. If it \
             is gone for good, empty the column with the SQL statement `UPDATE numbers SET graph_token = NULL`, remove \
             the file, start again and set each number's graph_token anew"
        ),
    }
}

pub(super) fn fill_random(bytes: &mut [u8]) {
    rand::fill(bytes).expect("the system's random source does not fail once it is up");
}

/// Writes a file only this user can read (0600), whole or not at all; `false` if somebody else's is there already.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> Result<bool> {
    let failed = |source| StoreError::File { verb: "write the key file", path: path.to_owned(), source };
    let dir = path.parent().unwrap_or_else(|| Path::new("."));
    // tempfile creates with mode 0600, so the key is at no moment readable by others.
    let mut file = tempfile::NamedTempFile::new_in(dir).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    match file.persist_noclobber(path) {
        Ok(_) => {}
        Err(e) if e.error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(false),
        Err(e) => return Err(failed(e.error)),
    }
    // The name lives in the folder: it survives a power cut only once that is written too.
    std::fs::File::open(dir).and_then(|d| d.sync_all()).map_err(failed)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_sealed_opens_at_its_place_with_its_key_only() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let key = SecretKey::load(a.path(), true).unwrap();
        let sealed = key.seal("numbers/1", b"EAAG-token");
        assert!(!sealed.windows(4).any(|w| w == b"EAAG"));
        let again = SecretKey::load(a.path(), false).unwrap();
        assert_eq!(again.open("numbers/1", &sealed).unwrap(), b"EAAG-token");
        assert!(again.open("numbers/2", &sealed).is_err(), "moved to another row");
        assert!(SecretKey::load(b.path(), true).unwrap().open("numbers/1", &sealed).is_err(), "another key");
        for at in 0..sealed.len() {
            let mut cut = sealed.clone();
            cut[at] ^= 1;
            assert!(key.open("numbers/1", &cut).is_err(), "byte {at} changed");
            assert!(key.open("numbers/1", &sealed[..at]).is_err(), "cut at {at}");
        }
        assert_ne!(key.seal("numbers/1", b"EAAG-token"), sealed, "each seal has its own nonce");
    }

    #[test]
    fn the_key_file_is_private_and_a_damaged_one_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        SecretKey::load(dir.path(), true).unwrap();
        let path = dir.path().join("secret.key");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, b"short").unwrap();
        let error = SecretKey::load(dir.path(), true).err().unwrap().to_string();
        assert!(error.contains("secret.key") && error.contains("5 bytes") && error.contains("restore"), "{error}");
    }
}
