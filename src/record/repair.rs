//! Puts a recording in order that a crash left behind: a WAV's header may count less than is there, its last sample may be
//! half written; an Ogg's last page may be, and none says that it is the last.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::file::write_beside;
use super::finish::weigh;
use super::proof::{certify, mend};
use super::repair_ogg::repair_ogg;
use super::repair_sealed::repair_sealed;
use super::wav::{FRAME_BYTES, HEADER_BYTES, header, part_path};
use super::{Format, Sidecar, Vault, seal};
use crate::audio;
use crate::model::time::Timestamp;

/// More than a stretch of sound and what it is wrapped in: a crash of the program tears no more than one. A power cut may
/// tear some seconds, and damage in the midst leaves all that follows.
const TORN_BYTES_MAX: u64 = 1 << 18;

/// A recording that plays to its last whole sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    pub duration_ms: u64,
    /// Per channel.
    pub samples: u64,
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
    #[error("{} is not as a crash leaves a recording: from byte {byte} on it is not readable; it is left as it is", .path.display())]
    Damaged { path: PathBuf, byte: u64 },
}

/// Repairs a recording and all of its further parts. Safe to repeat. `vault`: its keys, if it is sealed.
///
/// # Errors
/// [`RepairError`] when a file cannot be read or written, or is not a recording of ours (it is left alone then).
pub fn repair(path: &Path, vault: &Vault) -> Result<Repaired, RepairError> {
    let (mut samples, mut changed, mut parts) = (0, false, 0);
    loop {
        let part = part_path(path, parts + 1);
        if parts > 0 && !part.exists() {
            break;
        }
        let repaired = repair_part(&part, vault)?;
        samples += repaired.frames;
        changed |= repaired.changed;
        parts += 1;
    }
    let weight = weigh(path, parts).map_err(|cause| RepairError::Io(path.to_owned(), cause))?;
    let duration_ms = audio::duration(samples).as_millis() as u64;
    Ok(Repaired { duration_ms, samples, bytes: weight.bytes, parts: weight.parts, sha256: weight.sha256, changed })
}

/// Closes the chain of a repaired recording whose details are written, and signs it; the manifest says how much of it the
/// chain proves as it was recorded. Does nothing where recordings are not signed.
///
/// # Errors
/// Files that cannot be read or written.
pub fn certify_repaired(
    path: &Path,
    details: &Sidecar,
    repaired: &Repaired,
    vault: &Vault,
    now: Timestamp,
) -> io::Result<()> {
    if vault.public_key().is_none() {
        return Ok(());
    }
    let mended = mend(path, repaired.parts.len() as u32, repaired.samples)?;
    certify(path, details, Some(mended), vault, now)
}

pub(super) struct Part {
    /// Samples per channel.
    pub(super) frames: u64,
    pub(super) changed: bool,
}

fn repair_part(path: &Path, vault: &Vault) -> Result<Part, RepairError> {
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(seal::HEADER_BYTES as u64).read_to_end(&mut start));
    read.map_err(|cause| RepairError::Io(path.to_owned(), cause))?;
    if seal::is_sealed(&start) || (start.is_empty() && vault.sealing().is_some()) {
        return repair_sealed(path, vault);
    }
    match Format::of(path) {
        Format::Wav => repair_wav(path),
        Format::Opus => repair_ogg(path),
    }
}

/// Cuts a part's file off behind what is whole. What goes then is kept beside it, if a crash of the program cannot have torn
/// it: `rec_x.torn`.
pub(super) fn cut(path: &Path, mut file: &File, end: u64) -> io::Result<()> {
    let len = file.metadata()?.len();
    if len.saturating_sub(end) > TORN_BYTES_MAX {
        let torn = path.with_extension("torn");
        file.seek(SeekFrom::Start(end))?;
        write_beside(path, &torn, |beside| io::copy(&mut file, beside).map(drop))?;
        tracing::error!(
            path = %path.display(), byte = end, torn = %torn.display(),
            "a recording cannot be read from this byte on: it was cut there, and what followed lies beside it"
        );
    }
    file.set_len(end)
}

fn repair_wav(path: &Path) -> Result<Part, RepairError> {
    let in_path = |cause| RepairError::Io(path.to_owned(), cause);
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(in_path)?;
    let len = file.metadata().map_err(in_path)?.len();
    if len < HEADER_BYTES {
        // The crash came between creating the file and its first write, which holds the whole header.
        file.set_len(0).and_then(|()| file.write_all_at(&header(0), 0)).map_err(in_path)?;
        return Ok(Part { frames: 0, changed: true });
    }
    let mut found = [0; HEADER_BYTES as usize];
    file.read_exact_at(&mut found, 0).map_err(in_path)?;
    if !is_ours(&found) {
        return Err(RepairError::Foreign(path.to_owned()));
    }
    let frames = (len - HEADER_BYTES) / FRAME_BYTES;
    let changed = set_sizes(&file, &found, len, frames * FRAME_BYTES).map_err(in_path)?;
    Ok(Part { frames, changed })
}

/// Everything but the two sizes is the same in each of our files.
fn is_ours(found: &[u8; HEADER_BYTES as usize]) -> bool {
    let mut like = header(0);
    for size in [4..8, 40..44] {
        like[size.clone()].copy_from_slice(&found[size]);
    }
    like == *found
}

fn set_sizes(file: &File, found: &[u8; HEADER_BYTES as usize], len: u64, sound: u64) -> io::Result<bool> {
    u32::try_from(sound + HEADER_BYTES).map_err(io::Error::other)?;
    let right = header(sound);
    if *found == right && len == sound + HEADER_BYTES {
        return Ok(false);
    }
    file.set_len(sound + HEADER_BYTES)?;
    file.write_all_at(&right, 0)?;
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
        let mut wav = Wav::create(&path, Clock.instant(), &Vault::default()).unwrap();
        wav.write(&[[7, -7]; 1_000]).unwrap();
        wav.finish().unwrap();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(len).unwrap();

        let repaired = repair(&path, &Vault::default()).unwrap();
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
        let again = repair(&path, &Vault::default()).unwrap();
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
        assert!(matches!(repair(&path, &Vault::default()), Err(RepairError::Foreign(_))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        assert!(matches!(repair(&dir.path().join("none.wav"), &Vault::default()), Err(RepairError::Io(..))));
    }
}
