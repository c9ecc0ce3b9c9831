//! A network in a vector: delay, loss, duplicates and reordering from a seed, so that every run is the same run.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A datagram under way.
pub(crate) struct Datagram {
    pub(crate) at: Instant,
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) contents: Vec<u8>,
}

/// What happens to datagrams, in percent.
#[derive(Clone, Copy, Default)]
pub(crate) struct Weather {
    pub(crate) loss: u64,
    pub(crate) duplicate: u64,
    /// Held up by 45 ms, so that two younger ones overtake.
    pub(crate) late: u64,
}

pub(crate) struct Network {
    under_way: Vec<Datagram>,
    pub(crate) weather: Weather,
    /// Everything to or from here disappears.
    pub(crate) cut: Option<SocketAddr>,
    state: u64,
}

const DELAY: Duration = Duration::from_millis(8);
const LATE: Duration = Duration::from_millis(45);

impl Network {
    pub(crate) fn new(seed: u64) -> Self {
        Self { under_way: Vec::new(), weather: Weather::default(), cut: None, state: seed | 1 }
    }

    pub(crate) fn send(&mut self, from: SocketAddr, to: SocketAddr, contents: Vec<u8>, now: Instant) {
        if self.cut == Some(from) || self.cut == Some(to) || self.chance(self.weather.loss) {
            return;
        }
        let copies = if self.chance(self.weather.duplicate) { 2 } else { 1 };
        for _ in 0..copies {
            let at = now + DELAY + if self.chance(self.weather.late) { LATE } else { Duration::ZERO };
            self.under_way.push(Datagram { at, from, to, contents: contents.clone() });
        }
    }

    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.under_way.iter().map(|d| d.at).min()
    }

    /// The next datagram that has arrived.
    pub(crate) fn take(&mut self, now: Instant) -> Option<Datagram> {
        let next = self.next_at().filter(|at| *at <= now)?;
        let n = self.under_way.iter().position(|d| d.at == next)?;
        Some(self.under_way.remove(n))
    }

    /// Copies of what this address has under way.
    pub(crate) fn peek(&self, from: SocketAddr) -> Vec<Vec<u8>> {
        self.under_way.iter().filter(|d| d.from == from).map(|d| d.contents.clone()).collect()
    }

    pub(crate) fn number(&mut self) -> u64 {
        // splitmix64
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn chance(&mut self, percent: u64) -> bool {
        percent > 0 && self.number() % 100 < percent
    }
}
