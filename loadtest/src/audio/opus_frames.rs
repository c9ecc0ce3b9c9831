//! A sound as Opus packets, the way a WhatsApp phone encodes it: 20 ms, mono, wide band, FEC on, 20 kb/s.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, OnceLock};

use opus::{Application, Bandwidth, Bitrate, Channels, Encoder};

use super::{FRAME, RATE};

/// Bits per second, from the `fmtp` line of Meta's offers.
const BITRATE: i32 = 20_000;
/// Tells the encoder to spend bits on in-band redundancy (LBRR), as the phones do.
const EXPECTED_LOSS_PERCENT: i32 = 10;
/// Enough for tones and words, and three times cheaper than the default of 9 in test builds.
const COMPLEXITY: i32 = 4;
/// An Opus packet of 20 ms at this rate has 50 to 130 bytes; libopus never needs more than this.
const PACKET_BYTES_MAX: usize = 1_275;

/// Opus packets of 20 ms each.
pub struct EncodedSound {
    frames: Vec<Arc<[u8]>>,
    index: OnceLock<HashMap<u64, u32>>,
}

impl EncodedSound {
    /// Packets that were encoded elsewhere.
    pub fn from_frames(frames: Vec<Arc<[u8]>>) -> Self {
        Self { frames, index: OnceLock::new() }
    }

    /// The packets in order.
    pub fn frames(&self) -> &[Arc<[u8]>] {
        &self.frames
    }

    /// Which frame this payload is, if exactly one frame has these bytes.
    pub fn position(&self, payload: &[u8]) -> Option<usize> {
        let index = self.index.get_or_init(|| {
            let mut index = HashMap::new();
            for (n, frame) in self.frames.iter().enumerate() {
                // Frames that occur twice name no moment.
                index.entry(digest(frame)).and_modify(|slot| *slot = u32::MAX).or_insert(n as u32);
            }
            index
        });
        index.get(&digest(payload)).filter(|n| **n != u32::MAX).map(|n| *n as usize)
    }
}

/// Encodes samples; the last frame is filled up with silence.
pub fn encode(pcm: &[i16]) -> EncodedSound {
    let mut encoder =
        new_encoder().expect("libopus accepts these constants; every test that speaks would fail otherwise");
    let mut buffer = [0_u8; PACKET_BYTES_MAX];
    let mut frame = [0_i16; FRAME];
    let frames = pcm.chunks(FRAME).map(|chunk| {
        frame.fill(0);
        frame[..chunk.len()].copy_from_slice(chunk);
        let length = encoder.encode(&frame, &mut buffer).expect("a 20 ms frame fits the largest packet");
        Arc::from(&buffer[..length])
    });
    EncodedSound::from_frames(frames.collect())
}

/// Second after second of room noise, barely audible: what a phone sends while nobody speaks.
pub fn room_silence() -> Arc<EncodedSound> {
    static SILENCE: OnceLock<Arc<EncodedSound>> = OnceLock::new();
    Arc::clone(SILENCE.get_or_init(|| Arc::new(encode(&vec![0; FRAME * 50]))))
}

fn new_encoder() -> opus::Result<Encoder> {
    let mut encoder = Encoder::new(RATE, Channels::Mono, Application::Voip)?;
    encoder.set_bitrate(Bitrate::Bits(BITRATE))?;
    encoder.set_bandwidth(Bandwidth::Wideband)?;
    encoder.set_inband_fec(true)?;
    encoder.set_packet_loss_perc(EXPECTED_LOSS_PERCENT)?;
    encoder.set_complexity(COMPLEXITY)?;
    Ok(encoder)
}

fn digest(payload: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    payload.hash(&mut hasher);
    hasher.finish()
}
