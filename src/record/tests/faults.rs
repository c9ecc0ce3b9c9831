//! A disk that fills up, and code that panics: one recording each, and never the recorder.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};

use super::*;
use crate::audio::{Block, Closed};

const PATIENCE: Duration = Duration::from_secs(60);
const SECOND: usize = crate::audio::RATE_HZ as usize;

/// A recorder over a disk of which the test says how much is free.
struct Disk {
    dir: tempfile::TempDir,
    free: Arc<AtomicU64>,
    recorder: Recorder,
    told: Receiver<RecordEvent>,
}

impl Disk {
    /// Of 1,000 bytes 100 are to stay free. Whoever is told of `outrage` panics.
    fn new(outrage: Option<&RecordingId>) -> Self {
        let (dir, free) = (tempfile::tempdir().unwrap(), Arc::new(AtomicU64::new(1_000)));
        let (tell, told) = channel();
        let (tell, outrage, measured) = (Mutex::new(tell), outrage.cloned(), Arc::clone(&free));
        let reserve = Reserve::measured(100, move |_| Ok(measured.load(Ordering::SeqCst)));
        let events = move |event: RecordEvent| {
            assert_ne!(Some(id(&event)), outrage.as_ref());
            drop(tell.lock().unwrap().send(event));
        };
        let recorder = Recorder::spawn_with(dir.path(), Vault::default(), reserve, events).unwrap();
        Self { dir, free, recorder, told }
    }

    fn begin(&self, tap: u64, recording: &RecordingId) {
        let path = path_of(self.dir.path(), recording, Clock.now().wall, Format::Wav);
        let (call, recording, started_at) = (CallId::generate(), recording.clone(), Clock.now().wall);
        self.recorder.inlet().open(Open { tap: TapKey(tap), recording, call, path, started_at, consent: None });
        self.second_of(tap, 0);
    }

    fn second_of(&self, tap: u64, first: u64) {
        let block = Block { tap: TapKey(tap), first_sample: first * SECOND as u64, samples: vec![[1, 2]; SECOND] };
        assert!(self.recorder.inlet().take(Output::Block(block)));
    }

    fn end(&self, tap: u64) {
        let stats = crate::audio::Stats { samples: SECOND as u64, ..crate::audio::Stats::default() };
        self.recorder.inlet().take(Output::Closed(Closed { tap: TapKey(tap), stats, pauses: Vec::new() }));
    }

    fn next(&self) -> RecordEvent {
        self.told.recv_timeout(PATIENCE).expect("a word about a recording")
    }
}

fn id(event: &RecordEvent) -> &RecordingId {
    let (RecordEvent::Started { recording, .. }
    | RecordEvent::Finished { recording, .. }
    | RecordEvent::Late { recording, .. }
    | RecordEvent::Failed { recording, .. }) = event;
    recording
}

#[test]
fn a_disk_at_its_reserve_takes_no_recording_until_there_is_room_again() {
    let disk = Disk::new(None);
    let [cut, refused, later] = [(); 3].map(|()| RecordingId::generate());
    disk.begin(1, &cut);
    assert!(matches!(disk.next(), RecordEvent::Started { .. }));
    disk.free.store(99, Ordering::SeqCst);
    let failed = disk.next();
    let RecordEvent::Failed { recording, error, written_ms: 1_000, .. } = &failed else { panic!("{failed:?}") };
    assert_eq!(*recording, cut);
    assert!(error.contains("recording.reserve_mb"), "{error}");
    disk.begin(2, &refused);
    let failed = disk.next();
    assert!(
        matches!(&failed, RecordEvent::Failed { recording, written_ms: 0, .. } if *recording == refused),
        "{failed:?}"
    );
    let stats = disk.recorder.stats();
    assert!(stats.lacks_room && stats.free_bytes == 99, "{stats:?}");

    disk.free.store(100, Ordering::SeqCst);
    let deadline = Clock.instant() + PATIENCE;
    while disk.recorder.stats().lacks_room {
        assert!(Clock.instant() < deadline, "it never looks again");
        std::thread::yield_now();
    }
    // What was cut stays cut, what is new is recorded.
    for tap in [1, 2] {
        disk.second_of(tap, 1);
        disk.end(tap);
    }
    disk.begin(3, &later);
    disk.end(3);
    let words: Vec<RecordEvent> = [disk.next(), disk.next()].into();
    assert!(
        matches!(&words[..], [RecordEvent::Started { .. }, RecordEvent::Finished { recording, finished, .. }]
            if *recording == later && finished.duration_ms == 1_000),
        "{words:?}"
    );
    disk.recorder.stop();
    assert!(disk.told.try_iter().next().is_none());
}

#[test]
fn a_panic_over_one_recording_leaves_the_others_and_the_recorder() {
    let [outrage, other] = [(); 2].map(|()| RecordingId::generate());
    let disk = Disk::new(Some(&outrage));
    disk.begin(1, &outrage);
    disk.begin(2, &other);
    disk.end(1);
    disk.end(2);
    let words: Vec<RecordEvent> = [disk.next(), disk.next()].into();
    assert!(words.iter().all(|event| *id(event) == other), "{words:?}");
    assert!(matches!(words[1], RecordEvent::Finished { .. }), "{words:?}");
    let inlet = disk.recorder.inlet();
    disk.recorder.stop();
    let stats = inlet.stats();
    assert_eq!((stats.panics, stats.finished, stats.alive), (1, 1, false), "{stats:?}");
}
