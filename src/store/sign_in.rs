//! How people sign in: their passwords, the links with which they choose one, and the sessions of their browsers.
//!
//! A password is kept as what its hash function made of it, which is not the store's business. Links and sessions are 256
//! random bits, kept as SHA-256 as all such secrets are.

use std::time::Duration;

use super::Store;
use super::error::{Result, StoreError};
use super::secrets::{new_secret, sha256};
use super::sql::{Columns, clean_opt};
use crate::model::id::AgentId;
use crate::model::time::Timestamp;

const INVITATION_PREFIX: &str = "ti_";
/// How the secret of a browser's session begins.
pub const SESSION_PREFIX: &str = "ts_";

/// A browser that was not used for so long is signed out: a shift with its breaks, and the way home.
pub(super) const IDLE_MAX: Duration = Duration::from_secs(12 * 3600);
/// Whoever is signed in for so long signs in again.
pub(super) const SESSION_MAX: Duration = Duration::from_secs(30 * 24 * 3600);
/// A session's use is written down so often at most.
const USE_NOTED_EVERY: Duration = Duration::from_secs(10 * 60);

/// Somebody who can sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    pub agent: AgentId,
    /// Of the password, in PHC form.
    pub hash: String,
}

impl Store {
    /// Who signs in with this agent id or e-mail address. `None`: nobody, somebody without a password, or an address that
    /// several agents have.
    pub async fn login(&self, name: &str) -> Result<Option<Login>> {
        let rows = sqlx::query(
            "SELECT p.agent_id, p.hash FROM agents a JOIN passwords p ON p.agent_id = a.id WHERE a.id = $1 \
             UNION SELECT p.agent_id, p.hash FROM agents a JOIN passwords p ON p.agent_id = a.id \
             WHERE lower(a.email) = lower($1) AND NOT EXISTS \
             (SELECT 1 FROM agents other WHERE lower(other.email) = lower($1) AND other.id <> a.id \
             AND other.left_at IS NULL)",
        )
        .bind(name)
        .fetch_all(&self.reader)
        .await?;
        let [row] = rows.as_slice() else { return Ok(None) };
        Ok(Some(Login { agent: row.word("agent_id")?, hash: row.text("hash")? }))
    }

    /// The hash of an agent's password; `None` = it has none yet.
    pub async fn password(&self, agent: &AgentId) -> Result<Option<String>> {
        let row = sqlx::query("SELECT hash FROM passwords WHERE agent_id = $1")
            .bind(agent.as_str())
            .fetch_optional(&self.reader)
            .await?;
        row.map(|row| row.text("hash")).transpose()
    }

    /// Gives an agent another password. All its sessions and links end: whoever had the old one is out.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when the agent is unknown.
    pub async fn set_password(&self, agent: &AgentId, hash: &str, now: Timestamp) -> Result<()> {
        let mut tx = self.writer.begin().await?;
        set_password(&mut tx, agent, hash, now).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Makes a link with which an agent chooses a password. The answer is the only time it is seen.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when the agent is unknown.
    pub async fn create_invitation(&self, agent: &AgentId, expires_at: Timestamp) -> Result<String> {
        let secret = new_secret(INVITATION_PREFIX);
        sqlx::query("INSERT INTO invitations (sha256, agent_id, expires_at) VALUES ($1, $2, $3)")
            .bind(sha256(&secret))
            .bind(agent.as_str())
            .bind(expires_at.as_millis())
            .execute(&self.writer)
            .await
            .map_err(StoreError::on_write(|| format!("agent {agent}")))?;
        Ok(secret)
    }

    /// Whose link this is, and until when; `None` if nobody's, used or expired.
    pub async fn invitation(&self, secret: &str, now: Timestamp) -> Result<Option<(AgentId, Timestamp)>> {
        let row = sqlx::query("SELECT agent_id, expires_at FROM invitations WHERE sha256 = $1 AND expires_at > $2")
            .bind(sha256(secret))
            .bind(now.as_millis())
            .fetch_optional(&self.reader)
            .await?;
        row.map(|row| Ok((row.word("agent_id")?, row.time("expires_at")?))).transpose()
    }

    /// Uses a link: the agent has this password now. `None` if it is nobody's, used or expired; of two who use it at once,
    /// for the second.
    pub async fn accept_invitation(&self, secret: &str, hash: &str, now: Timestamp) -> Result<Option<AgentId>> {
        let mut tx = self.writer.begin().await?;
        let row = sqlx::query("DELETE FROM invitations WHERE sha256 = $1 AND expires_at > $2 RETURNING agent_id")
            .bind(sha256(secret))
            .bind(now.as_millis())
            .fetch_optional(&mut *tx)
            .await?;
        let Some(agent) = row.map(|row| row.word::<AgentId>("agent_id")).transpose()? else { return Ok(None) };
        set_password(&mut tx, &agent, hash, now).await?;
        tx.commit().await?;
        Ok(Some(agent))
    }

    /// Begins the session of a browser that calls itself `client`. The answer is the only time its secret is seen.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when the agent is unknown.
    pub async fn create_session(&self, agent: &AgentId, client: Option<&str>, now: Timestamp) -> Result<String> {
        let secret = new_secret(SESSION_PREFIX);
        sqlx::query("INSERT INTO sessions (sha256, agent_id, begun_at, used_at, client) VALUES ($1, $2, $3, $3, $4)")
            .bind(sha256(&secret))
            .bind(agent.as_str())
            .bind(now.as_millis())
            .bind(clean_opt(client))
            .execute(&self.writer)
            .await
            .map_err(StoreError::on_write(|| format!("agent {agent}")))?;
        Ok(secret)
    }

    /// Ends a browser's session. One that is not there has ended already.
    pub async fn end_session(&self, secret: &str) -> Result<()> {
        sqlx::query("DELETE FROM sessions WHERE sha256 = $1").bind(sha256(secret)).execute(&self.writer).await?;
        Ok(())
    }

    /// Ends the sessions of all an agent's browsers, and its tokens.
    pub async fn end_sessions(&self, agent: &AgentId) -> Result<()> {
        self.delete_all(agent, &["sessions", "agent_tokens"]).await
    }

    /// Nobody signs in as this agent any more, until it is invited anew.
    pub async fn take_access(&self, agent: &AgentId) -> Result<()> {
        self.delete_all(agent, &["passwords", "invitations", "sessions", "agent_tokens"]).await
    }

    async fn delete_all(&self, agent: &AgentId, tables: &[&str]) -> Result<()> {
        let mut tx = self.writer.begin().await?;
        for table in tables {
            let sql = format!("DELETE FROM {table} WHERE agent_id = $1");
            sqlx::query(sqlx::AssertSqlSafe(sql)).bind(agent.as_str()).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Whose session this is; `None` if nobody's, or over.
    pub(super) async fn session(&self, secret: &str, now: Timestamp) -> Result<Option<AgentId>> {
        let before = |length: Duration| now.as_millis() - length.as_millis() as i64;
        let row =
            sqlx::query("SELECT agent_id, used_at FROM sessions WHERE sha256 = $1 AND used_at > $2 AND begun_at > $3")
                .bind(sha256(secret))
                .bind(before(IDLE_MAX))
                .bind(before(SESSION_MAX))
                .fetch_optional(&self.reader)
                .await?;
        let Some(row) = row else { return Ok(None) };
        if row.int("used_at")? <= before(USE_NOTED_EVERY) {
            sqlx::query("UPDATE sessions SET used_at = $1 WHERE sha256 = $2")
                .bind(now.as_millis())
                .bind(sha256(secret))
                .execute(&self.writer)
                .await?;
        }
        row.word("agent_id").map(Some)
    }
}

async fn set_password(
    tx: &mut sqlx::Transaction<'static, sqlx::Any>,
    agent: &AgentId,
    hash: &str,
    now: Timestamp,
) -> Result<()> {
    sqlx::query(
        "INSERT INTO passwords (agent_id, hash, set_at) VALUES ($1, $2, $3) \
         ON CONFLICT (agent_id) DO UPDATE SET hash = excluded.hash, set_at = excluded.set_at",
    )
    .bind(agent.as_str())
    .bind(hash)
    .bind(now.as_millis())
    .execute(&mut **tx)
    .await
    .map_err(StoreError::on_write(|| format!("agent {agent}")))?;
    for sql in ["DELETE FROM sessions WHERE agent_id = $1", "DELETE FROM invitations WHERE agent_id = $1"] {
        sqlx::query(sql).bind(agent.as_str()).execute(&mut **tx).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::directory::Agent;
    use crate::store::SecretActor;
    use crate::store::fixture::{self, Fixture, T0, at, on_both};

    async fn agent_of(t: &Fixture, session: &str, secs: i64) -> Option<AgentId> {
        match t.store.authenticate(session, at(secs)).await.unwrap() {
            Some(SecretActor::Agent(agent)) => Some(agent),
            Some(SecretActor::Key { .. }) => panic!("not a key"),
            None => None,
        }
    }

    on_both!(a_session_lives_while_it_is_used_and_no_longer_than_a_month);
    async fn a_session_lives_while_it_is_used_and_no_longer_than_a_month(t: Fixture) {
        t.seed().await;
        let (a, hour) = (fixture::agent_id("a"), 3600);
        let session = t.store.create_session(&a, None, T0).await.unwrap();
        assert!(session.starts_with("ts_") && session.len() == 67);
        let t = t.restart().await;
        for used in [0, 11, 22, 33] {
            assert_eq!(agent_of(&t, &session, used * hour).await, Some(a.clone()), "{used} h");
        }
        assert_eq!(agent_of(&t, &session, 45 * hour).await, None, "12 h after its last use");

        let session = t.store.create_session(&a, None, T0).await.unwrap();
        for half_day in 1..=60 {
            assert_eq!(agent_of(&t, &session, half_day * (12 * hour - 1)).await, Some(a.clone()), "{half_day}");
        }
        assert_eq!(agent_of(&t, &session, 30 * 24 * hour).await, None, "a month");

        let session = t.store.create_session(&a, None, T0).await.unwrap();
        t.store.end_session(&session).await.unwrap();
        t.store.end_session(&session).await.unwrap();
        assert_eq!(agent_of(&t, &session, 1).await, None, "signed out");
        let nobody = AgentId::parse("agt_nobody").unwrap();
        assert!(matches!(t.store.create_session(&nobody, None, T0).await, Err(StoreError::Missing(_))));
    }

    on_both!(a_password_is_found_by_id_or_address_and_ends_what_was_before_it);
    async fn a_password_is_found_by_id_or_address_and_ends_what_was_before_it(t: Fixture) {
        t.seed().await;
        let [a, b] = ["a", "b"].map(fixture::agent_id);
        for (id, email) in [(&a, "Ana@Example.com"), (&b, "bob@example.com")] {
            let agent = t.store.agent(id).await.unwrap().unwrap();
            t.store.put_agent(&Agent { email: Some(email.to_owned()), ..agent }).await.unwrap();
        }
        assert_eq!(t.store.login("ana@example.com").await.unwrap(), None, "no password yet");
        let session = t.store.create_session(&a, None, T0).await.unwrap();
        let others = t.store.create_session(&b, None, T0).await.unwrap();
        let link = t.store.create_invitation(&a, at(60)).await.unwrap();
        t.store.set_password(&a, "$hash$1", T0).await.unwrap();
        t.store.set_password(&b, "$hash$b", T0).await.unwrap();
        let found = Some(Login { agent: a.clone(), hash: "$hash$1".to_owned() });
        for name in ["ana@example.com", "ANA@EXAMPLE.COM", a.as_str()] {
            assert_eq!(t.store.login(name).await.unwrap(), found, "{name}");
        }
        assert_eq!(agent_of(&t, &session, 1).await, None, "whoever was in with the old one is out");
        assert_eq!(t.store.invitation(&link, at(1)).await.unwrap(), None);
        assert_eq!(agent_of(&t, &others, 1).await, None, "b has another password, too");

        let agent = t.store.agent(&b).await.unwrap().unwrap();
        t.store.put_agent(&Agent { email: Some("ana@example.COM".to_owned()), ..agent }).await.unwrap();
        assert_eq!(t.store.login("ana@example.com").await.unwrap(), None, "whose is it?");
        assert_eq!(t.store.login(a.as_str()).await.unwrap(), found);
        for name in ["", "%", "agt_nobody", "' OR 1=1 --"] {
            assert_eq!(t.store.login(name).await.unwrap(), None, "{name}");
        }
    }

    on_both!(access_that_is_taken_away_is_gone_in_every_form);
    async fn access_that_is_taken_away_is_gone_in_every_form(t: Fixture) {
        t.seed().await;
        let [a, b] = ["a", "b"].map(fixture::agent_id);
        let enter = async |agent: &AgentId| {
            t.store.set_password(agent, "$hash$", T0).await.unwrap();
            let token = t.store.create_agent_token(agent, at(60)).await.unwrap();
            let session = t.store.create_session(agent, None, T0).await.unwrap();
            let link = t.store.create_invitation(agent, at(60)).await.unwrap();
            (token, session, link)
        };
        let (token, session, link) = enter(&a).await;
        let (others_token, others_session, _) = enter(&b).await;
        t.store.end_sessions(&a).await.unwrap();
        assert_eq!((agent_of(&t, &token, 1).await, agent_of(&t, &session, 1).await), (None, None));
        assert_eq!(t.store.invitation(&link, at(1)).await.unwrap(), Some((a.clone(), at(60))));
        assert!(t.store.password(&a).await.unwrap().is_some());

        let (token, session, link) = enter(&a).await;
        t.store.take_access(&a).await.unwrap();
        assert_eq!((agent_of(&t, &token, 1).await, agent_of(&t, &session, 1).await), (None, None));
        assert_eq!(t.store.invitation(&link, at(1)).await.unwrap(), None);
        assert_eq!(t.store.login(a.as_str()).await.unwrap(), None);
        for theirs in [others_token, others_session] {
            assert_eq!(agent_of(&t, &theirs, 1).await, Some(b.clone()));
        }
    }

    on_both!(an_invitation_is_good_once_and_until_it_expires);
    async fn an_invitation_is_good_once_and_until_it_expires(t: Fixture) {
        t.seed().await;
        let a = fixture::agent_id("a");
        let link = t.store.create_invitation(&a, at(60)).await.unwrap();
        assert_eq!(t.store.invitation(&link, at(59)).await.unwrap(), Some((a.clone(), at(60))));
        assert_eq!(t.store.accept_invitation(&link, "$hash$", at(60)).await.unwrap(), None, "expired");
        assert_eq!(t.store.password(&a).await.unwrap(), None);
        assert_eq!(t.store.accept_invitation(&link, "$hash$", at(59)).await.unwrap(), Some(a.clone()));
        assert_eq!(t.store.password(&a).await.unwrap().as_deref(), Some("$hash$"));
        assert_eq!(t.store.accept_invitation(&link, "$other$", at(59)).await.unwrap(), None, "used");
        for miss in ["", "ti_", &link[..66]] {
            assert_eq!(t.store.accept_invitation(miss, "$other$", at(1)).await.unwrap(), None, "{miss}");
        }
        assert_eq!(t.store.password(&a).await.unwrap().as_deref(), Some("$hash$"));
    }
}
