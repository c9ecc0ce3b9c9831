//! What has been told about a leg: segments get their numbers here, and the last word is always said.

use std::sync::Arc;

use super::dialect::Words;
use super::stats::Counters;
use super::tail::Span;
use crate::asr::{Heard, Leg, Listener, stable};
use crate::audio::RATE_HZ;
use crate::model::transcript::{Segment, Unheard};

/// One leg's listener.
pub(super) struct Told {
    leg: Leg,
    heard: Listener,
    counters: Arc<Counters>,
    with_partials: bool,
    /// Of the segment that comes next, or grows.
    index: u32,
    /// What was last told of it.
    partial: Option<String>,
}

impl Told {
    pub(super) fn new(leg: Leg, heard: Listener, counters: Arc<Counters>, with_partials: bool) -> Self {
        Self { leg, heard, counters, with_partials, index: 0, partial: None }
    }

    pub(super) fn leg(&self) -> &Leg {
        &self.leg
    }

    /// Words that will change, and where in the call they lie.
    pub(super) fn tell_partial(&mut self, words: Words, span: Span) {
        let text = levelled(&words.text);
        if !self.with_partials || text.is_empty() || self.partial.as_ref() == Some(&text) {
            return;
        }
        let stable_chars = self.partial.as_ref().map_or(0, |before| stable::agreed_chars(before, &text));
        self.counters.partials.add(1);
        self.partial = Some(text.clone());
        let segment = Segment { is_final: false, stable_chars, ..self.segment(text, words, span) };
        (self.heard)(&self.leg, Heard::Segment(segment));
    }

    /// Words that stay; true if there were any.
    pub(super) fn tell_final(&mut self, words: Words, span: Span) -> bool {
        let text = levelled(&words.text);
        if text.is_empty() {
            self.take_back();
            return false;
        }
        self.counters.finals.add(1);
        self.partial = None;
        let segment = self.segment(text, words, span);
        self.index += 1;
        (self.heard)(&self.leg, Heard::Segment(segment));
        true
    }

    /// What partials said of it stays until other words take their place, or the end.
    pub(super) fn tell_missed(&mut self, span: Span) {
        let (start_ms, end_ms) = (to_ms(span.start), to_ms(span.end));
        self.counters.missed_ms.add(end_ms - start_ms);
        (self.heard)(&self.leg, Heard::Missed(Unheard { speaker: self.leg.speaker, start_ms, end_ms }));
    }

    pub(super) fn tell_end(&mut self) {
        self.take_back();
        (self.heard)(&self.leg, Heard::Ended);
    }

    /// What partials said was nothing after all, or will be made up for.
    fn take_back(&mut self) {
        if self.partial.take().is_some() {
            let segment = self.segment(String::new(), Words::default(), 0..0);
            self.index += 1;
            (self.heard)(&self.leg, Heard::Segment(segment));
        }
    }

    /// A final one.
    fn segment(&self, text: String, words: Words, span: Span) -> Segment {
        Segment {
            speaker: self.leg.speaker,
            index: self.index,
            start_ms: to_ms(span.start),
            end_ms: to_ms(span.end),
            is_final: true,
            stable_chars: u32::try_from(text.chars().count()).unwrap_or(u32::MAX),
            text,
            confidence: words.confidence.filter(|sure| sure.is_finite()).map(|sure| sure.clamp(0.0, 1.0)),
            language: words.language.or_else(|| self.leg.language.clone()),
        }
    }
}

/// With one space between words: some servers glue pieces together.
fn levelled(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

pub(super) fn to_ms(samples: u64) -> u64 {
    samples / u64::from(RATE_HZ / 1000)
}
