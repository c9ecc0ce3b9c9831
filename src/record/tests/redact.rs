//! Redacted copies: silent where they were cut, everything else as it was, and proof of what they were made of.

use std::io::Cursor;

use ::ogg::PacketReader;

use super::*;

const CUT: Cut = Cut { from_ms: 300, to_ms: 510 };

impl Site {
    fn redact(&self, original: &Path, name: &str, cuts: &[Cut]) -> Result<(PathBuf, Sidecar), RedactError> {
        let out = self.dir.path().join(name).with_extension(Format::of(original).extension());
        redact(original, &out, cuts, &self.vault, Clock.now().wall).map(|details| (out, details))
    }

    /// In units of 20 ms: the sound as it is heard, and what stands for silence.
    fn frames(&self, path: &Path) -> Vec<Vec<u8>> {
        let bytes = played(path, &self.vault).unwrap();
        match Format::of(path) {
            Format::Wav => bytes[44..].chunks(320 * 4).map(<[u8]>::to_vec).collect(),
            Format::Opus => {
                let mut packets = PacketReader::new(Cursor::new(bytes));
                std::iter::from_fn(|| packets.read_packet().unwrap()).skip(2).map(|packet| packet.data).collect()
            }
        }
    }
}

#[test]
fn a_copy_is_silent_where_it_was_cut_and_nowhere_else_and_proves_what_it_was_made_of() {
    for (format, sealed) in KINDS {
        let site = Site::new(sealed);
        let original = site.record(format);
        let (copy, details) = site.redact(&original, "for_the_court", &[CUT]).unwrap();
        assert_eq!((details.duration_ms, &details.call_id), (1_200, &CallId::parse("call_1").unwrap()));
        let (before, after) = (site.frames(&original), site.frames(&copy));
        assert_eq!(before.len(), after.len(), "{format}");
        // From the 15th frame to the middle of the 25th; in Ogg all of it, and the one that repeats it.
        let changed: Vec<usize> = (0..after.len()).filter(|i| before[*i] != after[*i]).collect();
        let last = if format == Format::Wav { 25 } else { 26 };
        assert_eq!(changed, (15..=last).collect::<Vec<_>>(), "{format} {sealed}");
        let silence = if format == Format::Wav { vec![0; 1_280] } else { after[15].clone() };
        assert!(after[15..25].iter().all(|frame| *frame == silence), "{format}");

        let report = site.verify(&copy).unwrap();
        assert_eq!((report.faults, report.sound_checked), (vec![], true), "{format} {sealed}");
        let redacted = report.manifest.redacted.unwrap();
        let first = site.verify(&original).unwrap();
        assert_eq!((first.faults, first.manifest.redacted), (vec![], None), "the original stays as it is");
        assert_eq!(redacted.recording_id, first.manifest.recording_id);
        assert_eq!((redacted.chain_root, redacted.cuts), (first.manifest.chain_root, vec![CUT]));
        assert_ne!(report.manifest.recording_id, redacted.recording_id);
    }
}

#[test]
fn what_was_altered_or_is_not_there_is_not_redacted_and_nothing_is_left() {
    let site = Site::new(false);
    let original = site.record(Format::Wav);
    let refused = |original: &Path, name: &str, cut: Cut| {
        let error = site.redact(original, name, &[cut]).unwrap_err();
        let left = fs::read_dir(site.dir.path())
            .unwrap()
            .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("copy"));
        assert_eq!(left.count(), 0);
        error.to_string()
    };
    for (from_ms, to_ms) in [(100, 100), (200, 100), (1_100, 1_201)] {
        let told = refused(&original, "copy", Cut { from_ms, to_ms });
        assert!(told.contains("it is 1.2 s long"), "{told}");
    }
    let whole = Cut { from_ms: 0, to_ms: 1_200 };
    let (all, _) = site.redact(&original, "all", &[whole]).unwrap();
    assert!(site.frames(&all).iter().all(|frame| frame.iter().all(|byte| *byte == 0)));
    // What is there is never written over.
    assert!(matches!(site.redact(&original, "all", &[CUT]).unwrap_err(), RedactError::Io(_)));
    assert_eq!(site.verify(&all).unwrap().faults, []);

    let mut bytes = fs::read(&original).unwrap();
    bytes[5_000] ^= 1;
    fs::write(&original, bytes).unwrap();
    let told = refused(&original, "copy", CUT);
    assert!(told.contains("not as it was recorded"), "{told}");
    fs::remove_file(manifest_path(&original)).unwrap();
    let told = refused(&original, "copy", CUT);
    assert!(told.contains("there is no manifest"), "{told}");
}
