//! Guessing passwords is made slow: after a few wrong ones for a name, each further one is waited for. Nobody is locked
//! out for long, because then a stranger could lock out everybody. Pure: `now` is an argument.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// People mistype.
const FREE: u32 = 5;
/// The first wait; each further wrong password doubles it.
const WAIT_MIN: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_secs(60);
/// After so long without a wrong one all is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(15 * 60);
/// A stranger may try any number of names; beyond this the longest untouched is forgotten.
const NAMES_MAX: usize = 10_000;

#[derive(Debug, Default)]
pub(crate) struct Attempts(HashMap<String, Failed>);

#[derive(Clone, Copy, Debug)]
struct Failed {
    times: u32,
    last: Instant,
}

impl Attempts {
    /// Takes one try for this name; `Err`: in so long. It counts as a wrong password until [`Self::succeeded`], because
    /// else a thousand tries sent at once would all be let in before the first is found wrong.
    pub(crate) fn take(&mut self, name: &str, now: Instant) -> Result<(), Duration> {
        self.left(name, now).map_or(Ok(()), Err)?;
        self.failed(name, now);
        Ok(())
    }

    fn left(&self, name: &str, now: Instant) -> Option<Duration> {
        let failed = self.0.get(name)?;
        let since = now.saturating_duration_since(failed.last);
        let left = failed.wait().checked_sub(since).filter(|left| !left.is_zero())?;
        (since < FORGOTTEN_AFTER).then_some(left)
    }

    fn failed(&mut self, name: &str, now: Instant) {
        if self.0.len() >= NAMES_MAX && !self.0.contains_key(name) {
            self.0.retain(|_, failed| now.saturating_duration_since(failed.last) < FORGOTTEN_AFTER);
            let oldest = self.0.iter().min_by_key(|(_, failed)| failed.last).map(|(name, _)| name.clone());
            if let Some(oldest) = oldest.filter(|_| self.0.len() >= NAMES_MAX) {
                self.0.remove(&oldest);
            }
        }
        let failed = self.0.entry(name.to_owned()).or_insert(Failed { times: 0, last: now });
        if now.saturating_duration_since(failed.last) >= FORGOTTEN_AFTER {
            failed.times = 0;
        }
        *failed = Failed { times: failed.times + 1, last: now };
    }

    pub(crate) fn succeeded(&mut self, name: &str) {
        self.0.remove(name);
    }
}

impl Failed {
    fn wait(self) -> Duration {
        match self.times.checked_sub(FREE) {
            None => Duration::ZERO,
            Some(more) => WAIT_MIN.saturating_mul(2_u32.saturating_pow(more)).min(WAIT_MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Clock;

    #[test]
    fn guessing_becomes_slow_and_mistyping_does_not() {
        let start = Clock.instant();
        let at = |secs: u64| start + Duration::from_secs(secs);
        let mut attempts = Attempts::default();
        for _ in 0..FREE - 1 {
            assert_eq!(attempts.take("ana", start), Ok(()));
        }
        for (second, wait) in [(0, 1), (1, 2), (3, 4), (7, 8), (15, 16), (31, 32), (63, 60), (123, 60)] {
            assert_eq!(attempts.take("ana", at(second)), Ok(()), "{second}");
            assert_eq!(attempts.take("ana", at(second)), Err(Duration::from_secs(wait)), "{second}");
        }
        assert_eq!(attempts.take("bob", at(123)), Ok(()));
        for _ in 0..FREE {
            assert_eq!(attempts.take("ana", at(123 + 15 * 60)), Ok(()), "all is forgotten");
        }
        assert!(attempts.take("ana", at(123 + 15 * 60)).is_err());
        attempts.succeeded("ana");
        assert_eq!(attempts.take("ana", at(123 + 15 * 60)), Ok(()));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let start = Clock.instant();
        let mut attempts = Attempts::default();
        for i in 0..NAMES_MAX as u64 + 5 {
            attempts.failed(&i.to_string(), start + Duration::from_millis(i));
        }
        assert_eq!(attempts.0.len(), NAMES_MAX);
        assert!(!attempts.0.contains_key("4") && attempts.0.contains_key("5"));
    }
}
