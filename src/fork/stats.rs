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
    /// QUIC packets that did not arrive, of the connections that are up; each held up to a dozen of ours.
    pub quic_lost: u64,
    /// Connections that came about, after the first.
    pub reconnects: u64,
    /// Attempts that failed, for whatever reason.
    pub refused: u64,
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
    /// Recordings that wait for their gateway to take them.
    pub waiting: usize,
    pub delivered: u64,
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
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}
