//! On the tap worker's thread: copied packets of forked calls go to their workers as they are, undecoded.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::control::{Open, ToWorker};
use super::link::{Link, Live, Sent};
use super::{Fork, Shared, roq};
use crate::model::id::RecordingId;
use crate::model::rtp::{Route, Side, TapKey, TapMedia, TapRecord};

/// Says where each record goes. Never waits.
pub struct Diverter {
    shared: Arc<Shared>,
    flows: BTreeMap<TapKey, Flow>,
    /// Calls that came back: their recording and its sample 0.
    back: BTreeMap<TapKey, (RecordingId, Instant)>,
    also_here: bool,
}

/// A call that is being sent away.
struct Flow {
    fork: Fork,
    /// Sample 0 of the whole recording.
    opened: Instant,
    /// Sample 0 of the piece this worker has.
    piece_opened: Instant,
    link: Arc<Link>,
    live: Arc<Live>,
    id: u64,
    ssrc: [u32; 2],
    /// Packets not sent, per side, not told yet.
    unsent: [u32; 2],
}

impl Diverter {
    pub(super) fn new(shared: Arc<Shared>, also_here: bool) -> Self {
        Self { shared, flows: BTreeMap::new(), back: BTreeMap::new(), also_here }
    }

    /// Takes the record if its call is forked.
    pub fn divert(&mut self, record: &TapRecord) -> Route {
        if let TapRecord::Open { tap, at } = *record {
            return self.open(tap, at);
        }
        let tap = record.tap();
        let Some(flow) = self.flows.get(&tap) else {
            if matches!(record, TapRecord::Close { .. }) {
                self.shared.paused().remove(&tap);
            }
            if let TapRecord::Close { at, .. } = *record
                && let Some((recording, opened)) = self.back.remove(&tap)
            {
                self.shared.close_run(&recording, at.saturating_duration_since(opened), at);
            }
            return Route::Here;
        };
        if flow.live.is_dead()
            && let Some(route) = self.go_elsewhere(tap, record)
        {
            return route;
        }
        let Some(flow) = self.flows.get_mut(&tap) else { return Route::Here };
        match record {
            TapRecord::Open { .. } => {}
            TapRecord::Media(media) if self.shared.paused().contains(&tap) => flow.leave_out(media.side),
            TapRecord::Media(media) => flow.media(media),
            TapRecord::Gap { side, count, .. } => {
                flow.live.tell(ToWorker::Gap { flow: flow.id, side: *side, count: *count });
            }
            TapRecord::Switch { side, .. } => flow.live.tell(ToWorker::Switch { flow: flow.id, side: *side }),
            TapRecord::Close { at, .. } => self.close(tap, *at),
        }
        self.away()
    }

    fn away(&self) -> Route {
        if self.also_here { Route::Both } else { Route::Away }
    }

    fn open(&mut self, tap: TapKey, at: Instant) -> Route {
        let Some(fork) = self.shared.expected().remove(&tap) else { return Route::Here };
        match self.shared.least_loaded() {
            Some((link, live)) => {
                self.shared.runs().begin(fork.recording.clone(), fork.call.clone(), fork.started);
                let recording = fork.recording.clone();
                self.flows.insert(tap, Flow::begin(fork, recording, [at; 2], link, live));
                self.away()
            }
            None => {
                tracing::warn!(call = %fork.call, "no worker takes the call; it is recorded here");
                self.shared.fallbacks.add(1);
                (self.shared.hooks.here)(fork);
                Route::Here
            }
        }
    }

    /// The call's worker is dead: another one goes on with a piece of its own, or the gateway does. `None`: the record
    /// is still to be sent, to the new one.
    fn go_elsewhere(&mut self, tap: TapKey, record: &TapRecord) -> Option<Route> {
        let Flow { fork, opened, link, live, .. } = self.flows.remove(&tap)?;
        live.calls.down();
        let at = record.at();
        let length = at.saturating_duration_since(opened);
        if matches!(record, TapRecord::Close { .. }) {
            self.shared.close_run(&fork.recording, length, at);
            self.shared.paused().remove(&tap);
            return Some(self.away());
        }
        self.shared.moved.add(1);
        let elsewhere = self.shared.least_loaded();
        // What is decoded here already has its positions from the call's beginning; the silence before is overlaid by the
        // first piece.
        let begins = if elsewhere.is_none() && self.also_here { Duration::ZERO } else { length };
        let piece = self.shared.runs().go_on(&fork.recording, begins)?;
        tracing::warn!(call = %fork.call, worker = link.address, %piece, at_ms = length.as_millis() as u64,
            "a call lost its worker; what it heard last is missing, the rest goes on elsewhere");
        match elsewhere {
            Some((link, live)) => {
                let flow = Flow::begin(fork, piece, [opened, at], link, live);
                self.flows.insert(tap, flow);
                None
            }
            None => {
                self.shared.fallbacks.add(1);
                self.back.insert(tap, (fork.recording.clone(), opened));
                (self.shared.hooks.here)(Fork { recording: piece, ..fork });
                Some(if self.also_here { Route::Here } else { Route::Back })
            }
        }
    }

    fn close(&mut self, tap: TapKey, at: Instant) {
        let Some(mut flow) = self.flows.remove(&tap) else { return };
        for side in [Side::Customer, Side::Agent] {
            flow.confess(side);
        }
        let piece = at.saturating_duration_since(flow.piece_opened);
        flow.live.tell(ToWorker::Close { flow: flow.id, length_us: piece.as_micros() as u64 });
        flow.live.calls.down();
        self.shared.paused().remove(&tap);
        self.shared.close_run(&flow.fork.recording, at.saturating_duration_since(flow.opened), at);
    }
}

impl Flow {
    /// `opened`: sample 0 of the recording and of this piece.
    fn begin(
        fork: Fork,
        recording: RecordingId,
        [opened, piece_opened]: [Instant; 2],
        link: Arc<Link>,
        live: Arc<Live>,
    ) -> Self {
        live.calls.up();
        let id = live.next_flow();
        let ssrc = [(id as u32).wrapping_mul(2), (id as u32).wrapping_mul(2).wrapping_add(1)];
        let open = Open { flow: id, ssrc, call: fork.call.clone(), recording, started: fork.started };
        live.tell(ToWorker::Open(open));
        Self { fork, opened, piece_opened, link, live, id, ssrc, unsent: [0; 2] }
    }

    fn media(&mut self, media: &TapMedia) {
        let side = media.side as usize;
        let packet = roq::Rtp {
            payload_type: roq::OPUS,
            marker: false,
            seq: media.seq as u16,
            time: media.rtp_time,
            ssrc: self.ssrc[side],
            payload: media.payload.bytes(),
        };
        let flow = roq::FlowId::new(self.id).expect("flows are counted from 0; 2^62 calls take longer");
        let datagram = roq::write_datagram(flow, packet);
        let len = datagram.len() as u64;
        if self.unsent[side] > 0 {
            self.confess(media.side);
        }
        match self.live.send(datagram) {
            Sent::Yes => {
                self.link.counters.packets.add(1);
                self.link.counters.bytes.add(len);
            }
            Sent::Dropped => {
                self.link.counters.dropped.add(1);
                self.leave_out(media.side);
            }
        }
    }

    /// A packet of this side is not sent; the next one that is tells.
    fn leave_out(&mut self, side: Side) {
        let unsent = &mut self.unsent[side as usize];
        *unsent = unsent.saturating_add(1);
    }

    /// Says how many packets of this side were not sent.
    fn confess(&mut self, side: Side) {
        let count = std::mem::take(&mut self.unsent[side as usize]);
        if count > 0 {
            self.live.tell(ToWorker::Gap { flow: self.id, side, count });
        }
    }
}
