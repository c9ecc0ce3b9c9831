//! The time in the fake's world: the machine's, and as much later as a test has asked for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Webhook time stamps, permissions, limits, hours and pauses follow this clock. Ringing, media and retries do not:
/// they run on real time.
#[derive(Default)]
pub(super) struct Clock {
    ahead_ms: AtomicU64,
}

impl Clock {
    /// Seconds since 1970.
    pub(super) fn now(&self) -> u64 {
        self.now_ms() / 1_000
    }

    /// Milliseconds since 1970.
    pub(super) fn now_ms(&self) -> u64 {
        let real = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        millis(real) + self.ahead_ms.load(Ordering::Acquire)
    }

    pub(super) fn advance(&self, by: Duration) {
        self.ahead_ms.fetch_add(millis(by), Ordering::AcqRel);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
