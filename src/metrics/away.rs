//! What leaves the machine: calls' packets on their way to workers and listeners, recordings on their way to a store.

use std::time::Duration;

use super::{Metrics, int, one_counter, one_gauge, one_level, raise};

/// What the forks report; totals run since their start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ForkFigures {
    /// Workers connected now.
    pub connected: usize,
    /// Workers that are not used because of their keys.
    pub other_keys: usize,
    /// Calls sent to workers now.
    pub calls: usize,
    pub packets: u64,
    pub bytes: u64,
    pub dropped: u64,
    pub quic_lost: u64,
    /// Calls that found no worker, and calls that lost theirs.
    pub fallbacks: u64,
    pub moved: u64,
    pub reconnects: u64,
    pub delivered: u64,
    pub undelivered: u64,
    /// The worst worker's round trip.
    pub rtt: Duration,
}

/// What the media streams to listeners report; totals run since their start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamFigures {
    pub streams: usize,
    pub connected: usize,
    /// Of 20 ms.
    pub frames: u64,
    /// Of 100 ms.
    pub dropped_blocks: u64,
    /// Whole streams.
    pub dropped: u64,
    pub refused: u64,
    pub reconnects: u64,
}

/// What becomes of finished recordings; totals run since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArchiveFigures {
    /// Finished recordings that are not in the store, and how long ago the oldest of their calls ended.
    pub waiting: u64,
    pub oldest_waiting: Duration,
    pub stored: u64,
    pub stored_bytes: u64,
    pub store_failures: u64,
    pub fetched: u64,
    pub fetch_failures: u64,
    pub deleted: u64,
    pub delete_failures: u64,
    /// Recordings of which files lie here that the books know nothing of.
    pub strays: u64,
    pub leftovers_removed: u64,
}

impl Metrics {
    pub fn forks(&self, now: &ForkFigures) {
        let f = &self.families;
        one_gauge(&f.fork_workers_connected).set(int(now.connected));
        one_gauge(&f.fork_workers_other_keys).set(int(now.other_keys));
        one_gauge(&f.fork_calls).set(int(now.calls));
        one_level(&f.fork_rtt_seconds).set(now.rtt.as_secs_f64());
        for (family, total) in [
            (&f.fork_packets_total, now.packets),
            (&f.fork_bytes_total, now.bytes),
            (&f.fork_dropped_packets_total, now.dropped),
            (&f.fork_quic_lost_packets_total, now.quic_lost),
            (&f.fork_fallbacks_total, now.fallbacks),
            (&f.fork_moved_calls_total, now.moved),
            (&f.fork_reconnects_total, now.reconnects),
            (&f.fork_recordings_total, now.delivered),
            (&f.fork_recordings_refused_total, now.undelivered),
        ] {
            raise(&one_counter(family), total);
        }
    }

    pub fn streams(&self, now: &StreamFigures) {
        let f = &self.families;
        one_gauge(&f.stream_listeners).set(int(now.streams));
        one_gauge(&f.stream_listeners_connected).set(int(now.connected));
        raise(&one_counter(&f.stream_frames_total), now.frames);
        raise(&one_counter(&f.stream_dropped_blocks_total), now.dropped_blocks);
        raise(&one_counter(&f.stream_dropped_total), now.dropped);
        raise(&one_counter(&f.stream_connections_failed_total), now.refused);
        raise(&one_counter(&f.stream_reconnects_total), now.reconnects);
    }

    pub fn archive(&self, now: &ArchiveFigures) {
        let f = &self.families;
        one_gauge(&f.archive_waiting).set(int(now.waiting as usize));
        one_level(&f.archive_oldest_waiting_seconds).set(now.oldest_waiting.as_secs_f64());
        one_gauge(&f.archive_strays).set(int(now.strays as usize));
        for (family, total) in [
            (&f.archive_stored_total, now.stored),
            (&f.archive_stored_bytes_total, now.stored_bytes),
            (&f.archive_store_failures_total, now.store_failures),
            (&f.archive_fetched_total, now.fetched),
            (&f.archive_fetch_failures_total, now.fetch_failures),
            (&f.archive_deleted_total, now.deleted),
            (&f.archive_delete_failures_total, now.delete_failures),
            (&f.archive_leftovers_removed_total, now.leftovers_removed),
        ] {
            raise(&one_counter(family), total);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_the_machine_shows_in_the_figures() {
        let m = Metrics::new("1");
        m.forks(&ForkFigures { connected: 2, packets: 7, dropped: 1, moved: 3, ..ForkFigures::default() });
        m.forks(&ForkFigures { packets: 5, delivered: 4, ..ForkFigures::default() });
        m.streams(&StreamFigures {
            streams: 2,
            connected: 1,
            dropped_blocks: 8,
            dropped: 3,
            ..StreamFigures::default()
        });
        let waiting = Duration::from_millis(1_500);
        m.archive(&ArchiveFigures {
            waiting: 6,
            oldest_waiting: waiting,
            stored: 11,
            strays: 2,
            ..ArchiveFigures::default()
        });
        let text = m.render();
        for line in [
            "tandem_fork_workers_connected 0",
            "tandem_fork_packets_total 7",
            "tandem_fork_dropped_packets_total 1",
            "tandem_fork_moved_calls_total 3",
            "tandem_fork_recordings_total 4",
            "tandem_stream_listeners_connected 1",
            "tandem_stream_dropped_blocks_total 8",
            "tandem_stream_dropped_total 3",
            "tandem_archive_waiting 6",
            "tandem_archive_oldest_waiting_seconds 1.5",
            "tandem_archive_stored_total 11",
            "tandem_archive_strays 2",
        ] {
            assert!(text.lines().any(|l| l == line), "`{line}` is missing in\n{text}");
        }
    }
}
