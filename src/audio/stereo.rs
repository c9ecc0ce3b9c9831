//! Both sides of a call as samples beside each other: left the customer, right the agent.

use std::time::{Duration, Instant};

use super::both::{BLOCK_SAMPLES, Both, HORIZON_SAMPLES};
use super::line::position;
use super::reel::Frames;
use super::timeline::Timeline;
use super::{SAMPLES_PER_MS, Stats};
use crate::model::recording::Pause;
use crate::model::rtp::TapKey;

/// The oldest sample of a block is at most this old when it is handed on (plus the caller's polling interval).
pub const LAG_MAX: Duration = Duration::from_millis(380);

const _: () = assert!(LAG_MAX.as_millis() as i64 * SAMPLES_PER_MS >= HORIZON_SAMPLES + BLOCK_SAMPLES as i64);

/// Both sides of one call, decoded.
pub type Stereo = Both<Timeline>;

/// What comes out for those who store or listen. A tap's blocks are in order; its `Closed` is the last word.
#[allow(clippy::large_enum_variant, reason = "the large one comes once a call")]
#[derive(Clone, Debug)]
pub enum Output {
    Block(Block),
    /// The same sound, still encoded.
    Frames(Frames),
    Closed(Closed),
}

impl Output {
    pub const fn tap(&self) -> TapKey {
        match self {
            Self::Block(block) => block.tap,
            Self::Frames(frames) => frames.tap,
            Self::Closed(closed) => closed.tap,
        }
    }
}

/// A piece of the call's sound. Positions are absolute, so a lost block leaves a hole of known length.
#[derive(Clone, Debug)]
pub struct Block {
    pub tap: TapKey,
    /// Samples since the tap was opened.
    pub first_sample: u64,
    /// At 16 kHz, `[customer, agent]`.
    pub samples: Vec<[i16; 2]>,
}

/// The tap was closed and all of its blocks were offered.
#[derive(Clone, Debug)]
pub struct Closed {
    pub tap: TapKey,
    pub stats: Stats,
    pub pauses: Vec<Pause>,
}

impl Stereo {
    /// The next block that is ready, `None` if there is none yet (or none any more, once closed).
    pub fn poll_block(&mut self, now: Instant) -> Option<Block> {
        self.catch_up(now);
        // What lies ahead of now (a packet longer than its delay) waits: the recording may end before it is heard.
        let end = self.customer.cursor().min(self.agent.cursor()).min(position(self.opened, now));
        let ready = usize::try_from(end - self.next).unwrap_or(0);
        if ready == 0 || (ready < BLOCK_SAMPLES && self.end.is_none()) {
            return None;
        }
        let len = ready.min(BLOCK_SAMPLES);
        let mut samples: Vec<[i16; 2]> = std::iter::zip(self.customer.written(), self.agent.written())
            .take(len)
            .map(|(&customer, &agent)| [customer, agent])
            .collect();
        self.customer.take(len);
        self.agent.take(len);
        self.pauses.mute(self.next, &mut samples);
        let first_sample = self.hand_on(len as i64, now);
        Some(Block { tap: self.tap, first_sample, samples })
    }
}
