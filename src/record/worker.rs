//! The thread that writes: blocks in, files out.

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::file::{Sound, SoundFile};
use super::finish::{self, Complete, Cut, Ending, Events};
use super::queue::{Item, Queue};
use super::reserve::Reserve;
use super::{FLUSH_EVERY, Open, RecordEvent, Stats, Vault};
use crate::audio::{self, Closed};
use crate::model::id::{CallId, RecordingId};
use crate::model::recording::{Consent, Pause};
use crate::model::rtp::TapKey;
use crate::model::time::{Clock, Timestamp};

/// Between two looks into the queue.
const POLL: Duration = Duration::from_millis(20);

/// At 300 calls as WAV a disk loses 20 MB meanwhile.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Files opened together are flushed in so many groups.
const FLUSH_PHASES: u32 = 10;

/// `folder` is on the disk whose reserve is to stay free.
pub(super) fn spawn(
    queue: Arc<Queue>,
    vault: Vault,
    folder: &Path,
    reserve: Reserve,
    events: Events,
) -> io::Result<JoinHandle<()>> {
    queue.swap(Stats { alive: true, ..Stats::default() });
    let (endings, finisher) = finish::spawn(vault.clone(), Arc::clone(&events))?;
    let folder = folder.to_owned();
    std::thread::Builder::new().name("record".to_owned()).spawn(move || {
        let _last = Last(&queue);
        let (files, stats) = (BTreeMap::new(), Stats::default());
        run(
            &queue,
            Worker { files, vault, events, endings, opened: 0, folder, reserve, looked: None, stats },
            &finisher,
        );
        if finisher.join().is_err() {
            tracing::error!("finishing recordings had panicked");
        }
    })
}

/// Says that the thread is gone, however it went.
struct Last<'a>(&'a Queue);

impl Drop for Last<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

fn run(queue: &Queue, mut worker: Worker, finisher: &JoinHandle<()>) {
    loop {
        let items = queue.swap(Stats { alive: !finisher.is_finished(), ..worker.stats() });
        let begun = Clock.instant();
        for item in items {
            if matches!(item, Item::Stop) {
                worker.safely(Worker::close_all);
                queue.swap(worker.stats());
                return;
            }
            worker.safely(|worker| worker.handle(item, begun));
        }
        worker.safely(|worker| worker.look_at_disk(begun));
        worker.safely(|worker| worker.flush_due(Clock.instant()));
        worker.note_turn(Clock.instant().saturating_duration_since(begun));
        std::thread::park_timeout(POLL);
    }
}

struct Worker {
    files: BTreeMap<TapKey, Recording>,
    vault: Vault,
    events: Events,
    endings: mpsc::Sender<Ending>,
    /// Counts openings, for the phase of their flushes.
    opened: u32,
    folder: PathBuf,
    reserve: Reserve,
    /// When the disk was last looked at.
    looked: Option<Instant>,
    stats: Stats,
}

/// A recording whose tap is open.
struct Recording {
    call: CallId,
    recording: RecordingId,
    /// `None` once it failed: the rest of its sound is let go.
    sound: Option<SoundFile>,
    started_at: Timestamp,
    consent: Option<Consent>,
    /// Holes in what the tap sent.
    holes: u64,
}

impl Worker {
    fn stats(&self) -> Stats {
        Stats { open: self.files.len(), ..self.stats }
    }

    /// What panics outside of a recording's own file costs that step alone.
    fn safely(&mut self, act: impl FnOnce(&mut Self)) {
        if catch_unwind(AssertUnwindSafe(|| act(self))).is_err() {
            self.stats.panics += 1;
            tracing::error!("the recorder panicked over one recording; the others go on");
        }
    }

    fn handle(&mut self, item: Item, now: Instant) {
        match item {
            Item::Open(open) => self.open(open, now),
            Item::Block(block) => self.write(block.tap, &Sound::Block(&block)),
            Item::Frames(frames) => self.write(frames.tap, &Sound::Frames(&frames)),
            Item::Close(closed) => self.close(closed),
            Item::Stop => {}
        }
    }

    /// Leaves the last room on the disk to the database and what else must not stop.
    fn look_at_disk(&mut self, now: Instant) {
        if self.looked.is_some_and(|at| now.saturating_duration_since(at) < LOOK_EVERY) {
            return;
        }
        self.looked = Some(now);
        let had_room = self.has_room();
        (self.stats.free_bytes, self.stats.lacks_room) = match self.reserve.look(&self.folder) {
            Ok(free) => (free, free < self.reserve.bytes()),
            Err(error) => {
                tracing::warn!(%error, folder = %self.folder.display(), "nobody knows how full the disk is");
                (0, false)
            }
        };
        if had_room.is_ok()
            && let Err(full) = self.has_room()
        {
            tracing::error!(recordings = self.files.len(), "{full}");
        }
        if had_room.is_err() && self.has_room().is_ok() {
            tracing::info!("there is room on the disk again: the next calls are recorded");
        }
        let Err(full) = self.has_room() else { return };
        let taps: Vec<TapKey> = self.files.keys().copied().collect();
        for tap in taps {
            self.on_file(tap, |_| Err(io::Error::new(io::ErrorKind::StorageFull, full.clone())));
        }
    }

    /// # Errors
    /// What is to be done about it.
    fn has_room(&self) -> Result<(), String> {
        if self.stats.lacks_room { Err(self.reserve.to_string()) } else { Ok(()) }
    }

    fn open(&mut self, open: Open, now: Instant) {
        let Open { tap, recording, call, path, started_at, consent } = open;
        let phase = FLUSH_EVERY / FLUSH_PHASES * (self.opened % FLUSH_PHASES);
        self.opened = self.opened.wrapping_add(1);
        let mut file = Recording { call, recording, sound: None, started_at, consent, holes: 0 };
        self.look_at_disk(now);
        let room = self.has_room().map_err(|full| io::Error::new(io::ErrorKind::StorageFull, full));
        match room.and_then(|()| SoundFile::create(&path, now + phase, &self.vault)) {
            Ok(sound) => {
                file.sound = Some(sound);
                self.stats.started += 1;
                let (call, recording) = (file.call.clone(), file.recording.clone());
                (self.events)(RecordEvent::Started { call, recording, path });
            }
            Err(error) => {
                self.stats.failed += 1;
                let (call, recording, error) = (file.call.clone(), file.recording.clone(), error.to_string());
                tracing::error!(%call, %recording, path = %path.display(), error, "a recording could not begin");
                (self.events)(RecordEvent::Failed { call, recording, error, written_ms: 0 });
            }
        }
        self.files.insert(tap, file);
    }

    fn write(&mut self, tap: TapKey, sound: &Sound<'_>) {
        self.on_file(tap, |file| {
            let Some(written) = &mut file.sound else { return Ok(()) };
            file.holes += u64::from(written.write(sound)?);
            Ok(())
        });
    }

    fn flush_due(&mut self, now: Instant) {
        let taps: Vec<TapKey> = self.files.keys().copied().collect();
        for tap in taps {
            self.on_file(tap, |file| file.sound.as_mut().map_or(Ok(()), |sound| sound.flush_if_due(now)));
        }
    }

    fn close(&mut self, closed: Closed) {
        self.on_file(closed.tap, |file| {
            let Some(sound) = &mut file.sound else { return Ok(()) };
            file.holes += u64::from(sound.pad(closed.stats.samples)?);
            Ok(())
        });
        self.finish(closed.tap, closed.stats, closed.pauses);
    }

    /// The tap is gone: what is here is all there will be.
    fn close_all(&mut self) {
        while let Some((&tap, _)) = self.files.first_key_value() {
            self.finish(tap, audio::Stats::default(), Vec::new());
        }
    }

    fn finish(&mut self, tap: TapKey, stats: audio::Stats, pauses: Vec<Pause>) {
        let Some(Recording { call, recording, sound: Some(sound), started_at, consent, holes }) =
            self.files.remove(&tap)
        else {
            return;
        };
        // Frames reach beyond the end by less than their length; a tap that said no end has none but theirs.
        let samples = if stats.samples == 0 { sound.samples() } else { sound.samples().min(stats.samples) };
        let complete = Complete {
            call,
            recording,
            path: sound.path().to_owned(),
            parts: sound.parts(),
            samples,
            gaps: stats.gaps() + holes,
            stats,
            sides: [Some(stats.customer.into()), Some(stats.agent.into())],
            pauses,
            started_at,
            consent,
        };
        if let Err(error) = sound.finish(samples) {
            self.stats.failed += 1;
            self.fail(complete.call, complete.recording, complete.path, &error);
            return;
        }
        self.stats.finished += 1;
        // The receiver lives until this sender is dropped.
        let _gone = self.endings.send(Ending::Complete(complete));
    }

    /// Does something to a file; an error ends that recording.
    fn on_file(&mut self, tap: TapKey, act: impl FnOnce(&mut Recording) -> io::Result<()>) {
        let Some(file) = self.files.get_mut(&tap) else { return };
        let before = file.sound.as_ref().map_or(0, SoundFile::bytes);
        let panicked = |_| Err(io::Error::other("the recorder panicked over it"));
        let result = catch_unwind(AssertUnwindSafe(|| act(file))).unwrap_or_else(panicked);
        let after = file.sound.as_ref().map_or(0, SoundFile::bytes);
        self.stats.bytes += after.saturating_sub(before);
        let Err(error) = result else { return };
        let (call, recording) = (file.call.clone(), file.recording.clone());
        let Some(sound) = file.sound.take() else { return };
        let path = sound.path().to_owned();
        // Closes the file; what its writer still tries to write fails as before.
        drop(sound);
        self.stats.failed += 1;
        self.fail(call, recording, path, &error);
    }

    /// Gives up a recording. Its file is put in order elsewhere: the others go on.
    fn fail(&self, call: CallId, recording: RecordingId, path: PathBuf, error: &io::Error) {
        let cut = Cut { call, recording, path, error: error.to_string() };
        // The receiver lives until this sender is dropped.
        let _gone = self.endings.send(Ending::Cut(cut));
    }

    fn note_turn(&mut self, took: Duration) {
        self.stats.turn_ms_max = self.stats.turn_ms_max.max(took.as_millis() as u64);
    }
}
