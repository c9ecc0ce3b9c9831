//! What the gateway itself says: hold music, silence and announcements, encoded once per process and shared by every call.
//!
//! Encoding one frame costs as much as forwarding a hundred packets, so nothing is ever encoded on a call's path. The hold music is
//! made of a few soft tones in code: no sound file, no licence, and a test can say exactly what must be heard.

use std::f32::consts::TAU;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use super::line::FRAME;

/// WhatsApp carries audio up to 8 kHz, so a higher rate would be encoded for nothing.
const RATE_HZ: usize = 16_000;
const FRAME_SAMPLES: usize = RATE_HZ / 50;

/// Meta's own descriptions ask for 20 kb/s; a little more keeps music clear.
const HOLD_BITS_PER_SECOND: i32 = 24_000;
const SILENCE_BITS_PER_SECOND: i32 = 12_000;
const SPEECH_BITS_PER_SECOND: i32 = 24_000;

/// One note of the hold music each so many samples.
const NOTE_SAMPLES: usize = RATE_HZ / 2;

/// A calm turn through four chords (A minor, F, C, G), one note at a time, in hertz.
const NOTES_HZ: [f32; 16] = [
    220.0, 261.63, 329.63, 261.63, 174.61, 220.0, 261.63, 220.0, 196.0, 261.63, 329.63, 261.63, 196.0, 246.94, 293.66,
    246.94,
];

/// Loud enough to be understood as "you are still connected", about 14 dB below full scale at its peaks.
const HOLD_LEVEL: f32 = 0.14;

/// An audible line: about −70 dB of noise tells "connected" where digital silence tells "broken".
const SILENCE_LEVEL: f32 = 0.000_3;

/// Encoded frames of 20 ms that may be played in a circle.
pub(super) struct Loop {
    frames: Vec<Arc<[u8]>>,
}

impl Loop {
    /// The frame at this place of the endless loop.
    pub(super) fn frame(&self, at: usize) -> Arc<[u8]> {
        Arc::clone(&self.frames[at % self.frames.len()])
    }
}

/// Something said once, from its beginning to its end. Clones share it.
#[derive(Clone)]
pub struct Prompt {
    frames: Arc<[Arc<[u8]>]>,
}

impl Prompt {
    /// Encodes 16 kHz mono sound; its last frame is filled up with silence. Takes a few hundredths of the sound's time.
    pub fn encode(pcm: &[i16]) -> Self {
        let mut sound: Vec<f32> = pcm.iter().map(|sample| f32::from(*sample) / 32_768.0).collect();
        sound.resize(sound.len().next_multiple_of(FRAME_SAMPLES), 0.0);
        let frames = encode(&sound, SPEECH_BITS_PER_SECOND, 1).expect(DOCUMENTED);
        Self { frames: frames.into() }
    }

    pub fn duration(&self) -> Duration {
        FRAME * u32::try_from(self.frames.len()).unwrap_or(u32::MAX)
    }

    /// The frame at this place, and whether it is the last one. `None` beyond the end.
    pub(super) fn frame(&self, at: usize) -> Option<(Arc<[u8]>, bool)> {
        Some((Arc::clone(self.frames.get(at)?), at + 1 == self.frames.len()))
    }
}

impl std::fmt::Debug for Prompt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Prompt({:?})", self.duration())
    }
}

/// Encodes everything now. Called with the first [`Identity`](super::Identity), so that no call pays for it.
pub(super) fn warm_up() {
    LazyLock::force(&HOLD);
    LazyLock::force(&SILENCE);
}

pub(super) static HOLD: LazyLock<Loop> = LazyLock::new(|| circle(&music(), HOLD_BITS_PER_SECOND));
pub(super) static SILENCE: LazyLock<Loop> = LazyLock::new(|| circle(&faint_noise(), SILENCE_BITS_PER_SECOND));

/// Notes that ring on under their successors, over the seam as well, so that the loop has no beginning.
fn music() -> Vec<f32> {
    let len = NOTES_HZ.len() * NOTE_SAMPLES;
    let mut sound = vec![0.0; len];
    for (n, hz) in NOTES_HZ.into_iter().enumerate() {
        for i in 0..NOTE_SAMPLES * 3 {
            let t = i as f32 / RATE_HZ as f32;
            let attack = (t / 0.03).min(1.0);
            let decay = (-2.6 * t).exp() - (-2.6_f32 * 1.5).exp();
            let tone = (TAU * hz * t).sin() + 0.25 * (TAU * 2.0 * hz * t).sin();
            sound[(n * NOTE_SAMPLES + i) % len] += HOLD_LEVEL * attack * decay * tone;
        }
    }
    sound
}

/// One second of the same faint noise on every machine.
fn faint_noise() -> Vec<f32> {
    let mut state = 0x2545_f491_u32;
    (0..RATE_HZ)
        .map(|_| {
            // xorshift32: any source without an audible period will do.
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            SILENCE_LEVEL * (state as f32 / u32::MAX as f32 - 0.5) * 2.0
        })
        .collect()
}

/// Encodes the sound twice and keeps the second turn: its first frame then follows its last one as the decoder expects.
fn circle(sound: &[f32], bits_per_second: i32) -> Loop {
    Loop { frames: encode(sound, bits_per_second, 2).expect(DOCUMENTED) }
}

const DOCUMENTED: &str = "the codec takes its own documented parameters";

/// Encodes the sound so many times in a row and keeps the last turn.
fn encode(sound: &[f32], bits_per_second: i32, turns: u32) -> Result<Vec<Arc<[u8]>>, opus::Error> {
    let mut encoder = opus::Encoder::new(RATE_HZ as u32, opus::Channels::Mono, opus::Application::Voip)?;
    encoder.set_bitrate(opus::Bitrate::Bits(bits_per_second))?;
    encoder.set_vbr(true)?;
    let mut frames = Vec::with_capacity(sound.len() / FRAME_SAMPLES);
    let mut room = [0; 400];
    for turn in 1..=turns {
        for frame in sound.chunks_exact(FRAME_SAMPLES) {
            let len = encoder.encode_float(frame, &mut room)?;
            if turn == turns {
                frames.push(Arc::from(&room[..len]));
            }
        }
    }
    Ok(frames)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays a loop once and returns the loudness of each half second, in full scale.
    fn heard(frames: &Loop) -> Vec<f32> {
        let mut decoder = opus::Decoder::new(RATE_HZ as u32, opus::Channels::Mono).unwrap();
        let mut sound = Vec::new();
        for at in 0..frames.frames.len() {
            let mut room = [0.0; FRAME_SAMPLES];
            assert_eq!(decoder.decode_float(&frames.frame(at), &mut room, false).unwrap(), FRAME_SAMPLES);
            sound.extend_from_slice(&room);
        }
        sound.chunks(NOTE_SAMPLES).map(|s| (s.iter().map(|v| v * v).sum::<f32>() / s.len() as f32).sqrt()).collect()
    }

    #[test]
    fn hold_music_is_heard_all_the_time_and_never_shouts() {
        let loudness = heard(&HOLD);
        assert_eq!(loudness.len(), NOTES_HZ.len());
        assert!(loudness.iter().all(|l| (0.02..0.2).contains(l)), "{loudness:?}");
    }

    #[test]
    fn silence_is_silent_but_not_nothing() {
        let loudness = heard(&SILENCE);
        assert!(loudness.iter().all(|l| *l < 0.001), "{loudness:?}");
        assert!((0..50).all(|at| SILENCE.frame(at).len() > 3), "each frame is a real one");
    }

    #[test]
    fn an_announcement_is_said_once_to_its_end() {
        let tone: Vec<i16> = (0..16_000 + 7).map(|i| ((i as f32 * 0.2).sin() * 9_000.0) as i16).collect();
        let prompt = Prompt::encode(&tone);
        assert_eq!(prompt.duration(), Duration::from_millis(1_020));
        let mut decoder = opus::Decoder::new(RATE_HZ as u32, opus::Channels::Mono).unwrap();
        let mut room = [0; FRAME_SAMPLES];
        for at in 0..51 {
            let (frame, is_last) = prompt.frame(at).unwrap();
            assert_eq!((decoder.decode(&frame, &mut room, false).unwrap(), is_last), (FRAME_SAMPLES, at == 50));
            assert!(at < 2 || at == 50 || room.iter().any(|sample| *sample > 6_000), "{at}");
        }
        assert!(prompt.frame(51).is_none());
        assert!((0..51).all(|at| prompt.frame(at).unwrap().0.len() <= crate::model::rtp::TapPayload::INLINE));
    }

    #[test]
    fn a_prompt_fits_the_inline_room_of_a_copy() {
        for frames in [&*HOLD, &*SILENCE] {
            assert!(frames.frames.iter().all(|f| f.len() <= crate::model::rtp::TapPayload::INLINE));
        }
    }
}
