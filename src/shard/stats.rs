//! Figures of a shard, copied out once a second.

use std::time::Duration;

use crate::media::Counters;

/// What a shard does. Counts run since its start; the `turn` and `busy` figures are of the last full second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stats {
    pub calls: usize,
    pub legs: usize,
    /// Datagrams received, on the agent port and on customers' ports.
    pub packets_in: u64,
    pub packets_out: u64,
    /// Audio packets that went from one leg to the other.
    pub forwarded: u64,
    /// Frames of silence sent so that the customer's side never falls silent.
    pub filler: u64,
    /// Datagrams the kernel had no room for (or refused) when we sent them.
    pub dropped_sends: u64,
    /// Datagrams of the agent port from addresses nobody has validated, and not a check for a leg we have.
    pub agent_port_misses: u64,
    /// Datagrams that reached a leg's source gate and were turned away there, for their source or for their number.
    pub strangers: u64,
    pub unknown_ssrc: u64,
    pub panics: u64,
    /// Audio packets that were not copied because the tap worker fell behind.
    pub tap_dropped: u64,
    pub events_dropped: u64,
    /// Commands for calls the shard does not have.
    pub unknown_commands: u64,
    /// Handshake datagrams dropped because too many were waiting; the peer sends them again.
    pub handshakes_dropped: u64,
    pub turns: u64,
    pub turn_max: Duration,
    /// Turn time that 99 of 100 turns stayed below, rounded up to a step of 1/4.
    pub turn_p99: Duration,
    /// Share of the last second spent working, 0…1. Above 0.7 the shard should get no new calls.
    pub busy: f64,
}

impl Stats {
    /// Adds what a call's bridge counted.
    pub(super) fn add(&mut self, counters: Counters) {
        self.forwarded += counters.forwarded;
        self.filler += counters.filler;
        self.strangers += counters.strangers;
        self.unknown_ssrc += counters.unknown_ssrc;
        self.panics += counters.panics;
    }
}

/// How long turns take: a histogram with four steps per doubling, so p99 is known to 25 %.
#[derive(Clone, Copy, Debug)]
pub(super) struct TurnTimes {
    steps: [u32; Self::STEPS],
    turns: u32,
    total: Duration,
    max: Duration,
}

impl TurnTimes {
    /// Four steps for each power of two of a 64-bit number of nanoseconds.
    const STEPS: usize = 4 * 64;

    pub(super) const fn new() -> Self {
        Self { steps: [0; Self::STEPS], turns: 0, total: Duration::ZERO, max: Duration::ZERO }
    }

    pub(super) fn record(&mut self, turn: Duration) {
        let ns = u64::try_from(turn.as_nanos()).unwrap_or(u64::MAX);
        self.steps[step(ns)] += 1;
        self.turns += 1;
        self.total += turn;
        self.max = self.max.max(turn);
    }

    /// Writes the figures of the `interval` that ends now, and starts over.
    pub(super) fn publish(&mut self, interval: Duration, stats: &mut Stats) {
        stats.turns += u64::from(self.turns);
        stats.turn_max = self.max;
        stats.turn_p99 = self.quantile(99).min(self.max);
        stats.busy = self.total.as_secs_f64() / interval.as_secs_f64().max(f64::EPSILON);
        *self = Self::new();
    }

    fn quantile(&self, percent: u32) -> Duration {
        let wanted = (u64::from(self.turns) * u64::from(percent)).div_ceil(100);
        let mut seen = 0;
        for (index, count) in self.steps.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= wanted {
                return Duration::from_nanos(end_of_step(index));
            }
        }
        self.max
    }
}

/// Power of two and the two bits below it.
fn step(ns: u64) -> usize {
    let ns = ns.max(4);
    let power = ns.ilog2();
    let quarter = (ns >> (power - 2)) & 3;
    power as usize * 4 + quarter as usize
}

fn end_of_step(index: usize) -> u64 {
    let (power, quarter) = (index as u32 / 4, index as u64 % 4);
    if power < 2 {
        return 4;
    }
    u64::try_from(u128::from(5 + quarter) << (power - 2)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p99_is_known_to_a_quarter() {
        let mut times = TurnTimes::new();
        for us in 1..=1000 {
            times.record(Duration::from_micros(us));
        }
        let mut stats = Stats::default();
        times.publish(Duration::from_secs(1), &mut stats);
        assert!((990..1238).contains(&stats.turn_p99.as_micros()), "{:?}", stats.turn_p99);
        assert_eq!((stats.turn_max, stats.turns), (Duration::from_millis(1), 1000));
        assert!((stats.busy - 0.5005).abs() < 1e-9, "{}", stats.busy);

        times.publish(Duration::from_secs(1), &mut stats);
        assert_eq!(
            (stats.turn_max, stats.turn_p99, stats.busy, stats.turns),
            (Duration::ZERO, Duration::ZERO, 0.0, 1000)
        );
    }

    #[test]
    fn every_time_lies_below_the_end_of_its_step() {
        for ns in (0..100_000).chain([u64::MAX / 3, u64::MAX]) {
            assert!(ns <= end_of_step(step(ns)), "{ns}");
        }
    }
}
