//! Deadlines of many calls, most of which move further away with every packet.
//!
//! Putting a deadline off costs nothing: the entry stays where it is, and when it comes up too early it is put in again.
//! Deleting and inserting per packet is what the lazy way saves. The safe side is an early wake-up; a late one cannot happen.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use super::worker::CallKey;

/// When each call must be looked at next.
#[derive(Debug, Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, CallKey)>>,
}

/// A call's own half: its deadline, and the heap entry that will come up first for it.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    deadline: Option<Instant>,
    armed: Option<Instant>,
}

impl Timers {
    /// Sets the call's deadline. Only a deadline earlier than the armed entry touches the heap.
    pub(super) fn set(&mut self, call: CallKey, alarm: &mut Alarm, deadline: Instant) {
        alarm.deadline = Some(deadline);
        if alarm.armed.is_none_or(|armed| deadline < armed) {
            alarm.armed = Some(deadline);
            self.heap.push(Reverse((deadline, call)));
        }
    }

    /// The earliest entry. It may be for a call that is gone or whose deadline has moved away.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes out the earliest entry if its time has come; [`Alarm::ring`] says what it means.
    pub(super) fn pop(&mut self, now: Instant) -> Option<(Instant, CallKey)> {
        self.next().filter(|at| *at <= now)?;
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    /// Whether the call is due now, given that its entry for `at` came up. A deadline that moved away is armed anew; an
    /// entry that a newer one replaced means nothing.
    pub(super) fn ring(&mut self, call: CallKey, alarm: &mut Alarm, at: Instant, now: Instant) -> bool {
        if alarm.armed != Some(at) {
            return false;
        }
        alarm.armed = None;
        match alarm.deadline {
            Some(deadline) if deadline <= now => {
                alarm.deadline = None;
                true
            }
            Some(deadline) => {
                self.set(call, alarm, deadline);
                false
            }
            None => false,
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.heap.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::time::Clock;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_deadline_put_off_a_thousand_times_costs_one_entry_and_one_early_wake_up() {
        let (mut timers, mut alarm, call, t0) =
            (Timers::default(), Alarm::default(), CallKey::default(), Clock.instant());
        for packet in 0..1000 {
            timers.set(call, &mut alarm, t0 + packet * MS + 60 * MS);
        }
        assert_eq!((timers.len(), timers.next()), (1, Some(t0 + 60 * MS)));

        let now = t0 + 60 * MS;
        let (at, key) = timers.pop(now).unwrap();
        assert!(!timers.ring(key, &mut alarm, at, now), "it was put off");
        assert_eq!(timers.next(), Some(t0 + 1059 * MS));
    }

    #[test]
    fn the_last_deadline_set_rings_once_and_on_time() {
        check(&[30], 30);
        check(&[30, 10], 10);
        check(&[10, 30], 30);
        check(&[30, 10, 20, 5, 40], 40);

        fn check(deadlines_ms: &[u32], due_ms: u32) {
            let (mut timers, mut alarm, call, t0) =
                (Timers::default(), Alarm::default(), CallKey::default(), Clock.instant());
            for deadline in deadlines_ms {
                timers.set(call, &mut alarm, t0 + *deadline * MS);
            }
            let mut rang = Vec::new();
            for ms in 0..100 {
                let now = t0 + ms * MS;
                while let Some((at, key)) = timers.pop(now) {
                    if timers.ring(key, &mut alarm, at, now) {
                        rang.push(ms);
                    }
                }
            }
            assert_eq!((rang, timers.len()), (vec![due_ms], 0), "{deadlines_ms:?}");
        }
    }
}
