//! A small radix-2 Fourier transform: correlation of seconds of audio would take minutes without it.

use std::f64::consts::TAU;

#[derive(Clone, Copy, Default)]
struct Complex {
    re: f64,
    im: f64,
}

impl Complex {
    fn times(self, other: Self) -> Self {
        Self { re: self.re * other.re - self.im * other.im, im: self.re * other.im + self.im * other.re }
    }
}

/// `result[k] = Σ a[n]·b[n + k - (a.len() - 1)]`, for every shift at which the two overlap:
/// index `a.len() - 1` is "no shift", higher indexes mean that `b` is later.
pub(super) fn cross_correlation(a: &[f64], b: &[f64]) -> Vec<f64> {
    if a.is_empty() || b.is_empty() {
        return Vec::new();
    }
    let length = a.len() + b.len() - 1;
    let size = length.next_power_of_two();
    let mut first = vec![Complex::default(); size];
    let mut second = vec![Complex::default(); size];
    for (slot, sample) in first.iter_mut().zip(a.iter().rev()) {
        slot.re = *sample;
    }
    for (slot, sample) in second.iter_mut().zip(b) {
        slot.re = *sample;
    }
    transform(&mut first, -1.0);
    transform(&mut second, -1.0);
    for (x, y) in first.iter_mut().zip(&second) {
        *x = x.times(*y);
    }
    transform(&mut first, 1.0);
    first[..length].iter().map(|x| x.re / size as f64).collect()
}

/// In place; the length must be a power of two.
fn transform(values: &mut [Complex], direction: f64) {
    let size = values.len();
    let bits = size.trailing_zeros();
    if bits == 0 {
        return;
    }
    for n in 0..size {
        let mirrored = n.reverse_bits() >> (usize::BITS - bits);
        if n < mirrored {
            values.swap(n, mirrored);
        }
    }
    let twiddles: Vec<Complex> = (0..size / 2)
        .map(|n| {
            let angle = direction * TAU * n as f64 / size as f64;
            Complex { re: angle.cos(), im: angle.sin() }
        })
        .collect();
    let mut half = 1;
    while half < size {
        let stride = size / (2 * half);
        for block in (0..size).step_by(2 * half) {
            for n in 0..half {
                let odd = values[block + n + half].times(twiddles[n * stride]);
                let even = values[block + n];
                values[block + n] = Complex { re: even.re + odd.re, im: even.im + odd.im };
                values[block + n + half] = Complex { re: even.re - odd.re, im: even.im - odd.im };
            }
        }
        half *= 2;
    }
}
