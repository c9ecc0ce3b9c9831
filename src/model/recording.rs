//! What is known of a recording besides its sound.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::time::Timestamp;
use super::words::words;

/// A stretch of a recording that somebody asked not to be kept: silence in the file. Milliseconds since the recording
/// began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pause {
    pub from_ms: i64,
    /// `null` while it lasts.
    pub to_ms: Option<i64>,
}

words! {
    /// How far the parties' consent to being recorded has come.
    ConsentState {
        /// The announcement is playing, or waits for both to be there. A call that ended so was not recorded.
        Announcing = "announcing",
        /// Both were played it to its end; the recording began after it.
        Announced = "announced",
        /// The customer pressed the key: nothing after that was recorded.
        OptedOut = "opted_out",
    }
}

/// What the parties were told about being recorded, and what the customer said to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Consent {
    pub state: ConsentState,
    /// Of the announcement, as configured: ISO 639-1.
    pub language: String,
    /// Of the announcement's sound file, lower-case hex: the very words that were played.
    pub sha256: String,
    pub length_ms: i64,
    /// When both had been played it to its end.
    pub announced_at: Option<Timestamp>,
    /// The key that the customer could press; `null` = none was offered.
    pub opt_out_key: Option<char>,
    pub opted_out_at: Option<Timestamp>,
}
