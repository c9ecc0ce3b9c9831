//! What peers are told to send to, when that is not what we are bound to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use super::Config;

/// More candidates only slow a browser's ICE down; a container host easily has dozens of bridges.
const ADVERTISED_MAX: usize = 8;

/// The addresses of our own that peers may send to, the best one first. Never empty.
pub(super) fn advertised(config: &Config) -> Vec<IpAddr> {
    let bound = config.listen.ip();
    let mut addresses: Vec<IpAddr> = if !config.advertise.is_empty() {
        config.advertise.iter().copied().filter(|a| a.is_ipv4() == bound.is_ipv4()).collect()
    } else if !bound.is_unspecified() {
        vec![bound]
    } else if bound.is_ipv4() {
        let listed = std::fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
        preferred(bound).into_iter().chain(local_v4(&listed).map(IpAddr::V4)).collect()
    } else {
        let listed = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
        preferred(bound).into_iter().chain(local_v6(&listed).map(IpAddr::V6)).collect()
    };
    let mut seen = Vec::new();
    addresses.retain(|address| {
        let fresh = !seen.contains(address);
        seen.push(*address);
        fresh
    });
    addresses.truncate(ADVERTISED_MAX);
    if addresses.is_empty() {
        addresses.push(if bound.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    addresses
}

/// The address this host would send from towards the internet. Connecting a UDP socket sends nothing; the destinations
/// are reserved for documentation (RFC 5737, RFC 3849).
fn preferred(bound: IpAddr) -> Option<IpAddr> {
    let far: IpAddr = if bound.is_ipv4() {
        Ipv4Addr::new(198, 51, 100, 1).into()
    } else {
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into()
    };
    let socket = UdpSocket::bind(SocketAddr::new(bound, 0)).ok()?;
    socket.connect(SocketAddr::new(far, 9)).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_unspecified() && !address.is_loopback()).then_some(address)
}

/// The host's own IPv4 addresses: in the kernel's table an address line is followed by `/32 host LOCAL`.
fn local_v4(fib_trie: &str) -> impl Iterator<Item = Ipv4Addr> + '_ {
    let mut last = None;
    fib_trie.lines().filter_map(move |line| {
        let line = line.trim();
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse::<Ipv4Addr>().ok();
            return None;
        }
        last.filter(|a| line == "/32 host LOCAL" && !a.is_loopback() && !a.is_link_local())
    })
}

/// The host's global IPv6 addresses: 32 hexadecimal digits, …, scope 00 in the fourth column.
fn local_v6(if_inet6: &str) -> impl Iterator<Item = Ipv6Addr> + '_ {
    if_inet6.lines().filter_map(|line| {
        let mut columns = line.split_whitespace();
        let address = u128::from_str_radix(columns.next()?, 16).ok()?;
        (columns.nth(2)? == "00").then(|| Ipv6Addr::from_bits(address))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_advertised_follows_what_is_configured() {
        check("listen = '127.0.0.1:0'", &["127.0.0.1"]);
        check("listen = '10.1.2.3:0'\nadvertise = ['198.51.100.7', '2001:db8::1', '198.51.100.7']", &["198.51.100.7"]);

        fn check(toml: &str, wanted: &[&str]) {
            let wanted: Vec<IpAddr> = wanted.iter().map(|a| a.parse().unwrap()).collect();
            assert_eq!(advertised(&toml::from_str(toml).unwrap()), wanted, "{toml}");
        }
    }

    #[test]
    fn a_wildcard_becomes_addresses_that_can_be_sent_to() {
        for listen in ["0.0.0.0:0", "[::]:0"] {
            let found = advertised(&Config { listen: listen.parse().unwrap(), ..Config::default() });
            assert!(!found.is_empty() && found.iter().all(|a| !a.is_unspecified()), "{listen}: {found:?}");
        }
    }

    #[test]
    fn the_kernels_tables_are_read() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 192.0.2.0\n        /24 link UNICAST\n     |-- 192.0.2.2\n        /32 host LOCAL\n     |-- 192.0.2.255\n        /32 link BROADCAST\n";
        assert_eq!(local_v4(trie).collect::<Vec<_>>(), [Ipv4Addr::new(192, 0, 2, 2)]);
        let inet6 = "fd000000000000000000000000000002 04 40 00 82     eth0\n00000000000000000000000000000001 01 80 10 80       lo\nfe8000000000000000fc00fffe000001 04 40 20 80     eth0\n";
        assert_eq!(local_v6(inet6).collect::<Vec<_>>(), ["fd00::2".parse::<Ipv6Addr>().unwrap()]);
    }
}
