//! What a Whisper sees of the sound: 100 columns a second, each the loudness of some 80 bands of pitch.
//!
//! As in <https://github.com/openai/whisper/blob/main/whisper/audio.py>: Hann windows of 25 ms every 10 ms, the first one
//! centred on the first sample, power summed by mel bands (Slaney's scale and norm), decimal logarithm, the lowest at 8
//! below the loudest. The Fourier transform is one matrix product: 400 is no power of two, and products are what the
//! tensor library is fastest at.

use std::f64::consts::{PI, TAU};

use candle_core::{Device, Result, Tensor};

use crate::audio::RATE_HZ;

/// Samples between two columns.
pub(super) const HOP: usize = 160;
const WINDOW: usize = 400;
const BINS: usize = WINDOW / 2 + 1;

/// Power below this is counted as this.
const FLOOR: f64 = 1e-10;

/// The loudest and the faintest thing seen are so many powers of ten apart.
const RANGE: f64 = 8.0;

/// The front end of a model with so many bands.
#[derive(Clone, Debug)]
pub(super) struct Mel {
    bands: usize,
    /// `[WINDOW, 2 × BINS]`: Hann window and cosines, Hann window and sines.
    fourier: Tensor,
    /// `[BINS, bands]`
    filters: Tensor,
}

impl Mel {
    pub(super) fn new(bands: usize) -> Result<Self> {
        let filters = filters(bands);
        Ok(Self {
            bands,
            fourier: Tensor::from_vec(fourier(), (WINDOW, 2 * BINS), &Device::Cpu)?,
            filters: Tensor::from_vec(filters, (bands, BINS), &Device::Cpu)?.t()?.contiguous()?,
        })
    }

    /// `[1, bands, columns]` of 16 kHz sound; silence follows where the sound is shorter.
    pub(super) fn columns(&self, pcm: &[i16], columns: usize) -> Result<Tensor> {
        // The first window reaches half its length before the first sample: the sound is mirrored there.
        let half = WINDOW / 2;
        let mut samples: Vec<f32> = (1..=half).rev().map(|i| sample(pcm.get(i))).collect();
        samples.extend(pcm.iter().map(|s| sample(Some(s))));
        // Beyond the last window that touches sound, every column is the floor.
        let sounding = columns.min(pcm.len().div_ceil(HOP) + half.div_ceil(HOP));
        samples.resize(samples.len().max(sounding * HOP + WINDOW), 0.0);
        let mut windows = Vec::with_capacity(sounding * WINDOW);
        for column in 0..sounding {
            windows.extend_from_slice(&samples[column * HOP..][..WINDOW]);
        }
        let squares = Tensor::from_vec(windows, (sounding, WINDOW), &Device::Cpu)?.matmul(&self.fourier)?.sqr()?;
        let power = (squares.narrow(1, 0, BINS)? + squares.narrow(1, BINS, BINS)?)?;
        let log = (power.matmul(&self.filters)?.maximum(FLOOR)?.log()? / std::f64::consts::LN_10)?;
        let faintest = f64::from(log.max_all()?.to_scalar::<f32>()?) - RANGE;
        let seen = scaled(&log.maximum(faintest)?)?.t()?;
        let silence = scaled(&Tensor::full(faintest.max(FLOOR.log10()) as f32, (), &Device::Cpu)?)?;
        let silence = silence.broadcast_as((self.bands, columns - sounding))?;
        Tensor::cat(&[seen, silence], 1)?.unsqueeze(0)?.contiguous()
    }
}

fn sample(pcm: Option<&i16>) -> f32 {
    pcm.map_or(0.0, |s| f32::from(*s) / 32_768.0)
}

fn scaled(log: &Tensor) -> Result<Tensor> {
    (log + 4.0)? / 4.0
}

fn fourier() -> Vec<f32> {
    let mut matrix = Vec::with_capacity(WINDOW * 2 * BINS);
    for i in 0..WINDOW {
        let hann = (PI * i as f64 / WINDOW as f64).sin().powi(2);
        let angle = |bin: usize| TAU * ((i * bin) % WINDOW) as f64 / WINDOW as f64;
        matrix.extend((0..BINS).map(|bin| (hann * angle(bin).cos()) as f32));
        matrix.extend((0..BINS).map(|bin| (hann * angle(bin).sin()) as f32));
    }
    matrix
}

/// Triangles between neighbouring mels, each of the area 1 (Slaney, Auditory Toolbox, 1998), `[bands, BINS]`.
fn filters(bands: usize) -> Vec<f32> {
    let top = mel_of(f64::from(RATE_HZ) / 2.0);
    let edges: Vec<f64> = (0..bands + 2).map(|i| hertz_of(top * i as f64 / (bands + 1) as f64)).collect();
    let hertz = |bin: usize| f64::from(RATE_HZ) * bin as f64 / WINDOW as f64;
    let mut filters = Vec::with_capacity(bands * BINS);
    for edge in edges.windows(3) {
        let [low, middle, high] = [edge[0], edge[1], edge[2]];
        filters.extend((0..BINS).map(|bin| {
            let (rising, falling) = ((hertz(bin) - low) / (middle - low), (high - hertz(bin)) / (high - middle));
            (rising.min(falling).max(0.0) * 2.0 / (high - low)) as f32
        }));
    }
    filters
}

/// Slaney's scale: straight up to 1 kHz, logarithmic above.
const STRAIGHT_HZ: f64 = 1000.0;
const HZ_PER_MEL: f64 = 200.0 / 3.0;
const STRAIGHT_MELS: f64 = STRAIGHT_HZ / HZ_PER_MEL;

fn log_step() -> f64 {
    6.4_f64.ln() / 27.0
}

fn mel_of(hertz: f64) -> f64 {
    if hertz < STRAIGHT_HZ { hertz / HZ_PER_MEL } else { STRAIGHT_MELS + (hertz / STRAIGHT_HZ).ln() / log_step() }
}

fn hertz_of(mel: f64) -> f64 {
    if mel < STRAIGHT_MELS { mel * HZ_PER_MEL } else { STRAIGHT_HZ * ((mel - STRAIGHT_MELS) * log_step()).exp() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_brightest_in_its_own_band_and_silence_is_even() {
        let mel = Mel::new(80).unwrap();
        let silence: Vec<f32> = mel.columns(&[], 10).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        assert_eq!((silence.len(), silence[0]), (800, -1.5), "as OpenAI's own");
        assert!(silence.iter().all(|level| *level == silence[0]));
        #[track_caller]
        fn check(mel: &Mel, hertz: f64, band: usize) {
            let tone = |i: u32| (f64::from(i) * hertz * TAU / 16_000.0).sin() * 10_000.0;
            let pcm: Vec<i16> = (0..16_000).map(|i| tone(i) as i16).collect();
            let columns = mel.columns(&pcm, 200).unwrap();
            let column: Vec<f32> =
                columns.get(0).unwrap().narrow(1, 50, 1).unwrap().flatten_all().unwrap().to_vec1().unwrap();
            let brightest = (0..80).max_by(|a, b| column[*a].total_cmp(&column[*b]));
            assert_eq!(brightest, Some(band), "{hertz} Hz");
            // Behind the sound there is silence, as faint as anything is shown.
            let after: Vec<f32> =
                columns.get(0).unwrap().narrow(1, 150, 1).unwrap().flatten_all().unwrap().to_vec1().unwrap();
            assert!(after.iter().all(|level| (level - (column[band] - 2.0)).abs() < 0.1), "{hertz} Hz");
        }
        // The middles of bands on Slaney's scale.
        check(&mel, hertz_of(mel_of(8_000.0) * 11.0 / 81.0), 10);
        check(&mel, hertz_of(mel_of(8_000.0) * 31.0 / 81.0), 30);
        check(&mel, hertz_of(mel_of(8_000.0) * 71.0 / 81.0), 70);
        assert!((mel_of(8_000.0) - 45.245_64).abs() < 1e-4, "as librosa's");
    }
}
