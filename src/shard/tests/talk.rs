//! Whole calls: a phone and a browser with real media, and a shard between their sockets.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use super::peer::Peer;
use super::{Hall, PATIENCE, config, own_loopback, start, until};
use crate::media::{Identity, Leg, LegKey, MediaEvent};
use crate::model::id::{CallId, LegId};
use crate::model::rtp::{Side, TapKey, TapRecord};
use crate::model::time::Clock;
use crate::shard::{Command, Config, ShardEvent, ShardId};

#[test]
fn both_sides_hear_each_other() {
    let mut talk = Talk::begin(own_loopback(20));
    talk.until("the browser hears the phone", |talk| heard(&talk.agent, PHONE));
    talk.until("the phone hears the browser", |talk| heard(&talk.customer, BROWSER));
    talk.until("the figures tell of it", |talk| {
        let stats = talk.hall.stats();
        stats.calls == 1 && stats.legs == 2 && stats.forwarded > 10 && stats.busy > 0.0
    });
    let stats = talk.hall.stats();
    assert_eq!((stats.dropped_sends, stats.panics, stats.strangers), (0, 0, 0), "{stats:?}");
}

#[test]
fn an_echo_sends_an_agents_own_sound_back_and_is_no_call() {
    let (now, ip, identity) = (Clock.instant(), own_loopback(28), Identity::generate());
    let hall = start(&config(ip)).unwrap();
    let shard = hall.shards.place();
    let (mut agent, offer) = Peer::browser(ip, now);
    let addresses = hall.shards.agent_addresses(shard);
    let (leg, answer) = Leg::answer_agent(LegKey(1), LegId::generate(), &identity, &offer, &addresses, now).unwrap();
    let call = CallId::generate();
    hall.shards.send(shard, Command::Echo { call: call.clone(), leg: Box::new(leg) }).unwrap();
    agent.accept(&answer, now);
    let mut frame = [BROWSER; 40];
    frame[..2].copy_from_slice(&[0x48, 0x80]);
    until("it hears itself", PATIENCE, || {
        let now = Clock.instant();
        agent.turn(now);
        if agent.is_connected() {
            agent.speak(&frame, now);
        }
        heard(&agent, BROWSER)
    });
    until("its leg is counted, and no call", PATIENCE, || hall.stats().legs == 1);
    assert_eq!((hall.stats().calls, hall.stats().panics), (0, 0));
    hall.shards.send(shard, Command::Close { call }).unwrap();
    until("it is said goodbye to", PATIENCE, || {
        agent.turn(Clock.instant());
        !agent.is_alive() && hall.stats().legs == 0
    });
}

#[test]
fn a_stranger_gets_no_byte_and_no_word_into_a_call() {
    let ip = own_loopback(21);
    let mut talk = Talk::begin(ip);
    talk.until("they talk", |talk| heard(&talk.agent, PHONE) && heard(&talk.customer, BROWSER));
    let stranger = UdpSocket::bind(SocketAddr::new(ip, 0)).unwrap();
    stranger.set_nonblocking(true).unwrap();
    let hello = [&[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 20][..], &[1; 20]].concat();
    let rtp = [&[0x80, 111, 0, 1][..], &[7; 60]].concat();
    let check = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat();
    // It even knows the agent's username fragment, but not the password: nothing may be learnt from that.
    let username = format!("{}:x", talk.agent_ufrag);
    let mut guess = vec![0, 6, 0, username.len() as u8];
    guess.extend(username.bytes());
    guess.resize(guess.len().next_multiple_of(4), 0);
    let guess = [&[0, 1, 0, guess.len() as u8, 0x21, 0x12, 0xa4, 0x42][..], &[9; 12], &guess].concat();
    for target in [talk.customer_port, talk.agent_port] {
        for datagram in [&guess, &hello, &rtp, &check] {
            stranger.send_to(datagram, target).unwrap();
        }
    }
    talk.until("all of it is counted", |talk| {
        let stats = talk.hall.stats();
        // The guess passes the demultiplexer, and the leg's own gate turns it away.
        stats.agent_port_misses >= 3 && stats.strangers >= 5
    });
    assert!(stranger.recv(&mut [0; 2000]).is_err(), "the stranger was answered");
    (talk.agent.heard, talk.customer.heard) = (Vec::new(), Vec::new());
    talk.until("they still talk", |talk| heard(&talk.agent, PHONE) && heard(&talk.customer, BROWSER));
}

#[test]
fn listening_on_all_addresses_answers_come_from_the_advertised_one() {
    let ip = own_loopback(26);
    let listen = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
    // Left to itself the kernel would answer from another address, which a NAT before the browser would not let through.
    let config = Config { listen, advertise: vec![ip], ..config(ip) };
    let mut talk = Talk::begin_with(&config, own_loopback(27));
    assert_eq!((talk.agent_port.ip(), talk.customer_port.ip()), (ip, ip));
    talk.until("they talk", |talk| heard(&talk.agent, PHONE) && heard(&talk.customer, BROWSER));
    assert_eq!(talk.agent.source, Some(talk.agent_port));
}

#[test]
fn a_closed_call_says_goodbye_and_frees_its_port() {
    let ip = own_loopback(22);
    let mut talk = Talk::begin_with(&Config { whatsapp_ports: "41000".parse().unwrap(), ..config(ip) }, ip);
    assert!(talk.hall.shards.bind_customer().is_err(), "the only port is in use");
    talk.until("they talk", |talk| heard(&talk.agent, PHONE) && heard(&talk.customer, BROWSER));
    talk.send(Command::Close { call: talk.call.clone() });
    talk.until("the desk hears of the end", |talk| {
        talk.news.iter().any(|event| matches!(event, ShardEvent::Closed { call } if *call == talk.call))
    });
    let last_figures = |event: &&ShardEvent| matches!(event, ShardEvent::Media { event: MediaEvent::Quality { last: true, quality, .. }, .. } if quality.packets_received > 0);
    assert_eq!(talk.news.iter().filter(last_figures).count(), 2, "{:?}", talk.news);
    talk.until("both ends were told", |talk| !talk.customer.is_alive() && !talk.agent.is_alive());
    assert_eq!(talk.hall.shards.bind_customer().unwrap().advertised.port(), 41_000);
    talk.until("the figures fall to nothing, but what was forwarded stays counted", |talk| {
        let stats = talk.hall.stats();
        (stats.calls, stats.legs) == (0, 0) && stats.forwarded > 0
    });
}

#[test]
fn shutting_down_says_goodbye_to_everybody() {
    let mut talk = Talk::begin(own_loopback(23));
    talk.hall.shards.shutdown();
    talk.until("both ends were told", |talk| !talk.customer.is_alive() && !talk.agent.is_alive());
}

#[test]
fn a_tap_nobody_empties_ends_in_a_gap_and_the_call_goes_on() {
    let mut talk = Talk::begin(own_loopback(24));
    talk.until("they talk", |talk| heard(&talk.agent, PHONE) && heard(&talk.customer, BROWSER));
    talk.send(Command::StartTap { call: talk.call.clone(), tap: TapKey(5) });
    talk.until("the ring overflows", |talk| talk.hall.stats().tap_dropped > 20);
    (talk.agent.heard, talk.customer.heard) = (Vec::new(), Vec::new());
    talk.until("they still talk", |talk| heard(&talk.agent, PHONE) && heard(&talk.customer, BROWSER));

    let mut copied = talk.copied();
    assert!(matches!(copied[0], TapRecord::Open { tap: TapKey(5), .. }), "{:?}", copied[0]);
    talk.until("there is a gap of each side", |talk| {
        copied.extend(talk.copied());
        [Side::Customer, Side::Agent].iter().all(|wanted| {
            copied
                .iter()
                .any(|record| matches!(record, TapRecord::Gap { side, count, .. } if side == wanted && *count > 0))
        })
    });
    talk.send(Command::StopTap { call: talk.call.clone() });
    talk.until("the copy is closed", |talk| {
        copied.extend(talk.copied());
        matches!(copied.last(), Some(TapRecord::Close { tap: TapKey(5), .. }))
    });
}

#[test]
fn a_tap_of_a_call_that_is_over_opens_and_closes_at_once() {
    let mut talk = Talk::begin(own_loopback(31));
    talk.send(Command::Close { call: talk.call.clone() });
    // While it says goodbye, and when it is gone.
    talk.send(Command::StartTap { call: talk.call.clone(), tap: TapKey(1) });
    talk.until("the desk hears of the end", |talk| {
        talk.news.iter().any(|event| matches!(event, ShardEvent::Closed { call } if *call == talk.call))
    });
    talk.send(Command::StartTap { call: talk.call.clone(), tap: TapKey(2) });
    let mut copied = Vec::new();
    talk.until("both taps were told", |talk| {
        copied.extend(talk.copied());
        copied.len() == 4
    });
    for (pair, tap) in copied.chunks(2).zip([TapKey(1), TapKey(2)]) {
        let [TapRecord::Open { tap: opened, .. }, TapRecord::Close { tap: closed, .. }] = pair else {
            panic!("{copied:?}");
        };
        assert_eq!((*opened, *closed), (tap, tap));
    }
}

#[test]
fn an_agent_who_comes_back_takes_the_place_of_the_lost_leg() {
    let ip = own_loopback(25);
    let mut talk = Talk::begin(ip);
    talk.until("they talk", |talk| heard(&talk.agent, PHONE));
    talk.send(Command::Detach { call: talk.call.clone(), leg: talk.agent_leg.clone() });
    talk.until("the old leg is told", |talk| !talk.agent.is_alive());
    talk.attach(ip, 3);
    talk.until("the new browser hears the phone", |talk| heard(&talk.agent, PHONE));
    talk.customer.heard.clear();
    talk.until("the phone hears the new browser", |talk| heard(&talk.customer, BROWSER));
    talk.until("the old leg is forgotten", |talk| talk.hall.stats().legs == 2);
}

/// What each side says: speech by its first two bytes (SILK wideband with the voice bit), then a mark.
const PHONE: u8 = 0xc1;
const BROWSER: u8 = 0xa2;

fn heard(peer: &Peer, mark: u8) -> bool {
    peer.heard.iter().any(|payload| payload.len() == 40 && payload[2..] == [mark; 38])
}

struct Talk {
    hall: Hall,
    shard: ShardId,
    call: CallId,
    identity: Identity,
    customer: Peer,
    customer_port: SocketAddr,
    agent: Peer,
    agent_leg: LegId,
    agent_port: SocketAddr,
    agent_ufrag: String,
    news: Vec<ShardEvent>,
    spoke: Instant,
}

impl Talk {
    fn begin(ip: IpAddr) -> Self {
        Self::begin_with(&config(ip), ip)
    }

    /// A call with one agent, joined and open, while both speak.
    fn begin_with(config: &Config, ip: IpAddr) -> Self {
        let (hall, identity, now) = (start(config).unwrap(), Identity::generate(), Clock.instant());
        let shard = hall.shards.place();
        let port = hall.shards.bind_customer().unwrap();
        let (mut customer, offer) = Peer::whatsapp(ip, now);
        let (leg, answer) =
            Leg::answer_customer(LegKey(1), LegId::generate(), &identity, &offer, port.advertised, now).unwrap();
        customer.accept(&answer, now);
        let call = CallId::generate();
        let opened = Command::Open { call: call.clone(), customer: Box::new(leg), socket: port.socket };
        hall.shards.send(shard, opened).unwrap();
        let agent_port = hall.shards.agent_addresses(shard)[0];
        let mut talk = Self {
            hall,
            shard,
            call,
            identity,
            customer,
            customer_port: port.advertised,
            agent: Peer::browser(ip, now).0,
            agent_leg: LegId::generate(),
            agent_port,
            agent_ufrag: String::new(),
            news: Vec::new(),
            spoke: now,
        };
        talk.attach(ip, 2);
        talk.until("the phone is connected", |talk| talk.customer.is_connected());
        talk.send(Command::OpenGate { call: talk.call.clone() });
        talk
    }

    /// A new browser for the agent, joined to the call.
    fn attach(&mut self, ip: IpAddr, key: u64) {
        let now = Clock.instant();
        let (mut agent, offer) = Peer::browser(ip, now);
        let leg_id = LegId::generate();
        let (leg, answer) =
            Leg::answer_agent(LegKey(key), leg_id.clone(), &self.identity, &offer, &[self.agent_port], now).unwrap();
        self.agent_ufrag = leg.ufrag().to_owned();
        self.send(Command::Attach { call: self.call.clone(), leg: Box::new(leg) });
        self.send(Command::Join { call: self.call.clone(), leg: leg_id.clone() });
        agent.accept(&answer, now);
        (self.agent, self.agent_leg) = (agent, leg_id);
        self.until("the browser is connected", |talk| talk.agent.is_connected());
    }

    fn send(&self, command: Command) {
        self.hall.shards.send(self.shard, command).unwrap();
    }

    fn copied(&mut self) -> Vec<TapRecord> {
        std::iter::from_fn(|| self.hall.taps[0].pop().ok()).collect()
    }

    /// Lets both ends live and speak until the condition holds.
    fn until(&mut self, what: &str, mut condition: impl FnMut(&mut Self) -> bool) {
        let deadline = Clock.instant() + PATIENCE;
        while !condition(self) {
            let now = Clock.instant();
            assert!(now < deadline, "in vain: {what}; {:?}; {:?}", self.hall.stats(), self.news);
            if now.duration_since(self.spoke) >= Duration::from_millis(20) {
                self.spoke = now;
                for (peer, mark) in [(&mut self.customer, PHONE), (&mut self.agent, BROWSER)] {
                    if peer.is_connected() && peer.is_alive() {
                        let mut frame = [mark; 40];
                        frame[..2].copy_from_slice(&[0x48, 0x80]);
                        peer.speak(&frame, now);
                    }
                }
            }
            self.customer.turn(now);
            self.agent.turn(now);
            while let Ok(event) = self.hall.events.try_recv() {
                self.news.push(event);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}
