//! API keys, agent tokens and browsers' sessions: who sends them. A secret is shown once, when it is made; the database knows only its SHA-256, which is
//! enough because a secret is 256 random bits: there is nothing to guess, so nothing to slow down.

use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use secrecy::SecretString;
use sqlx::{Any, Transaction};

use super::Store;
use super::error::{Result, StoreError};
use super::secret_key::{fill_random, write_private};
use super::sign_in::SESSION_PREFIX;
use super::sql::{Columns, clean, json_text};
use crate::model::id::{AgentId, KeyId};
use crate::model::time::Timestamp;
use crate::policy::access::Scope;

/// Whose secret it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretActor {
    Key { id: KeyId, name: String, scopes: Vec<Scope> },
    Agent(AgentId),
}

/// The bootstrap key of this installation.
#[derive(Debug)]
pub struct AdminKey {
    pub secret: SecretString,
    /// Where it lies, mode 0600.
    pub path: PathBuf,
    /// Made just now, not found.
    pub created: bool,
}

const KEY_PREFIX: &str = "tk_";
const TOKEN_PREFIX: &str = "ta_";

impl Store {
    /// Makes an API key. The answer is the only time its secret is seen.
    pub async fn create_key(&self, name: &str, scopes: &[Scope], now: Timestamp) -> Result<String> {
        let secret = new_secret(KEY_PREFIX);
        let mut tx = self.writer.begin().await?;
        insert_key(&mut tx, &secret, name, scopes, false, now).await?;
        tx.commit().await?;
        Ok(secret)
    }

    /// Makes a token for one agent's browser. The answer is the only time it is seen.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when the agent is unknown.
    pub async fn create_agent_token(&self, a: &AgentId, expires_at: Timestamp) -> Result<String> {
        let secret = new_secret(TOKEN_PREFIX);
        sqlx::query("INSERT INTO agent_tokens (sha256, agent_id, expires_at) VALUES ($1, $2, $3)")
            .bind(sha256(&secret))
            .bind(a.as_str())
            .bind(expires_at.as_millis())
            .execute(&self.writer)
            .await
            .map_err(StoreError::on_write(|| format!("agent {a}")))?;
        Ok(secret)
    }

    /// Whose secret this is; `None` if nobody's or expired.
    pub async fn authenticate(&self, secret: &str, now: Timestamp) -> Result<Option<SecretActor>> {
        if secret.starts_with(KEY_PREFIX) {
            let row = sqlx::query("SELECT id, name, scopes FROM api_keys WHERE sha256 = $1")
                .bind(sha256(secret))
                .fetch_optional(&self.reader)
                .await?;
            let Some(row) = row else { return Ok(None) };
            return Ok(Some(SecretActor::Key {
                id: row.word("id")?,
                name: row.text("name")?,
                scopes: row.json("scopes")?,
            }));
        }
        if secret.starts_with(TOKEN_PREFIX) {
            let row = sqlx::query("SELECT agent_id FROM agent_tokens WHERE sha256 = $1 AND expires_at > $2")
                .bind(sha256(secret))
                .bind(now.as_millis())
                .fetch_optional(&self.reader)
                .await?;
            return row.map(|row| row.word("agent_id").map(SecretActor::Agent)).transpose();
        }
        if secret.starts_with(SESSION_PREFIX) {
            return Ok(self.session(secret, now).await?.map(SecretActor::Agent));
        }
        Ok(None)
    }

    /// The bootstrap API key with every scope, in `<dir>/admin.key`. The first start makes it, later ones find it. If the
    /// file is gone, a new key is made and the old one is void, so taking the file away is also how to change the key.
    ///
    /// # Errors
    /// The file cannot be read or written, or holds something else.
    pub async fn admin_key(&self, dir: &Path, now: Timestamp) -> Result<AdminKey> {
        let path = dir.join("admin.key");
        let (secret, created) = loop {
            match std::fs::read_to_string(&path) {
                Ok(text) => break (text.trim().to_owned(), false),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                    let secret = new_secret(KEY_PREFIX);
                    if write_private(&path, format!("{secret}\n").as_bytes())? {
                        break (secret, true);
                    }
                }
                Err(source) => return Err(StoreError::File { verb: "read the admin key", path, source }),
            }
        };
        if !is_key(&secret) {
            return Err(StoreError::File {
                verb: "use the admin key in",
                path,
                source: std::io::Error::new(
                    std::io::ErrorKind::InvalidData,
                    "it must hold `tk_` and 64 hexadecimal digits: remove the file and start again for a new key",
                ),
            });
        }
        let mut tx = self.writer.begin().await?;
        sqlx::query("DELETE FROM api_keys WHERE is_admin_file = 1 AND sha256 <> $1")
            .bind(sha256(&secret))
            .execute(&mut *tx)
            .await?;
        // Also when the file was found: the database may be a new one beside an old file.
        insert_key(&mut tx, &secret, "admin", Scope::ALL, true, now).await?;
        tx.commit().await?;
        Ok(AdminKey { secret: secret.into(), path, created })
    }
}

async fn insert_key(
    tx: &mut Transaction<'static, Any>,
    secret: &str,
    name: &str,
    scopes: &[Scope],
    is_admin_file: bool,
    now: Timestamp,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO api_keys (sha256, id, name, scopes, created_at, is_admin_file) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (sha256) DO UPDATE SET scopes = excluded.scopes",
    )
    .bind(sha256(secret))
    .bind(KeyId::generate().as_str())
    .bind(clean(name))
    .bind(json_text(&scopes))
    .bind(now.as_millis())
    .bind(i16::from(is_admin_file))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) fn new_secret(prefix: &str) -> String {
    let mut bytes = [0; 32];
    fill_random(&mut bytes);
    format!("{prefix}{}", hex::encode(bytes))
}

fn is_key(text: &str) -> bool {
    text.strip_prefix(KEY_PREFIX).is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
}

pub(super) fn sha256(secret: &str) -> Vec<u8> {
    digest::digest(&digest::SHA256, secret.as_bytes()).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use secrecy::ExposeSecret;

    use super::*;
    use crate::store::Idempotent;
    use crate::store::fixture::{self, Fixture, T0, at, on_both};

    on_both!(a_secret_is_known_until_it_expires_and_a_near_miss_never);
    async fn a_secret_is_known_until_it_expires_and_a_near_miss_never(t: Fixture) {
        t.seed().await;
        let scopes = [Scope::CallsRead, Scope::EventsRead];
        let key = t.store.create_key("crm '; --", &scopes, T0).await.unwrap();
        let token = t.store.create_agent_token(&fixture::agent_id("a"), at(60)).await.unwrap();
        assert!(key.starts_with("tk_") && key.len() == 67 && token.starts_with("ta_") && token.len() == 67);

        let t = t.restart().await;
        let Some(SecretActor::Key { name, scopes: found, .. }) = t.store.authenticate(&key, at(1)).await.unwrap()
        else {
            panic!("the key must be known")
        };
        assert_eq!((name.as_str(), found.as_slice()), ("crm '; --", scopes.as_slice()));
        let agent = Some(SecretActor::Agent(fixture::agent_id("a")));
        assert_eq!(t.store.authenticate(&token, at(59)).await.unwrap(), agent);
        assert_eq!(t.store.authenticate(&token, at(60)).await.unwrap(), None, "expired");
        let swapped = format!("tk_{}", &token[3..]);
        for miss in ["", "tk_", "ta_", "Bearer", &key[..66], &key.to_uppercase(), &swapped, &format!("{key}0")] {
            assert_eq!(t.store.authenticate(miss, at(1)).await.unwrap(), None, "{miss}");
        }
        let nobody = AgentId::parse("agt_nobody").unwrap();
        assert!(matches!(t.store.create_agent_token(&nobody, at(60)).await, Err(StoreError::Missing(_))));
    }

    on_both!(the_admin_key_is_made_once_private_and_anew_when_its_file_is_lost);
    async fn the_admin_key_is_made_once_private_and_anew_when_its_file_is_lost(t: Fixture) {
        let first = t.store.admin_key(t.dir(), T0).await.unwrap();
        assert!(first.created);
        assert_eq!(std::fs::metadata(&first.path).unwrap().permissions().mode() & 0o777, 0o600);
        let t = t.restart().await;
        let again = t.store.admin_key(t.dir(), T0).await.unwrap();
        assert!(!again.created && again.secret.expose_secret() == first.secret.expose_secret());
        let Some(SecretActor::Key { scopes, .. }) =
            t.store.authenticate(first.secret.expose_secret(), T0).await.unwrap()
        else {
            panic!("the admin key must be known")
        };
        assert_eq!(scopes, Scope::ALL);

        let other = t.store.create_key("crm", &[Scope::Admin], T0).await.unwrap();
        std::fs::remove_file(&first.path).unwrap();
        let new = t.store.admin_key(t.dir(), T0).await.unwrap();
        assert!(new.created);
        assert!(t.store.authenticate(new.secret.expose_secret(), T0).await.unwrap().is_some());
        assert!(
            t.store.authenticate(first.secret.expose_secret(), T0).await.unwrap().is_none(),
            "the lost one is void"
        );
        assert!(t.store.authenticate(&other, T0).await.unwrap().is_some(), "others stay");

        std::fs::write(&new.path, "hello").unwrap();
        let error = t.store.admin_key(t.dir(), T0).await.unwrap_err();
        assert!(error.to_string().contains("admin.key"), "{error}");
    }

    #[tokio::test]
    async fn a_copy_of_the_data_folder_without_the_key_files_holds_no_secret() {
        let t = fixture::open().await;
        t.seed().await;
        let graph = "EAAGm0PX4ZCpsBA-graph-token-of-the-number";
        t.store.put_number(&fixture::number(), Some(graph)).await.unwrap();
        let key = t.store.create_key("crm", Scope::ALL, T0).await.unwrap();
        let admin = t.store.admin_key(t.dir(), T0).await.unwrap();
        let token = t.store.create_agent_token(&fixture::agent_id("a"), at(60)).await.unwrap();
        // The answer to the POST that made the token is kept for a repeat.
        assert!(matches!(t.store.idempotency_begin("key_1", "k", "h", T0).await.unwrap(), Idempotent::Fresh));
        let answer = (201, "application/json".to_owned(), format!("{{\"token\":\"{token}\"}}").into_bytes(), None);
        t.store.idempotency_finish("key_1", "k", Some(answer)).await.unwrap();

        let secrets = [graph, &key, admin.secret.expose_secret(), &token];
        let mut scanned = 0;
        for entry in std::fs::read_dir(t.dir()).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "key") {
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            scanned += bytes.len();
            for secret in secrets {
                let raw = hex::decode(&secret[3..]).unwrap_or_default();
                for needle in [secret.as_bytes(), &secret.as_bytes()[3..], &raw] {
                    let hits = bytes.windows(needle.len().max(1)).filter(|w| *w == needle).count();
                    assert_eq!(hits, 0, "{} holds a secret", path.display());
                }
            }
        }
        assert!(scanned > 10_000, "the scan saw the database and its log: {scanned} bytes");
        let reread = t.restart().await.store.graph_token(&fixture::number_id()).await.unwrap().unwrap();
        assert_eq!(reread.expose_secret(), graph);
    }

    on_both!(a_lost_or_foreign_key_file_is_refused_at_the_start_once_a_token_is_sealed);
    async fn a_lost_or_foreign_key_file_is_refused_at_the_start_once_a_token_is_sealed(t: Fixture) {
        let path = t.dir().join("secret.key");
        let dir = t.dir().to_owned();
        t.store.put_number(&fixture::number(), None).await.unwrap();
        std::fs::remove_file(&path).unwrap();
        let t = t.restart().await;
        let number = t.store.put_number(&fixture::number(), Some("EAAG")).await.unwrap();
        assert!(number.graph_token_set, "nothing was sealed yet: a new key is as good");
        assert!(t.store.put_number(&fixture::number(), None).await.unwrap().graph_token_set, "kept");

        std::fs::write(&path, [7; 32]).unwrap();
        let error = Store::open(t.url(), &dir).await.unwrap_err().to_string();
        assert!(error.contains("secret.key") && error.contains("not the key"), "{error}");
        std::fs::remove_file(&path).unwrap();
        let error = Store::open(t.url(), &dir).await.unwrap_err().to_string();
        assert!(error.contains("missing") && error.contains("UPDATE numbers SET graph_token = NULL"), "{error}");
        assert!(!path.exists(), "a refused start makes no new key");
    }
}
