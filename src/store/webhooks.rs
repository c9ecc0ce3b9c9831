//! WhatsApp's deliveries: kept raw before they are answered, worked off later, each event inside taken once.

use super::Store;
use super::error::Result;
use super::sql::{Columns, json_text};
use crate::model::id::Wacid;
use crate::model::time::Timestamp;

impl Store {
    /// Keeps a delivery as it came; after this it may be answered with 200. Gives its number, in order of arrival.
    pub async fn keep_webhook(&self, body: &[u8], now: Timestamp) -> Result<i64> {
        let mut tx = self.writer.begin().await?;
        let id = sqlx::query("UPDATE counters SET value = value + 1 WHERE name = 'webhooks' RETURNING value")
            .fetch_one(&mut *tx)
            .await?
            .int("value")?;
        sqlx::query("INSERT INTO webhooks (id, received_at, done, body) VALUES ($1, $2, 0, $3)")
            .bind(id)
            .bind(now.as_millis())
            .bind(body.to_vec())
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(id)
    }

    /// true the first time this key is seen.
    pub async fn first_sight(&self, dedup_key: &str, now: Timestamp) -> Result<bool> {
        self.sight(dedup_key, None, now).await
    }

    /// true the first time this key is seen, and again for the same delivery while it is not worked off: a crash between
    /// this answer and the end of the work must not make the event count as a repeat of itself. What it leads to must
    /// therefore bear being done twice.
    pub async fn first_sight_in(&self, webhook: i64, dedup_key: &str, now: Timestamp) -> Result<bool> {
        self.sight(dedup_key, Some(webhook), now).await
    }

    async fn sight(&self, key: &str, webhook: Option<i64>, now: Timestamp) -> Result<bool> {
        // One statement decides. The update touches nothing, it only makes the row count as affected for its own webhook.
        let done = sqlx::query(
            "INSERT INTO seen_keys (key, webhook_id, seen_at) VALUES ($1, $2, $3) \
             ON CONFLICT (key) DO UPDATE SET seen_at = seen_keys.seen_at \
             WHERE seen_keys.webhook_id = excluded.webhook_id AND EXISTS \
             (SELECT 1 FROM webhooks WHERE webhooks.id = seen_keys.webhook_id AND webhooks.done = 0)",
        )
        .bind(super::sql::clean(key))
        .bind(webhook)
        .bind(now.as_millis())
        .execute(&self.writer)
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// The delivery is worked off: a restart does not take it up again.
    pub async fn webhook_done(&self, id: i64) -> Result<()> {
        sqlx::query("UPDATE webhooks SET done = 1 WHERE id = $1").bind(id).execute(&self.writer).await?;
        Ok(())
    }

    /// Kept but not worked off, oldest first: a crash came between.
    pub async fn webhooks_pending(&self) -> Result<Vec<(i64, Vec<u8>, Timestamp)>> {
        let rows = sqlx::query("SELECT id, body, received_at FROM webhooks WHERE done = 0 ORDER BY id")
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(|row| Ok((row.int("id")?, row.bytes("body")?, row.time("received_at")?))).collect()
    }

    /// An end that came before its call: remembered so that a late connect rings nobody. The first one stands.
    pub async fn bury(&self, w: &Wacid, terminate: &serde_json::Value, now: Timestamp) -> Result<()> {
        sqlx::query(
            "INSERT INTO tombstones (wacid, body, buried_at) VALUES ($1, $2, $3) ON CONFLICT (wacid) DO NOTHING",
        )
        .bind(w.as_str())
        .bind(json_text(terminate))
        .bind(now.as_millis())
        .execute(&self.writer)
        .await?;
        Ok(())
    }

    /// What ended this call before it came, if anything did.
    pub async fn tombstone(&self, w: &Wacid) -> Result<Option<serde_json::Value>> {
        // On the writer: it comes after every end that was buried before this question was asked.
        let row = sqlx::query("SELECT body FROM tombstones WHERE wacid = $1")
            .bind(w.as_str())
            .fetch_optional(&self.writer)
            .await?;
        row.map(|row| row.json("body")).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::{Fixture, T0, at, on_both};

    on_both!(deliveries_wait_in_order_until_they_are_worked_off_also_over_a_restart);
    async fn deliveries_wait_in_order_until_they_are_worked_off_also_over_a_restart(t: Fixture) {
        let bodies: [&[u8]; 3] = [b"{}", b"\x00\xff not json '; DROP TABLE webhooks; --", b""];
        let mut ids = Vec::new();
        for (i, body) in bodies.iter().enumerate() {
            ids.push(t.store.keep_webhook(body, at(i as i64)).await.unwrap());
        }
        t.store.webhook_done(ids[0]).await.unwrap();
        let t = t.restart().await;
        let pending = t.store.webhooks_pending().await.unwrap();
        assert_eq!(pending, [(ids[1], bodies[1].to_vec(), at(1)), (ids[2], bodies[2].to_vec(), at(2))]);
    }

    on_both!(of_sixty_four_who_see_a_key_at_once_exactly_one_is_first);
    async fn of_sixty_four_who_see_a_key_at_once_exactly_one_is_first(t: Fixture) {
        let tasks = (0..64).map(|_| {
            let store = t.store.clone();
            tokio::spawn(async move { store.first_sight("wacid.x/connect", T0).await.unwrap() })
        });
        let firsts = futures_util::future::join_all(tasks).await.into_iter().filter(|r| *r.as_ref().unwrap()).count();
        assert_eq!(firsts, 1);
        let t = t.restart().await;
        assert!(!t.store.first_sight("wacid.x/connect", T0).await.unwrap(), "remembered over a restart");
        assert!(t.store.first_sight("wacid.x/terminate", T0).await.unwrap());
    }

    on_both!(a_crash_in_the_middle_of_a_delivery_does_not_swallow_its_event);
    async fn a_crash_in_the_middle_of_a_delivery_does_not_swallow_its_event(t: Fixture) {
        let (one, twin) =
            (t.store.keep_webhook(b"1", T0).await.unwrap(), t.store.keep_webhook(b"2", T0).await.unwrap());
        assert!(t.store.first_sight_in(one, "k", T0).await.unwrap());
        assert!(!t.store.first_sight_in(twin, "k", T0).await.unwrap(), "its duplicate is one");
        let t = t.restart().await;
        assert!(t.store.first_sight_in(one, "k", T0).await.unwrap(), "the work was not finished");
        assert!(!t.store.first_sight_in(twin, "k", T0).await.unwrap());
        t.store.webhook_done(one).await.unwrap();
        assert!(!t.store.first_sight_in(one, "k", T0).await.unwrap(), "now it was");
        assert!(!t.store.first_sight("k", T0).await.unwrap());
    }

    on_both!(an_end_before_its_call_is_remembered_and_the_first_one_stands);
    async fn an_end_before_its_call_is_remembered_and_the_first_one_stands(t: Fixture) {
        let w = Wacid::parse("wacid.HBgM'\"--").unwrap();
        assert_eq!(t.store.tombstone(&w).await.unwrap(), None);
        let first = serde_json::json!({"event": "terminate", "status": "a\u{0}b"});
        t.store.bury(&w, &first, T0).await.unwrap();
        t.store.bury(&w, &serde_json::json!({}), at(1)).await.unwrap();
        let t = t.restart().await;
        assert_eq!(t.store.tombstone(&w).await.unwrap(), Some(first));
    }
}
