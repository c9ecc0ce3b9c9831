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
