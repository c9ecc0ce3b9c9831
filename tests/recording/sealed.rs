//! Sealed recordings, killed.

use std::path::Path;

use tandem::model::id::CallId;
use tandem::model::rtp::Side;
use tandem::model::time::Clock;
use tandem::record::{Config, Format, Sidecar, Vault, certify_repaired, generate_key, read_sound, repair, verify};

use crate::{CUSTOMER_HZ, House, PATIENCE, Shard, Twin, began, path_in, recording_id, say_when_it_began, share, wait};

/// One recording of each.
const FORMATS: [Format; 2] = [Format::Wav, Format::Opus];

#[test]
fn after_kill_9_a_sealed_recording_was_noise_plays_almost_to_the_kill_and_proves_it() {
    let dir = tempfile::tempdir().unwrap();
    let vault = vault(dir.path());
    let mut child = Twin::run("sealed::twin_records_sealed_until_it_is_killed", dir.path(), &[]);
    let began = began(dir.path());
    let paths = [0, 1].map(|call| path_in(dir.path(), call, began, FORMATS[call as usize]));
    wait(|| (std::fs::metadata(&paths[0]).ok()?.len() > 200_000).then_some(()));
    wait(|| (std::fs::metadata(&paths[1]).ok()?.len() > 20_000).then_some(()));
    let killed = Clock.now().wall.since(began).as_millis() as u64;
    child.0.kill().unwrap();
    child.0.wait().unwrap();

    for (path, call) in paths.iter().zip(0..) {
        for file in [path.clone(), path.with_extension("chain")] {
            let bytes = std::fs::read(&file).unwrap();
            for magic in [&b"RIFF"[..], b"WAVE", b"OggS", b"Opus"] {
                assert!(!bytes.windows(4).any(|some| some == magic), "{} holds {magic:?}", file.display());
            }
        }
        let repaired = repair(path, &vault).unwrap();
        assert!(repaired.changed && killed <= repaired.duration_ms + 1_000, "{} of {killed}", repaired.duration_ms);
        let last =
            read_sound(path, &vault, Side::Customer, repaired.duration_ms - 1_000, repaired.duration_ms).unwrap();
        assert!(last.len() > 15_000 && share(&last, CUSTOMER_HZ) > 0.8, "{}", last.len());
        let details = Sidecar {
            consent: None,
            recording_id: recording_id(call),
            call_id: CallId::generate(),
            format: Format::of(path),
            started_at: None,
            duration_ms: repaired.duration_ms,
            gaps: 0,
            pauses: Vec::new(),
            customer: None,
            agent: None,
            parts: repaired.parts.clone(),
            sha256: repaired.sha256.clone(),
            redacted: None,
        };
        details.write(path).unwrap();
        certify_repaired(path, &details, &repaired, &vault, Clock.now().wall).unwrap();
        let report = verify(path, &vault.public_key().unwrap(), &vault).unwrap();
        assert!(report.faults.is_empty() && report.sound_checked, "{:?}", report.faults);
        let chained = report.manifest.chained_before_crash_ms.unwrap();
        assert!(killed <= chained + 2_000, "{chained} of {killed}");
    }
}

/// Runs only when [`Twin`] asks for it: two calls talk until somebody kills this process.
#[test]
fn twin_records_sealed_until_it_is_killed() {
    let Some(dir) = Twin::asked() else { return };
    let house = House::start_with(&dir, vault(&dir));
    for (call, format) in (0..).zip(FORMATS) {
        house.record_as(call, format);
    }
    let mut shard = Shard::start(house.ring, &[0, 1]);
    say_when_it_began(&dir);
    shard.talk_until(PATIENCE);
    panic!("nobody killed this process");
}

/// The keys of a folder, the same for whoever asks.
fn vault(dir: &Path) -> Vault {
    let encryption_key_file = dir.join("sealing.key");
    if !encryption_key_file.exists() {
        std::fs::write(&encryption_key_file, generate_key()).unwrap();
    }
    Vault::open(&Config { encryption_key_file, ..Config::default() }, dir).unwrap()
}
