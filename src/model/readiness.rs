//! Whether an agent's client could take a call now, as it found out itself.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::time::Timestamp;
use super::words::words;

words! {
    /// What came of looking at one thing.
    Check { Passed = "passed", Failed = "failed", Unknown = "unknown" }
}

/// What the client looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Checks {
    /// It is open and gives sound.
    pub microphone: Check,
    /// The bell and the customer can be played.
    pub speaker: Check,
    /// A call is shown when the window is hidden. `unknown` where the device has none.
    pub notifications: Check,
    /// The browser lets sound out without another click.
    pub sound: Check,
    /// Sound went to the gateway and came back.
    pub media: Check,
}

impl Checks {
    /// A device without notifications can still take calls; nothing else may be missing.
    pub fn are_ready(&self) -> bool {
        let Self { microphone, speaker, notifications, sound, media } = *self;
        [microphone, speaker, sound, media].iter().all(|check| *check == Check::Passed)
            && notifications != Check::Failed
    }
}

words! {
    /// Why calls pass an agent by who is online and free.
    Bypass {
        /// The agent's client did not show the last call that rang at it, and has been silent since.
        NotShown = "not_shown",
        /// The agent's client has said for some time that it is not ready.
        NotReady = "not_ready",
    }
}

/// Calls pass an agent by, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PassedOver {
    pub cause: Bypass,
    pub since: Timestamp,
}

/// How ready an agent's client was when it last looked.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Readiness {
    pub ready: bool,
    #[serde(flatten)]
    pub checks: Checks,
    /// Of sound to the gateway and back.
    pub round_trip_ms: Option<u32>,
    pub checked_at: Timestamp,
}
