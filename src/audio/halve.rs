//! 16 kHz to 8 kHz, without the upper half folding into the lower.

/// Half of the filter's length; 63 taps fall from 3.4 to 4.6 kHz and by 60 dB.
const HALF: usize = 31;
const TAPS: usize = 2 * HALF + 1;

/// Kaiser's window for 60 dB (Oppenheim and Schafer, section 7.5.3): 0.1102 (60 - 8.7).
const BETA: f64 = 5.65;

/// One line's filter and what it remembers. It delays by 2 ms.
#[derive(Clone, Debug)]
pub struct Halver {
    taps: [f32; TAPS],
    past: [f32; TAPS],
    next: usize,
    /// The sample before was left out.
    odd: bool,
}

impl Default for Halver {
    fn default() -> Self {
        let mut taps = [0.0; TAPS];
        for (i, tap) in taps.iter_mut().enumerate() {
            let x = i as f64 - HALF as f64;
            // A low pass at a quarter of the rate: every second tap but the middle one is 0.
            let sinc =
                if x == 0.0 { 0.5 } else { (x * std::f64::consts::FRAC_PI_2).sin() / (x * std::f64::consts::PI) };
            let edge = x / HALF as f64;
            *tap = (sinc * bessel(BETA * (1.0 - edge * edge).max(0.0).sqrt()) / bessel(BETA)) as f32;
        }
        Self { taps, past: [0.0; TAPS], next: 0, odd: false }
    }
}

impl Halver {
    /// Appends every second sample of the filtered line to `out`.
    pub fn push(&mut self, samples: impl IntoIterator<Item = i16>, out: &mut Vec<i16>) {
        for sample in samples {
            self.past[self.next] = f32::from(sample);
            self.next = (self.next + 1) % TAPS;
            self.odd = !self.odd;
            if self.odd {
                let (newer, older) = self.past.split_at(self.next);
                let line = older.iter().chain(newer);
                let sum: f32 = line.zip(&self.taps).map(|(sample, tap)| sample * tap).sum();
                out.push(sum.round().clamp(f32::from(i16::MIN), f32::from(i16::MAX)) as i16);
            }
        }
    }
}

/// The modified Bessel function of order 0, by its series.
fn bessel(x: f64) -> f64 {
    let mut term = 1.0;
    (1..30).fold(1.0, |sum, k| {
        term *= (x / 2.0 / f64::from(k)).powi(2);
        sum + term
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How loud a tone comes out, in dB of how loud it goes in.
    fn gain(hz: f64) -> f64 {
        let tone =
            (0..16_000).map(|i| ((f64::from(i) / 16_000.0 * hz * std::f64::consts::TAU).sin() * 20_000.0) as i16);
        let mut out = Vec::new();
        Halver::default().push(tone, &mut out);
        assert_eq!(out.len(), 8_000);
        let power: f64 = out[100..].iter().map(|&s| f64::from(s).powi(2)).sum::<f64>() / 7_900.0;
        10.0 * (power / (20_000.0_f64.powi(2) / 2.0)).log10()
    }

    #[test]
    fn telephone_speech_passes_and_what_would_fold_into_it_does_not() {
        for hz in [50.0, 300.0, 1_000.0, 2_500.0, 3_400.0] {
            assert!(gain(hz).abs() < 0.1, "{hz} Hz: {:.2} dB", gain(hz));
        }
        for hz in [4_600.0, 5_000.0, 6_000.0, 7_000.0, 7_900.0] {
            assert!(gain(hz) < -55.0, "{hz} Hz: {:.1} dB", gain(hz));
        }
    }

    #[test]
    fn the_line_is_the_same_in_whatever_pieces_it_comes() {
        let line: Vec<i16> = (0..1_000).map(|i: i32| (i * i % 9_001 - 4_500) as i16).collect();
        let mut whole = Vec::new();
        Halver::default().push(line.iter().copied(), &mut whole);
        let (mut halver, mut pieces) = (Halver::default(), Vec::new());
        for piece in line.chunks(33) {
            halver.push(piece.iter().copied(), &mut pieces);
        }
        assert_eq!(whole, pieces);
    }
}
