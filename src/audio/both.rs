//! Both sides of a call beside each other, whatever their lines are made of.

use std::time::{Duration, Instant};

use super::line::{Line, position};
use super::{Pauses, SAMPLES_PER_MS, Stats};
use crate::model::recording::Pause;
use crate::model::rtp::{Side, TapKey, TapMedia};

/// A place this long past is written, with or without its packet. It is the reach of the reordering and of one
/// network hiccup; a longer wait would only lose more when the machine dies.
pub const HORIZON: Duration = Duration::from_millis(280);

/// Sound is handed on in blocks of 100 ms: ten hand-overs per call and second.
pub const BLOCK_SAMPLES: usize = 1_600;

pub(super) const HORIZON_SAMPLES: i64 = HORIZON.as_millis() as i64 * SAMPLES_PER_MS;

/// The customer's line and the agent's.
#[derive(Debug)]
pub struct Both<L> {
    pub(super) tap: TapKey,
    pub(super) opened: Instant,
    pub(super) customer: L,
    pub(super) agent: L,
    /// Position of the next block.
    pub(super) next: i64,
    pub(super) end: Option<i64>,
    pub(super) pauses: Pauses,
    lag_max: Duration,
}

impl<L: Line> Both<L> {
    /// Sample 0 is heard at `now`.
    pub fn new(tap: TapKey, now: Instant) -> Self {
        Self {
            tap,
            opened: now,
            customer: L::new(now),
            agent: L::new(now),
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
        // Written as it comes, so that the work is spread over time and nothing piles up behind a late poll.
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

    /// The pauses so far; one that lasts ends with the call.
    pub fn pauses(&self) -> Vec<Pause> {
        self.pauses.told(self.end.unwrap_or(self.next))
    }

    pub fn stats(&self) -> Stats {
        Stats {
            customer: self.customer.stats(),
            agent: self.agent.stats(),
            samples: self.end.unwrap_or(self.next).cast_unsigned(),
            dropped_blocks: 0,
            dropped_samples: 0,
            lag_ms_max: self.lag_max.as_millis() as u64,
        }
    }

    /// Writes both lines up to the horizon of `now`.
    pub(super) fn catch_up(&mut self, now: Instant) {
        if self.end.is_none() {
            let horizon = self.horizon(now);
            self.customer.write_until(horizon);
            self.agent.write_until(horizon);
        }
    }

    /// So many samples are handed on at `now`; the position of the first.
    pub(super) fn hand_on(&mut self, samples: i64, now: Instant) -> u64 {
        let first = self.next;
        self.next += samples;
        let age = position(self.opened, now) - first;
        self.lag_max = self.lag_max.max(super::duration(u64::try_from(age).unwrap_or(0)));
        first.cast_unsigned()
    }

    fn side(&mut self, side: Side) -> &mut L {
        match side {
            Side::Customer => &mut self.customer,
            Side::Agent => &mut self.agent,
        }
    }

    fn horizon(&self, now: Instant) -> i64 {
        position(self.opened, now) - HORIZON_SAMPLES
    }
}
