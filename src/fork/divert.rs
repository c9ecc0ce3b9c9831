//! On the tap worker's thread: copied packets of forked calls go to their workers as they are, undecoded.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::control::{Open, ToWorker};
use super::link::{Link, Live, Sent};
use super::pauses::PauseFilter;
use super::{Fork, Shared, roq};
use crate::model::id::RecordingId;
use crate::model::rtp::{Route, Side, TapKey, TapMedia, TapRecord};

/// Says where each record goes. Never waits.
pub struct Diverter {
    shared: Arc<Shared>,
    flows: BTreeMap<TapKey, Flow>,
    /// Calls that came back, and the sample 0 of their recordings.
    back: BTreeMap<TapKey, (Fork, Instant)>,
    also_here: bool,
}

/// A call that is being sent away.
struct Flow {
    fork: Fork,
    /// Somebody here needs it decoded besides.
    also_here: bool,
    /// Sample 0 of the whole recording.
    opened: Instant,
    pauses: PauseFilter,
    voices: [Voice; 2],
    branch: Branch,
}

/// The worker that has a call, or its last piece.
struct Branch {
    /// Sample 0 of the piece this worker has.
    opened: Instant,
    link: Arc<Link>,
    live: Arc<Live>,
    id: u64,
    ssrc: [u32; 2],
    packets: u64,
}

/// One side's packets.
#[derive(Debug, Default)]
struct Voice {
    /// Packets not sent, not told yet.
    unsent: u32,
    /// The newest one sent.
    last: Option<u64>,
    /// One stayed here because of a pause since then.
    withheld: bool,
    /// How many numbers pauses took, for those that follow: nobody is to look for packets that were not to be sent.
    skipped: u64,
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
            if let TapRecord::Close { at, .. } = *record
                && let Some((fork, opened)) = self.back.remove(&tap)
            {
                self.shared.close(&fork, at.saturating_duration_since(opened), at);
            }
            return Route::Here;
        };
        if flow.branch.live.is_dead()
            && let Some(route) = self.go_elsewhere(tap, record)
        {
            return route;
        }
        let Some(flow) = self.flows.get_mut(&tap) else { return Route::Here };
        let route = flow.route();
        match record {
            TapRecord::Open { .. } => {}
            TapRecord::Media(media) => flow.media(media),
            TapRecord::Gap { side, count, .. } => {
                flow.branch.tell(|flow| ToWorker::Gap { flow, side: *side, count: *count });
            }
            TapRecord::Switch { side, .. } => flow.branch.tell(|flow| ToWorker::Switch { flow, side: *side }),
            TapRecord::Pause { at, .. } => {
                flow.pauses.pause(*at);
                flow.branch.pause(*at);
            }
            TapRecord::Resume { at, .. } => {
                flow.pauses.resume(*at);
                let at_us = flow.branch.since(*at);
                flow.branch.tell(|flow| ToWorker::Resume { flow, at_us });
            }
            TapRecord::Close { at, .. } => self.close(tap, *at),
        }
        route
    }

    fn open(&mut self, tap: TapKey, at: Instant) -> Route {
        let Some(fork) = self.shared.expected().remove(&tap) else { return Route::Here };
        match self.shared.least_loaded() {
            Some((link, live)) => {
                self.shared.runs().begin(&fork);
                let listens = fork.listen && live.listens();
                if listens {
                    self.shared.speech().begin(fork.call.clone(), live.number());
                } else if fork.listen {
                    (self.shared.hooks.listen)(tap, &fork.call);
                }
                let also_here = self.also_here || (fork.listen && !listens);
                let branch = Branch::begin(&fork, fork.recording.clone(), listens, at, link, live);
                let flow = Flow {
                    fork,
                    also_here,
                    opened: at,
                    pauses: PauseFilter::default(),
                    voices: Default::default(),
                    branch,
                };
                let route = flow.route();
                self.flows.insert(tap, flow);
                route
            }
            None => {
                tracing::warn!(call = %fork.call, "no worker takes the call; it is recorded here");
                self.shared.fallbacks.add(1);
                if fork.listen {
                    (self.shared.hooks.listen)(tap, &fork.call);
                }
                (self.shared.hooks.here)(fork);
                Route::Here
            }
        }
    }

    /// The call's worker is dead: another one goes on with a piece of its own, or the gateway does. `None`: the record
    /// is still to be sent, to the new one.
    fn go_elsewhere(&mut self, tap: TapKey, record: &TapRecord) -> Option<Route> {
        let flow = self.flows.get_mut(&tap)?;
        let at = record.at();
        let length = at.saturating_duration_since(flow.opened);
        if matches!(record, TapRecord::Close { .. }) {
            let Flow { fork, also_here, branch, .. } = self.flows.remove(&tap)?;
            branch.live.calls.down();
            self.shared.close(&fork, length, at);
            return Some(route(also_here));
        }
        let elsewhere = self.shared.least_loaded();
        // What is decoded here already has its positions from the call's beginning; the silence before is overlaid by the
        // first piece.
        let begins = if elsewhere.is_none() && flow.also_here { Duration::ZERO } else { length };
        let recording = flow.fork.recording.clone();
        let piece = self.shared.runs().go_on(&recording, begins)?;
        flow.branch.live.calls.down();
        self.shared.moved.add(1);
        tracing::warn!(call = %flow.fork.call, worker = flow.branch.link.address, %piece, at_ms = length.as_millis() as u64,
            "a call lost its worker; what it heard last is missing, the rest goes on elsewhere");
        if let Some((link, live)) = elsewhere {
            // Nobody listens to a rest: see `speech`.
            flow.branch = Branch::begin(&flow.fork, piece, false, at, link, live);
            if flow.pauses.lasts() {
                flow.branch.pause(at);
            }
            return None;
        }
        let Flow { fork, also_here, opened, .. } = self.flows.remove(&tap)?;
        self.shared.fallbacks.add(1);
        self.back.insert(tap, (fork.clone(), opened));
        (self.shared.hooks.here)(Fork { recording: piece, ..fork });
        Some(if also_here { Route::Here } else { Route::Back })
    }

    fn close(&mut self, tap: TapKey, at: Instant) {
        let Some(mut flow) = self.flows.remove(&tap) else { return };
        for side in [Side::Customer, Side::Agent] {
            flow.confess(side);
        }
        let (length_us, packets) = (flow.branch.since(at), flow.branch.packets);
        flow.branch.tell(|flow| ToWorker::Close { flow, length_us, packets });
        flow.branch.live.calls.down();
        let length = at.saturating_duration_since(flow.opened);
        self.shared.close(&flow.fork, length, at);
    }
}

fn route(also_here: bool) -> Route {
    if also_here { Route::Both } else { Route::Away }
}

impl Flow {
    fn route(&self) -> Route {
        route(self.also_here)
    }

    fn media(&mut self, media: &TapMedia) {
        let voice = &mut self.voices[media.side as usize];
        let overtaken = voice.last.is_some_and(|last| media.seq <= last);
        if self.pauses.covers(media) {
            voice.withheld = true;
            return self.branch.link.counters.withheld.add(1);
        }
        if voice.withheld {
            if overtaken {
                // From before the pause, and its number is taken.
                return self.branch.link.counters.withheld.add(1);
            }
            voice.withheld = false;
            voice.skipped += voice.last.map_or(0, |last| media.seq - last - 1);
        }
        voice.last = voice.last.max(Some(media.seq));
        let seq = media.seq.wrapping_sub(voice.skipped) as u16;
        if voice.unsent > 0 {
            self.confess(media.side);
        }
        let datagram = self.branch.datagram(media, seq);
        let len = datagram.len() as u64;
        match self.branch.live.send(datagram) {
            Sent::Yes => {
                self.branch.packets += 1;
                self.branch.link.counters.packets.add(1);
                self.branch.link.counters.bytes.add(len);
            }
            Sent::Dropped => {
                self.branch.link.counters.dropped.add(1);
                let unsent = &mut self.voices[media.side as usize].unsent;
                *unsent = unsent.saturating_add(1);
            }
        }
    }

    /// Says how many packets of this side were not sent.
    fn confess(&mut self, side: Side) {
        let count = std::mem::take(&mut self.voices[side as usize].unsent);
        if count > 0 {
            self.branch.tell(|flow| ToWorker::Gap { flow, side, count });
        }
    }
}

impl Branch {
    /// `opened`: sample 0 of this piece.
    fn begin(
        fork: &Fork,
        recording: RecordingId,
        listen: bool,
        opened: Instant,
        link: Arc<Link>,
        live: Arc<Live>,
    ) -> Self {
        live.calls.up();
        let id = live.next_flow();
        let ssrc = [(id as u32).wrapping_mul(2), (id as u32).wrapping_mul(2).wrapping_add(1)];
        let Fork { call, started, format, consent, .. } = fork.clone();
        live.tell(ToWorker::Open(Open { flow: id, ssrc, call, recording, started, format, listen, consent }));
        Self { opened, link, live, id, ssrc, packets: 0 }
    }

    fn tell(&self, message: impl FnOnce(u64) -> ToWorker) {
        self.live.tell(message(self.id));
    }

    fn pause(&self, at: Instant) {
        let at_us = self.since(at);
        self.tell(|flow| ToWorker::Pause { flow, at_us });
    }

    fn since(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.opened).as_micros() as u64
    }

    fn datagram(&self, media: &TapMedia, seq: u16) -> Vec<u8> {
        let packet = roq::Rtp {
            payload_type: roq::OPUS,
            marker: false,
            seq,
            time: media.rtp_time,
            ssrc: self.ssrc[media.side as usize],
            payload: media.payload.bytes(),
        };
        let flow = roq::FlowId::new(self.id).expect("flows are counted from 0; 2^62 calls take longer");
        roq::write_datagram(flow, packet)
    }
}
