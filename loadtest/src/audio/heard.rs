//! Everything one peer heard: the packets as they arrived, decoded when somebody asks.

use std::sync::Arc;
use std::time::Instant;

use opus::{Channels, Decoder};

use super::{FRAME, RATE};

/// A timestamp that runs away from the arrival times by more than this is a new line, not a pause.
const TIMESTAMP_SLACK_SAMPLES: i64 = RATE as i64 * 2;
/// Longer losses are silence; libopus' own concealment has faded out by then.
const CONCEALED_FRAMES_MAX: usize = 3;
/// The letters of RFC 4733 events 0 to 15.
const KEYS: &[u8; 16] = b"0123456789*#ABCD";

/// One RTP packet that arrived.
#[derive(Clone, Debug)]
pub struct HeardPacket {
    /// When it was read from the socket.
    pub arrived: Instant,
    /// Sequence number, extended over wrap-arounds.
    pub seq: u64,
    /// RTP timestamp as it was on the wire.
    pub timestamp: u32,
    /// Payload type as it was on the wire.
    pub payload_type: u8,
    /// Whether it is a telephone-event (RFC 4733), not audio.
    pub is_key: bool,
    /// Who sent it.
    pub ssrc: u32,
    /// Payload without header and padding.
    pub payload: Arc<[u8]>,
}

/// What one peer heard, in arrival order.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    packets: Vec<HeardPacket>,
}

impl Heard {
    /// Wraps packets in arrival order.
    pub fn new(packets: Vec<HeardPacket>) -> Self {
        Self { packets }
    }

    /// The packets in arrival order.
    pub fn packets(&self) -> &[HeardPacket] {
        &self.packets
    }

    /// Whether nothing arrived at all.
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// When the first packet arrived.
    pub fn first_at(&self) -> Option<Instant> {
        self.packets.first().map(|p| p.arrived)
    }

    /// Only what arrived at or after this moment.
    #[must_use]
    pub fn since(&self, from: Instant) -> Self {
        Self { packets: self.packets.iter().filter(|p| p.arrived >= from).cloned().collect() }
    }

    /// The keys pressed, each once, in order (RFC 4733 §2.5: all packets of one press carry one timestamp).
    pub fn digits(&self) -> String {
        let mut seen = Vec::new();
        let mut digits = String::new();
        for packet in self.packets.iter().filter(|p| p.is_key && p.payload.len() >= 4) {
            let press = (packet.ssrc, packet.timestamp);
            if !seen.contains(&press) {
                seen.push(press);
                digits.extend(KEYS.get(usize::from(packet.payload[0])).map(|key| char::from(*key)));
            }
        }
        digits
    }

    /// Everything heard as 16 kHz mono samples on the sender's own timeline: sample 0 is the first packet's
    /// timestamp. Lost frames come from in-band redundancy where the next packet has it, else from concealment,
    /// else they are silence. A broken packet is silence too.
    pub fn pcm(&self) -> Vec<i16> {
        let Ok(mut decoder) = Decoder::new(RATE, Channels::Mono) else { return Vec::new() };
        let mut audio: Vec<&HeardPacket> = self.packets.iter().filter(|p| !p.is_key).collect();
        audio.sort_by_key(|p| p.seq);
        audio.dedup_by_key(|p| p.seq);
        let Some(first) = audio.first().copied() else { return Vec::new() };
        let mut pcm: Vec<i16> = Vec::new();
        let mut line = Timeline { timestamp: first.timestamp, sample: 0 };
        let mut frame = vec![0_i16; FRAME * 6];
        for packet in audio {
            let by_clock = packet.arrived.saturating_duration_since(first.arrived).as_secs_f64() * f64::from(RATE);
            let start = line.place(packet.timestamp, by_clock as i64).max(pcm.len() as i64) as usize;
            conceal(&mut decoder, &mut pcm, start, &packet.payload);
            pcm.resize(start, 0);
            let decoded = decoder.decode(&packet.payload, &mut frame, false).unwrap_or(0);
            pcm.extend_from_slice(&frame[..decoded]);
        }
        pcm
    }
}

/// Follows RTP timestamps over wrap-arounds and over jumps.
struct Timeline {
    timestamp: u32,
    sample: i64,
}

impl Timeline {
    /// The sample at which this packet belongs; `by_clock` is where its arrival time alone would put it.
    fn place(&mut self, timestamp: u32, by_clock: i64) -> i64 {
        // RFC 7587 §4.1: 48 kHz ticks, three to one of our samples.
        let step = i64::from(timestamp.wrapping_sub(self.timestamp) as i32) / 3;
        let placed = self.sample + step;
        self.sample = if (placed - by_clock).abs() > TIMESTAMP_SLACK_SAMPLES { by_clock } else { placed };
        self.timestamp = timestamp;
        self.sample
    }
}

fn conceal(decoder: &mut Decoder, pcm: &mut Vec<i16>, until: usize, next: &[u8]) {
    let missing = until.saturating_sub(pcm.len()) / FRAME;
    if missing == 0 || missing > CONCEALED_FRAMES_MAX || pcm.is_empty() {
        return;
    }
    let mut frame = [0_i16; FRAME];
    for n in 0..missing {
        let from_next = n + 1 == missing;
        let input: &[u8] = if from_next { next } else { &[] };
        let decoded = decoder.decode(input, &mut frame, from_next).unwrap_or(0);
        pcm.extend_from_slice(&frame[..decoded]);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::FRAME_TICKS;
    use super::super::measure::{clipped_ms, correlate};
    use super::super::sound::Sound;
    use super::*;

    fn sent(sound: &Sound, first_timestamp: u32) -> Vec<HeardPacket> {
        let start = Instant::now();
        let frames = sound.encoded();
        let packets = frames.frames().iter().enumerate().map(|(n, payload)| HeardPacket {
            arrived: start + Duration::from_millis(20 * n as u64),
            seq: n as u64,
            timestamp: first_timestamp.wrapping_add(n as u32 * FRAME_TICKS),
            payload_type: 111,
            is_key: false,
            ssrc: 1,
            payload: Arc::clone(payload),
        });
        packets.collect()
    }

    #[test]
    fn speech_survives_the_codec_a_wrap_and_some_loss() {
        let speech = Sound::caller();
        let mut packets = sent(&speech, u32::MAX - 20_000);
        packets.retain(|p| p.seq % 25 != 7);
        packets.swap(30, 31);
        let pcm = Heard::new(packets).pcm();
        assert!(pcm.len().abs_diff(speech.pcm().len()) < FRAME, "the timeline keeps its length");
        let found = correlate(speech.pcm(), &pcm);
        assert!(found.score > 0.7, "{found:?}");
        assert!(found.lag_ms.abs() < 15.0, "{found:?}");
        assert_eq!(clipped_ms(speech.pcm(), &pcm), Some(0.0));
    }

    #[test]
    fn a_missing_beginning_is_seen_after_the_codec() {
        let speech = Sound::beeps(12);
        let pcm = Heard::new(sent(&speech, 5).split_off(20)).pcm();
        let clipped = clipped_ms(speech.pcm(), &pcm).expect("the rest is there");
        assert!((300.0..=460.0).contains(&clipped), "{clipped}");
    }

    #[test]
    fn a_key_counts_once_for_all_its_packets() {
        let mut packets = Vec::new();
        for (key, timestamp) in [(1_u8, 100_u32), (11, 9_000), (1, 20_000)] {
            for n in 0..6_u8 {
                let payload: Arc<[u8]> = Arc::from([key, if n > 2 { 0x8a } else { 0x0a }, 0, 160].as_slice());
                let arrived = Instant::now();
                packets.push(HeardPacket {
                    arrived,
                    seq: packets.len() as u64,
                    timestamp,
                    payload_type: 126,
                    is_key: true,
                    ssrc: 1,
                    payload,
                });
            }
        }
        assert_eq!(Heard::new(packets).digits(), "1#1");
    }
}
