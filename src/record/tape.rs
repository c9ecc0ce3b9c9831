//! The bytes of a recording on their way to the disk: collected, sealed where there is a key, appended, and linked to the
//! chain, stretch by stretch.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::file::create_file;
use super::proof::Chain;
use super::seal::{LEAD_BYTES, Sealer};
use super::{Format, Vault};

/// A second of sound: a stretch is ended then, flushed or not.
const STRETCH_BYTES: usize = 64_000;

/// A file that only grows, and those that follow it when it is full.
pub(super) struct Tape {
    format: Format,
    vault: Vault,
    file: File,
    part: u32,
    sealer: Option<Sealer>,
    chain: Option<Chain>,
    /// Written already, and to be linked with the next stretch.
    unlinked: Vec<u8>,
    /// Not written yet: room for what a frame begins with, then sound.
    pending: Vec<u8>,
}

impl Tape {
    /// Creates the file of a new recording, and its chain where recordings are signed.
    pub(super) fn create(path: &Path, format: Format, vault: &Vault) -> io::Result<Self> {
        let chain = if vault.signs() { Some(Chain::create(path)?) } else { None };
        let (file, sealer, unlinked) = begin(path, format, vault)?;
        let pending = Vec::with_capacity(LEAD_BYTES + STRETCH_BYTES);
        let mut tape = Self { format, vault: vault.clone(), file, part: 1, sealer, chain, unlinked, pending };
        tape.make_room();
        Ok(tape)
    }

    /// Whether what is written is sound alone, without the file's header.
    pub(super) fn is_sealed(&self) -> bool {
        self.sealer.is_some()
    }

    pub(super) fn parts(&self) -> u32 {
        self.part
    }

    /// Bytes that no stretch holds yet.
    pub(super) fn pending(&self) -> usize {
        self.pending.len() - self.room()
    }

    /// Whether there is enough for a stretch.
    pub(super) fn is_full(&self) -> bool {
        self.pending() >= STRETCH_BYTES
    }

    /// Hands the pending bytes to the system as one stretch; the recording has `samples` with them.
    pub(super) fn end_stretch(&mut self, samples: u64) -> io::Result<()> {
        if self.pending() == 0 {
            return Ok(());
        }
        self.write_stretch(samples, false)
    }

    /// Goes on in the next file.
    pub(super) fn begin_part(&mut self, path: &Path, samples: u64) -> io::Result<()> {
        // First the new one: if there is no room for it, the old one is still in order.
        let (file, sealer, unlinked) = begin(path, self.format, &self.vault)?;
        self.finish(samples)?;
        (self.file, self.sealer, self.unlinked) = (file, sealer, unlinked);
        self.part += 1;
        Ok(())
    }

    /// Writes what is pending and, where it is sealed, that nothing follows.
    pub(super) fn finish(&mut self, samples: u64) -> io::Result<()> {
        match self.is_sealed() {
            true => self.write_stretch(samples, true),
            false => self.end_stretch(samples),
        }
    }

    /// Replaces what an open file begins with.
    pub(super) fn rewrite_start(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, 0)
    }

    fn write_stretch(&mut self, samples: u64, last: bool) -> io::Result<()> {
        if let Some(sealer) = &mut self.sealer {
            sealer.seal(&mut self.pending, last);
        }
        self.file.write_all(&self.pending)?;
        if let Some(chain) = &mut self.chain {
            chain.add(self.part, samples, [&self.unlinked, &self.pending])?;
        }
        self.unlinked.clear();
        self.pending.clear();
        self.make_room();
        Ok(())
    }

    fn make_room(&mut self) {
        self.pending.resize(self.room(), 0);
    }

    fn room(&self) -> usize {
        if self.is_sealed() { LEAD_BYTES } else { 0 }
    }
}

/// Collects; nothing is written before the stretch ends.
impl Write for Tape {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A new file, what seals it, and what it begins with.
fn begin(path: &Path, format: Format, vault: &Vault) -> io::Result<(File, Option<Sealer>, Vec<u8>)> {
    let mut file = create_file(path)?;
    let Some(master) = vault.sealing() else {
        return match format {
            // Counted in no stretch; it changes until the end.
            Format::Wav => file.write_all(&super::wav::header(0)).map(|()| (file, None, Vec::new())),
            Format::Opus => Ok((file, None, Vec::new())),
        };
    };
    let (header, sealer) = Sealer::begin(format, master);
    file.write_all(&header)?;
    Ok((file, Some(sealer), header.to_vec()))
}
