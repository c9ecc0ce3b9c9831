//! Where a call's recording lies and how it stands.

use std::path::PathBuf;

use sqlx::any::AnyRow;

use super::Store;
use super::error::{Result, StoreError};
use super::sql::Columns;
use crate::model::id::{CallId, RecordingId};
use crate::model::reason::RecordingState;

/// A recording on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingFile {
    pub id: RecordingId,
    /// As written by the recorder; UTF-8.
    pub path: PathBuf,
    pub state: RecordingState,
    /// Of the finished file, in hex.
    pub sha256: Option<String>,
}

impl Store {
    /// Creates or changes the recording of a call; a call has one. What comes after it had failed is kept anew: it was not
    /// there when its files were stored, if any were.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when the call was not saved yet.
    pub async fn put_recording(&self, call: &CallId, f: &RecordingFile) -> Result<()> {
        let path = f.path.to_str().ok_or_else(|| StoreError::File {
            verb: "keep the name of the recording",
            path: f.path.clone(),
            source: std::io::Error::new(std::io::ErrorKind::InvalidFilename, "it is not UTF-8"),
        })?;
        sqlx::query(
            "INSERT INTO recordings (call_id, id, path, state, sha256) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (call_id) DO UPDATE SET id = excluded.id, path = excluded.path, sha256 = excluded.sha256, \
             finished_at = CASE WHEN recordings.state = 'failed' THEN NULL ELSE recordings.finished_at END, \
             stored_at = CASE WHEN recordings.state = 'failed' THEN NULL ELSE recordings.stored_at END, \
             local_since = CASE WHEN recordings.state = 'failed' THEN NULL ELSE recordings.local_since END, \
             due_at = CASE WHEN recordings.state = 'failed' THEN 0 ELSE recordings.due_at END, \
             attempts = CASE WHEN recordings.state = 'failed' THEN 0 ELSE recordings.attempts END, \
             state = CASE WHEN recordings.state = 'deleted' THEN recordings.state ELSE excluded.state END",
        )
        .bind(call.as_str())
        .bind(f.id.as_str())
        .bind(path)
        .bind(f.state.as_str())
        .bind(f.sha256.as_deref())
        .execute(&self.writer)
        .await
        .map_err(StoreError::on_write(|| format!("call {call}")))?;
        Ok(())
    }

    pub async fn recording(&self, call: &CallId) -> Result<Option<RecordingFile>> {
        let row = sqlx::query("SELECT * FROM recordings WHERE call_id = $1")
            .bind(call.as_str())
            .fetch_optional(&self.reader)
            .await?;
        row.as_ref().map(read_recording).transpose()
    }

    /// The call of a recording, and what became of it.
    pub async fn recording_of_id(&self, id: &RecordingId) -> Result<Option<(CallId, RecordingState)>> {
        let row = sqlx::query("SELECT call_id, state FROM recordings WHERE id = $1")
            .bind(id.as_str())
            .fetch_optional(&self.reader)
            .await?;
        row.map(|row| Ok((row.word("call_id")?, row.word("state")?))).transpose()
    }

    /// Recordings still being written, as a crash leaves them; their calls may have ended.
    pub async fn open_recordings(&self) -> Result<Vec<(CallId, RecordingFile)>> {
        let rows = sqlx::query("SELECT * FROM recordings WHERE state = 'recording' ORDER BY id")
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(|row| Ok((row.word("call_id")?, read_recording(row)?))).collect()
    }
}

pub(super) fn read_recording(row: &AnyRow) -> Result<RecordingFile> {
    Ok(RecordingFile {
        id: row.word("id")?,
        path: PathBuf::from(row.text("path")?),
        state: row.word("state")?,
        sha256: row.text_opt("sha256")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture::{Fixture, on_both};

    on_both!(a_recording_is_kept_with_its_call_and_found_open_after_a_crash);
    async fn a_recording_is_kept_with_its_call_and_found_open_after_a_crash(t: Fixture) {
        let contact = t.seed().await;
        let call = t.call(&contact, 0).await;
        let mut file = RecordingFile {
            id: RecordingId::generate(),
            path: PathBuf::from("recordings/2026 ა/x.wav"),
            state: RecordingState::Recording,
            sha256: None,
        };
        t.store.put_recording(&call.id, &file).await.unwrap();
        let t = t.restart().await;
        assert_eq!(t.store.open_recordings().await.unwrap(), [(call.id.clone(), file.clone())]);
        file.state = RecordingState::Ready;
        file.sha256 = Some("ab".repeat(32));
        t.store.put_recording(&call.id, &file).await.unwrap();
        assert_eq!(t.store.recording(&call.id).await.unwrap().unwrap(), file);
        assert!(t.store.open_recordings().await.unwrap().is_empty());
        let unknown = CallId::generate();
        assert!(matches!(
            t.store.put_recording(&unknown, &file).await,
            Err(StoreError::Missing(_) | StoreError::Taken(_))
        ));
        assert!(t.store.recording(&unknown).await.unwrap().is_none());
    }
}
