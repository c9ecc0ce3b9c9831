//! The thread that writes: blocks in, files out.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::file::{Sound, SoundFile};
use super::finish::{self, Complete, Cut, Ending, Events};
use super::queue::{Item, Queue};
use super::{FLUSH_EVERY, Open, RecordEvent, Stats, Vault};
use crate::audio::{self, Closed};
use crate::model::id::{CallId, RecordingId};
use crate::model::recording::{Consent, Pause};
use crate::model::rtp::TapKey;
use crate::model::time::{Clock, Timestamp};

/// Between two looks into the queue.
const POLL: Duration = Duration::from_millis(20);

/// Files opened together are flushed in so many groups.
const FLUSH_PHASES: u32 = 10;

pub(super) fn spawn(queue: Arc<Queue>, vault: Vault, events: Events) -> io::Result<JoinHandle<()>> {
    let (endings, finisher) = finish::spawn(vault.clone(), Arc::clone(&events))?;
    std::thread::Builder::new().name("record".to_owned()).spawn(move || {
        run(&queue, Worker { files: BTreeMap::new(), vault, events, endings, opened: 0, stats: Stats::default() });
        if finisher.join().is_err() {
            tracing::error!("finishing recordings had panicked");
        }
    })
}

fn run(queue: &Queue, mut worker: Worker) {
    loop {
        let items = queue.swap(worker.stats());
        let begun = Clock.instant();
        for item in items {
            match item {
                Item::Open(open) => worker.open(open, begun),
                Item::Block(block) => worker.write(block.tap, &Sound::Block(&block)),
                Item::Frames(frames) => worker.write(frames.tap, &Sound::Frames(&frames)),
                Item::Close(closed) => worker.close(closed),
                Item::Stop => {
                    worker.close_all();
                    queue.swap(worker.stats());
                    return;
                }
            }
        }
        worker.flush_due(Clock.instant());
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

    fn open(&mut self, open: Open, now: Instant) {
        let Open { tap, recording, call, path, started_at, consent } = open;
        let phase = FLUSH_EVERY / FLUSH_PHASES * (self.opened % FLUSH_PHASES);
        self.opened = self.opened.wrapping_add(1);
        let mut file = Recording { call, recording, sound: None, started_at, consent, holes: 0 };
        match SoundFile::create(&path, now + phase, &self.vault) {
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
        let result = act(file);
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
