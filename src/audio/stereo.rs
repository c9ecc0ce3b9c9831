//! Both sides of a call beside each other: left the customer, right the agent.

use std::time::{Duration, Instant};

use super::timeline::{Timeline, position};
use super::{Pauses, SAMPLES_PER_MS, SideStats, Stats};
use crate::model::recording::Pause;
use crate::model::rtp::{Side, TapKey, TapMedia};

/// A place this long past is written, with or without its packet. It is the reach of the reordering and of one
/// network hiccup; a longer wait would only lose more when the machine dies.
pub const HORIZON: Duration = Duration::from_millis(280);

/// Sound is handed on in blocks of 100 ms: ten hand-overs per call and second.
pub const BLOCK_SAMPLES: usize = 1_600;

/// The oldest sample of a block is at most this old when it is handed on (plus the caller's polling interval).
pub const LAG_MAX: Duration = Duration::from_millis(380);

const HORIZON_SAMPLES: i64 = HORIZON.as_millis() as i64 * SAMPLES_PER_MS;

const _: () = assert!(LAG_MAX.as_millis() as i64 * SAMPLES_PER_MS >= HORIZON_SAMPLES + BLOCK_SAMPLES as i64);

/// What comes out for those who store or listen. A tap's blocks are in order; its `Closed` is the last word.
#[derive(Clone, Debug)]
pub enum Output {
    Block(Block),
    Closed(Closed),
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

/// Both sides of one call.
#[derive(Debug)]
pub struct Stereo {
    tap: TapKey,
    opened: Instant,
    customer: Timeline,
    agent: Timeline,
    /// Position of the next block.
    next: i64,
    end: Option<i64>,
    pauses: Pauses,
    lag_max: Duration,
}

impl Stereo {
    /// Sample 0 is heard at `now`.
    pub fn new(tap: TapKey, now: Instant) -> Self {
        Self {
            tap,
            opened: now,
            customer: Timeline::new(now),
            agent: Timeline::new(now),
            next: 0,
            end: None,
            pauses: Pauses::default(),
            lag_max: Duration::ZERO,
        }
    }

    pub fn handle_media(&mut self, media: TapMedia) {
        let arrival = media.arrival;
        let horizon = self.horizon(arrival);
        let line = self.side(media.side);
        line.handle_packet(media.seq, media.rtp_time, arrival, media.payload);
        // Written as it comes, so that decoding is spread over time and nothing piles up behind a late poll.
        line.write_until(horizon);
    }

    /// `count` packets of `side` were not copied.
    pub fn handle_gap(&mut self, side: Side, count: u32) {
        self.side(side).handle_gap(count);
    }

    /// The packets of `side` come from another encoder from here on.
    pub fn handle_switch(&mut self, side: Side) {
        self.side(side).handle_switch();
    }

    /// From `at` on nothing of the call is handed on but silence.
    pub fn pause(&mut self, at: Instant) {
        self.pauses.begin(position(self.opened, at));
    }

    /// From `at` on the call is handed on again.
    pub fn resume(&mut self, at: Instant) {
        self.pauses.end(position(self.opened, at));
    }

    /// The recording ends at `now`, to the sample.
    pub fn close(&mut self, now: Instant) {
        let end = position(self.opened, now).max(self.next);
        self.customer.finish(end);
        self.agent.finish(end);
        self.end = Some(end);
    }

    /// The next block that is ready, `None` if there is none yet (or none any more, once closed).
    pub fn poll_block(&mut self, now: Instant) -> Option<Block> {
        if self.end.is_none() {
            let horizon = self.horizon(now);
            self.customer.write_until(horizon);
            self.agent.write_until(horizon);
        }
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
        let first = self.next;
        self.pauses.mute(first, &mut samples);
        self.next += len as i64;
        let age = position(self.opened, now) - first;
        self.lag_max = self.lag_max.max(super::duration(u64::try_from(age).unwrap_or(0)));
        Some(Block { tap: self.tap, first_sample: first.cast_unsigned(), samples })
    }

    /// The pauses so far; one that lasts ends with the call.
    pub fn pauses(&self) -> Vec<Pause> {
        self.pauses.told(self.end.unwrap_or(self.next))
    }

    pub fn stats(&self) -> Stats {
        let both: [SideStats; 2] = [self.customer.stats(), self.agent.stats()];
        Stats {
            customer: both[0],
            agent: both[1],
            samples: self.end.unwrap_or(self.next).cast_unsigned(),
            dropped_blocks: 0,
            dropped_samples: 0,
            lag_ms_max: self.lag_max.as_millis() as u64,
        }
    }

    fn side(&mut self, side: Side) -> &mut Timeline {
        match side {
            Side::Customer => &mut self.customer,
            Side::Agent => &mut self.agent,
        }
    }

    fn horizon(&self, now: Instant) -> i64 {
        position(self.opened, now) - HORIZON_SAMPLES
    }
}
