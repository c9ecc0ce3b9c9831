//! Voice told from the first bits of an Opus packet, without decoding (RFC 6716 sections 3.1 and 4.2.3).

use crate::model::rtp::FRAME_TICKS;

/// Whether the encoder heard a voice. `None` where the packet cannot tell: CELT-only frames carry no such bit.
pub(super) fn voiced(payload: &[u8]) -> Option<bool> {
    flags(payload).map(|(voice, _)| voice)
}

/// Whether the packet carries a spare copy of the frame before it (LBRR), which repairs a single loss.
pub(super) fn has_spare(payload: &[u8]) -> bool {
    flags(payload).is_some_and(|(_, spare)| spare)
}

/// RTP time the packet covers, 20 ms for what is no Opus packet at all.
pub(super) fn duration_ticks(payload: &[u8]) -> u32 {
    let Some(&toc) = payload.first() else { return FRAME_TICKS };
    let frame = match toc >> 3 {
        config @ 0..12 => [480, 960, 1920, 2880][usize::from(config & 3)],
        config @ 12..16 => [480, 960][usize::from(config & 1)],
        config => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let count = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(payload.get(1).map_or(1, |b| b & 0x3f)),
    };
    // 120 ms is the longest packet there is (RFC 6716 section 3.2.5).
    (frame * count).clamp(120, 5760)
}

/// A packet this short says only "nothing to hear": the sender stopped transmitting (DTX, RFC 6716 section 2.1.9).
pub(super) fn is_dtx(payload: &[u8]) -> bool {
    payload.len() <= 3
}

/// The voice and the spare-copy bit of the first channel. Its SILK frames' voice bits come first, then one bit for the copy.
fn flags(payload: &[u8]) -> Option<(bool, bool)> {
    let (&toc, &first) = (payload.first()?, payload.get(1)?);
    // Only code 0 packets (one frame) have the bits at a known place; 40 and 60 ms frames hold two or three voice bits.
    if toc & 3 != 0 {
        return None;
    }
    let silk_frames = match toc >> 3 {
        config @ 0..12 => [1, 1, 2, 3][usize::from(config & 3)],
        12..16 => 1,
        _ => return None,
    };
    let bits = first >> (7 - silk_frames);
    Some((bits >> 1 != 0, bits & 1 != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voice_and_spare_bits_are_read_where_the_packet_has_them() {
        for (payload, expected) in [
            (&[9 << 3, 0b1000_0000][..], Some((true, false))),
            (&[9 << 3, 0b1100_0000], Some((true, true))),
            (&[9 << 3, 0b0100_0000], Some((false, true))),
            (&[9 << 3, 0b0011_1111], Some((false, false))),
            (&[10 << 3, 0b0110_0000], Some((true, true))),
            (&[13 << 3, 0b1000_0000], Some((true, false))),
            (&[20 << 3, 0xff], None),
            (&[9 << 3 | 1, 0xff], None),
            (&[9 << 3], None),
            (&[], None),
        ] {
            assert_eq!(flags(payload), expected, "{payload:?}");
        }
    }

    #[test]
    fn a_real_encoder_marks_speechlike_sound_and_not_silence() {
        let mut encoder = opus::Encoder::new(16_000, opus::Channels::Mono, opus::Application::Voip).unwrap();
        encoder.set_bitrate(opus::Bitrate::Bits(20_000)).unwrap();
        let mut marked = |level: f32| {
            let mut room = [0; 400];
            (0..100)
                .filter(|n| {
                    let frame: Vec<f32> = (0..320)
                        .map(|i| {
                            let t = (n * 320 + i) as f32 / 16_000.0;
                            level * (1.0 + (25.0 * t).sin()) * (800.0 * t).sin()
                        })
                        .collect();
                    let len = encoder.encode_float(&frame, &mut room).unwrap();
                    assert_eq!(duration_ticks(&room[..len]), 960);
                    voiced(&room[..len]) == Some(true)
                })
                .count()
        };
        let (loud, silent) = (marked(0.2), marked(0.0));
        assert!(loud > 80 && silent < 20, "{loud} {silent}");
    }
}
