//! What the gateway counts about itself, in Prometheus' words. Every family stands in one table here and nowhere else
//! is a metric's name or label spelled: the rest of the program calls methods that say what happened.
//!
//! Labels come from closed lists, so the number of series is bounded: no call, customer or agent ever becomes a label.
//! Base units are seconds and bytes. A part that keeps its own totals (a shard, the tap, the recorder) hands them over
//! about once a second, and the counter here is raised to them.

use std::time::Duration;

use prometheus::core::{Collector, Opts};
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    CounterVec, Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Registry, TextEncoder,
};

use crate::model::push::{PushKind, PushOutcome};
use crate::model::quality::Quality;
use crate::model::reason::{
    BlockerCode, Direction, EndReason, LegKind, MediaAlarm, OfferCause, OfferOutcome, ReceiptKind,
};
use crate::model::words;
pub use away::{ArchiveFigures, ForkFigures, StreamFigures};
pub use sound::{
    Consented, Outcome, RecorderFigures, RemoteSttFigures, SttFigures, SttInletFigures, SummaryFigures, TapFigures,
    Thread, WritingFigures,
};
pub use worker::WorkerFigures;

mod away;
mod sound;
mod worker;

/// From one packet to the longest anybody waits on the phone.
const WAITS: &[f64] =
    &[0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0];
/// Conversations.
const TALKS: &[f64] = &[5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0];
/// Deliveries may be hours late after an outage.
const LAGS: &[f64] = &[0.1, 0.3, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 60.0, 300.0, 3600.0];
/// RFC 3550 jitter; above 60 ms a jitter buffer begins to show.
const JITTERS: &[f64] = &[0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.06, 0.1, 0.2, 0.5];
/// ITU-T G.107 Annex B: 4.3 very satisfied, 4.0 satisfied, 3.6 some dissatisfied, 3.1 many, 2.6 nearly all.
const SCORES: &[f64] = &[1.5, 2.0, 2.6, 3.1, 3.3, 3.6, 3.8, 4.0, 4.2, 4.3, 4.4];

/// The table: name, kind, labels, meaning. The exposed name is `tandem_` and the word in front.
macro_rules! families {
    ($($name:ident $kind:ident [$($label:literal),*] $help:literal $(in $buckets:ident)?;)+) => {
        struct Families { $($name: families!(@type $kind)),+ }

        impl Families {
            fn register(registry: &Registry) -> Self {
                Self { $($name: families!(@make $kind registry, stringify!($name), $help, &[$($label),*] $(, $buckets)?)),+ }
            }
        }
    };
    (@type counter) => { IntCounterVec };
    (@type sum) => { CounterVec };
    (@type gauge) => { IntGaugeVec };
    (@type level) => { GaugeVec };
    (@type histogram) => { HistogramVec };
    (@make counter $r:expr, $n:expr, $h:expr, $l:expr) => {
        shown($r, $l, IntCounterVec::new(opts($n, $h), $l), |v| drop(v.with_label_values::<&str>(&[])))
    };
    (@make sum $r:expr, $n:expr, $h:expr, $l:expr) => {
        shown($r, $l, CounterVec::new(opts($n, $h), $l), |v| drop(v.with_label_values::<&str>(&[])))
    };
    (@make gauge $r:expr, $n:expr, $h:expr, $l:expr) => {
        shown($r, $l, IntGaugeVec::new(opts($n, $h), $l), |v| drop(v.with_label_values::<&str>(&[])))
    };
    (@make level $r:expr, $n:expr, $h:expr, $l:expr) => {
        shown($r, $l, GaugeVec::new(opts($n, $h), $l), |v| drop(v.with_label_values::<&str>(&[])))
    };
    (@make histogram $r:expr, $n:expr, $h:expr, $l:expr, $b:expr) => {
        shown($r, $l, HistogramVec::new(HistogramOpts::from(opts($n, $h)).buckets($b.to_vec()), $l), |v| {
            drop(v.with_label_values::<&str>(&[]));
        })
    };
}

families! {
    build_info gauge ["version"] "Always 1; the label is the version that runs.";
    calls_active gauge ["direction"] "Calls that have begun and not ended.";
    calls_total counter ["direction", "end_reason"] "Calls ended, by reason.";
    call_setup_seconds histogram [] "From WhatsApp's connect (or our dialling) to the answer." in WAITS;
    answer_to_first_audio_seconds histogram [] "From the agent's click to sound both ways." in WAITS;
    offers_total counter ["outcome", "cause"] "Offers to agents, by how they ended.";
    offer_receipt_seconds histogram ["kind"] "From an offer to its receipt: shown, audible, or failed." in WAITS;
    ring_seconds histogram [] "How long an offer rang." in WAITS;
    push_messages_total counter ["kind", "outcome"] "Messages to browsers without an open console, by what their push service did with them.";
    push_seconds histogram [] "What push services took to answer." in WAITS;
    talk_seconds histogram [] "Answer to end of answered calls." in TALKS;
    dial_blocked_total counter ["reason"] "Reasons why outbound calls were not placed; one refusal may have several.";
    permission_requests_total counter ["result"] "Requests for permission to call: sent, refused by our rules, failed at WhatsApp.";
    permission_drift_total counter [] "Permissions that WhatsApp's own books said otherwise about; repaired.";
    uncharged_calls gauge [] "Ended calls whose charge the ledger has refused so far; anything but 0 wants looking into.";
    calls_undocumented gauge [] "Answered calls that lack a recording or a transcript though nothing says why; anything but 0 wants looking into.";
    reconciliations_total counter ["result"] "Days compared with WhatsApp's count of calls: agrees, differs, or failed to be compared.";
    rtp_packets_total counter ["dir", "leg"] "RTP packets of ended legs, as the gateway sees it: in or out.";
    rtp_lost_packets_total counter ["leg"] "RTP packets of ended legs that never came.";
    rtp_jitter_seconds histogram ["leg"] "Interarrival jitter of ended legs." in JITTERS;
    mos histogram ["leg"] "Estimated mean opinion score of ended legs." in SCORES;
    one_way_sessions_total counter [] "Calls in which one side could not be heard.";
    zero_packet_streams_total counter ["leg"] "Legs of answered calls that ended without a single packet from their peer.";
    media_timeout_total counter ["kind"] "Times a leg fell silent on the wire.";
    shard_calls gauge ["shard"] "Calls on the shard.";
    shard_packets_total counter ["shard", "dir"] "Datagrams in and out.";
    shard_forwarded_total counter ["shard"] "Audio packets handed from one leg to the other.";
    shard_strangers_total counter ["shard"] "Datagrams from unvalidated sources, dropped unanswered.";
    shard_send_drops_total counter ["shard"] "Datagrams the kernel had no room for.";
    shard_panics_total counter ["shard"] "Legs ended by a panic in their own code.";
    shard_turn_p99_seconds level ["shard"] "Time 99 of 100 turns of the last second stayed below.";
    shard_turn_max_seconds level ["shard"] "Longest turn of the last second.";
    shard_busy_ratio level ["shard"] "Share of the last second spent working.";
    ports_in_use gauge [] "UDP ports held by WhatsApp legs.";
    ports_free gauge [] "UDP ports left for WhatsApp legs.";
    tap_dropped_total counter ["shard"] "Audio packets not copied for recording because the tap fell behind.";
    tap_lag_seconds level [] "Age of the oldest copied packet not worked off.";
    tap_open gauge [] "Calls whose sound is copied now.";
    tap_refused_blocks_total counter [] "Pieces of sound nobody had room for; silent in the recording.";
    tap_panics_total counter [] "Caught panics of the tap and of those it feeds; each cost one call its recording or its live text.";
    tap_lags_total counter [] "Times the tap fell behind by more than half a second.";
    tap_let_go_total counter [] "Calls written down after their end because the tap could not keep up.";
    tap_strays_total counter [] "Copied records of taps that were not open.";
    tap_diverted_total counter [] "Copied records sent to a worker as they were.";
    thread_alive gauge ["thread"] "1 while this thread behind the calls runs; 0 wants a restart.";
    disk_free_bytes level [] "Room on the disk of the recordings.";
    recordings_open gauge [] "Recordings being written.";
    recordings_total counter ["state"] "Recordings finished, ready or failed.";
    recording_consents_total counter ["what"] "Announcements played to both parties, and customers who then opted out.";
    recording_ready_seconds histogram [] "From the end of a call to its finished recording." in WAITS;
    recording_queue_seconds level [] "Sound waiting for the disk, over all calls.";
    recording_bytes_total counter [] "Bytes of recordings written.";
    recording_turn_max_seconds level [] "Longest turn of writing since the start: what the disk has made others wait.";
    recording_panics_total counter [] "Caught panics of the recorder; each cost one recording at most.";
    recording_write_errors_total counter [] "Failed writes to recordings.";
    stt_streams gauge [] "Legs the recogniser listens to.";
    stt_queue_jobs gauge [] "Pieces of speech waiting for the built-in recogniser.";
    stt_queue_seconds level [] "Sound that waits for the recogniser's final text.";
    stt_connections gauge [] "Connections to a recogniser elsewhere that stand.";
    stt_connects_total counter [] "Connections to a recogniser elsewhere that were made.";
    stt_connections_failed_total counter [] "Connections to a recogniser elsewhere that could not be made, or broke.";
    stt_resent_seconds_total counter [] "Sound sent to a recogniser elsewhere once more, on a new connection.";
    stt_realtime_factor level [] "Working time per second of speech in the latest finals of the built-in recogniser.";
    stt_partials_skipped_total counter [] "Partial texts given up because others waited.";
    stt_failed_total counter [] "Pieces of speech, or of recordings, that the recogniser failed over.";
    stt_segments_total counter ["kind"] "Texts of running calls, partial and final.";
    stt_lag_seconds histogram ["kind"] "From the last sound of a text to the text." in WAITS;
    stt_inlet_queue_seconds level [] "Sound that waits to be looked through for speech.";
    stt_refused_blocks_total counter [] "Pieces of sound that found that queue full, or their call let go.";
    stt_let_go_total counter [] "Calls written down after their end because the recogniser's side could not keep up.";
    stt_panics_total counter [] "Calls that the recogniser panicked over; written down after their end.";
    stt_missed_seconds_total sum [] "Speech not written down while its call ran; made up for from the recording.";
    transcript_words_waiting gauge [] "Final segments and gaps of running calls that wait for the database.";
    transcript_database_failures_total counter [] "Attempts to write what was said that the database failed; they are repeated.";
    transcript_words_left_total counter [] "Segments that found their call's queue full; written down from the recording.";
    transcripts_total counter ["outcome"] "Transcripts ended, ready or failed.";
    transcript_ready_seconds histogram [] "From the end of a call to its whole transcript." in LAGS;
    summaries_total counter ["outcome"] "Summaries ended, ready or failed.";
    summary_model_total counter [] "Summaries that the language model was to word.";
    summary_fallbacks_total counter [] "Of those, the ones the rules stood in for.";
    summary_withheld_total counter [] "Statements of the model that the transcript did not bear out.";
    summary_seconds histogram [] "Making a summary." in WAITS;
    summary_ready_seconds histogram [] "From the end of a call to its summary." in LAGS;
    worker_gateways_connected gauge [] "Of a `tandem worker`: gateways that are connected.";
    worker_calls gauge [] "Calls of all gateways that are recorded here.";
    worker_packets_total counter [] "Packets that came from gateways.";
    worker_bytes_total counter [] "Bytes of sound that came from gateways.";
    worker_lost_packets_total counter [] "Packets that gateways sent and that did not come.";
    worker_malformed_packets_total counter [] "Datagrams that are no RTP of the call they name.";
    worker_stray_packets_total counter [] "Packets of calls that never came to be, or are over.";
    worker_dropped_partials_total counter [] "Partial texts that a gateway did not read in time; the next one says them again.";
    worker_connections_refused_total counter [] "Connections refused: a wrong token, other keys, or media that no gateway named.";
    worker_cut_calls_total counter [] "Calls whose gateway went in the middle.";
    worker_outbox_recordings gauge [] "Finished recordings that wait for their gateway to take them.";
    worker_outbox_bytes gauge [] "Their bytes.";
    worker_delivered_recordings_total counter [] "Recordings that their gateway has safe.";
    worker_refused_recordings_total counter [] "Times a gateway could not take a recording; it is offered again.";
    fork_workers_connected gauge [] "Workers that are connected.";
    fork_workers_other_keys gauge [] "Workers that are not used because they sign or seal with other keys.";
    fork_calls gauge [] "Calls sent to workers now.";
    fork_rtt_seconds level [] "Round trip to the farthest worker.";
    fork_packets_total counter [] "Packets of calls sent to workers.";
    fork_bytes_total counter [] "Bytes of calls sent to workers.";
    fork_dropped_packets_total counter [] "Packets of calls that a worker was too slow for; told as gaps.";
    fork_quic_lost_packets_total counter [] "QUIC packets to workers that did not arrive.";
    fork_fallbacks_total counter [] "Calls recorded here because no worker was there.";
    fork_moved_calls_total counter [] "Calls whose worker went in the middle.";
    fork_reconnects_total counter [] "Connections to workers that came about after the first.";
    fork_recordings_total counter [] "Recordings that came back from workers.";
    fork_recordings_refused_total counter [] "Recordings that came back broken or could not be stored; asked for again.";
    stream_listeners gauge [] "Media streams of calls to listeners.";
    stream_listeners_connected gauge [] "Media streams whose listener is connected.";
    stream_frames_total counter [] "Frames of 20 ms sent to listeners.";
    stream_dropped_blocks_total counter [] "Pieces of 100 ms that listeners were too slow for.";
    stream_dropped_total counter [] "Media streams ended before their call because too many were open.";
    stream_connections_failed_total counter [] "Connections to listeners that could not be made.";
    stream_reconnects_total counter [] "Connections to listeners that broke while their call ran.";
    archive_waiting gauge [] "Finished recordings that are not in the store.";
    archive_oldest_waiting_seconds level [] "How long ago the call of the oldest of them ended.";
    archive_stored_total counter [] "Recordings that the store is proven to have.";
    archive_stored_bytes_total counter [] "Their bytes.";
    archive_store_failures_total counter [] "Uploads that failed; tried again.";
    archive_fetched_total counter [] "Recordings brought back from the store.";
    archive_fetch_failures_total counter [] "Recordings that could not be brought back.";
    archive_deleted_total counter [] "Recordings whose last file is gone.";
    archive_delete_failures_total counter [] "Deletions that failed; tried again.";
    archive_strays gauge [] "Recordings of which files lie here that the database knows nothing of; the log names them.";
    archive_leftovers_removed_total counter [] "Half-written files and files of deleted recordings that were removed.";
    meta_webhooks_total counter ["field", "result"] "Deliveries of WhatsApp and the events in them, by what became of them.";
    meta_webhook_lag_seconds histogram [] "From WhatsApp's time stamp to the arrival." in LAGS;
    meta_api_seconds histogram ["op", "code"] "Requests to the Graph API, by operation and answer." in WAITS;
    events_log_seq gauge [] "Newest sequence of the event log.";
    events_dropped_total counter ["from"] "Live events dropped because their reader fell behind; the log still has them.";
    http_requests_total counter ["method", "status"] "Requests to the gateway.";
}

words! {
    /// What became of a delivery, or of an event in it.
    WebhookResult {
        /// The delivery is stored and answered.
        Kept = "kept",
        BadSignature = "bad_signature",
        TooLarge = "too_large",
        /// The event was new and was worked off.
        Done = "done",
        Duplicate = "duplicate",
        /// Too old to act on.
        Stale = "stale",
        /// Nothing the gateway knows.
        Ignored = "ignored",
        Failed = "failed",
    }
}

words! {
    /// Where live events overflowed.
    EventSource {
        /// From a shard up to the desk.
        Shard = "shard",
        /// From the bus to a listener inside.
        Bus = "bus",
        /// To the reader of an event stream.
        Stream = "stream",
        /// From the recorder up to the desk.
        Recorder = "recorder",
    }
}

/// What a shard reports; totals run since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ShardFigures {
    pub calls: usize,
    pub packets_in: u64,
    pub packets_out: u64,
    pub forwarded: u64,
    pub strangers: u64,
    pub send_drops: u64,
    pub panics: u64,
    pub tap_dropped: u64,
    pub turn_p99: Duration,
    pub turn_max: Duration,
    /// 0…1.
    pub busy: f64,
}

/// The counters. Share it by `Arc`; every method takes `&self` and none waits.
pub struct Metrics {
    registry: Registry,
    families: Families,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// A registry of its own, with the figures of this process beside ours.
    pub fn new(version: &str) -> Self {
        let registry = Registry::new_custom(Some("tandem".to_owned()), None).expect("`tandem` is a well-formed prefix");
        let families = Families::register(&registry);
        families.build_info.with_label_values(&[version]).set(1);
        for direction in Direction::ALL {
            families.calls_active.with_label_values(&[direction.as_str()]).set(0);
        }
        Self { registry, families }
    }

    /// Everything in the text format of Prometheus.
    pub fn render(&self) -> String {
        let mut text = String::new();
        let encoder = TextEncoder::new();
        encoder.encode_utf8(&self.registry.gather(), &mut text).expect("writing to memory does not fail");
        // Its names are everybody's (`process_…`), so it stays outside the registry that prefixes ours.
        encoder
            .encode_utf8(&ProcessCollector::for_self().collect(), &mut text)
            .expect("writing to memory does not fail");
        text
    }

    pub fn call_began(&self, direction: Direction) {
        self.families.calls_active.with_label_values(&[direction.as_str()]).inc();
    }

    /// `talked`: answer to end, `None` if it was never answered. Once for each `call_began`.
    pub fn call_ended(&self, direction: Direction, reason: EndReason, talked: Option<Duration>) {
        self.families.calls_active.with_label_values(&[direction.as_str()]).dec();
        self.families.calls_total.with_label_values(&[direction.as_str(), reason.as_str()]).inc();
        if let Some(talked) = talked {
            one(&self.families.talk_seconds).observe(talked.as_secs_f64());
        }
    }

    pub fn call_set_up(&self, took: Duration) {
        one(&self.families.call_setup_seconds).observe(took.as_secs_f64());
    }

    pub fn first_audio(&self, after_answer: Duration) {
        one(&self.families.answer_to_first_audio_seconds).observe(after_answer.as_secs_f64());
    }

    pub fn offer_ended(&self, outcome: OfferOutcome, cause: Option<OfferCause>, rang: Duration) {
        let cause = cause.map_or("", |c| c.as_str());
        self.families.offers_total.with_label_values(&[outcome.as_str(), cause]).inc();
        one(&self.families.ring_seconds).observe(rang.as_secs_f64());
    }

    pub fn offer_receipt(&self, kind: ReceiptKind, after_offer: Duration) {
        self.families.offer_receipt_seconds.with_label_values(&[kind.as_str()]).observe(after_offer.as_secs_f64());
    }

    pub fn push_sent(&self, kind: PushKind, outcome: PushOutcome, took: Duration) {
        self.families.push_messages_total.with_label_values(&[kind.as_str(), outcome.as_str()]).inc();
        one(&self.families.push_seconds).observe(took.as_secs_f64());
    }

    pub fn dial_blocked(&self, reason: BlockerCode) {
        self.families.dial_blocked_total.with_label_values(&[reason.as_str()]).inc();
    }

    /// `result`: `sent`, `refused` or `failed`.
    pub fn permission_request(&self, result: &'static str) {
        self.families.permission_requests_total.with_label_values(&[result]).inc();
    }

    pub fn permission_drift(&self) {
        one_counter(&self.families.permission_drift_total).inc();
    }

    pub fn undocumented_calls(&self, calls: i64) {
        one_gauge(&self.families.calls_undocumented).set(calls);
    }

    pub fn uncharged_calls(&self, calls: i64) {
        one_gauge(&self.families.uncharged_calls).set(calls);
    }

    /// `result`: `agrees`, `differs` or `failed`.
    pub fn reconciliation(&self, result: &'static str) {
        self.families.reconciliations_total.with_label_values(&[result]).inc();
    }

    /// The final figures of a leg.
    pub fn leg_ended(&self, leg: LegKind, q: &Quality) {
        let leg = leg.as_str();
        let f = &self.families;
        f.rtp_packets_total.with_label_values(&["in", leg]).inc_by(q.packets_received);
        f.rtp_packets_total.with_label_values(&["out", leg]).inc_by(q.packets_sent);
        f.rtp_lost_packets_total.with_label_values(&[leg]).inc_by(q.packets_lost);
        // A leg that received nothing has no jitter: a zero would flatter the statistics.
        if q.packets_received > 0 && q.jitter_ms.is_finite() {
            f.rtp_jitter_seconds.with_label_values(&[leg]).observe(q.jitter_ms / 1000.0);
        }
        if let Some(mos) = q.mos.filter(|mos| mos.is_finite()) {
            f.mos.with_label_values(&[leg]).observe(mos);
        }
    }

    /// A leg of an answered call ended, and nothing had ever come of it.
    pub fn zero_packet_stream(&self, leg: LegKind) {
        self.families.zero_packet_streams_total.with_label_values(&[leg.as_str()]).inc();
    }

    pub fn media_alarm(&self, kind: MediaAlarm) {
        match kind {
            MediaAlarm::OneWay => one_counter(&self.families.one_way_sessions_total).inc(),
            MediaAlarm::NoRtp | MediaAlarm::NoRtcp => {
                self.families.media_timeout_total.with_label_values(&[kind.as_str()]).inc();
            }
        }
    }

    pub fn shard(&self, shard: usize, now: &ShardFigures) {
        let shard = &*shard.to_string();
        let f = &self.families;
        raise(&f.shard_packets_total.with_label_values(&[shard, "in"]), now.packets_in);
        raise(&f.shard_packets_total.with_label_values(&[shard, "out"]), now.packets_out);
        for (family, total) in [
            (&f.shard_forwarded_total, now.forwarded),
            (&f.shard_strangers_total, now.strangers),
            (&f.shard_send_drops_total, now.send_drops),
            (&f.shard_panics_total, now.panics),
            (&f.tap_dropped_total, now.tap_dropped),
        ] {
            raise(&family.with_label_values(&[shard]), total);
        }
        f.shard_calls.with_label_values(&[shard]).set(int(now.calls));
        f.shard_turn_p99_seconds.with_label_values(&[shard]).set(now.turn_p99.as_secs_f64());
        f.shard_turn_max_seconds.with_label_values(&[shard]).set(now.turn_max.as_secs_f64());
        f.shard_busy_ratio.with_label_values(&[shard]).set(now.busy);
    }

    pub fn ports(&self, in_use: usize, free: usize) {
        one_gauge(&self.families.ports_in_use).set(int(in_use));
        one_gauge(&self.families.ports_free).set(int(free));
    }

    /// `field`: the delivery's kind, from the closed list of whoever parses it; `delivery` for a whole body.
    pub fn webhook(&self, field: &'static str, result: WebhookResult) {
        self.families.meta_webhooks_total.with_label_values(&[field, result.as_str()]).inc();
    }

    pub fn webhook_lag(&self, lag: Duration) {
        one(&self.families.meta_webhook_lag_seconds).observe(lag.as_secs_f64());
    }

    /// `op` and `code` are from the closed lists of the Graph client: `connect`, `accept`, …; `ok`, `timeout`, Meta's known codes, …
    pub fn meta_api(&self, op: &str, code: &str, took: Duration) {
        self.families.meta_api_seconds.with_label_values(&[op, code]).observe(took.as_secs_f64());
    }

    pub fn events_logged(&self, newest_seq: i64) {
        one_gauge(&self.families.events_log_seq).set(newest_seq);
    }

    pub fn events_dropped(&self, from: EventSource, count: u64) {
        self.families.events_dropped_total.with_label_values(&[from.as_str()]).inc_by(count);
    }

    /// A method that is none of the usual ones counts as `other`: it is the caller's to choose.
    pub fn http_request(&self, method: &str, status: u16) {
        const METHODS: [&str; 7] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"];
        let method = METHODS.into_iter().find(|m| *m == method).unwrap_or("other");
        self.families.http_requests_total.with_label_values(&[method, &*status.to_string()]).inc();
    }
}

/// Brings a counter up to a total kept elsewhere.
fn raise(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

fn one(family: &HistogramVec) -> prometheus::Histogram {
    family.with_label_values::<&str>(&[])
}

fn one_counter(family: &IntCounterVec) -> IntCounter {
    family.with_label_values::<&str>(&[])
}

fn one_gauge(family: &IntGaugeVec) -> IntGauge {
    family.with_label_values::<&str>(&[])
}

fn one_level(family: &GaugeVec) -> Gauge {
    family.with_label_values::<&str>(&[])
}

fn int(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(name, help)
}

/// Registers a family; one without labels is shown from the start, with zero.
fn shown<V: Collector + Clone + 'static>(
    registry: &Registry,
    labels: &[&str],
    family: prometheus::Result<V>,
    show: impl FnOnce(&V),
) -> V {
    let family = family.expect("the names of the table are well-formed");
    registry.register(Box::new(family.clone())).expect("each name stands in the table once");
    if labels.is_empty() {
        show(&family);
    }
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn shows(text: &str, line: &str) {
        assert!(text.lines().any(|l| l == line), "`{line}` is missing in\n{text}");
    }

    #[test]
    fn a_call_shows_in_the_figures() {
        let m = Metrics::new("1.2.3");
        m.call_began(Direction::UserInitiated);
        m.call_began(Direction::UserInitiated);
        m.call_ended(Direction::UserInitiated, EndReason::Completed, Some(Duration::from_secs(61)));
        m.call_set_up(Duration::from_millis(4));
        m.offer_ended(OfferOutcome::MissedByAgent, Some(OfferCause::RingTimeout), Duration::from_secs(20));
        m.offer_ended(OfferOutcome::Accepted, None, Duration::from_secs(2));
        m.media_alarm(MediaAlarm::OneWay);
        m.media_alarm(MediaAlarm::NoRtp);
        let q = Quality { packets_received: 10, packets_lost: 2, mos: Some(4.1), jitter_ms: 3.0, ..Quality::default() };
        m.leg_ended(LegKind::WhatsApp, &q);
        m.leg_ended(LegKind::Agent, &Quality { jitter_ms: f64::NAN, mos: Some(f64::NAN), ..Quality::default() });
        let text = m.render();
        for line in [
            r#"tandem_build_info{version="1.2.3"} 1"#,
            r#"tandem_calls_active{direction="user_initiated"} 1"#,
            r#"tandem_calls_active{direction="business_initiated"} 0"#,
            r#"tandem_calls_total{direction="user_initiated",end_reason="completed"} 1"#,
            r#"tandem_call_setup_seconds_bucket{le="0.005"} 1"#,
            r#"tandem_talk_seconds_bucket{le="60"} 0"#,
            r#"tandem_talk_seconds_bucket{le="120"} 1"#,
            r#"tandem_offers_total{cause="ring_timeout",outcome="missed_by_agent"} 1"#,
            r#"tandem_offers_total{cause="",outcome="accepted"} 1"#,
            r#"tandem_one_way_sessions_total 1"#,
            r#"tandem_media_timeout_total{kind="no_rtp"} 1"#,
            r#"tandem_rtp_packets_total{dir="in",leg="whatsapp"} 10"#,
            r#"tandem_rtp_lost_packets_total{leg="whatsapp"} 2"#,
            r#"tandem_mos_bucket{leg="whatsapp",le="4.2"} 1"#,
            "tandem_recording_write_errors_total 0",
        ] {
            shows(&text, line);
        }
        assert!(!text.contains(r#"tandem_mos_count{leg="agent"}"#) && !text.contains("NaN"), "no figure from nothing");
        assert!(text.contains("\nprocess_resident_memory_bytes "), "the process's own figures");
    }

    #[test]
    fn totals_kept_elsewhere_are_taken_over_and_never_fall() {
        let m = Metrics::new("1");
        for (total, busy) in [(5, 0.5), (9, 0.25), (3, 0.75)] {
            m.shard(1, &ShardFigures { packets_in: total, tap_dropped: total, busy, ..ShardFigures::default() });
        }
        let text = m.render();
        shows(&text, r#"tandem_shard_packets_total{dir="in",shard="1"} 9"#);
        shows(&text, r#"tandem_tap_dropped_total{shard="1"} 9"#);
        shows(&text, r#"tandem_shard_busy_ratio{shard="1"} 0.75"#);
    }

    #[test]
    fn what_others_choose_cannot_make_labels() {
        let m = Metrics::new("1");
        for method in ["GET", "BREW\n", "x\"}", "get"] {
            m.http_request(method, 404);
        }
        let text = m.render();
        shows(&text, r#"tandem_http_requests_total{method="GET",status="404"} 1"#);
        shows(&text, r#"tandem_http_requests_total{method="other",status="404"} 3"#);
    }

    #[test]
    fn two_gateways_in_one_process_count_apart() {
        let (a, b) = (Metrics::new("1"), Metrics::new("1"));
        a.recording_write_error();
        shows(&a.render(), "tandem_recording_write_errors_total 1");
        shows(&b.render(), "tandem_recording_write_errors_total 0");
    }
}
