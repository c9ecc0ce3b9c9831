//! What a `tandem worker` counts about the gateways it works for.

use super::{Metrics, int, one_counter, one_gauge, raise};

/// What a worker reports; totals run since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerFigures {
    /// Connected now.
    pub gateways: usize,
    pub calls: usize,
    pub packets: u64,
    pub bytes: u64,
    /// Packets that were sent and did not come.
    pub lost: u64,
    pub malformed: u64,
    pub strays: u64,
    pub dropped_partials: u64,
    pub connections_refused: u64,
    /// Calls whose gateway went.
    pub cut: u64,
    /// Recordings that wait for their gateway, and their bytes.
    pub waiting: usize,
    pub waiting_bytes: u64,
    pub delivered: u64,
    /// Times a gateway could not take a recording.
    pub undelivered: u64,
}

impl Metrics {
    pub fn worker(&self, now: &WorkerFigures) {
        let f = &self.families;
        one_gauge(&f.worker_gateways_connected).set(int(now.gateways));
        one_gauge(&f.worker_calls).set(int(now.calls));
        one_gauge(&f.worker_outbox_recordings).set(int(now.waiting));
        one_gauge(&f.worker_outbox_bytes).set(i64::try_from(now.waiting_bytes).unwrap_or(i64::MAX));
        for (family, total) in [
            (&f.worker_packets_total, now.packets),
            (&f.worker_bytes_total, now.bytes),
            (&f.worker_lost_packets_total, now.lost),
            (&f.worker_malformed_packets_total, now.malformed),
            (&f.worker_stray_packets_total, now.strays),
            (&f.worker_dropped_partials_total, now.dropped_partials),
            (&f.worker_connections_refused_total, now.connections_refused),
            (&f.worker_cut_calls_total, now.cut),
            (&f.worker_delivered_recordings_total, now.delivered),
            (&f.worker_refused_recordings_total, now.undelivered),
        ] {
            raise(&one_counter(family), total);
        }
    }
}
