//! What the parts count, handed to the metrics.

use std::sync::Arc;
use std::time::Duration;

use super::Recogniser;
use crate::fork::{Forks, Sockets};
use crate::metrics::{
    ArchiveFigures, ForkFigures, Metrics, RecorderFigures, RemoteSttFigures, ShardFigures, StreamFigures, SttFigures,
    SttInletFigures, SummaryFigures, TapFigures, WritingFigures,
};
use crate::model::time::Clock;
use crate::shard::Shards;
use crate::store::Store;
use crate::switchboard::{SummingStats, Switchboard, WritingStats};
use crate::{asr, record, tap};

/// What is looked at regularly.
pub(super) struct Figures {
    pub(super) store: Store,
    pub(super) shards: Shards,
    pub(super) tap: Box<dyn Fn() -> tap::Stats + Send>,
    pub(super) recorder: record::Inlet,
    pub(super) recogniser: Option<Recogniser>,
    pub(super) ears: Option<asr::Inlet>,
    pub(super) forks: Option<Forks>,
    pub(super) sockets: Option<Sockets>,
    pub(super) switchboard: Switchboard,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Clock,
}

impl Figures {
    /// Once a second every part's figures, once an hour what the store need not keep any longer.
    pub(super) async fn keep(self) {
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        let mut before = asr::BuiltinStats::default();
        for second in 0_u64.. {
            seconds.tick().await;
            self.media();
            self.away();
            self.words();
            if let Some(recogniser) = &self.recogniser {
                recogniser.tell(&self.metrics, &mut before);
            }
            if second % 3600 == 60
                && let Err(error) = self.store.prune(self.clock.now().wall).await
            {
                tracing::warn!(%error, "old rows could not be pruned");
            }
        }
    }

    fn media(&self) {
        let stats = self.shards.stats();
        let calls = stats.iter().map(|shard| shard.calls).sum::<usize>();
        self.metrics.ports(calls, (self.shards.ports() as usize).saturating_sub(calls));
        for (shard, stats) in stats.into_iter().enumerate() {
            self.metrics.shard(
                shard,
                &ShardFigures {
                    calls: stats.calls,
                    packets_in: stats.packets_in,
                    packets_out: stats.packets_out,
                    forwarded: stats.forwarded,
                    strangers: stats.strangers + stats.agent_port_misses,
                    send_drops: stats.dropped_sends,
                    panics: stats.panics,
                    tap_dropped: stats.tap_dropped,
                    turn_p99: stats.turn_p99,
                    turn_max: stats.turn_max,
                    busy: stats.busy,
                },
            );
        }
        sound(&self.metrics, &(self.tap)(), &self.recorder.stats());
        if let Some(ears) = &self.ears {
            let now = ears.stats();
            self.metrics.stt_inlet(&SttInletFigures {
                queued: Duration::from_millis(now.waiting_ms),
                refused_blocks: now.refused_blocks,
                let_go: now.let_go,
                panics: now.panics,
                alive: now.alive,
            });
        }
    }

    fn words(&self) {
        let WritingStats { waiting, failures, left } = self.switchboard.writing_stats();
        self.metrics.writing(&WritingFigures { waiting, failures, left });
        let SummingStats { asked, fallbacks, withheld } = self.switchboard.summing_stats();
        self.metrics.summing(&SummaryFigures { asked, fallbacks, withheld });
    }

    fn away(&self) {
        if let Some(forks) = &self.forks {
            let now = forks.stats();
            self.metrics.forks(&ForkFigures {
                connected: now.connected,
                other_keys: now.other_keys,
                calls: now.calls,
                packets: now.packets,
                bytes: now.bytes,
                dropped: now.dropped,
                quic_lost: now.quic_lost,
                fallbacks: now.fallbacks,
                moved: now.moved,
                reconnects: now.reconnects,
                delivered: now.delivered,
                undelivered: now.undelivered,
                rtt: now.rtt,
            });
        }
        if let Some(sockets) = &self.sockets {
            let now = sockets.stats();
            self.metrics.streams(&StreamFigures {
                streams: now.streams,
                connected: now.connected,
                frames: now.frames,
                dropped_blocks: now.dropped_blocks,
                dropped: now.dropped_streams,
                refused: now.refused,
                reconnects: now.reconnects,
            });
        }
        let now = self.switchboard.keeping_stats();
        self.metrics.archive(&ArchiveFigures {
            waiting: now.waiting,
            oldest_waiting: now.oldest_waiting,
            stored: now.stored,
            stored_bytes: now.stored_bytes,
            store_failures: now.store_failures,
            fetched: now.fetched,
            fetch_failures: now.fetch_failures,
            deleted: now.deleted,
            delete_failures: now.delete_failures,
            strays: now.strays,
            leftovers_removed: now.leftovers_removed,
        });
    }
}

/// What the tap and the recorder count.
pub(crate) fn sound(metrics: &Metrics, tap: &tap::Stats, recorder: &record::Stats) {
    metrics.tap(&TapFigures {
        open: tap.open,
        lag: Duration::from_millis(tap.ring_lag_ms),
        refused_blocks: tap.dropped_blocks,
        panics: tap.panics,
        lags: tap.lags,
        let_go: tap.let_go,
        strays: tap.strays,
        diverted: tap.diverted,
        alive: tap.alive,
    });
    metrics.recorder(&RecorderFigures {
        open: recorder.open,
        queued: Duration::from_millis(recorder.queued_ms),
        bytes: recorder.bytes,
        turn_max: Duration::from_millis(recorder.turn_ms_max),
        panics: recorder.panics,
        disk_free_bytes: recorder.free_bytes,
        alive: recorder.alive,
    });
}

impl Recogniser {
    /// What it counts; `before` is what it had counted at the last look.
    pub(crate) fn tell(&self, metrics: &Metrics, before: &mut asr::BuiltinStats) {
        match self {
            Self::Builtin(engine) => {
                let now = engine.stats();
                metrics.stt(&stt_figures(before, &now));
                *before = now;
            }
            Self::Remote(engine) => metrics.remote_stt(&remote_stt_figures(&engine.stats())),
        }
    }
}

fn stt_figures(before: &asr::BuiltinStats, now: &asr::BuiltinStats) -> SttFigures {
    let (sound, busy) = (now.finals_sound - before.finals_sound, now.finals_busy - before.finals_busy);
    SttFigures {
        streams: now.streams,
        queued_jobs: now.queued_jobs,
        queued: Duration::from_millis(now.queued_ms),
        partials_skipped: now.partials_skipped,
        failed: now.failed,
        realtime_factor: (!sound.is_zero()).then(|| busy.as_secs_f64() / sound.as_secs_f64()),
    }
}

fn remote_stt_figures(now: &asr::RemoteStats) -> RemoteSttFigures {
    RemoteSttFigures {
        streams: now.streams,
        connected: now.connected,
        connects: now.connects,
        failed: now.refused + now.broken,
        waiting: Duration::from_millis(now.waiting_ms),
        resent: Duration::from_millis(now.resent_ms),
        wholes_failed: now.wholes_failed,
    }
}
