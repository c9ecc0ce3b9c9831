//! Recordings that workers have from before, on their way to a gateway that takes some of them and others not.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest;
use serde_json::json;
use tandem::app::forks::Booked;
use tandem::config::Config;
use tandem::record::RecordEvent;
use tandem::worker::Worker;

use super::program::key_file;
use super::world::{Gateway, Said, Shard, call_id, config, read, start_worker, until, wav_files, worker_config};

const GATEWAY: &str = "gw_before";

/// A worker that has not begun yet, and what it owes.
struct Before {
    dir: tempfile::TempDir,
}

impl Before {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn worker(&self) -> PathBuf {
        self.dir.path().join("worker")
    }

    /// Owes a recording of that day, whose sound are so many bytes. Its file.
    fn owes(&self, call: u64, day: &str, bytes: usize) -> PathBuf {
        let (outbox, folder) = (self.worker().join("outbox"), self.worker().join("recordings").join(day));
        std::fs::create_dir_all(&outbox).unwrap();
        std::fs::create_dir_all(&folder).unwrap();
        let (path, sound) = (folder.join(format!("rec_{call}.wav")), vec![call as u8; bytes]);
        std::fs::write(&path, &sound).unwrap();
        let sha256 = hex::encode(digest::digest(&digest::SHA256, &sound));
        let outcome = json!({"duration_ms": 1, "gaps": 0, "bytes": bytes, "parts": 1, "sha256": sha256, "pauses": []});
        let entry = json!({"gateway": GATEWAY, "call": call_id(call), "recording": format!("rec_{call}"),
            "started": format!("{day}T08:00:00.000Z"), "path": path, "outcome": outcome});
        std::fs::write(outbox.join(format!("rec_{call}.json")), entry.to_string()).unwrap();
        path
    }

    /// Both ends begin.
    fn begin(&self) -> (Worker, Config) {
        let worker = start_worker(&self.worker());
        let config = config(self.dir.path(), worker.address(), worker.fingerprint());
        std::fs::write(config.data.dir.join("fork.id"), GATEWAY).unwrap();
        (worker, config)
    }
}

fn place(config: &Config, day: &str, call: u64) -> PathBuf {
    config.data.dir.join("recordings").join(day).join(format!("rec_{call}.wav"))
}

async fn late(gateway: &mut Gateway) -> String {
    let RecordEvent::Late { recording, .. } = gateway.event().await else { panic!("not told as late") };
    recording.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_cannot_be_taken_or_read_costs_no_call_and_no_other_recording() {
    let before = Before::new();
    // More than QUIC lets wait, so that the worker is in the middle when it is refused.
    before.owes(2, "2026-01-02", 3 << 20);
    // A disk that gives no byte: a folder can be opened and not read.
    let unreadable = before.owes(3, "2026-01-03", 0);
    std::fs::remove_file(&unreadable).unwrap();
    std::fs::create_dir(&unreadable).unwrap();
    std::fs::write(unreadable.join("entry"), "so that it has a length").unwrap();
    before.owes(4, "2026-01-04", 10_000);
    let (worker, config) = before.begin();
    let blocked = config.data.dir.join("recordings/2026-01-02");
    std::fs::create_dir_all(blocked.parent().unwrap()).unwrap();
    std::fs::write(&blocked, "no folder").unwrap();

    let mut gateway = Gateway::start(&config);
    until("the worker is connected", || gateway.forks.stats().connected == 1).await;
    let path = gateway.record(1);
    let shard = Shard::start(gateway.ring.take().unwrap(), &[1]).talk_for(Duration::from_secs(1)).await;
    assert_eq!(late(&mut gateway).await, "rec_4");
    until("both were tried", || gateway.forks.stats().undelivered == 2).await;
    let length = shard.talk_for(Duration::from_millis(500)).await.end();
    let finished = gateway.finished().await;
    assert_eq!(finished.gaps, 0);
    assert!(read(&path).len() as u64 / 16 >= length.as_millis() as u64);
    let (stats, worked) = (gateway.forks.stats(), worker.stats());
    assert_eq!((stats.reconnects, stats.moved, stats.fallbacks, stats.delivered), (0, 0, 0, 2), "{stats:?}");
    assert_eq!((worked.cut, worked.undelivered), (0, 1), "{worked:?}");
    assert_eq!(std::fs::read(place(&config, "2026-01-04", 4)).unwrap(), [4; 10_000]);
    until("what was taken is gone there", || worker.stats().waiting == 2).await;
    gateway.stop().await;

    // Once the folder can be made, it comes.
    std::fs::remove_file(&blocked).unwrap();
    let mut gateway = Gateway::start(&config);
    assert_eq!(late(&mut gateway).await, "rec_2");
    assert_eq!(std::fs::metadata(place(&config, "2026-01-02", 2)).unwrap().len(), 3 << 20);
    gateway.stop().await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_meanwhile_goes_at_the_worker_too_and_what_is_not_of_its_call_is_not_taken() {
    let before = Before::new();
    for call in [1, 2, 3] {
        before.owes(call, "2026-01-01", 5_000);
    }
    let (worker, config) = before.begin();
    let said = Said::default();
    let booked = |recording: &str, is_deleted| Booked { recording: Some(recording.parse().unwrap()), is_deleted };
    said.lock().unwrap().insert(call_id(1), booked("rec_1", true));
    said.lock().unwrap().insert(call_id(2), booked("rec_other", false));
    let mut gateway = Gateway::start_knowing(&config, None, said);
    assert_eq!(late(&mut gateway).await, "rec_3");
    until("all were offered", || worker.stats().waiting == 1 && worker.stats().undelivered == 1).await;
    assert_eq!(files(&config.data.dir.join("recordings/2026-01-01")), ["rec_3.wav"]);
    assert_eq!(files(&before.worker().join("recordings/2026-01-01")), ["rec_2.wav"]);
    gateway.stop().await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_takes_no_recording_that_would_leave_its_own_calls_no_room() {
    let before = Before::new();
    before.owes(1, "2026-01-01", 5_000);
    let (worker, mut config) = before.begin();
    config.archive.keep_free_mb = 1 << 40;
    let gateway = Gateway::start(&config);
    until("it was refused", || worker.stats().undelivered == 1).await;
    assert_eq!((wav_files(&config.data.dir), worker.stats().waiting), (0, 1));
    gateway.stop().await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_seals_writes_nothing_to_its_disk_that_is_not_sealed() {
    let before = Before::new();
    before.owes(1, "2026-01-01", 5_000);
    // The key was set when the recording was there already.
    let mut there = worker_config(&before.worker());
    there.recording.encryption_key_file = key_file(&before.worker(), "master.key", 9);
    let worker = Worker::start(&there, None).unwrap();
    let mut config = config(before.dir.path(), worker.address(), worker.fingerprint());
    config.recording.encryption_key_file = there.recording.encryption_key_file;
    std::fs::write(config.data.dir.join("fork.id"), GATEWAY).unwrap();
    let gateway = Gateway::start(&config);
    until("it was refused", || worker.stats().undelivered == 1).await;
    assert_eq!(files(&config.data.dir.join("recordings/2026-01-01")), [""; 0]);
    assert_eq!(worker.stats().waiting, 1);
    gateway.stop().await;
    worker.stop().await;
}

fn files(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}
