//! µ-law (ITU-T G.711): 8 bits a sample, as telephony has it at 8 kHz.

/// Added before the segment is looked for, so that each begins at a power of two.
const BIAS: i32 = 0x84;

/// Louder samples are heard as this; what remains fits the eight segments.
const CLIP: i32 = 32_635;

pub fn encode(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let magnitude = i32::from(sample).abs().min(CLIP) + BIAS;
    // The highest bit set is between 7 and 14.
    let segment = 24 - magnitude.leading_zeros() as i32;
    let step = (magnitude >> (segment + 3)) & 0x0f;
    !(sign | (segment as u8) << 4 | step as u8)
}

pub fn decode(code: u8) -> i16 {
    let code = !code;
    let segment = i32::from(code >> 4 & 7);
    let magnitude = (((i32::from(code & 0x0f) << 3) + BIAS) << segment) - BIAS;
    (if code & 0x80 != 0 { -magnitude } else { magnitude }) as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_those_of_g711() {
        for (sample, code) in [(0, 0xff), (-1, 0x7f), (i16::MAX, 0x80), (i16::MIN, 0x00), (132, 0xef), (-132, 0x6f)] {
            assert_eq!(encode(sample), code, "{sample}");
        }
        // The ends of table 2a: 8,031 in 14 bits is 32,124 in 16.
        assert_eq!((decode(0x80), decode(0x00), decode(0xff), decode(0x7f)), (32_124, -32_124, 0, 0));
    }

    #[test]
    fn every_code_means_itself_and_no_sample_strays_further_than_half_a_step() {
        for code in 0..=255 {
            // 0x7f is the other zero.
            let want = if code == 0x7f { 0xff } else { code };
            assert_eq!(encode(decode(code)), want);
        }
        for sample in (i16::MIN..=i16::MAX).step_by(7) {
            let error = (i32::from(decode(encode(sample))) - i32::from(sample)).abs();
            let bound = (i32::from(sample).abs() + BIAS) / 32 + 4;
            assert!(error <= bound.max(i32::from(sample).abs() - 32_124), "{sample}: {error}");
        }
    }
}
