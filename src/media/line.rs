//! The one line of sequence numbers and timestamps a peer sees, whoever speaks on it.
//!
//! A peer knows one RTP stream for the life of its leg, and WhatsApp treats a second one as noise. So each packet, relayed or our
//! own, gets its place here: a relayed source keeps its distances (losses stay visible to the far jitter buffer, which then uses
//! the codec's spare copies), and a change of source continues where the line stands.

use std::time::{Duration, Instant};

use super::leg::{Heard, LegKey};
use crate::audio::toc;
use crate::model::rtp::{FRAME_TICKS, OPUS_CLOCK_HZ};

/// The spacing of our own frames.
pub(super) const FRAME: Duration = Duration::from_millis(20);

/// A step in sequence numbers no network makes: the source began anew.
const SEQ_STEP_MAX: u64 = 3_000;

/// A step back in time no reordering makes.
const TIME_BACK_MAX: i32 = -(OPUS_CLOCK_HZ as i32);

/// A step ahead no pause of a live source should make while we filled its place.
const TIME_AHEAD_MAX: i32 = 5 * OPUS_CLOCK_HZ as i32;

/// After a pause we filled, packets of the time already filled are dropped; but a source that is late for longer than a burst can
/// last has a clock that stood still, and is taken up where the line stands.
const LATE_MAX: Duration = Duration::from_millis(60);

/// Where a packet goes on the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) seq: u64,
    pub(super) time: u32,
    /// The first packet after a change of source (RFC 3551 section 4.1: begin of a talkspurt).
    pub(super) marker: bool,
}

/// The line itself.
#[derive(Debug)]
pub(super) struct Line {
    /// Newest place given away; before the first packet the one before it.
    seq: u64,
    time: u32,
    /// Ticks the newest packet covers: nothing else may start within them.
    span: u32,
    /// When `time` is due on the wall clock. `None` until the first packet.
    due: Option<Instant>,
    relayed: Option<Relayed>,
}

/// The source whose packets keep their distances.
#[derive(Debug)]
struct Relayed {
    leg: LegKey,
    ssrc: u32,
    /// Older packets were sent before this source had the line.
    seq_first: u64,
    seq_newest: u64,
    seq_offset: u64,
    time_offset: u32,
    /// Frames of ours went out since its newest packet.
    interrupted: bool,
    late_since: Option<Instant>,
}

impl Line {
    /// `seed` is anything that differs between streams; it spreads the start values (RFC 3550 section 5.1).
    pub(super) fn new(seed: u32) -> Self {
        let spread = seed.wrapping_mul(0x9e37_79b9);
        // The receiver cannot know a rollover count that is not zero at the start (RFC 3711 section 3.3.1), so the start keeps
        // half the range free.
        Self { seq: u64::from(spread >> 17), time: spread.rotate_left(13), span: 0, due: None, relayed: None }
    }

    /// The place of a frame of our own. `change` marks that another source spoke before.
    pub(super) fn own(&mut self, change: bool, now: Instant) -> Place {
        if let Some(relayed) = &mut self.relayed {
            relayed.interrupted = true;
        }
        self.advance(now);
        self.span = FRAME_TICKS;
        Place { seq: self.seq, time: self.time, marker: change }
    }

    /// The relayed source is no longer wanted: should it speak again, it starts where the line then stands.
    pub(super) fn forget_source(&mut self) {
        self.relayed = None;
    }

    /// The place of a relayed packet; `None` when its time on the line is over.
    pub(super) fn relay(&mut self, leg: LegKey, packet: &Heard, is_event: bool, now: Instant) -> Option<Place> {
        let same = self.relayed.as_mut().filter(|r| r.leg == leg && r.ssrc == packet.ssrc);
        let Some(relayed) = same.filter(|r| r.seq_newest.abs_diff(packet.seq) < SEQ_STEP_MAX) else {
            return Some(self.take_up(leg, packet, now));
        };
        if packet.seq < relayed.seq_first {
            return None;
        }
        let time = packet.time.wrapping_add(relayed.time_offset);
        let ahead = time.wrapping_sub(self.time) as i32;

        if relayed.interrupted {
            if packet.seq <= relayed.seq_newest {
                return None;
            }
            if (TIME_BACK_MAX..self.span as i32).contains(&ahead) {
                relayed.seq_newest = packet.seq;
                let since = *relayed.late_since.get_or_insert(now);
                if now.saturating_duration_since(since) < LATE_MAX {
                    return None;
                }
                return Some(self.take_up(leg, packet, now));
            }
            if !(0..TIME_AHEAD_MAX).contains(&ahead) {
                return Some(self.take_up(leg, packet, now));
            }
            relayed.interrupted = false;
            relayed.late_since = None;
            relayed.seq_first = packet.seq;
            relayed.seq_newest = packet.seq;
            relayed.seq_offset = (self.seq + 1).wrapping_sub(packet.seq);
            self.seq += 1;
            self.stand(time, packet, now);
            return Some(Place { seq: self.seq, time, marker: true });
        }

        let seq = packet.seq.wrapping_add(relayed.seq_offset);
        if packet.seq > relayed.seq_newest {
            // A key press repeats the time of its begin, so events say nothing about the source's clock.
            if ahead < TIME_BACK_MAX && !is_event {
                return Some(self.take_up(leg, packet, now));
            }
            relayed.seq_newest = packet.seq;
            self.seq = seq;
            if ahead > 0 {
                self.stand(time, packet, now);
            }
        }
        Some(Place { seq, time, marker: packet.marker })
    }

    /// A source gets the line: its packet goes to the next place, and its later ones keep their distance to it.
    fn take_up(&mut self, leg: LegKey, packet: &Heard, now: Instant) -> Place {
        self.advance(now);
        self.span = span_ticks(packet);
        self.relayed = Some(Relayed {
            leg,
            ssrc: packet.ssrc,
            seq_first: packet.seq,
            seq_newest: packet.seq,
            seq_offset: self.seq.wrapping_sub(packet.seq),
            time_offset: self.time.wrapping_sub(packet.time),
            interrupted: false,
            late_since: None,
        });
        Place { seq: self.seq, time: self.time, marker: true }
    }

    fn stand(&mut self, time: u32, packet: &Heard, now: Instant) {
        self.time = time;
        self.due = Some(now);
        self.span = span_ticks(packet);
    }

    /// One packet on, and as much time as has passed in whole frames. `due` moves by the same amount, so that many changes of
    /// source do not push the line ahead of the clock.
    fn advance(&mut self, now: Instant) {
        let passed = self.due.map_or(0, |due| {
            u32::try_from(now.saturating_duration_since(due).as_millis() / FRAME.as_millis()).unwrap_or(0)
        });
        let frames = passed.max(self.span.div_ceil(FRAME_TICKS)).max(1);
        self.seq += 1;
        self.time = self.time.wrapping_add(frames.wrapping_mul(FRAME_TICKS));
        self.due = Some(self.due.map_or(now, |due| due + FRAME * frames));
    }
}

/// What is no Opus packet, a key press for one, gets the room of one frame.
fn span_ticks(packet: &Heard) -> u32 {
    toc::duration_ticks(&packet.payload).unwrap_or(FRAME_TICKS)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const A: LegKey = LegKey(1);
    const B: LegKey = LegKey(2);

    /// A source that speaks 20 ms frames from sequence 10,000 and time 5,000,000.
    fn frame(n: u64) -> Heard {
        Heard {
            ssrc: 77,
            seq: 10_000 + n,
            time: 5_000_000 + n as u32 * 960,
            marker: false,
            pt: 111.into(),
            payload: Arc::from(&[9 << 3, 0x80, 1, 2][..]),
            level: None,
            at: base(),
        }
    }

    #[allow(clippy::disallowed_methods, reason = "a test's clock has to start somewhere")]
    fn base() -> Instant {
        static BASE: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        *BASE.get_or_init(Instant::now)
    }

    fn ms(ms: u64) -> Instant {
        base() + Duration::from_millis(ms)
    }

    /// Distances to the first place of the line, so that cases read as small numbers.
    struct Story {
        line: Line,
        first: Option<Place>,
    }

    impl Story {
        fn new() -> Self {
            Self { line: Line::new(4711), first: None }
        }

        fn tell(&mut self, place: Option<Place>) -> Option<(u64, i64, bool)> {
            let place = place?;
            let first = *self.first.get_or_insert(place);
            Some((place.seq - first.seq, i64::from(place.time.wrapping_sub(first.time) as i32) / 960, place.marker))
        }

        fn own(&mut self, change: bool, at: u64) -> Option<(u64, i64, bool)> {
            let place = self.line.own(change, ms(at));
            self.tell(Some(place))
        }

        fn relay(&mut self, leg: LegKey, n: u64, at: u64) -> Option<(u64, i64, bool)> {
            let place = self.line.relay(leg, &frame(n), false, ms(at));
            self.tell(place)
        }
    }

    #[test]
    fn a_stream_starts_where_the_rollover_count_is_zero() {
        for seed in [0, 1, u32::MAX, 0x1234_5678] {
            assert!(Line::new(seed).seq < 32_768);
        }
    }

    #[test]
    fn a_relayed_source_keeps_its_gaps_and_its_order() {
        let mut s = Story::new();
        assert_eq!(s.relay(A, 0, 0), Some((0, 0, true)));
        assert_eq!(s.relay(A, 1, 20), Some((1, 1, false)));
        assert_eq!(s.relay(A, 4, 80), Some((4, 4, false)));
        assert_eq!(s.relay(A, 3, 81), Some((3, 3, false)));
        assert_eq!(s.relay(A, 5, 100), Some((5, 5, false)));
    }

    #[test]
    fn a_change_of_source_continues_the_line_and_is_marked() {
        let mut s = Story::new();
        assert_eq!(s.own(true, 0), Some((0, 0, true)));
        assert_eq!(s.own(false, 20), Some((1, 1, false)));
        assert_eq!(s.relay(A, 7, 33), Some((2, 2, true)));
        assert_eq!(s.relay(A, 8, 53), Some((3, 3, false)));
        s.line.forget_source();
        assert_eq!(s.own(true, 60), Some((4, 4, true)));
        assert_eq!(s.own(false, 80), Some((5, 5, false)));
        assert_eq!(s.relay(B, 100, 90), Some((6, 6, true)));
        assert_eq!(s.relay(A, 9, 91), Some((7, 7, true)), "whoever is relayed is the caller's choice");
    }

    #[test]
    fn packets_from_before_a_source_got_the_line_are_dropped() {
        let mut s = Story::new();
        assert_eq!(s.relay(A, 5, 0), Some((0, 0, true)));
        assert_eq!(s.relay(A, 4, 1), None);
        assert_eq!(s.relay(A, 6, 20), Some((1, 1, false)));
    }

    #[test]
    fn a_pause_we_filled_leaves_the_sources_clock_alone() {
        let mut s = Story::new();
        assert_eq!(s.relay(A, 0, 0), Some((0, 0, true)));
        assert_eq!(s.own(true, 100), Some((1, 5, true)));
        assert_eq!(s.own(false, 120), Some((2, 6, false)));
        // What was held up in the network belongs to the time already filled; the rest goes on in its own time.
        assert_eq!(s.relay(A, 5, 130), None);
        assert_eq!(s.relay(A, 6, 130), None);
        assert_eq!(s.relay(A, 7, 140), Some((3, 7, true)));
        assert_eq!(s.relay(A, 6, 141), None);
        assert_eq!(s.relay(A, 8, 160), Some((4, 8, false)));
    }

    #[test]
    fn a_source_whose_clock_stood_still_is_taken_up_again_soon() {
        let mut s = Story::new();
        assert_eq!(s.relay(A, 0, 0), Some((0, 0, true)));
        for n in 0..20 {
            s.own(n == 0, 100 + n * 20);
        }
        let heard: Vec<_> = (1..10).map(|n| s.relay(A, n, 480 + n * 20).is_some()).collect();
        assert_eq!(heard.iter().filter(|h| !**h).count(), 3, "{heard:?}");
    }

    #[test]
    fn a_jump_of_the_source_does_not_move_the_line() {
        let mut s = Story::new();
        assert_eq!(s.relay(A, 0, 0), Some((0, 0, true)));
        assert_eq!(s.relay(A, 50_000, 20), Some((1, 1, true)));
        assert_eq!(s.relay(A, 50_001, 40), Some((2, 2, false)));
    }

    #[test]
    fn many_changes_do_not_push_the_line_ahead_of_the_clock() {
        let mut s = Story::new();
        let mut last = 0;
        for n in 0..200 {
            // Each change comes 3 ms after a frame, the worst place.
            s.own(true, n * 43);
            s.line.forget_source();
            last = s.relay(A, n, n * 43 + 3).unwrap().1;
            s.line.forget_source();
        }
        let clock = 199 * 43 / 20;
        assert!((clock - 1..clock + 4).contains(&last), "{last} {clock}");
    }
}
