//! A recording's file, whatever it is made of.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Instant;

use super::ogg::Ogg;
use super::wav::{FRAME_BYTES, Wav};
use super::{Format, Vault};
use crate::audio::{Block, Frames, SLOT_SAMPLES};
use crate::model::files::{FILE_MODE, FOLDER_MODE};

/// A recording being written.
pub(super) enum SoundFile {
    Wav(Wav),
    Ogg(Box<Ogg>),
}

/// What the tap heard, in either form.
pub(super) enum Sound<'a> {
    Block(&'a Block),
    Frames(&'a Frames),
    /// A packet of both sides from another file of ours, and which frame it is.
    Packet(u64, &'a [u8]),
}

impl SoundFile {
    /// Creates the file, of the kind that its name says. `flush_due`: when it is handed to the system first.
    pub(super) fn create(path: &Path, flush_due: Instant, vault: &Vault) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            make_folder(folder)?;
        }
        Ok(match Format::of(path) {
            Format::Wav => Self::Wav(Wav::create(path, flush_due, vault)?),
            Format::Opus => Self::Ogg(Box::new(Ogg::create(path, flush_due, vault)?)),
        })
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Wav(wav) => wav.path(),
            Self::Ogg(ogg) => ogg.path(),
        }
    }

    pub(super) fn parts(&self) -> u32 {
        match self {
            Self::Wav(wav) => wav.parts(),
            // 4 GiB would be two hundred hours.
            Self::Ogg(_) => 1,
        }
    }

    /// Samples per channel so far.
    pub(super) fn samples(&self) -> u64 {
        match self {
            Self::Wav(wav) => wav.frames(),
            Self::Ogg(ogg) => ogg.frames() * SLOT_SAMPLES.cast_unsigned(),
        }
    }

    /// Bytes of sound so far.
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Wav(wav) => wav.frames() * FRAME_BYTES,
            Self::Ogg(ogg) => ogg.bytes(),
        }
    }

    /// Appends what of the sound is not there yet; what is missing before it becomes silence, and `true` says so. A tap may
    /// speak in both forms: the one that is not kept here is passed over.
    pub(super) fn write(&mut self, sound: &Sound<'_>) -> io::Result<bool> {
        let written = self.samples();
        let first = match (&self, sound) {
            (Self::Wav(_), Sound::Block(block)) => block.first_sample,
            (Self::Ogg(_), Sound::Frames(frames)) => frames.first_frame * SLOT_SAMPLES.cast_unsigned(),
            (Self::Ogg(_), Sound::Packet(frame, _)) => frame * SLOT_SAMPLES.cast_unsigned(),
            (Self::Wav(_), Sound::Frames(_) | Sound::Packet(..)) | (Self::Ogg(_), Sound::Block(_)) => return Ok(false),
        };
        let hole = self.pad(first)?;
        match (self, sound) {
            (Self::Wav(wav), Sound::Block(block)) => {
                // A block that begins before the end says again what is there.
                let known = usize::try_from(written.saturating_sub(first)).unwrap_or(usize::MAX);
                wav.write(block.samples.get(known..).unwrap_or(&[]))?;
            }
            (Self::Ogg(ogg), Sound::Frames(frames)) => ogg.write(frames)?,
            (Self::Ogg(ogg), Sound::Packet(_, packet)) if written <= first => ogg.write_packet(packet.to_vec())?,
            (Self::Ogg(_), Sound::Packet(..)) => {}
            (Self::Wav(_), Sound::Frames(_) | Sound::Packet(..)) | (Self::Ogg(_), Sound::Block(_)) => {}
        }
        Ok(hole)
    }

    /// Silence up to `samples`; whether there was any to be written.
    pub(super) fn pad(&mut self, samples: u64) -> io::Result<bool> {
        let missing = samples.saturating_sub(self.samples());
        match self {
            Self::Wav(wav) => wav.write_silence(missing)?,
            Self::Ogg(ogg) => ogg.write_silence(missing.div_ceil(SLOT_SAMPLES.cast_unsigned()))?,
        }
        Ok(missing > 0)
    }

    pub(super) fn flush_if_due(&mut self, now: Instant) -> io::Result<()> {
        match self {
            Self::Wav(wav) => wav.flush_if_due(now),
            Self::Ogg(ogg) => ogg.flush_if_due(now),
        }
    }

    /// Completes the file, which plays for `samples`.
    pub(super) fn finish(self, samples: u64) -> io::Result<()> {
        match self {
            Self::Wav(wav) => wav.finish(),
            Self::Ogg(ogg) => ogg.finish(samples),
        }
    }
}

/// Makes a folder and those above it, closed to others.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder)
}

/// Makes a file that was not there.
pub(super) fn create_file(path: &Path) -> io::Result<File> {
    // A recording is never written over: ids are not used twice, and whoever put a file there wants it kept.
    let file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)?;
    // The process's umask may have taken the group's right away.
    file.set_permissions(std::fs::Permissions::from_mode(FILE_MODE))?;
    Ok(file)
}

/// Writes a file about a recording beside it, whole or not at all, for whoever may read the recording.
pub(super) fn write_beside(
    recording: &Path,
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    write(file.as_file_mut())?;
    file.as_file().set_permissions(std::fs::metadata(recording)?.permissions())?;
    file.as_file().sync_data()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
