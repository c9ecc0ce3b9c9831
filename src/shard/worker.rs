//! A shard's thread: it waits for sockets, timers and commands, and hands what comes to the calls.
//!
//! A packet leaves in the turn in which it came, with no lock, queue or other thread between the two sockets. What could
//! take long is bounded per turn: set-ups and handshakes cost a hundred times what a packet costs, and the packets of the
//! running calls come first.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver as Commands;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use slotmap::{Key, KeyData, SlotMap};

use super::Command;
use super::Shared;
use super::call::{Call, Outside};
use super::demux::{Demux, Route, Verdict, is_dtls};
use super::outbox::Outbox;
use super::socket::{AgentPort, BATCH, Receiver};
use super::stats::{Stats, TurnTimes};
use super::tap_ring::TapRing;
use super::timer::Timers;
use crate::media::{Bridge, Leg};
use crate::model::id::CallId;
use crate::model::rtp::TapRecord;
use crate::model::time::Clock;

slotmap::new_key_type! {
    /// A call's place on its shard; never used again for another call.
    pub(super) struct CallKey;
}

/// 64 datagrams of the agent port are about 1 ms of work; then the customers' ports have their turn.
const AGENT_BATCHES_PER_TURN: usize = 64 / BATCH;
/// A customer's port holds one packet each 20 ms; more only after a stall.
const CUSTOMER_BATCH: usize = 8;
/// Bounds a turn when everything is ready at once; the rest keeps its place in the queue.
const CUSTOMERS_PER_TURN: usize = 256;
const TIMERS_PER_TURN: usize = 128;
const COMMANDS_PER_TURN: usize = 64;
/// A set-up costs up to 1 ms (a new leg's first output).
const SETUPS_PER_TURN: usize = 2;
/// A handshake flight costs about 2 ms of public-key arithmetic.
const HANDSHAKES_PER_TURN: usize = 2;
/// Flights that may wait; a peer whose flight is dropped sends it again after a second (RFC 6347 section 4.2.4).
const HANDSHAKES_WAITING_MAX: usize = 256;
/// Ready sockets reported by one wait.
const EVENTS_MAX: usize = 1024;
const PUBLISH_EVERY: Duration = Duration::from_secs(1);
/// Events that must not be lost are tried again this often while the desk does not listen.
const OUTBOX_RETRY: Duration = Duration::from_millis(10);
/// Goodbyes at shut-down: sent at once, and given this long to get through the bridges.
const SHUTDOWN_MAX: Duration = Duration::from_millis(500);

/// A customer's token is its call's key, whose version is never 0, so these two are free.
const AGENTS: Token = Token(0);
pub(super) const WAKER: Token = Token(1);
const _: () = assert!(size_of::<usize>() >= size_of::<u64>(), "a call's key must fit a token");

/// What a worker is made of.
pub(super) struct Parts {
    pub poll: Poll,
    pub agents: AgentPort,
    pub commands: Commands<Command>,
    pub taps: TapRing,
    pub outbox: Outbox,
    pub shared: Arc<Shared>,
    /// Least time between two turns, see [`super::Config::linger_us`].
    pub linger: Duration,
}

pub(super) struct Worker {
    clock: Clock,
    poll: Poll,
    events: Events,
    receiver: Receiver,
    commands: Commands<Command>,
    /// A set-up that was one too many for its turn; everything behind it waits, so that order is kept.
    held: Option<Command>,
    commands_left: bool,
    calls: SlotMap<CallKey, Box<Call>>,
    by_id: HashMap<CallId, CallKey>,
    outside: Outside,
    agents_ready: bool,
    customers_ready: VecDeque<CallKey>,
    handshakes: VecDeque<Handshake>,
    times: TurnTimes,
    published: Instant,
    shared: Arc<Shared>,
    linger: Duration,
    stops: Option<Instant>,
}

/// A DTLS datagram from a validated address, put off behind the media.
struct Handshake {
    route: Route,
    source: SocketAddr,
    bytes: Vec<u8>,
}

impl Worker {
    pub(super) fn new(parts: Parts) -> io::Result<Self> {
        let Parts { poll, mut agents, commands, taps, outbox, shared, linger } = parts;
        poll.registry().register(&mut agents.socket, AGENTS, Interest::READABLE)?;
        Ok(Self {
            clock: Clock,
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            receiver: Receiver::new(&agents),
            commands,
            held: None,
            commands_left: false,
            calls: SlotMap::with_key(),
            by_id: HashMap::new(),
            outside: Outside {
                agents,
                demux: Demux::default(),
                timers: Timers::default(),
                taps,
                outbox,
                stats: Stats::default(),
                asked: None,
            },
            agents_ready: false,
            customers_ready: VecDeque::new(),
            handshakes: VecDeque::new(),
            times: TurnTimes::new(),
            published: Clock.instant(),
            shared,
            linger,
            stops: None,
        })
    }

    /// Runs until [`Shared::stop`] is set and every call has said goodbye.
    pub(super) fn run(mut self) {
        loop {
            let pause = self.pause();
            if let Err(error) = self.poll.poll(&mut self.events, pause)
                && error.kind() != io::ErrorKind::Interrupted
            {
                // Nothing a peer can cause. Going on without sockets would look like a shard that works.
                tracing::error!(%error, "waiting for sockets failed; the shard ends");
                return;
            }
            let began = self.clock.instant();
            self.turn(began);
            let took = self.clock.instant().saturating_duration_since(began);
            self.times.record(took);
            if took < self.linger && !self.is_behind() {
                std::thread::sleep(self.linger - took);
            }
            if self.stops.is_some_and(|at| at <= began || (self.calls.is_empty() && !self.outside.outbox.is_waiting()))
            {
                self.publish(began);
                return;
            }
        }
    }

    fn turn(&mut self, began: Instant) {
        self.note_ready();
        self.receive_agents();
        self.receive_customers();
        self.shake_hands();
        let now = self.clock.instant();
        self.fire_timers(now);
        self.obey_commands(now);
        self.outside.outbox.flush();
        self.outside.taps.flush();
        if began.saturating_duration_since(self.published) >= PUBLISH_EVERY {
            self.publish(began);
        }
        if self.stops.is_none() && self.shared.stop.load(Ordering::Relaxed) {
            self.stop(now);
        }
    }

    /// Whether a bound of the turn left something undone.
    fn is_behind(&self) -> bool {
        self.agents_ready || !self.customers_ready.is_empty() || !self.handshakes.is_empty() || self.commands_left
    }

    /// How long nothing will have to be done.
    fn pause(&self) -> Option<Duration> {
        let busy =
            self.agents_ready || !self.customers_ready.is_empty() || !self.handshakes.is_empty() || self.commands_left;
        if busy {
            return Some(Duration::ZERO);
        }
        let now = self.clock.instant();
        let mut next = self.published + PUBLISH_EVERY;
        if let Some(timer) = self.outside.timers.next() {
            next = next.min(timer);
        }
        if self.outside.outbox.is_waiting() {
            next = next.min(now + OUTBOX_RETRY);
        }
        if let Some(stops) = self.stops {
            next = next.min(stops);
        }
        Some(next.saturating_duration_since(now))
    }

    /// Readiness comes once per arrival (edge-triggered), so a socket stays noted until it was seen empty.
    fn note_ready(&mut self) {
        for event in &self.events {
            match event.token() {
                AGENTS => self.agents_ready = true,
                WAKER => {}
                Token(token) => {
                    let key = CallKey::from(KeyData::from_ffi(token as u64));
                    if let Some(call) = self.calls.get_mut(key)
                        && !call.queued
                    {
                        call.queued = true;
                        self.customers_ready.push_back(key);
                    }
                }
            }
        }
    }

    fn receive_agents(&mut self) {
        let mut broken = Vec::new();
        for _ in 0..AGENT_BATCHES_PER_TURN {
            if !self.agents_ready {
                break;
            }
            let received = self.receiver.recv(&self.outside.agents.socket, BATCH).unwrap_or(0);
            self.agents_ready = received == BATCH;
            let now = self.clock.instant();
            for datagram in self.receiver.datagrams(received) {
                self.outside.stats.packets_in += 1;
                let (route, known) = match self.outside.demux.classify(datagram.source, datagram.bytes) {
                    Verdict::Known(route) => (route, true),
                    Verdict::Check(route) => (route, false),
                    Verdict::Stranger => {
                        self.outside.stats.agent_port_misses += 1;
                        continue;
                    }
                };
                if known && is_dtls(datagram.bytes) {
                    let handshake = Handshake { route, source: datagram.source, bytes: datagram.bytes.to_vec() };
                    put_off(&mut self.handshakes, handshake, &mut self.outside.stats);
                    continue;
                }
                let Some(call) = self.calls.get_mut(route.call) else { continue };
                self.outside.asked = datagram.local.map(|local| (datagram.source, local));
                call.act(&mut self.outside, now, |bridge| {
                    bridge.handle_datagram(route.leg, datagram.source, datagram.bytes, now);
                });
                if call.is_broken() {
                    broken.push(route.call);
                }
            }
            self.outside.asked = None;
        }
        for key in broken {
            self.end(key);
        }
    }

    fn receive_customers(&mut self) {
        let mut broken = Vec::new();
        for _ in 0..self.customers_ready.len().min(CUSTOMERS_PER_TURN) {
            let Some(key) = self.customers_ready.pop_front() else { break };
            let Some(call) = self.calls.get_mut(key) else { continue };
            let (Some(socket), Some(customer)) = (&call.socket, call.customer()) else { continue };
            let received = self.receiver.recv(socket, CUSTOMER_BATCH).unwrap_or(0);
            call.queued = received == CUSTOMER_BATCH;
            if call.queued {
                self.customers_ready.push_back(key);
            }
            let now = self.clock.instant();
            let route = Route { call: key, leg: customer };
            for datagram in self.receiver.datagrams(received) {
                self.outside.stats.packets_in += 1;
                if is_dtls(datagram.bytes) && call.knows(datagram.source) {
                    let handshake = Handshake { route, source: datagram.source, bytes: datagram.bytes.to_vec() };
                    put_off(&mut self.handshakes, handshake, &mut self.outside.stats);
                    continue;
                }
                // From anywhere: the leg's source gate decides.
                call.act(&mut self.outside, now, |bridge| {
                    bridge.handle_datagram(route.leg, datagram.source, datagram.bytes, now);
                });
            }
            if call.is_broken() {
                broken.push(key);
            }
        }
        for key in broken {
            self.end(key);
        }
    }

    fn shake_hands(&mut self) {
        for _ in 0..HANDSHAKES_PER_TURN {
            let Some(Handshake { route, source, bytes }) = self.handshakes.pop_front() else { return };
            let now = self.clock.instant();
            self.with_call(route.call, now, |call, outside| {
                call.act(outside, now, |bridge| bridge.handle_datagram(route.leg, source, &bytes, now));
            });
        }
    }

    fn fire_timers(&mut self, now: Instant) {
        for _ in 0..TIMERS_PER_TURN {
            let Some((at, key)) = self.outside.timers.pop(now) else { return };
            self.with_call(key, now, |call, outside| call.ring(at, outside, now));
        }
    }

    fn obey_commands(&mut self, now: Instant) {
        let mut setups = 0;
        for _ in 0..COMMANDS_PER_TURN {
            let Some(command) = self.held.take().or_else(|| self.commands.try_recv().ok()) else {
                self.commands_left = false;
                return;
            };
            if command.is_setup() {
                if setups == SETUPS_PER_TURN {
                    self.held = Some(command);
                    break;
                }
                setups += 1;
                self.shared.setups_waiting.fetch_sub(1, Ordering::Relaxed);
            }
            self.obey(command, now);
        }
        self.commands_left = true;
    }

    fn obey(&mut self, command: Command, now: Instant) {
        let command = match command {
            Command::Open { call, customer, socket } => return self.open(call, *customer, socket, now),
            Command::Echo { call, leg } => return self.echo(call, *leg, now),
            command => command,
        };
        let Some(key) = self.by_id.get(command.call()).copied() else {
            self.outside.stats.unknown_commands += 1;
            tracing::debug!(call = %command.call(), "command for a call this shard does not have");
            if let Command::StartTap { tap, .. } = command {
                // The recorder and its like wait for the end of what they opened.
                self.outside.taps.push(TapRecord::Open { tap, at: now });
                self.outside.taps.push(TapRecord::Close { tap, at: now });
            }
            return;
        };
        self.with_call(key, now, |call, outside| match command {
            Command::Open { .. } | Command::Echo { .. } => unreachable!("handled above"),
            Command::Attach { leg, .. } => call.attach(*leg, outside, now),
            Command::Join { leg, .. } => call.act(outside, now, |bridge| bridge.join(&leg, now)),
            Command::OpenGate { .. } => call.act(outside, now, |bridge| bridge.open_gate(now)),
            Command::Hold { held, .. } => call.act(outside, now, |bridge| bridge.hold(held, now)),
            Command::Detach { leg, .. } => call.act(outside, now, |bridge| bridge.detach(&leg, now)),
            Command::Digits { digits, .. } => call.act(outside, now, |bridge| bridge.send_digits(&digits, now)),
            Command::Announce { announcement, opt_out, .. } => {
                call.act(outside, now, |bridge| bridge.announce(announcement, opt_out, now));
            }
            Command::StartTap { tap, .. } => call.act(outside, now, |bridge| bridge.start_tap(tap, now)),
            Command::StopTap { .. } => call.act(outside, now, |bridge| bridge.stop_tap(now)),
            Command::Close { .. } => call.close(outside, now),
        });
    }

    fn open(&mut self, id: CallId, customer: Leg, socket: UdpSocket, now: Instant) {
        if self.by_id.contains_key(&id) {
            tracing::error!(call = %id, "the call is open already; the second leg is dropped");
            return;
        }
        let name = (customer.key(), customer.id().clone());
        let bridge = Bridge::new(id.clone(), customer, now);
        let key = self.calls.insert_with_key(|key| Box::new(Call::new(key, bridge, name, socket)));
        self.by_id.insert(id.clone(), key);
        self.shared.calls.store(self.calls.len(), Ordering::Relaxed);
        let token = Token(usize::try_from(key.data().as_ffi()).expect("asserted above to fit"));
        let registered = self.calls[key]
            .socket
            .as_mut()
            .map_or(Ok(()), |socket| self.poll.registry().register(socket, token, Interest::READABLE));
        if let Err(error) = registered {
            tracing::error!(call = %id, %error, "the customer's socket cannot be watched; the call ends");
            self.end(key);
            return;
        }
        self.with_call(key, now, |call, outside| call.act(outside, now, |_| {}));
    }

    fn echo(&mut self, id: CallId, leg: Leg, now: Instant) {
        let outside = &mut self.outside;
        let key = self.calls.insert_with_key(|key| Box::new(Call::echo(key, id.clone(), leg, outside, now)));
        self.by_id.insert(id, key);
        self.shared.calls.store(self.calls.len(), Ordering::Relaxed);
        self.with_call(key, now, |call, outside| call.act(outside, now, |_| {}));
    }

    /// Lets the call do something rare, and buries it if that was its end.
    fn with_call(&mut self, key: CallKey, now: Instant, act: impl FnOnce(&mut Call, &mut Outside)) {
        let Some(call) = self.calls.get_mut(key) else { return };
        act(call, &mut self.outside);
        call.drop_gone_legs(&mut self.outside);
        if call.is_over(now) {
            self.end(key);
        }
    }

    fn end(&mut self, key: CallKey) {
        let Some(mut call) = self.calls.remove(key) else { return };
        self.by_id.remove(call.bridge.call());
        if let Some(socket) = &mut call.socket
            && let Err(error) = self.poll.registry().deregister(socket)
        {
            tracing::warn!(%error, "a customer's socket was not being watched");
        }
        call.bury(&mut self.outside, self.clock.instant());
        self.shared.calls.store(self.calls.len(), Ordering::Relaxed);
    }

    fn stop(&mut self, now: Instant) {
        self.stops = Some(now + SHUTDOWN_MAX);
        let keys: Vec<CallKey> = self.calls.keys().collect();
        for key in keys {
            self.with_call(key, now, |call, outside| call.close(outside, now));
        }
    }

    fn publish(&mut self, now: Instant) {
        let mut stats = Stats { calls: 0, ..self.outside.stats };
        for call in self.calls.values() {
            stats.calls += usize::from(call.customer().is_some());
            stats.legs += call.leg_count();
            stats.add(call.bridge.counters());
        }
        stats.tap_dropped = self.outside.taps.dropped();
        stats.events_dropped = self.outside.outbox.dropped();
        self.times.publish(now.saturating_duration_since(self.published), &mut stats);
        self.outside.stats.turns = stats.turns;
        self.published = now;
        self.shared.publish(stats);
    }
}

fn put_off(waiting: &mut VecDeque<Handshake>, handshake: Handshake, stats: &mut Stats) {
    if waiting.len() < HANDSHAKES_WAITING_MAX {
        waiting.push_back(handshake);
    } else {
        stats.handshakes_dropped += 1;
    }
}
