//! From a server's clock to the call's: where the sound that was sent on one connection lies in the call.
//!
//! A server counts the samples of its connection. The call goes on where nothing was sent, so the two differ by another
//! amount after each jump. Pure.

use std::collections::VecDeque;

/// One connection's jumps.
#[derive(Debug, Default)]
pub(super) struct Places {
    sent: u64,
    /// Where sound begins that does not follow what was sent before it: on the connection, and in the call.
    jumps: VecDeque<(u64, u64)>,
}

impl Places {
    /// Sound of the call from `start` on was sent.
    pub(super) fn send(&mut self, start: u64, samples: u64) {
        if self.end() != Some(start) {
            self.jumps.push_back((self.sent, start));
        }
        self.sent += samples;
    }

    /// The position in the call up to which sound was sent; `None` before the first.
    pub(super) fn end(&self) -> Option<u64> {
        (!self.jumps.is_empty()).then(|| self.place_before(self.sent))
    }

    /// Where something in the call begins that begins here on the connection.
    pub(super) fn place_from(&self, sent: u64) -> u64 {
        self.place(sent, |jump| jump <= sent)
    }

    /// Where something in the call ends that ends here on the connection: at a jump, before it.
    pub(super) fn place_before(&self, sent: u64) -> u64 {
        self.place(sent, |jump| jump < sent)
    }

    /// Nobody asks any more for what lies before.
    pub(super) fn forget(&mut self, sent: u64) {
        while self.jumps.get(1).is_some_and(|(jump, _)| *jump <= sent) {
            self.jumps.pop_front();
        }
    }

    fn place(&self, sent: u64, is_before: impl Fn(u64) -> bool) -> u64 {
        let jump = self.jumps.iter().rev().find(|(jump, _)| is_before(*jump)).or_else(|| self.jumps.front());
        jump.map_or(sent, |(jump, place)| place + sent.min(self.sent).saturating_sub(*jump))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_is_before_what_begins_there_and_behind_what_ends_there() {
        let mut places = Places::default();
        assert_eq!((places.end(), places.place_from(5)), (None, 5));
        places.send(1_000, 100);
        places.send(1_100, 100);
        places.send(5_000, 50);
        assert_eq!(places.jumps.len(), 2);
        let table =
            [(0, 1_000, 1_000), (150, 1_150, 1_150), (200, 5_000, 1_200), (201, 5_001, 5_001), (250, 5_050, 5_050)];
        for (sent, from, before) in table {
            assert_eq!((places.place_from(sent), places.place_before(sent)), (from, before), "{sent}");
        }
        // What was never sent lies at the end.
        assert_eq!(places.place_from(u64::MAX), 5_050);
        places.forget(200);
        assert_eq!((places.jumps.len(), places.place_from(210), places.end()), (1, 5_010, Some(5_050)));
    }
}
