//! Sealed recordings give nothing away, and nothing in for something else.

use std::io::{Read, Seek, SeekFrom};

use super::*;
use crate::model::rtp::Side;

#[test]
fn what_is_played_is_what_an_unsealed_recording_holds() {
    for format in [Format::Wav, Format::Opus] {
        let (open, sealed) = (Site::new(false), Site::new(true));
        let (plain, path) = (open.record(format), sealed.record(format));
        let bytes = fs::read(&plain).unwrap();
        assert_eq!(played(&path, &sealed.vault).unwrap(), bytes, "{format}");
        let mut sound = Playback::open(&path, &sealed.vault).unwrap();
        assert_eq!((sound.is_sealed(), sound.len()), (true, bytes.len() as u64));
        // From anywhere, across frames.
        for at in (0..bytes.len()).step_by(997) {
            let mut part = vec![0; (bytes.len() - at).min(9_000)];
            sound.seek(SeekFrom::Start(at as u64)).unwrap();
            sound.read_exact(&mut part).unwrap();
            assert_eq!(part, bytes[at..at + part.len()], "{format} {at}");
        }
        assert_eq!(sound.seek(SeekFrom::End(0)).unwrap(), bytes.len() as u64);
        assert_eq!(sound.read(&mut [0; 9]).unwrap(), 0);
        for (side, from, to) in [(Side::Customer, 0, 60_000), (Side::Agent, 333, 777)] {
            let heard = read_sound(&path, &sealed.vault, side, from, to).unwrap();
            assert_eq!(heard, read_sound(&plain, &open.vault, side, from, to).unwrap(), "{format}");
            assert!(heard.iter().any(|&sample| sample != 0));
        }
    }
}

#[test]
fn nothing_on_the_disk_shows_what_it_is_or_what_was_said() {
    for format in [Format::Wav, Format::Opus] {
        let site = Site::new(true);
        let plain = Site::new(false);
        let sound = fs::read(plain.record(format)).unwrap();
        let (path, recording) = site.begin(format);
        let check = |moment: &str| {
            for entry in fs::read_dir(site.dir.path()).unwrap() {
                let file = entry.unwrap().path();
                let bytes = fs::read(&file).unwrap();
                let has = |known: &[u8]| bytes.windows(known.len()).any(|some| some == known);
                for magic in [&b"RIFF"[..], b"WAVE", b"OggS", b"OpusHead"] {
                    assert!(!has(magic), "{format} {moment}: {} has {magic:?}", file.display());
                }
                for at in (100..sound.len() - 12).step_by(333) {
                    assert!(!has(&sound[at..at + 12]), "{format} {moment}: {} has sound", file.display());
                }
            }
        };
        check("while it is written");
        std::mem::forget(recording);
        let repaired = repair(&path, &site.vault).unwrap();
        assert!(repaired.changed && repaired.samples > 16_000);
        check("after a crash");
        fs::remove_file(&path).unwrap();
        fs::remove_file(path.with_extension("chain")).unwrap();
        site.record(format);
        check("in the end");
    }
}

#[test]
fn a_byte_that_was_changed_is_never_played() {
    for format in [Format::Wav, Format::Opus] {
        let site = Site::new(true);
        let path = site.record(format);
        let bytes = fs::read(&path).unwrap();
        let step = (bytes.len() / 400).max(1);
        for at in (0..200).chain((200..bytes.len()).step_by(step)) {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            fs::write(&path, &changed).unwrap();
            // What does not begin as sealed is played as it is: noise, in no format at all.
            let magic = at < 8;
            assert_eq!(played(&path, &site.vault).is_err(), !magic, "{format} {at}");
            assert!(read_sound(&path, &site.vault, Side::Agent, 0, 9_000).is_err(), "{format} {at}");
        }
    }
}

/// Where the frames of a sealed file begin, and its end.
fn frames(bytes: &[u8]) -> Vec<usize> {
    let mut at = vec![seal::HEADER_BYTES];
    while *at.last().unwrap() < bytes.len() {
        let from = *at.last().unwrap();
        let sound = u32::from_le_bytes(bytes[from..from + 4].try_into().unwrap()) & !(1 << 31);
        at.push(from + seal::LEAD_BYTES + sound as usize + seal::TAG_BYTES);
    }
    at
}

#[test]
fn frames_that_are_missing_moved_doubled_or_somebody_elses_are_refused() {
    let (site, other) = (Site::new(true), Site::new(true));
    let path = site.record(Format::Wav);
    let (bytes, foreign) = (fs::read(&path).unwrap(), fs::read(other.record(Format::Wav)).unwrap());
    let at = frames(&bytes);
    assert!(at.len() as u64 > STRETCHES && *at.last().unwrap() == bytes.len());
    let check = |what: &str, bytes: Vec<u8>, why: &str| {
        fs::write(&path, bytes).unwrap();
        let Err(error) = played(&path, &site.vault) else { panic!("{what}: it is played") };
        let error = error.to_string();
        assert!(error.contains(why), "{what}: {error}");
    };
    check("the last one is missing", bytes[..at[at.len() - 2]].to_vec(), "its end is missing");
    check("the end is torn", bytes[..bytes.len() - 1].to_vec(), "its end is missing");
    check("the header is torn", bytes[..40].to_vec(), "its end is missing");
    check("one in the midst is missing", [&bytes[..at[3]], &bytes[at[4]..]].concat(), "frame 4");
    check(
        "two are exchanged",
        [&bytes[..at[3]], &bytes[at[4]..at[5]], &bytes[at[3]..at[4]], &bytes[at[5]..]].concat(),
        "frame 4",
    );
    check("one comes twice", [&bytes[..at[4]], &bytes[at[3]..]].concat(), "frame 5");
    check("one is another's", [&bytes[..at[3]], &foreign[at[3]..at[4]], &bytes[at[4]..]].concat(), "frame 4");
    check("something follows", [&bytes[..], b"x"].concat(), "behind its end");
    check("it is another's as a whole", foreign, "sealed with the key");
    fs::write(&path, &bytes).unwrap();
    assert!(played(&path, &site.vault).is_ok());
}

#[test]
fn a_repair_takes_away_what_a_crash_can_have_torn_and_no_more() {
    let site = Site::new(true);
    let (path, recording) = site.begin(Format::Wav);
    drop(recording);
    let bytes = fs::read(&path).unwrap();
    let at = frames(&bytes);
    let whole = repair(&path, &site.vault).unwrap();
    let check = |what: &str, bytes: Vec<u8>, samples: u64| {
        fs::write(&path, bytes).unwrap();
        let repaired = repair(&path, &site.vault).unwrap();
        assert_eq!((repaired.changed, repaired.samples), (true, samples), "{what}");
        let kept = played(&path, &site.vault).unwrap();
        assert_eq!(kept.len() as u64, 44 + 4 * samples, "{what}");
    };
    check("a frame is half there", bytes[..bytes.len() - 100].to_vec(), whole.samples - 1_600);
    let mut zeros = bytes.clone();
    zeros[at[at.len() - 2] + 40..].fill(0);
    check("a power cut kept the place of a frame alone", zeros.clone(), whole.samples - 1_600);
    zeros.extend([0; 9_000]);
    check("or of what followed it", zeros, whole.samples - 1_600);
    let mut some = bytes.clone();
    for frame in [at.len() - 5, at.len() - 3] {
        some[at[frame] + 40..at[frame + 1]].fill(0);
    }
    check("or of several frames, and not of those between them", some, 1_600 * (at.len() as u64 - 5));
    let ended = {
        fs::write(&path, &bytes).unwrap();
        repair(&path, &site.vault).unwrap();
        fs::read(&path).unwrap()
    };
    check("something was put behind its end", [&ended[..], b"x"].concat(), whole.samples);
    assert_eq!(fs::read(&path).unwrap(), ended, "it ends once");
    assert!(!repair(&path, &site.vault).unwrap().changed && !path.with_extension("torn").exists());
    // A length in the midst: most of the recording goes, and is kept.
    let mut long = bytes.repeat(6);
    long[at[2] + 2] = 0xff;
    check("it is damaged in the midst", long.clone(), 2 * 1_600);
    assert!(fs::read(path.with_extension("torn")).unwrap() == long[at[2]..]);
    // Another's key.
    fs::write(&path, &bytes).unwrap();
    assert!(repair(&path, &Site::new(true).vault).is_err());
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_new_master_key_seals_what_is_new_and_the_former_ones_open_what_is_old() {
    let site = Site::new(true);
    let old = site.record(Format::Opus);
    let sound = played(&old, &site.vault).unwrap();
    let dir = site.dir.path();
    fs::rename(dir.join("sealing.key"), dir.join("2025.key")).unwrap();
    let lost = Vault::open(&config(dir, true, &[]), dir).unwrap();
    let error = Playback::open(&old, &lost).err().unwrap();
    assert!(error.missing_key().is_some());
    assert!(std::io::Error::from(error).to_string().contains("recording.former_encryption_key_files"));
    let report = verify(&old, &site.vault.public_key().unwrap(), &lost).unwrap();
    assert_eq!((report.faults, report.sound_checked), (vec![], false), "the sealed file is checked without the key");

    let both = Vault::open(&config(dir, true, &["2025.key"]), dir).unwrap();
    assert_eq!(played(&old, &both).unwrap(), sound);
    let new = dir.join("rec_2.opus");
    Recording::begin(&new, Format::Opus, &both).end();
    assert_eq!(played(&new, &both).unwrap(), sound);
    assert_eq!(played(&new, &lost).unwrap(), sound, "the new key sealed it");
    // Only the former ones are left: nothing new is sealed, everything old opens.
    let reading = Vault::open(&config(dir, false, &["sealing.key", "2025.key"]), dir).unwrap();
    assert!(played(&new, &reading).is_ok() && played(&old, &reading).is_ok());
    let third = dir.join("rec_3.opus");
    Recording::begin(&third, Format::Opus, &reading).end();
    assert!(!Playback::open(&third, &reading).unwrap().is_sealed());
}

#[test]
fn a_key_that_cannot_be_had_keeps_the_gateway_from_starting_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let check = |config: Config, says: &[&str]| {
        let error = Vault::open(&config, dir.path()).unwrap_err().to_string();
        assert!(says.iter().all(|part| error.contains(part)), "{error}");
    };
    let config = Config::default;
    let absent = dir.path().join("absent.key");
    check(Config { encryption_key_file: absent.clone(), ..config() }, &["recording.encryption_key_file", "absent.key"]);
    check(Config { signing_key_file: absent.clone(), ..config() }, &["recording.signing_key_file"]);
    check(Config { former_encryption_key_files: vec![absent], ..config() }, &["recording.former_encryption_key_files"]);
    let short = dir.path().join("short.key");
    fs::write(&short, "abcd").unwrap();
    check(Config { encryption_key_file: short, ..config() }, &["short.key", "64 hex digits", "tandem key generate"]);
    let site = Site::new(true);
    for key in ["site.key", "sealing.key"] {
        let key = fs::read_to_string(site.dir.path().join(key)).unwrap();
        assert!(!format!("{:?}", site.vault).contains(key.trim()), "a log would show a key");
    }
}

#[test]
fn a_recording_of_several_parts_is_sealed_proven_and_heard_as_one() {
    for sealed in [false, true] {
        let site = Site::new(sealed);
        let path = site.path(Format::Wav);
        let mut wav = Wav::create(&path, Clock.instant(), &site.vault).unwrap();
        wav.limit_parts(5_000);
        wav.write(&samples()).unwrap();
        wav.finish().unwrap();
        site.sign(&path);
        let report = site.verify(&path).unwrap();
        assert_eq!((report.faults, report.manifest.parts.len()), (vec![], 4), "{sealed}");
        let want: Vec<i16> = samples().iter().map(|sample| sample[1]).collect();
        assert_eq!(read_sound(&path, &site.vault, Side::Agent, 0, 60_000).unwrap(), want);
        let parts: Vec<i16> = (1..=4)
            .flat_map(|part| {
                let bytes = played(&part_path(&path, part), &site.vault).unwrap();
                hound::WavReader::new(&bytes[..]).unwrap().into_samples::<i16>().map(Result::unwrap).collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(parts.as_chunks::<2>().0, samples());
        // One byte of the third.
        let third = part_path(&path, 3);
        let mut bytes = fs::read(&third).unwrap();
        bytes[9_000] ^= 1;
        fs::write(&third, bytes).unwrap();
        let faults = site.verify(&path).unwrap().faults;
        assert!(
            faults.iter().any(|fault| matches!(fault, Fault::Differs { name, samples, .. }
                if name == "rec_1.part3.wav" && samples.0 >= 10_000 && samples.1 <= 15_000)),
            "{faults:?}"
        );
    }
}
