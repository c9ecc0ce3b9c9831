//! After a crash: calls that were alive are closed, at WhatsApp and in the books, and their recordings made whole.

use std::sync::Arc;

use crate::call::CallRecord;
use crate::call::record::Status;
use crate::model::event::NewEvent;
use crate::model::id::CallId;
use crate::model::reason::{CallState, EndReason, EndedBy, OfferCause, OfferOutcome, RecordingState};
use crate::record::{Finished, RecordEvent, repair};
use crate::shard::{Command, ShardId};
use crate::store::{RecordingFile, StoreError};

use super::line::Message;
use super::{Desk, about_call, call_event};

/// Closes every call a former process left open, and every recording of one that had just ended.
pub(super) async fn settle_orphans(desk: &Arc<Desk>) -> Result<(), StoreError> {
    let orphans = desk.parts.store.live_calls().await?;
    if !orphans.is_empty() {
        tracing::warn!(calls = orphans.len(), "settling calls that were alive when the process died");
    }
    for record in orphans {
        let call = record.id.clone();
        if let Err(error) = settle(desk, record, EndReason::Drained).await {
            tracing::error!(%call, %error, "a call could not be settled; the next start tries again");
        }
    }
    for record in desk.parts.store.unsettled_calls().await? {
        if let Err(error) = desk.save(&CallRecord { settled: true, ..record.clone() }, Vec::new()).await {
            tracing::error!(call = %record.id, %error, "a call could not be settled; the next start tries again");
        }
    }
    desk.parts.store.forget_lost_dials().await?;
    for (call, file) in desk.parts.store.open_recordings().await? {
        let Some(mut record) = desk.parts.store.call(&call).await? else { continue };
        let event = mend_recording(desk, &mut record, file).await?;
        desk.save(&record, vec![event]).await?;
    }
    Ok(())
}

async fn settle(desk: &Arc<Desk>, mut record: CallRecord, reason: EndReason) -> Result<(), StoreError> {
    let now = desk.parts.clock.now().wall;
    let mut events = Vec::new();
    if let Some(file) = desk.parts.store.recording(&record.id).await?
        && file.state == RecordingState::Recording
    {
        events.push(mend_recording(desk, &mut record, file).await?);
    }
    for offer in record.offers.iter_mut().filter(|offer| offer.outcome == OfferOutcome::Pending) {
        offer.outcome = OfferOutcome::Withdrawn;
        offer.cause = Some(OfferCause::AgentLeft);
        offer.ended_at = Some(now);
        events.push(NewEvent {
            agent_id: Some(offer.agent_id.clone()),
            ..about_call(
                "offer.withdrawn",
                &record.id,
                serde_json::json!({"offer_id": offer.id, "call_id": record.id, "reason": OfferCause::AgentLeft}),
            )
        });
    }
    // The recording tells to within a second when the voices stopped.
    let talked = std::time::Duration::from_millis(u64::try_from(record.recording.duration_ms).unwrap_or(0));
    let ended_at = match record.answered_at {
        Some(answered) if !talked.is_zero() => answered.plus(talked),
        _ => now,
    };
    record.state = CallState::Ended;
    record.end_reason = Some(reason);
    record.ended_by = Some(EndedBy::System);
    record.ended_at = Some(ended_at);
    record.duration_ms = record.answered_at.map_or(0, |at| ended_at.since(at).as_millis() as i64);
    record.status = Status::of(record.state, record.answered_at.is_some(), record.end_reason);
    record.settled = true;
    events.push(call_event("call.ended", &record));
    desk.save(&record, events).await?;
    if let Some(wacid) = record.wacid {
        // Whether WhatsApp still has it is not known; terminating twice is harmless.
        let (desk, number) = (Arc::clone(desk), record.number_id);
        tokio::spawn(async move { desk.tell_upstream("terminate", &number, &wacid).await });
    }
    Ok(())
}

/// Makes a recording that was cut off playable and says so.
async fn mend_recording(desk: &Desk, record: &mut CallRecord, file: RecordingFile) -> Result<NewEvent, StoreError> {
    let path = file.path.clone();
    let mended = tokio::task::spawn_blocking(move || repair(&path).map_err(|error| error.to_string()));
    let (state, duration_ms) = match mended.await.unwrap_or_else(|panic| Err(panic.to_string())) {
        Ok(mended) => (RecordingState::Ready, i64::try_from(mended.duration_ms).unwrap_or(i64::MAX)),
        Err(error) => {
            tracing::error!(call = %record.id, %error, "a recording that was cut off cannot be mended");
            (RecordingState::Failed, 0)
        }
    };
    record.recording.state = state;
    record.recording.duration_ms = duration_ms;
    desk.parts.store.put_recording(&record.id, &RecordingFile { state, ..file }).await?;
    let kind = if state == RecordingState::Ready { "recording.ready" } else { "recording.failed" };
    Ok(about_call(kind, &record.id, serde_json::json!({"call_id": record.id, "duration_ms": duration_ms})))
}

impl Desk {
    /// Closes a call whose task broke: nobody stays busy, no media stays open, WhatsApp is told, the record says so.
    pub(super) async fn clear_away(self: &Arc<Self>, call: &CallId, shard: ShardId) {
        self.registry.leave(call);
        let _ = self.parts.shards.send(shard, Command::Close { call: call.clone() });
        let closed = async {
            match self.parts.store.call(call).await? {
                Some(record) if record.state != CallState::Ended => {
                    settle(self, record, EndReason::UpstreamError).await
                }
                Some(record) if !record.settled => {
                    self.save(&CallRecord { settled: true, ..record }, Vec::new()).await.map(drop)
                }
                Some(_) => Ok(()),
                None => self.parts.store.forget_dial(call).await,
            }
        };
        if let Err(error) = closed.await {
            tracing::error!(%call, %error, "a broken call could not be closed in the books; the next start will");
        }
    }

    /// What the recorder reports goes to the call's task, or straight to the books when that is gone.
    pub(super) async fn take_record_event(&self, event: RecordEvent) {
        let call = call_of(&event).clone();
        let event = match self.registry.line(&call) {
            Some(line) => match line.send_back(Message::Recording(event)).await {
                None => return,
                Some(Message::Recording(event)) => event,
                Some(_) => return,
            },
            None => event,
        };
        let corrected = async {
            let Some(mut record) = self.parts.store.call(&call).await? else { return Ok(()) };
            let news = self.apply_record_event(&mut record, event).await;
            self.save(&record, news.into_iter().collect()).await.map(drop)
        };
        if let Err::<(), StoreError>(error) = corrected.await {
            tracing::error!(%call, %error, "the end of a recording could not be written down");
        }
    }

    /// Writes what the recorder reports into the record; returns the event that tells of it.
    pub(super) async fn apply_record_event(&self, record: &mut CallRecord, event: RecordEvent) -> Option<NewEvent> {
        let call = record.id.clone();
        let (state, sha256, news) = match event {
            RecordEvent::Started { .. } => return None,
            RecordEvent::Finished { finished, .. } => {
                let Finished { duration_ms, gaps, sha256, .. } = *finished;
                record.recording.duration_ms = i64::try_from(duration_ms).unwrap_or(i64::MAX);
                record.recording.gaps = i64::try_from(gaps).unwrap_or(i64::MAX);
                let data = serde_json::json!({"call_id": call, "duration_ms": duration_ms, "gaps": gaps});
                // A recording that failed on the way stays failed, however its file was closed.
                if record.recording.state == RecordingState::Failed {
                    return None;
                }
                (RecordingState::Ready, Some(sha256), about_call("recording.ready", &call, data))
            }
            RecordEvent::Failed { error, written_ms, .. } => {
                tracing::error!(%call, %error, "recording failed; the call goes on");
                self.parts.metrics.recording_write_error();
                record.recording.duration_ms = i64::try_from(written_ms).unwrap_or(i64::MAX);
                let data = serde_json::json!({"call_id": call, "error": error, "written_ms": written_ms});
                (RecordingState::Failed, None, about_call("recording.failed", &call, data))
            }
        };
        record.recording.state = state;
        self.parts.metrics.recording_ended(state);
        match self.parts.store.recording(&call).await {
            Ok(Some(file)) => {
                let sha256 = sha256.or_else(|| file.sha256.clone());
                if let Err(error) =
                    self.parts.store.put_recording(&call, &RecordingFile { state, sha256, ..file }).await
                {
                    tracing::error!(%call, %error, "the recording's state could not be stored");
                }
            }
            Ok(None) => {}
            Err(error) => tracing::error!(%call, %error, "the recording could not be looked up"),
        }
        Some(news)
    }
}

fn call_of(event: &RecordEvent) -> &CallId {
    match event {
        RecordEvent::Started { call, .. } | RecordEvent::Finished { call, .. } | RecordEvent::Failed { call, .. } => {
            call
        }
    }
}
