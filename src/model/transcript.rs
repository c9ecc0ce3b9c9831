//! What was said in a call, as text. Who spoke is never guessed: each leg is listened to by itself.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;
use utoipa::ToSchema;

use super::rtp::Side;
use super::words::words;

words! {
    /// Where a call's transcript stands.
    TranscriptState {
        /// Nobody listens: switched off, no model, or the call had no conversation.
        Off = "off",
        /// The call is running and segments come in.
        Live = "live",
        /// The call is over, and what could not be written down live is being made up for.
        Pending = "pending",
        Ready = "ready",
        /// Part of it could not be written down; what there is stays readable.
        Failed = "failed",
    }
}

words! {
    /// Why a call has no transcript, or not all of one.
    TranscriptReason {
        /// What is not kept as sound is not kept as text either; see the recording's reason.
        NotRecorded = "not_recorded",
        /// `asr.engine` is off, or its model is not there.
        SwitchedOff = "switched_off",
        /// The recogniser could not listen however often it was asked.
        RecogniserAway = "recogniser_away",
        /// What was missing could not be had from the recording: it failed, or is gone.
        RecordingLost = "recording_lost",
        /// The recording was deleted before the rest could be listened to.
        RecordingDeleted = "recording_deleted",
    }
}

/// A stretch of one speaker's speech. Times are milliseconds since the call's sound began, which is where its recording
/// begins: a player seeks to them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Segment {
    pub speaker: Side,
    /// Counts the speaker's segments from 0. A later word on the same segment replaces the earlier one.
    pub index: u32,
    pub start_ms: u64,
    pub end_ms: u64,
    pub text: String,
    /// Whether this is the last word on the segment.
    #[serde(rename = "final")]
    pub is_final: bool,
    /// So many characters at the beginning of `text` are not expected to change any more; all of a final one's.
    pub stable_chars: u32,
    /// 0 to 1 where the engine tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f32>,
    /// ISO 639-1 where the engine tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
}

/// Speech of one speaker that nobody has written down, in milliseconds as in [`Segment`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Unheard {
    pub speaker: Side,
    pub start_ms: u64,
    pub end_ms: u64,
}

/// Stretches of one side that are nearer to each other than a word is long were one stretch of speech.
const NEAR_MS: u64 = 200;

impl Unheard {
    /// The same speech in as few stretches as it takes, by their beginning.
    pub fn merged(mut stretches: Vec<Self>) -> Vec<Self> {
        stretches.sort_by_key(|stretch| (stretch.start_ms, stretch.speaker));
        let mut merged: Vec<Self> = Vec::with_capacity(stretches.len());
        for stretch in stretches {
            match merged.iter_mut().rfind(|before| before.speaker == stretch.speaker) {
                Some(before) if stretch.start_ms <= before.end_ms.saturating_add(NEAR_MS) => {
                    before.end_ms = before.end_ms.max(stretch.end_ms);
                }
                _ => merged.push(stretch),
            }
        }
        merged
    }

    /// What one side's numbers leave out between its final segments: a segment of a running call that was still being
    /// worked on, or one without words.
    pub fn between(segments: &[Segment], speaker: Side) -> Vec<Self> {
        let mut said: Vec<_> = segments.iter().filter(|segment| segment.speaker == speaker).collect();
        said.sort_by_key(|segment| segment.index);
        let (mut next, mut start_ms, mut holes) = (0, 0, Vec::new());
        for segment in said {
            if segment.index != next && segment.start_ms > start_ms + NEAR_MS {
                holes.push(Self { speaker, start_ms, end_ms: segment.start_ms });
            }
            (next, start_ms) = (segment.index.saturating_add(1), segment.end_ms.max(start_ms));
        }
        holes
    }
}

/// A word longer than this is no word anybody searches for.
const WORD_BYTES_MAX: usize = 64;

/// The words of a text as they are searched for: in small letters, without accents, each once. Word bounds are those of
/// Unicode (UAX #29), so a Chinese character is a word by itself.
pub fn words_of(text: &str) -> BTreeSet<String> {
    // Only the accents of Latin, Greek and Cyrillic: in other scripts marks are letters.
    let is_accent = |c: &char| ('\u{300}'..='\u{36f}').contains(c);
    let folded: String = text.nfkd().filter(|c| !is_accent(c)).collect::<String>().to_lowercase();
    folded.unicode_words().filter(|word| word.len() <= WORD_BYTES_MAX).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretch(speaker: Side, start_ms: u64, end_ms: u64) -> Unheard {
        Unheard { speaker, start_ms, end_ms }
    }

    #[test]
    fn stretches_that_adjoin_are_one() {
        let [a, c] = [Side::Agent, Side::Customer].map(|side| move |start, end| stretch(side, start, end));
        #[track_caller]
        fn check(given: Vec<Unheard>, merged: &[Unheard]) {
            assert_eq!(Unheard::merged(given), merged);
        }
        check(vec![], &[]);
        check(vec![a(10_000, 20_000), a(0, 10_000)], &[a(0, 20_000)]);
        check(vec![a(0, 1_000), c(500, 900), a(1_200, 2_000)], &[a(0, 2_000), c(500, 900)]);
        // A word may be between them.
        check(vec![a(0, 1_000), a(1_201, 2_000)], &[a(0, 1_000), a(1_201, 2_000)]);
        check(vec![a(0, 5_000), a(1_000, 2_000), a(3_000, u64::MAX), a(9_000, 9_001)], &[a(0, u64::MAX)]);
    }

    #[test]
    fn what_was_being_worked_on_shows_in_the_numbers() {
        let segment = |index: u32, start_ms: u64| Segment {
            speaker: Side::Agent,
            index,
            start_ms,
            end_ms: start_ms + 1_000,
            text: "word".to_owned(),
            is_final: true,
            stable_chars: 4,
            confidence: None,
            language: None,
        };
        let said = [segment(0, 0), segment(2, 5_000), segment(3, 9_000), segment(5, 10_100)];
        assert_eq!(Unheard::between(&said, Side::Agent), [stretch(Side::Agent, 1_000, 5_000)]);
        assert_eq!(Unheard::between(&said[1..], Side::Agent), [stretch(Side::Agent, 0, 5_000)]);
        assert_eq!(Unheard::between(&said, Side::Customer), []);
    }

    #[test]
    fn words_are_found_however_they_are_written() {
        #[track_caller]
        fn check(text: &str, words: &[&str]) {
            assert_eq!(words_of(text).into_iter().collect::<Vec<_>>(), words, "{text}");
        }
        check("", &[]);
        check("— ... !", &[]);
        check("Refund, refund; REFUND!", &["refund"]);
        check("Señor Müller's café", &["cafe", "muller's", "senor"]);
        check("order 4711-B", &["4711", "b", "order"]);
        check("हिन्दी में", &["में", "हिन्दी"]);
        check("გამარჯობა", &["გამარჯობა"]);
        check("退款", &["款", "退"]);
        check("ﬁne", &["fine"]);
        check(&"x".repeat(65), &[]);
    }
}
