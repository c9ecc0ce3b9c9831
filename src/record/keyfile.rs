//! Key files: 32 random bytes, as `tandem key generate`, `openssl rand -hex 32` or `openssl rand -base64 32` print them.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretBox, SecretSlice};

pub(super) const KEY_BYTES: usize = 32;

/// A key as it stands in its file.
pub(super) type Key = SecretBox<[u8; KEY_BYTES]>;

/// A key that recordings need is not there.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("{setting}: cannot read the key {}", .path.display())]
    Read {
        setting: &'static str,
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error(
        "{setting}: {} holds no key: it must be 32 bytes, written as 64 hex digits or in base64 (`tandem key generate` prints one)",
        .path.display()
    )]
    Malformed { setting: &'static str, path: PathBuf },
    #[error("cannot make the key that signs recordings, {}: make the folder writable for this user", .path.display())]
    Make {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error(
        "\"{0}\" is no public key: it must be 64 hex digits, or a file that holds them (`tandem key public` prints them)"
    )]
    Public(String),
}

/// A key nobody had before.
pub(super) fn random() -> Key {
    SecretBox::init_with_mut(|key: &mut [u8; KEY_BYTES]| {
        rand::fill(key).expect("the system's random source does not fail once it is up");
    })
}

/// A new key as a key file holds it: 64 hex digits.
pub fn generate_key() -> String {
    hex::encode(random().expose_secret())
}

/// Reads the file that `setting` names.
///
/// # Errors
/// [`KeyError`] when it is not there or holds something else.
pub(super) fn read(setting: &'static str, path: &Path) -> Result<Key, KeyError> {
    let bytes = fs::read(path)
        .map_err(|cause| KeyError::Read { setting, path: path.to_owned(), cause })
        .map(SecretSlice::from)?;
    parse(&bytes).ok_or_else(|| KeyError::Malformed { setting, path: path.to_owned() })
}

/// The key in `path`, made if there is none yet. Two processes that start together end up with one key.
///
/// # Errors
/// [`KeyError`] when it cannot be read or made.
pub(super) fn read_or_make(setting: &'static str, path: &Path) -> Result<Key, KeyError> {
    match read(setting, path) {
        Err(KeyError::Read { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {}
        read => return read,
    }
    make(path).map_err(|cause| KeyError::Make { path: path.to_owned(), cause })?;
    read(setting, path)
}

fn make(path: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    // Made with mode 0600, so nobody else reads it at any moment.
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    writeln!(file, "{}", generate_key())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => Err(error.error),
        // The name is part of the folder, and must survive as well.
        _ => fs::File::open(folder)?.sync_all(),
    }
}

fn parse(bytes: &SecretSlice<u8>) -> Option<Key> {
    let bytes = bytes.expose_secret();
    let text = bytes.trim_ascii();
    let decoded: SecretSlice<u8> = match bytes.len() {
        KEY_BYTES => bytes.to_vec().into(),
        _ if text.len() == 2 * KEY_BYTES => hex::decode(text).ok()?.into(),
        _ => STANDARD.decode(text).ok()?.into(),
    };
    let key: &[u8; KEY_BYTES] = decoded.expose_secret().try_into().ok()?;
    Some(SecretBox::init_with_mut(|own: &mut [u8; KEY_BYTES]| *own = *key))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_read_in_the_forms_that_tools_print_and_nothing_else_is_taken_for_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.key");
        let key: Vec<u8> = (0..32).collect();
        let check = |text: &[u8], fine: bool| {
            fs::write(&path, text).unwrap();
            let read = read("recording.encryption_key_file", &path);
            assert_eq!(read.is_ok(), fine, "{}", String::from_utf8_lossy(text));
            match read {
                Ok(read) => assert_eq!(read.expose_secret()[..], key),
                Err(error) => {
                    let error = error.to_string();
                    assert!(error.starts_with("recording.encryption_key_file: ") && error.contains("a.key"), "{error}");
                }
            }
        };
        let hex = hex::encode(&key);
        check(hex.as_bytes(), true);
        check(format!("{}\n", hex.to_uppercase()).as_bytes(), true);
        check(format!("{}\n", STANDARD.encode(&key)).as_bytes(), true);
        check(&key, true);
        check(b"", false);
        check(&hex.as_bytes()[2..], false);
        check(&key[1..], false);
        check(format!("{hex}00").as_bytes(), false);
        check(STANDARD.encode([7; 31]).as_bytes(), false);
        check(b"hunter2", false);
    }

    #[test]
    fn the_first_start_makes_a_key_that_only_its_owner_reads_and_later_ones_keep_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("site.key");
        let first = read_or_make("recording.signing_key_file", &path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let second = read_or_make("recording.signing_key_file", &path).unwrap();
        assert_eq!(first.expose_secret(), second.expose_secret());
        let nowhere = read_or_make("recording.signing_key_file", &dir.path().join("none/site.key"));
        assert!(matches!(nowhere, Err(KeyError::Make { .. })));
        assert_ne!(generate_key(), generate_key());
    }
}
