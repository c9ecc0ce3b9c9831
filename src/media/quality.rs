//! How a leg's incoming audio fared on the network, in the figures operators expect.

use std::time::{Duration, Instant};

use super::leg::Heard;
use crate::audio::toc;
use crate::model::quality::{Quality, level, power};
use crate::model::reason::LegKind;
use crate::model::rtp::OPUS_CLOCK_HZ;

/// A step in sequence numbers that is no loss but a new beginning.
const SEQ_STEP_MAX: u64 = 3_000;

/// What one leg received, over all its sources.
#[derive(Debug, Default)]
pub(super) struct Reception {
    ssrc: u32,
    /// First and newest sequence number of the current source; `None` before its first packet.
    range: Option<(u64, u64)>,
    expected_before: u64,
    received: u64,
    /// Arrived behind a younger one.
    late: u64,
    /// RTP of a known source that brought nothing: duplicates, replays, forgeries, what cannot be decrypted.
    refused: u64,
    jitter_ticks: f64,
    last: Option<(Instant, u32)>,
    loss_runs: u64,
    loss_run_packets: u64,
    voiced: u64,
    with_spare: u64,
    /// Packets whose sender said how loud they are, and the sum of their power.
    levelled: u64,
    power: f64,
}

impl Reception {
    pub(super) fn note(&mut self, packet: &Heard) {
        self.received += 1;
        match self.range {
            Some((first, newest)) if self.ssrc == packet.ssrc && newest.abs_diff(packet.seq) < SEQ_STEP_MAX => {
                if packet.seq > newest + 1 {
                    self.loss_runs += 1;
                    self.loss_run_packets += packet.seq - newest - 1;
                }
                self.late += u64::from(packet.seq < newest);
                self.range = Some((first.min(packet.seq), newest.max(packet.seq)));
            }
            _ => {
                self.expected_before = self.expected();
                self.ssrc = packet.ssrc;
                self.range = Some((packet.seq, packet.seq));
                self.last = None;
            }
        }
        self.note_jitter(packet);
        if let Some(dbov) = packet.level {
            self.levelled += 1;
            self.power += power(f64::from(dbov));
        }
        if toc::voiced(&packet.payload) == Some(true) {
            self.voiced += 1;
            self.with_spare += u64::from(toc::has_fec(&packet.payload) == Some(true));
        }
    }

    pub(super) fn note_refused(&mut self) {
        self.refused += 1;
    }

    /// RFC 3550 section 6.4.1, in order of arrival. Pauses (DTX) do not disturb it, since both clocks run on.
    fn note_jitter(&mut self, packet: &Heard) {
        if let Some((at, time)) = self.last {
            let passed = packet.at.saturating_duration_since(at).as_secs_f64() * f64::from(OPUS_CLOCK_HZ);
            let spoken = f64::from(packet.time.wrapping_sub(time) as i32);
            let deviation = (passed - spoken).abs();
            // A jump of the sender's clock is not the network's doing.
            if deviation < f64::from(OPUS_CLOCK_HZ) {
                self.jitter_ticks += (deviation - self.jitter_ticks) / 16.0;
            }
        }
        self.last = Some((packet.at, packet.time));
    }

    fn expected(&self) -> u64 {
        self.expected_before + self.range.map_or(0, |(first, newest)| newest - first + 1)
    }

    pub(super) fn late(&self) -> u64 {
        self.late
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    /// The figures so far. `rtt` is that of this leg, `other_rtt` of the leg that hears it: together they make the delay from
    /// mouth to ear.
    pub(super) fn quality(
        &self,
        kind: LegKind,
        packets_sent: u64,
        rtt: Option<Duration>,
        other_rtt: Option<Duration>,
    ) -> Quality {
        let expected = self.expected();
        let packets_lost = expected.saturating_sub(self.received);
        let loss_ratio = if expected == 0 { 0.0 } else { packets_lost as f64 / expected as f64 };
        let jitter_ms = self.jitter_ticks / f64::from(OPUS_CLOCK_HZ) * 1000.0;
        let ms = |d: Duration| d.as_secs_f64() * 1000.0;
        let path = Path {
            loss_ratio,
            burst_ratio: self.burst_ratio(loss_ratio),
            delay_ms: delay_ms(kind, jitter_ms, rtt.map_or(0.0, ms) + other_rtt.map_or(0.0, ms)),
            repairs_loss: self.voiced > 0 && self.with_spare * 2 >= self.voiced,
        };
        Quality {
            packets_received: self.received,
            packets_sent,
            packets_lost,
            loss_ratio,
            jitter_ms,
            rtt_ms: rtt.map(ms),
            mos: (self.received > 0).then(|| path.mos()),
            level_dbov: (self.levelled > 0).then(|| level(self.power / self.levelled as f64)),
        }
    }

    /// Mean length of a loss, relative to that of independent losses (G.107 section 3.5); 1 is random loss.
    fn burst_ratio(&self, loss_ratio: f64) -> f64 {
        if self.loss_runs == 0 {
            return 1.0;
        }
        let run = self.loss_run_packets as f64 / self.loss_runs as f64;
        (run * (1.0 - loss_ratio)).max(1.0)
    }
}

/// From mouth to ear, one way: half of both round trips, a jitter buffer at each listener's end, coding and one frame, and what
/// WhatsApp's own last mile is assumed to add, which nobody can measure from here.
fn delay_ms(kind: LegKind, jitter_ms: f64, round_trips_ms: f64) -> f64 {
    const JITTER_BUFFER_MS: f64 = 40.0;
    const CODING_MS: f64 = 25.0;
    const WHATSAPP_LAST_MILE_MS: f64 = 60.0;
    let last_mile = match kind {
        LegKind::WhatsApp => WHATSAPP_LAST_MILE_MS,
        LegKind::Agent => 0.0,
    };
    round_trips_ms / 2.0 + JITTER_BUFFER_MS + 2.0 * jitter_ms + CODING_MS + last_mile
}

/// What the E-model is asked about (ITU-T G.107, narrow-band scale).
struct Path {
    loss_ratio: f64,
    burst_ratio: f64,
    delay_ms: f64,
    /// The sender's codec sends spare copies of lost frames.
    repairs_loss: bool,
}

impl Path {
    /// Mean opinion score, 1 to 4.5.
    fn mos(&self) -> f64 {
        let r = self.r_factor();
        match r {
            r if r <= 0.0 => 1.0,
            r if r >= 100.0 => 4.5,
            r => 1.0 + 0.035 * r + 7e-6 * r * (r - 60.0) * (100.0 - r),
        }
    }

    fn r_factor(&self) -> f64 {
        // G.113 knows no values for Opus: Ie 0 at wide band, and Bpl 10, or 20 with the codec's own loss repair.
        let robustness = if self.repairs_loss { 20.0 } else { 10.0 };
        let loss = self.loss_ratio * 100.0;
        let by_loss = 95.0 * loss / (loss / self.burst_ratio + robustness);
        let by_delay = if self.delay_ms <= 100.0 {
            0.0
        } else {
            let x = (self.delay_ms / 100.0).log2();
            25.0 * ((1.0 + x.powi(6)).powf(1.0 / 6.0) - 3.0 * (1.0 + (x / 3.0).powi(6)).powf(1.0 / 6.0) + 2.0)
        };
        93.2 - by_delay - by_loss
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn the_e_model_gives_the_published_scores() {
        for (loss, repairs_loss, delay_ms, expected) in [
            (0.0, false, 100.0, 4.41),
            (0.01, false, 100.0, 4.18),
            (0.03, true, 100.0, 4.05),
            (0.10, false, 100.0, 2.35),
            (0.0, false, 250.0, 4.18),
            (0.05, true, 250.0, 3.37),
            (0.03, false, 400.0, 2.43),
            (1.0, false, 100.0, 1.0),
        ] {
            let path = Path { loss_ratio: loss, burst_ratio: 1.0, delay_ms, repairs_loss };
            assert!((path.mos() - expected).abs() < 0.02, "{loss} {delay_ms}: {} instead of {expected}", path.mos());
        }
    }

    #[allow(clippy::disallowed_methods, reason = "a test's clock has to start somewhere")]
    fn note(reception: &mut Reception, base: Option<Instant>, arrivals: &[(u32, u64, u64)]) -> Instant {
        let base = base.unwrap_or_else(Instant::now);
        for &(ssrc, seq, at_ms) in arrivals {
            reception.note(&Heard {
                ssrc,
                seq,
                time: seq as u32 * 960,
                marker: false,
                pt: 111.into(),
                payload: Arc::from(&[9 << 3, 0xc0, 0][..]),
                level: None,
                at: base + Duration::from_millis(at_ms),
            });
        }
        base
    }

    #[test]
    fn loss_and_lateness_are_counted_over_a_change_of_source() {
        let mut r = Reception::default();
        note(&mut r, None, &[(1, 100, 0), (1, 101, 20), (1, 104, 80), (1, 103, 81), (2, 9, 100), (2, 10, 120)]);
        let q = r.quality(LegKind::Agent, 7, None, None);
        assert_eq!((q.packets_received, q.packets_lost, q.packets_sent, r.late()), (6, 1, 7, 1));
        assert!((q.loss_ratio - 1.0 / 7.0).abs() < 1e-9);
    }

    #[test]
    fn jitter_grows_to_the_deviation_and_a_steady_stream_has_none() {
        let mut steady = Reception::default();
        let mut shaky = Reception::default();
        let base = note(&mut steady, None, &[]);
        for n in 0..500 {
            note(&mut steady, Some(base), &[(1, n, n * 20)]);
            note(&mut shaky, Some(base), &[(1, n, n * 20 + (n % 2) * 10)]);
        }
        assert!(steady.quality(LegKind::Agent, 0, None, None).jitter_ms < 0.01);
        assert!((shaky.quality(LegKind::Agent, 0, None, None).jitter_ms - 10.0).abs() < 0.5);
    }

    #[test]
    fn a_leg_is_as_loud_as_its_sender_says() {
        let mut r = Reception::default();
        let base = note(&mut r, None, &[(1, 1, 0)]);
        assert_eq!(r.quality(LegKind::Agent, 0, None, None).level_dbov, None, "it does not say");
        for (seq, level) in [(2, -20), (3, -20), (4, -127), (5, -127)] {
            let at = base + Duration::from_millis(seq * 20);
            let payload = Arc::from(&[9 << 3, 0xc0, 0][..]);
            r.note(&Heard { ssrc: 1, seq, time: 0, marker: false, pt: 111.into(), payload, level: Some(level), at });
        }
        let dbov = r.quality(LegKind::Agent, 0, None, None).level_dbov.unwrap();
        assert!((dbov + 23.01).abs() < 0.01, "half of it is silence: {dbov}");
    }

    #[test]
    fn an_empty_leg_has_no_score() {
        assert_eq!(Reception::default().quality(LegKind::WhatsApp, 0, None, None), Quality::default());
    }
}
