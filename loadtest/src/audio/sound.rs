//! A sound: samples that a phone or an agent can speak.

use std::f32::consts::TAU;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::opus_frames::{EncodedSound, encode};
use super::{FRAME, RATE};

/// Length of one beep of [`Sound::beeps`].
pub const BEEP: Duration = Duration::from_millis(150);
/// Pause after each beep of [`Sound::beeps`].
pub const BEEP_PAUSE: Duration = Duration::from_millis(50);

/// The caller's speech made for this project, spoken by a synthesiser: a name, an order number, a question.
const CALLER: &[u8] = include_bytes!("../../assets/caller.wav");

/// 16 kHz mono samples. Cloning is cheap; the Opus form is made once and shared by all clones.
#[derive(Clone)]
pub struct Sound {
    inner: Arc<Inner>,
}

struct Inner {
    pcm: Vec<i16>,
    encoded: OnceLock<Arc<EncodedSound>>,
}

impl Sound {
    /// A short speech of a customer (about six seconds of words).
    pub fn caller() -> Self {
        static CALLER_SOUND: OnceLock<Sound> = OnceLock::new();
        CALLER_SOUND
            .get_or_init(|| read_wav(CALLER).expect("the embedded file is 16 kHz mono 16 bit; a test reads it"))
            .clone()
    }

    /// A sine of `hz` at half of full scale, with 5 ms ramps so that it does not click.
    pub fn tone(hz: f32, length: Duration) -> Self {
        Self::from_pcm(sine(|_| hz, length))
    }

    /// A tone that glides from one frequency to the other.
    pub fn sweep(from_hz: f32, to_hz: f32, length: Duration) -> Self {
        let samples = samples_of(length).max(1) as f32;
        Self::from_pcm(sine(|n| from_hz + (to_hz - from_hz) * n as f32 / samples, length))
    }

    /// `count` beeps, each of its own pitch ([`beep_hz`]), the first one starting at the very first sample: whoever
    /// misses the beginning of a call misses a beep that can be named.
    pub fn beeps(count: usize) -> Self {
        let mut pcm = Vec::new();
        for k in 0..count {
            pcm.extend(sine(|_| beep_hz(k), BEEP));
            pcm.extend(std::iter::repeat_n(0, samples_of(BEEP_PAUSE)));
        }
        Self::from_pcm(pcm)
    }

    /// Nothing, for a while. Frames are still sent.
    pub fn silence(length: Duration) -> Self {
        Self::from_pcm(vec![0; samples_of(length)])
    }

    /// Any samples at 16 kHz mono.
    pub fn from_pcm(pcm: Vec<i16>) -> Self {
        Self { inner: Arc::new(Inner { pcm, encoded: OnceLock::new() }) }
    }

    /// Reads a WAV file: 16 bit PCM, mono, 16 kHz.
    ///
    /// # Errors
    /// When the file cannot be read or has another format; the sentence says which.
    pub fn wav(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        read_wav(&bytes).with_context(|| format!("cannot use {}", path.display()))
    }

    /// This sound, then the other one.
    #[must_use]
    pub fn then(&self, next: &Self) -> Self {
        Self::from_pcm([self.pcm(), next.pcm()].concat())
    }

    /// This sound with a soft noise under it, so that no two of its Opus frames are alike. `seed` chooses the noise.
    #[must_use]
    pub fn with_noise(&self, seed: u32) -> Self {
        let mut state = seed.wrapping_mul(2_654_435_761).max(1);
        let noisy = self.pcm().iter().map(|sample| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            sample.saturating_add((state % 257) as i16 - 128)
        });
        Self::from_pcm(noisy.collect())
    }

    /// The samples.
    pub fn pcm(&self) -> &[i16] {
        &self.inner.pcm
    }

    /// How long it takes to speak it.
    pub fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.pcm().len() as f64 / f64::from(RATE))
    }

    /// The sound as 20 ms Opus frames, encoded at the first call.
    pub fn encoded(&self) -> Arc<EncodedSound> {
        Arc::clone(self.inner.encoded.get_or_init(|| Arc::new(encode(self.pcm()))))
    }
}

impl std::fmt::Debug for Sound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sound({:?})", self.duration())
    }
}

/// The pitch of beep `k` of [`Sound::beeps`]: 500 Hz, then 150 Hz higher each time (at most 40 beeps stay below 7 kHz).
pub fn beep_hz(k: usize) -> f32 {
    500.0 + 150.0 * k as f32
}

/// How many samples a duration has.
pub fn samples_of(length: Duration) -> usize {
    (length.as_secs_f64() * f64::from(RATE)).round() as usize
}

fn sine(hz_at: impl Fn(usize) -> f32, length: Duration) -> Vec<i16> {
    let count = samples_of(length);
    let ramp = (RATE as usize / 200).min(count / 2).max(1);
    let mut phase = 0.0_f32;
    (0..count)
        .map(|n| {
            phase = (phase + hz_at(n) / RATE as f32).fract();
            let gain = (n.min(count - 1 - n) as f32 / ramp as f32).min(1.0);
            ((phase * TAU).sin() * gain * 16_000.0) as i16
        })
        .collect()
}

fn read_wav(bytes: &[u8]) -> Result<Sound> {
    let mut reader = hound::WavReader::new(bytes).context("it is not a WAV file")?;
    let spec = reader.spec();
    ensure!(
        spec.channels == 1 && spec.sample_rate == RATE && spec.bits_per_sample == 16,
        "it must be mono, 16000 Hz, 16 bit, but it has {} channel(s), {} Hz, {} bit: convert it with `sox in.wav -r 16000 -c 1 -b 16 out.wav`",
        spec.channels,
        spec.sample_rate,
        spec.bits_per_sample
    );
    let mut pcm = reader.samples::<i16>().collect::<Result<Vec<_>, _>>().context("its samples are broken")?;
    // A whole number of frames, so that a loop has no hole.
    pcm.resize(pcm.len().div_ceil(FRAME) * FRAME, 0);
    Ok(Sound::from_pcm(pcm))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_speech_is_about_six_seconds_of_words() {
        let sound = Sound::caller();
        assert!((5.0..8.0).contains(&sound.duration().as_secs_f32()), "{sound:?}");
        let energy = sound.pcm().iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / sound.pcm().len() as f64;
        assert!(energy.sqrt() > 500.0, "the speech is not silent: rms {}", energy.sqrt());
    }

    #[test]
    fn a_wav_of_another_rate_is_refused_with_the_cure() {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: 8_000,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::new(&mut bytes, spec).expect("writes to memory");
        writer.write_sample(1_i16).expect("writes to memory");
        writer.finalize().expect("writes to memory");
        let error = read_wav(bytes.get_ref()).expect_err("8 kHz is refused").to_string();
        assert!(error.contains("8000 Hz") && error.contains("sox"), "{error}");
    }
}
