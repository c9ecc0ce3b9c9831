//! Altered recordings are found out, and where.

use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;

#[test]
fn a_recording_that_nobody_touched_is_as_it_was_recorded() {
    for (format, sealed) in KINDS {
        let site = Site::new(sealed);
        let report = site.verify(&site.record(format)).unwrap();
        assert_eq!((report.faults, report.sound_checked), (vec![], true), "{format} {sealed}");
        assert_eq!(report.manifest.sealed_with.is_some(), sealed);
        assert_eq!(report.manifest.chained_before_crash_ms, None);
    }
}

/// What is beside each other in one folder: names, and whether the chain tells where in it.
const FILES: [&str; 4] = ["", "chain", "json", "manifest.json"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, rng_seed: RngSeed::Fixed(4_110), ..ProptestConfig::default() })]
    #[test]
    fn one_changed_byte_anywhere_is_found_where_it_is(
        kind in 0..KINDS.len(), file in 0..FILES.len() + 3, at in any::<prop::sample::Index>(), by in 1..=255_u8,
    ) {
        let (format, sealed) = KINDS[kind];
        let site = Site::new(sealed);
        let path = site.record(format);
        let altered = match FILES.get(file) {
            // Most of it is sound.
            None | Some(&"") => path.clone(),
            Some(extension) => path.with_extension(extension),
        };
        let mut bytes = fs::read(&altered).unwrap();
        let at = at.index(bytes.len());
        bytes[at] ^= by;
        fs::write(&altered, &bytes).unwrap();
        let name = altered.file_name().unwrap().to_str().unwrap();
        match site.verify(&path) {
            Err(ManifestError::Altered { path, .. }) => prop_assert_eq!(path, altered),
            Err(ManifestError::Unsigned(path)) => prop_assert_eq!(path, altered),
            Err(other) => prop_assert!(false, "{}", other),
            Ok(report) => {
                prop_assert!(!name.ends_with("manifest.json"));
                prop_assert!(!report.faults.is_empty(), "byte {} of {} went unnoticed", at, name);
                for fault in &report.faults {
                    prop_assert_eq!(fault.name(), name);
                }
                let at = at as u64;
                let placed = report.faults.iter().any(|fault| match fault {
                    // A stretch of a tenth of a second.
                    Fault::Differs { from, to, samples, .. } => {
                        (*from..*to).contains(&at) && samples.1 - samples.0 <= 2 * 1_600
                    }
                    Fault::Header { byte, .. } => *byte == at,
                    Fault::Link { from, to, .. } => (*from..*to).contains(&at),
                    Fault::File { .. } => name.ends_with(".json") || at < 16,
                    _ => false,
                });
                prop_assert!(placed, "byte {} of {}: {:?}", at, name, report.faults);
            }
        }
    }
}

#[test]
fn the_last_word_on_consent_is_proven_like_the_first() {
    let consent = |state, opted_out_at| Consent {
        state,
        language: "en".to_owned(),
        sha256: "ab".repeat(32),
        length_ms: 900,
        announced_at: Some(Clock.now().wall),
        opt_out_key: Some('9'),
        opted_out_at,
    };
    for (format, sealed) in KINDS {
        let site = Site::new(sealed);
        let path = site.record(format);
        let now = Clock.now().wall;
        let last = consent(crate::model::recording::ConsentState::OptedOut, Some(now));
        assert!(amend_consent(&path, &last, &site.vault, now).unwrap());
        assert_eq!(Sidecar::read(&path).unwrap().consent.as_ref(), Some(&last));
        assert_eq!(site.verify(&path).unwrap().faults, vec![], "{format} {sealed}");
        assert!(!amend_consent(&path, &last, &site.vault, now).unwrap(), "it is said already");
        // A crash between details and manifest: the next attempt goes on.
        let mut details = Sidecar::read(&path).unwrap();
        details.consent = Some(consent(crate::model::recording::ConsentState::Announced, None));
        details.write(&path).unwrap();
        assert!(amend_consent(&path, details.consent.as_ref().unwrap(), &site.vault, now).unwrap());
        assert_eq!(site.verify(&path).unwrap().faults, vec![], "{format} {sealed}");
    }
    // Of one that a crash cut off it stays true how much was chained before.
    let site = Site::new(false);
    let (path, recording) = site.begin(Format::Wav);
    drop(recording);
    let known = CutOff {
        recording: RecordingId::parse("rec_1").unwrap(),
        call: CallId::parse("call_1").unwrap(),
        started_at: None,
        consent: Some(consent(crate::model::recording::ConsentState::Announced, None)),
        pauses: Vec::new(),
    };
    let now = Clock.now().wall;
    mend_and_certify(&path, known.clone(), &site.vault, now).unwrap();
    let before = site.verify(&path).unwrap().manifest.chained_before_crash_ms;
    let last = consent(crate::model::recording::ConsentState::OptedOut, Some(now));
    // The same mending once more, and now it is known.
    let again = CutOff { consent: Some(last.clone()), ..known };
    let details = mend_and_certify(&path, again, &site.vault, now).unwrap();
    assert_eq!((details.consent, before.is_some()), (Some(last), true));
    let report = site.verify(&path).unwrap();
    assert_eq!((report.faults, report.manifest.chained_before_crash_ms), (vec![], before));
}

#[test]
fn every_byte_a_file_begins_with_is_proven() {
    for (format, sealed) in KINDS {
        let site = Site::new(sealed);
        let path = site.record(format);
        let bytes = fs::read(&path).unwrap();
        for at in 0..100 {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            fs::write(&path, altered).unwrap();
            let faults = site.verify(&path).unwrap().faults;
            let placed = faults.iter().any(|fault| match fault {
                Fault::Header { byte, .. } => *byte == at as u64,
                Fault::Differs { from, to, .. } => *from <= at as u64 && *to < bytes.len() as u64 / 2,
                _ => false,
            });
            assert!(placed, "{format} {sealed} {at}: {faults:?}");
        }
    }
}

#[test]
fn what_was_altered_before_the_manifest_was_signed_is_found_by_the_chain() {
    for format in [Format::Wav, Format::Opus] {
        let check = |alter: &dyn Fn(&mut Vec<u8>), finds: &dyn Fn(&Fault) -> bool| {
            let site = Site::new(false);
            let (path, recording) = site.begin(format);
            recording.end();
            let mut bytes = fs::read(&path).unwrap();
            alter(&mut bytes);
            fs::write(&path, bytes).unwrap();
            site.sign(&path);
            let faults = site.verify(&path).unwrap().faults;
            assert!(faults.iter().any(finds), "{format}: {faults:?}");
        };
        check(
            &|bytes| bytes[900] ^= 1,
            &|fault| matches!(fault, Fault::Differs { from, to, .. } if (*from..*to).contains(&900)),
        );
        check(
            &|bytes| bytes.extend([0; 99]),
            &|fault| matches!(fault, Fault::Length { bytes, certified, .. } if *bytes == certified + 99),
        );
        check(&|bytes| bytes.truncate(bytes.len() - 99), &|fault| matches!(fault, Fault::Differs { .. }));
    }
}

#[test]
fn each_link_depends_on_all_before_it() {
    let root = |first: i16| {
        let site = Site::new(false);
        let path = site.path(Format::Wav);
        let mut wav = Wav::create(&path, Clock.instant(), &site.vault).unwrap();
        let now = Clock.instant() + FLUSH_EVERY * 2;
        wav.write(&[[first; 2]; 800]).unwrap();
        wav.flush_if_due(now).unwrap();
        wav.write(&[[7; 2]; 800]).unwrap();
        wav.finish().unwrap();
        site.sign(&path);
        site.verify(&path).unwrap().manifest.chain_root
    };
    assert_eq!(root(1), root(1));
    assert_ne!(root(1), root(2), "the last stretch is the same");
}

#[test]
fn what_is_cut_off_put_behind_taken_away_or_moved_is_found() {
    for (format, sealed) in KINDS {
        let case = format!("{format} {sealed}");
        let check = |change: &dyn Fn(&Path), finds: &dyn Fn(&Fault) -> bool| {
            let site = Site::new(sealed);
            let path = site.record(format);
            change(&path);
            let report = site.verify(&path).unwrap();
            assert!(report.faults.iter().any(finds), "{case}: {:?}", report.faults);
        };
        let len = |path: &Path| fs::metadata(path).unwrap().len();
        let resize = |path: &Path, len: u64| fs::File::options().write(true).open(path).unwrap().set_len(len).unwrap();
        check(
            &|path| resize(path, len(path) / 2),
            &|fault| matches!(fault, Fault::Length { bytes, certified, .. } if bytes < certified),
        );
        check(&|path| resize(path, len(path) / 2), &|fault| matches!(fault, Fault::Differs { .. }));
        check(
            &|path| resize(path, len(path) + 1),
            &|fault| matches!(fault, Fault::Length { bytes, certified, .. } if bytes > certified),
        );
        check(&|path| fs::remove_file(path).unwrap(), &|fault| matches!(fault, Fault::Missing { .. }));
        let chain = |path: &Path| path.with_extension("chain");
        check(&|path| fs::remove_file(chain(path)).unwrap(), &|fault| {
            *fault == Fault::Missing { name: "rec_1.chain".into() }
        });
        check(
            &|path| resize(&chain(path), len(&chain(path)) - 52),
            &|fault| matches!(fault, Fault::Length { name, .. } if name == "rec_1.chain"),
        );
        check(
            &|path| fs::write(path.with_extension("part2.wav"), "more").unwrap(),
            &|fault| matches!(fault, Fault::Length { name, certified: 0, .. } if name == "rec_1.part2.wav"),
        );
        // Two stretches in each other's place.
        check(
            &|path| {
                let mut bytes = fs::read(path).unwrap();
                let middle = bytes.len() / 2;
                bytes[middle - 500..middle + 500].rotate_left(500);
                fs::write(path, bytes).unwrap();
            },
            &|fault| matches!(fault, Fault::Differs { .. }),
        );
    }
}

#[test]
fn a_manifest_counts_only_if_the_trusted_key_signed_it() {
    let (site, other) = (Site::new(false), Site::new(false));
    let path = site.record(Format::Wav);
    let error = verify(&path, &other.vault.public_key().unwrap(), &site.vault).unwrap_err();
    let own = site.vault.public_key().unwrap().to_string();
    assert!(matches!(&error, ManifestError::OtherKey { signed_by, .. } if *signed_by == own), "{error}");
    // Somebody else signs the altered recording anew.
    let mut bytes = fs::read(&path).unwrap();
    bytes[1_000] ^= 1;
    fs::write(&path, bytes).unwrap();
    let forger = Site { dir: tempfile::tempdir().unwrap(), vault: other.vault.clone() };
    forger.sign(&path);
    assert!(matches!(site.verify(&path), Err(ManifestError::OtherKey { .. })));
    let manifest = fs::read_to_string(manifest_path(&path)).unwrap();
    let (before, _) = manifest.split_once("\"signature\":").unwrap();
    let after = manifest.split_once("\"signed_at\"").unwrap().1;
    fs::write(manifest_path(&path), format!("{before}\"signed_at\"{after}")).unwrap();
    assert!(matches!(site.verify(&path), Err(ManifestError::Unsigned(_))));
    fs::remove_file(manifest_path(&path)).unwrap();
    assert!(matches!(site.verify(&path), Err(ManifestError::Missing(_))));
}

#[test]
fn other_peoples_tools_check_the_signature() {
    let site = Site::new(false);
    let path = site.record(Format::Opus);
    let dir = site.dir.path();
    fs::write(dir.join("site.pem"), site.vault.public_key().unwrap().pem()).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let done = Command::new(program).args(arguments).current_dir(dir).stderr(Stdio::piped()).output();
        let done = done.unwrap_or_else(|_| panic!("{program} is there: make test installs it"));
        (done.status.success(), done.stdout)
    };
    let signature = run("jq", &["-r", ".signature", "rec_1.manifest.json"]).1;
    fs::write(dir.join("signature"), hex::decode(signature.trim_ascii()).unwrap()).unwrap();
    let signed = run("jq", &["-jcS", "del(.signature)", "rec_1.manifest.json"]).1;
    fs::write(dir.join("signed"), &signed).unwrap();
    let arguments =
        ["pkeyutl", "-verify", "-pubin", "-inkey", "site.pem", "-rawin", "-in", "signed", "-sigfile", "signature"];
    assert!(run("openssl", &arguments).0);
    fs::write(dir.join("signed"), [&signed[..], b" "].concat()).unwrap();
    assert!(!run("openssl", &arguments).0);
    assert!(site.verify(&path).unwrap().faults.is_empty());
}

#[test]
fn after_a_crash_the_chain_reaches_to_the_last_stretch_and_the_manifest_says_how_far() {
    for (format, sealed) in KINDS {
        let site = Site::new(sealed);
        let (path, recording) = site.begin(format);
        // As if the process was killed: nothing of what is in memory is written.
        std::mem::forget(recording);
        let repaired = repair(&path, &site.vault).unwrap();
        let details = details(&path, repaired.parts.clone(), repaired.sha256.clone());
        details.write(&path).unwrap();
        certify_repaired(&path, &details, &repaired, &site.vault, Clock.now().wall).unwrap();
        let report = site.verify(&path).unwrap();
        assert_eq!(report.faults, [], "{format} {sealed}");
        let before = report.manifest.chained_before_crash_ms.unwrap();
        assert!(repaired.duration_ms >= STRETCHES * 100 - 200, "{format} {sealed}: {repaired:?}");
        assert_eq!(before, repaired.duration_ms, "{format} {sealed}");
        assert!(!repair(&path, &site.vault).unwrap().changed);
        // Nobody repairs an alteration away.
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(!site.verify(&path).unwrap().faults.is_empty());
    }
}

#[test]
fn a_crash_at_any_byte_leaves_what_can_be_closed_and_signed() {
    for (format, sealed) in KINDS {
        let site = Site::new(sealed);
        let (path, recording) = site.begin(format);
        std::mem::forget(recording);
        let (bytes, chain) = (fs::read(&path).unwrap(), fs::read(path.with_extension("chain")).unwrap());
        let mut longest = 0;
        for len in (0..bytes.len()).step_by((bytes.len() / 97) | 1).chain([bytes.len() - 1, bytes.len()]) {
            fs::write(&path, &bytes[..len]).unwrap();
            // The chain is written after the sound; a power cut may leave it before.
            let links = if len % 2 == 0 { (chain.len() - 52) * len / bytes.len() } else { chain.len() };
            fs::write(path.with_extension("chain"), &chain[..links]).unwrap();
            let case = format!("{format} {sealed} {len}");
            let repaired = repair(&path, &site.vault).unwrap_or_else(|error| panic!("{case}: {error:?}"));
            let details = details(&path, repaired.parts.clone(), repaired.sha256.clone());
            details.write(&path).unwrap();
            certify_repaired(&path, &details, &repaired, &site.vault, Clock.now().wall).unwrap();
            let report = site.verify(&path).unwrap();
            assert_eq!(report.faults, [], "{case}");
            assert!(report.manifest.chained_before_crash_ms.unwrap() <= repaired.duration_ms, "{case}");
            assert!(repaired.duration_ms >= longest, "{case}");
            longest = repaired.duration_ms;
            assert!(
                read_sound(&path, &site.vault, crate::model::rtp::Side::Agent, 0, 9_000).unwrap().len() as u64 / 16
                    >= longest / 20 * 20,
                "{case}"
            );
        }
        assert!(longest >= STRETCHES * 100 - 200);
    }
}
