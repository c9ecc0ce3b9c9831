//! `vapid.key` beside the database: the key by which push services know this gateway (RFC 8292).

use std::path::Path;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};

use super::Store;
use super::error::{Result, StoreError};
use super::secret_key::write_private;

impl Store {
    /// Reads `<dir>/vapid.key` (PKCS#8), or makes it. Browsers subscribe to one key: with another one each of them has to
    /// subscribe anew, which its console does by itself when it is next opened.
    ///
    /// # Errors
    /// The file cannot be read or written, or holds something else.
    pub fn vapid_key(dir: &Path) -> Result<EcdsaKeyPair> {
        let path = dir.join("vapid.key");
        let bytes = loop {
            match std::fs::read(&path) {
                Ok(bytes) => break bytes,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                    let fresh = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
                    let fresh = fresh.expect("the system's random source does not fail once it is up");
                    write_private(&path, fresh.as_ref())?;
                }
                Err(source) => return Err(StoreError::File { verb: "read the key file", path, source }),
            }
        };
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &bytes).map_err(|_| StoreError::File {
            verb: "use the key in",
            path,
            source: std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                "it must hold a P-256 key as PKCS#8: remove the file and start again for a new one",
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use aws_lc_rs::signature::KeyPair;

    use super::*;

    #[test]
    fn the_key_is_made_once_is_private_and_a_damaged_one_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let first = Store::vapid_key(dir.path()).unwrap();
        let again = Store::vapid_key(dir.path()).unwrap();
        assert_eq!(first.public_key().as_ref(), again.public_key().as_ref());
        assert_eq!(first.public_key().as_ref().len(), 65);
        let path = dir.path().join("vapid.key");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, b"short").unwrap();
        let error = Store::vapid_key(dir.path()).unwrap_err();
        assert!(error.to_string().contains("vapid.key"), "{error}");
    }
}
