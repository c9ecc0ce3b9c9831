//! Browsers that take a call while no console is open. Each belongs to a session and goes with it, however it ends.

use sqlx::any::AnyRow;

use super::Store;
use super::error::{Result, StoreError};
use super::secrets::sha256;
use super::sign_in::{IDLE_MAX, SESSION_MAX};
use super::sql::{Columns, clean, damaged};
use crate::model::id::{AgentId, PushId};
use crate::model::private_url::PrivateUrl;
use crate::model::push::{PushKeys, PushSubscription};
use crate::model::time::Timestamp;

/// A laptop, a phone, a tablet and their successors: each one is a request at every ring.
pub const PUSH_SUBSCRIPTIONS_MAX: i64 = 5;

/// A browser that wants to be rung.
#[derive(Debug)]
pub struct PushWish<'a> {
    pub agent: &'a AgentId,
    /// The secret of its session.
    pub session: &'a str,
    pub device: &'a str,
    pub endpoint: &'a PrivateUrl,
    pub keys: &'a PushKeys,
}

impl Store {
    /// Keeps a browser's subscription, or what has changed of one with the same endpoint: another person may have signed in
    /// there. True if it is a new one.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when the session has ended; [`StoreError::Refused`] when the agent has
    /// [`PUSH_SUBSCRIPTIONS_MAX`] others.
    pub async fn put_push_subscription(&self, wish: &PushWish<'_>, now: Timestamp) -> Result<(PushSubscription, bool)> {
        let mut tx = self.writer.begin().await?;
        // The row of the agent first, so that two browsers are counted one after the other.
        sqlx::query("UPDATE agents SET role = role WHERE id = $1").bind(wish.agent.as_str()).execute(&mut *tx).await?;
        let known = sqlx::query("SELECT id FROM push_subscriptions WHERE endpoint = $1")
            .bind(&**wish.endpoint)
            .fetch_optional(&mut *tx)
            .await?;
        let others = sqlx::query("SELECT count(*) AS n FROM push_subscriptions WHERE agent_id = $1 AND endpoint <> $2")
            .bind(wish.agent.as_str())
            .bind(&**wish.endpoint)
            .fetch_one(&mut *tx)
            .await?;
        if others.int("n")? >= PUSH_SUBSCRIPTIONS_MAX {
            return Err(StoreError::Refused {
                field: "endpoint",
                reason: format!(
                    "this agent has {PUSH_SUBSCRIPTIONS_MAX} browsers that ring; switch one of them off first"
                ),
            });
        }
        let is_new = known.is_none();
        let id = known.map_or_else(|| Ok(PushId::generate()), |row| row.word("id"))?;
        sqlx::query(
            "INSERT INTO push_subscriptions (id, agent_id, session, endpoint, p256dh, auth, device, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (endpoint) DO UPDATE SET \
             agent_id = excluded.agent_id, session = excluded.session, p256dh = excluded.p256dh, auth = excluded.auth, \
             device = excluded.device",
        )
        .bind(id.as_str())
        .bind(wish.agent.as_str())
        .bind(sha256(wish.session))
        .bind(&**wish.endpoint)
        .bind(wish.keys.p256dh.to_vec())
        .bind(wish.keys.auth.to_vec())
        .bind(clean(wish.device))
        .bind(now.as_millis())
        .execute(&mut *tx)
        .await
        .map_err(StoreError::on_write(|| "the session".to_owned()))?;
        tx.commit().await?;
        let kept = PushSubscription {
            id,
            agent_id: wish.agent.clone(),
            device: clean(wish.device),
            endpoint: wish.endpoint.clone(),
            keys: wish.keys.clone(),
            created_at: now,
            current: true,
        };
        Ok((kept, is_new))
    }

    /// The agent's browsers that can be rung at this moment, the oldest first. `session`: the secret of the one that asks.
    pub async fn push_subscriptions(
        &self,
        agent: &AgentId,
        session: Option<&str>,
        now: Timestamp,
    ) -> Result<Vec<PushSubscription>> {
        let before = |length: std::time::Duration| now.as_millis() - length.as_millis() as i64;
        let rows = sqlx::query(
            "SELECT p.id, p.agent_id, p.session, p.endpoint, p.p256dh, p.auth, p.device, p.created_at \
             FROM push_subscriptions p JOIN sessions s ON s.sha256 = p.session \
             WHERE p.agent_id = $1 AND s.used_at > $2 AND s.begun_at > $3 ORDER BY p.created_at, p.id",
        )
        .bind(agent.as_str())
        .bind(before(IDLE_MAX))
        .bind(before(SESSION_MAX))
        .fetch_all(&self.reader)
        .await?;
        let asks = session.map(sha256);
        rows.iter().map(|row| subscription(row, asks.as_deref())).collect()
    }

    /// Forgets one of an agent's browsers; false if it was not there.
    pub async fn remove_push_subscription(&self, agent: &AgentId, id: &PushId) -> Result<bool> {
        let done = sqlx::query("DELETE FROM push_subscriptions WHERE agent_id = $1 AND id = $2")
            .bind(agent.as_str())
            .bind(id.as_str())
            .execute(&self.writer)
            .await?;
        Ok(done.rows_affected() > 0)
    }
}

fn subscription(row: &AnyRow, asks: Option<&[u8]>) -> Result<PushSubscription> {
    let fixed = |column: &str| row.bytes(column);
    let wrong = |column: &'static str| move |_: Vec<u8>| damaged(column, "not a key's length");
    Ok(PushSubscription {
        id: row.word("id")?,
        agent_id: row.word("agent_id")?,
        device: row.text("device")?,
        endpoint: PrivateUrl::from(row.text("endpoint")?.as_str()),
        keys: PushKeys {
            p256dh: fixed("p256dh")?.try_into().map_err(wrong("p256dh"))?,
            auth: fixed("auth")?.try_into().map_err(wrong("auth"))?,
        },
        created_at: row.time("created_at")?,
        current: asks.is_some_and(|asks| row.bytes("session").is_ok_and(|session| session == asks)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::{self, Fixture, T0, at, on_both};

    const KEYS: PushKeys = PushKeys { p256dh: [4; 65], auth: [7; 16] };

    async fn put(t: &Fixture, agent: &AgentId, session: &str, n: usize) -> Result<(PushSubscription, bool)> {
        let endpoint = PrivateUrl::from(format!("https://push.example.com/{n}").as_str());
        let wish = PushWish { agent, session, device: "Phone\0", endpoint: &endpoint, keys: &KEYS };
        t.store.put_push_subscription(&wish, at(n as i64)).await
    }

    async fn rings(t: &Fixture, agent: &AgentId, secs: i64) -> Vec<String> {
        let all = t.store.push_subscriptions(agent, None, at(secs)).await.unwrap();
        all.iter().map(|one| one.endpoint.rsplit_once('/').unwrap().1.to_owned()).collect()
    }

    on_both!(a_browser_rings_as_long_as_its_session_lives);
    async fn a_browser_rings_as_long_as_its_session_lives(t: Fixture) {
        t.seed().await;
        let [a, b] = ["a", "b"].map(fixture::agent_id);
        let session = t.store.create_session(&a, None, T0).await.unwrap();
        let (kept, is_new) = put(&t, &a, &session, 1).await.unwrap();
        assert!(is_new && kept.current && kept.device == "Phone\u{fffd}");
        let (same, is_new) = put(&t, &a, &session, 1).await.unwrap();
        assert!(!is_new && same.id == kept.id, "the same endpoint is the same browser");
        let t = t.restart().await;
        let found = t.store.push_subscriptions(&a, Some(&session), at(1)).await.unwrap();
        assert_eq!((found.len(), &found[0].keys, found[0].current), (1, &KEYS, true));
        assert!(!t.store.push_subscriptions(&a, Some("ts_other"), at(1)).await.unwrap()[0].current);
        assert_eq!(rings(&t, &a, 12 * 3600 - 1).await, ["1"]);
        assert_eq!(rings(&t, &a, 12 * 3600).await, [""; 0], "nobody used the session for so long");

        let theirs = t.store.create_session(&b, None, T0).await.unwrap();
        put(&t, &b, &theirs, 1).await.unwrap();
        assert_eq!(
            (rings(&t, &a, 1).await.len(), rings(&t, &b, 1).await.len()),
            (0, 1),
            "somebody else signed in there"
        );
        assert!(!t.store.remove_push_subscription(&a, &kept.id).await.unwrap(), "not a's any more");
        assert!(t.store.remove_push_subscription(&b, &kept.id).await.unwrap());
        assert!(matches!(put(&t, &a, "ts_gone", 3).await, Err(StoreError::Missing(_))));
    }

    on_both!(whatever_ends_a_session_ends_its_pushes);
    async fn whatever_ends_a_session_ends_its_pushes(t: Fixture) {
        t.seed().await;
        let a = fixture::agent_id("a");
        for (n, what) in
            ["signed out", "signed out everywhere", "access taken", "another password", "pruned"].iter().enumerate()
        {
            let session = t.store.create_session(&a, None, T0).await.unwrap();
            put(&t, &a, &session, n).await.unwrap();
            assert_eq!(rings(&t, &a, 1).await.len(), 1, "{what}");
            match n {
                0 => t.store.end_session(&session).await.unwrap(),
                1 => t.store.end_sessions(&a).await.unwrap(),
                2 => t.store.take_access(&a).await.unwrap(),
                3 => t.store.set_password(&a, "$hash$", T0).await.unwrap(),
                _ => drop(t.store.prune(at(40 * 24 * 3600)).await.unwrap()),
            }
            let left = sqlx::query("SELECT count(*) AS n FROM push_subscriptions").fetch_one(&t.store.reader).await;
            assert_eq!(left.unwrap().int("n").unwrap(), 0, "{what}");
        }
    }

    on_both!(an_agent_has_a_few_browsers_and_no_more);
    async fn an_agent_has_a_few_browsers_and_no_more(t: Fixture) {
        t.seed().await;
        let a = fixture::agent_id("a");
        let session = t.store.create_session(&a, None, T0).await.unwrap();
        for n in 0..5 {
            put(&t, &a, &session, n).await.unwrap();
        }
        assert!(matches!(put(&t, &a, &session, 5).await, Err(StoreError::Refused { field: "endpoint", .. })));
        put(&t, &a, &session, 4).await.unwrap();
        assert_eq!(rings(&t, &a, 9).await, ["0", "1", "2", "3", "4"]);
    }
}
