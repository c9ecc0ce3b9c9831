//! What is known of a recording besides its sound.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A stretch of a recording that somebody asked not to be kept: silence in the file. Milliseconds since the recording
/// began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pause {
    pub from_ms: i64,
    /// `null` while it lasts.
    pub to_ms: Option<i64>,
}
