//! What waits for a decode thread, in the order in which it is given up: partials first, then finals.
//!
//! Pure. A partial is worth something for a second and is let go as soon as anybody waits. A final stays, up to
//! [`FINALS_MAX`]. Whole recordings are in no hurry and lose nothing, but get every [`SHARE`]th turn.

use std::collections::VecDeque;

use crate::audio::RATE_HZ;

/// Samples of speech that may wait for their finals, of all legs together: 2 minutes. A thread needs a fifth of the
/// sound's time, so what comes in last is told about 24 s later; text that is later than that serves nobody in the
/// call, and after the call it is made up for from the recording. It holds 4 MB.
pub(super) const FINALS_MAX: u64 = 120 * RATE_HZ as u64;

/// Partials that may wait for each thread: the second one already comes a decode later than its words.
const PARTIALS_PER_THREAD: usize = 2;

/// So often whole recordings get a turn while calls are listened to.
const SHARE: u32 = 4;

/// What waits, whatever it is.
#[derive(Debug)]
pub(super) struct Queue<T> {
    threads: usize,
    finals: VecDeque<(u64, T)>,
    finals_samples: u64,
    /// With their legs.
    partials: VecDeque<(u64, T)>,
    wholes: VecDeque<T>,
    /// Turns that others had since a whole recording had one.
    turns: u32,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<T> {
    Partial(T),
    Final(T),
    Whole(T),
}

/// What waits, in figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Depth {
    pub(super) jobs: usize,
    pub(super) finals_samples: u64,
}

impl<T> Queue<T> {
    pub(super) fn new(threads: usize) -> Self {
        Self {
            threads,
            finals: VecDeque::new(),
            finals_samples: 0,
            partials: VecDeque::new(),
            wholes: VecDeque::new(),
            turns: 0,
        }
    }

    /// # Errors
    /// The final itself where there is no room for it.
    pub(super) fn push_final(&mut self, samples: u64, job: T) -> Result<(), T> {
        if self.finals_samples + samples > FINALS_MAX {
            return Err(job);
        }
        self.finals_samples += samples;
        self.finals.push_back((samples, job));
        Ok(())
    }

    /// Whether a partial would be told in time.
    pub(super) fn takes_partials(&self) -> bool {
        self.finals.is_empty() && self.partials.len() < self.threads * PARTIALS_PER_THREAD
    }

    pub(super) fn push_partial(&mut self, leg: u64, job: T) {
        self.partials.push_back((leg, job));
    }

    /// Takes back the leg's partial, where it still waits.
    pub(super) fn withdraw_partial(&mut self, leg: u64) -> Option<T> {
        let at = self.partials.iter().position(|(of, _)| *of == leg)?;
        self.partials.remove(at).map(|(_, job)| job)
    }

    pub(super) fn push_whole(&mut self, job: T) {
        self.wholes.push_back(job);
    }

    pub(super) fn pop(&mut self) -> Option<Next<T>> {
        let calls_wait = !self.finals.is_empty() || !self.partials.is_empty();
        if !self.wholes.is_empty() && (self.turns + 1 >= SHARE || !calls_wait) {
            self.turns = 0;
            return self.wholes.pop_front().map(Next::Whole);
        }
        self.turns = if self.wholes.is_empty() { 0 } else { self.turns + 1 };
        if let Some((samples, job)) = self.finals.pop_front() {
            self.finals_samples -= samples;
            return Some(Next::Final(job));
        }
        self.partials.pop_front().map(|(_, job)| Next::Partial(job))
    }

    pub(super) fn depth(&self) -> Depth {
        let jobs = self.finals.len() + self.partials.len() + self.wholes.len();
        Depth { jobs, finals_samples: self.finals_samples }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finals_go_before_partials_and_whole_recordings_get_every_fourth_turn() {
        let mut queue = Queue::new(1);
        queue.push_partial(1, "p1");
        queue.push_partial(2, "p2");
        for job in ["f1", "f2", "f3"] {
            queue.push_final(10, job).unwrap();
        }
        for job in ["w1", "w2"] {
            queue.push_whole(job);
        }
        assert_eq!(queue.depth(), Depth { jobs: 7, finals_samples: 30 });
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        use Next::{Final, Partial, Whole};
        assert_eq!(
            order,
            [Final("f1"), Final("f2"), Final("f3"), Whole("w1"), Partial("p1"), Partial("p2"), Whole("w2")]
        );
        assert_eq!(queue.depth(), Depth::default());
    }

    #[test]
    fn partials_are_given_up_first_and_finals_when_two_minutes_wait() {
        let mut queue = Queue::new(1);
        assert!(queue.takes_partials());
        queue.push_partial(1, 0);
        queue.push_partial(2, 0);
        assert!(!queue.takes_partials(), "two wait for one thread");
        assert_eq!((queue.withdraw_partial(2), queue.withdraw_partial(2)), (Some(0), None));
        assert!(queue.takes_partials());
        for second in 0..120 {
            assert_eq!(queue.push_final(RATE_HZ.into(), second), Ok(()));
        }
        assert!(!queue.takes_partials(), "finals wait");
        assert_eq!(queue.push_final(1, 120), Err(120));
        assert_eq!(queue.pop(), Some(Next::Final(0)));
        assert_eq!(queue.push_final(1, 120), Ok(()));
    }
}
