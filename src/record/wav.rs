//! One recording's file: WAV, 16 kHz, stereo, 16 bits, valid at every moment.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::tape::Tape;
use super::{FLUSH_EVERY, Format, Vault};
use crate::audio::RATE_HZ;

/// Bytes of one sample of both channels.
pub(super) const FRAME_BYTES: u64 = 4;

/// RIFF, size, WAVE, a 16-byte `fmt ` chunk, `data`, size.
pub(super) const HEADER_BYTES: u64 = 44;

/// RIFF sizes are 32 bits wide and count the header. 1 MiB below the brim is 16 s of margin and worth nothing.
const PART_FRAMES_MAX: u64 = ((1 << 32) - (1 << 20)) / FRAME_BYTES;

/// A recording being written.
pub(super) struct Wav {
    path: PathBuf,
    tape: Tape,
    part_frames: u64,
    part_frames_max: u64,
    frames: u64,
    flush_due: Instant,
}

impl Wav {
    /// Creates the file and a header that says "empty". `flush_due`: when it is brought up to date first.
    pub(super) fn create(path: &Path, flush_due: Instant, vault: &Vault) -> io::Result<Self> {
        let tape = Tape::create(path, Format::Wav, vault)?;
        let (part_frames, part_frames_max) = (0, PART_FRAMES_MAX);
        Ok(Self { path: path.to_owned(), tape, part_frames, part_frames_max, frames: 0, flush_due })
    }

    /// So that a test need not write gigabytes.
    #[cfg(test)]
    pub(super) fn limit_parts(&mut self, frames: u64) {
        self.part_frames_max = frames;
    }

    /// Samples per channel so far.
    pub(super) fn frames(&self) -> u64 {
        self.frames
    }

    pub(super) fn parts(&self) -> u32 {
        self.tape.parts()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn write(&mut self, mut samples: &[[i16; 2]]) -> io::Result<()> {
        while !samples.is_empty() {
            if self.part_frames == self.part_frames_max {
                self.begin_part()?;
            }
            let room = usize::try_from(self.part_frames_max - self.part_frames).unwrap_or(usize::MAX);
            let (now, later) = samples.split_at(samples.len().min(room));
            for sample in now.as_flattened() {
                self.tape.write_all(&sample.to_le_bytes())?;
            }
            self.part_frames += now.len() as u64;
            self.frames += now.len() as u64;
            if self.tape.is_full() {
                self.end_stretch()?;
            }
            samples = later;
        }
        Ok(())
    }

    pub(super) fn write_silence(&mut self, mut frames: u64) -> io::Result<()> {
        const SILENCE: [[i16; 2]; 1_600] = [[0; 2]; 1_600];
        while frames > 0 {
            let len = frames.min(SILENCE.len() as u64);
            self.write(&SILENCE[..len as usize])?;
            frames -= len;
        }
        Ok(())
    }

    /// Hands everything to the system and makes the header say so, if it is time.
    pub(super) fn flush_if_due(&mut self, now: Instant) -> io::Result<()> {
        if now < self.flush_due {
            return Ok(());
        }
        // From the due time, so that files keep their distance; from now after a stall.
        self.flush_due = (self.flush_due + FLUSH_EVERY).max(now + FLUSH_EVERY / 2);
        self.end_stretch()
    }

    /// Completes the last part.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.tape.finish(self.frames)?;
        self.write_header()
    }

    fn end_stretch(&mut self) -> io::Result<()> {
        if self.tape.pending() == 0 {
            return Ok(());
        }
        // Order matters: first the sound, then the header that counts it.
        self.tape.end_stretch(self.frames)?;
        self.write_header()
    }

    fn begin_part(&mut self) -> io::Result<()> {
        self.end_stretch()?;
        self.tape.begin_part(&part_path(&self.path, self.parts() + 1), self.frames)?;
        self.part_frames = 0;
        Ok(())
    }

    fn write_header(&mut self) -> io::Result<()> {
        // A sealed file has none: readers are told what it would say.
        if self.tape.is_sealed() {
            return Ok(());
        }
        self.tape.rewrite_start(&header(self.part_frames * FRAME_BYTES))
    }
}

/// The file of part `part`, counted from 1: `rec_x.wav`, `rec_x.part2.wav`, …
pub fn part_path(path: &Path, part: u32) -> PathBuf {
    if part <= 1 {
        return path.to_owned();
    }
    path.with_extension(format!("part{part}.wav"))
}

/// What a file of so many bytes of sound begins with.
pub(super) fn header(sound_bytes: u64) -> [u8; HEADER_BYTES as usize] {
    // A part ends long before; a file that others made longer than its kind can be says the most it can.
    let size = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes();
    let mut header = [0; HEADER_BYTES as usize];
    header[..4].copy_from_slice(b"RIFF");
    header[4..8].copy_from_slice(&size(sound_bytes + HEADER_BYTES - 8));
    header[8..16].copy_from_slice(b"WAVEfmt ");
    header[16..20].copy_from_slice(&16_u32.to_le_bytes());
    // PCM, two channels.
    header[20..24].copy_from_slice(&[1, 0, 2, 0]);
    header[24..28].copy_from_slice(&RATE_HZ.to_le_bytes());
    header[28..32].copy_from_slice(&(RATE_HZ * FRAME_BYTES as u32).to_le_bytes());
    header[32..36].copy_from_slice(&[FRAME_BYTES as u8, 0, 16, 0]);
    header[36..40].copy_from_slice(b"data");
    header[40..].copy_from_slice(&size(sound_bytes));
    header
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::model::time::Clock;
    use crate::record::file::make_folder;

    fn read(path: &Path) -> Vec<i16> {
        hound::WavReader::open(path).unwrap().into_samples().map(Result::unwrap).collect()
    }

    #[test]
    fn the_file_is_valid_from_the_first_moment_and_grows_with_each_flush() {
        let dir = tempfile::tempdir().unwrap();
        let (path, start) = (dir.path().join("a/b/rec_1.wav"), Clock.instant());
        make_folder(&dir.path().join("a/b")).unwrap();
        let mut wav = Wav::create(&path, start, &Vault::default()).unwrap();
        assert!(read(&path).is_empty());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        let mut now = start;
        for second in 0..20_i16 {
            wav.write(&[[second, -second]; 4_000]).unwrap();
            now += FLUSH_EVERY;
            wav.flush_if_due(now).unwrap();
            let heard = read(&path);
            assert_eq!(heard.len(), 8_000 * (second as usize + 1));
            assert_eq!(heard[heard.len() - 2..], [second, -second]);
        }
        wav.write_silence(4_321).unwrap();
        wav.finish().unwrap();
        assert_eq!(read(&path).len(), 168_642);
        assert!(Wav::create(&path, start, &Vault::default()).is_err(), "a recording was written over");
    }

    #[test]
    fn a_part_ends_before_its_sizes_overflow_and_the_next_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rec_1.wav");
        let mut wav = Wav::create(&path, Clock.instant(), &Vault::default()).unwrap();
        wav.part_frames_max = 1_000;
        for block in 0..5_i16 {
            wav.write(&[[block; 2]; 450]).unwrap();
        }
        assert_eq!((wav.parts(), wav.frames()), (3, 2_250));
        wav.finish().unwrap();
        let all: Vec<i16> = (1..=3).flat_map(|part| read(&part_path(&path, part))).collect();
        let want: Vec<i16> = (0..5).flat_map(|block| [block; 900]).collect();
        assert_eq!(all, want);
    }

    const _: () = assert!(PART_FRAMES_MAX * FRAME_BYTES + 44 < 1 << 32);
}
