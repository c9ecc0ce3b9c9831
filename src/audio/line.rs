//! What the two kinds of line have in common: [`Timeline`](super::timeline::Timeline) of samples,
//! [`Slots`](super::slots::Slots) of frames. Positions are samples since the opening.

use std::time::Instant;

use super::{RATE_HZ, SAMPLES_PER_MS, SideStats};
use crate::model::rtp::TapPayload;

/// The first packets wait for each other, so that the anchor is the best of several; but not until the horizon comes
/// near the first one.
pub const ANCHOR_PACKETS: usize = 10;
pub const ANCHOR_MARGIN: i64 = 80 * SAMPLES_PER_MS;

/// Nobody hears a packet before it came. Room for a 40 ms packet's length and for the anchor's own error.
pub const AHEAD_MAX: i64 = 60 * SAMPLES_PER_MS;

/// A packet this far behind its place was not delayed: its sender's clock jumped.
pub const JUMP: i64 = RATE_HZ as i64;

/// One side of a call, without a hole.
pub trait Line {
    /// A line whose sample 0 is heard at `opened`.
    fn new(opened: Instant) -> Self;

    /// One copied packet, in the order the ring had it. `rtp_time` as on the wire, 48 kHz.
    fn handle_packet(&mut self, seq: u64, rtp_time: u32, arrival: Instant, payload: TapPayload);

    /// `count` packets before the next one existed, but were not copied.
    fn handle_gap(&mut self, count: u32);

    /// The next packets come from another encoder.
    fn handle_switch(&mut self);

    /// Writes what can be written, and everything before `horizon` for good.
    fn write_until(&mut self, horizon: i64);

    /// Writes whatever is still waiting, and the line's end at `end`.
    fn finish(&mut self, end: i64);

    fn stats(&self) -> SideStats;
}

/// The position of an instant on a line that opened at `opened`, in samples; never negative.
pub fn position(opened: Instant, at: Instant) -> i64 {
    let since = at.saturating_duration_since(opened);
    let samples = (since.as_nanos() * u128::from(RATE_HZ) + 500_000_000) / 1_000_000_000;
    i64::try_from(samples).unwrap_or(i64::MAX)
}
