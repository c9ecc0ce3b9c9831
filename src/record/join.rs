//! Makes one recording of the pieces a call left on several machines.

use std::io;
use std::path::{Path, PathBuf};

use super::copy::append;
use super::file::SoundFile;
use super::finish::{Complete, finish};
use super::growing::Growing;
use super::proof::{ManifestError, Mended, verify};
use super::{RecordEvent, Side, Sidecar, Vault};
use crate::audio::{self, SLOT_SAMPLES};
use crate::model::id::{CallId, RecordingId};
use crate::model::recording::{Consent, Format, Pause};
use crate::model::time::{Clock, Timestamp};

/// Shorter than this, a hole at the end is the last piece's own rounding.
const ROUNDING_SAMPLES: u64 = audio::RATE_HZ as u64 / 10;

/// A recording to be made of pieces.
#[derive(Clone, Debug)]
pub struct Join {
    pub call: CallId,
    pub recording: RecordingId,
    pub started_at: Timestamp,
    /// Where it belongs; its extension says of which [`Format`] it and its pieces are. The first piece may lie there.
    pub path: PathBuf,
    /// In order.
    pub pieces: Vec<Piece>,
    /// Its length.
    pub samples: u64,
    /// Holes that are known within the pieces.
    pub gaps: u64,
}

/// A piece of a recording: a file of ours, and where it begins. In Ogg Opus it begins with the next frame of 20 ms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub path: PathBuf,
    pub first_sample: u64,
    /// Counted from its beginning.
    pub pauses: Vec<Pause>,
}

/// Joins the pieces to a recording, with details beside it, and removes them. Holes are silence and counted as gaps; where
/// two pieces overlap the earlier one is heard. In Ogg Opus all packets stay as they are. The vault opens the pieces, and signs
/// and seals the whole; its manifest says that nothing of it was chained while it was recorded.
///
/// The whole grows in a folder of its own, and takes its place once it is complete: see [`super::finish_joins`].
///
/// # Errors
/// When a piece cannot be read, is not as it was recorded, or the disk is full; all pieces are still there then.
pub fn join(whole: Join, vault: &Vault) -> io::Result<RecordEvent> {
    for piece in &whole.pieces {
        check(&piece.path, vault)?;
    }
    let growing = Growing::at(&whole.path, &whole.recording)?;
    let written = write(&whole, &growing.path, vault);
    if written.is_err() {
        growing.give_up();
    }
    let Written { samples, holes, parts } = written?;
    let Join { call, recording, started_at, pieces, gaps, .. } = whole;
    let complete = Complete {
        call,
        recording,
        path: growing.path.clone(),
        parts,
        samples,
        gaps: gaps + holes,
        stats: audio::Stats::default(),
        sides: sides_of(&pieces),
        pauses: pauses_of(&pieces),
        started_at,
        consent: consent_of(&pieces),
    };
    let event = finish(complete, Some(Mended { samples: 0 }), vault);
    if !matches!(event, RecordEvent::Finished { .. }) {
        growing.give_up();
        return Ok(event);
    }
    let pieces = pieces.iter().filter_map(|piece| piece.path.file_stem()?.to_str());
    growing.take_its_place(&pieces.collect::<Vec<_>>())?;
    Ok(event)
}

/// Nothing is signed anew that is not as it was signed before.
fn check(piece: &Path, vault: &Vault) -> io::Result<()> {
    let Some(key) = vault.public_key() else { return Ok(()) };
    let altered = |why: String| Err(io::Error::new(io::ErrorKind::InvalidData, why));
    match verify(piece, &key, vault) {
        Ok(report) => report.faults.first().map_or(Ok(()), |fault| altered(fault.to_string())),
        Err(ManifestError::Missing(_)) => {
            tracing::warn!(path = %piece.display(), "a part of a recording that was never signed");
            Ok(())
        }
        Err(error) => altered(error.to_string()),
    }
}

struct Written {
    samples: u64,
    holes: u64,
    parts: u32,
}

fn write(whole: &Join, path: &Path, vault: &Vault) -> io::Result<Written> {
    let format = Format::of(path);
    let mut file = SoundFile::create(path, Clock.instant(), vault)?;
    let mut holes = 0;
    for piece in &whole.pieces {
        holes += u64::from(append(&mut file, &piece.path, piece.first_sample, &[], vault)?);
    }
    let missing = whole.samples.saturating_sub(file.samples());
    if file.pad(whole.samples)? {
        holes += u64::from(missing > ROUNDING_SAMPLES);
    }
    let (all, parts) = (file.samples(), file.parts());
    let samples = match format {
        Format::Wav => all,
        // The last frame may reach beyond the end.
        Format::Opus => all.min(whole.samples.max(all.saturating_sub(SLOT_SAMPLES.cast_unsigned()))),
    };
    file.finish(samples)?;
    Ok(Written { samples, holes, parts })
}

/// All pauses as counted from the beginning of the whole. One that a piece began with goes on from the piece before.
fn pauses_of(pieces: &[Piece]) -> Vec<Pause> {
    let mut pauses: Vec<Pause> = Vec::new();
    let mut end_ms = 0;
    for piece in pieces {
        let begin_ms = audio::duration(piece.first_sample).as_millis() as i64;
        for pause in &piece.pauses {
            let (from_ms, to_ms) = (pause.from_ms + begin_ms, pause.to_ms.map(|to| to + begin_ms));
            match pauses.last_mut() {
                Some(last) if pause.from_ms == 0 && last.to_ms.is_none_or(|to| to >= end_ms) => last.to_ms = to_ms,
                _ => pauses.push(Pause { from_ms, to_ms }),
            }
        }
        end_ms = length_ms(piece).map_or(begin_ms, |length| begin_ms + length);
    }
    pauses
}

fn length_ms(piece: &Piece) -> Option<i64> {
    i64::try_from(Sidecar::read(&piece.path).ok()?.duration_ms).ok()
}

/// What is known of both sides' packets, added up; of a side of which one piece does not know them nothing is.
fn sides_of(pieces: &[Piece]) -> [Option<Side>; 2] {
    let known: Vec<Option<Sidecar>> = pieces.iter().map(|piece| Sidecar::read(&piece.path).ok()).collect();
    let add = |side: fn(&Sidecar) -> Option<Side>| {
        let sides = known.iter().map(|known| known.as_ref().and_then(side));
        sides.reduce(|one, other| Some(sum(one?, other?))).flatten()
    };
    [add(|known| known.customer), add(|known| known.agent)]
}

fn sum(one: Side, other: Side) -> Side {
    Side {
        packets: one.packets + other.packets,
        lost: one.lost + other.lost,
        fec: one.fec + other.fec,
        plc: one.plc + other.plc,
        late: one.late + other.late,
        duplicates: one.duplicates + other.duplicates,
        malformed: one.malformed + other.malformed,
        not_copied: one.not_copied + other.not_copied,
        gaps: one.gaps + other.gaps,
        gap_ms: one.gap_ms + other.gap_ms,
        shifts: one.shifts + other.shifts,
        corrections: one.corrections + other.corrections,
        first_ms: one.first_ms,
        clock_ppm: None,
    }
}

/// What the last of them knows of it.
fn consent_of(pieces: &[Piece]) -> Option<Consent> {
    pieces.iter().rev().find_map(|piece| Sidecar::read(&piece.path).ok()?.consent)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use ::ogg::PacketReader;
    use hound::WavReader;

    use super::*;
    use crate::audio::{Frame, Frames};
    use crate::model::rtp::TapKey;
    use crate::record::copy::OGG_HEADERS;
    use crate::record::ogg::Ogg;
    use crate::record::wav::Wav;

    fn path(dir: &Path, name: &str, format: Format) -> PathBuf {
        dir.join(name).with_extension(format.extension())
    }

    /// A WAV whose samples are all of one value.
    fn wav(dir: &Path, name: &str, first_sample: u64, sample: i16, samples: usize) -> Piece {
        let path = path(dir, name, Format::Wav);
        let mut wav = Wav::create(&path, Clock.instant(), &Vault::default()).unwrap();
        wav.write(&vec![[sample, -sample]; samples]).unwrap();
        wav.finish().unwrap();
        Piece { path, first_sample, pauses: Vec::new() }
    }

    /// An Ogg whose packets are all of one configuration.
    fn ogg(dir: &Path, name: &str, first_sample: u64, config: u8, frames: usize) -> Piece {
        let path = path(dir, name, Format::Opus);
        let mut ogg = Ogg::create(&path, Clock.instant(), &Vault::default()).unwrap();
        let pairs = vec![[Frame::Lost(config << 3), Frame::Silence]; frames];
        ogg.write(&Frames { tap: TapKey(1), first_frame: 0, pairs }).unwrap();
        ogg.finish(frames as u64 * 320).unwrap();
        Piece { path, first_sample, pauses: Vec::new() }
    }

    fn whole(dir: &Path, format: Format, samples: u64, pieces: Vec<Piece>) -> Join {
        Join {
            call: CallId::generate(),
            recording: RecordingId::parse("rec_1").unwrap(),
            started_at: Timestamp::from_millis(0),
            path: path(dir, "rec_1", format),
            pieces,
            samples,
            gaps: 1,
        }
    }

    /// Duration and gaps as told and as lies beside the file.
    #[track_caller]
    fn finished(whole: Join) -> (u64, u64, Vec<Pause>) {
        let path = whole.path.clone();
        let RecordEvent::Finished { finished, .. } = join(whole, &Vault::default()).unwrap() else {
            panic!("not finished")
        };
        let sidecar = Sidecar::read(&path).unwrap();
        assert_eq!((sidecar.duration_ms, sidecar.gaps), (finished.duration_ms, finished.gaps));
        assert_eq!((&sidecar.sha256, &sidecar.pauses), (&finished.sha256, &finished.pauses));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 2, "pieces are left");
        (finished.duration_ms, finished.gaps, finished.pauses)
    }

    #[test]
    fn pieces_stand_where_they_were_heard_and_holes_are_silence() {
        let dir = tempfile::tempdir().unwrap();
        let pieces = vec![
            wav(dir.path(), "rec_1", 0, 1, 20_000),
            wav(dir.path(), "rec_1-p1", 30_000, 2, 10_000),
            // Overlaps by 4,000, and one that lies wholly behind.
            wav(dir.path(), "rec_1-p2", 36_000, 3, 10_000),
            wav(dir.path(), "rec_1-p3", 37_000, 4, 1_000),
        ];
        let whole = whole(dir.path(), Format::Wav, 60_000, pieces);
        let main = whole.path.clone();
        assert_eq!(finished(whole), (3_750, 3, Vec::new()));
        let heard: Vec<i16> = WavReader::open(&main).unwrap().into_samples().map(Result::unwrap).collect();
        for (sample, want) in [
            (0, 1),
            (19_999, 1),
            (20_000, 0),
            (29_999, 0),
            (30_000, 2),
            (39_999, 2),
            (40_000, 3),
            (45_999, 3),
            (46_000, 0),
            (59_999, 0),
        ] {
            assert_eq!([heard[2 * sample], heard[2 * sample + 1]], [want, -want], "{sample}");
        }
    }

    #[test]
    fn encoded_pieces_keep_their_packets() {
        let dir = tempfile::tempdir().unwrap();
        let pieces = vec![
            ogg(dir.path(), "rec_1", 0, 1, 50),
            // In the middle of frame 99, and an overlap by ten.
            ogg(dir.path(), "rec_1-p1", 99 * 320 + 100, 5, 50),
            ogg(dir.path(), "rec_1-p2", 140 * 320, 9, 30),
        ];
        let whole = whole(dir.path(), Format::Opus, 180 * 320 + 100, pieces);
        let main = whole.path.clone();
        assert_eq!(finished(whole), (3_606, 3, Vec::new()));
        let mut packets = PacketReader::new(File::open(&main).unwrap());
        let configs: Vec<u8> = std::iter::from_fn(|| packets.read_packet().unwrap())
            .skip(OGG_HEADERS)
            .map(|packet| packet.data[0] >> 3)
            .collect();
        let silence = 31;
        for (frame, want) in
            [(0, 1), (49, 1), (50, silence), (99, silence), (100, 5), (149, 5), (150, 9), (169, 9), (170, silence)]
        {
            assert_eq!(configs[frame], want, "{frame}");
        }
        assert_eq!(configs.len(), 181);
    }

    #[test]
    fn pauses_are_counted_from_the_beginning_and_go_on_over_a_hole() {
        let dir = tempfile::tempdir().unwrap();
        let pause = |from_ms, to_ms| Pause { from_ms, to_ms: Some(to_ms) };
        let mut first = wav(dir.path(), "rec_1", 0, 1, 16_000);
        first.pauses = vec![pause(100, 200), pause(900, 1_000)];
        let mut last = wav(dir.path(), "rec_1-p1", 32_000, 1, 16_000);
        last.pauses = vec![pause(0, 300), pause(500, 600)];
        for (piece, ms) in [(&first, 1_000), (&last, 1_000)] {
            details(&piece.path, ms);
        }
        let told = finished(whole(dir.path(), Format::Wav, 48_000, vec![first, last])).2;
        assert_eq!(told, [pause(100, 200), pause(900, 2_300), pause(2_500, 2_600)]);
        let sidecar = Sidecar::read(&path(dir.path(), "rec_1", Format::Wav)).unwrap();
        assert_eq!(sidecar.customer.unwrap().packets, 14);
        assert_eq!(sidecar.agent, None);
    }

    fn details(recording: &Path, duration_ms: u64) {
        let side = Side { packets: 7, ..audio::SideStats::default().into() };
        let sidecar = Sidecar {
            consent: None,
            recording_id: RecordingId::generate(),
            call_id: CallId::generate(),
            format: Format::Wav,
            started_at: None,
            duration_ms,
            gaps: 0,
            pauses: Vec::new(),
            customer: Some(side),
            agent: None,
            parts: Vec::new(),
            sha256: String::new(),
            redacted: None,
        };
        sidecar.write(recording).unwrap();
    }

    #[test]
    fn a_piece_that_cannot_be_read_leaves_all_pieces() {
        let dir = tempfile::tempdir().unwrap();
        let good = wav(dir.path(), "rec_1", 0, 1, 100);
        let bad = Piece { path: path(dir.path(), "rec_1-p1", Format::Wav), first_sample: 200, pauses: Vec::new() };
        fs::write(&bad.path, "no sound").unwrap();
        join(whole(dir.path(), Format::Wav, 300, vec![good, bad]), &Vault::default()).unwrap_err();
        assert_eq!(WavReader::open(path(dir.path(), "rec_1", Format::Wav)).unwrap().duration(), 100);
        assert_eq!(names(dir.path()), "rec_1-p1.wav rec_1.wav");
    }

    fn names(dir: &Path) -> String {
        let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names.join(" ")
    }

    #[test]
    fn a_piece_that_cannot_be_removed_does_not_make_a_good_recording_a_failed_one() {
        let dir = tempfile::tempdir().unwrap();
        let pieces = vec![wav(dir.path(), "rec_1", 0, 1, 100), wav(dir.path(), "rec_1-p1", 100, 2, 100)];
        fs::create_dir(dir.path().join("rec_1-p1.folder")).unwrap();
        let event = join(whole(dir.path(), Format::Wav, 200, pieces), &Vault::default()).unwrap();
        assert!(matches!(event, RecordEvent::Finished { .. }), "{event:?}");
        assert_eq!(names(dir.path()), "rec_1-p1.folder rec_1.json rec_1.wav");
    }

    fn signing(dir: &Path) -> Vault {
        Vault::open(&crate::record::Config::default(), dir).unwrap()
    }

    /// A recording of the vault's, with all that lies beside it.
    fn signed(dir: &Path, name: &str, first_sample: u64, vault: &Vault) -> Piece {
        let path = path(dir, name, Format::Wav);
        let mut wav = Wav::create(&path, Clock.instant(), vault).unwrap();
        wav.write(&[[1, 1]; 16_000]).unwrap();
        wav.finish().unwrap();
        let complete = Complete {
            call: CallId::generate(),
            recording: RecordingId::parse(name).unwrap(),
            path: path.clone(),
            parts: 1,
            samples: 16_000,
            gaps: 0,
            stats: audio::Stats::default(),
            sides: [None, None],
            pauses: Vec::new(),
            started_at: Timestamp::from_millis(0),
            consent: None,
        };
        assert!(matches!(finish(complete, None, vault), RecordEvent::Finished { .. }));
        Piece { path, first_sample, pauses: Vec::new() }
    }

    #[test]
    fn what_was_joined_is_signed_and_says_that_it_was_not_chained_while_it_was_recorded() {
        let (dir, keys) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let vault = signing(keys.path());
        let pieces = ["rec_1", "rec_1-p1"].into_iter().zip([0, 16_000]);
        let pieces = pieces.map(|(name, first)| signed(dir.path(), name, first, &vault)).collect();
        let whole = whole(dir.path(), Format::Wav, 32_000, pieces);
        let main = whole.path.clone();
        assert!(matches!(join(whole, &vault).unwrap(), RecordEvent::Finished { .. }));
        let report = verify(&main, &vault.public_key().unwrap(), &vault).unwrap();
        assert_eq!((report.faults, report.manifest.chained_before_crash_ms), (Vec::new(), Some(0)));
        assert_eq!(names(dir.path()), "rec_1.chain rec_1.json rec_1.manifest.json rec_1.wav");
    }

    #[test]
    fn a_piece_that_is_not_as_it_was_recorded_is_not_signed_anew() {
        let (dir, keys) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let vault = signing(keys.path());
        let pieces = ["rec_1", "rec_1-p1"].map(|name| signed(dir.path(), name, 0, &vault)).to_vec();
        let mut bytes = fs::read(&pieces[1].path).unwrap();
        bytes[5_000] ^= 1;
        fs::write(&pieces[1].path, bytes).unwrap();
        let before = names(dir.path());
        let error = join(whole(dir.path(), Format::Wav, 32_000, pieces), &vault).unwrap_err().to_string();
        assert!(error.contains("rec_1-p1.wav was altered"), "{error}");
        assert_eq!(names(dir.path()), before);
    }
}
