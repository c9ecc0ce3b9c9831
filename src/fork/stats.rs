//! Figures of the forks, as plain `Copy` structs for the metrics.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// The sending side: one worker, or all of them added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Workers connected now.
    pub connected: usize,
    /// Calls sent to workers now.
    pub calls: usize,
    /// Calls that were to be forked and found no worker, or lost theirs, and are recorded by the gateway itself.
    pub fallbacks: u64,
    /// Calls whose worker went in the middle.
    pub moved: u64,
    pub packets: u64,
    pub bytes: u64,
    /// Packets that found 250 ms of their calls' media waiting already, or a connection that takes no datagrams.
    pub dropped: u64,
    /// Packets of pauses, which stay here.
    pub withheld: u64,
    /// QUIC packets that did not arrive; each held up to a dozen of ours.
    pub quic_lost: u64,
    /// Connections that came about, after the first.
    pub reconnects: u64,
    /// Attempts that failed, for whatever reason.
    pub refused: u64,
    /// Workers that are not used because they sign or seal with other keys than this gateway; 0 is how it should be.
    pub other_keys: usize,
    /// Recordings that came back and are safe here.
    pub delivered: u64,
    /// Recordings that came back broken, or could not be stored; they are asked for again.
    pub undelivered: u64,
    /// Media waiting to be sent, in bytes, and the network's round trip; the worst of all workers.
    pub queued_bytes: usize,
    pub rtt: Duration,
}

/// The receiving side: `tandem worker`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerStats {
    /// Gateways connected now.
    pub gateways: usize,
    pub calls: usize,
    pub packets: u64,
    pub bytes: u64,
    /// Datagrams that are no RoQ, or no RTP of the flow they name.
    pub malformed: u64,
    /// Datagrams of flows that never came to be, or are over.
    pub strays: u64,
    /// Datagrams that were sent and had not come when their call was over.
    pub lost: u64,
    /// Partial segments that found a gateway's control stream full.
    pub dropped_partials: u64,
    /// Connections refused: wrong token, or media nobody claimed.
    pub refused: u64,
    /// Calls whose gateway went in the middle.
    pub cut: u64,
    /// Recordings that wait for their gateway to take them, and their bytes.
    pub waiting: usize,
    pub waiting_bytes: u64,
    pub delivered: u64,
    /// Times a gateway could not take a recording.
    pub undelivered: u64,
}

/// Counters many threads add to.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many there are now.
#[derive(Debug, Default)]
pub(super) struct Level(AtomicUsize);

impl Level {
    pub(super) fn up(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn down(&self) {
        // Told once too often, it would be taken for 2^64.
        let _was = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| now.checked_sub(1));
    }

    pub(super) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_never_fewer_than_none() {
        let level = Level::default();
        level.down();
        assert_eq!(level.get(), 0);
        level.up();
        assert_eq!(level.get(), 1);
    }
}
