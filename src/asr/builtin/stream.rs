//! One leg's sound on its way to text: cut into stretches, decoded while they grow, decided when they end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::pool::{Inlet, Job, Outcome};
use crate::asr::segmenter::{Segmenter, Speech};
use crate::asr::{Heard, Leg, Listener, Stream, stable};
use crate::audio::RATE_HZ;
use crate::model::time::Clock;
use crate::model::transcript::{Segment, Unheard};

/// New sound between two partials. More often costs more than a reader gains.
const PARTIAL_EVERY: u64 = 7 * RATE_HZ as u64 / 10;

/// One leg that is being listened to.
pub(super) struct Live {
    /// Tells legs apart in the queue.
    key: u64,
    inlet: Inlet,
    told: Arc<Told>,
    segmenter: Segmenter,
    language: Option<String>,
    partials: bool,
    /// Of the stretch that goes on.
    index: u32,
    /// The length at which it is worth another partial.
    partial_at: u64,
}

impl Live {
    pub(super) fn new(key: u64, inlet: Inlet, leg: Leg, heard: Listener, language: Option<String>) -> Self {
        inlet.count_stream(true);
        let told = Arc::new(Told { leg, heard, state: Mutex::default() });
        let segmenter = Segmenter::default();
        Self { key, inlet, told, segmenter, language, partials: true, index: 0, partial_at: PARTIAL_EVERY }
    }

    /// Finals alone are told.
    pub(super) fn without_partials(mut self) -> Self {
        self.partials = false;
        self
    }

    fn end(&mut self, speech: Speech) {
        self.partial_at = PARTIAL_EVERY;
        if !speech.is_speech() {
            return;
        }
        let place = Place { index: self.index, start: speech.start, end: speech.end() };
        self.index += 1;
        self.told.state().close(place.index);
        let told = Arc::clone(&self.told);
        let done = Box::new(move |outcome| told.tell_final(place, outcome));
        let language = self.language.clone();
        self.inlet.push_final(self.key, Job { pcm: speech.pcm, language, since: Clock.instant(), done });
    }

    fn offer_partial(&mut self) {
        let Some(speech) = self.segmenter.open() else { return };
        let length = speech.pcm.len() as u64;
        if length < self.partial_at || !speech.is_speech() || self.segmenter.is_pausing() {
            return;
        }
        if !self.told.state().begin_partial() {
            return;
        }
        self.partial_at = length + PARTIAL_EVERY;
        let place = Place { index: self.index, start: speech.start, end: speech.end() };
        let (told, language) = (Arc::clone(&self.told), self.language.clone());
        let taken = self.inlet.push_partial(self.key, || {
            let done = Box::new(move |outcome| told.tell_partial(place, outcome));
            Job { pcm: speech.pcm.clone(), language, since: Clock.instant(), done }
        });
        if !taken {
            self.told.state().partial_runs = false;
        }
    }
}

impl Stream for Live {
    fn push(&mut self, first_sample: u64, pcm: &[i16]) {
        let mut ended = Vec::new();
        self.segmenter.push(first_sample, pcm, &mut |speech| ended.push(speech));
        for speech in ended {
            self.end(speech);
        }
        if self.partials {
            self.offer_partial();
        }
    }

    /// Dropping it says the same.
    fn finish(self: Box<Self>) {}
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some(speech) = self.segmenter.finish() {
            self.end(speech);
        }
        self.inlet.count_stream(false);
        self.told.finish();
    }
}

/// Where a stretch stands among the speaker's, in samples.
#[derive(Clone, Copy)]
struct Place {
    index: u32,
    start: u64,
    end: u64,
}

/// What has been told about a leg. The lock is held while it is told, so that words come in order.
struct Told {
    leg: Leg,
    heard: Listener,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Finals that are still to be told.
    finals: usize,
    /// Stretches before this one have ended: their partials are too late.
    closed: u32,
    partial_runs: bool,
    /// The last partial told, to compare with and to take back.
    partial: Option<(u32, String)>,
    finished: bool,
}

impl State {
    fn close(&mut self, index: u32) {
        self.finals += 1;
        self.closed = index + 1;
    }

    /// At most one at a time.
    fn begin_partial(&mut self) -> bool {
        !std::mem::replace(&mut self.partial_runs, true)
    }
}

impl Told {
    fn tell_partial(&self, place: Place, outcome: Outcome) {
        let mut state = self.state();
        state.partial_runs = false;
        let Outcome::Heard(decoded) = outcome else { return };
        if place.index < state.closed {
            return;
        }
        let before = state.partial.as_ref().filter(|(index, _)| *index == place.index);
        let stable_chars = before.map_or(0, |(_, text)| stable::agreed_chars(text, &decoded.text));
        state.partial = Some((place.index, decoded.text.clone()));
        let segment = self.segment(place, decoded.text, Some(decoded.log_prob), Some(decoded.language));
        (self.heard)(&self.leg, Heard::Segment(Segment { is_final: false, stable_chars, ..segment }));
    }

    fn tell_final(&self, place: Place, outcome: Outcome) {
        let mut state = self.state();
        let had_partial = state.partial.take_if(|(index, _)| *index == place.index).is_some();
        match outcome {
            Outcome::Heard(decoded) => {
                let segment = self.segment(place, decoded.text, Some(decoded.log_prob), Some(decoded.language));
                (self.heard)(&self.leg, Heard::Segment(segment));
            }
            Outcome::Nothing if had_partial => {
                (self.heard)(&self.leg, Heard::Segment(self.segment(place, String::new(), None, None)));
            }
            Outcome::Nothing => {}
            Outcome::Missed(why) => {
                tracing::debug!(call = %self.leg.call, index = place.index, why, "speech was not listened to");
                let (start_ms, end_ms) = (to_ms(place.start), to_ms(place.end));
                let missed = Unheard { speaker: self.leg.speaker, start_ms, end_ms };
                (self.heard)(&self.leg, Heard::Missed(missed));
            }
        }
        state.finals -= 1;
        self.end_if_done(&state);
    }

    fn finish(&self) {
        let mut state = self.state();
        state.finished = true;
        self.end_if_done(&state);
    }

    fn end_if_done(&self, state: &State) {
        if state.finished && state.finals == 0 {
            (self.heard)(&self.leg, Heard::Ended);
        }
    }

    /// A final one.
    fn segment(&self, place: Place, text: String, log_prob: Option<f32>, language: Option<String>) -> Segment {
        segment(&self.leg, place.index, (place.start, place.end), text, log_prob, language)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The final words on a stretch from one sample to another.
pub(super) fn segment(
    leg: &Leg,
    index: u32,
    (start, end): (u64, u64),
    text: String,
    log_prob: Option<f32>,
    language: Option<String>,
) -> Segment {
    Segment {
        speaker: leg.speaker,
        index,
        start_ms: to_ms(start),
        end_ms: to_ms(end),
        is_final: true,
        stable_chars: u32::try_from(text.chars().count()).unwrap_or(u32::MAX),
        text,
        confidence: log_prob.map(|log| log.exp().clamp(0.0, 1.0)),
        language,
    }
}

fn to_ms(samples: u64) -> u64 {
    samples / u64::from(RATE_HZ / 1000)
}
