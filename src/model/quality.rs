//! How a leg sounded, in figures.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What was measured on a leg over the whole call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Quality {
    pub packets_received: u64,
    pub packets_sent: u64,
    pub packets_lost: u64,
    /// Lost share of the expected packets, 0…1.
    pub loss_ratio: f64,
    /// RFC 3550 interarrival jitter.
    pub jitter_ms: f64,
    pub rtt_ms: Option<f64>,
    /// Estimated mean opinion score (ITU-T G.107), 1…4.5.
    pub mos: Option<f64>,
}
