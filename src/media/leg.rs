//! One leg of a call: str0m's `Rtc` behind one rule (one change, then drain), the source gate and a panic boundary.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use str0m::media::{Mid, Pt};
use str0m::rtp::{ExtensionValues, RtpPacket, RtpWrite, Ssrc};
use str0m::{Candidate, Event, IceConnectionState, Input, Rtc, RtcError};

use super::gate::{Gate, Passed};
use super::line::Place;
use super::sdp::{Description, SdpError};
use super::{Counters, MediaEvent, Transmit};
use crate::model::id::LegId;
use crate::model::reason::LegKind;

/// Names a leg within its shard without touching a string. Unique in the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LegKey(pub u64);

/// A connected peer sends checks, reports or audio all the time; one that sends nothing at all is gone, whatever ICE still hopes.
const PEER_SILENT_MAX: Duration = Duration::from_secs(10);

/// WhatsApp may learn our description as late as it is accepted, after a whole ring; a browser connects at once.
const CUSTOMER_SETUP_MAX: Duration = Duration::from_secs(60);
const AGENT_SETUP_MAX: Duration = Duration::from_secs(20);

/// Saying goodbye takes one drain; who cannot finish it is cut.
const CLOSING_MAX: Duration = Duration::from_secs(1);

/// Sources a peer may have tried; only one is ever meant to speak.
const SOURCES_MAX: usize = 4;

/// One turn of str0m gives a handful of outputs; this many is a fault in it.
const OUTPUTS_PER_TURN_MAX: usize = 4096;

/// One audio or telephone-event packet as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) ssrc: u32,
    /// Full width: the rollovers are counted in.
    pub(super) seq: u64,
    /// RTP time as on the wire, 48 kHz.
    pub(super) time: u32,
    pub(super) marker: bool,
    pub(super) pt: Pt,
    pub(super) payload: Arc<[u8]>,
    /// What the sender says about its loudness, −127…0 dBov (RFC 6464).
    pub(super) level: Option<i8>,
    pub(super) at: Instant,
}

/// What a bridge's legs put their output into.
#[derive(Debug, Default)]
pub(super) struct Sink {
    pub(super) transmits: VecDeque<Transmit>,
    pub(super) events: VecDeque<MediaEvent>,
    pub(super) validated: VecDeque<(LegKey, SocketAddr)>,
    pub(super) counters: Counters,
    /// A leg was connected or lost; the bridge has to look.
    pub(super) changed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Connecting { until: Instant },
    Connected,
    Closing { until: Instant },
    Dead,
}

/// One leg of a call: str0m's `Rtc` behind mutate-then-drain, the source gate and a panic boundary.
pub struct Leg {
    key: LegKey,
    id: LegId,
    kind: LegKind,
    /// We called: the peer waits for our first packet before anybody has picked up.
    is_outgoing: bool,
    ufrag: String,
    rtc: Box<Rtc>,
    locals: Vec<SocketAddr>,
    remotes: Vec<SocketAddr>,
    mid: Mid,
    opus: Pt,
    events: Vec<(Pt, u32)>,
    ssrc: Option<Ssrc>,
    /// Sources the `Rtc` knows, the newest last.
    sources: Vec<u32>,
    gate: Gate,
    state: State,
    deadline: Instant,
    last_datagram: Instant,
    heard: VecDeque<Heard>,
    sent: u64,
    rtt: RoundTrip,
    /// The peer said goodbye; ours is on its way out.
    closed_by_peer: bool,
    #[cfg(debug_assertions)]
    panic_next: bool,
}

/// Round trips from three places, the best last.
#[derive(Clone, Copy, Debug, Default)]
struct RoundTrip {
    by_checks: Option<Duration>,
    by_extended_reports: Option<Duration>,
    by_reports: Option<Duration>,
}

/// Who a new leg is.
pub(super) struct Names {
    pub(super) key: LegKey,
    pub(super) id: LegId,
    pub(super) kind: LegKind,
    /// We called.
    pub(super) is_outgoing: bool,
}

/// Faults for tests to plant; not in a release.
#[cfg(debug_assertions)]
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Every datagram reaches the `Rtc`, whoever sent it.
    GateRemoved,
    /// The next turn of the leg panics.
    Panic,
}

impl Leg {
    pub(super) fn new(
        names: Names,
        mut rtc: Rtc,
        mid: Mid,
        theirs: &Description,
        locals: &[SocketAddr],
        now: Instant,
    ) -> Result<Self, SdpError> {
        if rtc.media(mid).is_none() {
            return Err(SdpError::Refused);
        }
        let mut direct = rtc.direct_api();
        let ufrag = direct.local_ice_credentials().ufrag;
        let ssrc = direct.stream_tx_by_mid(mid, None).map(|stream| stream.ssrc());
        let setup_max = match names.kind {
            LegKind::WhatsApp => CUSTOMER_SETUP_MAX,
            LegKind::Agent => AGENT_SETUP_MAX,
        };
        Ok(Self {
            key: names.key,
            id: names.id,
            kind: names.kind,
            is_outgoing: names.is_outgoing,
            ufrag,
            rtc: Box::new(rtc),
            locals: locals.to_vec(),
            remotes: theirs.candidates().collect(),
            mid,
            opus: theirs.opus().into(),
            events: theirs.events().iter().map(|(pt, hz)| ((*pt).into(), *hz)).collect(),
            ssrc,
            sources: theirs.ssrc().into_iter().collect(),
            gate: Gate::new(now),
            state: State::Connecting { until: now + setup_max },
            deadline: now,
            last_datagram: now,
            heard: VecDeque::with_capacity(4),
            sent: 0,
            rtt: RoundTrip::default(),
            closed_by_peer: false,
            #[cfg(debug_assertions)]
            panic_next: false,
        })
    }

    pub fn key(&self) -> LegKey {
        self.key
    }

    pub fn id(&self) -> &LegId {
        &self.id
    }

    pub fn kind(&self) -> LegKind {
        self.kind
    }

    /// Our ICE username fragment: how the shard's demultiplexer finds the leg.
    pub fn ufrag(&self) -> &str {
        &self.ufrag
    }

    pub(super) fn is_connected(&self) -> bool {
        self.state == State::Connected
    }

    pub(super) fn is_outgoing(&self) -> bool {
        self.is_outgoing
    }

    pub(super) fn is_dead(&self) -> bool {
        self.state == State::Dead
    }

    pub(super) fn opus(&self) -> Pt {
        self.opus
    }

    /// Any number that differs between our streams.
    pub(super) fn seed(&self) -> u32 {
        self.ssrc.map_or(self.key.0 as u32, |ssrc| *ssrc)
    }

    /// The clock of the telephone-event format with this payload type.
    pub(super) fn event_clock(&self, pt: Pt) -> Option<u32> {
        self.events.iter().find(|(event, _)| *event == pt).map(|(_, hz)| *hz)
    }

    /// The telephone-event format to send: that of the audio's own clock where the peer has it.
    pub(super) fn event_format(&self) -> Option<(Pt, u32)> {
        self.events.iter().copied().max_by_key(|(_, hz)| *hz)
    }

    pub(super) fn packets_sent(&self) -> u64 {
        self.sent
    }

    pub(super) fn rtt(&self) -> Option<Duration> {
        self.rtt.by_reports.or(self.rtt.by_extended_reports).or(self.rtt.by_checks)
    }

    /// When [`Self::handle_timeout`] wants to be called. `None` once dead.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Connecting { until } | State::Closing { until } => Some(self.deadline.min(until)),
            State::Connected => Some(self.deadline.min(self.last_datagram + PEER_SILENT_MAX)),
            State::Dead => None,
        }
    }

    /// The next packet that arrived with the last datagram.
    pub(super) fn poll_heard(&mut self) -> Option<Heard> {
        self.heard.pop_front()
    }

    /// Lets the connection begin.
    pub(super) fn start(&mut self, now: Instant, sink: &mut Sink) {
        self.turn(sink, |_| Ok(()));
        self.handle_timeout(now, sink);
    }

    /// Takes a datagram through the gate. `None` = it stopped there and left no trace but a count.
    pub(super) fn handle_datagram(
        &mut self,
        source: SocketAddr,
        datagram: &[u8],
        now: Instant,
        sink: &mut Sink,
    ) -> Option<Passed> {
        if self.is_dead() {
            return None;
        }
        let local = self.local_for(source);
        let passed = catch_unwind(AssertUnwindSafe(|| self.gate.pass(&self.rtc, source, local, datagram, now)));
        let Ok(passed) = passed else {
            self.poisoned(sink);
            return None;
        };
        let Some((kind, receive)) = passed else {
            sink.counters.strangers += 1;
            return None;
        };
        self.last_datagram = now;
        if let Passed::Rtp { ssrc } = kind
            && self.sources.last() != Some(&ssrc)
        {
            self.meet_source(ssrc, sink);
        }
        self.turn(sink, |rtc| rtc.handle_input(Input::Receive(now, receive)));
        if kind == Passed::Stun
            && !self.is_dead()
            && let Some(address) = self.gate.learn(&self.rtc, source, local, now)
        {
            sink.validated.push_back((self.key, address));
        }
        Some(kind)
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, sink: &mut Sink) {
        match self.state {
            State::Dead => return,
            State::Connecting { until } if now >= until => return self.lose("it did not connect in time", sink),
            State::Connected if now >= self.last_datagram + PEER_SILENT_MAX => {
                return self.lose("the peer fell silent", sink);
            }
            State::Closing { until } if now >= until => return self.lose("its goodbye took too long", sink),
            State::Connecting { .. } | State::Connected | State::Closing { .. } => {}
        }
        self.turn(sink, |rtc| rtc.handle_input(Input::Timeout(now)));
    }

    /// Sends one packet in this very turn. `false` when the leg cannot send.
    pub(super) fn send(
        &mut self,
        place: Place,
        pt: Pt,
        payload: Arc<[u8]>,
        captured: Instant,
        now: Instant,
        sink: &mut Sink,
    ) -> bool {
        let (State::Connected, Some(ssrc)) = (self.state, self.ssrc) else { return false };
        self.sent += 1;
        self.turn(sink, |rtc| {
            let mut direct = rtc.direct_api();
            if let Some(stream) = direct.stream_tx(&ssrc) {
                let packet = RtpWrite::new(pt, place.seq.into(), place.time, captured, payload)
                    .marker(place.marker)
                    .ext_vals(ExtensionValues::default())
                    .nackable(false);
                stream.write_rtp(packet);
            }
            // Time moves only through an input; without one the packet would stay where it is.
            rtc.handle_input(Input::Timeout(now))
        });
        true
    }

    /// Says goodbye: RTCP BYE and DTLS close_notify go out with this drain.
    pub(super) fn close(&mut self, now: Instant, sink: &mut Sink) {
        match self.state {
            State::Connected => {
                self.state = State::Closing { until: now + CLOSING_MAX };
                self.turn(sink, Rtc::close);
            }
            State::Connecting { .. } => {
                self.rtc.disconnect();
                self.state = State::Dead;
                sink.changed = true;
            }
            State::Closing { .. } | State::Dead => {}
        }
    }

    #[cfg(debug_assertions)]
    pub(super) fn plant(&mut self, fault: Fault) {
        match fault {
            Fault::GateRemoved => self.gate.removed = true,
            Fault::Panic => self.panic_next = true,
        }
    }

    /// One change, then everything that came of it. A panic inside ends this leg and no other.
    fn turn(&mut self, sink: &mut Sink, change: impl FnOnce(&mut Rtc) -> Result<(), RtcError>) {
        if self.is_dead() {
            return;
        }
        let turned = catch_unwind(AssertUnwindSafe(|| {
            #[cfg(debug_assertions)]
            assert!(!std::mem::take(&mut self.panic_next), "planted by a test");
            // What a datagram breaks is only that datagram: anybody can send one from a forged address.
            if let Err(error) = change(&mut self.rtc) {
                tracing::trace!(leg = %self.id, %error, "refused input");
            }
            self.drain(sink)
        }));
        match turned {
            Ok(Ok(())) => {}
            Ok(Err(reason)) => self.lose(reason, sink),
            Err(_) => self.poisoned(sink),
        }
    }

    fn drain(&mut self, sink: &mut Sink) -> Result<(), &'static str> {
        for _ in 0..OUTPUTS_PER_TURN_MAX {
            match self.rtc.poll_output() {
                Ok(str0m::Output::Timeout(at)) => {
                    self.deadline = at;
                    return self.after_drain();
                }
                Ok(str0m::Output::Transmit(transmit)) => sink.transmits.push_back(Transmit {
                    leg: self.key,
                    destination: transmit.destination,
                    contents: transmit.contents.into(),
                }),
                Ok(str0m::Output::Event(Event::RtpPacket(packet))) => self.heard.push_back(heard(packet)),
                Ok(str0m::Output::Event(event)) => self.note(event, sink)?,
                Err(error) => {
                    tracing::debug!(leg = %self.id, %error, "media stack failed");
                    return Err("its encryption failed");
                }
            }
        }
        Err("it made endless output")
    }

    fn after_drain(&mut self) -> Result<(), &'static str> {
        if self.closed_by_peer {
            return Err("the peer closed it");
        }
        if !self.rtc.is_alive() {
            return Err("its encryption could not be agreed on");
        }
        Ok(())
    }

    fn note(&mut self, event: Event, sink: &mut Sink) -> Result<(), &'static str> {
        match event {
            Event::Connected => {
                if let State::Connecting { .. } = self.state {
                    self.state = State::Connected;
                    sink.changed = true;
                    sink.events.push_back(MediaEvent::Connected { leg: self.id.clone() });
                }
            }
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) => match self.state {
                State::Connecting { .. } => self.try_candidates_again(),
                State::Connected => return Err("the peer no longer answers connectivity checks"),
                State::Closing { .. } | State::Dead => {}
            },
            Event::Closed => self.closed_by_peer = true,
            Event::PeerStats(stats) => {
                let round_trip = stats.selected_candidate_pair.and_then(|pair| pair.current_round_trip_time);
                self.rtt.by_checks = round_trip.or(self.rtt.by_checks);
            }
            Event::MediaIngressStats(stats) => {
                self.rtt.by_extended_reports = stats.rtt.or(self.rtt.by_extended_reports)
            }
            Event::MediaEgressStats(stats) => self.rtt.by_reports = stats.rtt.or(self.rtt.by_reports),
            _ => {}
        }
        Ok(())
    }

    /// A peer that learns our description late has not answered a single check yet, and ICE has given up its addresses.
    fn try_candidates_again(&mut self) {
        for address in &self.remotes {
            if let Ok(candidate) = Candidate::host(*address, "udp") {
                self.rtc.direct_api().invalidate_candidate(&candidate);
                self.rtc.add_remote_candidate(candidate);
            }
        }
    }

    /// A source the description did not name speaks. WhatsApp's relay may change it, and with one audio section it can only be
    /// that section's. Forgeries cannot be told apart before decryption, so only a few are remembered, the oldest going first.
    fn meet_source(&mut self, ssrc: u32, sink: &mut Sink) {
        if let Some(at) = self.sources.iter().position(|known| *known == ssrc) {
            let known = self.sources.remove(at);
            self.sources.push(known);
            return;
        }
        sink.counters.unknown_ssrc += 1;
        if !self.is_connected() {
            return;
        }
        let forgotten = (self.sources.len() == SOURCES_MAX).then(|| self.sources.remove(0));
        self.sources.push(ssrc);
        let mid = self.mid;
        self.turn(sink, |rtc| {
            let mut direct = rtc.direct_api();
            if let Some(forgotten) = forgotten {
                direct.remove_stream_rx(forgotten.into());
            }
            direct.expect_stream_rx(ssrc.into(), None, mid, None).suppress_nack(true);
            Ok(())
        });
    }

    fn local_for(&self, source: SocketAddr) -> SocketAddr {
        let fits = |local: &&SocketAddr| local.is_ipv4() == source.is_ipv4();
        let near = |local: &&SocketAddr| fits(local) && local.ip().is_loopback() == source.ip().is_loopback();
        let first = self.locals.iter().find(near).or_else(|| self.locals.iter().find(fits));
        *first.unwrap_or(&self.locals[0])
    }

    fn lose(&mut self, reason: &'static str, sink: &mut Sink) {
        if self.is_dead() {
            return;
        }
        let was_closing = matches!(self.state, State::Closing { .. });
        self.rtc.disconnect();
        self.state = State::Dead;
        sink.changed = true;
        if !was_closing {
            sink.events.push_back(MediaEvent::Lost { leg: self.id.clone(), reason: reason.to_owned() });
        }
    }

    /// The `Rtc` panicked: it is never touched again.
    fn poisoned(&mut self, sink: &mut Sink) {
        sink.counters.panics += 1;
        sink.changed = true;
        self.state = State::Dead;
        self.heard.clear();
        tracing::error!(leg = %self.id, "media stack panicked, the leg is ended");
        sink.events.push_back(MediaEvent::Lost { leg: self.id.clone(), reason: "the media stack panicked".to_owned() });
    }
}

impl std::fmt::Debug for Leg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leg").field("id", &self.id).field("kind", &self.kind).field("state", &self.state).finish()
    }
}

fn heard(packet: RtpPacket) -> Heard {
    Heard {
        ssrc: *packet.header.ssrc,
        seq: *packet.seq_no,
        time: packet.header.timestamp,
        marker: packet.header.marker,
        pt: packet.header.payload_type,
        payload: packet.payload,
        level: packet.header.ext_vals.audio_level,
        at: packet.timestamp,
    }
}
