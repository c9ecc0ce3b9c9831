//! A language model that does not answer is let alone for a while: every call that waits for it in vain waits long.

use std::time::{Duration, Instant};

/// Failures in a row that are no accident any more.
const FAILURES_MAX: u32 = 3;
/// After that many; doubled with each further one. A server that is started again needs a minute to load its model.
const REST: Duration = Duration::from_secs(60);
const REST_MAX: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
pub(super) struct Rest {
    /// In a row.
    failures: u32,
    until: Option<Instant>,
}

impl Rest {
    /// Whether to ask. After a rest only one may, and the others wait for what comes of it.
    pub(super) fn may_ask(&mut self, now: Instant) -> bool {
        match self.until {
            None => true,
            Some(until) if now < until => false,
            Some(_) => {
                // Should it never be heard of again, another one asks later.
                self.until = Some(now + REST_MAX);
                true
            }
        }
    }

    /// `answered`: with whatever.
    pub(super) fn note(&mut self, answered: bool, now: Instant) {
        if answered {
            *self = Self::default();
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if let Some(more) = self.failures.checked_sub(FAILURES_MAX) {
            self.until = Some(now + REST.saturating_mul(2_u32.saturating_pow(more)).min(REST_MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Clock;

    #[test]
    fn a_model_that_fails_three_times_rests_ever_longer_and_is_asked_by_one_after_that() {
        let begun = Clock.instant();
        let at = |secs: u64| begun + Duration::from_secs(secs);
        let mut rest = Rest::default();
        for secs in 0..3 {
            assert!(rest.may_ask(at(secs)), "{secs}");
            rest.note(false, at(secs));
        }
        assert!(!rest.may_ask(at(3)) && !rest.may_ask(at(61)));
        assert!(rest.may_ask(at(62)) && !rest.may_ask(at(62)), "one asks");
        rest.note(false, at(70));
        assert!(!rest.may_ask(at(189)) && rest.may_ask(at(190)));
        // Whoever asked is gone.
        assert!(!rest.may_ask(at(789)) && rest.may_ask(at(790)));
        rest.note(true, at(791));
        assert!(rest.may_ask(at(791)) && rest.may_ask(at(791)));
        rest.note(false, at(792));
        assert!(rest.may_ask(at(792)), "an accident");
        for _ in 0..40 {
            rest.note(false, at(800));
        }
        assert!(!rest.may_ask(at(1_399)) && rest.may_ask(at(1_400)));
    }
}
