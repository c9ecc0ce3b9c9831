//! One call as its shard sees it: the bridge, the customer's socket, and who may send to which leg.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::ShardEvent;
use super::demux::{Demux, Route};
use super::outbox::Outbox;
use super::socket::AgentPort;
use super::stats::Stats;
use super::tap_ring::TapRing;
use super::timer::{Alarm, Timers};
use super::worker::CallKey;
use crate::media::{Bridge, Leg, LegKey, MediaEvent, Output, Transmit};
use crate::model::id::{CallId, LegId};

/// A closed call has this long to say its goodbyes.
const GOODBYE_MAX: Duration = Duration::from_secs(2);

/// A peer that keeps validating new addresses loses its oldest one; roaming phones need two.
const SOURCES_MAX: usize = 8;

/// What the outputs of a call can reach; everything of a shard that is not a call.
pub(super) struct Outside {
    pub agents: AgentPort,
    pub demux: Demux,
    pub timers: Timers,
    pub taps: TapRing,
    pub outbox: Outbox,
    /// Counters that no bridge keeps, and those of bridges that are gone.
    pub stats: Stats,
    /// The datagram in hand came from this agent to this address of ours; a first answer has nothing else to go by.
    pub asked: Option<(SocketAddr, IpAddr)>,
}

/// A call, and what belongs to it on this shard.
pub(super) struct Call {
    key: CallKey,
    pub bridge: Bridge,
    /// The customer's; an echo has none.
    pub socket: Option<mio::net::UdpSocket>,
    customer: Option<LegName>,
    /// Addresses that ICE has validated for the customer's leg.
    sources: Vec<SocketAddr>,
    agents: Vec<AgentLeg>,
    alarm: Alarm,
    /// The end was asked for; by then it must be over.
    ends: Option<Instant>,
    /// The bridge panicked: it is not touched again.
    broken: bool,
    /// The socket may hold more, and the call stands in the worker's queue.
    pub queued: bool,
}

struct LegName {
    key: LegKey,
    id: LegId,
}

struct AgentLeg {
    name: LegName,
    ufrag: String,
    addresses: Vec<SocketAddr>,
}

impl Call {
    pub(super) fn new(key: CallKey, bridge: Bridge, customer: (LegKey, LegId), socket: UdpSocket) -> Self {
        Self {
            socket: Some(mio::net::UdpSocket::from_std(socket)),
            customer: Some(LegName { key: customer.0, id: customer.1 }),
            ..Self::bare(key, bridge)
        }
    }

    /// An agent's leg that hears itself, on the port of all agents.
    pub(super) fn echo(key: CallKey, id: CallId, leg: Leg, outside: &mut Outside, now: Instant) -> Self {
        let agent = AgentLeg::expect(key, &leg, outside);
        Self { agents: vec![agent], ..Self::bare(key, Bridge::echo(id, leg, now)) }
    }

    fn bare(key: CallKey, bridge: Bridge) -> Self {
        Self {
            key,
            bridge,
            socket: None,
            customer: None,
            sources: Vec::new(),
            agents: Vec::new(),
            alarm: Alarm::default(),
            ends: None,
            broken: false,
            queued: false,
        }
    }

    /// `None` of an echo.
    pub(super) fn customer(&self) -> Option<LegKey> {
        self.customer.as_ref().map(|customer| customer.key)
    }

    pub(super) fn leg_count(&self) -> usize {
        usize::from(self.customer.is_some()) + self.agents.len()
    }

    /// Changes the bridge and carries its outputs where they belong. A panic inside ends this call and no other.
    pub(super) fn act(&mut self, outside: &mut Outside, now: Instant, change: impl FnOnce(&mut Bridge)) {
        if self.broken {
            return;
        }
        let turn = catch_unwind(AssertUnwindSafe(|| {
            change(&mut self.bridge);
            self.drain(outside, now);
        }));
        if turn.is_err() {
            self.broken = true;
            outside.stats.panics += 1;
            tracing::error!(call = %self.bridge.call(), "the call's media panicked; it ends here");
        }
    }

    pub(super) fn attach(&mut self, leg: Leg, outside: &mut Outside, now: Instant) {
        self.agents.push(AgentLeg::expect(self.key, &leg, outside));
        self.act(outside, now, |bridge| bridge.attach(leg, now));
    }

    /// Says goodbye on every leg. It is over when [`Call::is_over`] says so.
    pub(super) fn close(&mut self, outside: &mut Outside, now: Instant) {
        if self.ends.is_some() {
            return;
        }
        self.ends = Some(now + GOODBYE_MAX);
        self.act(outside, now, |bridge| bridge.close(now));
    }

    /// An entry of the call's alarm came up.
    pub(super) fn ring(&mut self, at: Instant, outside: &mut Outside, now: Instant) {
        if outside.timers.ring(self.key, &mut self.alarm, at, now) {
            self.act(outside, now, |bridge| bridge.handle_timeout(now));
        }
    }

    /// Whether nothing more will come of it: closed, out of time, or broken.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.broken || self.ends.is_some_and(|ends| ends <= now) || self.bridge.is_closed()
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether ICE has validated this address for the customer's leg.
    pub(super) fn knows(&self, source: SocketAddr) -> bool {
        self.sources.contains(&source)
    }

    /// Forgets the routes of legs that the bridge has no more.
    pub(super) fn drop_gone_legs(&mut self, outside: &mut Outside) {
        if self.broken || self.bridge.legs().count() == self.leg_count() {
            return;
        }
        let bridge = &self.bridge;
        self.agents.retain(|agent| {
            let stays = bridge.legs().any(|(key, ..)| key == agent.name.key);
            if !stays {
                agent.forget(&mut outside.demux);
            }
            stays
        });
    }

    /// The end: routes are forgotten, figures kept, and the desk is told.
    pub(super) fn bury(mut self, outside: &mut Outside, now: Instant) {
        for agent in &self.agents {
            agent.forget(&mut outside.demux);
        }
        let call = self.bridge.call().clone();
        if self.broken {
            let legs = self.customer.iter().chain(self.agents.iter().map(|agent| &agent.name));
            for leg in legs {
                let event = MediaEvent::Lost { leg: leg.id.clone(), reason: "its media code panicked".to_owned() };
                outside.outbox.push(ShardEvent::Media { call: call.clone(), event });
            }
        }
        // A broken bridge may panic once more when it is asked or dropped.
        let last_words = catch_unwind(AssertUnwindSafe(|| {
            for record in self.bridge.last_taps(now) {
                outside.taps.push(record);
            }
            let counters = self.bridge.counters();
            drop(self);
            counters
        }));
        if let Ok(counters) = last_words {
            outside.stats.add(counters);
        }
        outside.outbox.push(ShardEvent::Closed { call });
    }

    fn drain(&mut self, outside: &mut Outside, now: Instant) {
        loop {
            match self.bridge.poll_output(now) {
                Output::Transmit(transmit) => self.transmit(&transmit, outside),
                Output::Tap(record) => outside.taps.push(record),
                Output::Event(event) => {
                    outside.outbox.push(ShardEvent::Media { call: self.bridge.call().clone(), event });
                }
                Output::Timeout(deadline) => {
                    let deadline = self.ends.map_or(deadline, |ends| ends.min(deadline));
                    outside.timers.set(self.key, &mut self.alarm, deadline);
                    break;
                }
            }
        }
        while let Some((leg, address)) = self.bridge.poll_validated() {
            self.learn(leg, address, outside);
        }
    }

    /// Sends at once. There is no batch to wait for: each packet goes to another peer, and nothing safe sends to several
    /// peers with one system call.
    fn transmit(&self, transmit: &Transmit, outside: &mut Outside) {
        let sent = match &self.socket {
            Some(socket) if Some(transmit.leg) == self.customer() => {
                socket.send_to(&transmit.contents, transmit.destination).map(drop)
            }
            _ => {
                let local = outside.local_for(transmit.destination);
                outside.agents.send(transmit.destination, local, &transmit.contents)
            }
        };
        match sent {
            Ok(()) => outside.stats.packets_out += 1,
            // A full buffer, a route that is gone: the network may lose packets anywhere, so why not here.
            Err(error) => {
                outside.stats.dropped_sends += 1;
                tracing::trace!(destination = %transmit.destination, %error, "datagram not sent");
            }
        }
    }

    fn learn(&mut self, leg: LegKey, address: SocketAddr, outside: &mut Outside) {
        if Some(leg) == self.customer() {
            if !self.sources.contains(&address) {
                if self.sources.len() == SOURCES_MAX {
                    self.sources.remove(0);
                }
                self.sources.push(address);
            }
            return;
        }
        let Some(agent) = self.agents.iter_mut().find(|agent| agent.name.key == leg) else { return };
        if !agent.addresses.contains(&address) {
            if agent.addresses.len() == SOURCES_MAX {
                outside.demux.forget_address(agent.addresses.remove(0), leg);
            }
            agent.addresses.push(address);
        }
        let local = outside.local_for(address);
        outside.demux.learn(address, Route { call: self.key, leg }, local);
    }
}

impl AgentLeg {
    /// Its first check will be known by its username fragment.
    fn expect(call: CallKey, leg: &Leg, outside: &mut Outside) -> Self {
        let name = LegName { key: leg.key(), id: leg.id().clone() };
        let ufrag = leg.ufrag().to_owned();
        outside.demux.expect(&ufrag, Route { call, leg: name.key });
        Self { name, ufrag, addresses: Vec::new() }
    }

    fn forget(&self, demux: &mut Demux) {
        demux.forget_ufrag(&self.ufrag);
        for address in &self.addresses {
            demux.forget_address(*address, self.name.key);
        }
    }
}

impl Outside {
    /// The address of ours that an agent at `peer` expects answers from; `None` leaves it to the kernel, which is right
    /// whenever we listen on one address only.
    fn local_for(&self, peer: SocketAddr) -> Option<IpAddr> {
        if !self.agents.wildcard {
            return None;
        }
        match self.asked {
            Some((asker, local)) if asker == peer => Some(local),
            _ => self.demux.local_of(peer),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::channel;

    use super::*;
    use crate::media::Identity;
    use crate::model::rtp::{TapKey, TapRecord};
    use crate::model::time::Clock;
    use crate::shard::tests::own_loopback;
    use crate::shard::tests::peer::Peer;

    #[test]
    fn a_panic_ends_its_own_call_and_the_desk_hears_of_every_leg() {
        let (now, ip, identity) = (Clock.instant(), own_loopback(30), Identity::generate());
        let (sender, mut desk) = channel(10);
        let (taps, mut copied) = rtrb::RingBuffer::new(10);
        let mut outside = Outside {
            agents: AgentPort::bind(SocketAddr::new(ip, 0)).unwrap(),
            demux: Demux::default(),
            timers: Timers::default(),
            taps: TapRing::new(taps),
            outbox: Outbox::new(sender),
            stats: Stats::default(),
            asked: None,
        };
        let socket = UdpSocket::bind(SocketAddr::new(ip, 0)).unwrap();
        let (phone, browser) = (Peer::whatsapp(ip, now).1, Peer::browser(ip, now).1);
        let (customer_id, agent_id) = (LegId::generate(), LegId::generate());
        let local = socket.local_addr().unwrap();
        let customer = Leg::answer_customer(LegKey(1), customer_id.clone(), &identity, &phone, local, now).unwrap().0;
        let agent = Leg::answer_agent(LegKey(2), agent_id.clone(), &identity, &browser, &[local], now).unwrap().0;
        let bridge = Bridge::new(CallId::generate(), customer, now);
        let mut call = Call::new(CallKey::default(), bridge, (LegKey(1), customer_id.clone()), socket);
        call.attach(agent, &mut outside, now);
        assert!(!call.is_over(now));

        call.act(&mut outside, now, |bridge| bridge.start_tap(TapKey(1), now));
        call.act(&mut outside, now, |_| panic!("planted"));
        assert!(call.is_broken() && call.is_over(now));
        call.act(&mut outside, now, |_| unreachable!("a broken bridge is left alone"));
        call.bury(&mut outside, now);
        assert_eq!(outside.stats.panics, 1);
        let copied: Vec<TapRecord> = std::iter::from_fn(|| copied.pop().ok()).collect();
        assert!(matches!(copied[..], [TapRecord::Open { .. }, TapRecord::Close { tap: TapKey(1), .. }]), "{copied:?}");
        let mut lost = Vec::new();
        while let Ok(ShardEvent::Media { event, .. }) = desk.try_recv() {
            if let MediaEvent::Lost { leg, .. } = event {
                lost.push(leg);
            }
        }
        assert_eq!(lost, [customer_id, agent_id], "and then Closed, which ended the loop");
    }
}
