//! Shards over real loopback sockets.

pub(super) mod peer;
mod talk;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use rtrb::{Consumer, RingBuffer};
use tokio::sync::mpsc::{Receiver, channel};

use super::*;
use crate::model::id::CallId;
use crate::model::time::Clock;

/// Long enough for a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn a_taken_port_is_one_clear_sentence() {
    let ip = own_loopback(10);
    let taken = UdpSocket::bind(SocketAddr::new(ip, 0)).unwrap();
    let listen = taken.local_addr().unwrap();
    // Below the ephemeral range, so that the system's choice cannot fall among the customers' ports.
    let whatsapp_ports = "20000-20099".parse().unwrap();
    let Err(error) = start(&Config { listen, whatsapp_ports, ..config(ip) }) else { panic!("{listen} is taken") };
    let sentence = format!("cannot receive agents' media on UDP {listen}: change media.listen, or free the port");
    assert_eq!(error.to_string(), sentence);
    assert!(matches!(error, StartError::AgentPort { source, .. } if source.kind() == io::ErrorKind::AddrInUse));

    let config =
        toml::from_str("listen = '127.0.0.1:65535'\nshards = 2\nadvertise = ['0.0.0.0', '127.0.0.1']").unwrap();
    let Err(error) = start(&config) else { panic!("two contradictions") };
    let said = error.to_string();
    assert!(said.contains("use a lower port; media.advertise"), "both contradictions at once: {said}");
}

#[test]
fn figures_are_published_once_a_second_and_a_stranger_gets_no_answer() {
    let ip = own_loopback(11);
    let hall = start(&config(ip)).unwrap();
    let stranger = UdpSocket::bind(SocketAddr::new(ip, 0)).unwrap();
    let agent_port = hall.shards.agent_addresses(hall.shards.place())[0];
    // One of each kind: STUN without a username, with nobody's username, DTLS ClientHello, RTP, RTCP, rubbish, nothing.
    let mut nobodys = vec![0, 1, 0, 12, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 6, 0, 5];
    nobodys.extend(*b"abc:d\0\0\0");
    let stun = [&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42][..], &[7; 12]].concat();
    let kinds: [&[u8]; 6] = [&stun, &nobodys, &[22, 254, 253, 0, 0], &[0x80, 111, 0, 1], &[0x80, 200, 0, 1], b"hello"];
    for datagram in kinds {
        stranger.send_to(datagram, agent_port).unwrap();
    }
    until("the figures tell of the stranger", PATIENCE, || hall.stats().agent_port_misses == kinds.len() as u64);
    let stats = hall.stats();
    assert_eq!((stats.packets_in, stats.packets_out, stats.calls), (6, 0, 0));
    assert!(stats.turn_max >= stats.turn_p99 && stats.busy < 1.0, "{stats:?}");
    stranger.set_nonblocking(true).unwrap();
    assert!(stranger.recv(&mut [0; 100]).is_err(), "a stranger was answered");
}

#[test]
fn a_command_for_a_call_nobody_has_is_counted_and_harmless() {
    let hall = start(&config(own_loopback(12))).unwrap();
    let shard = hall.shards.place();
    let call = CallId::generate();
    hall.shards.send(shard, Command::Hold { call: call.clone(), held: true }).unwrap();
    hall.shards.send(shard, Command::Close { call }).unwrap();
    until("both are counted", PATIENCE, || hall.stats().unknown_commands == 2);
}

#[test]
fn calls_are_placed_where_the_fewest_are() {
    let hall = start(&Config { shards: 3, ..config(own_loopback(13)) }).unwrap();
    let mut placed = [0; 3];
    for _ in 0..30 {
        placed[hall.shards.place().index()] += 1;
    }
    assert_eq!(placed, [10, 10, 10]);
    let ports: Vec<_> = (0..3).map(|index| hall.shards.agent_addresses(ShardId(index))[0]).collect();
    assert!(ports[0] != ports[1] && ports[1] != ports[2], "{ports:?}");
}

#[test]
fn shutting_down_frees_the_agent_port_and_later_commands_are_refused() {
    let hall = start(&config(own_loopback(14))).unwrap();
    let shard = hall.shards.place();
    let port = hall.shards.agent_addresses(shard)[0];
    assert!(UdpSocket::bind(port).is_err(), "it is in use");
    hall.shards.shutdown();
    UdpSocket::bind(port).unwrap();
    let refusal = hall.shards.send(shard, Command::Close { call: CallId::generate() }).unwrap_err();
    assert!(refusal.to_string().contains("refuse the call"), "{refusal}");
}

/// Running shards, what they copy, and what they say.
struct Hall {
    shards: Shards,
    taps: Vec<Consumer<TapRecord>>,
    events: Receiver<ShardEvent>,
}

impl Hall {
    fn stats(&self) -> Stats {
        self.shards.stats()[0]
    }
}

impl Drop for Hall {
    fn drop(&mut self) {
        self.shards.shutdown();
    }
}

fn config(ip: IpAddr) -> Config {
    Config { listen: SocketAddr::new(ip, 0), shards: 1, ..Config::default() }
}

fn start(config: &Config) -> Result<Hall, StartError> {
    let (sender, events) = channel(1000);
    let mut taps = Vec::new();
    let shards = Shards::spawn(
        config,
        |_| {
            let (producer, consumer) = RingBuffer::new(100);
            taps.push(consumer);
            producer
        },
        sender,
    )?;
    Ok(Hall { shards, taps, events })
}

/// A loopback address of this test alone, so that tests running at the same time never want the same port.
pub(super) fn own_loopback(test: u8) -> IpAddr {
    let process = std::process::id();
    Ipv4Addr::new(127, (process >> 8 & 0x7f) as u8 + 64, (process & 0xff) as u8, test).into()
}

/// Waits for a condition.
pub(super) fn until(what: &str, within: Duration, mut condition: impl FnMut() -> bool) {
    let deadline = Clock.instant() + within;
    while !condition() {
        assert!(Clock.instant() < deadline, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
