//! Transcripts of calls: kept and shown while they run, completed from the recording when they are over.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::broadcast;

use super::{Absent, Desk, Switchboard};
use crate::asr::{Heard, Inlet, Leg};
use crate::metrics::Outcome;
use crate::model::event::Event;
use crate::model::id::CallId;
use crate::model::reason::RecordingState;
use crate::model::rtp::{Side, TapKey};
use crate::model::time::Timestamp;
use crate::model::transcript::{Segment, Unheard};
use crate::record::read_sound;
use crate::store::{DueTranscript, StoreError};

/// Between two looks for transcripts to be completed.
const LOOK: Duration = Duration::from_secs(1);
/// A recogniser that could not listen is asked again after this time, doubled with each attempt.
const AGAIN_AFTER: Duration = Duration::from_secs(15);
/// Some four hours with [`AGAIN_AFTER`]: a recogniser that is away that long is not coming back for this call.
const ATTEMPTS_MAX: u32 = 10;
/// A recording is finished within seconds of its call; until then the transcript waits without counting.
const RECORDING_AFTER: Duration = Duration::from_secs(2);
/// A last stretch of a call that is shorter than a word.
const WORD_MS: u64 = 200;
/// Segments a listener may be behind before it reads them again from the store.
const BACKLOG: usize = 64;

/// What a listener to a running call's transcript gets.
pub struct LiveTranscript {
    /// Segments that are still growing.
    pub partials: Vec<Segment>,
    /// Partial and final ones from now on. It closes when the call is no longer listened to.
    pub segments: broadcast::Receiver<Segment>,
}

/// What is written into a running call's transcript.
enum Word {
    Said(Segment),
    Missed(Unheard),
    /// Nobody says anything more.
    Last,
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
}

impl Live {
    fn begin(&self, call: &CallId, since: Instant) {
        let (listeners, _) = broadcast::channel(BACKLOG);
        self.lock().insert(call.clone(), LiveCall { since, growing: HashMap::new(), listeners, legs: 2 });
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
                live.growing.remove(&segment.speaker);
            } else {
                live.growing.insert(segment.speaker, segment.clone());
            }
            // Nobody may be listening.
            let _ = live.listeners.send(segment);
        }
    }

    /// A leg has ended; true with the last one.
    fn leave(&self, call: &CallId) -> bool {
        self.lock().get_mut(call).is_some_and(|live| {
            live.legs = live.legs.saturating_sub(1);
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
    /// What the recogniser says; `app` feeds it, in order.
    pub async fn take_heard(&self, leg: &Leg, heard: Heard) {
        self.0.take_heard(leg, heard).await;
    }

    /// Follows a call that is being listened to; `None` if it is not.
    pub fn listen(&self, call: &CallId) -> Option<LiveTranscript> {
        self.0.live.listen(call)
    }
}

impl Desk {
    async fn take_heard(&self, leg: &Leg, heard: Heard) {
        let call = &leg.call;
        if let Heard::Segment(segment) = &heard {
            self.note_lag(call, segment);
        }
        match heard {
            // A final one without text only takes back what was shown.
            Heard::Segment(segment) if !segment.is_final || segment.text.is_empty() => self.live.show(call, segment),
            Heard::Segment(segment) => {
                self.keep(call, &Word::Said(segment.clone())).await;
                self.live.show(call, segment);
            }
            Heard::Missed(unheard) => {
                let Unheard { speaker, start_ms, end_ms } = unheard;
                tracing::warn!(%call, %speaker, start_ms, end_ms, "not written down live");
                self.parts.metrics.unheard(Duration::from_millis(end_ms.saturating_sub(start_ms)));
                self.keep(call, &Word::Missed(unheard)).await;
            }
            Heard::Ended if self.live.leave(call) => {
                self.keep(call, &Word::Last).await;
                // Whoever follows reads the state when this lets go of it.
                self.live.end(call);
            }
            Heard::Ended => {}
        }
    }

    fn note_lag(&self, call: &CallId, segment: &Segment) {
        if let Some(since) = self.live.since(call) {
            let spoken = since + Duration::from_millis(segment.end_ms);
            self.parts.metrics.heard(segment, self.parts.clock.instant().saturating_duration_since(spoken));
        }
    }

    /// Publishes what became of a transcript, and counts it.
    async fn transcript_became(&self, call: &CallId, events: Vec<Event>) {
        for outcome in events.iter().filter_map(|event| outcome_of(&event.kind)) {
            // Without the call's end the figure is worth less than the transcript.
            let ended = self.parts.store.call(call).await.ok().flatten().and_then(|record| record.ended_at);
            let after_call = ended.map_or(Duration::ZERO, |ended| self.parts.clock.now().wall.since(ended));
            self.parts.metrics.transcript_ended(outcome, after_call);
        }
        self.publish(events);
    }

    /// Writes to the transcript, begun if it is not yet; tried for some seconds if the database is away.
    async fn keep(&self, call: &CallId, word: &Word) {
        let mut pauses = [100, 400, 1_500, 4_000].map(Duration::from_millis).into_iter();
        loop {
            let error = match self.write(call, word).await {
                Ok(events) => return self.transcript_became(call, events).await,
                Err(error) => error,
            };
            // The engine was quicker than the database.
            let begun = matches!(error, StoreError::Missing(_)) && self.begin_transcript(call).await.is_ok();
            let Some(pause) = pauses.next() else {
                return tracing::error!(%call, %error, "a part of the transcript could not be kept");
            };
            if !begun {
                tracing::warn!(%call, %error, "the transcript met a failing database; trying again");
                tokio::time::sleep(pause).await;
            }
        }
    }

    async fn write(&self, call: &CallId, word: &Word) -> Result<Vec<Event>, StoreError> {
        let store = &self.parts.store;
        match word {
            Word::Said(segment) => store.add_segment(call, segment).await?,
            Word::Missed(unheard) => store.add_unheard(call, *unheard).await?,
            Word::Last => return store.end_transcript(call, self.parts.clock.now().wall).await,
        }
        Ok(Vec::new())
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

    /// After a crash: what was said since the last segment of each side is to be listened to.
    pub(super) async fn settle_transcripts(&self) -> Result<(), StoreError> {
        let store = &self.parts.store;
        for call in store.live_transcripts().await? {
            let Some(transcript) = store.transcript(&call).await? else { continue };
            let recorded = store.call(&call).await?.map_or(0, |record| record.recording.duration_ms);
            for speaker in [Side::Customer, Side::Agent] {
                let said = transcript.segments.iter().filter(|segment| segment.speaker == speaker);
                let start_ms = said.map(|segment| segment.end_ms).max().unwrap_or(0);
                let end_ms = u64::try_from(recorded).unwrap_or(0).max(start_ms + WORD_MS);
                store.add_unheard(&call, Unheard { speaker, start_ms, end_ms }).await?;
            }
            self.transcript_became(&call, store.end_transcript(&call, self.parts.clock.now().wall).await?).await;
        }
        Ok(())
    }

    /// Listens to one ended call's rest; how it went is written down.
    async fn complete(self: &Arc<Self>, ears: &Inlet, due: DueTranscript) -> Result<(), StoreError> {
        let (store, call) = (&self.parts.store, &due.call);
        let now = || self.parts.clock.now().wall;
        let file = store.recording(call).await?;
        let path = match file.map(|file| (file.state, file.path)) {
            Some((state, _)) if state.is_open() => {
                let soon = now().plus(RECORDING_AFTER);
                return store.postpone_transcript(call, soon).await;
            }
            Some((RecordingState::Ready | RecordingState::Failed, path)) if path.exists() => Ok(path),
            // It may be in the store. Of one that failed a part may be there.
            Some((RecordingState::Ready | RecordingState::Failed, _)) => self.bring_back(call).await,
            _ => Err(Absent::Gone),
        };
        let path = match path {
            Ok(path) => path,
            Err(Absent::Away(error)) => {
                tracing::warn!(%call, error, attempts = due.attempts, "the recording of a transcript is not to be had");
                let again = again_at(due.attempts, now());
                self.transcript_became(call, store.put_off_transcript(call, again, now()).await?).await;
                return Ok(());
            }
            Err(Absent::Gone | Absent::Lost(_) | Absent::OnItsWay) => {
                tracing::error!(%call, "the call has no recording to complete its transcript from");
                self.transcript_became(call, store.put_off_transcript(call, None, now()).await?).await;
                return Ok(());
            }
        };
        for gap in due.unheard {
            let (ears, path, id) = (ears.clone(), path.clone(), call.clone());
            let vault = self.parts.recorder.vault().clone();
            let listened = tokio::task::spawn_blocking(move || {
                let sound = read_sound(&path, &vault, gap.speaker, gap.start_ms, gap.end_ms)
                    .map_err(|error| error.to_string())?;
                ears.transcribe(&sound, &id, gap.speaker).map_err(|error| error.to_string())
            });
            match listened.await.unwrap_or_else(|panic| Err(panic.to_string())) {
                Ok(segments) => {
                    let segments: Vec<Segment> =
                        segments.into_iter().map(|segment| later(segment, gap.start_ms)).collect();
                    self.transcript_became(call, store.fill_transcript(call, gap, &segments, now()).await?).await;
                }
                Err(error) => {
                    tracing::warn!(%call, error, attempts = due.attempts, "a transcript could not be completed");
                    let again = again_at(due.attempts, now());
                    self.transcript_became(call, store.put_off_transcript(call, again, now()).await?).await;
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// Completes transcripts for as long as there is a desk.
pub(super) async fn run(desk: Weak<Desk>) {
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let Some(desk) = desk.upgrade() else { return };
        let Some(ears) = desk.parts.ears.clone() else { return };
        let now = desk.parts.clock.now().wall;
        let due = match desk.parts.store.due_transcripts(now).await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(%error, "transcripts to be completed cannot be read");
                continue;
            }
        };
        // One after the other: running calls come first.
        for due in due {
            let call = due.call.clone();
            if let Err(error) = desk.complete(&ears, due).await {
                tracing::warn!(%call, %error, "a transcript could not be completed; it is tried again");
            }
        }
    }
}

fn outcome_of(kind: &str) -> Option<Outcome> {
    match kind {
        "transcript.ready" => Some(Outcome::Ready),
        "transcript.failed" => Some(Outcome::Failed),
        _ => None,
    }
}

/// When to try again after so many attempts in vain and one more.
fn again_at(attempts: u32, now: Timestamp) -> Option<Timestamp> {
    (attempts + 1 < ATTEMPTS_MAX).then(|| now.plus(AGAIN_AFTER * 2_u32.saturating_pow(attempts)))
}

/// A segment of a stretch that begins at `start_ms` of the call.
fn later(segment: Segment, start_ms: u64) -> Segment {
    Segment { start_ms: segment.start_ms + start_ms, end_ms: segment.end_ms + start_ms, ..segment }
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

    #[test]
    fn a_recogniser_that_is_away_is_asked_ever_more_seldom_and_then_no_more() {
        let now = Timestamp::from_secs(1_795_000_000);
        let waits: Vec<Option<u64>> =
            (0..ATTEMPTS_MAX).map(|attempts| again_at(attempts, now).map(|at| at.since(now).as_secs())).collect();
        let seconds = [15, 30, 60, 120, 240, 480, 960, 1_920, 3_840].map(Some);
        assert_eq!(waits, seconds.into_iter().chain([None]).collect::<Vec<_>>());
    }
}
