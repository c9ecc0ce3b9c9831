//! A sealed file read as what it holds, from any place on, without opening the rest.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use aws_lc_rs::aead::RandomizedNonceKey;
use secrecy::ExposeSecret;

use super::super::keyfile::Key;
use super::super::wav;
use super::{FRAME_BYTES_MAX, HEADER_BYTES, Header, LAST, LEAD_BYTES, Master, Sealer, TAG_BYTES, bound, nonce};
use crate::record::Format;

/// A sealed file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum UnsealError {
    #[error(
        "it is sealed with the key {0}, which is not among those given: name its file in recording.former_encryption_key_files"
    )]
    KeyMissing(String),
    #[error("its header was changed")]
    Header,
    #[error("its frame {frame} (bytes {from} to {to} of the file) was changed or moved")]
    Frame { frame: usize, from: u64, to: u64 },
    #[error("it breaks off after {bytes} bytes: its end is missing")]
    Cut { bytes: u64 },
    #[error("there is something behind its end, from byte {bytes} on")]
    Longer { bytes: u64 },
    #[error("it cannot be read")]
    Io(#[from] io::Error),
}

impl From<UnsealError> for io::Error {
    fn from(error: UnsealError) -> Self {
        match error {
            UnsealError::Io(error) => error,
            other => Self::new(io::ErrorKind::InvalidData, other),
        }
    }
}

/// The frames of a file by their lengths, nothing opened yet.
pub(in crate::record) struct Scan {
    header: Header,
    key: Key,
    frames: Vec<Frame>,
    /// Behind the last whole frame.
    end: u64,
    len: u64,
    is_closed: bool,
}

#[derive(Clone, Copy)]
struct Frame {
    /// In the file.
    at: u64,
    /// Of its sound in all sound.
    from: u64,
    sound: u32,
    last: bool,
}

impl Scan {
    /// Of a file that is sealed.
    pub(in crate::record) fn read(file: &File, masters: &[Master]) -> Result<Self, UnsealError> {
        let len = file.metadata()?.len();
        let mut start = [0; HEADER_BYTES];
        if len < HEADER_BYTES as u64 {
            return Err(UnsealError::Cut { bytes: len });
        }
        file.read_exact_at(&mut start, 0)?;
        let header = Header::parse(&start).ok_or(UnsealError::Header)?;
        let mut fitting = masters.iter().filter(|master| master.id() == header.key_id).peekable();
        if fitting.peek().is_none() {
            return Err(UnsealError::KeyMissing(header.key_id.to_string()));
        }
        let key = fitting.find_map(|master| master.unwrap(&header)).ok_or(UnsealError::Header)?;
        let mut scan = Self { header, key, frames: Vec::new(), end: HEADER_BYTES as u64, len, is_closed: false };
        while let Some(frame) = scan.next_frame(file)? {
            scan.end = frame.end();
            scan.is_closed = frame.last;
            scan.frames.push(frame);
        }
        Ok(scan)
    }

    fn next_frame(&self, file: &File) -> io::Result<Option<Frame>> {
        if self.is_closed || self.end + (LEAD_BYTES + TAG_BYTES) as u64 > self.len {
            return Ok(None);
        }
        let mut length = [0; 4];
        file.read_exact_at(&mut length, self.end)?;
        let word = u32::from_le_bytes(length);
        let frame = Frame { at: self.end, from: self.sound_bytes(), sound: word & !LAST, last: word & LAST != 0 };
        let whole = frame.sound <= FRAME_BYTES_MAX && frame.end() <= self.len;
        // Only the end may be empty.
        Ok((whole && (frame.sound > 0 || frame.last)).then_some(frame))
    }

    pub(in crate::record) fn format(&self) -> Format {
        self.header.format
    }

    /// Of all frames.
    pub(in crate::record) fn sound_bytes(&self) -> u64 {
        self.frames.last().map_or(0, |frame| frame.from + u64::from(frame.sound))
    }

    /// Whether the last frame says that it is, and nothing follows.
    pub(in crate::record) fn is_whole(&self) -> bool {
        self.is_closed && self.end == self.len
    }

    /// Where whole frames end.
    pub(in crate::record) fn end(&self) -> u64 {
        self.end
    }

    /// Whether the last frame says that it is, whatever follows.
    pub(in crate::record) fn is_closed(&self) -> bool {
        self.is_closed
    }

    /// Leaves out the first frame that does not open, and all behind it: a machine that lost its power may have kept the
    /// place of some alone, and of later ones what was in them.
    pub(in crate::record) fn drop_torn(&mut self, file: &File) -> io::Result<()> {
        let opener = Opener::new(&self.key);
        for (index, frame) in self.frames.iter().copied().enumerate() {
            match opener.open(file, index, frame) {
                Ok(_) => {}
                Err(UnsealError::Io(error)) => return Err(error),
                Err(_) => {
                    (self.end, self.is_closed) = (frame.at, false);
                    self.frames.truncate(index);
                    break;
                }
            }
        }
        Ok(())
    }

    /// What seals the frames that are missing at the end.
    pub(in crate::record) fn sealer(&self) -> Sealer {
        Sealer::resume(&self.key, self.frames.len() as u64)
    }

    /// What the frames hold, also of a file that was not ended.
    pub(in crate::record) fn unsealed(self, file: File) -> Unsealed {
        let sound = self.sound_bytes();
        let head = match self.header.format {
            Format::Wav => wav::header(sound).to_vec(),
            Format::Opus => Vec::new(),
        };
        Unsealed { opener: Opener::new(&self.key), file, frames: self.frames, head, sound, position: 0, open: None }
    }
}

impl Frame {
    const fn end(self) -> u64 {
        self.at + LEAD_BYTES as u64 + self.sound as u64 + TAG_BYTES as u64
    }
}

/// A sealed file as a player wants it.
pub(in crate::record) struct Unsealed {
    file: File,
    opener: Opener,
    frames: Vec<Frame>,
    /// What stands before the sound and is not in the file.
    head: Vec<u8>,
    sound: u64,
    position: u64,
    /// The frame that was read last.
    open: Option<(usize, Vec<u8>)>,
}

impl Unsealed {
    /// Of a file that is whole.
    pub(in crate::record) fn open(file: File, masters: &[Master]) -> Result<Self, UnsealError> {
        let scan = Scan::read(&file, masters)?;
        if !scan.is_closed {
            return Err(UnsealError::Cut { bytes: scan.len });
        }
        if !scan.is_whole() {
            return Err(UnsealError::Longer { bytes: scan.end });
        }
        Ok(scan.unsealed(file))
    }

    pub(in crate::record) fn len(&self) -> u64 {
        self.head.len() as u64 + self.sound
    }

    fn read_sound(&mut self, at: u64, out: &mut [u8]) -> Result<usize, UnsealError> {
        let index = self.frames.partition_point(|frame| frame.from + u64::from(frame.sound) <= at);
        let Some(frame) = self.frames.get(index).copied() else { return Ok(0) };
        let sound = match &self.open {
            Some((open, sound)) if *open == index => sound,
            _ => &self.open.insert((index, self.opener.open(&self.file, index, frame)?)).1,
        };
        let rest = &sound[usize::try_from(at - frame.from).expect("within a frame")..];
        let count = rest.len().min(out.len());
        out[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

impl Read for Unsealed {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let head = self.head.len() as u64;
        let count = match usize::try_from(self.position) {
            Ok(at) if at < self.head.len() => (&self.head[at..]).read(out)?,
            _ => self.read_sound(self.position - head, out)?,
        };
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for Unsealed {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.len().checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = to.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

struct Opener(RandomizedNonceKey);

impl Opener {
    fn new(key: &Key) -> Self {
        Self(super::key_of(key.expose_secret()))
    }

    fn open(&self, file: &File, index: usize, frame: Frame) -> Result<Vec<u8>, UnsealError> {
        let mut bytes = vec![0; usize::try_from(frame.end() - frame.at).expect("a frame is small")];
        file.read_exact_at(&mut bytes, frame.at)?;
        let (lead, sealed) = bytes.split_at_mut(LEAD_BYTES);
        let length: [u8; 4] = lead[..4].try_into().expect("four bytes");
        let opened = self.0.open_in_place(nonce(&lead[4..]), bound(index as u64, length), sealed);
        if opened.is_err() {
            return Err(UnsealError::Frame { frame: index + 1, from: frame.at, to: frame.end() });
        }
        bytes.drain(..LEAD_BYTES);
        bytes.truncate(frame.sound as usize);
        Ok(bytes)
    }
}
