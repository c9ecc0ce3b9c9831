//! One call's legs, and who hears whom.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::dtmf::{CUSTOMER_CLOCK_HZ, Presses, TelephoneEvent};
use super::gate::Passed;
use super::leg::{Heard, Sink};
use super::line::Line;
use super::preroll::Preroll;
use super::quality::Reception;
use super::splice::{OwnFrame, OwnKind, Splice, Wanted};
use super::watchdog::{self, Activity, Expectation, Watch};
use super::{Counters, Leg, LegKey, MediaEvent, Transmit};
use crate::audio::toc;
use crate::model::id::{CallId, LegId};
use crate::model::reason::{LegKind, MediaAlarm};
use crate::model::rtp::{Side, TapKey, TapMedia, TapPayload, TapRecord};
use std::collections::VecDeque;

mod announcement;
mod echo;
mod tap;

/// How often the quality of a running leg is told.
const QUALITY_EVERY: Duration = Duration::from_secs(10);

/// A closed bridge wants nothing any more; this is "never" for a timer wheel.
const NEVER: Duration = Duration::from_secs(24 * 3600);

/// What comes out of a bridge. Drain it to `Timeout` after every change.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "a copied packet is inline on purpose: boxing it would allocate per packet"
)]
pub enum Output {
    /// Send this on the leg's socket.
    Transmit(Transmit),
    /// Copy this to the tap worker.
    Tap(TapRecord),
    /// Tell the desk.
    Event(MediaEvent),
    /// Nothing more now; call [`Bridge::handle_timeout`] then.
    Timeout(Instant),
}

/// One call's media: the customer's leg and any number of agents' legs, of which one is joined.
///
/// What the customer hears is one line for the life of the leg, and the bridge alone decides what is on it:
///
/// | | gate open |
/// |---|---|
/// | an announcement is due, and an agent is joined and connected | the announcement, which the agent hears too |
/// | held | hold music |
/// | an agent is joined and connected | the agent, silence in its pauses |
/// | that agent sent nothing for 3 s | hold music, until it does |
/// | nobody yet | silence |
/// | the agent was lost or detached | hold music |
///
/// While the gate is closed, a customer who calls us is sent no media at all, since WhatsApp takes the first packet for the pick-up;
/// a customer whom we call is sent silence, since there WhatsApp waits for our first packet and hangs up without it.
///
/// The customer is heard by the joined agent as soon as both legs are connected, gate or no gate, beginning up to half a second
/// before that.
pub struct Bridge {
    call: CallId,
    /// The customer first.
    seats: Vec<Seat>,
    joined: Option<LegId>,
    /// Somebody was joined and connected before: the customer then hears hold music, not silence, while nobody is.
    was_joined: bool,
    held: bool,
    gate: bool,
    /// An announcement is to be played, or is playing.
    announces: bool,
    /// The customer's key that forbids recording.
    opt_out: Option<char>,
    opted_out: bool,
    /// The joined agent stopped sending; its next packet ends this.
    is_absent: bool,
    closing: bool,
    /// The first seat is an agent who hears itself, and there is no customer.
    echoes: bool,
    splice: Splice,
    preroll: Preroll,
    tap: Option<TapKey>,
    tapped: VecDeque<TapRecord>,
    sink: Sink,
    next_look: Instant,
    next_quality: Instant,
}

/// One leg and what is kept about it.
struct Seat {
    leg: Leg,
    /// What an agent is sent; the customer's is in the splice.
    line: Line,
    reception: Reception,
    watch: Watch,
    presses: Presses,
    heard_told: bool,
    first_audio_told: bool,
    /// Goodbye is being said; the seat goes with the leg.
    leaving: bool,
    quality_told: bool,
}

impl Seat {
    fn new(leg: Leg) -> Self {
        Self {
            line: Line::new(leg.seed()),
            leg,
            reception: Reception::default(),
            watch: Watch::new(),
            presses: Presses::default(),
            heard_told: false,
            first_audio_told: false,
            leaving: false,
            quality_told: false,
        }
    }

    fn is_serving(&self) -> bool {
        self.leg.is_connected() && !self.leaving
    }
}

const CUSTOMER: usize = 0;

impl Bridge {
    /// A call begins with its customer's leg, which starts to connect at once.
    pub fn new(call: CallId, customer: Leg, now: Instant) -> Self {
        let mut bridge = Self {
            call,
            splice: Splice::new(customer.seed()),
            seats: vec![Seat::new(customer)],
            joined: None,
            was_joined: false,
            held: false,
            gate: false,
            announces: false,
            opt_out: None,
            opted_out: false,
            is_absent: false,
            closing: false,
            echoes: false,
            preroll: Preroll::new(),
            tap: None,
            tapped: VecDeque::new(),
            sink: Sink::default(),
            next_look: now + watchdog::TICK,
            next_quality: now + QUALITY_EVERY,
        };
        bridge.seats[CUSTOMER].leg.start(now, &mut bridge.sink);
        bridge.settle(now);
        bridge
    }

    pub fn call(&self) -> &CallId {
        &self.call
    }

    /// An agent's leg moves in and starts to connect. Nobody hears it before [`Self::join`].
    pub fn attach(&mut self, leg: Leg, now: Instant) {
        if self.closing {
            return;
        }
        self.seats.push(Seat::new(leg));
        let seat = self.seats.len() - 1;
        self.seats[seat].leg.start(now, &mut self.sink);
        self.settle(now);
    }

    /// The customer and this agent hear each other from now on; a formerly joined leg is left alone. An unknown leg changes nothing.
    pub fn join(&mut self, leg: &LegId, now: Instant) {
        if self.agent(leg).is_none() {
            tracing::debug!(call = %self.call, %leg, "join of a leg that is not here");
            return;
        }
        self.joined = Some(leg.clone());
        self.is_absent = false;
        self.decide(now);
        self.settle(now);
    }

    /// The customer may hear us from now on, and always will.
    pub fn open_gate(&mut self, now: Instant) {
        self.gate = true;
        self.decide(now);
        self.settle(now);
    }

    /// Hold: the customer hears music, the agent nothing.
    pub fn hold(&mut self, held: bool, now: Instant) {
        self.held = held;
        // What was said on hold was not said to the agent.
        self.preroll.clear();
        self.decide(now);
        self.settle(now);
    }

    /// The agent's leg is said goodbye to and forgotten. An unknown leg changes nothing.
    pub fn detach(&mut self, leg: &LegId, now: Instant) {
        let Some(seat) = self.agent(leg) else { return };
        self.tell_last_quality(seat);
        self.seats[seat].leaving = true;
        self.seats[seat].leg.close(now, &mut self.sink);
        self.sink.changed = true;
        self.settle(now);
    }

    /// Presses keys towards the customer, after those still queued and not before the gate is open.
    pub fn send_digits(&mut self, digits: &str, now: Instant) {
        if self.seats[CUSTOMER].leg.event_format().is_none() {
            tracing::warn!(call = %self.call, "keys dropped: the customer's side takes no telephone events");
            return;
        }
        self.splice.press(digits, now);
        self.settle(now);
    }

    /// Everybody is said goodbye to; [`Self::is_closed`] turns true once that is out.
    pub fn close(&mut self, now: Instant) {
        self.closing = true;
        self.stop_tap(now);
        for seat in 0..self.seats.len() {
            self.tell_last_quality(seat);
            self.seats[seat].leaving = true;
            self.seats[seat].leg.close(now, &mut self.sink);
        }
        self.settle(now);
    }

    /// A datagram came in on the socket of this leg.
    pub fn handle_datagram(&mut self, leg: LegKey, source: SocketAddr, datagram: &[u8], now: Instant) {
        let Some(seat) = self.seats.iter().position(|seat| seat.leg.key() == leg) else {
            self.sink.counters.strangers += 1;
            return;
        };
        let from = &mut self.seats[seat];
        let passed = from.leg.handle_datagram(source, datagram, now, &mut self.sink);
        if passed == Some(Passed::Rtcp) {
            from.watch.note_rtcp(now);
        }
        let mut brought = false;
        while let Some(packet) = self.seats[seat].leg.poll_heard() {
            brought = true;
            self.hear(seat, packet, now);
        }
        if !brought && let Some(Passed::Rtp { .. }) = passed {
            self.seats[seat].reception.note_refused();
        }
        if self.sink.changed {
            self.settle(now);
        }
    }

    /// Call it when the last `Timeout` has come, or at any time before.
    pub fn handle_timeout(&mut self, now: Instant) {
        for seat in &mut self.seats {
            if seat.leg.poll_timeout().is_some_and(|at| at <= now) {
                seat.leg.handle_timeout(now, &mut self.sink);
            }
        }
        if self.next_look <= now {
            self.look(now);
        }
        self.settle(now);
    }

    /// What is to be done. After `Timeout` there is nothing until the next change.
    pub fn poll_output(&mut self, now: Instant) -> Output {
        if let Some(transmit) = self.sink.transmits.pop_front() {
            return Output::Transmit(transmit);
        }
        if let Some(record) = self.tapped.pop_front() {
            return Output::Tap(record);
        }
        if let Some(event) = self.sink.events.pop_front() {
            return Output::Event(event);
        }
        let timers = self.seats.iter().filter_map(|seat| seat.leg.poll_timeout());
        let next = if self.closing { None } else { Some(self.next_look) };
        let next = timers.chain(next).chain(self.next_frame()).min();
        Output::Timeout(next.unwrap_or(now + NEVER))
    }

    /// Addresses ICE has validated since the last call: the shard learns them for its demultiplexer.
    pub fn poll_validated(&mut self) -> Option<(LegKey, SocketAddr)> {
        self.sink.validated.pop_front()
    }

    /// The legs that are still here, with their ICE username fragments.
    pub fn legs(&self) -> impl Iterator<Item = (LegKey, &LegId, &str)> + '_ {
        self.seats.iter().map(|seat| (seat.leg.key(), seat.leg.id(), seat.leg.ufrag()))
    }

    /// Every leg has said goodbye and everything was taken out.
    pub fn is_closed(&self) -> bool {
        self.closing
            && self.seats.iter().all(|seat| seat.leg.is_dead())
            && self.sink.transmits.is_empty()
            && self.sink.events.is_empty()
            && self.tapped.is_empty()
    }

    pub fn counters(&self) -> Counters {
        self.sink.counters
    }

    /// Plants a fault in a leg. For tests; not in a release.
    #[cfg(debug_assertions)]
    #[doc(hidden)]
    pub fn plant(&mut self, leg: LegKey, fault: super::Fault) {
        for seat in self.seats.iter_mut().filter(|seat| seat.leg.key() == leg) {
            seat.leg.plant(fault);
        }
    }

    fn agent(&self, leg: &LegId) -> Option<usize> {
        (CUSTOMER + 1..self.seats.len()).find(|seat| self.seats[*seat].leg.id() == leg && !self.seats[*seat].leaving)
    }

    /// The joined agent, if it can hear and be heard.
    fn partner(&self) -> Option<usize> {
        self.agent(self.joined.as_ref()?).filter(|seat| self.seats[*seat].is_serving())
    }

    fn hear(&mut self, seat: usize, packet: Heard, now: Instant) {
        let from = &mut self.seats[seat];
        if !std::mem::replace(&mut from.heard_told, true) {
            self.sink.events.push_back(MediaEvent::Heard { leg: from.leg.id().clone() });
        }
        let clock = from.leg.event_clock(packet.pt);
        let event = clock.and_then(|hz| Some((TelephoneEvent::parse(&packet.payload)?, hz)));
        match event {
            Some((event, _)) => {
                if let Some(digit) = from.presses.note(packet.ssrc, packet.time, event) {
                    self.sink.events.push_back(MediaEvent::Digit { leg: from.leg.id().clone(), digit });
                    if seat == CUSTOMER && self.opt_out == Some(digit) {
                        self.forbid_tap(now);
                    }
                }
            }
            None => {
                from.reception.note(&packet);
                from.watch.note_rtp(is_voiced(&packet), now);
            }
        }
        if self.echoes {
            return self.echo_back(packet, event.is_some(), now);
        }
        if seat == CUSTOMER {
            if event.is_none() {
                self.copy(Side::Customer, packet.seq, packet.time, packet.at, &packet.payload);
            }
            self.customer_speaks(packet, event, now);
        } else {
            self.agent_speaks(seat, packet, event, now);
        }
    }

    fn customer_speaks(&mut self, packet: Heard, event: Option<(TelephoneEvent, u32)>, now: Instant) {
        if self.held {
            return;
        }
        let Some(partner) = self.partner() else {
            if event.is_none() {
                self.preroll.keep(packet);
            }
            return;
        };
        if self.announces && self.gate && event.is_none() {
            return;
        }
        let from = self.seats[CUSTOMER].leg.key();
        let to = &mut self.seats[partner];
        let (pt, payload) = match event {
            None => (to.leg.opus(), packet.payload.clone()),
            Some((event, clock)) => {
                let Some((pt, to_clock)) = to.leg.event_format() else { return };
                (pt, event.rescaled(clock, to_clock).bytes().as_slice().into())
            }
        };
        let Some(place) = to.line.relay(from, &packet, event.is_some(), now) else { return };
        if to.leg.send(place, pt, payload, packet.at, now, &mut self.sink) {
            self.sink.counters.forwarded += 1;
        }
    }

    fn agent_speaks(&mut self, seat: usize, packet: Heard, event: Option<(TelephoneEvent, u32)>, now: Instant) {
        // Not joined or before the gate: nobody hears it. On hold the splice wants another source.
        if !self.gate || self.partner() != Some(seat) {
            return;
        }
        if std::mem::take(&mut self.is_absent) {
            self.decide(now);
        }
        let (from, customer) = (self.seats[seat].leg.key(), &self.seats[CUSTOMER].leg);
        let (pt, payload) = match event {
            None => (customer.opus(), packet.payload.clone()),
            Some((event, clock)) => {
                let Some((pt, _)) = customer.event_format() else { return };
                (pt, event.rescaled(clock, CUSTOMER_CLOCK_HZ).bytes().as_slice().into())
            }
        };
        let Some((place, switched)) = self.splice.relay(from, &packet, event.is_some(), now) else { return };
        if switched {
            self.tell_switch(now);
        }
        if event.is_none() {
            self.copy(Side::Agent, place.seq, place.time, now, &packet.payload);
        }
        let at = packet.at;
        drop(packet);
        let customer = &mut self.seats[CUSTOMER].leg;
        if customer.send(place, pt, payload, at, now, &mut self.sink) {
            self.sink.counters.forwarded += 1;
            if event.is_none() && !std::mem::replace(&mut self.seats[seat].first_audio_told, true) {
                let leg = self.seats[seat].leg.id().clone();
                self.sink.events.push_back(MediaEvent::FirstAudio { leg });
            }
        }
    }

    /// After a change: who is gone, who is heard, and what of ours is due.
    fn settle(&mut self, now: Instant) {
        loop {
            while std::mem::take(&mut self.sink.changed) {
                self.forget_the_dead();
                self.decide(now);
            }
            if self.next_frame().is_some() {
                self.speak(now);
            }
            // Sending may have found a leg dead.
            if !self.sink.changed {
                return;
            }
        }
    }

    /// Dead agents' legs give up their seats, after their last figures. The customer's seat stays: it is the call's.
    fn forget_the_dead(&mut self) {
        for seat in 0..self.seats.len() {
            if self.seats[seat].leg.is_dead() {
                self.tell_last_quality(seat);
            }
        }
        let mut is_customer = true;
        self.seats.retain(|seat| std::mem::take(&mut is_customer) || !seat.leg.is_dead());
    }

    /// Applies the table of [`Bridge`].
    fn decide(&mut self, now: Instant) {
        if self.closing {
            return;
        }
        let partner = self.partner();
        self.was_joined |= partner.is_some();
        let wanted = match partner {
            _ if !self.gate => Wanted::Silence,
            Some(_) if self.announces => Wanted::Announcement,
            _ if self.held || self.is_absent => Wanted::Hold,
            Some(seat) => Wanted::Agent(self.seats[seat].leg.key()),
            None if self.was_joined => Wanted::Hold,
            None => Wanted::Silence,
        };
        self.splice.want(wanted, now);
        let customer = &self.seats[CUSTOMER];
        if (self.gate || customer.leg.is_outgoing()) && customer.is_serving() {
            self.splice.open(now);
        }
        if partner.is_some() && !self.held && self.seats[CUSTOMER].is_serving() {
            // Played at once: the browser's jitter buffer makes up the half second without losing a word.
            while let Some(packet) = self.preroll.take(now) {
                self.customer_speaks(packet, None, now);
            }
        }
    }

    fn next_frame(&self) -> Option<Instant> {
        if self.seats[CUSTOMER].is_serving() { self.splice.poll_timeout() } else { None }
    }

    /// Sends the frames of our own that are due.
    fn speak(&mut self, now: Instant) {
        while let Some(frame) = self.splice.poll_frame(now) {
            if frame.switched {
                self.tell_switch(now);
            }
            if frame.kind != OwnKind::Key {
                self.copy(Side::Agent, frame.place.seq, frame.place.time, now, &frame.payload);
            }
            if let OwnKind::Announcement { is_last } = frame.kind {
                self.tell_agent(&frame, now);
                if is_last {
                    self.announces = false;
                    self.sink.events.push_back(MediaEvent::Announced);
                }
            }
            let customer = &mut self.seats[CUSTOMER].leg;
            let pt = if frame.kind == OwnKind::Key {
                customer.event_format().map(|(pt, _)| pt)
            } else {
                Some(customer.opus())
            };
            if let Some(pt) = pt
                && customer.send(frame.place, pt, frame.payload, now, now, &mut self.sink)
            {
                self.sink.counters.filler += 1;
            }
            if frame.kind == (OwnKind::Announcement { is_last: true }) {
                self.decide(now);
            }
        }
    }

    fn copy(&mut self, side: Side, seq: u64, rtp_time: u32, arrival: Instant, payload: &std::sync::Arc<[u8]>) {
        if let Some(tap) = self.tap {
            let payload = TapPayload::new(payload);
            self.tapped.push_back(TapRecord::Media(TapMedia { tap, side, seq, rtp_time, arrival, payload }));
        }
    }

    fn tell_switch(&mut self, now: Instant) {
        if let Some(tap) = self.tap {
            self.tapped.push_back(TapRecord::Switch { tap, side: Side::Agent, at: now });
        }
    }

    /// The regular look at every leg: alarms, and from time to time the quality.
    fn look(&mut self, now: Instant) {
        self.next_look = (self.next_look + watchdog::TICK).max(now);
        if self.closing {
            return;
        }
        let partner = self.partner();
        let talk = partner.filter(|_| !self.held && self.gate && self.seats[CUSTOMER].is_serving());
        let mut is_absent = false;
        let customer_did = self.seats[CUSTOMER].watch.activity();
        let partner_did = partner.map_or_else(Activity::default, |seat| self.seats[seat].watch.activity());
        for (n, seat) in self.seats.iter_mut().enumerate() {
            let connected = seat.is_serving();
            let expected = Expectation {
                connected,
                audio: connected && self.gate && (n == CUSTOMER || partner == Some(n)),
                talking: talk.is_some() && (n == CUSTOMER || talk == Some(n)),
            };
            let other = if n == CUSTOMER { partner_did } else { customer_did };
            let (leg, events) = (seat.leg.id(), &mut self.sink.events);
            seat.watch.tick(expected, other, now, |alarm, raised| {
                is_absent |= raised && alarm == MediaAlarm::NoRtp && partner == Some(n);
                events.push_back(MediaEvent::Alarm { leg: leg.clone(), alarm, raised });
            });
        }
        if is_absent {
            self.is_absent = true;
            self.decide(now);
        }
        if self.next_quality <= now {
            self.next_quality = (self.next_quality + QUALITY_EVERY).max(now);
            for seat in 0..self.seats.len() {
                if self.seats[seat].is_serving() {
                    self.tell_quality(seat, false);
                }
            }
        }
    }

    fn tell_last_quality(&mut self, seat: usize) {
        if !std::mem::replace(&mut self.seats[seat].quality_told, true) {
            self.tell_quality(seat, true);
        }
    }

    fn tell_quality(&mut self, seat: usize, last: bool) {
        let other = if seat == CUSTOMER { self.partner() } else { Some(CUSTOMER) };
        let other_rtt = other.and_then(|seat| self.seats[seat].leg.rtt());
        let Seat { leg, reception, .. } = &self.seats[seat];
        let kind: LegKind = leg.kind();
        let quality = reception.quality(kind, leg.packets_sent(), leg.rtt(), other_rtt);
        tracing::debug!(leg = %leg.id(), late = reception.late(), refused = reception.refused(), "quality");
        self.sink.events.push_back(MediaEvent::Quality { leg: leg.id().clone(), kind, quality, last });
    }
}

/// Voice by the codec's own bits, else by the loudness the sender states, else by the packet's mere size.
fn is_voiced(packet: &Heard) -> bool {
    /// About the loudness of breathing into a headset.
    const LOUD_DBOV_MIN: i8 = -50;
    toc::voiced(&packet.payload)
        .or_else(|| packet.level.map(|level| level > LOUD_DBOV_MIN))
        .unwrap_or_else(|| !toc::is_dtx(&packet.payload))
}
