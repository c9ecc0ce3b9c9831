//! What is done with a call's sound: whether it is tapped at all, and what for; and the wishes about it while it runs.

use std::time::Instant;

use crate::call::CallRecord;
use crate::model::id::RecordingId;
use crate::model::reason::RecordingState;
use crate::model::recording::Pause;
use crate::model::rtp::TapKey;
use crate::model::time::Timestamp;
use crate::model::transcript::TranscriptState;
use crate::record::{Format, Open, path_of};
use crate::shard::Command;
use crate::store::RecordingFile;
use crate::tap::Wants;

use super::line::Line;
use super::{Desk, Refusal, about_call};

/// Pauses of one recording. Who pauses more often than every few seconds of an hour is a program gone wild, and the record
/// stays small.
const PAUSES_MAX: usize = 200;

/// The tap of a running call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tapped {
    key: TapKey,
    /// When the shard was told; it obeys within a turn.
    since: Instant,
}

/// What a call's sound is for.
struct Uses {
    record: bool,
    /// What is not kept as sound is not kept as text either.
    listen: bool,
    /// Nor is it given to others.
    stream: bool,
}

impl Uses {
    /// A call whose sound nobody wants is not tapped.
    const fn any(&self) -> bool {
        self.record || self.listen
    }

    /// Nothing is decoded that nobody needs decoded.
    fn wants(&self, format: Format) -> Wants {
        Wants {
            samples: self.listen || self.stream || (self.record && format == Format::Wav),
            frames: self.record && format == Format::Opus,
        }
    }
}

impl Desk {
    /// Whether a call is recorded: as whoever placed it or, failing that, its number says, else as the gateway is configured.
    pub(super) fn records(&self, asked: Option<bool>) -> bool {
        asked.unwrap_or(self.parts.recording.enabled)
    }
}

impl Line {
    /// Taps the call, if anybody wants its sound and those who are to be told first have been.
    pub(super) async fn start_tap(&mut self) {
        let record = self.call.record().record;
        let parts = &self.desk.parts;
        let uses = Uses { record, listen: record && parts.ears.is_some(), stream: record && parts.streams };
        if self.tapped.is_some() || !uses.any() || self.call.is_ended() || !self.has_consent().await {
            return;
        }
        let (tap, now) = (TapKey::next(), self.desk.parts.clock.now());
        let file = uses.record.then(|| self.open_recording(tap, now.wall));
        if uses.listen {
            self.desk.listen_to(&self.call.record().id, tap);
        }
        let format = self.desk.parts.recording.format;
        self.desk.parts.tap.expect(tap, uses.wants(format));
        // Before the database is asked anything: a slow one would cost the first words.
        self.command(|call| Command::StartTap { call, tap });
        self.tapped = Some(Tapped { key: tap, since: now.at });
        if uses.listen {
            self.enter_transcript().await;
        }
        if let Some(file) = file {
            self.enter_recording(&file).await;
        }
    }

    fn open_recording(&self, tap: TapKey, now: Timestamp) -> RecordingFile {
        let (call, id) = (self.call.record().id.clone(), RecordingId::generate());
        let consent = self.call.record().recording.consent.clone();
        let path = path_of(&self.desk.parts.data_dir, &id, now, self.desk.parts.recording.format);
        self.desk.parts.recorder.open(Open {
            tap,
            recording: id.clone(),
            call,
            path: path.clone(),
            started_at: now,
            consent,
        });
        RecordingFile { id, path, state: RecordingState::Recording, sha256: None }
    }

    async fn enter_transcript(&mut self) {
        let call = &self.call.record().id;
        if let Err(error) = self.desk.begin_transcript(call).await {
            // The first segment tries again.
            tracing::warn!(%call, %error, "the transcript could not be entered yet");
        }
        self.call.record_mut().transcript.state = TranscriptState::Live;
    }

    async fn enter_recording(&mut self, file: &RecordingFile) {
        let call = &self.call.record().id;
        if let Err(error) = self.desk.parts.store.put_recording(call, file).await {
            tracing::error!(%call, %error, "the recording could not be entered");
        }
        self.call.record_mut().recording.state = RecordingState::Recording;
        self.store(Vec::new()).await;
    }

    /// Stops keeping what is said, or begins again. The tap obeys to the sample; the record says it to the millisecond or
    /// two, until the file is closed and knows better.
    pub(super) async fn pause_recording(&mut self, paused: bool) -> Result<CallRecord, Refusal> {
        let record = self.call.record();
        if self.call.is_ended() {
            return Err(Refusal::CallEnded);
        }
        let (Some(tapped), true) = (self.tapped, record.recording.state.is_open()) else {
            return Err(Refusal::WrongState("the call is not being recorded".to_owned()));
        };
        let wanted = if paused { RecordingState::Paused } else { RecordingState::Recording };
        if record.recording.state == wanted {
            return Ok(record.clone());
        }
        if paused && record.recording.pauses.len() >= PAUSES_MAX {
            let why = format!("this recording was paused {PAUSES_MAX} times; that is enough");
            return Err(Refusal::WrongState(why));
        }
        let orders = &self.desk.parts.tap;
        let at = if paused { orders.pause(tapped.key) } else { orders.resume(tapped.key) };
        let at_ms = i64::try_from(at.saturating_duration_since(tapped.since).as_millis()).unwrap_or(i64::MAX);
        let call = record.id.clone();
        let recording = &mut self.call.record_mut().recording;
        recording.state = wanted;
        match recording.pauses.last_mut() {
            Some(last) if !paused => last.to_ms = Some(at_ms),
            _ => recording.pauses.push(Pause { from_ms: at_ms, to_ms: None }),
        }
        let kind = if paused { "recording.paused" } else { "recording.resumed" };
        let data = serde_json::json!({"call_id": call, "at_ms": at_ms});
        self.store(vec![about_call(kind, &call, data)]).await;
        Ok(self.call.record().clone())
    }
}
