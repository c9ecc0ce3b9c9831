//! What need not be kept for ever.

use std::time::Duration;

use super::error::Result;
use super::sign_in::{IDLE_MAX, SESSION_MAX};
use super::{Store, idempotency};
use crate::model::time::Timestamp;

/// Raw deliveries that were worked off, for looking into what Meta really sent.
const WEBHOOKS_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);
/// Meta repeats a delivery for up to 7 days; a day more so that the last repeat is still known.
const KEYS_KEPT: Duration = Duration::from_secs(8 * 24 * 3600);
/// An expired token opens nothing; a day on, nobody asks any more why.
const TOKENS_KEPT: Duration = Duration::from_secs(24 * 3600);

/// How many rows went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    pub webhooks: u64,
    pub seen_keys: u64,
    pub tombstones: u64,
    pub agent_tokens: u64,
    pub invitations: u64,
    pub sessions: u64,
    pub idempotency: u64,
}

impl Store {
    /// Removes worked-off deliveries and de-duplication marks after about a week, expired tokens, links, sessions and kept
    /// answers after a day. Deliveries not worked off stay, whatever their age. To be called about once an hour.
    pub async fn prune(&self, now: Timestamp) -> Result<Pruned> {
        let before = async |sql: &'static str, kept: Duration| -> Result<u64> {
            let limit = now.as_millis() - i64::try_from(kept.as_millis()).expect("days fit");
            Ok(sqlx::query(sql).bind(limit).execute(&self.writer).await?.rows_affected())
        };
        Ok(Pruned {
            webhooks: before("DELETE FROM webhooks WHERE done = 1 AND received_at <= $1", WEBHOOKS_KEPT).await?,
            seen_keys: before("DELETE FROM seen_keys WHERE seen_at <= $1", KEYS_KEPT).await?,
            tombstones: before("DELETE FROM tombstones WHERE buried_at <= $1", KEYS_KEPT).await?,
            agent_tokens: before("DELETE FROM agent_tokens WHERE expires_at <= $1", TOKENS_KEPT).await?,
            invitations: before("DELETE FROM invitations WHERE expires_at <= $1", TOKENS_KEPT).await?,
            sessions: before("DELETE FROM sessions WHERE used_at <= $1", IDLE_MAX).await?
                + before("DELETE FROM sessions WHERE begun_at <= $1", SESSION_MAX).await?,
            idempotency: before("DELETE FROM idempotency WHERE begun_at <= $1", idempotency::KEPT).await?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::id::Wacid;
    use crate::store::fixture::{self, Fixture, T0, at, on_both};

    on_both!(only_what_is_done_and_old_goes);
    async fn only_what_is_done_and_old_goes(t: Fixture) {
        t.seed().await;
        let (done, _pending) =
            (t.store.keep_webhook(b"1", T0).await.unwrap(), t.store.keep_webhook(b"2", T0).await.unwrap());
        t.store.webhook_done(done).await.unwrap();
        t.store.first_sight("k", T0).await.unwrap();
        t.store.bury(&Wacid::parse("wacid.1").unwrap(), &serde_json::json!({}), T0).await.unwrap();
        let token = t.store.create_agent_token(&fixture::agent_id("a"), at(3600)).await.unwrap();
        t.store.idempotency_begin("a", "k", "h", T0).await.unwrap();

        let (hour, day) = (3600, 24 * 3600);
        assert_eq!(t.store.prune(at(hour - 1)).await.unwrap(), Pruned::default());
        assert!(t.store.authenticate(&token, at(hour - 1)).await.unwrap().is_some());
        assert_eq!(t.store.prune(at(day)).await.unwrap(), Pruned { idempotency: 1, ..Pruned::default() });
        assert_eq!(t.store.prune(at(day + hour)).await.unwrap(), Pruned { agent_tokens: 1, ..Pruned::default() });
        assert_eq!(t.store.prune(at(7 * day)).await.unwrap(), Pruned { webhooks: 1, ..Pruned::default() });
        assert!(!t.store.first_sight("k", at(7 * day)).await.unwrap(), "a repeat of the seventh day is still known");
        let marks = Pruned { seen_keys: 1, tombstones: 1, ..Pruned::default() };
        assert_eq!(t.store.prune(at(8 * day)).await.unwrap(), marks);
        assert_eq!(t.store.webhooks_pending().await.unwrap().len(), 1, "work not done is never thrown away");
    }
}
