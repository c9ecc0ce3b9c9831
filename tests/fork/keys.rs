//! What comes back from a worker is signed and sealed as if it had been recorded here, or the worker is not used.

use std::path::Path;
use std::time::Duration;

use tandem::config::Config;
use tandem::model::recording::{Consent, ConsentState};
use tandem::model::time::Clock;
use tandem::record::{Format, Manifest, Sidecar, verify};
use tandem::worker::Worker;

use super::program::key_file;
use super::world::{CUSTOMER_HZ, Gateway, Log, Shard, config, read_with, tone, until, worker_config};

/// Both ends, changed alike or not.
fn begin(dir: &Path, change: impl Fn(&mut Config, bool)) -> (Worker, Config) {
    let mut there = worker_config(&dir.join("worker"));
    change(&mut there, true);
    let worker = Worker::start(&there, None).unwrap();
    let mut here = config(dir, worker.address(), worker.fingerprint());
    change(&mut here, false);
    (worker, here)
}

/// Files beneath a folder that begin like sound anybody can play.
fn open_sound(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            found.extend(open_sound(&entry));
        } else if let Ok(bytes) = std::fs::read(&entry)
            && (bytes.starts_with(b"RIFF") || bytes.starts_with(b"OggS"))
        {
            found.push(entry.display().to_string());
        }
    }
    found
}

async fn sealed(format: Format) {
    let dir = tempfile::tempdir().unwrap();
    let (worker, config) = begin(dir.path(), |config, _| {
        config.recording.encryption_key_file = key_file(&config.data.dir, "master.key", 9);
        config.recording.format = format;
    });
    let mut gateway = Gateway::start(&config);
    until("the worker is connected", || gateway.forks.stats().connected == 1).await;
    let announced = Consent {
        state: ConsentState::Announced,
        language: "en".to_owned(),
        sha256: "ab".repeat(32),
        length_ms: 900,
        announced_at: Some(Clock.now().wall),
        opt_out_key: Some('9'),
        opted_out_at: None,
    };
    let path = gateway.record_announced(1, announced.clone());
    let mut shard = Shard::start(gateway.ring.take().unwrap(), &[1]);
    shard = shard.talk_for(Duration::from_millis(1_500)).await;
    until("the worker has heard it", || worker.stats().packets > 100).await;
    assert_eq!(open_sound(dir.path()), [""; 0], "while it is recorded");
    shard.end();
    let finished = gateway.finished().await;
    assert_eq!(open_sound(dir.path()), [""; 0], "when it is here");

    let report = verify(&path, &gateway.vault.public_key().unwrap(), &gateway.vault).unwrap();
    assert_eq!((report.faults.len(), report.sound_checked), (0, true), "{:?}", report.faults);
    let Manifest { sealed_with, chained_before_crash_ms, duration_ms, .. } = report.manifest;
    assert_eq!((sealed_with, chained_before_crash_ms), (gateway.vault.sealing_key_id(), None));
    assert_eq!(duration_ms, finished.duration_ms);
    assert_eq!(Sidecar::read(&path).unwrap().consent, Some(announced));
    let heard = read_with(&gateway.vault, &path);
    let customer: Vec<i16> = heard[4_800..20_000].iter().map(|frame| frame[0]).collect();
    assert!(tone(&customer, CUSTOMER_HZ) > 0.7);
    gateway.stop().await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_from_a_worker_is_proven_by_this_gateways_key_and_lies_open_nowhere() {
    sealed(Format::Wav).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_are_the_packets_that_a_worker_keeps() {
    sealed(Format::Opus).await;
}

/// The worker is not used, both logs say which key is to be the same, and the call is recorded here.
fn check(change: impl Fn(&mut Config, bool), setting: &str) {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::default();
    let _listening = log.listen();
    // On one thread, whose log is ours.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (worker, config) = begin(dir.path(), change);
        let mut gateway = Gateway::start(&config);
        until("refused", || gateway.forks.stats().refused > 0 && worker.stats().refused > 0).await;
        assert_eq!((gateway.forks.stats().connected, gateway.forks.stats().other_keys), (0, 1));
        let path = gateway.record(1);
        let shard = Shard::start(gateway.ring.take().unwrap(), &[1]).talk_for(Duration::from_millis(600)).await;
        shard.end();
        assert_eq!(gateway.finished().await.gaps, 0);
        assert!(read_with(&gateway.vault, &path).len() > 8_000);
        assert_eq!((gateway.forks.stats().fallbacks, worker.stats().waiting), (1, 0));
        gateway.stop().await;
        worker.stop().await;
    });
    for told in ["a worker cannot be had", "a gateway was refused"] {
        assert!(log.text().lines().any(|line| line.contains(told) && line.contains(setting)), "{}", log.text());
    }
}

#[test]
fn a_worker_with_other_keys_is_not_used_and_told_so() {
    check(
        |config, there| config.recording.signing_key_file = key_file(&config.data.dir, "own.key", u8::from(there)),
        "recording.signing_key_file",
    );
    check(
        |config, there| {
            if !there {
                config.recording.encryption_key_file = key_file(&config.data.dir, "master.key", 9);
            }
        },
        "recording.encryption_key_file",
    );
}
