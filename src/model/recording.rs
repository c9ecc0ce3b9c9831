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
    /// Why a call has no recording, or not all of one.
    RecordingReason {
        /// Whoever placed it, its number or the configuration says so.
        NotWanted = "not_wanted",
        /// It ended before both had been played the announcement.
        NotAnnounced = "not_announced",
        /// The customer did not want to be recorded.
        OptedOut = "opted_out",
        /// The recorder could not go on, here or on another machine; `recording.failed` in the event log says what it met.
        RecorderFailed = "recorder_failed",
        /// It is on another machine that is away, and comes when that is back.
        Awaited = "awaited",
        /// The program died, and what it left cannot be mended or is on a machine that is away.
        Interrupted = "interrupted",
    }
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

/// A file of a recording that is in the store beside this machine, as it was read back from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// In the local folder; also the last part of its key.
    pub name: String,
    pub key: String,
    pub bytes: u64,
    /// Lower-case hex.
    pub sha256: String,
}

/// How far a file is on its way there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Of the local file. An upload goes on only if both are still the same.
    pub bytes: u64,
    pub sha256: String,
    /// The store's name for an upload in parts; `None` for a small file, or before it has begun.
    pub upload_id: Option<String>,
    /// The store's receipts for the parts it has, in order.
    pub parts: Vec<String>,
}

words! {
    /// What a recording's file is.
    Format {
        /// Both voices decoded, 16 kHz stereo; any player and any speech recogniser takes it.
        Wav = "wav",
        /// Ogg Opus: the packets of both voices as they came, side by side. A tenth of the size, and nothing is decoded.
        Opus = "opus",
    }
}

impl Format {
    pub const fn extension(self) -> &'static str {
        self.as_str()
    }

    /// As in `Content-Type` (RFC 7845 section 9 for Opus).
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Wav => "audio/wav",
            Self::Opus => "audio/ogg",
        }
    }

    /// By the name of its file.
    pub fn of(path: &std::path::Path) -> Self {
        let opus = path.extension().is_some_and(|extension| extension == Self::Opus.extension());
        if opus { Self::Opus } else { Self::Wav }
    }
}
