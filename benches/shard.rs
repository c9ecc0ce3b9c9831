//! What a forwarded packet costs through a running shard, over real loopback sockets: CPU and allocations of the shard
//! alone, and the delay it adds.
//!
//! The peers (str0m too, with one socket each) run in a process of their own, so that what this process allocates is the
//! shard's. CPU time is the shard thread's, as the kernel accounts it. The delay runs from before a peer encrypts a packet
//! to the wake-up in which the other peer finds it, so it holds two system calls and a wake-up of the peers' as well.
//!
//! Allocations are counted at two speeds, because reports and connectivity checks come by the clock and not by the packet: the
//! packets that are more tell what one costs, and the rest is what a call costs in a second however little is said. The bench
//! fails above 2.1 for a packet.
//!
//! `[LINGER_US=…] cargo bench --bench shard [CALLS…]`; the machine should be idle, two cores are enough.

#[path = "../src/shard/tests/peer.rs"]
mod peer;

use std::alloc::System;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{BufRead, BufReader, Lines, StdinLock, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Child, ChildStdout, Command as Process, Stdio};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use rtrb::{Consumer, RingBuffer};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::os::fd::AsRawFd;
use tandem::media::{Identity, Leg, LegKey};
use tandem::model::id::{CallId, LegId};
use tandem::model::rtp::{TapKey, TapRecord};
use tandem::model::time::Clock;
use tandem::shard::{Command, Config, ShardId, Shards};

use peer::Peer;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const WARM_UP: Duration = Duration::from_secs(3);
const MEASURE: Duration = Duration::from_secs(10);
const FRAME: Duration = Duration::from_millis(20);
/// A shard gives a browser up after 20 s.
const CONNECT_MAX: Duration = Duration::from_secs(30);
/// The lower speed: half the packets, but never so few that the shard fills in.
const SLOW_FRAME: Duration = Duration::from_millis(40);
/// Two are the media stack's own: the decrypted payload and the encrypted datagram.
const ALLOCATIONS_PER_PACKET_MAX: f64 = 2.1;
/// What a WhatsApp frame weighs on average (20 kb/s).
const PAYLOAD_BYTES: usize = 50;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments.first().is_some_and(|first| first == "--peers") {
        return peers(arguments[1].parse().expect("a number of calls"));
    }
    let wanted: Vec<usize> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    let wanted = if wanted.is_empty() { vec![50, 200] } else { wanted };
    println!("one shard, loopback, {PAYLOAD_BYTES}-byte frames each 20 ms both ways, {} s", MEASURE.as_secs());
    println!("linger {} µs", linger_us());
    println!(
        "calls  tap  forwarded   ns CPU/packet  allocs: each packet  call·s  all/packet  delay p50 ms  p99 ms  lost    busy  \
         turn p99 us"
    );
    for calls in wanted {
        for tap in [false, true] {
            run(calls, tap);
        }
    }
}

/// One row of the table.
fn run(calls: usize, tap: bool) {
    let (events, mut desk) = tokio::sync::mpsc::channel(100_000);
    let mut rings: Vec<Consumer<TapRecord>> = Vec::new();
    let config = Config {
        listen: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0),
        shards: 1,
        linger_us: linger_us(),
        ..Config::default()
    };
    let shards = Shards::spawn(
        &config,
        |_| {
            let (producer, consumer) = RingBuffer::new(65_536);
            rings.push(consumer);
            producer
        },
        events,
    )
    .expect("free ports");
    let identity = Identity::generate();
    let tap_worker = tap.then(|| {
        let mut ring = rings.remove(0);
        // A tap worker's sleep, without its work.
        std::thread::spawn(move || {
            while !ring.is_abandoned() {
                while ring.pop().is_ok() {}
                std::thread::sleep(Duration::from_millis(20));
            }
        })
    });
    let mut load = Load::start(calls);
    for n in 0..calls {
        open(&shards, &identity, &mut load, n as u64, tap);
    }
    load.expect("connected");
    std::thread::sleep(WARM_UP);

    while desk.try_recv().is_ok() {}
    std::thread::sleep(Duration::from_millis(1100));
    let (before, allocated, cpu) = (shards.stats()[0], allocations(), shard_cpu());
    load.say("measure");
    load.expect("measured");
    let (allocated, cpu) = (allocations() - allocated, shard_cpu() - cpu);
    let heard = load.line();
    std::thread::sleep(Duration::from_millis(1100));
    let after = shards.stats()[0];
    let figures: Vec<f64> = heard.split(' ').map(|figure| figure.parse().expect("a figure")).collect();
    let [sent, received, p50_ms, p99_ms] = figures[..] else { panic!("`{heard}`") };
    let slow_allocated = allocations();
    load.say("measure slowly");
    load.expect("measured");
    let slow_allocated = allocations() - slow_allocated;
    let slow_received: f64 = load.line().split(' ').nth(1).and_then(|figure| figure.parse().ok()).expect("a figure");
    let each = (allocated as f64 - slow_allocated as f64) / (received - slow_received);
    let by_the_clock = (allocated as f64 - each * received) / calls as f64 / MEASURE.as_secs_f64();
    println!(
        "{calls:5}  {:3}  {received:9}  {:14.0}  {each:19.3}  {by_the_clock:6.1}  {:10.3}  {p50_ms:12.3}  {p99_ms:6.3}  {:4}  \
         {:6.3}  {:11}",
        if tap { "yes" } else { "no" },
        cpu.as_nanos() as f64 / received,
        allocated as f64 / received,
        sent - received,
        after.busy,
        after.turn_p99.as_micros(),
    );
    if after.dropped_sends > before.dropped_sends || after.tap_dropped > 0 {
        println!("       {after:?}");
    }
    assert!(each <= ALLOCATIONS_PER_PACKET_MAX, "{each:.3} allocations per packet");
    load.say("end");
    shards.shutdown();
    drop(shards);
    if let Some(worker) = tap_worker {
        worker.join().expect("the tap worker ends with the ring");
    }
}

fn open(shards: &Shards, identity: &Identity, load: &mut Load, n: u64, tap: bool) {
    let (customer_offer, agent_offer) = (load.text(), load.text());
    let now = Clock.instant();
    let shard: ShardId = shards.place();
    let (call, agent_id) = (CallId::generate(), LegId::generate());
    let port = shards.bind_customer().expect("a free port");
    let (customer, customer_answer) =
        Leg::answer_customer(LegKey(2 * n), LegId::generate(), identity, &customer_offer, port.advertised, now)
            .expect("the phone's offer is fine");
    let agents = shards.agent_addresses(shard);
    let (agent, agent_answer) =
        Leg::answer_agent(LegKey(2 * n + 1), agent_id.clone(), identity, &agent_offer, &agents, now)
            .expect("the browser's offer is fine");
    let send = |command| shards.send(shard, command).expect("a shard that keeps up");
    send(Command::Open { call: call.clone(), customer: Box::new(customer), socket: port.socket });
    send(Command::Attach { call: call.clone(), leg: Box::new(agent) });
    send(Command::Join { call: call.clone(), leg: agent_id });
    send(Command::OpenGate { call: call.clone() });
    if tap {
        send(Command::StartTap { call, tap: TapKey(n) });
    }
    load.say_text(&customer_answer);
    load.say_text(&agent_answer);
    // Handshakes are not what is measured; spread them.
    std::thread::sleep(Duration::from_millis(10));
}

fn allocations() -> usize {
    let stats = ALLOCATOR.stats();
    stats.allocations + stats.reallocations
}

/// For trying `[media] linger_us` out.
fn linger_us() -> u32 {
    std::env::var("LINGER_US").ok().and_then(|us| us.parse().ok()).unwrap_or(0)
}

/// CPU time of the shard's thread: the first figure of `schedstat` is nanoseconds on a CPU.
fn shard_cpu() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    let read = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap_or_default();
    let shard = tasks.flatten().find(|task| read(task.path().join("comm")).trim() == "shard-0").expect("a shard runs");
    let schedstat = read(shard.path().join("schedstat"));
    Duration::from_nanos(schedstat.split(' ').next().and_then(|ns| ns.parse().ok()).expect("schedstat"))
}

/// The other process, spoken to in lines; a text of several lines travels as hexadecimal digits.
struct Load {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Load {
    fn start(calls: usize) -> Self {
        let mut process = Process::new(std::env::current_exe().expect("this program"))
            .args(["--peers", &calls.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process for the peers");
        let lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        Self { process, lines }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.process.stdin.as_mut().expect("piped"), "{line}").expect("the peers listen");
    }

    fn say_text(&mut self, text: &str) {
        self.say(&hex::encode(text));
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("the peers live").expect("the peers speak")
    }

    fn text(&mut self) -> String {
        decode(&self.line())
    }

    fn expect(&mut self, word: &str) {
        assert_eq!(self.line(), word);
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        self.process.wait().expect("the peers end with their input");
    }
}

fn decode(line: &str) -> String {
    String::from_utf8(hex::decode(line).expect("hexadecimal digits")).expect("text")
}

/// The other process: the phones and browsers of `calls` calls on one thread.
fn peers(calls: usize) {
    let mut input = std::io::stdin().lock().lines();
    let mut crowd = Crowd::new();
    for _ in 0..calls {
        crowd.join(&mut input);
    }
    // Speaking from the start: the customer's leg waits for our first packet.
    let begun = Clock.instant();
    while !crowd.peers.iter().all(Peer::is_connected) {
        assert!(begun.elapsed() < CONNECT_MAX, "a leg did not connect: this machine is too busy for so many calls");
        crowd.live(Duration::from_millis(50));
    }
    println!("connected");
    let (sender, orders) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            sender.send(line.expect("orders")).ok();
        }
    });
    drop(input);
    loop {
        crowd.live(Duration::from_millis(50));
        match orders.try_recv() {
            Ok(order) if order == "measure" => println!("{}", crowd.measure(FRAME)),
            Ok(order) if order == "measure slowly" => println!("{}", crowd.measure(SLOW_FRAME)),
            Ok(_) | Err(std::sync::mpsc::TryRecvError::Disconnected) => return,
            Err(std::sync::mpsc::TryRecvError::Empty) => {}
        }
    }
}

struct Crowd {
    clock: Clock,
    born: Instant,
    poll: mio::Poll,
    events: mio::Events,
    peers: Vec<Peer>,
    /// Who speaks or must be looked at next, and when.
    due: BinaryHeap<Reverse<(Instant, usize, bool)>>,
    delays: Vec<u64>,
    sent: u64,
    measuring: bool,
    epoch: u32,
    /// How long after a frame its speaker says the next one.
    pace: Duration,
}

impl Crowd {
    fn new() -> Self {
        Self {
            clock: Clock,
            born: Clock.instant(),
            poll: mio::Poll::new().expect("epoll"),
            events: mio::Events::with_capacity(1024),
            peers: Vec::new(),
            due: BinaryHeap::new(),
            delays: Vec::with_capacity(1 << 20),
            sent: 0,
            measuring: false,
            epoch: 0,
            pace: FRAME,
        }
    }

    fn join(&mut self, input: &mut Lines<StdinLock<'_>>) {
        let now = self.clock.instant();
        let ip: IpAddr = Ipv4Addr::LOCALHOST.into();
        let (mut customer, customer_offer) = Peer::whatsapp(ip, now);
        let (mut agent, agent_offer) = Peer::browser(ip, now);
        println!("{}\n{}", hex::encode(customer_offer), hex::encode(agent_offer));
        let mut answer = || decode(&input.next().expect("the shard lives").expect("an answer"));
        customer.accept(&answer(), now);
        agent.accept(&answer(), now);
        for peer in [customer, agent] {
            let n = self.peers.len();
            let token = mio::Token(n);
            let fd = peer.socket.as_raw_fd();
            self.poll.registry().register(&mut SourceFd(&fd), token, mio::Interest::READABLE).expect("a socket");
            // Spread over the 20 ms, as real callers are.
            self.due.push(Reverse((now + FRAME * (n as u32 * 7 % 20) / 20, n, true)));
            self.due.push(Reverse((peer.timeout, n, false)));
            self.peers.push(peer);
        }
        self.live(Duration::from_millis(5));
    }

    /// Lets time pass: frames go out when they are due, and what arrives is heard.
    fn live(&mut self, time: Duration) {
        let end = self.clock.instant() + time;
        loop {
            let now = self.clock.instant();
            if now >= end {
                return;
            }
            let next = self.due.peek().map_or(end, |Reverse((at, ..))| (*at).min(end));
            self.poll.poll(&mut self.events, Some(next.saturating_duration_since(now))).expect("epoll");
            let now = self.clock.instant();
            for event in &self.events {
                let peer = &mut self.peers[event.token().0];
                peer.turn(now);
                for payload in peer.heard.drain(..) {
                    note(&mut self.delays, self.measuring, self.epoch, &payload, now.duration_since(self.born));
                }
            }
            while let Some(Reverse((at, n, speaks))) = self.due.peek().copied().filter(|Reverse((at, ..))| *at <= now) {
                self.due.pop();
                let now = self.clock.instant();
                if speaks {
                    let payload = frame(self.epoch, now.duration_since(self.born));
                    self.peers[n].speak(&payload, now);
                    self.sent += 1;
                    self.due.push(Reverse((at + self.pace, n, true)));
                } else {
                    self.peers[n].turn(now);
                    self.due.push(Reverse((self.peers[n].timeout.max(now + FRAME), n, false)));
                }
            }
        }
    }

    /// Counts the frames of one measurement, and waits for the last ones.
    fn measure(&mut self, pace: Duration) -> String {
        self.epoch += 1;
        (self.sent, self.measuring, self.pace) = (0, true, pace);
        self.delays.clear();
        self.live(MEASURE);
        println!("measured");
        let sent = self.sent;
        self.epoch += 1;
        self.live(Duration::from_millis(300));
        self.measuring = false;
        assert!(self.peers.iter().all(|peer| peer.is_alive() && peer.source.is_some()), "a leg was lost");
        self.delays.sort_unstable();
        let quantile =
            |percent: usize| self.delays.get(self.delays.len() * percent / 100).map_or(f64::NAN, |ns| *ns as f64 / 1e6);
        format!("{sent} {} {:.3} {:.3}", self.delays.len(), quantile(50), quantile(99))
    }
}

/// A frame that looks like speech (SILK wideband, 20 ms, voice bit set) and carries its epoch and time of birth.
fn frame(epoch: u32, age: Duration) -> [u8; PAYLOAD_BYTES] {
    let mut frame = [0x55; PAYLOAD_BYTES];
    frame[..2].copy_from_slice(&[0x48, 0x80]);
    frame[2..6].copy_from_slice(&epoch.to_be_bytes());
    frame[6..14].copy_from_slice(&(age.as_nanos() as u64).to_be_bytes());
    frame
}

/// Frames of the epoch being measured; filler and what was still on its way are not counted.
fn note(delays: &mut Vec<u64>, measuring: bool, epoch: u32, payload: &[u8], age: Duration) {
    let Some(born) = payload.get(6..14).filter(|_| measuring && payload.len() == PAYLOAD_BYTES) else { return };
    let wanted = epoch - u32::from(epoch.is_multiple_of(2));
    if payload[2..6] == wanted.to_be_bytes() {
        let born = u64::from_be_bytes(born.try_into().expect("eight bytes"));
        delays.push((age.as_nanos() as u64).saturating_sub(born));
    }
}
