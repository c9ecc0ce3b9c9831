//! Makes one recording of the pieces a call left on several machines.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hound::WavReader;

use super::finish::{Weight, weigh};
use super::wav::{Wav, into_io};
use crate::audio;
use crate::model::time::Clock;

/// A piece of a recording: a WAV file of ours, and where it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub path: PathBuf,
    pub first_sample: u64,
}

/// The whole that pieces were joined to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    pub duration_ms: u64,
    /// Stretches no piece covers, filled with silence.
    pub holes: u64,
    pub bytes: u64,
    pub parts: u32,
    pub sha256: String,
}

/// Joins pieces, given in order, to a recording of `samples` at `path`, which may be the path of the first piece; then the
/// pieces are removed. Holes are silence; where two pieces overlap the earlier one is heard.
///
/// # Errors
/// When a piece cannot be read or the disk is full; all pieces are still there then.
pub fn join(path: &Path, pieces: &[Piece], samples: u64) -> io::Result<Joined> {
    let whole = path.with_extension("joined.wav");
    let _left_from_before = fs::remove_file(&whole);
    let joined = write(&whole, pieces, samples);
    if joined.is_err() {
        let _incomplete = fs::remove_file(&whole);
    }
    let (holes, frames, parts) = joined?;
    if parts > 1 {
        // Its further parts would carry the pieces' names.
        return Err(io::Error::other("the pieces are too long for one file together; they are left as they are"));
    }
    fs::rename(&whole, path)?;
    for piece in pieces.iter().filter(|piece| piece.path != path) {
        fs::remove_file(&piece.path)?;
    }
    let Weight { bytes, sha256 } = weigh(path, parts)?;
    Ok(Joined { duration_ms: audio::duration(frames).as_millis() as u64, holes, bytes, parts, sha256 })
}

/// Holes, samples and parts.
fn write(path: &Path, pieces: &[Piece], samples: u64) -> io::Result<(u64, u64, u32)> {
    let mut wav = Wav::create(path, Clock.instant())?;
    let mut holes = 0;
    for piece in pieces {
        if piece.first_sample > wav.frames() {
            holes += 1;
            wav.write_silence(piece.first_sample - wav.frames())?;
        }
        let known = u32::try_from(wav.frames() - piece.first_sample).map_err(io::Error::other)?;
        let mut reader = WavReader::open(&piece.path).map_err(into_io)?;
        if known >= reader.duration() {
            continue;
        }
        reader.seek(known)?;
        let mut block = Vec::with_capacity(audio::RATE_HZ as usize);
        let mut sound = reader.into_samples::<i16>();
        while let (Some(left), Some(right)) = (sound.next(), sound.next()) {
            block.push([left.map_err(into_io)?, right.map_err(into_io)?]);
            if block.len() == block.capacity() {
                wav.write(&block)?;
                block.clear();
            }
        }
        wav.write(&block)?;
    }
    // The last piece's own rounding is no hole.
    let missing = samples.saturating_sub(wav.frames());
    if missing > 0 {
        holes += u64::from(missing > u64::from(audio::RATE_HZ / 10));
        wav.write_silence(missing)?;
    }
    let (frames, parts) = (wav.frames(), wav.parts());
    wav.finish()?;
    Ok((holes, frames, parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(dir: &Path, name: &str, first_sample: u64, sample: i16, frames: usize) -> Piece {
        let path = dir.join(name);
        let mut wav = Wav::create(&path, Clock.instant()).unwrap();
        wav.write(&vec![[sample, -sample]; frames]).unwrap();
        wav.finish().unwrap();
        Piece { path, first_sample }
    }

    #[test]
    fn pieces_stand_where_they_were_heard_and_holes_are_silence() {
        let dir = tempfile::tempdir().unwrap();
        let main = dir.path().join("rec_1.wav");
        let pieces = [
            piece(dir.path(), "rec_1.wav", 0, 1, 20_000),
            piece(dir.path(), "rec_1-p1.wav", 30_000, 2, 10_000),
            // Overlaps by 4,000, and one that lies wholly behind.
            piece(dir.path(), "rec_1-p2.wav", 36_000, 3, 10_000),
            piece(dir.path(), "rec_1-p3.wav", 37_000, 4, 1_000),
        ];
        let joined = join(&main, &pieces, 60_000).unwrap();
        assert_eq!((joined.duration_ms, joined.holes, joined.parts, joined.bytes), (3_750, 2, 1, 240_044));
        let heard: Vec<i16> = WavReader::open(&main).unwrap().into_samples().map(Result::unwrap).collect();
        let at = |frame: usize| [heard[2 * frame], heard[2 * frame + 1]];
        for (frame, want) in [
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
            assert_eq!(at(frame), [want, -want], "{frame}");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "pieces are left");
    }

    #[test]
    fn a_piece_that_cannot_be_read_leaves_all_pieces() {
        let dir = tempfile::tempdir().unwrap();
        let good = piece(dir.path(), "rec_1.wav", 0, 1, 100);
        let bad = Piece { path: dir.path().join("rec_1-p1.wav"), first_sample: 200 };
        fs::write(&bad.path, "no sound").unwrap();
        let main = good.path.clone();
        join(&main, &[good, bad], 300).unwrap_err();
        assert_eq!(WavReader::open(&main).unwrap().duration(), 100);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}
