//! Sound read back from a finished recording.

use std::io::{self, BufReader};
use std::path::Path;

use hound::WavReader;
use ogg::PacketReader;
use opus::MSDecoder;

use super::wav::part_path;
use super::{Format, Playback, Vault};
use crate::audio::{RATE_HZ, SLOT_SAMPLES};
use crate::model::rtp::Side;

/// `OpusHead` and `OpusTags` (RFC 7845 section 3).
const HEADERS: usize = 2;
/// A decoder that begins in the middle of speech needs a moment (RFC 7845 section 4.6: 80 ms).
const PREROLL_SLOTS: u64 = 10;

/// What one side said from `start_ms` to `end_ms` after the beginning: 16 kHz, as much of it as there is.
///
/// # Errors
/// A file that is gone, no recording of ours, or sealed with a key that the vault lacks.
pub fn read_sound(path: &Path, vault: &Vault, side: Side, start_ms: u64, end_ms: u64) -> io::Result<Vec<i16>> {
    let sample = |ms: u64| ms.saturating_mul(u64::from(RATE_HZ)) / 1000;
    let (skip, length) = (sample(start_ms), sample(end_ms).saturating_sub(sample(start_ms)));
    let channel = match side {
        Side::Customer => 0,
        Side::Agent => 1,
    };
    match Format::of(path) {
        Format::Wav => read_wav(path, vault, channel, skip, length),
        Format::Opus => read_ogg(path, vault, channel, skip, length),
    }
}

fn read_ogg(path: &Path, vault: &Vault, channel: usize, skip: u64, length: u64) -> io::Result<Vec<i16>> {
    let slot = SLOT_SAMPLES.cast_unsigned();
    let mut decoder = MSDecoder::new(RATE_HZ, 2, 0, &[0, 1]).map_err(io::Error::other)?;
    let mut packets = PacketReader::new(BufReader::new(Playback::open(path, vault)?));
    for _ in 0..HEADERS {
        packets.read_packet().map_err(invalid)?;
    }
    let first = (skip / slot).saturating_sub(PREROLL_SLOTS);
    let wanted = usize::try_from(length).unwrap_or(usize::MAX);
    // What is decoded before the place that was asked for.
    let mut ahead = usize::try_from(skip - first * slot).unwrap_or(usize::MAX);
    let (mut sound, mut pcm) = (Vec::new(), vec![0; 2 * SLOT_SAMPLES as usize]);
    for index in 0.. {
        if sound.len() >= wanted {
            break;
        }
        let Some(packet) = packets.read_packet().map_err(invalid)? else { break };
        if index < first {
            continue;
        }
        let decoded = decoder.decode(&packet.data, &mut pcm, false).map_err(invalid)?;
        let samples = pcm[..2 * decoded].iter().skip(channel).step_by(2);
        sound.extend(samples.skip(ahead));
        ahead = ahead.saturating_sub(decoded);
    }
    sound.truncate(wanted);
    Ok(sound)
}

fn read_wav(path: &Path, vault: &Vault, channel: usize, mut skip: u64, mut left: u64) -> io::Result<Vec<i16>> {
    let mut sound = Vec::new();
    for part in 1.. {
        let file = part_path(path, part);
        if left == 0 || (part > 1 && !file.exists()) {
            break;
        }
        let mut wav = WavReader::new(BufReader::new(Playback::open(&file, vault)?)).map_err(into_io)?;
        if wav.spec().channels != 2 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a recording of both sides"));
        }
        let frames = u64::from(wav.duration());
        if skip >= frames {
            skip -= frames;
            continue;
        }
        wav.seek(u32::try_from(skip).expect("less than the part's frames"))?;
        let take = left.min(frames - skip);
        let samples = wav.samples::<i16>().take(usize::try_from(take * 2).unwrap_or(usize::MAX));
        for (index, sample) in samples.enumerate() {
            if index % 2 == channel {
                sound.push(sample.map_err(into_io)?);
            }
        }
        (skip, left) = (0, left - take);
    }
    Ok(sound)
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

pub(super) fn into_io(error: hound::Error) -> io::Error {
    match error {
        hound::Error::IoError(error) => error,
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::audio::{Frame, Frames};
    use crate::model::rtp::{TapKey, TapPayload};
    use crate::model::time::Clock;
    use crate::record::ogg::Ogg;

    #[test]
    fn one_side_is_read_across_the_parts_of_a_recording_as_far_as_there_is_sound() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rec_1.wav");
        // 100 ms a part; the customer counts up, the agent down.
        let spec = hound::WavSpec {
            channels: 2,
            sample_rate: RATE_HZ,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        for part in 1..=3_i16 {
            let mut wav = hound::WavWriter::create(part_path(&path, part as u32), spec).unwrap();
            for i in 0..1_600 {
                let at = (part - 1) * 1_600 + i;
                wav.write_sample(at).unwrap();
                wav.write_sample(-at).unwrap();
            }
            wav.finalize().unwrap();
        }
        #[track_caller]
        fn check(path: &Path, side: Side, ms: (u64, u64), want: std::ops::Range<i16>) {
            let sign = if side == Side::Agent { -1 } else { 1 };
            let want: Vec<i16> = want.map(|at| at * sign).collect();
            assert_eq!(read_sound(path, &Vault::default(), side, ms.0, ms.1).unwrap(), want, "{side} {ms:?}");
        }
        check(&path, Side::Customer, (0, 1), 0..16);
        check(&path, Side::Agent, (50, 150), 800..2_400);
        check(&path, Side::Customer, (99, 201), 1_584..3_216);
        check(&path, Side::Agent, (200, 9_000), 3_200..4_800);
        check(&path, Side::Agent, (300, 400), 0..0);
        check(&path, Side::Agent, (400, 300), 0..0);
        assert!(read_sound(&dir.path().join("gone.wav"), &Vault::default(), Side::Agent, 0, 1).is_err());
    }

    #[test]
    fn encoded_sound_is_read_back_where_it_was_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rec_1.opus");
        // Each side sounds in one of four quarters of a second: the customer in the second, the agent in the third.
        let mut encoder = opus::Encoder::new(RATE_HZ, opus::Channels::Mono, opus::Application::Voip).unwrap();
        let tone: Vec<i16> = (0..320).map(|i| ((i as f32 * 0.2).sin() * 9_000.0) as i16).collect();
        let mut frame = |sounds: bool| match sounds {
            true => Frame::Opus(TapPayload::new(&Arc::from(encoder.encode_vec(&tone, 400).unwrap()))),
            false => Frame::Silence,
        };
        let pairs =
            (0..50_u64).map(|slot| [frame((13..25).contains(&slot)), frame((25..38).contains(&slot))]).collect();
        let mut file = Ogg::create(&path, Clock.instant(), &Vault::default()).unwrap();
        file.write(&Frames { tap: TapKey(1), first_frame: 0, pairs }).unwrap();
        file.finish(16_000).unwrap();
        let loud = |side, start_ms, end_ms| {
            let sound = read_sound(&path, &Vault::default(), side, start_ms, end_ms).unwrap();
            let power: f64 = sound.iter().map(|&sample| f64::from(sample).powi(2)).sum();
            (sound.len(), (power / sound.len() as f64).sqrt() > 1_000.0)
        };
        assert_eq!(loud(Side::Customer, 0, 240), (3_840, false));
        assert_eq!(loud(Side::Customer, 300, 480), (2_880, true));
        assert_eq!(loud(Side::Customer, 600, 900), (4_800, false));
        assert_eq!(loud(Side::Agent, 300, 480), (2_880, false));
        assert_eq!(loud(Side::Agent, 555, 733), (2_848, true));
        assert_eq!(loud(Side::Agent, 900, 9_000).0, 1_600);
        let whole = read_sound(&path, &Vault::default(), Side::Agent, 0, 1_000).unwrap();
        assert_eq!(
            read_sound(&path, &Vault::default(), Side::Agent, 555, 733).unwrap().len(),
            whole[8_880..11_728].len()
        );
    }
}
