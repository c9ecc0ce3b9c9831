//! The way of copied audio off the shard: a bounded ring that the shard never waits for.
//!
//! A full ring drops the newest packet and remembers how many; once there is room again a `Gap` says so before the next
//! packet of that side, so that a recording stays aligned. A tenth of the ring is kept for control records, and those
//! that find even that full wait outside: a recording whose `Close` was lost would never end.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use rtrb::{Producer, PushError};

use crate::model::rtp::{Side, TapKey, TapMedia, TapRecord};

/// The shard's end of the ring, or that of whoever else hears calls.
pub struct TapRing {
    ring: Producer<TapRecord>,
    /// Slots that media leaves free for control records.
    reserve: usize,
    lost: HashMap<(TapKey, Side), Loss>,
    waiting: VecDeque<TapRecord>,
    dropped: u64,
}

#[derive(Clone, Copy, Debug)]
struct Loss {
    count: u32,
    since: Instant,
}

impl TapRing {
    pub fn new(ring: Producer<TapRecord>) -> Self {
        let reserve = ring.buffer().capacity() / 10;
        Self { ring, reserve, lost: HashMap::new(), waiting: VecDeque::new(), dropped: 0 }
    }

    /// Puts a record into the ring, or drops it if it is media and there is no room. Never waits.
    pub fn push(&mut self, record: TapRecord) {
        match record {
            TapRecord::Media(media) => self.push_media(media),
            TapRecord::Close { tap, at } => {
                for side in [Side::Customer, Side::Agent] {
                    self.confess(tap, side);
                }
                self.push_control(TapRecord::Close { tap, at });
            }
            control @ (TapRecord::Open { .. }
            | TapRecord::Gap { .. }
            | TapRecord::Switch { .. }
            | TapRecord::Pause { .. }
            | TapRecord::Resume { .. }) => self.push_control(control),
        }
    }

    /// Moves control records that found the ring full; to be called now and then.
    pub fn flush(&mut self) {
        while let Some(record) = self.waiting.pop_front() {
            if let Err(PushError::Full(record)) = self.ring.push(record) {
                self.waiting.push_front(record);
                return;
            }
        }
    }

    /// Media packets that were not copied since the start.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    fn push_media(&mut self, media: TapMedia) {
        self.flush();
        let (tap, side) = (media.tap, media.side);
        // Room for this record and for a gap before it.
        let needed = self.reserve + 2;
        if !self.waiting.is_empty() || (self.ring.cached_slots() < needed && self.ring.slots() < needed) {
            let loss = self.lost.entry((tap, side)).or_insert(Loss { count: 0, since: media.arrival });
            loss.count = loss.count.saturating_add(1);
            self.dropped += 1;
            return;
        }
        if !self.lost.is_empty() {
            self.confess(tap, side);
        }
        let pushed = self.ring.push(TapRecord::Media(media));
        debug_assert!(pushed.is_ok(), "the only producer saw at least two free slots");
    }

    /// Says how many packets of this side are missing, if any.
    fn confess(&mut self, tap: TapKey, side: Side) {
        if let Some(Loss { count, since }) = self.lost.remove(&(tap, side)) {
            self.push_control(TapRecord::Gap { tap, side, count, at: since });
        }
    }

    fn push_control(&mut self, record: TapRecord) {
        self.flush();
        if !self.waiting.is_empty() {
            self.waiting.push_back(record);
        } else if let Err(PushError::Full(record)) = self.ring.push(record) {
            self.waiting.push_back(record);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rtrb::{Consumer, RingBuffer};

    use super::*;
    use crate::model::rtp::TapPayload;
    use crate::model::time::Clock;

    const TAP: TapKey = TapKey(1);

    #[test]
    fn what_a_full_ring_drops_comes_back_as_a_gap_before_the_next_packet_of_that_side() {
        let (mut taps, mut consumer) = ring(20);
        taps.push(TapRecord::Open { tap: TAP, at: Clock.instant() });
        for seq in 0..30 {
            taps.push(media(Side::Customer, seq));
        }
        taps.push(media(Side::Agent, 0));
        // 20 slots, 2 for control, 1 for the gap, 1 holds Open.
        assert_eq!(heard(&mut consumer), "open c0 c1 c2 c3 c4 c5 c6 c7 c8 c9 c10 c11 c12 c13 c14 c15");
        assert_eq!(taps.dropped(), 15);

        taps.push(media(Side::Customer, 30));
        taps.push(media(Side::Agent, 1));
        taps.push(media(Side::Customer, 31));
        assert_eq!(heard(&mut consumer), "gap-c14 c30 gap-a1 a1 c31");
    }

    #[test]
    fn the_end_of_a_recording_is_never_lost() {
        let (mut taps, mut consumer) = ring(10);
        for seq in 0..20 {
            taps.push(media(Side::Agent, seq));
        }
        let at = Clock.instant();
        for _ in 0..5 {
            taps.push(TapRecord::Switch { tap: TAP, side: Side::Agent, at });
        }
        taps.push(TapRecord::Close { tap: TAP, at });
        assert_eq!(heard(&mut consumer), "a0 a1 a2 a3 a4 a5 a6 a7 switch switch");
        taps.flush();
        assert_eq!(heard(&mut consumer), "switch switch switch gap-a12 close");
    }

    fn ring(capacity: usize) -> (TapRing, Consumer<TapRecord>) {
        let (producer, consumer) = RingBuffer::new(capacity);
        (TapRing::new(producer), consumer)
    }

    fn media(side: Side, seq: u64) -> TapRecord {
        let payload = TapPayload::new(&Arc::from([0xf8, 0xff, 0xfe]));
        TapRecord::Media(TapMedia {
            tap: TAP,
            side,
            seq,
            rtp_time: seq as u32 * 960,
            arrival: Clock.instant(),
            payload,
        })
    }

    fn heard(consumer: &mut Consumer<TapRecord>) -> String {
        let letter = |side| if side == Side::Customer { "c" } else { "a" };
        let words = std::iter::from_fn(|| consumer.pop().ok()).map(|record| match record {
            TapRecord::Open { .. } => "open".to_owned(),
            TapRecord::Media(media) => format!("{}{}", letter(media.side), media.seq),
            TapRecord::Gap { side, count, .. } => format!("gap-{}{count}", letter(side)),
            TapRecord::Switch { .. } => "switch".to_owned(),
            TapRecord::Pause { .. } => "pause".to_owned(),
            TapRecord::Resume { .. } => "resume".to_owned(),
            TapRecord::Close { .. } => "close".to_owned(),
        });
        words.collect::<Vec<_>>().join(" ")
    }
}
