//! Where people are signed in, and whether they can sign in at all.

use std::collections::HashMap;

use super::Store;
use super::error::Result;
use super::secrets::sha256;
use super::sign_in::{IDLE_MAX, SESSION_MAX};
use super::sql::{Columns, Select};
use crate::model::id::AgentId;
use crate::model::time::Timestamp;

/// How an agent comes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WayIn {
    /// When it chose its password; `None`: it has none and cannot sign in.
    pub password_at: Option<Timestamp>,
    /// When the last of its links ends; `None`: it has none that is good.
    pub invited_until: Option<Timestamp>,
    /// When a browser of its own last asked for something; written down every ten minutes.
    pub seen_at: Option<Timestamp>,
}

/// A browser that somebody is signed in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Names it, and opens nothing.
    pub id: String,
    /// What the browser calls itself.
    pub client: Option<String>,
    pub begun_at: Timestamp,
    pub used_at: Timestamp,
    /// Whether it is the one that asks.
    pub is_this: bool,
}

/// Enough of the digest to tell a person's browsers apart.
const ID_BYTES: usize = 8;

impl Store {
    /// How agents come in: all of them, or this one.
    pub async fn ways_in(&self, only: Option<&AgentId>, now: Timestamp) -> Result<HashMap<AgentId, WayIn>> {
        let mut select = Select::new(
            "SELECT a.id, p.set_at, (SELECT MAX(used_at) FROM sessions s WHERE s.agent_id = a.id) AS seen_at, \
             (SELECT MAX(expires_at) FROM invitations i WHERE i.agent_id = a.id AND i.expires_at > ",
        );
        select.int(now.as_millis()).push(") AS invited_until FROM agents a LEFT JOIN passwords p ON p.agent_id = a.id");
        select.and("a.left_at IS NULL");
        if let Some(agent) = only {
            select.and("a.id = ").text(agent.as_str());
        }
        let mut ways = HashMap::new();
        for row in select.query().fetch_all(&self.reader).await? {
            let way = WayIn {
                password_at: row.time_opt("set_at")?,
                invited_until: row.time_opt("invited_until")?,
                seen_at: row.time_opt("seen_at")?,
            };
            ways.insert(row.word("id")?, way);
        }
        Ok(ways)
    }

    /// The browsers this agent is signed in with, last used first. `session`: the secret of the one that asks.
    pub async fn devices(&self, agent: &AgentId, session: Option<&str>, now: Timestamp) -> Result<Vec<Device>> {
        let this = session.map(sha256);
        let before = |length: std::time::Duration| now.as_millis() - length.as_millis() as i64;
        let rows = sqlx::query(
            "SELECT sha256, client, begun_at, used_at FROM sessions \
             WHERE agent_id = $1 AND used_at > $2 AND begun_at > $3 ORDER BY used_at DESC, begun_at DESC",
        )
        .bind(agent.as_str())
        .bind(before(IDLE_MAX))
        .bind(before(SESSION_MAX))
        .fetch_all(&self.reader)
        .await?;
        let device = |row: &sqlx::any::AnyRow| {
            let digest = row.bytes("sha256")?;
            Ok(Device {
                id: device_id(&digest),
                client: row.text_opt("client")?,
                begun_at: row.time("begun_at")?,
                used_at: row.time("used_at")?,
                is_this: this.as_ref() == Some(&digest),
            })
        };
        rows.iter().map(device).collect()
    }

    /// Signs one of this agent's browsers out. False if it has none of this id.
    pub async fn end_device(&self, agent: &AgentId, id: &str) -> Result<bool> {
        let rows = sqlx::query("SELECT sha256 FROM sessions WHERE agent_id = $1")
            .bind(agent.as_str())
            .fetch_all(&self.reader)
            .await?;
        for row in rows {
            let digest = row.bytes("sha256")?;
            if device_id(&digest) == id {
                let ended = sqlx::query("DELETE FROM sessions WHERE sha256 = $1 AND agent_id = $2")
                    .bind(digest)
                    .bind(agent.as_str())
                    .execute(&self.writer)
                    .await?;
                return Ok(ended.rows_affected() > 0);
            }
        }
        Ok(false)
    }
}

fn device_id(digest: &[u8]) -> String {
    hex::encode(digest.get(..ID_BYTES).unwrap_or(digest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::{self, Fixture, T0, at, on_both};

    on_both!(a_way_in_is_a_password_or_a_link_that_is_still_good);
    async fn a_way_in_is_a_password_or_a_link_that_is_still_good(t: Fixture) {
        t.seed().await;
        let [a, b] = ["a", "b"].map(fixture::agent_id);
        t.store.create_invitation(&a, at(60)).await.unwrap();
        t.store.create_invitation(&a, at(90)).await.unwrap();
        let of = async |agent: &AgentId, secs| t.store.ways_in(Some(agent), at(secs)).await.unwrap()[agent];
        assert_eq!(of(&a, 1).await, WayIn { invited_until: Some(at(90)), ..WayIn::default() });
        assert_eq!(of(&a, 90).await, WayIn::default());
        t.store.set_password(&a, "$hash$", at(2)).await.unwrap();
        t.store.create_session(&a, None, at(3)).await.unwrap();
        t.store.create_session(&a, None, at(4)).await.unwrap();
        assert_eq!(of(&a, 5).await, WayIn { password_at: Some(at(2)), seen_at: Some(at(4)), invited_until: None });
        assert_eq!(of(&b, 5).await, WayIn::default());
        t.store.leave(&b, None, T0).await.unwrap();
        let all = t.store.ways_in(None, at(5)).await.unwrap();
        assert!(all.contains_key(&a) && !all.contains_key(&b), "{all:?}");
    }

    on_both!(browsers_are_listed_and_signed_out_one_by_one_by_whose_they_are);
    async fn browsers_are_listed_and_signed_out_one_by_one_by_whose_they_are(t: Fixture) {
        t.seed().await;
        let [a, b] = ["a", "b"].map(fixture::agent_id);
        let old = t.store.create_session(&a, Some("Firefox\0"), T0).await.unwrap();
        let new = t.store.create_session(&a, None, at(9)).await.unwrap();
        let theirs = t.store.create_session(&b, Some("Safari"), at(9)).await.unwrap();
        let devices = t.store.devices(&a, Some(&old), at(10)).await.unwrap();
        let shown: Vec<_> = devices.iter().map(|d| (d.client.as_deref(), d.begun_at, d.is_this)).collect();
        assert_eq!(shown, [(None, at(9), false), (Some("Firefox\u{fffd}"), T0, true)]);
        assert!(devices.iter().all(|device| !sha256(&old).starts_with(device.id.as_bytes()) && device.id.len() == 16));
        assert!(!t.store.end_device(&b, &devices[0].id).await.unwrap(), "not theirs");
        assert!(t.store.end_device(&a, &devices[0].id).await.unwrap());
        assert!(!t.store.end_device(&a, &devices[0].id).await.unwrap());
        for (session, is_in) in [(&old, true), (&new, false), (&theirs, true)] {
            assert_eq!(t.store.authenticate(session, at(11)).await.unwrap().is_some(), is_in);
        }
        let idle = 12 * 3600;
        assert!(t.store.devices(&a, None, at(idle)).await.unwrap().is_empty(), "over, though not cleared away yet");
    }
}
