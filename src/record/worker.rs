//! The thread that writes: blocks in, files out.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::finish::{self, Complete, Events};
use super::queue::{Item, Queue};
use super::repair::repair;
use super::wav::Wav;
use super::{FLUSH_EVERY, Open, RecordEvent, Stats};
use crate::audio::{self, Block, Closed};
use crate::model::id::{CallId, RecordingId};
use crate::model::recording::Pause;
use crate::model::rtp::TapKey;
use crate::model::time::Clock;

/// Between two looks into the queue.
const POLL: Duration = Duration::from_millis(20);

/// Files opened together are flushed in so many groups.
const FLUSH_PHASES: u32 = 10;

pub(super) fn spawn(queue: Arc<Queue>, events: Events) -> io::Result<JoinHandle<()>> {
    let (complete, finisher) = finish::spawn(Arc::clone(&events))?;
    std::thread::Builder::new().name("record".to_owned()).spawn(move || {
        run(&queue, Worker { files: BTreeMap::new(), events, complete, opened: 0, stats: Stats::default() });
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
                Item::Block(block) => worker.write(&block),
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
    events: Events,
    complete: mpsc::Sender<Complete>,
    /// Counts openings, for the phase of their flushes.
    opened: u32,
    stats: Stats,
}

/// A recording whose tap is open.
struct Recording {
    call: CallId,
    recording: RecordingId,
    /// `None` once it failed: the rest of its sound is let go.
    wav: Option<Wav>,
    /// Holes in what the tap sent.
    holes: u64,
}

impl Worker {
    fn stats(&self) -> Stats {
        Stats { open: self.files.len(), ..self.stats }
    }

    fn open(&mut self, open: Open, now: Instant) {
        let Open { tap, recording, call, path } = open;
        let phase = FLUSH_EVERY / FLUSH_PHASES * (self.opened % FLUSH_PHASES);
        self.opened = self.opened.wrapping_add(1);
        let mut file = Recording { call, recording, wav: None, holes: 0 };
        match Wav::create(&path, now + phase) {
            Ok(wav) => {
                file.wav = Some(wav);
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

    fn write(&mut self, block: &Block) {
        self.on_file(block.tap, |file| {
            let Some(wav) = &mut file.wav else { return Ok(()) };
            let written = wav.frames();
            if block.first_sample > written {
                file.holes += 1;
                wav.write_silence(block.first_sample - written)?;
            }
            // A block that begins before the end says again what is there.
            let known = usize::try_from(written.saturating_sub(block.first_sample)).unwrap_or(usize::MAX);
            wav.write(block.samples.get(known..).unwrap_or(&[]))
        });
    }

    fn flush_due(&mut self, now: Instant) {
        let taps: Vec<TapKey> = self.files.keys().copied().collect();
        for tap in taps {
            self.on_file(tap, |file| file.wav.as_mut().map_or(Ok(()), |wav| wav.flush_if_due(now)));
        }
    }

    fn close(&mut self, closed: Closed) {
        self.on_file(closed.tap, |file| {
            let Some(wav) = &mut file.wav else { return Ok(()) };
            let missing = closed.stats.samples.saturating_sub(wav.frames());
            if missing > 0 {
                file.holes += 1;
                wav.write_silence(missing)?;
            }
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
        let Some(Recording { call, recording, wav: Some(wav), holes }) = self.files.remove(&tap) else { return };
        let complete = Complete {
            call,
            recording,
            path: wav.path().to_owned(),
            parts: wav.parts(),
            frames: wav.frames(),
            gaps: stats.gaps() + holes,
            stats,
            pauses,
        };
        if let Err(error) = wav.finish() {
            self.stats.failed += 1;
            self.fail(complete.call, complete.recording, &complete.path, &error);
            return;
        }
        self.stats.finished += 1;
        // The receiver lives until this sender is dropped.
        let _gone = self.complete.send(complete);
    }

    /// Does something to a file; an error ends that recording.
    fn on_file(&mut self, tap: TapKey, act: impl FnOnce(&mut Recording) -> io::Result<()>) {
        let Some(file) = self.files.get_mut(&tap) else { return };
        let before = file.wav.as_ref().map_or(0, Wav::frames);
        let result = act(file);
        let after = file.wav.as_ref().map_or(0, Wav::frames);
        self.stats.bytes += after.saturating_sub(before) * super::wav::FRAME_BYTES;
        let Err(error) = result else { return };
        let (call, recording) = (file.call.clone(), file.recording.clone());
        let Some(wav) = file.wav.take() else { return };
        let path = wav.path().to_owned();
        // Closes the file; what hound still tries to write fails as before.
        drop(wav);
        self.stats.failed += 1;
        self.fail(call, recording, &path, &error);
    }

    /// Leaves a file that plays to the last sample the disk took.
    fn fail(&self, call: CallId, recording: RecordingId, path: &std::path::Path, error: &io::Error) {
        let written_ms = match repair(path) {
            Ok(repaired) => repaired.duration_ms,
            Err(error) => {
                tracing::error!(%recording, %error, "the rest of a failed recording could not be put in order");
                0
            }
        };
        let error = error.to_string();
        tracing::error!(%call, %recording, path = %path.display(), error, written_ms, "a recording was cut");
        (self.events)(RecordEvent::Failed { call, recording, error, written_ms });
    }

    fn note_turn(&mut self, took: Duration) {
        self.stats.turn_ms_max = self.stats.turn_ms_max.max(took.as_millis() as u64);
    }
}
