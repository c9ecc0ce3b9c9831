//! Passwords: which are good enough, and whether one is right. Argon2id with the parameters that OWASP's cheat sheet on
//! password storage recommends (19 MiB, two passes), which are the library's own.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;
use unicode_normalization::UnicodeNormalization;

use super::problem::{Code, Problem};

const CHARS_MIN: usize = 10;
/// Longer than any pass phrase.
const BYTES_MAX: usize = 500;

/// So many are checked at once; each takes a core for some 50 ms, and calls need the cores too.
const AT_ONCE: usize = 2;

/// So many more may wait for their turn, some two seconds; who comes then is sent away instead of making all wait.
const WAITING_MAX: usize = 64;

/// Of no password: who does not exist takes as long to refuse as who does.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQxMjM0NTY$e2tvKEA1AcbyVRn+/MtaYWwdC0FhxZOlR1HcDLWwXnw";

/// Hashes and checks, a few at a time.
#[derive(Debug)]
pub(crate) struct Passwords {
    places: Semaphore,
    turns: Semaphore,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { places: Semaphore::new(AT_ONCE + WAITING_MAX), turns: Semaphore::new(AT_ONCE) }
    }
}

impl Passwords {
    /// The hash of a new password, in PHC form.
    ///
    /// # Errors
    /// When it is too short, too long, or what everybody knows of whose it is (`known`).
    pub(crate) async fn hash(&self, field: &str, password: SecretString, known: &[&str]) -> Result<String, Problem> {
        check(password.expose_secret(), known).map_err(|why| Problem::field(field, why))?;
        let hash = move || Argon2::default().hash_password(&normal(&password)).map(|hash| hash.to_string());
        self.run(hash).await?.map_err(|error| {
            tracing::error!(%error, "a password cannot be hashed");
            Problem::internal()
        })
    }

    /// Whether the password is the one of this hash; `None` takes as long and is never right.
    pub(crate) async fn is_right(&self, password: SecretString, hash: Option<String>) -> Result<bool, Problem> {
        // Hashing hours of text would be a way to keep the gateway busy.
        if password.expose_secret().len() > BYTES_MAX {
            return Ok(false);
        }
        self.run(move || {
            let parsed = PasswordHash::new(hash.as_deref().unwrap_or(NOBODYS));
            let is_right = parsed.is_ok_and(|h| Argon2::default().verify_password(&normal(&password), &h).is_ok());
            is_right && hash.is_some()
        })
        .await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
        let _place = self.places.try_acquire().map_err(|_| {
            Problem::new(Code::Unavailable, "Too many people sign in at this moment; try again in some seconds.")
        })?;
        let _turn = self.turns.acquire().await.expect("it is never closed");
        tokio::task::spawn_blocking(work).await.map_err(|_| Problem::new(Code::Unavailable, "The gateway is stopping."))
    }
}

fn check(password: &str, known: &[&str]) -> Result<(), String> {
    if password.chars().count() < CHARS_MIN {
        return Err(format!("at least {CHARS_MIN} characters; three or four words make a good one"));
    }
    if password.len() > BYTES_MAX {
        return Err(format!("at most {BYTES_MAX} bytes"));
    }
    let mut chars = password.chars();
    let first = chars.next();
    if chars.all(|c| Some(c) == first) {
        return Err("not one character again and again".to_owned());
    }
    if known.iter().any(|known| password.trim().eq_ignore_ascii_case(known)) {
        return Err("not the name or the address it belongs to".to_owned());
    }
    Ok(())
}

/// An accent typed as one character or as two is the same password.
fn normal(password: &SecretString) -> Vec<u8> {
    password.expose_secret().nfc().collect::<String>().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_right_however_its_accents_are_typed_and_no_other_is() {
        let passwords = Passwords::default();
        let hash = passwords.hash("password", "caf\u{e9} au lait".into(), &[]).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && !hash.contains("lait"), "{hash}");
        for (given, right) in [
            ("caf\u{e9} au lait", true),
            ("cafe\u{301} au lait", true),
            ("cafe au lait", false),
            ("", false),
            ("caf\u{e9} au lait ", false),
        ] {
            assert_eq!(passwords.is_right(given.into(), Some(hash.clone())).await.unwrap(), right, "{given}");
        }
        for hash in [None, Some(String::new()), Some("$argon2id$v=19$m=1".to_owned())] {
            assert!(!passwords.is_right("caf\u{e9} au lait".into(), hash).await.unwrap());
        }
        assert!(PasswordHash::new(NOBODYS).is_ok(), "whoever does not exist is checked against it");
    }

    #[tokio::test]
    async fn whoever_comes_when_too_many_wait_is_sent_away() {
        let passwords = Passwords::default();
        let all = passwords.places.try_acquire_many((AT_ONCE + WAITING_MAX) as u32).unwrap();
        assert!(passwords.run(|| ()).await.is_err());
        drop(all);
        for _ in 0..=AT_ONCE + WAITING_MAX {
            assert!(passwords.run(|| ()).await.is_ok(), "places are given back");
        }
    }

    #[tokio::test]
    async fn a_poor_password_is_refused_with_what_is_wrong() {
        let known = ["ana@example.com", "agt_a"];
        for (password, why) in [
            ("short", "at least 10 characters"),
            ("aaaaaaaaaaaa", "again and again"),
            ("ANA@example.com", "the address"),
            (&"long ".repeat(101), "at most 500 bytes"),
        ] {
            let refused = Passwords::default().hash("password", (*password).into(), &known).await.unwrap_err();
            assert!(format!("{refused:?}").contains(why), "{refused:?}");
        }
    }
}
