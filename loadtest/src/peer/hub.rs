//! One UDP socket and the endpoints behind it.
//!
//! A browser or a lone phone has a socket of its own. Meta's relays have not: many calls share one address there, so a
//! hub can carry many endpoints, told apart by the other side's address once a STUN request has named its ufrag.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::net::UdpSocket;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::Command;
use super::rtc_peer::RtcPeer;
use super::stun;

/// Datagrams read in one turn before timers get a look in.
const READS_PER_TURN: usize = 64;
/// Larger than any datagram of this protocol family.
const DATAGRAM_BYTES_MAX: usize = 2_048;
/// A hub without any endpoint looks for commands only.
const IDLE: Duration = Duration::from_secs(3_600);

/// A handle on one bound socket.
#[derive(Clone)]
pub struct Socket {
    addr: SocketAddr,
    commands: UnboundedSender<HubCommand>,
}

impl Socket {
    /// Where it is bound.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(crate) fn send(&self, command: HubCommand) {
        // A hub that has ended has no endpoint left that could obey.
        let _ = self.commands.send(command);
    }
}

pub(crate) enum HubCommand {
    Add(u64, Box<RtcPeer>),
    Tell(u64, Command),
}

/// The loop's own half.
pub(crate) struct Hub {
    socket: std::net::UdpSocket,
    addr: SocketAddr,
    commands: UnboundedReceiver<HubCommand>,
}

impl Hub {
    pub(crate) fn new(socket: std::net::UdpSocket) -> Result<(Self, Socket)> {
        let addr = socket.local_addr().context("the socket has no address")?;
        let (sender, commands) = unbounded_channel();
        Ok((Self { socket, addr, commands }, Socket { addr, commands: sender }))
    }

    /// Runs until every handle is dropped; endpoints that nobody can reach any more go with it.
    pub(crate) async fn run(mut self) {
        let Ok(socket) = UdpSocket::from_std(self.socket) else {
            tracing::error!(addr = %self.addr, "socket_not_usable");
            return;
        };
        let mut table = Table { peers: HashMap::new(), by_source: HashMap::new() };
        let mut buffer = vec![0_u8; DATAGRAM_BYTES_MAX];
        loop {
            let deadline = table.deadline().unwrap_or_else(|| Instant::now() + IDLE);
            tokio::select! {
                command = self.commands.recv() => match command {
                    Some(command) => table.obey(command, &socket, Instant::now()),
                    None => return,
                },
                _ = socket.readable() => table.read(&socket, self.addr, &mut buffer),
                () = tokio::time::sleep_until(deadline.into()) => {}
            }
            table.tick(&socket, Instant::now());
        }
    }
}

struct Table {
    peers: HashMap<u64, Box<RtcPeer>>,
    by_source: HashMap<SocketAddr, u64>,
}

impl Table {
    fn deadline(&self) -> Option<Instant> {
        self.peers.values().map(|peer| peer.deadline()).min()
    }

    fn obey(&mut self, command: HubCommand, socket: &UdpSocket, now: Instant) {
        match command {
            HubCommand::Add(key, mut peer) => {
                peer.drain(now, &mut |to, bytes| transmit(socket, to, bytes));
                self.peers.insert(key, peer);
            }
            HubCommand::Tell(key, command) => {
                if let Some(peer) = self.peers.get_mut(&key) {
                    peer.obey(command, now, &mut |to, bytes| transmit(socket, to, bytes));
                }
            }
        }
    }

    fn read(&mut self, socket: &UdpSocket, local: SocketAddr, buffer: &mut [u8]) {
        for _ in 0..READS_PER_TURN {
            let (length, source) = match socket.try_recv_from(buffer) {
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // An ICMP "port unreachable" of an earlier send; the next read goes on.
                Err(_) => continue,
            };
            let now = Instant::now();
            let bytes = &buffer[..length];
            let Some(key) = self.route(source, bytes) else { continue };
            if let Some(peer) = self.peers.get_mut(&key) {
                peer.receive(source, local, bytes, now, &mut |to, bytes| transmit(socket, to, bytes));
            }
        }
    }

    fn route(&mut self, source: SocketAddr, bytes: &[u8]) -> Option<u64> {
        if let Some(ufrag) = stun::wanted_ufrag(bytes) {
            let key = *self.peers.iter().find(|(_, peer)| peer.ufrag() == ufrag)?.0;
            self.by_source.insert(source, key);
            return Some(key);
        }
        if self.peers.len() == 1 {
            return self.peers.keys().next().copied();
        }
        self.by_source.get(&source).copied()
    }

    fn tick(&mut self, socket: &UdpSocket, now: Instant) {
        for peer in self.peers.values_mut().filter(|peer| peer.deadline() <= now) {
            peer.tick(now, &mut |to, bytes| transmit(socket, to, bytes));
        }
        self.peers.retain(|_, peer| peer.is_alive());
        let peers = &self.peers;
        if self.by_source.len() > peers.len() * 4 {
            self.by_source.retain(|_, key| peers.contains_key(key));
        }
    }
}

fn transmit(socket: &UdpSocket, to: SocketAddr, bytes: &[u8]) {
    // A full send buffer loses the datagram, as a network would.
    if let Err(error) = socket.try_send_to(bytes, to) {
        tracing::trace!(%to, %error, "datagram_lost");
    }
}
