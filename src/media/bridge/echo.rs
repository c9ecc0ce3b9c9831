//! A leg that hears itself: what a browser proves its way to us and back with, before anybody relies on it.

use std::time::Instant;

use super::{Bridge, CUSTOMER};
use crate::media::Leg;
use crate::media::leg::Heard;
use crate::model::id::CallId;

impl Bridge {
    /// A bridge without a customer: whatever this agent's leg sends comes back to it.
    pub fn echo(id: CallId, leg: Leg, now: Instant) -> Self {
        Self { echoes: true, ..Self::new(id, leg, now) }
    }

    pub(super) fn echo_back(&mut self, packet: Heard, is_event: bool, now: Instant) {
        let seat = &mut self.seats[CUSTOMER];
        let Some(place) = seat.line.relay(seat.leg.key(), &packet, is_event, now) else { return };
        if seat.leg.send(place, packet.pt, packet.payload, packet.at, now, &mut self.sink) {
            self.sink.counters.forwarded += 1;
        }
    }
}
