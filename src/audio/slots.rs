//! One side of a call as an unbroken line of 20 ms frames, still encoded: every packet in its slot, every hole filled.
//!
//! The counterpart of [`Timeline`](super::timeline::Timeline) for a recording that is never decoded. Slots lie on a grid
//! that both sides share, so a frame is at most half a slot beside its true place. It stays there by leaving out or putting
//! in whole frames, in pauses where there are any: a packet cannot be stretched.
//!
//! What is not there is told to whoever decodes later: a lost frame as an empty one, which a decoder conceals; a pause of
//! the encoder, a longer loss and what the tap could not copy as digital silence.

use std::collections::VecDeque;
use std::time::Instant;

use super::cutter::{Cutter, Piece};
use super::delay::Delay;
use super::jitter::{Jitter, Pushed};
use super::line::{AHEAD_MAX, ANCHOR_MARGIN, ANCHOR_PACKETS, JUMP, Line, position};
use super::{Frame, SAMPLES_PER_MS, SLOT_SAMPLES, SideStats, TICKS_PER_SAMPLE, framing, toc};
use crate::model::rtp::{FRAME_TICKS, TapPayload, Unwrapper};

/// A decoder's concealment fades into nothing after so many frames (100 ms).
const CONCEAL_MAX: i64 = 5;

/// Half a slot: nearer than this a frame cannot be.
const TOLERANCE: i64 = SLOT_SAMPLES / 2;

/// Beyond this speech is corrected as well; below, a pause is waited for.
const FAR_OFF: i64 = 18 * SAMPLES_PER_MS;

/// In speech without pauses one frame of so many is left out or put in: 20 ms/s follow any clock.
const FRAMES_PER_STEP: u32 = 50;

/// One side's line of frames.
#[derive(Debug)]
pub struct Slots {
    opened: Instant,
    jitter: Jitter<Packet>,
    rtp_time: Unwrapper,
    delay: Delay,
    cutter: Cutter,
    /// Enough packets came for the least delay to mean something.
    anchored: bool,
    first_arrival: Option<i64>,
    /// Written, not yet taken; the first is slot `taken`.
    written: VecDeque<Placed>,
    taken: i64,
    /// Where the sender's clock stands after the last piece; `None` before the first.
    next_sent: Option<i64>,
    /// Configuration of the last frame, while it is one that concealment can go on from.
    sounding: Option<u8>,
    frames_since_step: u32,
    uncopied: u64,
    stats: SideStats,
}

/// A frame in its slot, and where it was heard to the sample.
#[derive(Clone, Debug)]
pub struct Placed {
    pub frame: Frame,
    pub heard_at: i64,
}

#[derive(Debug)]
struct Packet {
    /// On the sender's clock.
    sent: i64,
    /// On ours.
    arrival: i64,
    samples: i64,
    payload: TapPayload,
    uncopied: u64,
}

/// What was said before a piece and did not come.
#[derive(Clone, Copy)]
struct Missing {
    lost: u64,
    uncopied: u64,
    samples: i64,
}

impl Line for Slots {
    fn new(opened: Instant) -> Self {
        Self {
            opened,
            jitter: Jitter::default(),
            rtp_time: Unwrapper::default(),
            delay: Delay::default(),
            cutter: Cutter::default(),
            anchored: false,
            first_arrival: None,
            written: VecDeque::new(),
            taken: 0,
            next_sent: None,
            sounding: None,
            frames_since_step: 0,
            uncopied: 0,
            stats: SideStats::default(),
        }
    }

    fn handle_packet(&mut self, seq: u64, rtp_time: u32, arrival: Instant, payload: TapPayload) {
        self.stats.packets += 1;
        let ticks = toc::duration_ticks(payload.bytes()).unwrap_or(FRAME_TICKS);
        let packet = Packet {
            sent: (self.rtp_time.time(rtp_time) / u64::from(TICKS_PER_SAMPLE)).cast_signed(),
            arrival: position(self.opened, arrival),
            samples: i64::from(ticks / TICKS_PER_SAMPLE),
            payload,
            uncopied: std::mem::take(&mut self.uncopied),
        };
        let (sent, arrival) = (packet.sent, packet.arrival);
        match self.jitter.push(seq, packet) {
            Pushed::Kept => {
                self.delay.observe(sent, arrival);
                self.first_arrival.get_or_insert(arrival);
            }
            Pushed::Duplicate => self.stats.duplicates += 1,
            Pushed::Late => self.stats.late += 1,
        }
    }

    fn handle_gap(&mut self, count: u32) {
        self.uncopied += u64::from(count);
        self.stats.not_copied += u64::from(count);
    }

    fn handle_switch(&mut self) {
        // Another encoder's first frame is not what the last one would have gone on with.
        self.sounding = None;
    }

    fn write_until(&mut self, horizon: i64) {
        let waited = self.first_arrival.is_some_and(|first| horizon >= first - ANCHOR_MARGIN);
        self.anchored |= waited || self.jitter.len() >= ANCHOR_PACKETS;
        while self.anchored {
            let due = self.end() < horizon || self.jitter.is_full() || self.jitter.has_no_turn();
            if let Some(packet) = self.jitter.pop() {
                self.place(0, &packet);
            } else if due && let Some((lost, packet)) = self.jitter.skip() {
                self.place(lost, &packet);
            } else {
                break;
            }
        }
        self.silence_until(horizon.div_euclid(SLOT_SAMPLES));
    }

    fn finish(&mut self, end: i64) {
        while let Some((lost, packet)) = self.jitter.skip() {
            self.place(lost, &packet);
        }
        if let Some(piece) = self.cutter.finish() {
            self.place_piece(end, Missing::NOTHING, piece);
        }
        let slots = (end + SLOT_SAMPLES - 1).div_euclid(SLOT_SAMPLES);
        self.silence_until(slots);
        self.written.truncate(usize::try_from(slots - self.taken).unwrap_or(0));
    }

    fn stats(&self) -> SideStats {
        SideStats { clock_ppm: self.delay.ppm(), ..self.stats }
    }
}

impl Slots {
    /// The slot after the last one written.
    pub fn cursor(&self) -> i64 {
        self.taken + self.written.len() as i64
    }

    /// The oldest frame that was not taken yet.
    pub fn take(&mut self) -> Option<Placed> {
        let placed = self.written.pop_front()?;
        self.taken += 1;
        Some(placed)
    }

    /// The end of what is written, in samples.
    fn end(&self) -> i64 {
        self.cursor() * SLOT_SAMPLES
    }

    fn place(&mut self, lost: u64, packet: &Packet) {
        let lost = lost.saturating_sub(packet.uncopied);
        self.stats.lost += lost;
        let mut missing = Missing { lost, uncopied: packet.uncopied, samples: packet.samples };
        if lost > 0 || packet.uncopied > 0 {
            // What waited for its fellows waited in vain.
            if let Some(piece) = self.cutter.finish() {
                self.place_piece(packet.arrival, Missing::NOTHING, piece);
            }
        }
        let Some(pieces) = self.cutter.cut(packet.sent, &packet.payload) else {
            self.stats.malformed += 1;
            // Whatever it was, it was there: the next one finds a hole of its length, and nothing more was lost.
            self.count_hole(missing, 0, packet.sent);
            return;
        };
        for piece in pieces {
            // The later pieces of a packet are heard later.
            self.place_piece(packet.arrival + piece.sent - packet.sent, missing, piece);
            missing = Missing::NOTHING;
        }
    }

    fn place_piece(&mut self, arrival: i64, missing: Missing, piece: Piece) {
        let mut at = self.target(piece.sent, arrival);
        if at > arrival + JUMP || at < self.end() - JUMP {
            self.delay.restart();
            self.delay.observe(piece.sent, arrival);
            self.next_sent = None;
            at = arrival;
        }
        let follows = self.next_sent == Some(piece.sent) && missing.lost == 0 && missing.uncopied == 0;
        let slot = if follows { self.cursor() } else { self.free_slot(at, piece.sent) };
        if slot * SLOT_SAMPLES > arrival + AHEAD_MAX {
            // A burst after an outage: there is no room for it before the present.
            self.stats.late += 1;
            return;
        }
        let covered = if missing.lost > 0 { self.conceal_until(slot) } else { 0 };
        self.silence_until(slot);
        self.count_hole(missing, covered * SLOT_SAMPLES, piece.sent);
        self.next_sent = Some(piece.sent + SLOT_SAMPLES);
        self.stats.first_sample.get_or_insert_with(|| u64::try_from(at).unwrap_or(0));
        self.sound(at, piece);
    }

    /// The slot of a piece that does not follow the last one: the nearest to its place that is not taken.
    fn free_slot(&mut self, at: i64, sent: i64) -> i64 {
        // A hole's length is known exactly from the sender's clock; its place only as well as the least delay is.
        let after = self.next_sent.map(|next| self.cursor() + (sent - next + TOLERANCE).div_euclid(SLOT_SAMPLES));
        let nearest = (at + TOLERANCE).div_euclid(SLOT_SAMPLES);
        let slot =
            after.filter(|slot| (slot * SLOT_SAMPLES - at).abs() <= TOLERANCE + SAMPLES_PER_MS).unwrap_or(nearest);
        if slot < self.cursor() {
            self.stats.shifts += 1;
        }
        slot.max(self.cursor())
    }

    /// Writes the frame, unless the line strayed so far that it is better left out, or comes after one put in.
    fn sound(&mut self, at: i64, piece: Piece) {
        let error = at - self.end();
        let quiet = toc::voiced(piece.payload.bytes()) == Some(false);
        let due = quiet || (error.abs() >= FAR_OFF && self.frames_since_step >= FRAMES_PER_STEP);
        self.frames_since_step = self.frames_since_step.saturating_add(1);
        if error.abs() > TOLERANCE && due {
            self.stats.corrections += 1;
            self.frames_since_step = 0;
            if error < 0 {
                return;
            }
            let next = self.cursor() + 1;
            if !quiet {
                self.conceal_until(next);
            }
            self.silence_until(next);
        }
        let toc = piece.payload.bytes()[0];
        self.sounding = (toc::frame_ticks(toc) == FRAME_TICKS).then_some(framing::config(toc));
        self.written.push_back(Placed { frame: Frame::Opus(piece.payload), heard_at: at });
    }

    /// Empty frames up to `slot`, as many as a decoder can make something of; how many.
    fn conceal_until(&mut self, slot: i64) -> i64 {
        let Some(config) = self.sounding else { return 0 };
        let count = (slot - self.cursor()).clamp(0, CONCEAL_MAX);
        for _ in 0..count {
            let heard_at = self.end();
            self.written.push_back(Placed { frame: Frame::Lost(config), heard_at });
            self.stats.plc += 1;
        }
        count
    }

    fn silence_until(&mut self, slot: i64) {
        while self.cursor() < slot {
            let heard_at = self.end();
            self.written.push_back(Placed { frame: Frame::Silence, heard_at });
            self.sounding = None;
        }
    }

    /// Counts what was said and is not in the line, neither itself nor concealed.
    fn count_hole(&mut self, missing: Missing, covered: i64, sent: i64) {
        let said = missing.lost.saturating_add(missing.uncopied).cast_signed().saturating_mul(missing.samples);
        let hole = said.min(sent - self.next_sent.unwrap_or(sent)) - covered;
        if hole > 0 {
            self.stats.gaps += 1;
            self.stats.gap_samples += hole.cast_unsigned();
        }
    }

    /// Where a piece belongs according to the fastest packets of late; never later than it came.
    fn target(&self, sent: i64, arrival: i64) -> i64 {
        let own = arrival - sent;
        sent + self.delay.min().map_or(own, |min| min.min(own))
    }
}

impl Missing {
    const NOTHING: Self = Self { lost: 0, uncopied: 0, samples: 0 };
}
