//! After a crash: calls that were alive are closed, at WhatsApp and in the books, and their recordings made whole.

use std::sync::Arc;
use std::time::Duration;

use crate::call::CallRecord;
use crate::call::record::Status;
use crate::model::error::chain;
use crate::model::event::NewEvent;
use crate::model::id::CallId;
use crate::model::reason::{CallState, EndReason, EndedBy, OfferCause, OfferOutcome, RecordingState};
use crate::model::recording::RecordingReason;
use crate::model::time::Timestamp;
use crate::record::{CutOff, mend_and_certify};
use crate::shard::{Command, ShardId};
use crate::store::{RecordingFile, StoreError};

use super::{Desk, about_call, call_event};

/// Closes every call a former process left open, and every recording of one that had just ended.
pub(super) async fn settle_orphans(desk: &Arc<Desk>) -> Result<(), StoreError> {
    let orphans = desk.parts.store.live_calls().await?;
    if !orphans.is_empty() {
        tracing::warn!(calls = orphans.len(), "settling calls that were alive when the process died");
    }
    let alive = desk.parts.store.last_alive().await?;
    for record in orphans {
        let call = record.id.clone();
        if let Err(error) = settle(desk, record, EndReason::Drained, alive).await {
            tracing::error!(%call, %error, "a call could not be settled; the next start tries again");
        }
    }
    desk.settle_ended().await?;
    desk.parts.store.forget_lost_dials().await?;
    for (call, file) in desk.parts.store.open_recordings().await? {
        let Some(mut record) = desk.parts.store.call(&call).await? else { continue };
        let state = record.recording.state;
        if matches!(state, RecordingState::Ready | RecordingState::Failed) {
            // The record was written, and the process died before the row of its file was.
            desk.parts.store.put_recording(&call, &RecordingFile { state, ..file }).await?;
            continue;
        }
        let event = mend_recording(desk, &mut record, file).await?;
        desk.save(&record, vec![event]).await?;
    }
    Ok(())
}

/// `alive`: when the call was last known to run.
async fn settle(
    desk: &Arc<Desk>,
    mut record: CallRecord,
    reason: EndReason,
    alive: Timestamp,
) -> Result<(), StoreError> {
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
    let talked = talked(record.answered_at, record.created_at, record.recording.duration_ms, alive);
    record.state = CallState::Ended;
    record.end_reason = Some(reason);
    record.ended_by = Some(EndedBy::System);
    record.ended_at = Some(record.answered_at.map_or(now, |answered| answered.plus(talked)));
    record.duration_ms = i64::try_from(talked.as_millis()).unwrap_or(i64::MAX);
    record.status = Status::of(record.state, record.answered_at.is_some(), record.end_reason);
    record.settled = true;
    record.explain(desk.parts.ears.is_some());
    events.push(call_event("call.ended", &record));
    desk.save(&record, events).await?;
    if let Some(wacid) = record.wacid {
        // Whether WhatsApp still has it is not known; terminating twice is harmless.
        let (desk, number) = (Arc::clone(desk), record.number_id);
        tokio::spawn(async move { desk.tell_upstream("terminate", &number, &wacid).await });
    }
    Ok(())
}

/// How long a call that nobody saw end was talked on for certain. The recording tells it to within a second. Without one
/// it is what lies between the answer and the last sign of life of the process, which is a few seconds old at most when
/// it dies: those are not billed, nor is the time nobody was there. WhatsApp's last word corrects both.
fn talked(answered: Option<Timestamp>, created: Timestamp, recorded_ms: i64, alive: Timestamp) -> Duration {
    let Some(answered) = answered else { return Duration::ZERO };
    match recorded_ms {
        // WhatsApp's clock stamps the answer, ours the rest; no talk is longer than its call by ours.
        ..=0 => alive.since(answered).min(alive.since(created)),
        recorded => Duration::from_millis(recorded.unsigned_abs()),
    }
}

/// Makes a recording that was cut off playable and says so.
async fn mend_recording(desk: &Desk, record: &mut CallRecord, file: RecordingFile) -> Result<NewEvent, StoreError> {
    let mut known = record.recording.clone();
    known.end_pause();
    let known = CutOff {
        recording: file.id.clone(),
        call: record.id.clone(),
        started_at: None,
        consent: known.consent,
        pauses: known.pauses,
    };
    let (vault, now) = (desk.parts.recorder.vault().clone(), desk.parts.clock.now().wall);
    let path = file.path.clone();
    let mended =
        tokio::task::spawn_blocking(move || mend_and_certify(&path, known, &vault, now).map_err(|error| chain(&error)));
    let (state, duration_ms) = match mended.await.unwrap_or_else(|panic| Err(panic.to_string())) {
        Ok(mended) => (RecordingState::Ready, i64::try_from(mended.duration_ms).unwrap_or(i64::MAX)),
        Err(error) => {
            tracing::error!(call = %record.id, %error, "a recording that was cut off cannot be mended");
            (RecordingState::Failed, 0)
        }
    };
    record.recording.state = state;
    record.recording.reason = (state == RecordingState::Failed).then_some(RecordingReason::Interrupted);
    record.recording.duration_ms = duration_ms;
    record.recording.end_pause();
    desk.parts.store.put_recording(&record.id, &RecordingFile { state, ..file }).await?;
    let kind = if state == RecordingState::Ready { "recording.ready" } else { "recording.failed" };
    Ok(about_call(kind, &record.id, serde_json::json!({"call_id": record.id, "duration_ms": duration_ms})))
}

impl Desk {
    /// Settles ended calls that no task cares for any more: the process died, or the database was gone for long.
    pub(super) async fn settle_ended(&self) -> Result<(), StoreError> {
        for call in self.parts.store.unsettled_calls().await? {
            if self.registry.line(&call).is_none()
                && let Err(error) = self.settle_one(&call).await
            {
                tracing::error!(%call, %error, "an ended call could not be settled; it is tried again");
            }
        }
        Ok(())
    }

    async fn settle_one(&self, call: &CallId) -> Result<(), StoreError> {
        self.amend(call, |record| {
            let open = record.state == CallState::Ended && !record.settled;
            open.then(|| record.settled = true).map(|()| Vec::new())
        })
        .await
        .map(drop)
    }

    /// Charges again what the ledger refused, and says how much that is.
    pub(super) async fn charge_refused(&self) -> Result<(), StoreError> {
        let store = &self.parts.store;
        for call in store.calls_to_charge(self.parts.clock.now().wall).await? {
            if let Err(error) = self.amend(&call, |_| Some(Vec::new())).await {
                tracing::error!(%call, %error, "a call could not be charged again; it is tried again");
            }
        }
        self.parts.metrics.uncharged_calls(store.uncharged_calls().await?);
        Ok(())
    }

    /// [`Store::amend_call`](crate::store::Store::amend_call), told to whoever listens. False if nothing was changed.
    pub(super) async fn amend(
        &self,
        call: &CallId,
        change: impl FnOnce(&mut CallRecord) -> Option<Vec<NewEvent>> + Send,
    ) -> Result<bool, StoreError> {
        let saved = self.parts.store.amend_call(call, self.parts.clock.now().wall, change).await?;
        let changed = saved.is_some();
        self.publish(saved.map(|saved| saved.events).unwrap_or_default());
        Ok(changed)
    }

    /// Closes a call whose task broke: nobody stays busy, no media stays open, WhatsApp is told, the record says so.
    pub(super) async fn clear_away(self: &Arc<Self>, call: &CallId, shard: ShardId) {
        self.registry.leave(call);
        let _ = self.parts.shards.send(shard, Command::Close { call: call.clone() });
        let closed = async {
            match self.parts.store.call(call).await? {
                Some(record) if record.state != CallState::Ended => {
                    let now = self.parts.clock.now().wall;
                    settle(self, record, EndReason::UpstreamError, now).await
                }
                Some(_) => self.settle_one(call).await,
                None => self.parts.store.forget_dial(call).await,
            }
        };
        if let Err(error) = closed.await {
            tracing::error!(%call, %error, "a broken call could not be closed in the books; the next start will");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_billed_of_a_call_nobody_saw_end_is_what_is_known_of_it() {
        let at = |secs: i64| Timestamp::from_secs(1_795_000_000 + secs);
        // Answered 10 s after it began, in seconds since then; of the recording, of the last sign of life; what is billed.
        for (answered, recorded_ms, alive, billed_ms) in [
            (Some(10), 0, 40, 30_000),
            // Answered after the last sign of life.
            (Some(10), 0, 9, 0),
            (Some(10), 0, -1_795_000_000, 0),
            // The recording knows better, both ways.
            (Some(10), 33_500, 40, 33_500),
            (Some(10), 2_000, 40, 2_000),
            // Our clock is an hour ahead of WhatsApp's, or behind.
            (Some(10 - 3600), 0, 40, 40_000),
            (Some(10 + 3600), 0, 40, 0),
            (None, 0, 40, 0),
            (None, 33_500, 40, 0),
        ] {
            let got = talked(answered.map(at), at(0), recorded_ms, at(alive));
            assert_eq!(got.as_millis(), billed_ms, "{answered:?} {recorded_ms} {alive}");
        }
    }
}
