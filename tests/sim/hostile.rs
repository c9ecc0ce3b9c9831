//! Strangers and forgers: what comes from an address ICE has not validated has no effect and gets no answer.

use std::net::SocketAddr;

use tandem::media::{Fault, MediaEvent};

use crate::peer::{Peer, Style};
use crate::world::{CUSTOMER, World, address, agent_key, agent_port, assert_gapless, customer_socket};

const STRANGER: &str = "127.0.0.1:6666";

/// A real DTLS ClientHello, taken from a browser that was told everything it needs to know to send it.
fn client_hello(world: &World) -> Vec<u8> {
    // A leg whose peer answers at once, so that the browser begins its handshake.
    let mut other = World::inbound(Style::Live, 99);
    other.add_agent();
    let browser = other.browsers[0].address;
    let mut seen = Vec::new();
    for _ in 0..200 {
        other.run_ms(1);
        for sent in other.network_peek(browser) {
            if sent[0] == 22 {
                seen.push(sent);
            }
        }
        if let Some(hello) = seen.pop() {
            return hello;
        }
    }
    panic!("no ClientHello seen beside {}", world.sent.len());
}

/// What strangers achieved.
#[derive(Debug, PartialEq, Eq)]
struct Effect {
    browser_connected: bool,
    bytes_to_stranger: usize,
}

/// A stranger begins a handshake with the agent's leg before the browser does.
fn race_of_hellos(gate: bool) -> Effect {
    let mut world = World::inbound(Style::Live, 50);
    let hello = client_hello(&world);
    let stranger: SocketAddr = address(STRANGER);
    let agent = world.add_agent();
    if !gate {
        world.bridge.plant(agent_key(agent), Fault::GateRemoved);
    }
    for _ in 0..3 {
        world.deliver(stranger, agent_port(), &hello);
        world.deliver(stranger, agent_port(), &[22, 254, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 40]);
        world.deliver(stranger, agent_port(), &[21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 40]);
    }
    world.run_ms(3_000);
    Effect { browser_connected: world.browsers[agent].connected, bytes_to_stranger: bytes_to(&world, stranger) }
}

fn bytes_to(world: &World, address: SocketAddr) -> usize {
    world.sent.iter().filter(|s| s.to == address).map(|s| s.contents.len()).sum()
}

#[test]
fn a_strangers_client_hello_before_the_connection_has_no_effect() {
    assert_eq!(race_of_hellos(true), Effect { browser_connected: true, bytes_to_stranger: 0 });
}

#[test]
fn without_the_gate_the_stranger_wins_the_race() {
    assert!(!race_of_hellos(false).browser_connected, "if this holds without the gate, the test above proves nothing");
}

/// Packets of the call's own parties, copied on the way, arrive first from a stranger's address. How many had an effect?
fn stolen_packets(gate: bool) -> (u64, usize) {
    let mut world = World::talking(51);
    if !gate {
        world.bridge.plant(CUSTOMER, Fault::GateRemoved);
        world.bridge.plant(agent_key(0), Fault::GateRemoved);
    }
    let stranger = address(STRANGER);
    let mut taken = 0;
    for _ in 0..200 {
        world.run_ms(5);
        for (from, port) in [(world.phone.address, customer_socket()), (world.browsers[0].address, agent_port())] {
            for stolen in world.network_peek(from) {
                if (128..192).contains(&stolen[0]) {
                    let before = world.bridge.counters().forwarded;
                    world.deliver(stranger, port, &stolen);
                    taken += world.bridge.counters().forwarded - before;
                }
            }
        }
    }
    (taken, bytes_to(&world, stranger))
}

#[test]
fn media_from_a_stranger_has_no_effect_even_when_it_is_genuine() {
    assert_eq!(stolen_packets(true), (0, 0));
}

#[test]
fn without_the_gate_stolen_media_is_taken_from_anywhere() {
    assert!(stolen_packets(false).0 > 50);
}

#[test]
fn forgeries_from_the_right_address_neither_cut_the_call_nor_are_heard() {
    let mut world = World::talking(52);
    let hello = client_hello(&world);
    for round in 0..100_u32 {
        let (phone, browser) = (world.phone.address, world.browsers[0].address);
        for (from, to) in [(phone, customer_socket()), (browser, agent_port())] {
            let mut rtp = vec![0x80, 111];
            rtp.extend_from_slice(&round.to_be_bytes()[2..]);
            rtp.extend_from_slice(&[0; 4]);
            rtp.extend_from_slice(&(round % 7).to_be_bytes());
            rtp.extend_from_slice(&[0x55; 60]);
            world.deliver(from, to, &rtp);
            world.deliver(from, to, &hello);
            world.deliver(from, to, &[21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 0]);
            world.deliver(from, to, &[20, 254, 253, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 1]);
            world.deliver(from, to, &[0x80, 200, 0, 6, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9]);
        }
        world.run_ms(20);
    }
    let before = world.phone.frames_heard().len();
    world.run_ms(3_000);
    assert!(world.phone.frames_heard().len() >= before + 149, "the agent is heard on");
    assert!(world.browsers[0].frames_heard().len() > 290);
    assert!(!world.is_lost("leg_customer") && !world.is_lost("leg_agent0"), "{:?}", world.told.last());
    assert_gapless(&world.phone.heard);
}

/// The browser's own connectivity checks, captured and sent again from elsewhere: valid in every bit, only not theirs who send
/// them. Each asks to move the call's media there.
#[test]
fn a_captured_check_played_again_from_elsewhere_moves_nothing() {
    let mut world = World::talking(58);
    let stranger = address(STRANGER);
    let mut stolen = 0;
    for _ in 0..4_000 {
        world.run_ms(5);
        for check in world.network_peek(world.browsers[0].address) {
            if check[0] == 0 && check[1] == 1 && world.network_peek(stranger).is_empty() {
                stolen += 1;
                world.network.send(stranger, agent_port(), check, world.now);
            }
        }
    }
    assert!(stolen > 5, "{stolen}");
    assert_eq!(bytes_to(&world, stranger), 0);
    assert_eq!(world.browsers[0].frames_heard().len(), world.phone.spoken as usize - 1);
}

#[test]
fn captured_packets_played_again_are_heard_once() {
    let mut world = World::talking(53);
    let mut captured = Vec::new();
    for _ in 0..100 {
        world.run_ms(5);
        captured.extend(world.network_peek(world.browsers[0].address));
    }
    let before = world.phone.frames_heard();
    for stolen in &captured {
        world.deliver(world.browsers[0].address, agent_port(), stolen);
    }
    world.run_ms(1_000);
    let mut heard = world.phone.frames_heard();
    assert!(heard.len() > before.len());
    let all = heard.len();
    heard.sort_unstable();
    heard.dedup();
    assert_eq!(heard.len(), all, "no frame twice");
    assert!(!world.is_lost("leg_agent0"));
}

#[test]
fn a_flood_from_the_peer_itself_is_capped_before_decryption() {
    let mut world = World::talking(54);
    let browser = world.browsers[0].address;
    let before = world.bridge.counters().strangers;
    let mut rtp = vec![0x80, 111, 0, 1, 0, 0, 0, 1, 0, 0, 0, 9];
    rtp.resize(80, 7);
    for _ in 0..100 {
        for _ in 0..100 {
            world.deliver(browser, agent_port(), &rtp);
        }
        world.run_ms(10);
    }
    let refused = world.bridge.counters().strangers - before;
    assert!((8_500..=9_900).contains(&refused), "10,000 in a second, about 800 let through: {refused}");
    let heard = world.phone.frames_heard().len();
    world.run_ms(2_000);
    assert!(world.phone.frames_heard().len() >= heard + 98, "and afterwards the call goes on");
}

#[test]
fn no_garbage_panics_or_is_answered() {
    let mut world = World::talking(55);
    let mut samples: Vec<Vec<u8>> = Vec::new();
    for _ in 0..400 {
        world.run_ms(5);
        for from in [world.phone.address, world.browsers[0].address] {
            for datagram in world.network_peek(from) {
                if samples.iter().all(|s| s[0] != datagram[0] || s.len() != datagram.len()) {
                    samples.push(datagram);
                }
            }
        }
    }
    samples.push(client_hello(&world));
    assert!(samples.iter().any(|s| s[0] < 2) && samples.iter().any(|s| s[0] >= 128), "checks and media were seen");
    let stranger = address(STRANGER);
    let mut tries = 0;
    let mut throw = |world: &mut World, bytes: &[u8]| {
        let (phone, browser) = (world.phone.address, world.browsers[0].address);
        for (from, to) in [
            (stranger, customer_socket()),
            (stranger, agent_port()),
            (phone, customer_socket()),
            (browser, agent_port()),
        ] {
            world.deliver(from, to, bytes);
        }
        tries += 4;
        if tries % 400 == 0 {
            world.run_ms(250);
        }
    };
    for sample in &samples {
        for end in 0..sample.len() {
            throw(&mut world, &sample[..end]);
        }
        // The last eight bytes of a check only tell STUN from other things (RFC 8489 section 14.7); with them changed it is still
        // the peer's, and valid.
        let guarded = if sample[0] < 2 { sample.len() - 8 } else { sample.len() };
        for bit in 0..guarded.min(120) * 8 {
            let mut flipped = sample.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            throw(&mut world, &flipped);
        }
    }
    for _ in 0..4_000 {
        let len = world.network.number() as usize % 300;
        let mut random: Vec<u8> = (0..len).map(|_| world.network.number() as u8).collect();
        if let Some(first) = random.first_mut() {
            // Most first bytes are none of ours and stop at once.
            *first = [0, 1, 20, 21, 22, 23, 25, 63, 128, 144, 160, 191][usize::from(*first) % 12];
        }
        throw(&mut world, &random);
    }
    assert!(tries > 20_000, "{tries}");
    assert_eq!(bytes_to(&world, stranger), 0);
    assert_eq!(world.bridge.counters().panics, 0);
    assert!(!world.is_lost("leg_customer") && !world.is_lost("leg_agent0"), "{:?}", world.told.last());
    let heard = world.phone.frames_heard().len();
    world.run_ms(2_000);
    assert!(world.phone.frames_heard().len() >= heard + 98, "the call goes on");
}

#[test]
fn addresses_are_validated_only_after_a_check_that_ice_accepted() {
    let mut world = World::inbound(Style::Live, 56);
    world.add_agent();
    world.deliver(address(STRANGER), agent_port(), &[0; 20]);
    assert_eq!(world.validated, []);
    world.run_ms(1_000);
    let mut validated = world.validated.clone();
    validated.sort_unstable();
    assert_eq!(validated, [(CUSTOMER, world.phone.address), (agent_key(0), world.browsers[0].address)]);
}

#[test]
fn a_peer_with_another_certificate_than_it_announced_is_cut_off() {
    let mut world = World::inbound(Style::Live, 57);
    let mut honest = Peer::browser(address("127.0.0.1:50000"), world.now);
    let offer = honest.browser_offer();
    let at = offer.find("a=fingerprint:sha-256 ").unwrap() + "a=fingerprint:sha-256 ".len();
    let changed = if &offer[at..at + 2] == "00" { "01" } else { "00" };
    let forged = format!("{}{changed}{}", &offer[..at], &offer[at + 2..]);
    world.attach_browser(honest, &forged);
    world.run_ms(3_000);
    let told: Vec<_> =
        world.events().filter(|e| matches!(e, MediaEvent::Connected { leg } if leg.as_str() == "leg_agent0")).collect();
    assert!(told.is_empty(), "{told:?}");
    assert!(world.is_lost("leg_agent0"));
}
