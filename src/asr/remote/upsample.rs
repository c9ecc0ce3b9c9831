//! From 16 to 24 kHz, the rate OpenAI wants: three samples for two. Pure.
//!
//! Between 16 kHz samples two zeros are thought (48 kHz), a low-pass takes away what mirrors above 8 kHz, and every second
//! sample is kept; only the products that are not zero are computed.

use std::f32::consts::PI;
use std::sync::LazyLock;

/// Taps each output sample is made of, at 16 kHz. 64 leave what is below 6.8 kHz untouched and put mirrors 50 dB down.
const TAPS: usize = 64;

/// Of the sampling rate at 48 kHz: 7.6 kHz, so that the filter has come down where mirrors begin.
const CUT_OFF: f32 = 7.6 / 48.0;

/// For each of the three places between two samples, the taps' weights.
static WEIGHTS: LazyLock<[[f32; TAPS]; 3]> = LazyLock::new(weights);

/// A whole stretch. Its length is exactly one half more, rounded up.
pub(super) fn upsample(pcm: &[i16]) -> Vec<i16> {
    // Silence around it, so that every place has all its taps.
    let mut around = vec![0.0; TAPS / 2 - 1];
    around.extend(pcm.iter().map(|sample| f32::from(*sample)));
    around.resize(around.len() + TAPS / 2 + 1, 0.0);
    (0..(pcm.len() * 3).div_ceil(2)).map(|i| at(&around, i * 2)).collect()
}

/// The sample at this place at 48 kHz.
fn at(around: &[f32], place: usize) -> i16 {
    let taps = &around[place / 3..place / 3 + TAPS];
    let sum: f32 = taps.iter().zip(&WEIGHTS[place % 3]).map(|(sample, weight)| sample * weight).sum();
    // The cast keeps what is too loud at the loudest.
    sum.round() as i16
}

fn weights() -> [[f32; TAPS]; 3] {
    let half = (TAPS * 3 / 2) as f32;
    let weight = |distance: f32| {
        let x = 2.0 * CUT_OFF * distance;
        let sinc = if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) };
        let turn = PI * (distance / half).clamp(-1.0, 1.0);
        // Blackman's window.
        sinc * (0.42 + 0.5 * turn.cos() + 0.08 * (2.0 * turn).cos())
    };
    let mut weights = [[0.0; TAPS]; 3];
    for (phase, taps) in weights.iter_mut().enumerate() {
        for (tap, value) in taps.iter_mut().enumerate() {
            // Sample `tap` lies so far from the place, in 48 kHz samples.
            let distance = (tap as f32 - (TAPS / 2 - 1) as f32) * 3.0 - phase as f32;
            *value = weight(distance);
        }
        let sum: f32 = taps.iter().sum();
        taps.iter_mut().for_each(|value| *value /= sum);
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f32, rate: f32, samples: usize) -> Vec<i16> {
        (0..samples).map(|i| ((2.0 * PI * hz * i as f32 / rate).sin() * 10_000.0) as i16).collect()
    }

    /// How strong a frequency is, 1 = a full tone of 10,000.
    fn strength(pcm: &[i16], hz: f32, rate: f32) -> f32 {
        let (mut re, mut im) = (0.0, 0.0);
        for (i, sample) in pcm.iter().enumerate() {
            let turn = 2.0 * PI * hz * i as f32 / rate;
            re += f32::from(*sample) * turn.cos();
            im += f32::from(*sample) * turn.sin();
        }
        re.hypot(im) * 2.0 / pcm.len() as f32 / 10_000.0
    }

    #[test]
    fn tones_keep_their_pitch_and_strength_and_get_no_mirror() {
        for hz in [100.0, 1_000.0, 3_400.0, 6_000.0, 6_800.0] {
            let up = upsample(&tone(hz, 16_000.0, 16_000));
            assert_eq!(up.len(), 24_000);
            let (kept, mirror) = (strength(&up, hz, 24_000.0), strength(&up, 16_000.0 - hz, 24_000.0));
            assert!((0.95..1.02).contains(&kept), "{hz} Hz: {kept}");
            assert!(mirror < 0.004, "{hz} Hz: {mirror}");
        }
    }

    #[test]
    fn the_same_sound_lies_at_the_same_time() {
        let up = upsample(&tone(440.0, 16_000.0, 8_000));
        let want = tone(440.0, 24_000.0, 12_000);
        for i in 100..11_900 {
            assert!((i32::from(up[i]) - i32::from(want[i])).abs() < 60, "{i}: {} {}", up[i], want[i]);
        }
    }

    #[test]
    fn short_and_loud_sound_does_no_harm() {
        assert!(upsample(&[]).is_empty());
        assert_eq!(upsample(&[5]).len(), 2);
        let loud: Vec<i16> = (0..100).map(|i| if i % 8 < 4 { i16::MAX } else { i16::MIN }).collect();
        assert!(upsample(&loud).contains(&i16::MAX));
    }
}
