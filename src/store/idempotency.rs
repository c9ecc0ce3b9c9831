//! Repeated POSTs (`Idempotency-Key`): the first one works, its answer is kept for a day and given to every repeat.

use std::time::Duration;

use super::Store;
use super::error::Result;
use super::sql::{Columns, clean};
use crate::model::time::Timestamp;

/// What to do with a POST that carries an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Idempotent {
    /// Do the work, then call `idempotency_finish`.
    Fresh,
    /// It was done; this was the answer.
    Replay { status: u16, content_type: String, body: Vec<u8>, location: Option<String> },
    /// The key was used for another request.
    Mismatch,
    /// The first one still runs.
    InProgress,
}

/// How long an answer is kept.
pub(super) const KEPT: Duration = Duration::from_secs(24 * 3600);
/// A request that began this long ago and never finished died with its process: no route waits longer for WhatsApp.
const ABANDONED: Duration = Duration::from_secs(120);

impl Store {
    /// Begins a POST, or finds out how the one with the same key stands. Of several that come at once one is `Fresh`.
    ///
    /// # Errors
    /// [`super::StoreError::SecretKey`] when the kept answer was sealed with another key file.
    pub async fn idempotency_begin(
        &self,
        actor: &str,
        key: &str,
        request_sha256: &str,
        now: Timestamp,
    ) -> Result<Idempotent> {
        let (actor, key) = (clean(actor), clean(key));
        let ago = |time: Duration| now.as_millis() - i64::try_from(time.as_millis()).expect("a day fits");
        // Taking the row is one statement: it is new, or too old to count, or was left by a process that died.
        let taken = sqlx::query(
            "INSERT INTO idempotency (actor, key, request_sha256, begun_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (actor, key) DO UPDATE SET request_sha256 = excluded.request_sha256, \
             begun_at = excluded.begun_at, status = NULL, content_type = NULL, location = NULL, body = NULL \
             WHERE idempotency.begun_at <= $5 OR (idempotency.status IS NULL AND idempotency.begun_at <= $6)",
        )
        .bind(&actor)
        .bind(&key)
        .bind(request_sha256)
        .bind(now.as_millis())
        .bind(ago(KEPT))
        .bind(ago(ABANDONED))
        .execute(&self.writer)
        .await?;
        if taken.rows_affected() == 1 {
            return Ok(Idempotent::Fresh);
        }
        let row = sqlx::query("SELECT * FROM idempotency WHERE actor = $1 AND key = $2")
            .bind(&actor)
            .bind(&key)
            .fetch_optional(&self.writer)
            .await?;
        // Gone in between: the first one gave up just now. The caller may come again.
        let Some(row) = row else { return Ok(Idempotent::InProgress) };
        if row.text("request_sha256")? != request_sha256 {
            return Ok(Idempotent::Mismatch);
        }
        let Some(status) = row.int_opt("status")? else { return Ok(Idempotent::InProgress) };
        Ok(Idempotent::Replay {
            status: u16::try_from(status).map_err(|e| super::sql::damaged("status", e))?,
            content_type: row.text("content_type")?,
            body: self.key.open(&place(&actor, &key), &row.bytes("body")?)?,
            location: row.text_opt("location")?,
        })
    }

    /// Keeps the answer (status, content type, body, location); `None` forgets the key, so that a repeat tries again.
    pub async fn idempotency_finish(
        &self,
        actor: &str,
        key: &str,
        answer: Option<(u16, String, Vec<u8>, Option<String>)>,
    ) -> Result<()> {
        let (actor, key) = (clean(actor), clean(key));
        let Some((status, content_type, body, location)) = answer else {
            sqlx::query("DELETE FROM idempotency WHERE actor = $1 AND key = $2 AND status IS NULL")
                .bind(actor)
                .bind(key)
                .execute(&self.writer)
                .await?;
            return Ok(());
        };
        let sealed = self.key.seal(&place(&actor, &key), &body);
        sqlx::query(
            "UPDATE idempotency SET status = $3, content_type = $4, location = $5, body = $6 \
             WHERE actor = $1 AND key = $2 AND status IS NULL",
        )
        .bind(actor)
        .bind(key)
        .bind(i64::from(status))
        .bind(content_type)
        .bind(location)
        .bind(sealed)
        .execute(&self.writer)
        .await?;
        Ok(())
    }
}

/// What a sealed answer is bound to. The length keeps (`a`, `bc`) apart from (`ab`, `c`).
fn place(actor: &str, key: &str) -> String {
    format!("idempotency/{}/{actor}/{key}", actor.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::{Fixture, T0, at, on_both};

    fn answer() -> (u16, String, Vec<u8>, Option<String>) {
        (201, "application/json".to_owned(), vec![0, 255, b'{'], Some("/v1/calls/call_1".to_owned()))
    }

    fn replay() -> Idempotent {
        let (status, content_type, body, location) = answer();
        Idempotent::Replay { status, content_type, body, location }
    }

    on_both!(a_repeat_gets_the_first_answer_and_another_request_under_its_key_is_refused);
    async fn a_repeat_gets_the_first_answer_and_another_request_under_its_key_is_refused(t: Fixture) {
        let begin = async |actor, key, hash, now| t.store.idempotency_begin(actor, key, hash, now).await.unwrap();
        assert_eq!(begin("a", "k\0'", "h", T0).await, Idempotent::Fresh);
        assert_eq!(begin("a", "k\0'", "h", at(1)).await, Idempotent::InProgress);
        assert_eq!(begin("a", "k\0'", "other", at(1)).await, Idempotent::Mismatch);
        assert_eq!(begin("b", "k\0'", "other", at(1)).await, Idempotent::Fresh, "keys are each caller's own");
        t.store.idempotency_finish("a", "k\0'", Some(answer())).await.unwrap();
        assert_eq!(begin("a", "k\0'", "h", at(2)).await, replay());
        assert_eq!(begin("a", "k\0'", "other", at(2)).await, Idempotent::Mismatch);
        t.store.idempotency_finish("a", "k\0'", None).await.unwrap();
        assert_eq!(begin("a", "k\0'", "h", at(3)).await, replay(), "an answer is not taken back");
        assert_eq!(begin("a", "k\0'", "other", at(24 * 3600)).await, Idempotent::Fresh, "a day later it is forgotten");
    }

    on_both!(what_failed_or_died_may_be_tried_again);
    async fn what_failed_or_died_may_be_tried_again(t: Fixture) {
        assert_eq!(t.store.idempotency_begin("a", "k", "h", T0).await.unwrap(), Idempotent::Fresh);
        t.store.idempotency_finish("a", "k", None).await.unwrap();
        assert_eq!(t.store.idempotency_begin("a", "k", "h", at(1)).await.unwrap(), Idempotent::Fresh);
        let t = t.restart().await;
        assert_eq!(t.store.idempotency_begin("a", "k", "h", at(2)).await.unwrap(), Idempotent::InProgress);
        assert_eq!(t.store.idempotency_begin("a", "k", "h", at(121)).await.unwrap(), Idempotent::Fresh);
    }

    on_both!(of_sixty_four_at_once_one_works_and_all_get_its_answer);
    async fn of_sixty_four_at_once_one_works_and_all_get_its_answer(t: Fixture) {
        let tasks = (0..64).map(|_| {
            let store = t.store.clone();
            tokio::spawn(async move {
                let first = store.idempotency_begin("a", "k", "h", T0).await.unwrap();
                if first == Idempotent::Fresh {
                    store.idempotency_finish("a", "k", Some(answer())).await.unwrap();
                }
                first
            })
        });
        let all = futures_util::future::join_all(tasks).await;
        let fresh = all.iter().filter(|r| matches!(r, Ok(Idempotent::Fresh))).count();
        assert_eq!(fresh, 1);
        assert!(all.iter().all(|r| !matches!(r, Ok(Idempotent::Mismatch) | Err(_))));
        assert_eq!(t.store.idempotency_begin("a", "k", "h", T0).await.unwrap(), replay());
    }
}
