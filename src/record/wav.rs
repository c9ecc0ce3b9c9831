//! One recording's file: WAV, 16 kHz, stereo, 16 bits, valid at every moment.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::time::Instant;

use hound::{SampleFormat, WavSpec, WavWriter};

use super::FLUSH_EVERY;
use super::file::create_file;
use crate::audio::RATE_HZ;

/// Bytes of one sample of both channels.
pub(super) const FRAME_BYTES: u64 = 4;

/// RIFF sizes are 32 bits wide and count the header. 1 MiB below the brim is 16 s of margin and worth nothing.
const PART_FRAMES_MAX: u64 = ((1 << 32) - (1 << 20)) / FRAME_BYTES;

/// A quarter of a second of sound and a little: one write per flush.
const BUFFER_BYTES: usize = 32 * 1024;

const SPEC: WavSpec =
    WavSpec { channels: 2, sample_rate: RATE_HZ, bits_per_sample: 16, sample_format: SampleFormat::Int };

/// A recording being written.
pub(super) struct Wav {
    path: PathBuf,
    part: WavWriter<BufWriter<File>>,
    parts: u32,
    part_frames: u64,
    part_frames_max: u64,
    frames: u64,
    flush_due: Instant,
    dirty: bool,
}

impl Wav {
    /// Creates the file and a header that says "empty". `flush_due`: when it is brought up to date first.
    pub(super) fn create(path: &Path, flush_due: Instant) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            part: create_part(path)?,
            parts: 1,
            part_frames: 0,
            part_frames_max: PART_FRAMES_MAX,
            frames: 0,
            flush_due,
            dirty: false,
        })
    }

    /// Samples per channel so far.
    pub(super) fn frames(&self) -> u64 {
        self.frames
    }

    pub(super) fn parts(&self) -> u32 {
        self.parts
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
            let mut out = self.part.get_i16_writer(now.len() as u32 * 2);
            for &sample in now.as_flattened() {
                out.write_sample(sample);
            }
            out.flush().map_err(into_io)?;
            self.part_frames += now.len() as u64;
            self.frames += now.len() as u64;
            self.dirty = true;
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
        if std::mem::take(&mut self.dirty) {
            // Order matters and is hound's: first the sound, then the header that counts it.
            self.part.flush().map_err(into_io)?;
        }
        Ok(())
    }

    /// Completes the last part.
    pub(super) fn finish(self) -> io::Result<()> {
        self.part.finalize().map_err(into_io)
    }

    fn begin_part(&mut self) -> io::Result<()> {
        let next = create_part(&part_path(&self.path, self.parts + 1))?;
        std::mem::replace(&mut self.part, next).finalize().map_err(into_io)?;
        self.parts += 1;
        self.part_frames = 0;
        Ok(())
    }
}

/// The file of part `part`, counted from 1: `rec_x.wav`, `rec_x.part2.wav`, …
pub(super) fn part_path(path: &Path, part: u32) -> PathBuf {
    if part <= 1 {
        return path.to_owned();
    }
    path.with_extension(format!("part{part}.wav"))
}

/// Writes an empty recording's header at the file's beginning.
pub(super) fn write_header(file: File) -> io::Result<WavWriter<BufWriter<File>>> {
    let mut writer = WavWriter::new(BufWriter::with_capacity(BUFFER_BYTES, file), SPEC).map_err(into_io)?;
    writer.flush().map_err(into_io)?;
    Ok(writer)
}

pub(super) fn into_io(error: hound::Error) -> io::Error {
    match error {
        hound::Error::IoError(cause) => cause,
        other => io::Error::other(other),
    }
}

fn create_part(path: &Path) -> io::Result<WavWriter<BufWriter<File>>> {
    write_header(create_file(path)?)
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
        let mut wav = Wav::create(&path, start).unwrap();
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
        assert!(Wav::create(&path, start).is_err(), "a recording was written over");
    }

    #[test]
    fn a_part_ends_before_its_sizes_overflow_and_the_next_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rec_1.wav");
        let mut wav = Wav::create(&path, Clock.instant()).unwrap();
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
