//! Transcripts of running calls: kept, and shown to whoever follows.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::broadcast;

use super::writing::{Word, WritingStats};
use super::{Desk, Switchboard};
use crate::asr::{Heard, Leg, Listener};
use crate::metrics::Outcome;
use crate::model::event::Event;
use crate::model::id::CallId;
use crate::model::rtp::{Side, TapKey};
use crate::model::transcript::{Segment, Unheard};
use crate::store::StoreError;

/// Segments a listener may be behind before it reads them again from the store.
const BACKLOG: usize = 64;

/// What a listener to a running call's transcript gets.
pub struct LiveTranscript {
    /// Segments that are still growing.
    pub partials: Vec<Segment>,
    /// Partial and final ones from now on. It closes when the call is no longer listened to.
    pub segments: broadcast::Receiver<Segment>,
}

/// The calls that are being listened to.
#[derive(Default)]
pub(super) struct Live(Mutex<HashMap<CallId, LiveCall>>);

struct LiveCall {
    /// Position 0 of its sound.
    since: Instant,
    growing: HashMap<Side, Segment>,
    listeners: broadcast::Sender<Segment>,
    /// Legs whose engine has not said its last word.
    legs: u32,
    /// Stretches that were let go.
    missed: u32,
    missed_ms: u64,
}

impl Live {
    fn begin(&self, call: &CallId, since: Instant) {
        let (listeners, _) = broadcast::channel(BACKLOG);
        self.lock().insert(
            call.clone(),
            LiveCall { since, growing: HashMap::new(), listeners, legs: 2, missed: 0, missed_ms: 0 },
        );
    }

    /// When the call's sound began.
    fn since(&self, call: &CallId) -> Option<Instant> {
        self.lock().get(call).map(|live| live.since)
    }

    fn listen(&self, call: &CallId) -> Option<LiveTranscript> {
        let calls = self.lock();
        let live = calls.get(call)?;
        Some(LiveTranscript {
            partials: live.growing.values().cloned().collect(),
            segments: live.listeners.subscribe(),
        })
    }

    fn show(&self, call: &CallId, segment: Segment) {
        if let Some(live) = self.lock().get_mut(call) {
            if segment.is_final {
                // The next one may be growing already.
                if live.growing.get(&segment.speaker).is_some_and(|growing| growing.index <= segment.index) {
                    live.growing.remove(&segment.speaker);
                }
            } else {
                live.growing.insert(segment.speaker, segment.clone());
            }
            // Nobody may be listening.
            let _ = live.listeners.send(segment);
        }
    }

    fn miss(&self, call: &CallId, length_ms: u64) {
        if let Some(live) = self.lock().get_mut(call) {
            live.missed += 1;
            live.missed_ms += length_ms;
        }
    }

    /// A leg has ended; true with the last one.
    fn leave(&self, call: &CallId) -> bool {
        self.lock().get_mut(call).is_some_and(|live| {
            live.legs = live.legs.saturating_sub(1);
            if live.legs == 0 && live.missed > 0 {
                let (stretches, missed_ms) = (live.missed, live.missed_ms);
                tracing::warn!(%call, stretches, missed_ms, "not written down live; left to the recording");
            }
            live.legs == 0
        })
    }

    fn end(&self, call: &CallId) {
        self.lock().remove(call);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CallId, LiveCall>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Switchboard {
    /// Takes what the recogniser says, each leg's words in their order, on whatever thread it says them; never waits. It
    /// does not keep the desk alive.
    pub fn listener(&self) -> Listener {
        let desk = Arc::downgrade(&self.0);
        Arc::new(move |leg, heard| {
            if let Some(desk) = desk.upgrade() {
                desk.take_heard(leg, heard);
            }
        })
    }

    /// Follows a call that is being listened to; `None` if it is not.
    pub fn listen(&self, call: &CallId) -> Option<LiveTranscript> {
        self.0.live.listen(call)
    }

    pub fn writing_stats(&self) -> WritingStats {
        self.0.writing.stats()
    }
}

impl Desk {
    fn take_heard(self: &Arc<Self>, leg: &Leg, heard: Heard) {
        let call = &leg.call;
        match heard {
            // A final one without text only takes back what was shown.
            Heard::Segment(segment) if !segment.is_final || segment.text.is_empty() => {
                self.note_lag(call, &segment);
                self.live.show(call, segment);
            }
            // Shown once it is kept: whoever falls behind reads it there.
            Heard::Segment(segment) => {
                self.note_lag(call, &segment);
                self.write_down(call, Word::Said(segment));
            }
            Heard::Missed(unheard) => {
                let length_ms = unheard.end_ms.saturating_sub(unheard.start_ms);
                self.parts.metrics.unheard(Duration::from_millis(length_ms));
                self.live.miss(call, length_ms);
                self.write_down(call, Word::Missed(unheard));
            }
            Heard::Ended if self.live.leave(call) => self.write_down(call, Word::Last),
            Heard::Ended => {}
        }
    }

    /// What is written down is shown; whoever follows reads the state when this lets go of it.
    pub(super) fn show(&self, call: &CallId, word: Word) {
        match word {
            Word::Said(segment) => self.live.show(call, segment),
            Word::Missed(_) => {}
            Word::Last => self.live.end(call),
        }
    }

    fn note_lag(&self, call: &CallId, segment: &Segment) {
        if let Some(since) = self.live.since(call) {
            let spoken = since + Duration::from_millis(segment.end_ms);
            self.parts.metrics.heard(segment, self.parts.clock.instant().saturating_duration_since(spoken));
        }
    }

    /// Publishes what became of a transcript, and counts it.
    pub(super) async fn transcript_became(&self, call: &CallId, events: Vec<Event>) {
        for outcome in events.iter().filter_map(|event| outcome_of(&event.kind)) {
            // Without the call's end the figure is worth less than the transcript.
            let ended = self.parts.store.call(call).await.ok().flatten().and_then(|record| record.ended_at);
            let after_call = ended.map_or(Duration::ZERO, |ended| self.parts.clock.now().wall.since(ended));
            self.parts.metrics.transcript_ended(outcome, after_call);
        }
        self.publish(events);
    }

    /// Begins to listen to what `tap` will bring of a call.
    pub(super) fn listen_to(&self, call: &CallId, tap: TapKey) {
        if let Some(ears) = &self.parts.ears {
            self.live.begin(call, self.parts.clock.instant());
            ears.open(tap, call);
        }
    }

    pub(super) async fn begin_transcript(&self, call: &CallId) -> Result<(), StoreError> {
        let Some(ears) = &self.parts.ears else { return Ok(()) };
        let sum_up = self.parts.summariser.is_on();
        self.parts.store.begin_transcript(call, ears.engine(), ears.language(), sum_up).await
    }

    /// After a crash: what was being worked on, and what was said since the last segment of each side, is listened to.
    pub(super) async fn settle_transcripts(&self) -> Result<(), StoreError> {
        let store = &self.parts.store;
        for call in store.live_transcripts().await? {
            let Some(transcript) = store.transcript(&call).await? else { continue };
            let between = |speaker| Unheard::between(&transcript.segments, speaker);
            let holes = [between(Side::Customer), between(Side::Agent)].concat();
            store.cut_transcript(&call, &holes, self.parts.clock.now().wall).await?;
        }
        Ok(())
    }
}

fn outcome_of(kind: &str) -> Option<Outcome> {
    match kind {
        "transcript.ready" => Some(Outcome::Ready),
        "transcript.failed" => Some(Outcome::Failed),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(speaker: Side, text: &str, is_final: bool) -> Segment {
        let (text, stable_chars) = (text.to_owned(), 0);
        let (confidence, language) = (None, None);
        Segment { speaker, index: 0, start_ms: 0, end_ms: 0, text, is_final, stable_chars, confidence, language }
    }

    #[test]
    fn whoever_listens_gets_what_grows_and_what_follows_until_both_legs_are_done() {
        let (live, call) = (Live::default(), CallId::generate());
        live.show(&call, segment(Side::Agent, "not begun", false));
        assert!(live.listen(&call).is_none());
        live.begin(&call, crate::model::time::Clock.instant());
        live.show(&call, segment(Side::Customer, "Where", false));
        live.show(&call, segment(Side::Agent, "Good", false));
        live.show(&call, segment(Side::Agent, "Good morning.", true));
        let mut listener = live.listen(&call).unwrap();
        assert_eq!(listener.partials, [segment(Side::Customer, "Where", false)]);
        live.show(&call, segment(Side::Customer, "Where is", false));
        assert_eq!(listener.segments.try_recv().unwrap().text, "Where is");
        assert!(!live.leave(&call));
        assert!(live.leave(&call));
        live.end(&call);
        assert!(live.listen(&call).is_none());
        assert!(matches!(listener.segments.try_recv(), Err(broadcast::error::TryRecvError::Closed)));
    }
}
