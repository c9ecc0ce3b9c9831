//! What one endpoint saw on its media path. Written by the media thread, read by tests.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::audio::FRAME_TICKS;
use crate::audio::heard::{Heard, HeardPacket};

/// Packets kept for `heard`: more than an hour. Later ones are counted, but no longer kept.
const PACKETS_KEPT: usize = 200_000;

/// Something the other side must not do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Violation {
    /// RTP before the call was accepted: the caller's timer starts and words are cut.
    MediaBeforeAccept,
    /// A second RTP source on the one stream; the relay turns that into garbage.
    SecondSsrc(u32),
    /// A payload type that was never negotiated.
    UnknownPayloadType(u8),
    /// A connectivity check in the controlled role, which an ICE-lite server cannot serve.
    IceNotControlling,
    /// The SDP asks Meta to start DTLS; Meta advises the business to be the client.
    DtlsPassive,
    /// The SDP answer lists header extensions that were not offered.
    ExtensionsInAnswer,
    /// The same SDP was expected in `pre_accept` and `accept`.
    AnswerChanged,
    /// The sequence or timestamp line of the one stream broke (jumped by more than 10 s or ran backwards).
    TimestampJump,
}

/// Figures of what one endpoint received.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct MediaStats {
    /// When ICE and DTLS were up.
    pub connected_at: Option<Instant>,
    /// First and latest RTP packet.
    pub first_packet_at: Option<Instant>,
    /// See [`MediaStats::first_packet_at`].
    pub last_packet_at: Option<Instant>,
    /// RTP packets that were decrypted.
    pub packets_received: u64,
    /// Packets missing from the sequence.
    pub packets_lost: u64,
    /// RFC 3550 §6.4.1 interarrival jitter, in milliseconds.
    pub jitter_ms: f64,
    /// RTP sources seen, in order of appearance.
    pub ssrcs: Vec<u32>,
    /// RTCP datagrams that arrived.
    pub rtcp_received: u64,
    /// Latest RTP or RTCP datagram: what Meta calls "media".
    pub last_life_at: Option<Instant>,
    /// Longest stretch without RTP since the first packet, up to now.
    pub longest_silence: Duration,
    /// RTP packets sent.
    pub packets_sent: u64,
    /// When the first of them was sent.
    pub first_sent_at: Option<Instant>,
    /// Frames this machine itself spoke more than 10 ms too late: above a few, its measurements are worth nothing.
    pub late_frames: u64,
    /// Whether everything that was to be spoken has been sent.
    pub finished_speaking: bool,
    /// Whether the endpoint is gone (closed, or ICE gave up).
    pub gone: bool,
}

pub(crate) struct Record {
    listen: bool,
    media_allowed: AtomicBool,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    /// Parts given to say that the media thread does not have yet.
    on_its_way: u32,
    stats: MediaStats,
    packets: Vec<HeardPacket>,
    violations: Vec<Violation>,
    line: Option<Line>,
    hang_up: bool,
}

/// Sequence and timing of the stream, for loss and jitter.
struct Line {
    first_seq: u64,
    highest_seq: u64,
    timestamp: u32,
    arrived: Instant,
    jitter_ticks: f64,
}

impl Record {
    pub(crate) fn new(listen: bool) -> Self {
        Self { listen, media_allowed: AtomicBool::new(false), seen: Mutex::new(Seen::default()) }
    }

    pub(crate) fn allow_media(&self) {
        self.media_allowed.store(true, Ordering::Release);
    }

    pub(crate) fn heard(&self) -> Heard {
        Heard::new(self.lock().packets.clone())
    }

    pub(crate) fn violations(&self) -> Vec<Violation> {
        self.lock().violations.clone()
    }

    pub(crate) fn wants_to_hang_up(&self) -> bool {
        self.lock().hang_up
    }

    pub(crate) fn stats(&self, now: Instant) -> MediaStats {
        let seen = self.lock();
        let mut stats = seen.stats.clone();
        stats.finished_speaking &= seen.on_its_way == 0;
        if let Some(line) = &seen.line {
            stats.jitter_ms = line.jitter_ticks / 48.0;
            let expected = line.highest_seq - line.first_seq + 1;
            stats.packets_lost = expected.saturating_sub(stats.packets_received);
        }
        if let Some(last) = stats.last_packet_at.filter(|_| !stats.gone) {
            stats.longest_silence = stats.longest_silence.max(now.saturating_duration_since(last));
        }
        stats
    }

    pub(crate) fn note_violation(&self, violation: Violation) {
        let mut seen = self.lock();
        if !seen.violations.contains(&violation) {
            seen.violations.push(violation);
        }
    }

    pub(super) fn note_connected(&self, now: Instant) {
        self.lock().stats.connected_at.get_or_insert(now);
    }

    pub(super) fn note_rtcp(&self, now: Instant) {
        let mut seen = self.lock();
        seen.stats.rtcp_received += 1;
        seen.stats.last_life_at = Some(now);
    }

    pub(super) fn note_sent(&self, now: Instant) {
        let mut seen = self.lock();
        seen.stats.packets_sent += 1;
        seen.stats.first_sent_at.get_or_insert(now);
    }

    pub(super) fn note_late_frame(&self) {
        self.lock().stats.late_frames += 1;
    }

    /// More was given to say; it is on its way to the media thread.
    pub(super) fn note_more_to_say(&self) {
        self.lock().on_its_way += 1;
    }

    /// The media thread has what was on its way.
    pub(super) fn note_taken(&self, finished: bool) {
        let mut seen = self.lock();
        seen.on_its_way = seen.on_its_way.saturating_sub(1);
        seen.stats.finished_speaking = finished;
    }

    pub(super) fn note_finished_speaking(&self, finished: bool) {
        self.lock().stats.finished_speaking = finished;
    }

    pub(super) fn note_hang_up(&self) {
        self.lock().hang_up = true;
    }

    pub(super) fn note_gone(&self) {
        self.lock().stats.gone = true;
    }

    pub(super) fn note_packet(&self, packet: HeardPacket) {
        if !self.media_allowed.load(Ordering::Acquire) {
            self.note_violation(Violation::MediaBeforeAccept);
        }
        let mut seen = self.lock();
        let now = packet.arrived;
        if !seen.stats.ssrcs.contains(&packet.ssrc) {
            if !seen.stats.ssrcs.is_empty() && !seen.violations.contains(&Violation::SecondSsrc(packet.ssrc)) {
                seen.violations.push(Violation::SecondSsrc(packet.ssrc));
            }
            seen.stats.ssrcs.push(packet.ssrc);
            seen.line = None;
        }
        if let Some(last) = seen.stats.last_packet_at {
            let silence = now.saturating_duration_since(last);
            seen.stats.longest_silence = seen.stats.longest_silence.max(silence);
        }
        seen.stats.first_packet_at.get_or_insert(now);
        seen.stats.last_packet_at = Some(now);
        seen.stats.last_life_at = Some(now);
        seen.stats.packets_received += 1;
        seen.follow(&packet);
        if self.listen && seen.packets.len() < PACKETS_KEPT {
            seen.packets.push(packet);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn follow(&mut self, packet: &HeardPacket) {
        let Some(line) = &mut self.line else {
            self.line = Some(Line {
                first_seq: packet.seq,
                highest_seq: packet.seq,
                timestamp: packet.timestamp,
                arrived: packet.arrived,
                jitter_ticks: 0.0,
            });
            return;
        };
        if packet.seq <= line.highest_seq {
            line.first_seq = line.first_seq.min(packet.seq);
            return;
        }
        line.highest_seq = packet.seq;
        // Key presses repeat one timestamp (RFC 4733 §2.5.1.2) and say nothing about jitter.
        if packet.is_key {
            return;
        }
        let ticks = packet.timestamp.wrapping_sub(line.timestamp) as i32;
        let between = packet.arrived.saturating_duration_since(line.arrived).as_secs_f64() * 48_000.0;
        if ticks < 0 || (f64::from(ticks) - between).abs() > 480_000.0 {
            if !self.violations.contains(&Violation::TimestampJump) {
                self.violations.push(Violation::TimestampJump);
            }
        } else if ticks <= FRAME_TICKS as i32 * 5 {
            let deviation = (between - f64::from(ticks)).abs();
            line.jitter_ticks += (deviation - line.jitter_ticks) / 16.0;
        }
        line.timestamp = packet.timestamp;
        line.arrived = packet.arrived;
    }
}
