//! The UDP socket under QUIC.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use quinn::{Endpoint, EndpointConfig, ServerConfig, TokioRuntime};
use socket2::{Domain, Protocol, Socket, Type};

/// Half a second of 1,000 calls: a machine that decodes on all cores may leave its network threads waiting for so long, and
/// what the kernel has no room for is lost without a word. It gives less where `net.core.rmem_max` says so.
const BUFFER_BYTES: usize = 8 << 20;

/// An endpoint there, of both families if the address is IPv6's "any". Called inside a runtime.
pub(super) fn endpoint(address: SocketAddr, server: Option<ServerConfig>) -> io::Result<Endpoint> {
    Endpoint::new(EndpointConfig::default(), server, bind(address)?, Arc::new(TokioRuntime))
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket.set_only_v6(false)?;
    }
    socket.set_recv_buffer_size(BUFFER_BYTES)?;
    socket.set_send_buffer_size(BUFFER_BYTES)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn the_kernel_keeps_more_for_it_than_for_any_other_socket() {
        let usual = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap().recv_buffer_size().unwrap();
        let ours = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let most: usize = std::fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap().trim().parse().unwrap();
        let got = Socket::from(ours).recv_buffer_size().unwrap();
        assert!(got >= usual && got >= BUFFER_BYTES.min(most), "{got} of {most}, usually {usual}");
    }
}
