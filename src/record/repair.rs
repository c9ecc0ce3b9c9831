//! Puts a recording in order that a crash left behind: a WAV's header may count less than is there, its last sample may be
//! half written; an Ogg's last page may be, and none says that it is the last.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::Format;
use super::finish::weigh;
use super::repair_ogg::repair_ogg;
use super::wav::{FRAME_BYTES, part_path, write_header};
use crate::audio;

/// A recording that plays to its last whole sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    pub duration_ms: u64,
    pub bytes: u64,
    pub parts: Vec<super::Part>,
    pub sha256: String,
    /// Whether anything had to be changed.
    pub changed: bool,
}

/// The file cannot be put in order.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    #[error("cannot repair the recording {}", .0.display())]
    Io(PathBuf, #[source] io::Error),
    #[error("{} is not one of our recordings: neither WAV, 16 kHz, stereo, 16 bits, nor Ogg Opus of two voices", .0.display())]
    Foreign(PathBuf),
}

/// Repairs a recording and all of its further parts. Safe to repeat.
///
/// # Errors
/// [`RepairError`] when a file cannot be read or written, or is not a recording of ours (it is left alone then).
pub fn repair(path: &Path) -> Result<Repaired, RepairError> {
    let (mut frames, mut changed, mut parts) = (0, false, 0);
    loop {
        let part = part_path(path, parts + 1);
        if parts > 0 && !part.exists() {
            break;
        }
        let repaired = match Format::of(&part) {
            Format::Wav => repair_part(&part)?,
            Format::Opus => repair_ogg(&part)?,
        };
        frames += repaired.frames;
        changed |= repaired.changed;
        parts += 1;
    }
    let weight = weigh(path, parts).map_err(|cause| RepairError::Io(path.to_owned(), cause))?;
    let duration_ms = audio::duration(frames).as_millis() as u64;
    Ok(Repaired { duration_ms, bytes: weight.bytes, parts: weight.parts, sha256: weight.sha256, changed })
}

pub(super) struct Part {
    /// Samples per channel.
    pub(super) frames: u64,
    pub(super) changed: bool,
}

/// A header as `hound` writes it: RIFF, size, WAVE, a 16-byte `fmt ` chunk, `data`, size.
const HEADER_BYTES: u64 = 44;

fn repair_part(path: &Path) -> Result<Part, RepairError> {
    let in_path = |cause| RepairError::Io(path.to_owned(), cause);
    let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(in_path)?;
    let len = file.metadata().map_err(in_path)?.len();
    if len < HEADER_BYTES {
        // The crash came between creating the file and its first write, which holds the whole header.
        file.set_len(0).and_then(|()| write_header(file)).map_err(in_path)?;
        return Ok(Part { frames: 0, changed: true });
    }
    let mut header = [0; HEADER_BYTES as usize];
    file.read_exact(&mut header).map_err(in_path)?;
    if !is_ours(&header) {
        return Err(RepairError::Foreign(path.to_owned()));
    }
    let frames = (len - HEADER_BYTES) / FRAME_BYTES;
    let changed = set_sizes(&mut file, &header, len, frames * FRAME_BYTES).map_err(in_path)?;
    Ok(Part { frames, changed })
}

/// Everything but the two sizes is the same in each of our files.
fn is_ours(header: &[u8; HEADER_BYTES as usize]) -> bool {
    let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let half = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    &header[0..4] == b"RIFF"
        && &header[8..16] == b"WAVEfmt "
        && word(16) == 16
        && (half(20), half(22), word(24), half(34)) == (1, 2, audio::RATE_HZ, 16)
        && &header[36..40] == b"data"
}

fn set_sizes(file: &mut File, header: &[u8], len: u64, data: u64) -> io::Result<bool> {
    let data_size = u32::try_from(data).map_err(io::Error::other)?;
    let riff_size = u32::try_from(data + HEADER_BYTES - 8).map_err(io::Error::other)?;
    let right = header[4..8] == riff_size.to_le_bytes() && header[40..44] == data_size.to_le_bytes();
    if right && len == data + HEADER_BYTES {
        return Ok(false);
    }
    file.set_len(data + HEADER_BYTES)?;
    file.seek(SeekFrom::Start(4))?;
    file.write_all(&riff_size.to_le_bytes())?;
    file.seek(SeekFrom::Start(40))?;
    file.write_all(&data_size.to_le_bytes())?;
    file.sync_data()?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Clock;
    use crate::record::wav::Wav;

    /// A finished recording of 1,000 samples, cut or lengthened, then repaired.
    #[track_caller]
    fn check(len: u64, frames: usize) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rec_1.wav");
        let mut wav = Wav::create(&path, Clock.instant()).unwrap();
        wav.write(&[[7, -7]; 1_000]).unwrap();
        wav.finish().unwrap();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(len).unwrap();

        let repaired = repair(&path).unwrap();
        let whole = len == 4_044;
        assert_eq!((repaired.changed, repaired.duration_ms), (!whole, frames as u64 / 16), "{len}");
        let heard: Vec<[i16; 2]> = hound::WavReader::open(&path)
            .unwrap()
            .into_samples::<i16>()
            .map(Result::unwrap)
            .collect::<Vec<_>>()
            .as_chunks::<2>()
            .0
            .to_vec();
        assert_eq!(heard.len(), frames, "{len}");
        assert!(heard.iter().take(1_000).all(|&frame| frame == [7, -7]), "{len}");
        let again = repair(&path).unwrap();
        assert!(!again.changed && again.sha256 == repaired.sha256 && again.bytes == 44 + 4 * frames as u64, "{len}");
    }

    #[test]
    fn a_file_cut_anywhere_plays_to_its_last_whole_sample() {
        for len in (0..4_044).step_by(101) {
            check(len, (len.saturating_sub(44) / 4) as usize);
        }
        for len in 40..52 {
            check(len, (len.saturating_sub(44) / 4) as usize);
        }
        check(4_043, 999);
        check(4_044, 1_000);
        check(4_047, 1_000);
        check(4_444, 1_100);
    }

    #[test]
    fn a_file_that_is_not_ours_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rec_1.wav");
        let text = "not a recording, but longer than a header of forty-four bytes";
        std::fs::write(&path, text).unwrap();
        assert!(matches!(repair(&path), Err(RepairError::Foreign(_))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        assert!(matches!(repair(&dir.path().join("none.wav")), Err(RepairError::Io(..))));
    }
}
