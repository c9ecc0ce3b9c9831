//! The agent port, and receiving many datagrams with one system call.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use mio::net::UdpSocket;
use quinn_udp::{RecvMeta, Transmit, UdpSockRef, UdpSocketState};

use super::ports;

/// Datagrams received at once (`recvmmsg`).
pub(super) const BATCH: usize = quinn_udp::BATCH_SIZE;

/// The kernel may coalesce datagrams of one flow (GRO) up to the largest UDP payload. Only touched pages become resident.
const SLOT_BYTES: usize = 64 * 1024;

/// 1 MiB (the kernel doubles it) is 50 to 100 ms of a thousand agents; a bigger buffer would only turn an overload into delay.
const RECEIVE_BUFFER_BYTES: usize = 1024 * 1024;

/// The one socket that all agents of a shard share.
pub(super) struct AgentPort {
    pub socket: UdpSocket,
    state: Arc<UdpSocketState>,
    /// Bound to all addresses, so each answer must name the one it leaves from.
    pub wildcard: bool,
}

impl AgentPort {
    pub(super) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = ports::bind(address, RECEIVE_BUFFER_BYTES)?;
        let state = Arc::new(UdpSocketState::new(UdpSockRef::from(&socket))?);
        Ok(Self { socket: UdpSocket::from_std(socket), state, wildcard: address.ip().is_unspecified() })
    }

    /// Sends from `local`, or from where the kernel sees fit. Never waits.
    pub(super) fn send(&self, destination: SocketAddr, local: Option<IpAddr>, contents: &[u8]) -> io::Result<()> {
        if local.is_none() {
            return self.socket.send_to(contents, destination).map(drop);
        }
        let transmit = Transmit { destination, ecn: None, contents, segment_size: None, src_ip: local };
        self.state.try_send(UdpSockRef::from(&self.socket), &transmit)
    }
}

/// One received datagram.
pub(super) struct Datagram<'a> {
    pub source: SocketAddr,
    /// The address of ours it was sent to, where the kernel says so (the agent port).
    pub local: Option<IpAddr>,
    pub bytes: &'a [u8],
}

/// Buffers for one batch, used for every socket of the shard.
pub(super) struct Receiver {
    bytes: Box<[u8]>,
    metas: [RecvMeta; BATCH],
    state: Arc<UdpSocketState>,
}

impl Receiver {
    pub(super) fn new(port: &AgentPort) -> Self {
        Self {
            bytes: vec![0; BATCH * SLOT_BYTES].into(),
            metas: [RecvMeta::default(); BATCH],
            state: Arc::clone(&port.state),
        }
    }

    /// Receives up to `max` datagrams of `socket`, which need not be the agent port: receiving depends on no option that
    /// was set there. Fewer than `max` mean that the socket is empty, so that nobody has to ask it again to learn that.
    pub(super) fn recv(&mut self, socket: &UdpSocket, max: usize) -> io::Result<usize> {
        let mut slots = self.bytes.chunks_exact_mut(SLOT_BYTES);
        let mut slots: [IoSliceMut<'_>; BATCH] =
            std::array::from_fn(|_| IoSliceMut::new(slots.next().expect("there are BATCH slots")));
        self.state.recv(UdpSockRef::from(socket), &mut slots[..max], &mut self.metas[..max])
    }

    /// The datagrams of the last batch, coalesced ones taken apart.
    pub(super) fn datagrams(&self, received: usize) -> impl Iterator<Item = Datagram<'_>> {
        self.bytes.chunks_exact(SLOT_BYTES).zip(&self.metas).take(received).flat_map(|(slot, meta)| {
            // An empty datagram has stride 0, and there are no chunks of length 0.
            slot[..meta.len].chunks(meta.stride.max(1)).map(|bytes| Datagram {
                source: meta.addr,
                local: meta.dst_ip,
                bytes,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::shard::tests::{own_loopback, until};

    #[test]
    fn datagrams_of_any_size_arrive_one_by_one_even_empty_ones() {
        let port = AgentPort::bind(SocketAddr::new(own_loopback(3), 0)).unwrap();
        let mut receiver = Receiver::new(&port);
        let peer = std::net::UdpSocket::bind(SocketAddr::new(own_loopback(3), 0)).unwrap();
        let sizes = [100, 100, 100, 0, 80, 1472, 1];
        for (n, size) in sizes.iter().enumerate() {
            peer.send_to(&vec![n as u8; *size], port.socket.local_addr().unwrap()).unwrap();
        }
        let mut heard = Vec::new();
        until("all datagrams have arrived", Duration::from_secs(5), || {
            let received = receiver.recv(&port.socket, BATCH).unwrap_or(0);
            for datagram in receiver.datagrams(received) {
                assert_eq!(datagram.source, peer.local_addr().unwrap());
                assert_eq!(datagram.local, Some(own_loopback(3)));
                heard.push((datagram.bytes.first().copied(), datagram.bytes.len()));
            }
            heard.iter().any(|(n, _)| *n == Some(6))
        });
        // An empty datagram carries nothing, so nothing is handed on.
        let wanted: Vec<_> =
            sizes.iter().enumerate().filter(|(_, size)| **size > 0).map(|(n, size)| (Some(n as u8), *size)).collect();
        assert_eq!(heard, wanted);
    }

    #[test]
    fn a_port_bound_to_all_addresses_answers_from_the_one_it_was_asked_on() {
        let port = AgentPort::bind("0.0.0.0:0".parse().unwrap()).unwrap();
        assert!(port.wildcard);
        let peer = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let asked = own_loopback(4);
        port.send(peer.local_addr().unwrap(), Some(asked), b"hello").unwrap();
        let mut buffer = [0; 16];
        let (_, from) = peer.recv_from(&mut buffer).unwrap();
        assert_eq!(from.ip(), asked);
    }
}
