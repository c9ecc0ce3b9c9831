//! What one source may cost, refilled by time.

use std::time::{Duration, Instant};

/// Datagrams a source may send: `per_second` in the long run, `burst` at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    pub per_second: u32,
    pub burst: u32,
}

/// Audio is 50 packets a second, with RTCP, DTMF and consent checks below 70. Above 200 it is a flood; the burst covers
/// five seconds that a stalled network delivers at once. Counted before anything is decrypted.
pub(super) const MEDIA: Allowance = Allowance { per_second: 200, burst: 250 };

/// STUN from addresses nobody has validated yet costs an HMAC each. A browser paces its checks 20 to 50 ms apart.
pub(super) const CHECKS: Allowance = Allowance { per_second: 100, burst: 100 };

/// A leaky bucket: how full it is follows from the time of the last look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    left: u32,
    counted_to: Instant,
}

impl Budget {
    pub(super) fn full(allowance: Allowance, now: Instant) -> Self {
        Self { left: allowance.burst, counted_to: now }
    }

    /// Takes one, or says that nothing is left.
    pub(super) fn take(&mut self, allowance: Allowance, now: Instant) -> bool {
        let each = Duration::from_secs(1) / allowance.per_second;
        if self.left < allowance.burst {
            let earned = now.saturating_duration_since(self.counted_to).as_nanos() / each.as_nanos();
            let earned = u32::try_from(earned).unwrap_or(allowance.burst).min(allowance.burst - self.left);
            self.left += earned;
            self.counted_to = if self.left == allowance.burst { now } else { self.counted_to + each * earned };
        } else {
            self.counted_to = now;
        }
        let some = self.left > 0;
        self.left = self.left.saturating_sub(1);
        some
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Clock;

    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let t0 = Clock.instant();
        // (packets a second offered, for seconds, of which may pass)
        check(t0, 70, 60, 70 * 60);
        check(t0, 200, 10, 2000);
        check(t0, 10_000, 10, 2250);

        fn check(t0: Instant, per_second: u32, seconds: u32, wanted: u32) {
            let mut budget = Budget::full(MEDIA, t0);
            let each = Duration::from_secs(1) / per_second;
            let passed = (0..per_second * seconds).filter(|n| budget.take(MEDIA, t0 + each * *n)).count() as u32;
            assert!(passed.abs_diff(wanted) <= 1, "{per_second}/s: {passed} of {wanted}");
        }
    }

    #[test]
    fn silence_refills_no_more_than_the_burst() {
        let t0 = Clock.instant();
        let mut budget = Budget::full(CHECKS, t0);
        let later = t0 + Duration::from_secs(3600);
        assert_eq!((0..1000).filter(|_| budget.take(CHECKS, later)).count(), 100);
    }
}
