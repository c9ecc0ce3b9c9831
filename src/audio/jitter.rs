//! Puts packets back into the order they were sent in.
//!
//! The buffer does not know time. Its owner takes what is in order at once ([`Jitter::pop`]), and decides when a
//! missing packet is not worth waiting for any longer ([`Jitter::skip`]).

use std::collections::VecDeque;

/// Room for 5 s of 20 ms packets: more than anybody waits for, so a full buffer means a broken sender.
const PACKETS_MAX: usize = 256;

/// A sequence number this far back cannot be a straggler (1.3 s at 20 ms); a run of them is a sender that began anew.
const STRAGGLER_MAX: u64 = 64;

/// This many in a row prove the new beginning; fewer could be a burst from a dying network path.
const RESTART_RUN: u32 = 5;

/// A leap further ahead than a minute is a new beginning, not three thousand losses.
const LEAP_MAX: u64 = 3_000;

/// Packets waiting for their turn, by sequence number.
#[derive(Debug)]
pub struct Jitter<T> {
    waiting: VecDeque<(u64, T)>,
    /// The sequence number whose turn it is; `None` before the first packet was taken.
    next: Option<u64>,
    /// Bit i: sequence number `next - 1 - i` was taken.
    taken: u64,
    /// Length and last member of a rising run of impossible old numbers.
    run: (u32, u64),
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    Kept,
    Duplicate,
    /// Its turn had passed.
    Late,
}

impl<T> Default for Jitter<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), next: None, taken: 0, run: (0, 0) }
    }
}

impl<T> Jitter<T> {
    pub fn push(&mut self, seq: u64, packet: T) -> Pushed {
        if let Some(next) = self.next
            && seq < next
        {
            let back = next - seq;
            if back <= STRAGGLER_MAX {
                let seen = self.taken >> (back - 1) & 1 == 1;
                return if seen { Pushed::Duplicate } else { Pushed::Late };
            }
            if !self.proves_restart(seq) {
                return Pushed::Late;
            }
            self.waiting.clear();
            self.next = None;
            self.taken = 0;
        }
        match self.waiting.binary_search_by_key(&seq, |(s, _)| *s) {
            Ok(_) => Pushed::Duplicate,
            Err(place) => {
                self.waiting.insert(place, (seq, packet));
                Pushed::Kept
            }
        }
    }

    /// The packet whose turn it is, if it is here. The very first packet has no turn and needs [`Jitter::skip`].
    pub fn pop(&mut self) -> Option<T> {
        if self.waiting.front()?.0 != self.next? {
            return None;
        }
        self.skip().map(|(_, packet)| packet)
    }

    /// The earliest packet here, and how many before it are given up as lost.
    pub fn skip(&mut self) -> Option<(u64, T)> {
        let (seq, packet) = self.waiting.pop_front()?;
        let missing = seq - self.next.unwrap_or(seq);
        self.taken = if missing >= 63 { 1 } else { self.taken << (missing + 1) | 1 };
        self.next = Some(seq + 1);
        self.run = (0, 0);
        Some((if missing > LEAP_MAX { 0 } else { missing }, packet))
    }

    /// Nothing was taken yet (or the sender began anew), so nothing can be missing before the earliest packet.
    pub fn has_no_turn(&self) -> bool {
        self.next.is_none()
    }

    pub fn is_full(&self) -> bool {
        self.waiting.len() >= PACKETS_MAX
    }

    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn proves_restart(&mut self, seq: u64) -> bool {
        let (len, last) = self.run;
        self.run = (if len > 0 && seq <= last { 1 } else { len + 1 }, seq);
        self.run.0 >= RESTART_RUN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pushes all, takes what is in order after each, then the rest by skipping.
    fn run(order: &[u64]) -> (Vec<u64>, u64, Vec<Pushed>) {
        let mut jitter = Jitter::default();
        let (mut out, mut lost, mut fates) = (Vec::new(), 0, Vec::new());
        for &seq in order {
            fates.push(jitter.push(seq, seq));
            out.extend(std::iter::from_fn(|| jitter.pop()));
        }
        while let Some((missing, seq)) = jitter.skip() {
            lost += missing;
            out.push(seq);
            out.extend(std::iter::from_fn(|| jitter.pop()));
        }
        (out, lost, fates)
    }

    #[test]
    fn packets_come_out_in_order_whatever_the_network_did() {
        #[track_caller]
        fn check(given: &[u64], want: &[u64], want_lost: u64) {
            let (out, lost, _) = run(given);
            assert_eq!((&*out, lost), (want, want_lost), "{given:?}");
        }
        check(&[1, 2, 3], &[1, 2, 3], 0);
        check(&[2, 1, 3], &[1, 2, 3], 0);
        check(&[1, 2, 2, 3, 1], &[1, 2, 3], 0);
        check(&[1, 4, 3], &[1, 3, 4], 1);
        check(&[1, 5000], &[1, 5000], 0);
        check(&[], &[], 0);
    }

    #[test]
    fn a_straggler_is_late_and_a_copy_is_a_duplicate() {
        let mut jitter = Jitter::default();
        for seq in [10, 12, 13] {
            assert_eq!(jitter.push(seq, ()), Pushed::Kept);
        }
        assert_eq!(jitter.push(13, ()), Pushed::Duplicate);
        assert_eq!(jitter.skip(), Some((0, ())));
        assert_eq!(jitter.skip(), Some((1, ())));
        assert_eq!(jitter.push(11, ()), Pushed::Late);
        assert_eq!(jitter.push(12, ()), Pushed::Duplicate);
        assert_eq!(jitter.pop(), Some(()));
    }

    #[test]
    fn a_sender_that_begins_anew_is_followed_after_a_few_packets() {
        let mut jitter = Jitter::default();
        jitter.push(1_000_000, 0);
        jitter.skip();
        let fates: Vec<_> = (5..11).map(|seq| jitter.push(seq, seq)).collect();
        assert_eq!(&fates[..4], [Pushed::Late; 4]);
        assert_eq!(&fates[4..], [Pushed::Kept; 2]);
        assert_eq!(jitter.skip(), Some((0, 9)));
        assert_eq!(jitter.pop(), Some(10));
    }
}
