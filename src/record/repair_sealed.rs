//! Sealed recordings that a crash left behind: frames that were half written go, and a last one says that it is.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::repair::{Part, RepairError, cut};
use super::repair_ogg::look;
use super::seal::{HEADER_BYTES, LEAD_BYTES, Scan, Sealer, UnsealError};
use super::wav::FRAME_BYTES;
use super::{Format, Vault};

/// Repairs one file. Safe to repeat, also after a crash in the midst of it.
pub(super) fn repair_sealed(path: &Path, vault: &Vault) -> Result<Part, RepairError> {
    let in_path = |cause| RepairError::Io(path.to_owned(), cause);
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(in_path)?;
    let mut scan = match Scan::read(&file, vault.masters()) {
        Err(UnsealError::Cut { .. }) => return begin_again(path, &file, vault).map_err(in_path),
        scan => scan.map_err(|error| in_path(error.into()))?,
    };
    if scan.is_whole() {
        let whole = scan.unsealed(file.try_clone().map_err(in_path)?);
        return Ok(Part { frames: samples(path, whole).map_err(in_path)?, changed: false });
    }
    scan.drop_torn(&file).map_err(in_path)?;
    let end = scan.end();
    if scan.is_closed() {
        // It was ended, and somebody put something behind it.
        cut(path, &file, end).and_then(|()| file.sync_data()).map_err(in_path)?;
        let whole = scan.unsealed(file);
        return Ok(Part { frames: samples(path, whole).map_err(in_path)?, changed: true });
    }
    let sealer = scan.sealer();
    let (format, sound) = (scan.format(), scan.sound_bytes());
    let (frames, ending) = match format {
        Format::Wav => (sound / FRAME_BYTES, Vec::new()),
        Format::Opus => match look(scan.unsealed(file.try_clone().map_err(in_path)?)).map_err(in_path)? {
            // Frames end with pages.
            Some(found) if found.end == sound => (found.granule / 3, found.ending()),
            _ => return Err(RepairError::Damaged { path: path.to_owned(), byte: end }),
        },
    };
    cut(path, &file, end).and_then(|()| close(&file, end, sealer, &ending)).map_err(in_path)?;
    Ok(Part { frames, changed: true })
}

/// The crash came while the header was written: there is no key, and nothing that it would open.
fn begin_again(path: &Path, file: &File, vault: &Vault) -> io::Result<Part> {
    let Some(master) = vault.sealing() else {
        return Err(io::Error::other("it holds nothing yet, and recordings are no longer sealed here"));
    };
    let format = Format::of(path);
    let (header, sealer) = Sealer::begin(format, master);
    file.set_len(0)?;
    file.write_all_at(&header, 0)?;
    let ending = match format {
        Format::Wav => Vec::new(),
        Format::Opus => look(io::empty())?.map(|found| found.ending()).unwrap_or_default(),
    };
    close(file, HEADER_BYTES as u64, sealer, &ending)?;
    Ok(Part { frames: 0, changed: true })
}

fn close(file: &File, end: u64, mut sealer: Sealer, ending: &[u8]) -> io::Result<()> {
    let mut frame = vec![0; LEAD_BYTES];
    frame.extend_from_slice(ending);
    sealer.seal(&mut frame, true);
    file.set_len(end)?;
    file.write_all_at(&frame, end)?;
    file.sync_data()
}

fn samples(path: &Path, whole: super::seal::Unsealed) -> io::Result<u64> {
    match Format::of(path) {
        Format::Wav => Ok((whole.len() - super::wav::HEADER_BYTES) / FRAME_BYTES),
        Format::Opus => Ok(look(io::BufReader::new(whole))?.map_or(0, |found| found.granule / 3)),
    }
}
