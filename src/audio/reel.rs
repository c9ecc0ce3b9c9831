//! Both sides of a call as frames that nobody has decoded, pairwise: what a recording of the very packets is made of.

use std::time::{Duration, Instant};

use super::both::{BLOCK_SAMPLES, Both, HORIZON_SAMPLES};
use super::line::position;
use super::slots::{Placed, Slots};
use super::{Pauses, SAMPLES_PER_MS, SLOT_SAMPLES, framing};
use crate::model::rtp::{TapKey, TapPayload};

/// The oldest frame of a block is at most this old when it is handed on (plus the caller's polling interval): one
/// of frames waits for the end of a slot.
pub const LAG_MAX: Duration = Duration::from_millis(400);

const _: () =
    assert!(LAG_MAX.as_millis() as i64 * SAMPLES_PER_MS >= HORIZON_SAMPLES + BLOCK_SAMPLES as i64 + SLOT_SAMPLES);

/// A reel: customer and agent side by side, 20 ms at a time.
pub type Reel = Both<Slots>;

/// 20 ms of one side.
#[derive(Clone, Debug)]
pub enum Frame {
    /// Digital silence.
    Silence,
    /// A lost frame of an encoder of this configuration: a decoder makes something up for it.
    Lost(u8),
    /// As it came from the network, or cut from it.
    Opus(TapPayload),
}

/// A piece of both sides. Positions are absolute, so a lost block leaves a hole of known length.
#[derive(Clone, Debug)]
pub struct Frames {
    pub tap: TapKey,
    /// Frames of 20 ms since the tap was opened.
    pub first_frame: u64,
    /// `[customer, agent]`.
    pub pairs: Vec<[Frame; 2]>,
}

impl Frames {
    /// How long they are.
    pub fn samples(&self) -> u64 {
        self.pairs.len() as u64 * SLOT_SAMPLES.cast_unsigned()
    }
}

impl Frame {
    /// Appends the Opus packet. `delimited`: in the form that tells its own end (RFC 6716 appendix B).
    pub fn write(&self, delimited: bool, out: &mut Vec<u8>) {
        match self {
            Self::Silence => framing::write(framing::SILENCE[0], &[&framing::SILENCE[1..]], delimited, out),
            Self::Lost(config) => framing::write(*config, &[&[]], delimited, out),
            Self::Opus(payload) if delimited => framing::write_delimited(payload.bytes(), out),
            Self::Opus(payload) => out.extend_from_slice(payload.bytes()),
        }
    }
}

impl Reel {
    /// The next frames that are ready, `None` if there are none yet (or none any more, once closed). The last one may
    /// reach beyond the end by less than its length.
    pub fn poll_frames(&mut self, now: Instant) -> Option<Frames> {
        self.catch_up(now);
        let first = self.next.div_euclid(SLOT_SAMPLES);
        let mut end = self.customer.cursor().min(self.agent.cursor());
        if self.end.is_none() {
            // What lies ahead of now waits: the recording may end before it is heard.
            end = end.min(position(self.opened, now).div_euclid(SLOT_SAMPLES));
        }
        let ready = (end - first).min(BLOCK_SAMPLES as i64 / SLOT_SAMPLES);
        if ready <= 0 || (ready * SLOT_SAMPLES < BLOCK_SAMPLES as i64 && self.end.is_none()) {
            return None;
        }
        let sides = [&mut self.customer, &mut self.agent];
        let pairs = (first..first + ready).map(|slot| {
            let side =
                |line: &mut Slots| line.take().map_or(Frame::Silence, |placed| audible(placed, slot, &self.pauses));
            [side(sides[0]), side(sides[1])]
        });
        let pairs = pairs.collect();
        self.hand_on(ready * SLOT_SAMPLES, now);
        Some(Frames { tap: self.tap, first_frame: first.cast_unsigned(), pairs })
    }
}

/// The frame, or silence if a pause touches it: where it was heard, where it lies in the file, or, since encoders look back
/// and repeat what went before, right after.
fn audible(placed: Placed, slot: i64, pauses: &Pauses) -> Frame {
    let Placed { frame, heard_at } = placed;
    let (lies_at, heard) = (slot * SLOT_SAMPLES, heard_at);
    let touched =
        pauses.touch(lies_at, lies_at + SLOT_SAMPLES) || pauses.touch(heard - SLOT_SAMPLES, heard + SLOT_SAMPLES);
    if touched { Frame::Silence } else { frame }
}
