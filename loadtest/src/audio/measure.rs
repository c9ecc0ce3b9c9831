//! What was heard, in figures: how late, how like the original, how much of the beginning is missing, which tones.

use std::f64::consts::TAU;
use std::time::Duration;

use super::fourier::cross_correlation;
use super::sound::{BEEP, BEEP_PAUSE, beep_hz, samples_of};
use super::{FRAME, RATE};

/// Below this root mean square a 20 ms frame counts as silent (full scale is 32,768).
const SILENT_RMS: f64 = 60.0;
/// A frame of the reference counts as heard when it is at least this like what arrived at its place.
const FRAME_HEARD_SCORE: f64 = 0.35;
/// A beep counts as heard when its pitch holds this share of the energy in some 20 ms.
const BEEP_SHARE: f32 = 0.5;

/// Where a reference was found in what was heard.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Match {
    /// Samples from the start of `heard` to the start of the reference; negative when its beginning is cut off.
    pub lag_samples: i64,
    /// The same in milliseconds.
    pub lag_ms: f32,
    /// Normalised correlation over the overlap: 1 = the same wave, around 0 = nothing in common. Speech through Opus
    /// at 20 kb/s scores about 0.8 to 0.95, a pure tone more.
    pub score: f32,
}

/// Finds the reference in what was heard. An empty input, or silence, scores 0.
pub fn correlate(reference: &[i16], heard: &[i16]) -> Match {
    let a: Vec<f64> = reference.iter().map(|s| f64::from(*s)).collect();
    let b: Vec<f64> = heard.iter().map(|s| f64::from(*s)).collect();
    let products = cross_correlation(&a, &b);
    let sums_a = running_energy(&a);
    let sums_b = running_energy(&b);
    let total_a = sums_a.last().copied().unwrap_or(0.0);
    let none = Match { lag_samples: 0, lag_ms: 0.0, score: 0.0 };
    if total_a <= 0.0 {
        return none;
    }
    let mut best = none;
    for (index, product) in products.iter().enumerate() {
        let lag = index as i64 - (a.len() as i64 - 1);
        let from_a = (-lag).max(0) as usize;
        let from_b = lag.max(0) as usize;
        let overlap = (a.len() - from_a).min(b.len() - from_b);
        let energy_a = sums_a[from_a + overlap] - sums_a[from_a];
        let energy_b = sums_b[from_b + overlap] - sums_b[from_b];
        // A sliver of overlap can match by chance: at least a fifth of the reference's energy must take part.
        if energy_a < total_a / 5.0 || energy_b <= 1.0 {
            continue;
        }
        let score = (product / (energy_a * energy_b).sqrt()) as f32;
        // Among equal scores prefer the one that explains more of the reference.
        let weighted = score * (energy_a / total_a).sqrt() as f32;
        if weighted > best.score {
            best = Match { lag_samples: lag, lag_ms: lag as f32 * 1_000.0 / RATE as f32, score: weighted };
        }
    }
    best
}

/// How many milliseconds of the beginning of the reference were not heard: 0 when every word is there, `None` when
/// the reference was not heard at all. The resolution is one 20 ms frame.
pub fn clipped_ms(reference: &[i16], heard: &[i16]) -> Option<f32> {
    let found = correlate(reference, heard);
    if found.score < 0.3 {
        return None;
    }
    let first_audible =
        (0..reference.len() / FRAME).find(|n| rms(&reference[n * FRAME..(n + 1) * FRAME]) > SILENT_RMS)?;
    let first_heard = (first_audible..reference.len() / FRAME).find(|n| {
        let original = &reference[n * FRAME..(n + 1) * FRAME];
        let start = (n * FRAME) as i64 + found.lag_samples;
        if rms(original) <= SILENT_RMS || start < 0 || start as usize + FRAME > heard.len() {
            return false;
        }
        let arrived = &heard[start as usize..start as usize + FRAME];
        likeness(original, arrived) > FRAME_HEARD_SCORE && rms(arrived) > rms(original) / 8.0
    })?;
    Some((first_heard - first_audible) as f32 * 20.0)
}

/// Which beeps of [`super::sound::Sound::beeps`]`(count)` are in the audio.
pub fn beeps_heard(pcm: &[i16], count: usize) -> Vec<usize> {
    (0..count)
        .filter(|k| {
            pcm.chunks_exact(FRAME).any(|frame| rms(frame) > SILENT_RMS && tone_share(frame, beep_hz(*k)) > BEEP_SHARE)
        })
        .collect()
}

/// How long [`super::sound::Sound::beeps`]`(count)` is.
pub fn beeps_length(count: usize) -> Duration {
    (BEEP + BEEP_PAUSE) * count as u32
}

/// The share of the energy (0 to 1) that sits at `hz`, by Goertzel's method. About 1 for a pure tone.
pub fn tone_share(pcm: &[i16], hz: f32) -> f32 {
    let energy: f64 = pcm.iter().map(|s| f64::from(*s).powi(2)).sum();
    if energy < 1.0 {
        return 0.0;
    }
    (tone_power(pcm, hz) * 2.0 / (energy * pcm.len() as f64)).min(1.0) as f32
}

/// The squared magnitude of the spectrum at `hz` (Goertzel).
pub fn tone_power(pcm: &[i16], hz: f32) -> f64 {
    let factor = 2.0 * (TAU * f64::from(hz) / f64::from(RATE)).cos();
    let (mut before, mut last) = (0.0, 0.0);
    for sample in pcm {
        let next = f64::from(*sample) + factor * last - before;
        before = last;
        last = next;
    }
    last * last + before * before - factor * last * before
}

/// A silent stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// From the start of the audio.
    pub at: Duration,
    /// How long it is.
    pub length: Duration,
}

/// Silent stretches of at least `shortest`, in steps of 20 ms.
pub fn gaps(pcm: &[i16], shortest: Duration) -> Vec<Gap> {
    let mut found = Vec::new();
    let mut start = None;
    let frames = pcm.len() / FRAME;
    for n in 0..=frames {
        let silent = n < frames && rms(&pcm[n * FRAME..(n + 1) * FRAME]) <= SILENT_RMS;
        match (silent, start) {
            (true, None) => start = Some(n),
            (false, Some(from)) => {
                let gap = Gap { at: frame_time(from), length: frame_time(n - from) };
                if gap.length >= shortest {
                    found.push(gap);
                }
                start = None;
            }
            _ => {}
        }
    }
    found
}

/// Root mean square of samples, full scale 32,768.
pub fn rms(pcm: &[i16]) -> f64 {
    if pcm.is_empty() {
        return 0.0;
    }
    (pcm.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / pcm.len() as f64).sqrt()
}

/// Cuts a stretch out of audio, for tests that look at a part of a call.
pub fn slice(pcm: &[i16], from: Duration, length: Duration) -> &[i16] {
    let start = samples_of(from).min(pcm.len());
    &pcm[start..(start + samples_of(length)).min(pcm.len())]
}

fn frame_time(frames: usize) -> Duration {
    Duration::from_millis(20 * frames as u64)
}

fn running_energy(samples: &[f64]) -> Vec<f64> {
    let mut sum = 0.0;
    std::iter::once(0.0)
        .chain(samples.iter().map(|s| {
            sum += s * s;
            sum
        }))
        .collect()
}

/// Correlation of two equally long stretches, allowing a shift of 3 ms for the codec's group delay.
fn likeness(a: &[i16], b: &[i16]) -> f64 {
    let reach = RATE as i64 * 3 / 1_000;
    (-reach..=reach)
        .map(|shift| {
            let pairs = (0..a.len() as i64)
                .filter_map(|n| Some((*a.get(n as usize)?, *b.get(usize::try_from(n + shift).ok()?)?)));
            let (mut product, mut left, mut right) = (0.0, 0.0, 0.0);
            for (x, y) in pairs {
                let (x, y) = (f64::from(x), f64::from(y));
                product += x * y;
                left += x * x;
                right += y * y;
            }
            if left * right <= 0.0 { 0.0 } else { product / (left * right).sqrt() }
        })
        .fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::super::sound::Sound;
    use super::*;

    #[test]
    fn a_late_copy_is_found_with_its_lag() {
        let speech = Sound::caller();
        let mut heard = vec![0; 4_000];
        heard.extend_from_slice(speech.pcm());
        let found = correlate(speech.pcm(), &heard);
        assert_eq!(found.lag_samples, 4_000);
        assert!(found.score > 0.999, "{found:?}");
        assert_eq!(clipped_ms(speech.pcm(), &heard), Some(0.0));
    }

    #[test]
    fn a_cut_beginning_is_measured() {
        let speech = Sound::beeps(10);
        let heard = &speech.pcm()[FRAME * 12..];
        let clipped = clipped_ms(speech.pcm(), heard).expect("the rest is there");
        assert!((200.0..=280.0).contains(&clipped), "{clipped}");
        assert_eq!(beeps_heard(heard, 10), (1..10).collect::<Vec<_>>());
    }

    #[test]
    fn another_sound_is_not_taken_for_the_reference() {
        let found = correlate(Sound::caller().pcm(), Sound::tone(440.0, Duration::from_secs(3)).pcm());
        assert!(found.score < 0.3, "{found:?}");
        assert_eq!(clipped_ms(Sound::caller().pcm(), &[0; 32_000]), None);
    }

    #[test]
    fn tones_and_gaps_are_told_apart() {
        let audio = Sound::tone(440.0, Duration::from_millis(400))
            .then(&Sound::silence(Duration::from_millis(300)))
            .then(&Sound::tone(1_000.0, Duration::from_millis(300)));
        let first = slice(audio.pcm(), Duration::ZERO, Duration::from_millis(400));
        assert!(tone_share(first, 440.0) > 0.9 && tone_share(first, 1_000.0) < 0.05);
        let found = gaps(audio.pcm(), Duration::from_millis(100));
        assert_eq!(found, [Gap { at: Duration::from_millis(400), length: Duration::from_millis(300) }]);
    }
}
