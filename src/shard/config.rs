//! The `[media]` section: where media is received and what peers are told about it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::thread::available_parallelism;

use serde::{Deserialize, Serialize};

/// Settings of the media plane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where agents' media arrives: shard `i` listens on this port + `i`. Port 0 takes any free one.
    ///
    /// Loopback by default, because a fresh installation must not be reachable before somebody decides that it should be.
    pub listen: SocketAddr,
    /// One UDP port of this range for each WhatsApp leg, because WhatsApp's relays share addresses.
    ///
    /// The default holds 2,000 calls at once, more than one machine carries, and keeps clear of the agents' ports.
    pub whatsapp_ports: PortRange,
    /// Addresses that peers reach us at when they differ from `listen`: the public side of a 1:1 NAT.
    ///
    /// Empty by default: what we listen on is what we say.
    pub advertise: Vec<IpAddr>,
    /// Media threads; 0 = cores − 1, at least 1.
    ///
    /// One core is left to signalling, recording and the database, so that none of them ever delays a packet.
    pub shards: usize,
    /// Least time between the beginnings of two turns of a shard, in microseconds: packets that come meanwhile share a
    /// wake-up. It saves CPU while there is little to do and adds up to this much delay; a busy shard never waits.
    ///
    /// 0 by default: with little to do nobody misses the CPU, and everybody hears delay.
    pub linger_us: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 40_000),
            whatsapp_ports: PortRange { first: 41_000, last: 42_999 },
            advertise: Vec::new(),
            shards: 0,
            linger_us: 0,
        }
    }
}

/// One frame; more would cost a frame's delay at each hop.
const LINGER_US_MAX: u32 = 20_000;

/// More threads than this are a slip of the keyboard.
const SHARDS_MAX: usize = 256;

impl Config {
    /// How many shards will run.
    pub fn shard_count(&self) -> usize {
        match self.shards {
            0 => available_parallelism().map_or(1, |cores| cores.get() - 1).max(1),
            wanted => wanted,
        }
    }

    /// Everything that is wrong with it, one sentence each; empty when it can be used.
    pub fn errors(&self) -> Vec<String> {
        let mut errors = Vec::new();
        let shards = self.shard_count();
        if shards > SHARDS_MAX {
            errors.push(format!("media.shards = {shards}: use 0 (cores - 1) to {SHARDS_MAX}"));
            return errors;
        }
        if self.listen.port() != 0 {
            let first = usize::from(self.listen.port());
            let last = first + shards - 1;
            if last > usize::from(u16::MAX) {
                errors.push(format!(
                    "media.listen = \"{}\": {shards} shards need the ports {first} to {last}, which end at 65535; use a lower port",
                    self.listen
                ));
            } else if first <= usize::from(self.whatsapp_ports.last) && usize::from(self.whatsapp_ports.first) <= last {
                errors.push(format!(
                    "media.whatsapp_ports = \"{}\" overlaps the agents' ports {first} to {last} (media.listen, one per shard); keep them apart",
                    self.whatsapp_ports
                ));
            }
        }
        if self.linger_us > LINGER_US_MAX {
            errors.push(format!("media.linger_us = {}: use 0 to {LINGER_US_MAX}", self.linger_us));
        }
        if self.listen.ip().is_multicast() {
            errors
                .push(format!("media.listen = \"{}\" is a multicast address; use one of this machine's", self.listen));
        }
        for address in &self.advertise {
            if address.is_unspecified() || address.is_multicast() {
                errors.push(format!("media.advertise: {address} is no address a peer can send to"));
            }
        }
        let family = |address: &IpAddr| address.is_ipv4() == self.listen.is_ipv4();
        if !self.advertise.is_empty() && !self.advertise.iter().any(family) {
            errors.push(format!(
                "media.advertise names no {} address, but media.listen = \"{}\" receives no other",
                if self.listen.is_ipv4() { "IPv4" } else { "IPv6" },
                self.listen
            ));
        }
        errors
    }
}

/// An inclusive range of UDP ports, written `41000-42999`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    first: u16,
    last: u16,
}

/// A text that is not a range of ports.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a port range: write `41000-42999` (first and last port, from 1024 to 65535)")]
pub struct BadPortRange(String);

impl PortRange {
    pub fn count(self) -> u32 {
        u32::from(self.last) - u32::from(self.first) + 1
    }

    /// The `n`-th port, counted round and round.
    pub(super) fn nth(self, n: u32) -> u16 {
        let offset = n % self.count();
        self.first + u16::try_from(offset).expect("an offset below the length of a u16 range fits u16")
    }
}

impl FromStr for PortRange {
    type Err = BadPortRange;

    fn from_str(text: &str) -> Result<Self, BadPortRange> {
        let bad = || BadPortRange(text.to_owned());
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let first = first.trim().parse().map_err(|_| bad())?;
        let last = last.trim().parse().map_err(|_| bad())?;
        // Below 1024 the kernel demands privileges, and WhatsApp refuses such ports anyway.
        if first < 1024 || last < first {
            return Err(bad());
        }
        Ok(Self { first, last })
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

impl Serialize for PortRange {
    fn serialize<S: serde::Serializer>(&self, ser: S) -> Result<S::Ok, S::Error> {
        ser.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PortRange {
    fn deserialize<D: serde::Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        String::deserialize(de)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_section_reads_from_toml_and_unknown_keys_are_refused() {
        let read: Config = toml::from_str(
            "listen = '10.0.0.5:50000'\nwhatsapp_ports = '51000-51009'\nadvertise = ['198.51.100.7']\nshards = 3",
        )
        .unwrap();
        assert_eq!((read.shard_count(), read.whatsapp_ports.count(), read.errors()), (3, 10, vec![]));
        let error = toml::from_str::<Config>("lissten = '10.0.0.5:50000'").unwrap_err().to_string();
        assert!(error.contains("lissten"), "{error}");
        assert_eq!(Config::default().errors(), Vec::<String>::new());
    }

    #[test]
    fn a_bad_range_says_how_to_write_one() {
        for bad in ["", "x", "41000-", "42999-41000", "80-90", "41000-70000", "-5-10"] {
            let error = bad.parse::<PortRange>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{bad}`")) && error.contains("41000-42999"), "{error}");
        }
        assert_eq!("41000".parse::<PortRange>().unwrap().count(), 1);
    }

    #[test]
    fn each_contradiction_is_one_sentence() {
        check("listen = '127.0.0.1:65535'\nshards = 2", "use a lower port");
        check("listen = '127.0.0.1:41500'\nshards = 1", "overlaps the agents' ports");
        check("listen = '127.0.0.1:40999'\nshards = 2", "overlaps the agents' ports");
        check("advertise = ['0.0.0.0', '198.51.100.7']", "no address a peer can send to");
        check("advertise = ['2001:db8::1']", "names no IPv4 address");
        check("shards = 5000", "media.shards = 5000");
        check("linger_us = 1000000", "use 0 to 20000");

        fn check(toml: &str, sentence: &str) {
            let errors = toml::from_str::<Config>(toml).unwrap().errors();
            assert!(errors.len() == 1 && errors[0].contains(sentence), "{toml}: {errors:?}");
        }
    }
}
