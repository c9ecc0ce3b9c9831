//! What the recorder reports, written into the books. A database that is away loses none of it: what it did not take waits,
//! one word a recording, and is told again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::call::CallRecord;
use crate::model::event::NewEvent;
use crate::model::id::CallId;
use crate::model::reason::RecordingState;
use crate::model::recording::RecordingReason;
use crate::record::{Finished, RecordEvent};
use crate::store::{RecordingFile, StoreError};

use super::line::{Line, Message};
use super::{Desk, about_call};

/// What the database did not take. Its size is bounded by the calls that ran when it went: without it none begin.
#[derive(Default)]
pub(super) struct Untaken {
    /// Recordings that are not entered.
    rows: Mutex<HashMap<CallId, RecordingFile>>,
    reports: Mutex<Vec<Report>>,
}

struct Report {
    event: RecordEvent,
    /// The call's task has it in its record; only the recording itself is to be written.
    is_noted: bool,
}

impl Untaken {
    fn rows(&self) -> MutexGuard<'_, HashMap<CallId, RecordingFile>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reports(&self) -> MutexGuard<'_, Vec<Report>> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    pub(super) async fn recording(&mut self, event: RecordEvent) {
        self.dirty = true;
        let news = self.desk.note_recording(self.call.record_mut(), &event);
        self.desk.take_report(Report { event, is_noted: true }).await;
        if let Some(news) = news {
            self.store(vec![news]).await;
        }
    }
}

impl Desk {
    /// A recording begins; its row is written now or as soon as the database takes it.
    pub(super) async fn enter_recording(&self, call: &CallId, file: &RecordingFile) {
        if let Err(error) = self.parts.store.put_recording(call, file).await {
            tracing::warn!(%call, %error, "a recording could not be entered; it is tried again");
            self.untaken.rows().insert(call.clone(), file.clone());
        }
    }

    /// What the recorder reports goes to the call's task, or straight to the books when that is gone.
    pub(super) async fn take_record_event(&self, event: RecordEvent) {
        if self.is_over(&event, call_of(&event)).await {
            return;
        }
        let event = match self.registry.line(call_of(&event)) {
            Some(line) => match line.send_back(Message::Recording(event)).await {
                None => return,
                Some(Message::Recording(event)) => event,
                Some(_) => return,
            },
            None => event,
        };
        self.take_report(Report { event, is_noted: false }).await;
    }

    /// Whatever the database did not take is offered to it again.
    pub(super) async fn tell_untaken(&self) {
        let rows: Vec<_> = self.untaken.rows().keys().cloned().collect();
        for call in rows {
            let _turn = self.keeping.turn(&call).await;
            // Closed meanwhile, and written with that.
            let Some(file) = self.untaken.rows().get(&call).cloned() else { continue };
            if self.parts.store.put_recording(&call, &file).await.is_ok() {
                self.untaken.rows().remove(&call);
            }
        }
        let reports = std::mem::take(&mut *self.untaken.reports());
        for report in reports {
            self.take_report(report).await;
        }
    }

    async fn take_report(&self, report: Report) {
        if let Err(error) = self.enter_report(&report).await {
            let call = call_of(&report.event);
            tracing::warn!(%call, %error, "the end of a recording met a failing database; it is told again");
            self.untaken.reports().push(report);
        }
    }

    /// Each step may be taken twice.
    async fn enter_report(&self, Report { event, is_noted }: &Report) -> Result<(), StoreError> {
        let call = call_of(event);
        self.close_recording(event).await?;
        if !is_noted {
            self.amend(call, |record| Some(self.note_recording(record, event).into_iter().collect())).await?;
        }
        if let RecordEvent::Late { finished, .. } = event {
            // What nobody could write down without it.
            let now = self.parts.clock.now().wall;
            let reopened = self.parts.store.reopen_transcript(call, Some(finished.duration_ms), now).await?;
            self.transcript_became(call, reopened.unwrap_or_default()).await;
        }
        Ok(())
    }

    /// Writes what the recorder reports into the record; returns the event that tells of it. `None` when that was told
    /// before.
    fn note_recording(&self, record: &mut CallRecord, event: &RecordEvent) -> Option<NewEvent> {
        let call = record.id.clone();
        // Whatever comes of it now, somebody wished it away.
        if record.recording.state == RecordingState::Deleted {
            return None;
        }
        let (state, news) = match event {
            RecordEvent::Started { .. } => return None,
            RecordEvent::Finished { finished, .. } | RecordEvent::Late { finished, .. } => {
                let Finished { duration_ms, gaps, pauses, .. } = &**finished;
                record.recording.duration_ms = i64::try_from(*duration_ms).unwrap_or(i64::MAX);
                record.recording.gaps = i64::try_from(*gaps).unwrap_or(i64::MAX);
                record.recording.pauses.clone_from(pauses);
                let data = serde_json::json!({"call_id": call, "duration_ms": duration_ms, "gaps": gaps});
                // A recording that failed on the way stays failed, however its file was closed.
                if record.recording.state == RecordingState::Failed && matches!(event, RecordEvent::Finished { .. }) {
                    return None;
                }
                record.recording.reason = None;
                (RecordingState::Ready, about_call("recording.ready", &call, data))
            }
            RecordEvent::Awaited { why, .. } => {
                tracing::warn!(%call, why, "a recording is not there");
                record.recording.end_pause();
                record.recording.reason = Some(RecordingReason::Awaited);
                let data = serde_json::json!({"call_id": call, "error": why, "written_ms": 0});
                (RecordingState::Failed, about_call("recording.failed", &call, data))
            }
            RecordEvent::Failed { error, written_ms, .. } => {
                tracing::error!(%call, %error, "recording failed; the call goes on");
                self.parts.metrics.recording_write_error();
                record.recording.duration_ms = i64::try_from(*written_ms).unwrap_or(i64::MAX);
                record.recording.end_pause();
                record.recording.reason = Some(RecordingReason::RecorderFailed);
                let data = serde_json::json!({"call_id": call, "error": error, "written_ms": written_ms});
                (RecordingState::Failed, about_call("recording.failed", &call, data))
            }
        };
        record.recording.state = state;
        let after_call = record.ended_at.map(|ended| self.parts.clock.now().wall.since(ended));
        self.parts.metrics.recording_ended(state, after_call);
        Some(news)
    }

    /// Writes what became of a recording, also if its beginning could not be.
    async fn close_recording(&self, event: &RecordEvent) -> Result<(), StoreError> {
        let call = call_of(event);
        let _turn = self.keeping.turn(call).await;
        let begun = self.untaken.rows().get(call).cloned();
        let file = match begun {
            Some(file) => file,
            None => match self.parts.store.recording(call).await? {
                Some(file) => file,
                None => {
                    tracing::error!(%call, "a recording of which nobody knows where it lies");
                    return Ok(());
                }
            },
        };
        let file = match event {
            RecordEvent::Started { .. } => return Ok(()),
            RecordEvent::Finished { .. } if file.state == RecordingState::Failed => return Ok(()),
            RecordEvent::Finished { finished, .. } | RecordEvent::Late { finished, .. } => {
                RecordingFile { state: RecordingState::Ready, sha256: Some(finished.sha256.clone()), ..file }
            }
            RecordEvent::Awaited { .. } | RecordEvent::Failed { .. } => {
                RecordingFile { state: RecordingState::Failed, ..file }
            }
        };
        self.parts.store.put_recording(call, &file).await?;
        self.untaken.rows().remove(call);
        Ok(())
    }
}

fn call_of(event: &RecordEvent) -> &CallId {
    match event {
        RecordEvent::Started { call, .. }
        | RecordEvent::Finished { call, .. }
        | RecordEvent::Late { call, .. }
        | RecordEvent::Awaited { call, .. }
        | RecordEvent::Failed { call, .. } => call,
    }
}
