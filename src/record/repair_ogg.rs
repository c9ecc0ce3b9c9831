//! Ogg recordings that a crash left behind: cut after the last whole page, and ended there.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::Path;

use ogg::PacketReader;

use super::file::create_file;
use super::ogg::{headers, is_head, write_again};
use super::repair::{Part, RepairError};

/// The two header packets.
const HEADERS: usize = 2;

/// Repairs one file. It is written anew beside the old one and takes its place whole, so a crash meanwhile costs nothing.
pub(super) fn repair_ogg(path: &Path) -> Result<Part, RepairError> {
    let in_path = |cause| RepairError::Io(path.to_owned(), cause);
    match look(path).map_err(in_path)? {
        Found::Whole { samples } => Ok(Part { frames: samples, changed: false }),
        Found::Cut => {
            let frames = end_again(path).map_err(in_path)?;
            Ok(Part { frames, changed: true })
        }
        Found::Foreign => Err(RepairError::Foreign(path.to_owned())),
    }
}

enum Found {
    Whole { samples: u64 },
    Cut,
    Foreign,
}

fn look(path: &Path) -> io::Result<Found> {
    let mut packets = Packets::open(path)?;
    let Some(head) = packets.next() else {
        // The crash came while the first page was written, or the file is none of ours.
        let start = fs::read(path)?;
        return Ok(if headers().starts_with(&start) { Found::Cut } else { Found::Foreign });
    };
    if !is_head(&head?.data) {
        return Ok(Found::Foreign);
    }
    let mut ended = None;
    for packet in packets {
        let packet = packet?;
        ended = packet.last_in_stream().then(|| packet.absgp_page());
    }
    Ok(ended.map_or(Found::Cut, |granule| Found::Whole { samples: granule / 3 }))
}

fn end_again(path: &Path) -> io::Result<u64> {
    let beside = path.with_extension("opus.mended");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let sound = Packets::open(path)?.skip(HEADERS);
    let samples = write_again(
        create_file(&beside)?,
        sound.map(|packet| {
            packet.map(|packet| (packet.absgp_page(), packet.data)).map(|(granule, data)| (data, granule))
        }),
    )?;
    fs::rename(&beside, path)?;
    Ok(samples)
}

/// The packets of a file's whole pages; damage ends them.
struct Packets(PacketReader<BufReader<File>>);

impl Packets {
    fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(PacketReader::new(BufReader::new(File::open(path)?))))
    }
}

impl Iterator for Packets {
    type Item = io::Result<ogg::Packet>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.0.read_packet() {
            Ok(packet) => packet.map(Ok),
            Err(ogg::OggReadError::ReadError(error)) if error.kind() != io::ErrorKind::UnexpectedEof => {
                Some(Err(error))
            }
            Err(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;
    use crate::model::time::Clock;
    use crate::record::ogg::Ogg;
    use crate::record::repair::repair;

    /// Granule and bytes of each packet, and whether the last one says that it is.
    fn read(path: &Path) -> (Vec<(u64, Vec<u8>)>, bool) {
        let mut reader = PacketReader::new(File::open(path).unwrap());
        let (mut packets, mut ended) = (Vec::new(), false);
        while let Some(packet) = reader.read_packet().unwrap() {
            ended = packet.last_in_stream();
            packets.push((packet.absgp_page(), packet.data));
        }
        (packets, ended)
    }

    /// A finished recording of 100 frames less 5 ms, in pages of 26.
    fn recording(dir: &Path) -> std::path::PathBuf {
        let path = dir.join("rec_1.opus");
        let mut ogg = Ogg::create(&path, Clock.instant()).unwrap();
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
        let repaired = repair(&path).unwrap();
        assert_eq!((repaired.changed, repaired.duration_ms, repaired.bytes), (false, 1_995, before.len() as u64));
        assert_eq!(fs::read(&path).unwrap(), before);
        assert!(Ogg::create(&path, Clock.instant()).is_err(), "a recording was written over");
    }

    #[test]
    fn a_file_cut_anywhere_plays_to_its_last_whole_page_and_says_that_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let path = recording(dir.path());
        let (whole, bytes) = (read(&path).0, fs::read(&path).unwrap());
        let mut lengths = std::collections::BTreeSet::new();
        for len in 0..bytes.len() {
            fs::write(&path, &bytes[..len]).unwrap();
            let repaired = repair(&path).unwrap();
            assert!(repaired.changed, "{len}");
            let (packets, ended) = read(&path);
            assert!(ended, "{len}");
            // What nobody heard anything of is one frame of silence that is cut off whole.
            let frames = if repaired.duration_ms == 0 { 0 } else { packets.len() as u64 - 2 };
            assert_eq!(frames * 20, repaired.duration_ms, "{len}");
            assert!(
                packets.iter().zip(&whole).all(|(got, was)| got.1 == was.1 && (got.0 == was.0 || frames == 0)),
                "{len}"
            );
            assert!(!repair(&path).unwrap().changed, "{len}");
            lengths.insert(frames);
        }
        assert_eq!(lengths.into_iter().collect::<Vec<_>>(), [0, 25, 50, 75, 99]);
    }

    #[test]
    fn damage_ends_the_file_and_a_file_that_is_not_ours_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = recording(dir.path());
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(repair(&path).unwrap().duration_ms, 500);
        fs::write(&path, "not a recording").unwrap();
        assert!(matches!(repair(&path), Err(RepairError::Foreign(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "not a recording");
        // A crash in the midst of an earlier repair.
        fs::write(path.with_extension("opus.mended"), "half").unwrap();
        OpenOptions::new().write(true).truncate(true).open(&path).unwrap();
        assert_eq!(repair(&path).unwrap().duration_ms, 0);
        assert!(!path.with_extension("opus.mended").exists());
    }
}
