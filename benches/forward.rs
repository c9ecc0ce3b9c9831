//! What one forwarded packet costs in the media plane alone: decrypted on one leg, placed on the other's line, copied to the tap
//! and encrypted again. No socket, no thread; every packet is a real one of two peers that agreed on their keys.
//!
//! `cargo bench --bench forward` prints nanoseconds and allocations per packet, and fails above 2.1 allocations: two are the media
//! stack's own (the decrypted payload and the encrypted datagram). What comes by the clock whether or not anybody speaks, reports and
//! checks of both sides, is told apart.

#[allow(dead_code, reason = "the simulation uses more of it")]
#[path = "../tests/sim/network.rs"]
mod network;
#[allow(dead_code, clippy::unwrap_used, reason = "the simulation uses more of it, and what cannot go on stops")]
#[path = "../tests/sim/peer.rs"]
mod peer;
#[allow(dead_code, clippy::unwrap_used, reason = "the simulation uses more of it, and what cannot go on stops")]
#[path = "../tests/sim/world.rs"]
mod world;

use std::alloc::System;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tandem::media::{LegKey, Output};
use tandem::model::rtp::TapKey;

use world::{CUSTOMER, World, agent_key};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Enough that no call's state stays in the nearest cache.
const CALLS: u64 = 50;
/// One second: until then the caches and the queues find their size. A stream's first seconds count.
const WARM_UP_STEPS: u64 = 50;
const STEPS: u64 = 500;
const FRAME: Duration = Duration::from_millis(20);
const ALLOCATIONS_PER_PACKET_MAX: f64 = 2.1;

/// How many packets cost how many allocations; 0 to 7, and more.
#[derive(Default)]
struct Spread([u64; 9]);

#[derive(Default)]
struct Cost {
    time: Duration,
    allocations: usize,
    bytes: usize,
    packets: u64,
}

/// What is due however little is said.
#[derive(Default)]
struct Clockwork {
    timers: Cost,
    /// The peers' reports and checks.
    arrivals: Cost,
}

impl Cost {
    fn measure(&mut self, work: impl FnOnce() -> u64) {
        let region = Region::new(ALLOCATOR);
        #[allow(clippy::disallowed_methods, reason = "a bench measures the machine's own time")]
        let begin = Instant::now();
        self.packets += work();
        self.time += begin.elapsed();
        let change = region.change();
        self.allocations += change.allocations + change.reallocations;
        self.bytes += change.bytes_allocated;
    }

    fn per_packet(&self) -> (f64, f64, f64) {
        let packets = self.packets as f64;
        (self.time.as_nanos() as f64 / packets, self.allocations as f64 / packets, self.bytes as f64 / packets)
    }
}

fn main() {
    let mut calls: Vec<World> = (0..CALLS)
        .map(|n| {
            let mut call = World::talking(n);
            call.bridge.start_tap(TapKey(n), call.now);
            call.collect();
            call
        })
        .collect();
    for _ in 0..WARM_UP_STEPS {
        step(&mut calls, &mut Cost::default(), &mut Clockwork::default(), None);
    }
    let (mut forward, mut clockwork, mut spread) = (Cost::default(), Clockwork::default(), Spread::default());
    for _ in 0..STEPS {
        step(&mut calls, &mut forward, &mut clockwork, None);
    }
    // Once more, counting packet by packet, which would disturb the time.
    for _ in 0..STEPS {
        step(&mut calls, &mut Cost::default(), &mut Clockwork::default(), Some(&mut spread));
    }

    let (ns, allocations, bytes) = forward.per_packet();
    println!(
        "forwarded packets                {:>9}   ({CALLS} calls, both directions, with a copy to the tap)",
        forward.packets
    );
    println!("time per forwarded packet        {ns:>9.0} ns (decrypt, place, copy, encrypt; one core)");
    println!("allocations per forwarded packet {allocations:>9.3}    (of them 2 in the media stack)");
    let all: u64 = spread.0.iter().sum();
    println!("packets with exactly 2           {:>9.2} % (the others met a connectivity check that was due)", {
        spread.0[2] as f64 * 100.0 / all as f64
    });
    println!("bytes allocated per packet       {bytes:>9.0}");
    println!("by the clock, per call and second:");
    let call_seconds = (CALLS * STEPS) as f64 * FRAME.as_secs_f64();
    for (what, cost) in [("timers", &clockwork.timers), ("their reports and checks", &clockwork.arrivals)] {
        let (us, allocations) = (cost.time.as_secs_f64() * 1e6 / call_seconds, cost.allocations as f64 / call_seconds);
        println!("  {what:31}{us:>8.1} µs, {allocations:.1} allocations");
    }
    let all = forward.allocations + clockwork.timers.allocations + clockwork.arrivals.allocations;
    println!("all of it on the packets' account{:>9.3}    allocations", all as f64 / forward.packets as f64);
    println!(
        "calls one core could forward     {:>9.0}    (100 packets a second each; without sockets)",
        1e9 / ns / 100.0
    );
    assert_eq!(spread.0[..2], [0, 0], "a packet was not forwarded");
    assert!(
        allocations <= ALLOCATIONS_PER_PACKET_MAX,
        "{allocations:.3} allocations per forwarded packet, at most {ALLOCATIONS_PER_PACKET_MAX} are allowed"
    );
}

/// All calls' next 20 ms: the peers speak, then everything that arrived is forwarded in one measured batch.
fn step(calls: &mut [World], forward: &mut Cost, clockwork: &mut Clockwork, mut spread: Option<&mut Spread>) {
    let mut arrived: Vec<(usize, LegKey, SocketAddr, Vec<u8>)> = Vec::with_capacity(calls.len() * 2);
    // As in a shard, timers fire when they are due and not with the next packet.
    clockwork.timers.measure(|| {
        for call in calls.iter_mut() {
            call.now += FRAME;
            call.bridge.handle_timeout(call.now);
        }
        0
    });
    for (n, call) in calls.iter_mut().enumerate() {
        deliver(call);
        call.phone.handle_timeout(call.now);
        call.browsers[0].handle_timeout(call.now);
        let spoken = [
            (CUSTOMER, call.phone.address, std::mem::take(&mut call.phone.outbox)),
            (agent_key(0), call.browsers[0].address, std::mem::take(&mut call.browsers[0].outbox)),
        ];
        for (leg, from, outbox) in spoken {
            for (_, contents) in outbox {
                if is_rtp(&contents) {
                    arrived.push((n, leg, from, contents));
                } else {
                    clockwork.arrivals.measure(|| {
                        call.bridge.handle_datagram(leg, from, &contents, call.now);
                        0
                    });
                    deliver(call);
                }
            }
        }
    }

    let mut others: Vec<(usize, SocketAddr, Vec<u8>)> = Vec::with_capacity(64);
    forward.measure(|| {
        let mut packets = 0;
        for (n, leg, from, datagram) in &arrived {
            let call = &mut calls[*n];
            let before = spread.as_ref().map(|_| Region::new(ALLOCATOR));
            call.bridge.handle_datagram(*leg, *from, datagram, call.now);
            loop {
                match call.bridge.poll_output(call.now) {
                    Output::Timeout(_) => break,
                    Output::Transmit(t) if is_rtp(&t.contents) => packets += 1,
                    Output::Transmit(t) => others.push((*n, t.destination, t.contents)),
                    Output::Tap(record) => drop(std::hint::black_box(record)),
                    Output::Event(_) => {}
                }
            }
            if let (Some(spread), Some(before)) = (spread.as_deref_mut(), before) {
                let change = before.change();
                spread.0[(change.allocations + change.reallocations).min(8)] += 1;
            }
        }
        packets
    });
    for (n, to, contents) in others {
        answer(&mut calls[n], to, &contents);
    }
}

/// Everything the bridge wants to send reaches its peer at once.
fn deliver(call: &mut World) {
    loop {
        match call.bridge.poll_output(call.now) {
            Output::Timeout(_) => return,
            Output::Transmit(t) => answer(call, t.destination, &t.contents),
            Output::Tap(_) | Output::Event(_) => {}
        }
    }
}

fn answer(call: &mut World, to: SocketAddr, contents: &[u8]) {
    let now = call.now;
    if to == call.phone.address {
        call.phone.handle_datagram(world::customer_socket(), contents, now);
        call.phone.heard.clear();
    } else {
        call.browsers[0].handle_datagram(world::agent_port(), contents, now);
        call.browsers[0].heard.clear();
    }
}

fn is_rtp(contents: &[u8]) -> bool {
    (128..192).contains(&contents[0]) && !(64..96).contains(&(contents[1] & 0x7f))
}
