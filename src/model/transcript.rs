//! What was said in a call, as text. Who spoke is never guessed: each leg is listened to by itself.

use serde::{Deserialize, Serialize};
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
