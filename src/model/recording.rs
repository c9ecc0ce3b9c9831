//! What is known of a recording besides its sound.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
