//! A whole call in one struct: the bridge, its peers, the network between them, and a clock that only we move.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use tandem::media::{Bridge, Identity, Leg, LegKey, MediaEvent, OutgoingLeg, Output};
use tandem::model::id::{CallId, LegId};
use tandem::model::rtp::TapRecord;

use crate::network::Network;
use crate::peer::{Heard, Peer, Role, Style};

pub(crate) const CUSTOMER: LegKey = LegKey(1);

pub(crate) fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// Where WhatsApp sends to: the customer leg's own socket.
pub(crate) fn customer_socket() -> SocketAddr {
    address("127.0.0.1:40000")
}

/// Where browsers send to: the shard's one agent port.
pub(crate) fn agent_port() -> SocketAddr {
    address("127.0.0.1:5000")
}

pub(crate) fn identity() -> &'static Identity {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    IDENTITY.get_or_init(Identity::generate)
}

#[allow(clippy::disallowed_methods, reason = "a simulation's clock has to start somewhere")]
pub(crate) fn start_of_time() -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(|| Instant::now() + Duration::from_secs(3600))
}

pub(crate) fn leg_id(name: &str) -> LegId {
    LegId::parse(name).unwrap()
}

/// What left the gateway.
pub(crate) struct Sent {
    pub(crate) at: Instant,
    pub(crate) leg: LegKey,
    pub(crate) to: SocketAddr,
    pub(crate) contents: Vec<u8>,
}

impl Sent {
    /// Media and no RTCP (RFC 5761 section 4).
    pub(crate) fn is_rtp(&self) -> bool {
        (128..192).contains(&self.contents[0]) && !(64..96).contains(&(self.contents[1] & 0x7f))
    }
}

pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) bridge: Bridge,
    pub(crate) phone: Peer,
    pub(crate) browsers: Vec<Peer>,
    pub(crate) network: Network,
    pub(crate) told: Vec<(Instant, MediaEvent)>,
    pub(crate) copies: Vec<TapRecord>,
    pub(crate) sent: Vec<Sent>,
    pub(crate) validated: Vec<(LegKey, SocketAddr)>,
    /// What WhatsApp's side was sent as our description.
    pub(crate) our_text: String,
}

impl World {
    /// A user calls: WhatsApp offers, we answer.
    pub(crate) fn inbound(style: Style, seed: u64) -> Self {
        let now = start_of_time();
        let mut phone = Peer::phone(address("127.0.0.1:3480"), now);
        let offer = phone.whatsapp_sdp(style, "actpass", None);
        let (leg, answer) =
            Leg::answer_customer(CUSTOMER, leg_id("leg_customer"), identity(), &offer, customer_socket(), now).unwrap();
        phone.connect(&answer, Role::Phone, now);
        Self::new(leg, phone, answer, seed)
    }

    /// We call: we offer, WhatsApp answers with this `setup`.
    pub(crate) fn outbound(style: Style, setup: &str, seed: u64) -> Self {
        let now = start_of_time();
        let (leg, offer) =
            OutgoingLeg::offer_customer(CUSTOMER, leg_id("leg_customer"), identity(), customer_socket(), now);
        let mut phone = Peer::phone(address("127.0.0.1:3480"), now);
        let answer = phone.whatsapp_sdp(style, setup, Some(&offer));
        let leg = leg.accept(&answer, now).unwrap();
        let role = if setup == "active" { Role::PhoneThatStartsDtls } else { Role::Phone };
        phone.connect(&offer, role, now);
        Self::new(leg, phone, offer, seed)
    }

    fn new(leg: Leg, phone: Peer, our_text: String, seed: u64) -> Self {
        let now = start_of_time();
        let mut world = Self {
            now,
            bridge: Bridge::new(CallId::parse("call_sim").unwrap(), leg, now),
            phone,
            browsers: Vec::new(),
            network: Network::new(seed),
            told: Vec::new(),
            copies: Vec::new(),
            sent: Vec::new(),
            validated: Vec::new(),
            our_text,
        };
        world.collect();
        world
    }

    /// The usual call: both legs connected, the agent joined and the gate open, both sides speaking.
    pub(crate) fn talking(seed: u64) -> Self {
        let mut world = Self::inbound(Style::Live, seed);
        let agent = world.add_agent();
        world.run_ms(1_000);
        world.join(agent);
        world.open_gate();
        world.phone.speak(world.now);
        world.browsers[agent].speak(world.now);
        world.run_ms(1_000);
        world
    }

    /// Another browser offers its leg; returns its number.
    pub(crate) fn add_agent(&mut self) -> usize {
        let port = 50_000 + self.browsers.len() as u16;
        let mut browser = Peer::browser(SocketAddr::new([127, 0, 0, 1].into(), port), self.now);
        let offer = browser.browser_offer();
        self.attach_browser(browser, &offer)
    }

    /// A browser's leg with this offer, which may not be what the browser said.
    pub(crate) fn attach_browser(&mut self, mut browser: Peer, offer: &str) -> usize {
        let n = self.browsers.len();
        let (leg, answer) =
            Leg::answer_agent(agent_key(n), agent_id(n), identity(), offer, &[agent_port()], self.now).unwrap();
        self.bridge.attach(leg, self.now);
        browser.connect(&answer, Role::Browser, self.now);
        self.browsers.push(browser);
        self.collect();
        n
    }

    /// Copies of what this address has under way.
    pub(crate) fn network_peek(&self, from: SocketAddr) -> Vec<Vec<u8>> {
        self.network.peek(from)
    }

    pub(crate) fn join(&mut self, agent: usize) {
        self.bridge.join(&agent_id(agent), self.now);
        self.collect();
    }

    pub(crate) fn detach(&mut self, agent: usize) {
        self.bridge.detach(&agent_id(agent), self.now);
        self.collect();
    }

    pub(crate) fn open_gate(&mut self) {
        self.bridge.open_gate(self.now);
        self.collect();
    }

    pub(crate) fn hold(&mut self, held: bool) {
        self.bridge.hold(held, self.now);
        self.collect();
    }

    pub(crate) fn run_ms(&mut self, ms: u64) {
        self.run_until(self.now + Duration::from_millis(ms));
    }

    pub(crate) fn run_until(&mut self, end: Instant) {
        self.collect();
        loop {
            let bridge_at = match self.bridge.poll_output(self.now) {
                Output::Timeout(at) => at,
                other => panic!("collected everything, but there is {other:?}"),
            };
            let peers = std::iter::once(&self.phone).chain(&self.browsers).map(Peer::poll_timeout);
            let next = peers.chain([bridge_at]).chain(self.network.next_at()).min().unwrap();
            if next > end {
                self.now = end;
                return;
            }
            self.now = next.max(self.now);
            while let Some(d) = self.network.take(self.now) {
                self.deliver(d.from, d.to, &d.contents);
            }
            if bridge_at <= self.now {
                self.bridge.handle_timeout(self.now);
            }
            for peer in std::iter::once(&mut self.phone).chain(&mut self.browsers) {
                if peer.poll_timeout() <= self.now {
                    peer.handle_timeout(self.now);
                }
            }
            self.collect();
        }
    }

    /// A datagram arrives, whoever sent it.
    pub(crate) fn deliver(&mut self, from: SocketAddr, to: SocketAddr, contents: &[u8]) {
        if to == customer_socket() {
            self.bridge.handle_datagram(CUSTOMER, from, contents, self.now);
        } else if to == agent_port() {
            // The shard's demultiplexer is not what is tried here: a stranger's datagram goes to the first agent's leg.
            let n = self.browsers.iter().position(|b| b.address == from).unwrap_or(0);
            self.bridge.handle_datagram(agent_key(n), from, contents, self.now);
        } else if to == self.phone.address {
            self.phone.handle_datagram(from, contents, self.now);
        } else if let Some(browser) = self.browsers.iter_mut().find(|b| b.address == to) {
            browser.handle_datagram(from, contents, self.now);
        }
        self.collect();
    }

    /// Everything that wants out, goes out.
    pub(crate) fn collect(&mut self) {
        loop {
            match self.bridge.poll_output(self.now) {
                Output::Timeout(_) => break,
                Output::Tap(record) => self.copies.push(record),
                Output::Event(event) => self.told.push((self.now, event)),
                Output::Transmit(t) => {
                    let from = if t.leg == CUSTOMER { customer_socket() } else { agent_port() };
                    self.network.send(from, t.destination, t.contents.clone(), self.now);
                    self.sent.push(Sent { at: self.now, leg: t.leg, to: t.destination, contents: t.contents });
                }
            }
        }
        while let Some(validated) = self.bridge.poll_validated() {
            self.validated.push(validated);
        }
        for peer in std::iter::once(&mut self.phone).chain(&mut self.browsers) {
            for (to, contents) in std::mem::take(&mut peer.outbox) {
                self.network.send(peer.address, to, contents, self.now);
            }
        }
    }

    pub(crate) fn events(&self) -> impl Iterator<Item = &MediaEvent> {
        self.told.iter().map(|(_, event)| event)
    }

    pub(crate) fn is_lost(&self, leg: &str) -> bool {
        self.events().any(|e| matches!(e, MediaEvent::Lost { leg: lost, .. } if lost.as_str() == leg))
    }
}

pub(crate) fn agent_key(n: usize) -> LegKey {
    LegKey(100 + n as u64)
}

pub(crate) fn agent_id(n: usize) -> LegId {
    leg_id(&format!("leg_agent{n}"))
}

/// One stream for the life of the leg: one source, no place used twice, time never behind by more than reordering explains.
#[track_caller]
pub(crate) fn assert_one_line(heard: &[Heard]) {
    assert!(!heard.is_empty());
    let mut sorted = heard.to_vec();
    sorted.sort_by_key(|h| h.seq);
    for pair in sorted.windows(2) {
        assert_eq!(pair[0].ssrc, pair[1].ssrc, "one source");
        assert_ne!(pair[0].seq, pair[1].seq, "no place twice");
        let step = pair[1].time.wrapping_sub(pair[0].time) as i32;
        assert!((0..=960 * 600).contains(&step), "time goes on: {pair:?}");
    }
}

/// The sequence has no hole at all: on a network without loss.
#[track_caller]
pub(crate) fn assert_gapless(heard: &[Heard]) {
    for pair in heard.windows(2) {
        assert_eq!(pair[1].seq, pair[0].seq + 1, "{pair:?}");
    }
}

/// The longest time without a packet.
pub(crate) fn longest_silence(heard: &[Heard], from: Instant, until: Instant) -> Duration {
    let times = heard.iter().map(|h| h.at).filter(|at| *at >= from && *at <= until);
    let mut last = from;
    let mut longest = Duration::ZERO;
    for at in times.chain([until]) {
        longest = longest.max(at - last);
        last = at;
    }
    longest
}
