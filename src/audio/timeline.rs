//! One side of a call as an unbroken line of samples: every packet at its place, every hole filled.
//!
//! A packet's place is its RTP time plus an **anchor**, the least delay its sender's packets had on the way here
//! ([`Delay`]): where a listener with no jitter buffer would have heard it. RTP time orders sound exactly; the anchor
//! is followed slowly, because two clocks never agree ([`Timeline::correction`]).
//!
//! What is not there is filled by what is known about it: a packet that was lost is rebuilt from the next one (FEC) or
//! made up by the decoder (PLC, up to [`CONCEAL_MAX`]); a pause of the encoder (DTX), a longer loss, and packets that
//! the tap could not copy are exact silence. Once the horizon has passed a place it is written for good; speech that
//! comes later still is not thrown away but moves the line to later, as the listener heard it, and the line is drawn
//! back in the next pauses.

use std::time::Instant;

use super::codec::Codec;
use super::delay::Delay;
use super::jitter::{Jitter, Pushed};
use super::line::{AHEAD_MAX, ANCHOR_MARGIN, ANCHOR_PACKETS, JUMP, Line, position};
use super::{SAMPLES_PER_MS, SideStats, TICKS_PER_SAMPLE, toc};
use crate::model::rtp::{TapPayload, Unwrapper};

/// Concealment fades into a drone after this; silence is more honest.
pub const CONCEAL_MAX: i64 = 100 * SAMPLES_PER_MS;

/// After a longer loss the decoder's memory describes another moment.
const FORGET_AFTER: i64 = 200 * SAMPLES_PER_MS;

/// One correction; a 20 ms frame squeezed by 1 ms is a fraction of a semitone, once.
const STEP: i64 = SAMPLES_PER_MS;

/// The anchor is left alone while it is this good.
const TOLERANCE: i64 = 4 * SAMPLES_PER_MS;

/// Beyond this every frame is corrected; below, pauses are preferred.
const FAR_OFF: i64 = 20 * SAMPLES_PER_MS;

/// In speech without pauses one frame of so many is corrected: 5 ms/s follow any clock.
const FRAMES_PER_STEP: u32 = 10;

/// One side's line. Positions are samples since the recording's opening.
#[derive(Debug)]
pub struct Timeline {
    opened: Instant,
    jitter: Jitter<Packet>,
    rtp_time: Unwrapper,
    delay: Delay,
    codec: Codec,
    /// Place of RTP time 0 on the line as it is written now; `None` until enough packets came.
    anchor: Option<i64>,
    first_arrival: Option<i64>,
    /// Written, not yet taken; the first is at `taken`.
    written: Vec<i16>,
    taken: i64,
    /// Where the sender's clock stands after the last packet; `None` before the first.
    next_sent: Option<i64>,
    /// The line's last samples came from a decoder, so concealment has something to go on from.
    sounding: bool,
    frames_since_step: u32,
    /// For the next packet to arrive: packets before it that were not copied; whether its encoder is another one.
    uncopied: u64,
    fresh: bool,
    stats: SideStats,
}

/// A packet with its time in samples.
#[derive(Debug)]
struct Packet {
    /// On the sender's clock.
    sent: i64,
    /// On ours.
    arrival: i64,
    samples: i64,
    payload: TapPayload,
    uncopied: u64,
    fresh: bool,
}

/// What to do with a frame so that the line stays beside its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Correction {
    None,
    /// Leave the whole frame out: a pause is the place to catch up.
    Drop,
    /// Stretch it by so many samples (negative: squeeze).
    Stretch(i64),
}

impl Line for Timeline {
    fn new(opened: Instant) -> Self {
        Self {
            opened,
            jitter: Jitter::default(),
            rtp_time: Unwrapper::default(),
            delay: Delay::default(),
            codec: Codec::default(),
            anchor: None,
            first_arrival: None,
            written: Vec::new(),
            taken: 0,
            next_sent: None,
            sounding: false,
            frames_since_step: 0,
            uncopied: 0,
            fresh: false,
            stats: SideStats::default(),
        }
    }

    fn handle_packet(&mut self, seq: u64, rtp_time: u32, arrival: Instant, payload: TapPayload) {
        self.stats.packets += 1;
        // A packet without a length still has its place in the order: it is concealed there as one frame.
        let ticks = toc::duration_ticks(payload.bytes()).unwrap_or(crate::model::rtp::FRAME_TICKS);
        let packet = Packet {
            sent: (self.rtp_time.time(rtp_time) / u64::from(TICKS_PER_SAMPLE)).cast_signed(),
            arrival: position(self.opened, arrival),
            samples: i64::from(ticks / TICKS_PER_SAMPLE),
            payload,
            uncopied: std::mem::take(&mut self.uncopied),
            fresh: std::mem::take(&mut self.fresh),
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
        self.fresh = true;
    }

    fn write_until(&mut self, horizon: i64) {
        if self.anchor.is_none() {
            let waited = self.first_arrival.is_some_and(|first| horizon >= first - ANCHOR_MARGIN);
            if waited || self.jitter.len() >= ANCHOR_PACKETS {
                self.anchor = self.delay.min();
            }
        }
        if self.anchor.is_some() {
            loop {
                if let Some(packet) = self.jitter.pop() {
                    self.place(0, packet);
                } else if self.cursor() < horizon || self.jitter.is_full() || self.is_first() {
                    let Some((lost, packet)) = self.jitter.skip() else { break };
                    self.place(lost, packet);
                } else {
                    break;
                }
            }
        }
        self.silence_until(horizon);
    }

    fn finish(&mut self, end: i64) {
        self.anchor = self.anchor.or_else(|| self.delay.min());
        while self.anchor.is_some()
            && let Some((lost, packet)) = self.jitter.skip()
        {
            self.place(lost, packet);
        }
        self.silence_until(end);
        let keep = usize::try_from(end - self.taken).unwrap_or(0);
        self.written.truncate(keep);
    }

    fn stats(&self) -> SideStats {
        SideStats { clock_ppm: self.delay.ppm(), ..self.stats }
    }
}

impl Timeline {
    /// The end of what is written.
    pub fn cursor(&self) -> i64 {
        self.taken + self.written.len() as i64
    }

    /// Samples written and not yet taken, oldest first.
    pub fn written(&self) -> &[i16] {
        &self.written
    }

    /// Forgets the oldest `samples` of what was written.
    pub fn take(&mut self, samples: usize) {
        self.written.drain(..samples);
        self.taken += samples as i64;
    }

    /// Nothing was written from packets yet, so the first has no predecessor to wait for.
    fn is_first(&self) -> bool {
        self.stats.packets > 0 && self.jitter.has_no_turn()
    }

    fn place(&mut self, lost: u64, packet: Packet) {
        let Some(anchor) = self.anchor else { return };
        if packet.fresh {
            self.codec.reset();
        }
        let lost = lost.saturating_sub(packet.uncopied);
        self.stats.lost += lost;

        let mut at = packet.sent + anchor;
        if at > packet.arrival + JUMP || at < self.cursor() - JUMP {
            self.delay.restart();
            self.delay.observe(packet.sent, packet.arrival);
            self.next_sent = None;
            at = packet.arrival;
        } else if at > packet.arrival + AHEAD_MAX {
            // The line was moved to later, and the sender has caught up in a pause.
            at = packet.sent + self.target(&packet);
        }
        if at < self.cursor() {
            if self.cursor() > packet.arrival + AHEAD_MAX {
                // A burst after an outage: there is no room for it before the present.
                self.stats.late += 1;
                return;
            }
            self.stats.shifts += 1;
            at = self.cursor();
        }
        let mut covered = 0;
        if packet.uncopied > 0 {
            self.silence_until(at);
        } else if lost > 0 {
            covered = self.conceal_until(at, &packet);
        } else if at > self.cursor() {
            // The encoder paused. Silence can be any length, so the line takes its best place here.
            at = (packet.sent + self.target(&packet)).max(self.cursor());
            self.silence_until(at);
        }
        self.count_hole(lost, covered, &packet);
        self.next_sent = Some(packet.sent + packet.samples);
        self.anchor = Some(at - packet.sent);
        self.stats.first_sample.get_or_insert_with(|| u64::try_from(at).unwrap_or(0));
        self.sound(at, &packet);
    }

    /// Counts what was said before `packet` and is not in the recording, neither itself nor made up.
    fn count_hole(&mut self, lost: u64, covered: i64, packet: &Packet) {
        let said = lost.saturating_add(packet.uncopied).cast_signed().saturating_mul(packet.samples);
        // Numbers can be spent on something else than sound; and the encoder may have paused besides.
        let missing = said.min(packet.sent - self.next_sent.unwrap_or(packet.sent)) - covered;
        if missing > 0 {
            self.stats.gaps += 1;
            self.stats.gap_samples += missing.cast_unsigned();
        }
    }

    /// Makes up what was lost before `packet`, whose place is `at`; how many samples are covered.
    fn conceal_until(&mut self, at: i64, packet: &Packet) -> i64 {
        let hole = at - self.cursor();
        let fec = if toc::has_fec(packet.payload.bytes()) == Some(true) { packet.samples.min(hole) } else { 0 };
        let plc = if self.sounding { (hole - fec).min(CONCEAL_MAX) } else { 0 };
        let mut left = plc;
        while left > 0 {
            let samples = left.min(packet.samples);
            self.written.extend_from_slice(self.codec.conceal(samples as usize));
            self.stats.plc += 1;
            left -= samples;
        }
        self.silence_until(at - fec);
        if hole > FORGET_AFTER {
            self.codec.reset();
        }
        if fec == 0 {
            return plc;
        }
        match self.codec.recover(packet.payload.bytes(), packet.samples as usize, fec as usize) {
            Ok(pcm) => {
                self.written.extend_from_slice(pcm);
                self.stats.fec += 1;
            }
            Err(_) => self.stats.malformed += 1,
        }
        self.silence_until(at);
        plc + fec
    }

    /// Writes the packet's own sound, corrected by a little where the line strayed from its target.
    fn sound(&mut self, at: i64, packet: &Packet) {
        let error = packet.sent + self.target(packet) - at;
        let quiet = toc::voiced(packet.payload.bytes()) == Some(false);
        let correction = self.correction(error, quiet, packet.samples);
        let pcm = match self.codec.decode(packet.payload.bytes()) {
            Ok(pcm) => pcm,
            Err(_) => {
                self.stats.malformed += 1;
                self.codec.conceal(packet.samples as usize)
            }
        };
        self.sounding = true;
        let moved = match correction {
            Correction::None => {
                self.written.extend_from_slice(pcm);
                0
            }
            Correction::Drop => -packet.samples,
            Correction::Stretch(by) => {
                stretch(pcm, by, &mut self.written);
                by
            }
        };
        if moved != 0 {
            self.stats.corrections += 1;
            self.frames_since_step = 0;
            self.anchor = Some(at - packet.sent + moved);
        }
        self.frames_since_step = self.frames_since_step.saturating_add(1);
    }

    /// `error`: how much later than here the frame belongs.
    fn correction(&self, error: i64, quiet: bool, frame: i64) -> Correction {
        let due = quiet || error.abs() >= FAR_OFF || self.frames_since_step >= FRAMES_PER_STEP;
        if error.abs() < TOLERANCE || !due {
            Correction::None
        } else if quiet && error <= -frame {
            Correction::Drop
        } else {
            Correction::Stretch(STEP * error.signum())
        }
    }

    /// Where RTP time 0 belongs according to the fastest packets of late; never so that this packet is heard later than
    /// it came.
    fn target(&self, packet: &Packet) -> i64 {
        let own = packet.arrival - packet.sent;
        // The window may have been restarted since this packet was observed.
        self.delay.min().map_or(own, |min| min.min(own))
    }

    fn silence_until(&mut self, at: i64) {
        if let Ok(len) = usize::try_from(at - self.taken)
            && len > self.written.len()
        {
            self.written.resize(len, 0);
            self.sounding = false;
        }
    }
}

/// Plays `pcm` in `pcm.len() + by` samples, by linear interpolation.
fn stretch(pcm: &[i16], by: i64, out: &mut Vec<i16>) {
    let len = pcm.len().saturating_add_signed(by as isize);
    if pcm.len() < 2 || len < 2 {
        out.extend(std::iter::repeat_n(pcm.first().copied().unwrap_or(0), len));
        return;
    }
    let (from, to) = (pcm.len() - 1, len - 1);
    out.extend((0..len).map(|i| {
        let (index, rest) = (i * from / to, (i * from % to) as i64);
        let (here, next) = (i64::from(pcm[index]), i64::from(pcm[(index + 1).min(from)]));
        (here + (next - here) * rest / to as i64) as i16
    }));
}
