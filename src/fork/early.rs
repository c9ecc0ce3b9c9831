//! Packets that came before the word of what flow they are: the two take different ways.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// The word may be as late as this. A worker that comes back gets all of its calls at once, and opens their files.
pub(super) const EARLY_FOR: Duration = Duration::from_secs(1);

/// As many as both sides of 300 calls send in that time: 5 MB.
pub(super) const EARLY_MAX: usize = 32_768;

/// Kept in order, for [`EARLY_FOR`].
#[derive(Debug, Default)]
pub(super) struct Early {
    waiting: BTreeMap<u64, VecDeque<Packet>>,
    /// All that came, also those that were taken since.
    order: VecDeque<(Instant, u64)>,
    len: usize,
}

#[derive(Debug)]
pub(super) struct Packet {
    pub(super) arrival: Instant,
    pub(super) bytes: Vec<u8>,
}

impl Early {
    /// Returns how many packets are let go: too old, or this one too many.
    pub(super) fn keep(&mut self, flow: u64, bytes: Vec<u8>, now: Instant) -> u64 {
        let old = self.expire(now);
        if self.len >= EARLY_MAX {
            return old + 1;
        }
        self.waiting.entry(flow).or_default().push_back(Packet { arrival: now, bytes });
        self.order.push_back((now, flow));
        self.len += 1;
        old
    }

    /// What came of a flow.
    pub(super) fn take(&mut self, flow: u64) -> VecDeque<Packet> {
        let taken = self.waiting.remove(&flow).unwrap_or_default();
        self.len -= taken.len();
        taken
    }

    /// How many there were.
    pub(super) fn clear(&mut self) -> u64 {
        std::mem::take(self).len as u64
    }

    fn expire(&mut self, now: Instant) -> u64 {
        let before = self.len;
        while let Some(&(arrival, flow)) = self.order.front()
            && now.saturating_duration_since(arrival) > EARLY_FOR
        {
            self.order.pop_front();
            let Some(packets) = self.waiting.get_mut(&flow) else { continue };
            if packets.front().is_some_and(|packet| packet.arrival <= arrival) {
                packets.pop_front();
                self.len -= 1;
            }
            if packets.is_empty() {
                self.waiting.remove(&flow);
            }
        }
        (before - self.len) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Clock;

    #[test]
    fn packets_wait_for_their_flow_a_second_and_no_more_of_them_than_there_is_room_for() {
        let start = Clock.instant();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut early = Early::default();
        for (ms, flow) in [(0, 1), (10, 2), (20, 1)] {
            assert_eq!(early.keep(flow, vec![ms as u8], at(ms)), 0);
        }
        let bytes = |packets: VecDeque<Packet>| packets.into_iter().map(|packet| packet.bytes[0]).collect::<Vec<_>>();
        assert_eq!(bytes(early.take(1)), [0, 20]);
        assert!(early.take(1).is_empty());
        // Taken packets are not let go; that of flow 2 is.
        early.keep(1, vec![9], at(900));
        assert_eq!(early.keep(3, vec![7], at(1_011)), 1);
        assert!(early.take(2).is_empty());
        assert_eq!(bytes(early.take(1)), [9]);
        for flow in 0..EARLY_MAX as u64 - 1 {
            assert_eq!(early.keep(flow, Vec::new(), at(1_020)), 0);
        }
        assert_eq!(early.keep(5, Vec::new(), at(1_020)), 1);
        assert_eq!(early.clear(), EARLY_MAX as u64);
    }
}
