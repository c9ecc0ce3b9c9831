//! skeleton
use super::{Counters, Leg, LegKey, MediaEvent, Transmit};
use crate::model::id::{CallId, LegId};
use crate::model::rtp::{TapKey, TapRecord};
use std::net::SocketAddr;
use std::time::Instant;

/// What comes out of a bridge. Drain it to `Timeout` after every change.
pub enum Output {
    Transmit(Transmit),
    Tap(TapRecord),
    Event(MediaEvent),
    Timeout(Instant),
}

pub struct Bridge {
    call: CallId,
}
impl Bridge {
    pub fn new(call: CallId, _customer: Leg, _now: Instant) -> Self {
        Self { call }
    }
    pub fn call(&self) -> &CallId {
        &self.call
    }
    pub fn attach(&mut self, _leg: Leg, _now: Instant) {
        todo!()
    }
    pub fn join(&mut self, _leg: &LegId, _now: Instant) {
        todo!()
    }
    pub fn open_gate(&mut self, _now: Instant) {
        todo!()
    }
    pub fn hold(&mut self, _held: bool, _now: Instant) {
        todo!()
    }
    pub fn detach(&mut self, _leg: &LegId, _now: Instant) {
        todo!()
    }
    pub fn send_digits(&mut self, _digits: &str, _now: Instant) {
        todo!()
    }
    pub fn start_tap(&mut self, _tap: TapKey, _now: Instant) {
        todo!()
    }
    pub fn stop_tap(&mut self, _now: Instant) {
        todo!()
    }
    pub fn close(&mut self, _now: Instant) {
        todo!()
    }
    pub fn handle_datagram(&mut self, _leg: LegKey, _source: SocketAddr, _datagram: &[u8], _now: Instant) {
        todo!()
    }
    pub fn handle_timeout(&mut self, _now: Instant) {
        todo!()
    }
    pub fn poll_output(&mut self, _now: Instant) -> Output {
        todo!()
    }
    /// Addresses ICE has validated since the last call: the shard learns them for its demultiplexer.
    pub fn poll_validated(&mut self) -> Option<(LegKey, SocketAddr)> {
        todo!()
    }
    pub fn legs(&self) -> impl Iterator<Item = (LegKey, &LegId, &str)> + '_ {
        std::iter::empty()
    }
    pub fn is_closed(&self) -> bool {
        todo!()
    }
    pub fn counters(&self) -> Counters {
        todo!()
    }
}
