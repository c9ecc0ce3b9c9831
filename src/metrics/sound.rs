//! What happens behind the bridge: tap, recorder, recogniser, summaries. None of it can disturb a call, so these figures are
//! the only place where trouble there shows.

use std::time::Duration;

use super::{Metrics, int, one, one_counter, one_gauge, one_level, raise};
use crate::model::reason::RecordingState;
use crate::model::transcript::Segment;
use crate::model::words;

words! {
    /// How a transcript or a summary ended.
    Outcome {
        Ready = "ready",
        Failed = "failed",
    }
}

words! {
    /// What came of telling the parties that they are recorded.
    Consented {
        Announced = "announced",
        OptedOut = "opted_out",
    }
}

words! {
    /// What runs behind the calls, and could end by a fault.
    Thread {
        Tap = "tap",
        Recorder = "recorder",
        Recogniser = "recogniser",
    }
}

/// What the tap worker reports; totals run since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TapFigures {
    pub open: usize,
    /// Age of the oldest packet found in a ring.
    pub lag: Duration,
    pub refused_blocks: u64,
    pub panics: u64,
    /// Times it was late by more than half a second.
    pub lags: u64,
    pub let_go: u64,
    pub strays: u64,
    pub diverted: u64,
    pub alive: bool,
}

/// What the recorder reports; totals run since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecorderFigures {
    pub open: usize,
    /// Sound that waits for the disk.
    pub queued: Duration,
    pub bytes: u64,
    /// The longest turn of writing so far.
    pub turn_max: Duration,
    pub panics: u64,
    pub disk_free_bytes: u64,
    pub alive: bool,
}

/// What the way into the recogniser reports; totals run since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SttInletFigures {
    /// Sound that waits to be looked through.
    pub queued: Duration,
    pub refused_blocks: u64,
    pub let_go: u64,
    pub panics: u64,
    pub alive: bool,
}

/// What the recogniser in this process reports; totals run since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SttFigures {
    pub streams: usize,
    pub queued_jobs: usize,
    /// Speech whose final text waits.
    pub queued: Duration,
    pub partials_skipped: u64,
    pub failed: u64,
    /// Working time per second of speech in the latest finals; `None` = there were none.
    pub realtime_factor: Option<f64>,
}

/// What a recogniser elsewhere reports; totals run since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemoteSttFigures {
    pub streams: u64,
    /// Connections that stand now.
    pub connected: u64,
    pub connects: u64,
    /// Attempts that failed, and connections that broke.
    pub failed: u64,
    /// Sound whose answer is waited for.
    pub waiting: Duration,
    /// Sound sent again on a new connection.
    pub resent: Duration,
    /// Recordings that could not be written down.
    pub wholes_failed: u64,
}

/// How what was said in running calls reaches the database; totals run since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WritingFigures {
    /// Segments and gaps.
    pub waiting: usize,
    pub failures: u64,
    pub left: u64,
}

/// What a language model made of summaries; totals run since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SummaryFigures {
    pub asked: u64,
    pub fallbacks: u64,
    pub withheld: u64,
}

impl Metrics {
    pub fn writing(&self, now: &WritingFigures) {
        let f = &self.families;
        one_gauge(&f.transcript_words_waiting).set(int(now.waiting));
        raise(&one_counter(&f.transcript_database_failures_total), now.failures);
        raise(&one_counter(&f.transcript_words_left_total), now.left);
    }

    pub fn summing(&self, now: &SummaryFigures) {
        let f = &self.families;
        raise(&one_counter(&f.summary_model_total), now.asked);
        raise(&one_counter(&f.summary_fallbacks_total), now.fallbacks);
        raise(&one_counter(&f.summary_withheld_total), now.withheld);
    }

    pub fn tap(&self, now: &TapFigures) {
        let f = &self.families;
        one_gauge(&f.tap_open).set(int(now.open));
        one_level(&f.tap_lag_seconds).set(now.lag.as_secs_f64());
        raise(&one_counter(&f.tap_refused_blocks_total), now.refused_blocks);
        for (family, total) in [
            (&f.tap_panics_total, now.panics),
            (&f.tap_lags_total, now.lags),
            (&f.tap_let_go_total, now.let_go),
            (&f.tap_strays_total, now.strays),
            (&f.tap_diverted_total, now.diverted),
        ] {
            raise(&one_counter(family), total);
        }
        self.thread_alive(Thread::Tap, now.alive);
    }

    fn thread_alive(&self, thread: Thread, alive: bool) {
        self.families.thread_alive.with_label_values(&[thread.as_str()]).set(i64::from(alive));
    }

    pub fn recorder(&self, now: &RecorderFigures) {
        let f = &self.families;
        one_gauge(&f.recordings_open).set(int(now.open));
        one_level(&f.recording_queue_seconds).set(now.queued.as_secs_f64());
        raise(&one_counter(&f.recording_bytes_total), now.bytes);
        one_level(&f.recording_turn_max_seconds).set(now.turn_max.as_secs_f64());
        raise(&one_counter(&f.recording_panics_total), now.panics);
        one_level(&f.disk_free_bytes).set(now.disk_free_bytes as f64);
        self.thread_alive(Thread::Recorder, now.alive);
    }

    pub fn stt_inlet(&self, now: &SttInletFigures) {
        let f = &self.families;
        one_level(&f.stt_inlet_queue_seconds).set(now.queued.as_secs_f64());
        raise(&one_counter(&f.stt_refused_blocks_total), now.refused_blocks);
        raise(&one_counter(&f.stt_let_go_total), now.let_go);
        raise(&one_counter(&f.stt_panics_total), now.panics);
        self.thread_alive(Thread::Recogniser, now.alive);
    }

    pub fn stt(&self, now: &SttFigures) {
        let f = &self.families;
        one_gauge(&f.stt_streams).set(int(now.streams));
        one_gauge(&f.stt_queue_jobs).set(int(now.queued_jobs));
        one_level(&f.stt_queue_seconds).set(now.queued.as_secs_f64());
        raise(&one_counter(&f.stt_partials_skipped_total), now.partials_skipped);
        raise(&one_counter(&f.stt_failed_total), now.failed);
        if let Some(factor) = now.realtime_factor {
            one_level(&f.stt_realtime_factor).set(factor);
        }
    }

    pub fn remote_stt(&self, now: &RemoteSttFigures) {
        let f = &self.families;
        one_gauge(&f.stt_streams).set(int(now.streams as usize));
        one_level(&f.stt_queue_seconds).set(now.waiting.as_secs_f64());
        one_gauge(&f.stt_connections).set(int(now.connected as usize));
        raise(&one_counter(&f.stt_connects_total), now.connects);
        raise(&one_counter(&f.stt_connections_failed_total), now.failed);
        raise(&one_counter(&f.stt_resent_seconds_total), now.resent.as_secs());
        raise(&one_counter(&f.stt_failed_total), now.wholes_failed);
    }

    /// Text of a running call, `lag` after its last sound was spoken.
    pub fn heard(&self, segment: &Segment, lag: Duration) {
        let kind = if segment.is_final { "final" } else { "partial" };
        self.families.stt_segments_total.with_label_values(&[kind]).inc();
        self.families.stt_lag_seconds.with_label_values(&[kind]).observe(lag.as_secs_f64());
    }

    /// Speech that was not written down while the call ran.
    pub fn unheard(&self, length: Duration) {
        self.families.stt_missed_seconds_total.with_label_values::<&str>(&[]).inc_by(length.as_secs_f64());
    }

    /// A transcript reached its final state this long after its call.
    pub fn transcript_ended(&self, outcome: Outcome, after_call: Duration) {
        self.families.transcripts_total.with_label_values(&[outcome.as_str()]).inc();
        if outcome == Outcome::Ready {
            one(&self.families.transcript_ready_seconds).observe(after_call.as_secs_f64());
        }
    }

    /// A summary reached its final state this long after its call; `took`: the making alone.
    pub fn summary_ended(&self, outcome: Outcome, took: Duration, after_call: Duration) {
        self.families.summaries_total.with_label_values(&[outcome.as_str()]).inc();
        if outcome == Outcome::Ready {
            one(&self.families.summary_seconds).observe(took.as_secs_f64());
            one(&self.families.summary_ready_seconds).observe(after_call.as_secs_f64());
        }
    }

    /// A recording reached its final state; `after_call`: `None` while its call still runs.
    pub fn recording_ended(&self, state: RecordingState, after_call: Option<Duration>) {
        self.families.recordings_total.with_label_values(&[state.as_str()]).inc();
        if let (RecordingState::Ready, Some(after)) = (state, after_call) {
            one(&self.families.recording_ready_seconds).observe(after.as_secs_f64());
        }
    }

    pub fn consented(&self, what: Consented) {
        self.families.recording_consents_total.with_label_values(&[what.as_str()]).inc();
    }

    pub fn recording_write_error(&self) {
        one_counter(&self.families.recording_write_errors_total).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rtp::Side;

    #[test]
    fn what_becomes_of_sound_shows_in_the_figures() {
        let m = Metrics::new("1");
        let second = Duration::from_secs(1);
        let words = |is_final| Segment {
            speaker: Side::Agent,
            index: 0,
            start_ms: 0,
            end_ms: 900,
            text: "Good morning.".into(),
            is_final,
            stable_chars: 0,
            confidence: None,
            language: None,
        };
        let tap =
            TapFigures { open: 3, lag: second / 8, refused_blocks: 2, panics: 1, let_go: 4, ..TapFigures::default() };
        m.tap(&TapFigures { alive: true, ..tap });
        m.recorder(&RecorderFigures {
            open: 2,
            queued: second / 4,
            bytes: 64,
            turn_max: second / 2,
            disk_free_bytes: 1_000,
            ..RecorderFigures::default()
        });
        m.stt_inlet(&SttInletFigures { queued: second * 2, let_go: 5, ..SttInletFigures::default() });
        let stt =
            SttFigures { streams: 4, queued_jobs: 5, queued: 3 * second, partials_skipped: 6, ..SttFigures::default() };
        m.stt(&SttFigures { realtime_factor: Some(0.25), failed: 1, ..stt });
        let remote = RemoteSttFigures { streams: 7, connected: 6, connects: 9, ..RemoteSttFigures::default() };
        m.remote_stt(&RemoteSttFigures { failed: 2, waiting: second, resent: 5 * second, ..remote });
        // Nothing was said since.
        m.stt(&stt);
        m.heard(&words(false), second);
        m.heard(&words(true), 2 * second);
        m.unheard(second / 2);
        m.unheard(second);
        m.transcript_ended(Outcome::Ready, second);
        m.transcript_ended(Outcome::Failed, second);
        m.summary_ended(Outcome::Ready, second / 10, 3 * second);
        m.summary_ended(Outcome::Failed, second, second);
        m.recording_ended(RecordingState::Ready, Some(second / 100));
        m.recording_ended(RecordingState::Failed, None);
        m.consented(Consented::OptedOut);
        m.writing(&WritingFigures { waiting: 3, failures: 2, left: 1 });
        m.summing(&SummaryFigures { asked: 8, fallbacks: 7, withheld: 6 });
        let text = m.render();
        for line in [
            "tandem_tap_open 3",
            "tandem_tap_lag_seconds 0.125",
            "tandem_tap_refused_blocks_total 2",
            "tandem_tap_panics_total 1",
            "tandem_recordings_open 2",
            "tandem_recording_queue_seconds 0.25",
            "tandem_recording_bytes_total 64",
            "tandem_recording_turn_max_seconds 0.5",
            r#"tandem_recordings_total{state="ready"} 1"#,
            r#"tandem_recordings_total{state="failed"} 1"#,
            r#"tandem_recording_ready_seconds_bucket{le="0.01"} 1"#,
            r#"tandem_recording_consents_total{what="opted_out"} 1"#,
            "tandem_stt_connections 6",
            "tandem_stt_connects_total 9",
            "tandem_stt_connections_failed_total 2",
            "tandem_stt_resent_seconds_total 5",
            "tandem_stt_streams 4",
            "tandem_stt_queue_jobs 5",
            "tandem_stt_queue_seconds 3",
            "tandem_stt_partials_skipped_total 6",
            "tandem_stt_failed_total 1",
            "tandem_tap_let_go_total 4",
            r#"tandem_thread_alive{thread="tap"} 1"#,
            r#"tandem_thread_alive{thread="recorder"} 0"#,
            "tandem_disk_free_bytes 1000",
            "tandem_stt_inlet_queue_seconds 2",
            "tandem_stt_let_go_total 5",
            "tandem_stt_realtime_factor 0.25",
            r#"tandem_stt_segments_total{kind="final"} 1"#,
            r#"tandem_stt_lag_seconds_sum{kind="partial"} 1"#,
            r#"tandem_stt_lag_seconds_sum{kind="final"} 2"#,
            "tandem_stt_missed_seconds_total 1.5",
            r#"tandem_transcripts_total{outcome="failed"} 1"#,
            "tandem_transcript_ready_seconds_count 1",
            r#"tandem_summaries_total{outcome="ready"} 1"#,
            "tandem_summary_seconds_sum 0.1",
            "tandem_transcript_words_waiting 3",
            "tandem_transcript_words_left_total 1",
            "tandem_summary_fallbacks_total 7",
            "tandem_summary_ready_seconds_sum 3",
        ] {
            assert!(text.lines().any(|l| l == line), "`{line}` is missing in\n{text}");
        }
    }
}
