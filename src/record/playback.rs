//! A recording's file read as a player wants it, sealed or not.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::Vault;
use super::seal::{HEADER_BYTES, UnsealError, Unsealed, is_sealed};

/// A file of a recording, open for reading.
pub struct Playback(Kind);

enum Kind {
    Plain { file: File, len: u64 },
    Sealed(Unsealed),
}

/// A recording's file cannot be played.
#[derive(Debug, thiserror::Error)]
#[error("the recording {} cannot be read", .path.display())]
pub struct PlaybackError {
    path: PathBuf,
    #[source]
    cause: UnsealError,
}

impl PlaybackError {
    /// The id of the key that it is sealed with, if that is what is missing.
    pub fn missing_key(&self) -> Option<&str> {
        match &self.cause {
            UnsealError::KeyMissing(id) => Some(id),
            _ => None,
        }
    }
}

impl From<PlaybackError> for io::Error {
    fn from(error: PlaybackError) -> Self {
        let kind = match &error.cause {
            UnsealError::Io(cause) => cause.kind(),
            _ => io::ErrorKind::InvalidData,
        };
        // The whole chain in one: those who get it know no more than its text.
        Self::new(kind, format!("{error}: {}", error.cause))
    }
}

impl Playback {
    /// Opens one file of a recording, with the vault's keys if it is sealed. What is in it is checked as it is read.
    ///
    /// # Errors
    /// [`PlaybackError`] when it is not there, not whole, or its key is not.
    pub fn open(path: &Path, vault: &Vault) -> Result<Self, PlaybackError> {
        Self::try_open(path, vault).map_err(|cause| PlaybackError { path: path.to_owned(), cause })
    }

    fn try_open(path: &Path, vault: &Vault) -> Result<Self, UnsealError> {
        let mut file = File::open(path)?;
        let mut start = Vec::with_capacity(HEADER_BYTES);
        file.by_ref().take(HEADER_BYTES as u64).read_to_end(&mut start)?;
        if is_sealed(&start) {
            return Ok(Self(Kind::Sealed(Unsealed::open(file, vault.masters())?)));
        }
        file.seek(SeekFrom::Start(0))?;
        let len = file.metadata()?.len();
        Ok(Self(Kind::Plain { file, len }))
    }

    /// Opens all of a sealed file once, so that nothing is given away of one that was changed.
    ///
    /// # Errors
    /// A file that was changed, or cannot be read.
    pub fn check(&mut self) -> io::Result<()> {
        if self.is_sealed() {
            io::copy(self, &mut io::sink())?;
            self.seek(SeekFrom::Start(0))?;
        }
        Ok(())
    }

    /// Whether it lies on the disk otherwise than it is read.
    pub fn is_sealed(&self) -> bool {
        matches!(self.0, Kind::Sealed(_))
    }

    /// Bytes from beginning to end.
    #[allow(clippy::len_without_is_empty, reason = "a recording has a header at least")]
    pub fn len(&self) -> u64 {
        match &self.0 {
            Kind::Plain { len, .. } => *len,
            Kind::Sealed(unsealed) => unsealed.len(),
        }
    }
}

impl Read for Playback {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Kind::Plain { file, .. } => file.read(out),
            Kind::Sealed(unsealed) => unsealed.read(out),
        }
    }
}

impl Seek for Playback {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match &mut self.0 {
            Kind::Plain { file, .. } => file.seek(to),
            Kind::Sealed(unsealed) => unsealed.seek(to),
        }
    }
}
