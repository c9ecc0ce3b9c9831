//! How a leg sounded, in figures.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::time::Timestamp;

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

/// What was measured on a leg between two looks, some ten seconds apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Sample {
    /// The second look.
    pub at: Timestamp,
    /// Lost share of the packets expected meanwhile, 0…1.
    pub loss_ratio: f64,
    pub jitter_ms: f64,
    pub rtt_ms: Option<f64>,
    /// Of the whole call so far.
    pub mos: Option<f64>,
}

impl Sample {
    /// What two looks at the figures of one leg say of the time between them.
    pub fn between(before: Quality, after: Quality, at: Timestamp) -> Self {
        let since = |before: u64, after: u64| after.saturating_sub(before) as f64;
        let lost = since(before.packets_lost, after.packets_lost);
        let expected = lost + since(before.packets_received, after.packets_received);
        let known = |x: f64| if x.is_finite() { x } else { 0.0 };
        Self {
            at,
            loss_ratio: if expected > 0.0 { lost / expected } else { 0.0 },
            jitter_ms: known(after.jitter_ms),
            rtt_ms: after.rtt_ms.filter(|rtt| rtt.is_finite()),
            mos: after.mos.filter(|mos| mos.is_finite()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_tells_of_its_own_time_alone() {
        let at = Timestamp::from_millis(1);
        let look = |packets_received, packets_lost, jitter_ms| Quality {
            packets_received,
            packets_lost,
            jitter_ms,
            rtt_ms: Some(f64::NAN),
            ..Quality::default()
        };
        let early = look(100, 100, 1.0);
        let sample = Sample::between(early, look(390, 110, 7.5), at);
        assert_eq!((sample.loss_ratio, sample.jitter_ms, sample.rtt_ms), (10.0 / 300.0, 7.5, None));
        assert_eq!(Sample::between(early, early, at).loss_ratio, 0.0, "nothing was expected");
        // A late packet takes a loss back.
        assert_eq!(Sample::between(early, look(151, 99, 1.0), at).loss_ratio, 0.0);
    }
}
