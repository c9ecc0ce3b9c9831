//! Figures of a remote recogniser.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What the engine did so far, and what waits now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Legs listened to now.
    pub streams: u64,
    /// Connections that stand now.
    pub connected: u64,
    /// Connections that were made.
    pub connects: u64,
    /// Attempts that failed.
    pub refused: u64,
    /// Connections that broke while an answer was owed.
    pub broken: u64,
    /// Sound that was sent, with what was sent again.
    pub sent_ms: u64,
    /// Sound that was sent again, on a new connection.
    pub resent_ms: u64,
    /// Speech told as missed, by live calls.
    pub missed_ms: u64,
    /// Sound that waits for its answer now, of all legs.
    pub waiting_ms: u64,
    pub partials: u64,
    /// With text.
    pub finals: u64,
    /// Whole recordings.
    pub wholes: u64,
    /// Whole recordings that could not be written down.
    pub wholes_failed: u64,
    /// From the arrival of the last sound of a segment to its text: the last one's, and the longest.
    pub finals_lag: Duration,
    pub finals_lag_max: Duration,
}

/// The same, while it is counted.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) streams: Counter,
    pub(super) connected: Counter,
    pub(super) connects: Counter,
    pub(super) refused: Counter,
    pub(super) broken: Counter,
    pub(super) sent_ms: Counter,
    pub(super) resent_ms: Counter,
    pub(super) missed_ms: Counter,
    pub(super) partials: Counter,
    pub(super) finals: Counter,
    pub(super) wholes: Counter,
    pub(super) wholes_failed: Counter,
    lag_us: Counter,
    lag_us_max: Counter,
}

#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(super) fn take(&self, less: u64) {
        self.0.fetch_sub(less, Ordering::Relaxed);
    }

    fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(super) fn lag(&self, lag: Duration) {
        let lag = u64::try_from(lag.as_micros()).unwrap_or(u64::MAX);
        self.lag_us.0.store(lag, Ordering::Relaxed);
        self.lag_us_max.0.fetch_max(lag, Ordering::Relaxed);
    }

    pub(super) fn stats(&self, waiting_ms: u64) -> Stats {
        Stats {
            streams: self.streams.value(),
            connected: self.connected.value(),
            connects: self.connects.value(),
            refused: self.refused.value(),
            broken: self.broken.value(),
            sent_ms: self.sent_ms.value(),
            resent_ms: self.resent_ms.value(),
            missed_ms: self.missed_ms.value(),
            waiting_ms,
            partials: self.partials.value(),
            finals: self.finals.value(),
            wholes: self.wholes.value(),
            wholes_failed: self.wholes_failed.value(),
            finals_lag: Duration::from_micros(self.lag_us.value()),
            finals_lag_max: Duration::from_micros(self.lag_us_max.value()),
        }
    }
}
