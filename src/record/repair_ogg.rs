//! Ogg recordings that a crash left behind: cut after the last whole page, and ended there. What was recorded stays as it
//! was, byte by byte, so that its chain still fits.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::ogg::{headers, is_head};
use super::pages::{Pages, nil_page};
use super::repair::{Part, RepairError, cut};

/// Repairs one file. Safe to repeat, also after a crash in the midst of it.
pub(super) fn repair_ogg(path: &Path) -> Result<Part, RepairError> {
    let in_path = |cause| RepairError::Io(path.to_owned(), cause);
    let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(in_path)?;
    let Some(found) = look(BufReader::new(&file)).map_err(in_path)? else {
        return Err(RepairError::Foreign(path.to_owned()));
    };
    if !found.is_ended {
        end(path, &mut file, &found).map_err(in_path)?;
    }
    Ok(Part { frames: found.granule / 3, changed: !found.is_ended })
}

/// How far a file goes.
pub(super) struct Found {
    pub(super) is_ended: bool,
    /// Behind the last whole page with whole packets; 0 unless both headers are there.
    pub(super) end: u64,
    pub(super) granule: u64,
    pages: u32,
}

impl Found {
    /// What is missing behind `end`.
    pub(super) fn ending(&self) -> Vec<u8> {
        match self.end {
            0 => [headers(), nil_page(0, HEADERS)].concat(),
            _ => nil_page(self.granule, self.pages),
        }
    }
}

/// The pages of the two header packets.
const HEADERS: u32 = 2;

/// `None` for a file that is none of ours.
pub(super) fn look(mut file: impl Read + Seek) -> io::Result<Option<Found>> {
    let mut found = Found { is_ended: false, end: 0, granule: 0, pages: 0 };
    for page in Pages::new(&mut file) {
        let page = page?;
        if page.sequence == 0 && !is_head(&page.body) {
            return Ok(None);
        }
        if !page.is_open && page.sequence + 1 >= HEADERS {
            found = Found { is_ended: page.is_last, end: page.end, granule: page.granule, pages: page.sequence + 1 };
        }
    }
    if found.end > 0 {
        return Ok(Some(found));
    }
    // The crash came while the first pages were written, or the file is none of ours.
    let (headers, mut start) = (headers(), Vec::new());
    file.seek(SeekFrom::Start(0))?;
    file.take(headers.len() as u64 + 1).read_to_end(&mut start)?;
    Ok(headers.starts_with(&start).then_some(found))
}

fn end(path: &Path, file: &mut File, found: &Found) -> io::Result<()> {
    cut(path, file, found.end)?;
    file.seek(SeekFrom::Start(found.end))?;
    file.write_all(&found.ending())?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use ogg::PacketReader;

    use super::*;
    use crate::model::time::Clock;
    use crate::record::Vault;
    use crate::record::ogg::Ogg;
    use crate::record::repair;

    /// Granule and bytes of each packet, and whether the last one says that it is.
    fn read(path: &Path) -> (Vec<(u64, Vec<u8>)>, bool) {
        let mut reader = PacketReader::new(File::open(path).unwrap());
        let mut packets = Vec::new();
        while let Some(packet) = reader.read_packet().unwrap() {
            packets.push((packet.absgp_page(), packet.data));
        }
        // The flag of the last page, which may hold no packet.
        let bytes = fs::read(path).unwrap();
        let last = bytes.windows(5).rposition(|five| five == b"OggS\0").unwrap();
        (packets, bytes[last + 5] & 4 != 0)
    }

    /// A finished recording of 100 frames less 5 ms, in pages of 26.
    fn recording(dir: &Path) -> std::path::PathBuf {
        let path = dir.join("rec_1.opus");
        let mut ogg = Ogg::create(&path, Clock.instant(), &Vault::default()).unwrap();
        ogg.write_silence(100).unwrap();
        ogg.finish(100 * 320 - 80).unwrap();
        path
    }

    #[test]
    fn a_finished_file_says_how_long_it_is_and_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = recording(dir.path());
        let (packets, ended) = read(&path);
        assert_eq!((packets.len(), packets.last().unwrap().0, ended), (102, (100 * 320 - 80) * 3, true));
        let before = fs::read(&path).unwrap();
        let repaired = repair(&path, &Vault::default()).unwrap();
        assert_eq!((repaired.changed, repaired.duration_ms, repaired.bytes), (false, 1_995, before.len() as u64));
        assert_eq!(fs::read(&path).unwrap(), before);
        assert!(Ogg::create(&path, Clock.instant(), &Vault::default()).is_err(), "a recording was written over");
    }

    #[test]
    fn a_file_cut_anywhere_plays_to_its_last_whole_page_and_says_that_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let path = recording(dir.path());
        let (whole, bytes) = (read(&path).0, fs::read(&path).unwrap());
        let mut lengths = std::collections::BTreeSet::new();
        for len in 0..bytes.len() {
            fs::write(&path, &bytes[..len]).unwrap();
            let repaired = repair(&path, &Vault::default()).unwrap();
            assert!(repaired.changed, "{len}");
            let (packets, ended) = read(&path);
            assert!(ended, "{len}");
            let frames = packets.len() as u64 - 2;
            assert_eq!(frames * 20, repaired.duration_ms, "{len}");
            assert!(packets.iter().zip(&whole).all(|(got, was)| got == was), "{len}");
            let kept = fs::read(&path).unwrap();
            assert!(bytes.starts_with(&kept[..kept.len() - 27]), "{len}: what was recorded was changed");
            assert!(!repair(&path, &Vault::default()).unwrap().changed, "{len}");
            lengths.insert(frames);
        }
        assert_eq!(lengths.into_iter().collect::<Vec<_>>(), [0, 25, 50, 75, 99]);
    }

    #[test]
    fn what_follows_damage_in_the_midst_is_kept_beside_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rec_1.opus");
        let mut ogg = Ogg::create(&path, Clock.instant(), &Vault::default()).unwrap();
        (0..3_000).for_each(|frame| ogg.write_packet(vec![frame as u8; 200]).unwrap());
        ogg.finish(3_000 * 320).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        bytes[9_000] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(repair(&path, &Vault::default()).unwrap().duration_ms, 500);
        let kept = fs::read(dir.path().join("rec_1.torn")).unwrap();
        let end = bytes.len() - kept.len();
        assert!(kept == bytes[end..] && fs::read(&path).unwrap()[..end] == bytes[..end]);
        assert!(!repair(&path, &Vault::default()).unwrap().changed);
    }

    #[test]
    fn damage_ends_the_file_and_a_file_that_is_not_ours_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = recording(dir.path());
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(repair(&path, &Vault::default()).unwrap().duration_ms, 500);
        fs::write(&path, "not a recording").unwrap();
        assert!(matches!(repair(&path, &Vault::default()), Err(RepairError::Foreign(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "not a recording");
        OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
        assert_eq!(repair(&path, &Vault::default()).unwrap().duration_ms, 0);
    }
}
