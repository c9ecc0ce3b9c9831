//! What an Opus packet says about itself without being decoded: its length, and for speech modes whether there is a
//! voice in it and whether it carries redundancy (RFC 6716 sections 3.1 and 4.2.3).

/// No Opus packet is longer than 120 ms (RFC 6716 section 3.2.5, rule R5).
const TICKS_MAX: u32 = 5_760;

/// Length of the packet in RTP ticks (48 kHz), `None` if it is no Opus packet.
pub fn duration_ticks(payload: &[u8]) -> Option<u32> {
    let toc = *payload.first()?;
    let ticks = frame_ticks(toc) * frame_count(payload)?;
    (ticks > 0 && ticks <= TICKS_MAX).then_some(ticks)
}

/// Whether the encoder heard a voice. `None` where the bits do not tell: music mode (CELT), or no Opus packet.
pub fn voiced(payload: &[u8]) -> Option<bool> {
    if is_celt(*payload.first()?) {
        // Three bytes hold no audible CELT frame; longer ones say nothing about voice.
        return is_dtx(payload).then_some(false);
    }
    any_frame(payload, |frame| frame.voiced)
}

/// Whether the packet carries the previous frame again (LBRR, "in-band FEC"). `None` as for [`voiced`].
pub fn has_fec(payload: &[u8]) -> Option<bool> {
    if is_celt(*payload.first()?) {
        return None;
    }
    any_frame(payload, |frame| frame.redundant)
}

/// A packet this short says only "nothing to hear": the sender stopped transmitting (DTX, RFC 6716 section 2.1.9).
pub fn is_dtx(payload: &[u8]) -> bool {
    payload.len() <= 3
}

/// Configurations 16 to 31 have no SILK layer.
fn is_celt(toc: u8) -> bool {
    toc & 0x80 != 0
}

/// Length of one of the packet's frames, in RTP ticks.
pub(super) fn frame_ticks(toc: u8) -> u32 {
    let config = toc >> 3;
    match config {
        0..=11 => [480, 960, 1920, 2880][usize::from(config & 3)],
        12..=15 => [480, 960][usize::from(config & 1)],
        _ => [120, 240, 480, 960][usize::from(config & 3)],
    }
}

fn frame_count(payload: &[u8]) -> Option<u32> {
    match payload.first()? & 3 {
        0 => Some(1),
        1 | 2 => Some(2),
        _ => Some(u32::from(payload.get(1)? & 0x3f)),
    }
}

/// The flags at the head of one SILK frame.
struct SilkFlags {
    voiced: bool,
    redundant: bool,
}

impl SilkFlags {
    /// One voice bit per SILK frame of 20 ms, then one redundancy bit; in stereo the same again for the side channel.
    /// An empty frame is a pause of the encoder.
    fn read(toc: u8, frame: &[u8]) -> Self {
        let Some(&bits) = frame.first() else { return Self { voiced: false, redundant: false } };
        let silk_frames = (frame_ticks(toc) / 960).max(1);
        let channels = if toc & 4 != 0 { 2 } else { 1 };
        let mut flags = Self { voiced: false, redundant: false };
        let mut bit: i32 = 7;
        for _ in 0..channels {
            for _ in 0..silk_frames {
                flags.voiced |= bits >> bit & 1 == 1;
                bit -= 1;
            }
            flags.redundant |= bits >> bit & 1 == 1;
            bit -= 1;
        }
        flags
    }
}

fn any_frame(payload: &[u8], wanted: impl Fn(SilkFlags) -> bool) -> Option<bool> {
    duration_ticks(payload)?;
    let toc = *payload.first()?;
    let mut found = false;
    each_frame(payload, |frame| found |= wanted(SilkFlags::read(toc, frame)))?;
    Some(found)
}

/// Visits the compressed frames (RFC 6716 section 3.2), `None` if the packet contradicts itself.
pub(super) fn each_frame<'a>(payload: &'a [u8], mut visit: impl FnMut(&'a [u8])) -> Option<()> {
    let (&toc, rest) = payload.split_first()?;
    match toc & 3 {
        0 => visit(rest),
        1 => {
            if rest.len() % 2 != 0 {
                return None;
            }
            let (first, second) = rest.split_at(rest.len() / 2);
            visit(first);
            visit(second);
        }
        2 => {
            let (len, rest) = frame_len(rest)?;
            visit(rest.get(..len)?);
            visit(&rest[len..]);
        }
        _ => many_frames(rest, visit)?,
    }
    Some(())
}

/// Code 3: a count byte, padding, and either equal frames or a length before each but the last.
fn many_frames<'a>(rest: &'a [u8], mut visit: impl FnMut(&'a [u8])) -> Option<()> {
    let (&head, mut rest) = rest.split_first()?;
    let count = usize::from(head & 0x3f);
    if count == 0 {
        return None;
    }
    if head & 0x40 != 0 {
        let mut padding = 0;
        loop {
            let (&byte, after) = rest.split_first()?;
            rest = after;
            // 255 means 254 bytes of padding and another length byte.
            padding += usize::from(byte.min(254));
            if byte != 255 {
                break;
            }
        }
        rest = rest.get(..rest.len().checked_sub(padding)?)?;
    }
    if head & 0x80 == 0 {
        if !rest.len().is_multiple_of(count) {
            return None;
        }
        let len = rest.len() / count;
        for i in 0..count {
            visit(&rest[i * len..(i + 1) * len]);
        }
        return Some(());
    }
    let mut lengths = rest;
    let mut frames = rest;
    for _ in 1..count {
        frames = frame_len(frames)?.1;
    }
    for _ in 1..count {
        let (len, after) = frame_len(lengths)?;
        lengths = after;
        visit(frames.get(..len)?);
        frames = &frames[len..];
    }
    visit(frames);
    Some(())
}

/// A frame length of one or two bytes (RFC 6716 section 3.2.1).
fn frame_len(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    if first < 252 {
        return Some((usize::from(first), rest));
    }
    let (&second, rest) = rest.split_first()?;
    Some((usize::from(second) * 4 + usize::from(first), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_tells_the_length() {
        #[track_caller]
        fn check(payload: &[u8], ticks: Option<u32>) {
            assert_eq!(duration_ticks(payload), ticks, "{payload:02x?}");
        }
        check(&[], None);
        check(&[9 << 3, 1, 2], Some(960)); // SILK wide-band 20 ms, as WhatsApp sends it
        check(&[8 << 3], Some(480));
        check(&[11 << 3], Some(2880));
        check(&[13 << 3], Some(960)); // hybrid
        check(&[16 << 3], Some(120)); // CELT 2.5 ms
        check(&[0xf8, 0xff, 0xfe], Some(960)); // browser silence
        check(&[9 << 3 | 1, 0, 0], Some(1920));
        check(&[9 << 3 | 3, 3], Some(2880));
        check(&[9 << 3 | 3], None);
        check(&[9 << 3 | 3, 0], None);
        check(&[9 << 3 | 3, 7], None); // 140 ms
        check(&[11 << 3 | 3, 2], Some(5760));
    }

    #[test]
    fn voice_and_redundancy_are_read_from_every_frame_of_a_packet() {
        #[track_caller]
        fn check(payload: &[u8], voice: Option<bool>, fec: Option<bool>) {
            assert_eq!((voiced(payload), has_fec(payload)), (voice, fec), "{payload:02x?}");
        }
        let toc = 9 << 3;
        check(&[], None, None);
        check(&[toc], Some(false), Some(false));
        check(&[toc, 0x80], Some(true), Some(false));
        check(&[toc, 0x40], Some(false), Some(true));
        check(&[toc | 4, 0x20], Some(true), Some(false)); // stereo: the side channel's bits
        check(&[toc | 4, 0x10], Some(false), Some(true));
        check(&[11 << 3, 0x20], Some(true), Some(false)); // 60 ms: the third frame
        check(&[11 << 3 | 4, 0x01], Some(false), Some(true));
        check(&[toc | 1, 0x00, 0xc0], Some(true), Some(true)); // the second of two equal frames
        check(&[toc | 1, 0x00], None, None);
        check(&[toc | 2, 1, 0x00, 0x80, 9], Some(true), Some(false));
        check(&[toc | 2, 200, 0x00], None, None);
        check(&[toc | 3, 0x02, 0x00, 0x80], Some(true), Some(false));
        check(&[toc | 3, 0x42, 2, 0x00, 0x00, 0xc0, 0xc0], Some(false), Some(false)); // padding is no frame
        check(&[toc | 3, 0x83, 1, 1, 0x00, 0x40, 0x00], Some(false), Some(true));
        check(&[toc | 3, 0x43, 255], None, None);
        check(&[0xf8, 0xff, 0xfe], Some(false), None);
        check(&[toc, 0xc0], Some(true), Some(true)); // both bits of one frame, and of neither those behind them
        check(&[toc, 0x3f], Some(false), Some(false));
        check(&[10 << 3, 0x60], Some(true), Some(true)); // 40 ms: the second frame
        check(&[13 << 3, 0x80], Some(true), Some(false)); // hybrid
        check(&[20 << 3, 0xff, 0xff, 0xff], None, None); // music
        check(&[0xf8, 0xff, 0xfe, 0xff], None, None);
    }

    #[test]
    fn no_bytes_confuse_it() {
        let mut seed = 1_u64;
        for _ in 0..200_000 {
            let mut packet = [0_u8; 12];
            for byte in &mut packet {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                *byte = (seed >> 56) as u8;
            }
            let packet = &packet[..(seed >> 40) as usize % 13];
            assert_eq!(
                duration_ticks(packet).is_some(),
                ::opus::packet::get_nb_samples(packet, 48_000).is_ok_and(|n| n > 0),
                "{packet:02x?}"
            );
            if voiced(packet).is_some() && packet[0] & 0x80 == 0 {
                assert!(::opus::packet::parse(packet).is_ok(), "{packet:02x?}");
            }
        }
    }

    /// Of two seconds: packets flagged as voice, packets flagged as redundant.
    fn flagged(loudness: f64, fec: bool) -> (u32, u32) {
        let mut encoder = ::opus::Encoder::new(16_000, ::opus::Channels::Mono, ::opus::Application::Voip).unwrap();
        encoder.set_bitrate(::opus::Bitrate::Bits(20_000)).unwrap();
        encoder.set_inband_fec(fec).unwrap();
        encoder.set_packet_loss_perc(15).unwrap();
        let (mut voice, mut redundant) = (0, 0);
        for frame in 0..100 {
            // A buzz of many harmonics that swells and fades as syllables do.
            let pcm: Vec<i16> = (0..320)
                .map(|i| {
                    let t = f64::from(frame * 320 + i) / 16_000.0;
                    let harmonic = |h: i32| (t * 140.0 * f64::from(h) * std::f64::consts::TAU).sin() / f64::from(h);
                    let syllable = (t * 4.0 * std::f64::consts::PI).sin().abs();
                    ((1..12).map(harmonic).sum::<f64>() * loudness * syllable) as i16
                })
                .collect();
            let packet = encoder.encode_vec(&pcm, 400).unwrap();
            voice += u32::from(voiced(&packet) == Some(true));
            redundant += u32::from(has_fec(&packet) == Some(true));
        }
        (voice, redundant)
    }

    #[test]
    fn a_real_encoder_flags_its_speech_and_its_redundancy() {
        let (voice, redundant) = flagged(6_000.0, true);
        assert!(voice > 80 && redundant > 70, "{voice} {redundant}");
        let (voice, redundant) = flagged(6_000.0, false);
        assert!(voice > 80 && redundant == 0, "{voice} {redundant}");
        let (voice, _) = flagged(2.0, true);
        assert!(voice < 10, "{voice}");
    }
}
