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
    /// How loud the sender says it was, by the mean power of its packets, −127…0 dBov (RFC 6464); nothing where it does
    /// not say.
    pub level_dbov: Option<f64>,
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
    /// How loud the sender says it was meanwhile, −127…0 dBov.
    pub level_dbov: Option<f64>,
}

/// Of a level in dBov, as a share of the loudest there is.
pub fn power(dbov: f64) -> f64 {
    10.0_f64.powf(dbov / 10.0)
}

/// The level of a mean power. What adding and taking away left below silence is silence.
pub fn level(power: f64) -> f64 {
    const SILENCE_DBOV: f64 = -127.0;
    (10.0 * power.log10()).max(SILENCE_DBOV)
}

impl Sample {
    /// What two looks at the figures of one leg say of the time between them.
    pub fn between(before: Quality, after: Quality, at: Timestamp) -> Self {
        let since = |before: u64, after: u64| after.saturating_sub(before) as f64;
        let lost = since(before.packets_lost, after.packets_lost);
        let expected = lost + since(before.packets_received, after.packets_received);
        let known = |x: f64| if x.is_finite() { x } else { 0.0 };
        let heard = |q: Quality| q.level_dbov.map(|dbov| power(dbov) * q.packets_received as f64);
        let packets = since(before.packets_received, after.packets_received);
        let meanwhile =
            heard(after).filter(|_| packets > 0.0).map(|all| (all - heard(before).unwrap_or(0.0)) / packets);
        Self {
            at,
            loss_ratio: if expected > 0.0 { lost / expected } else { 0.0 },
            jitter_ms: known(after.jitter_ms),
            rtt_ms: after.rtt_ms.filter(|rtt| rtt.is_finite()),
            mos: after.mos.filter(|mos| mos.is_finite()),
            level_dbov: meanwhile.map(|power| level(power.max(0.0))),
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
        let loud = |packets_received, level_dbov| Quality { level_dbov, ..look(packets_received, 0, 0.0) };
        let level = |before, after| Sample::between(before, after, at).level_dbov;
        let quiet = loud(100, Some(-60.0));
        // A hundred packets at −60 dBov, then a hundred at −20: at −23 in all.
        let then = level(quiet, loud(200, Some(-23.0))).unwrap();
        assert!((then + 20.0).abs() < 0.1, "{then}");
        assert_eq!(level(quiet, loud(100, Some(-60.0))), None, "nothing came meanwhile");
        assert_eq!(level(quiet, loud(200, None)), None, "it does not say");
        let silent = level(loud(100, Some(-10.0)), loud(200, Some(-13.02))).unwrap();
        assert!(silent < -30.0, "next to nothing: {silent}");
        assert_eq!(level(loud(100, Some(-10.0)), loud(200, Some(-20.0))), Some(-127.0), "never below silence");
        // A late packet takes a loss back.
        assert_eq!(Sample::between(early, look(151, 99, 1.0), at).loss_ratio, 0.0);
    }
}
