//! What becomes of recordings once they are finished: into the object store, off the local disk, and away for good when
//! their time is over. Each step is written down when it is done, so that a crash in between only repeats one.

use sqlx::Any;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;

use super::error::{Result, StoreError};
use super::recordings::read_recording;
use super::sql::{Columns, damaged, json_text};
use super::{RecordingFile, Store, events};
use crate::model::directory::Asker;
use crate::model::event::{Event, NewEvent};
use crate::model::id::CallId;
use crate::model::reason::RecordingState;
use crate::model::recording::{Progress, StoredFile};
use crate::model::time::Timestamp;

#[cfg(test)]
mod plans;

/// Rows of one look; the next one comes within seconds.
const LOOK_MAX: i64 = 50;
/// Recordings taken up by one look: after an upgrade all there are wait, and who writes about calls must not.
const ENTER_MAX: i64 = 500;
const DAY_MS: i64 = 24 * 3600 * 1000;

const DUE_UPLOADS: &str = "SELECT * FROM recordings WHERE stored_at IS NULL AND local_since IS NOT NULL \
    AND state IN ('ready', 'failed') AND due_at <= $1 ORDER BY due_at, finished_at, id LIMIT $2";

const DUE_PURGES: &str = "SELECT * FROM recordings WHERE state = 'deleted' AND purged_at IS NULL AND due_at <= $1 \
    ORDER BY due_at, id LIMIT $2";

const SPARE_LOCALS: &str = "SELECT * FROM recordings WHERE store = $3 AND local_since IS NOT NULL AND local_since <= $1 \
    AND stored_at IS NOT NULL AND state IN ('ready', 'failed') AND NOT EXISTS (SELECT 1 FROM transcripts t \
    WHERE t.call_id = recordings.call_id AND t.state IN ('live', 'pending')) ORDER BY local_since, id LIMIT $2";

/// Those that are older than the least of all times come first and alone; whose time it was is asked of them.
const EXPIRED: &str = "SELECT r.call_id FROM recordings r JOIN calls c ON c.id = r.call_id \
    JOIN numbers n ON n.id = c.number_id WHERE r.state IN ('ready', 'failed') AND r.held = 0 AND r.finished_at <= $5 \
    AND COALESCE(n.keep_recordings_days, $1) > 0 \
    AND r.finished_at <= $2 - COALESCE(n.keep_recordings_days, $1) * $3 ORDER BY r.finished_at LIMIT $4";

const WAITING: &str = "SELECT COUNT(*) AS waiting, MIN(finished_at) AS oldest FROM recordings \
    WHERE stored_at IS NULL AND local_since IS NOT NULL AND state IN ('ready', 'failed')";

/// A finished recording and where its files are.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    pub call: CallId,
    pub file: RecordingFile,
    pub finished_at: Timestamp,
    /// Which store its files are in or on their way to, as `recording.store` named it.
    pub store: Option<String>,
    /// When all of them were proven to be there.
    pub stored_at: Option<Timestamp>,
    /// How often what is due was tried in vain.
    pub attempts: u32,
    /// In the store once `stored_at`; until then, as far as each is on its way.
    pub files: Vec<(StoredFile, Progress)>,
}

/// How far behind the store is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeepingFigures {
    /// Recordings that are finished and not stored.
    pub waiting: u64,
    /// When the call of the oldest of them ended.
    pub oldest: Option<Timestamp>,
}

impl Store {
    /// Takes up recordings that were finished since the last look, some hundred at a time. Returns how many.
    pub async fn enter_finished(&self, now: Timestamp) -> Result<u64> {
        // Asked every second, and mostly there is none: nobody who writes is made to wait for that.
        let any =
            sqlx::query("SELECT 1 FROM recordings WHERE finished_at IS NULL AND state IN ('ready', 'failed') LIMIT 1");
        if any.fetch_optional(&self.reader).await?.is_none() {
            return Ok(0);
        }
        let done = sqlx::query(
            "UPDATE recordings SET local_since = $1, finished_at = COALESCE((SELECT MIN(calls.ended_at) FROM calls \
             WHERE calls.id = recordings.call_id), $1) WHERE call_id IN (SELECT call_id FROM recordings \
             WHERE finished_at IS NULL AND state IN ('ready', 'failed') LIMIT $2)",
        );
        Ok(done.bind(now.as_millis()).bind(ENTER_MAX).execute(&self.writer).await?.rows_affected())
    }

    /// Recordings to be uploaded: new ones first, by age; then those that failed before and are due again.
    pub async fn due_uploads(&self, now: Timestamp) -> Result<Vec<Kept>> {
        self.read_all(sqlx::query(DUE_UPLOADS).bind(now.as_millis()).bind(LOOK_MAX)).await
    }

    /// The recording goes to this store; what is on its way to another is forgotten.
    pub async fn begin_upload(&self, call: &CallId, store: &str) -> Result<()> {
        let mut tx = self.writer.begin().await?;
        let query = sqlx::query(
            "DELETE FROM recording_files WHERE call_id = $1 AND EXISTS (SELECT 1 FROM recordings r \
             WHERE r.call_id = $1 AND r.stored_at IS NULL AND COALESCE(r.store, '') <> $2)",
        );
        query.bind(call.as_str()).bind(store).execute(&mut *tx).await?;
        let query = sqlx::query("UPDATE recordings SET store = $2 WHERE call_id = $1 AND stored_at IS NULL");
        query.bind(call.as_str()).bind(store).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// How far a file is on its way.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when the call has no recording.
    pub async fn note_upload(&self, call: &CallId, file: &StoredFile, progress: &Progress) -> Result<()> {
        let bytes = i64::try_from(file.bytes).map_err(|error| damaged("bytes", error))?;
        sqlx::query(
            "INSERT INTO recording_files (call_id, name, key, bytes, sha256, upload_id, parts) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (call_id, name) DO UPDATE SET key = excluded.key, \
             bytes = excluded.bytes, sha256 = excluded.sha256, upload_id = excluded.upload_id, parts = excluded.parts",
        )
        .bind(call.as_str())
        .bind(&*file.name)
        .bind(&*file.key)
        .bind(bytes)
        .bind(&*file.sha256)
        .bind(progress.upload_id.as_deref())
        .bind(json_text(&progress.parts))
        .execute(&self.writer)
        .await
        .map_err(StoreError::on_write(|| format!("the recording of {call}")))?;
        Ok(())
    }

    /// All files were read back from the store. The event tells it; none if the recording was deleted meanwhile.
    pub async fn put_stored(&self, call: &CallId, bytes: u64, now: Timestamp) -> Result<Vec<Event>> {
        let mut tx = self.writer.begin().await?;
        let done = sqlx::query(
            "UPDATE recordings SET stored_at = $2, due_at = 0, attempts = 0 \
             WHERE call_id = $1 AND stored_at IS NULL AND state <> 'deleted'",
        )
        .bind(call.as_str())
        .bind(now.as_millis())
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(Vec::new());
        }
        let query = sqlx::query("UPDATE recording_files SET upload_id = NULL, parts = '[]' WHERE call_id = $1");
        query.bind(call.as_str()).execute(&mut *tx).await?;
        let data = serde_json::json!({"call_id": call, "bytes": bytes});
        let logged = events::append(&mut tx, vec![news("recording.stored", call, data)], now).await?;
        tx.commit().await?;
        Ok(logged)
    }

    /// An upload or a deletion came to nothing and is due again at `again`. With `told` this is told.
    pub async fn put_off_keeping(
        &self,
        call: &CallId,
        again: Timestamp,
        told: Option<(&'static str, &str)>,
        now: Timestamp,
    ) -> Result<Vec<Event>> {
        let mut tx = self.writer.begin().await?;
        let query = sqlx::query("UPDATE recordings SET due_at = $2, attempts = attempts + 1 WHERE call_id = $1");
        query.bind(call.as_str()).bind(again.as_millis()).execute(&mut *tx).await?;
        let event = told.map(|(kind, error)| news(kind, call, serde_json::json!({"call_id": call, "error": error})));
        let logged = events::append(&mut tx, event.into_iter().collect(), now).await?;
        tx.commit().await?;
        Ok(logged)
    }

    /// Recordings in this store whose local files have been here since before `since`, and that nobody has still to listen
    /// to.
    pub async fn spare_locals(&self, store: &str, since: Timestamp) -> Result<Vec<Kept>> {
        self.read_all(sqlx::query(SPARE_LOCALS).bind(since.as_millis()).bind(LOOK_MAX).bind(store.to_owned())).await
    }

    /// Files came to a stored recording: until they are in the store too, it is not.
    pub async fn store_again(&self, call: &CallId, now: Timestamp) -> Result<()> {
        let query = sqlx::query(
            "UPDATE recordings SET stored_at = NULL, due_at = 0, attempts = 0, local_since = COALESCE(local_since, $2) \
             WHERE call_id = $1 AND stored_at IS NOT NULL AND state IN ('ready', 'failed')",
        );
        query.bind(call.as_str()).bind(now.as_millis()).execute(&self.writer).await?;
        Ok(())
    }

    /// Since when the local files are here; `None`: they are gone.
    pub async fn note_local(&self, call: &CallId, since: Option<Timestamp>) -> Result<()> {
        let query = sqlx::query("UPDATE recordings SET local_since = $2 WHERE call_id = $1");
        query.bind(call.as_str()).bind(since.map(Timestamp::as_millis)).execute(&self.writer).await?;
        Ok(())
    }

    /// Local files of a recording were found that is to be in the store alone: they are here since now.
    pub async fn note_found(&self, call: &CallId, now: Timestamp) -> Result<()> {
        let query = sqlx::query(
            "UPDATE recordings SET local_since = $2 WHERE call_id = $1 AND local_since IS NULL AND stored_at IS NOT NULL \
             AND state IN ('ready', 'failed')",
        );
        query.bind(call.as_str()).bind(now.as_millis()).execute(&self.writer).await?;
        Ok(())
    }

    /// Recordings whose time is over: their number's days, or `days` where it has none of its own. 0 = for ever.
    pub async fn expired_recordings(&self, days: u32, now: Timestamp) -> Result<Vec<CallId>> {
        let row =
            sqlx::query("SELECT MIN(keep_recordings_days) AS shortest FROM numbers WHERE keep_recordings_days > 0")
                .fetch_one(&self.reader)
                .await?;
        let days = i64::from(days);
        let Some(shortest) = row.int_opt("shortest")?.into_iter().chain((days > 0).then_some(days)).min() else {
            return Ok(Vec::new());
        };
        let query = sqlx::query(EXPIRED).bind(days).bind(now.as_millis()).bind(DAY_MS).bind(LOOK_MAX);
        let rows =
            query.bind(now.as_millis().saturating_sub(shortest.saturating_mul(DAY_MS))).fetch_all(&self.reader).await?;
        rows.iter().map(|row| row.word("call_id")).collect()
    }

    /// Nobody gets the recording from now on; its files go as soon as possible. `by`: who wished it; `None`: its time was
    /// over. False if it is not finished, is held, or was deleted before.
    pub async fn delete_recording(&self, call: &CallId, by: Option<&Asker>) -> Result<bool> {
        let mut tx = self.writer.begin().await?;
        // The call's row first, as everywhere.
        let query = sqlx::query(
            "UPDATE calls SET recording_state = 'deleted' WHERE id = $1 AND EXISTS (SELECT 1 FROM recordings r \
             WHERE r.call_id = calls.id AND r.state IN ('ready', 'failed') AND r.held = 0)",
        );
        if query.bind(call.as_str()).execute(&mut *tx).await?.rows_affected() == 0 {
            return Ok(false);
        }
        let query = sqlx::query(
            "UPDATE recordings SET state = 'deleted', due_at = 0, attempts = 0, deleted_by = $2, \
             finished_at = COALESCE(finished_at, (SELECT MIN(calls.ended_at) FROM calls \
             WHERE calls.id = recordings.call_id), 0) WHERE call_id = $1 AND state IN ('ready', 'failed') AND held = 0",
        );
        let by = by.map(json_text);
        let done = query.bind(call.as_str()).bind(by).execute(&mut *tx).await?.rows_affected() > 0;
        if done {
            tx.commit().await?;
        }
        Ok(done)
    }

    /// Deleted recordings whose files are still to go.
    pub async fn due_purges(&self, now: Timestamp) -> Result<Vec<Kept>> {
        self.read_all(sqlx::query(DUE_PURGES).bind(now.as_millis()).bind(LOOK_MAX)).await
    }

    /// The last file is gone: told, once.
    pub async fn put_purged(&self, call: &CallId, now: Timestamp) -> Result<Vec<Event>> {
        let mut tx = self.writer.begin().await?;
        let query = sqlx::query(
            "UPDATE recordings SET purged_at = $2, local_since = NULL, stored_at = NULL, store = NULL, attempts = 0 \
             WHERE call_id = $1 AND state = 'deleted' AND purged_at IS NULL RETURNING deleted_by",
        );
        let done = query.bind(call.as_str()).bind(now.as_millis()).fetch_optional(&mut *tx).await?;
        let Some(row) = done else { return Ok(Vec::new()) };
        let by: Option<serde_json::Value> = row.json_opt("deleted_by")?;
        let query = sqlx::query("DELETE FROM recording_files WHERE call_id = $1");
        query.bind(call.as_str()).execute(&mut *tx).await?;
        let data = serde_json::json!({"call_id": call, "by": by});
        let logged = events::append(&mut tx, vec![news("recording.deleted", call, data)], now).await?;
        tx.commit().await?;
        Ok(logged)
    }

    /// Keeps a recording whatever its age, or no longer. The event, if that changed anything; `None` if there is no
    /// recording to be kept.
    pub async fn hold_recording(
        &self,
        call: &CallId,
        held: bool,
        by: &Asker,
        now: Timestamp,
    ) -> Result<Option<Vec<Event>>> {
        let mut tx = self.writer.begin().await?;
        let query = sqlx::query(
            "UPDATE recordings SET held = $2 WHERE call_id = $1 AND held <> $2 AND state <> 'deleted' AND state <> 'none'",
        );
        let changed = query.bind(call.as_str()).bind(i16::from(held)).execute(&mut *tx).await?.rows_affected() > 0;
        if !changed {
            tx.rollback().await?;
            let kept = self.recording(call).await?;
            return Ok(kept.filter(|file| file.state != RecordingState::Deleted).map(|_| Vec::new()));
        }
        let kind = if held { "recording.held" } else { "recording.released" };
        let data = serde_json::json!({"call_id": call, "by": by});
        let logged = events::append(&mut tx, vec![news(kind, call, data)], now).await?;
        tx.commit().await?;
        Ok(Some(logged))
    }

    /// A finished recording and its files; `None` if the call has none, or it is not finished.
    pub async fn kept(&self, call: &CallId) -> Result<Option<Kept>> {
        let row = sqlx::query("SELECT * FROM recordings WHERE call_id = $1 AND finished_at IS NOT NULL")
            .bind(call.as_str())
            .fetch_optional(&self.reader)
            .await?;
        match row {
            Some(row) => self.read_kept(&row).await.map(Some),
            None => Ok(None),
        }
    }

    pub async fn keeping_figures(&self) -> Result<KeepingFigures> {
        let row = sqlx::query(WAITING).fetch_one(&self.reader).await?;
        Ok(KeepingFigures { waiting: row.int("waiting")?.unsigned_abs(), oldest: row.time_opt("oldest")? })
    }

    async fn read_all(&self, query: Query<'_, Any, AnyArguments>) -> Result<Vec<Kept>> {
        let rows = query.fetch_all(&self.reader).await?;
        let mut kept = Vec::with_capacity(rows.len());
        for row in &rows {
            kept.push(self.read_kept(row).await?);
        }
        Ok(kept)
    }

    async fn read_kept(&self, row: &AnyRow) -> Result<Kept> {
        let call: CallId = row.word("call_id")?;
        let files = sqlx::query("SELECT * FROM recording_files WHERE call_id = $1 ORDER BY name")
            .bind(call.as_str())
            .fetch_all(&self.reader)
            .await?;
        Ok(Kept {
            file: read_recording(row)?,
            finished_at: row.time("finished_at")?,
            store: row.text_opt("store")?,
            stored_at: row.time_opt("stored_at")?,
            attempts: u32::try_from(row.int("attempts")?).unwrap_or(u32::MAX),
            files: files.iter().map(read_file).collect::<Result<_>>()?,
            call,
        })
    }
}

fn read_file(row: &AnyRow) -> Result<(StoredFile, Progress)> {
    let file = StoredFile {
        name: row.text("name")?,
        key: row.text("key")?,
        bytes: row.int("bytes")?.unsigned_abs(),
        sha256: row.text("sha256")?,
    };
    let progress = Progress {
        bytes: file.bytes,
        sha256: file.sha256.clone(),
        upload_id: row.text_opt("upload_id")?,
        parts: row.json("parts")?,
    };
    Ok((file, progress))
}

fn news(kind: &'static str, call: &CallId, data: serde_json::Value) -> NewEvent {
    NewEvent { kind, call_id: Some(call.clone()), agent_id: None, data }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::model::directory::Number;
    use crate::model::id::RecordingId;
    use crate::model::reason::EndReason;
    use crate::store::fixture::{self, Fixture, T0, at, on_both};

    const DAY: i64 = 24 * 3600;
    const STORE: &str = "s3://voices/calls";

    /// A call that ended at [`T0`] with a finished recording.
    async fn recorded(t: &Fixture) -> CallId {
        let contact = t.seed().await;
        finished(t, &contact).await
    }

    async fn finished(t: &Fixture, contact: &crate::model::directory::Contact) -> CallId {
        let call = t.call(contact, 0).await;
        let mut ended = fixture::ended(call, EndReason::Completed, T0);
        ended.recording.state = RecordingState::Ready;
        t.store.save_call(&ended, vec![], T0).await.unwrap();
        let id = RecordingId::generate();
        let path = PathBuf::from(format!("recordings/2026-11-18/{id}.wav"));
        let file = RecordingFile { id, path, state: RecordingState::Ready, sha256: None };
        t.store.put_recording(&ended.id, &file).await.unwrap();
        ended.id
    }

    fn file(name: &str) -> StoredFile {
        StoredFile { name: name.to_owned(), key: format!("calls/2026-11-18/{name}"), bytes: 9, sha256: "ab".repeat(32) }
    }

    fn progress(upload_id: Option<&str>, parts: &[&str]) -> Progress {
        let parts = parts.iter().map(ToString::to_string).collect();
        Progress { bytes: 9, sha256: "ab".repeat(32), upload_id: upload_id.map(str::to_owned), parts }
    }

    async fn states(t: &Fixture, call: &CallId) -> (RecordingState, RecordingState) {
        let (record, file) = (t.store.call(call).await.unwrap(), t.store.recording(call).await.unwrap());
        (record.unwrap().recording.state, file.unwrap().state)
    }

    on_both!(an_upload_is_taken_up_where_it_was_and_told_once_when_it_is_proven);
    async fn an_upload_is_taken_up_where_it_was_and_told_once_when_it_is_proven(t: Fixture) {
        let call = recorded(&t).await;
        assert!(t.store.due_uploads(at(9)).await.unwrap().is_empty(), "nobody looked at it yet");
        assert_eq!(t.store.enter_finished(at(5)).await.unwrap(), 1);
        assert_eq!(t.store.enter_finished(at(6)).await.unwrap(), 0);
        assert_eq!(t.store.keeping_figures().await.unwrap(), KeepingFigures { waiting: 1, oldest: Some(T0) });

        t.store.begin_upload(&call, "s3://older").await.unwrap();
        t.store.note_upload(&call, &file("rec.old"), &progress(Some("u0"), &["x"])).await.unwrap();
        t.store.begin_upload(&call, STORE).await.unwrap();
        let known = async || t.store.kept(&call).await.unwrap().unwrap().files.len();
        assert_eq!(known().await, 0, "what is on its way to another store is of no use here");
        t.store.note_upload(&call, &file("rec.wav"), &progress(Some("u1"), &[])).await.unwrap();
        t.store.begin_upload(&call, STORE).await.unwrap();
        assert_eq!(known().await, 1);
        t.store.note_upload(&call, &file("rec.wav"), &progress(Some("u1"), &["a", "b"])).await.unwrap();
        let told =
            t.store.put_off_keeping(&call, at(60), Some(("recording.store_failed", "away")), at(10)).await.unwrap();
        assert_eq!(
            (told[0].kind.as_str(), &told[0].data["error"]),
            ("recording.store_failed", &serde_json::json!("away"))
        );
        let t = t.restart().await;
        assert!(t.store.due_uploads(at(59)).await.unwrap().is_empty());
        let due = t.store.due_uploads(at(60)).await.unwrap().remove(0);
        assert_eq!((due.attempts, due.stored_at, due.finished_at), (1, None, T0));
        assert_eq!(due.files, [(file("rec.wav"), progress(Some("u1"), &["a", "b"]))]);

        let told = t.store.put_stored(&call, 9, at(61)).await.unwrap();
        assert_eq!((told[0].kind.as_str(), &told[0].data["bytes"]), ("recording.stored", &serde_json::json!(9)));
        assert!(t.store.put_stored(&call, 9, at(62)).await.unwrap().is_empty(), "told once");
        let kept = t.store.kept(&call).await.unwrap().unwrap();
        assert_eq!((kept.stored_at, kept.store.as_deref()), (Some(at(61)), Some(STORE)));
        assert_eq!(kept.files, [(file("rec.wav"), progress(None, &[]))]);
        assert!(t.store.due_uploads(at(9_999)).await.unwrap().is_empty());
        assert_eq!(t.store.keeping_figures().await.unwrap(), KeepingFigures::default());
    }

    on_both!(local_files_are_spared_for_whoever_still_listens_and_only_if_the_store_has_them);
    async fn local_files_are_spared_for_whoever_still_listens_and_only_if_the_store_has_them(t: Fixture) {
        let call = recorded(&t).await;
        t.store.enter_finished(at(5)).await.unwrap();
        let spare = async |secs| t.store.spare_locals(STORE, at(secs)).await.unwrap().len();
        assert_eq!(spare(9_999).await, 0, "the store does not have it");
        t.store.begin_upload(&call, STORE).await.unwrap();
        t.store.put_stored(&call, 9, at(61)).await.unwrap();
        assert_eq!((spare(4).await, spare(5).await), (0, 1));
        t.store.begin_transcript(&call, "builtin", None, false).await.unwrap();
        assert_eq!(spare(5).await, 0, "it is still to be listened to");
        t.store.end_transcript(&call, at(70)).await.unwrap();
        assert_eq!(spare(5).await, 1);
        t.store.note_local(&call, None).await.unwrap();
        assert_eq!(spare(9_999).await, 0);
        t.store.note_local(&call, Some(at(100))).await.unwrap();
        assert_eq!((spare(99).await, spare(100).await), (0, 1));
        assert!(t.store.spare_locals("s3://elsewhere", at(100)).await.unwrap().is_empty());

        // A file came to it.
        t.store.store_again(&call, at(120)).await.unwrap();
        assert_eq!((spare(9_999).await, t.store.due_uploads(at(120)).await.unwrap().len()), (0, 1));
    }

    on_both!(what_comes_after_a_recording_had_failed_is_stored_before_it_is_spared);
    async fn what_comes_after_a_recording_had_failed_is_stored_before_it_is_spared(t: Fixture) {
        let call = recorded(&t).await;
        let ready = t.store.recording(&call).await.unwrap().unwrap();
        sqlx::query("UPDATE recordings SET state = 'failed'").execute(&t.store.writer).await.unwrap();
        t.store.enter_finished(at(5)).await.unwrap();
        // It had been stored, so far as it was there; or there was nothing of it, and it is not asked for any more.
        for stored in [true, false] {
            t.store.begin_upload(&call, STORE).await.unwrap();
            if stored {
                t.store.put_stored(&call, 9, at(6)).await.unwrap();
            } else {
                t.store.put_off_keeping(&call, at(999), None, at(6)).await.unwrap();
                t.store.note_local(&call, None).await.unwrap();
                assert_eq!(t.store.keeping_figures().await.unwrap(), KeepingFigures::default());
            }
            assert!(t.store.due_uploads(at(9_999)).await.unwrap().is_empty(), "{stored}");
            t.store.put_recording(&call, &ready).await.unwrap();
            assert!(t.store.spare_locals(STORE, at(9_999)).await.unwrap().is_empty(), "{stored}");
            assert_eq!(t.store.enter_finished(at(20)).await.unwrap(), 1, "{stored}");
            let due = t.store.due_uploads(at(20)).await.unwrap().remove(0);
            assert_eq!((due.stored_at, due.attempts, due.finished_at), (None, 0, T0), "{stored}");
            t.store.put_stored(&call, 9, at(30)).await.unwrap();
            assert!(t.store.spare_locals(STORE, at(19)).await.unwrap().is_empty(), "{stored}: it is here since 20");
            assert_eq!(t.store.spare_locals(STORE, at(20)).await.unwrap().len(), 1, "{stored}");
            // Once more.
            sqlx::query("UPDATE recordings SET state = 'failed', stored_at = NULL")
                .execute(&t.store.writer)
                .await
                .unwrap();
        }
    }

    on_both!(a_recording_may_be_deleted_before_anybody_looked_at_it);
    async fn a_recording_may_be_deleted_before_anybody_looked_at_it(t: Fixture) {
        let call = recorded(&t).await;
        assert!(t.store.delete_recording(&call, None).await.unwrap());
        assert_eq!(t.store.due_purges(at(5)).await.unwrap().remove(0).finished_at, T0);
    }

    on_both!(what_is_over_its_time_goes_unless_it_is_held_and_a_crash_only_delays_it);
    async fn what_is_over_its_time_goes_unless_it_is_held_and_a_crash_only_delays_it(t: Fixture) {
        let call = recorded(&t).await;
        t.store.enter_finished(at(5)).await.unwrap();
        let expired = async |t: &Fixture, days, secs| t.store.expired_recordings(days, at(secs)).await.unwrap();
        assert!(expired(&t, 0, 9_999 * DAY).await.is_empty(), "for ever");
        assert!(expired(&t, 2, 2 * DAY - 1).await.is_empty());
        assert_eq!(expired(&t, 2, 2 * DAY).await, std::slice::from_ref(&call));
        for (own, last) in [(Some(3), 3), (Some(0), 0), (None, 2)] {
            let number = Number { keep_recordings_days: own, ..fixture::number() };
            t.store.put_number(&number, None).await.unwrap();
            let kept = async |secs| expired(&t, 2, secs).await.is_empty();
            assert!(last == 0 || kept(last * DAY - 1).await, "{own:?}");
            assert_eq!(kept(last.max(9) * DAY).await, last == 0, "{own:?}");
        }
        let by = Asker::Key { name: "crm".to_owned() };
        assert_eq!(t.store.hold_recording(&call, true, &by, at(9)).await.unwrap().unwrap()[0].kind, "recording.held");
        assert!(t.store.hold_recording(&call, true, &by, at(9)).await.unwrap().unwrap().is_empty(), "told once");
        assert!(expired(&t, 2, 2 * DAY).await.is_empty() && !t.store.delete_recording(&call, None).await.unwrap());
        let told = t.store.hold_recording(&call, false, &by, at(10)).await.unwrap().unwrap();
        assert_eq!(told[0].kind, "recording.released");

        t.store.note_upload(&call, &file("rec.wav"), &progress(Some("u1"), &["a"])).await.unwrap();
        assert!(t.store.delete_recording(&call, Some(&by)).await.unwrap());
        assert!(!t.store.delete_recording(&call, None).await.unwrap());
        assert_eq!(states(&t, &call).await, (RecordingState::Deleted, RecordingState::Deleted));
        assert!(t.store.hold_recording(&call, true, &by, at(11)).await.unwrap().is_none(), "too late");
        assert!(t.store.put_stored(&call, 9, at(12)).await.unwrap().is_empty(), "an upload that was under way");
        let t = t.restart().await;
        let purge = t.store.due_purges(at(12)).await.unwrap().remove(0);
        assert_eq!((&purge.call, purge.files.len()), (&call, 1));
        t.store.put_off_keeping(&call, at(90), None, at(13)).await.unwrap();
        assert!(t.store.due_purges(at(89)).await.unwrap().is_empty());
        assert_eq!(t.store.due_purges(at(90)).await.unwrap().len(), 1);
        let told = t.store.put_purged(&call, at(91)).await.unwrap();
        assert_eq!(
            (told[0].kind.as_str(), &told[0].data["by"]["name"]),
            ("recording.deleted", &serde_json::json!("crm"))
        );
        assert!(
            t.store.put_purged(&call, at(92)).await.unwrap().is_empty()
                && t.store.due_purges(at(999)).await.unwrap().is_empty()
        );
        assert!(t.store.kept(&call).await.unwrap().unwrap().files.is_empty());
    }

    on_both!(no_copy_from_before_brings_a_deleted_recording_back);
    async fn no_copy_from_before_brings_a_deleted_recording_back(t: Fixture) {
        let call = recorded(&t).await;
        let (record, file) =
            (t.store.call(&call).await.unwrap().unwrap(), t.store.recording(&call).await.unwrap().unwrap());
        assert!(t.store.delete_recording(&call, None).await.unwrap());
        t.store.save_call(&record, vec![], at(9)).await.unwrap();
        t.store.put_recording(&call, &file).await.unwrap();
        assert_eq!(states(&t, &call).await, (RecordingState::Deleted, RecordingState::Deleted));
    }
}
