//! WhatsApp legs' ports: one bound socket each, out of a range.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};

use socket2::{Domain, Protocol, Socket, Type};

use super::config::PortRange;

/// A socket for one customer's leg, and what WhatsApp is told to send to. The port is free again when the socket is dropped.
#[derive(Debug)]
pub struct CustomerPort {
    pub socket: UdpSocket,
    pub advertised: SocketAddr,
}

/// No port of the range can be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("all {ports} ports of media.whatsapp_ports = \"{range}\" are in use: refuse the call, or widen the range")]
pub struct PortsExhausted {
    pub ports: u32,
    pub range: PortRange,
}

/// The range. The kernel keeps the account of what is taken, by us and by others, so that no port can leak.
#[derive(Debug)]
pub(super) struct Ports {
    range: PortRange,
    bound: IpAddr,
    advertised: IpAddr,
    /// Where to try next. Going round makes a freed port the last to be used again: packets still on their way to a
    /// finished call die out before the next call owns its port.
    next: AtomicU32,
}

/// 32 KiB (the kernel doubles it) hold a DTLS flight or about a second of one leg's audio; more would turn an overload
/// into seconds of delay instead of loss.
const RECEIVE_BUFFER_BYTES: usize = 32 * 1024;

impl Ports {
    pub(super) fn new(range: PortRange, bound: IpAddr, advertised: IpAddr) -> Self {
        Self { range, bound, advertised, next: AtomicU32::new(0) }
    }

    /// How many there are, taken or not.
    pub(super) fn count(&self) -> u32 {
        self.range.count()
    }

    /// Binds the next free port. One system call as a rule; when the range is nearly full one per port tried, about 1 µs each.
    pub(super) fn bind(&self) -> Result<CustomerPort, PortsExhausted> {
        for _ in 0..self.range.count() {
            let port = self.range.nth(self.next.fetch_add(1, Ordering::Relaxed));
            match bind(SocketAddr::new(self.bound, port), RECEIVE_BUFFER_BYTES) {
                Ok(socket) => return Ok(CustomerPort { socket, advertised: SocketAddr::new(self.advertised, port) }),
                Err(error) => tracing::trace!(port, %error, "customer port skipped"),
            }
        }
        Err(PortsExhausted { ports: self.range.count(), range: self.range })
    }
}

/// A bound, non-blocking UDP socket with a bounded receive buffer. No address re-use: a taken port must look taken.
pub(super) fn bind(address: SocketAddr, receive_buffer_bytes: usize) -> std::io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        // Otherwise IPv4 peers would arrive under mapped names that no candidate carries.
        socket.set_only_v6(true)?;
    }
    socket.set_recv_buffer_size(receive_buffer_bytes)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::tests::own_loopback;

    #[test]
    fn an_exhausted_range_is_refused_and_a_closed_socket_frees_its_port() {
        let ports = Ports::new("41000-41003".parse().unwrap(), own_loopback(1), "198.51.100.7".parse().unwrap());
        // Somebody else on this machine has one of the four.
        let foreign = UdpSocket::bind(SocketAddr::new(own_loopback(1), 41_001)).unwrap();
        let mut held: Vec<_> = (0..3).map(|_| ports.bind().unwrap()).collect();
        let advertised: Vec<_> = held.iter().map(|port| port.advertised.to_string()).collect();
        assert_eq!(advertised, ["198.51.100.7:41000", "198.51.100.7:41002", "198.51.100.7:41003"]);
        let refusal = ports.bind().unwrap_err();
        assert!(refusal.to_string().contains("\"41000-41003\""), "{refusal}");

        held.remove(1);
        assert_eq!(ports.bind().unwrap().advertised.port(), 41_002);
        drop(foreign);
        assert!(ports.bind().is_ok());
    }

    #[test]
    fn a_freed_port_is_the_last_to_be_used_again() {
        let ports = Ports::new("41000-41003".parse().unwrap(), own_loopback(2), own_loopback(2));
        let order: Vec<_> = (0..5).map(|_| ports.bind().unwrap().advertised.port()).collect();
        assert_eq!(order, [41_000, 41_001, 41_002, 41_003, 41_000]);
    }
}
