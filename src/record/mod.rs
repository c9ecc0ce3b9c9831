//! Recordings on disk: one thread that owns the files.
//!
//! A recording is stereo, left the customer, right the agent: a WAV of 16 kHz and 16 bits, or an Ogg Opus file of the
//! very packets. Its name is its id from the first byte on, and it is brought up to date every [`FLUSH_EVERY`] (the WAV's
//! header, the Ogg's next page), so that it plays at any moment, also after the machine lost the process. Nothing is promised to be on the platter before the end: a power cut may take
//! the last seconds, a crash of the program may not.
//!
//! A signed recording ([`Vault`]) has a chain of digests beside it from the first byte on, and a [`Manifest`] in the end; a
//! sealed one is noise on the disk, and [`Playback`] reads it. Both are the same for either format.
//!
//! A disk that is full or broken ends the recording, never the call: what was written stays playable, and
//! [`RecordEvent::Failed`] raises the alarm. Full is a disk with less than the [`Reserve`]. There is no second try; a recording with a silent hole of unknown cause is
//! worse than one that says where it ends.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::audio::Output;
use crate::model::id::{CallId, RecordingId};
use crate::model::recording::{Consent, Pause};
use crate::model::rtp::TapKey;
use crate::model::time::Timestamp;
use queue::{Item, Queue};

pub use crate::model::recording::Format;
pub use announcement::{Announcement, AnnouncementConfig, AnnouncementError, Announcements};
pub use config::{Config, ConfigError};
pub use growing::finish_joins;
pub use join::{Join, Piece, join};
pub use keyfile::{KeyError, generate_key};
pub use mend::{CutOff, amend_consent, mend_and_certify};
pub use playback::{Playback, PlaybackError};
pub use proof::{Fault, Manifest, ManifestError, PublicKey, Report, manifest_path, verify};
pub use redact::{RedactError, redact};
pub use repair::{RepairError, Repaired, certify_repaired, repair};
pub use reserve::Reserve;
pub use sidecar::{Cut, Part, Redacted, Side, Sidecar, sidecar_path};
pub use sound::read_sound;
pub use vault::Vault;
pub use wav::part_path;

mod announcement;
mod config;
mod copy;
mod file;
mod finish;
mod growing;
mod join;
mod keyfile;
mod mend;
mod ogg;
mod pages;
mod playback;
mod proof;
mod queue;
mod redact;
mod repair;
mod repair_ogg;
mod repair_sealed;
mod reserve;
mod seal;
mod sidecar;
mod sound;
mod tape;
#[cfg(test)]
mod tests;
mod vault;
mod wav;
mod worker;

/// What the system was given is at most this old. With the tap's lag it keeps the loss of a crash under a second.
pub const FLUSH_EVERY: Duration = Duration::from_millis(250);

/// Sound the queue between tap and disk holds, over all calls: 38 MB. A disk may stall 6 s under 100 calls.
pub const QUEUE_SECONDS_MAX: u32 = 600;

/// A recording to begin. Give it to [`Inlet::open`] before the shard is told to tap.
#[derive(Clone, Debug)]
pub struct Open {
    pub tap: TapKey,
    pub recording: RecordingId,
    pub call: CallId,
    /// See [`path_of`]; its extension says of which [`Format`] it is. Folders are made as needed.
    pub path: PathBuf,
    /// When it was begun, for the sidecar.
    pub started_at: Timestamp,
    /// What was announced before it, for the sidecar.
    pub consent: Option<Consent>,
}

/// What became of a recording. `Started` comes once the file is there; `Finished` or `Failed` is the last word.
#[derive(Clone, Debug)]
pub enum RecordEvent {
    Started {
        call: CallId,
        recording: RecordingId,
        path: PathBuf,
    },
    Finished {
        call: CallId,
        recording: RecordingId,
        finished: Box<Finished>,
    },
    /// A recording that had been given up came after all: the machine that had it was away.
    Late {
        call: CallId,
        recording: RecordingId,
        finished: Box<Finished>,
    },
    /// Another machine has it and is away. If that comes back, so does the recording, as `Late`.
    Awaited {
        call: CallId,
        recording: RecordingId,
        why: String,
    },
    /// An alarm: the disk is full or broken. `written_ms` of sound stay playable.
    Failed {
        call: CallId,
        recording: RecordingId,
        error: String,
        written_ms: u64,
    },
}

/// A recording that reached its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    pub duration_ms: u64,
    /// Holes filled with silence: packets that never came, and sound that found the queue full.
    pub gaps: u64,
    /// Bytes of all parts.
    pub bytes: u64,
    /// Files; more than one only beyond 4 GiB (18 hours). Part 2 of `rec_x.wav` is `rec_x.part2.wav`.
    pub parts: u32,
    /// Lower-case hex, over the bytes of all parts in order.
    pub sha256: String,
    pub stats: crate::audio::Stats,
    pub pauses: Vec<Pause>,
}

/// Figures for the metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub open: usize,
    pub started: u64,
    pub finished: u64,
    pub failed: u64,
    pub bytes: u64,
    /// Sound waiting for the disk now.
    pub queued_ms: u64,
    /// Blocks refused because the queue was full.
    pub refused_blocks: u64,
    /// The longest a single turn of writing took.
    pub turn_ms_max: u64,
    /// Caught panics; each cost one recording at most.
    pub panics: u64,
    /// On the disk of the recordings.
    pub free_bytes: u64,
    /// Less than the reserve is free: nothing is recorded.
    pub lacks_room: bool,
    /// Its threads run.
    pub alive: bool,
}

/// The folder of recordings is not usable.
#[derive(Debug, thiserror::Error)]
#[error("cannot keep recordings in {}: make the folder writable for this user, or set another data.dir", .dir.display())]
pub struct StartError {
    dir: PathBuf,
    #[source]
    cause: std::io::Error,
}

/// The running recorder. Dropping it ends the thread like [`Recorder::stop`], without waiting.
#[derive(Debug)]
pub struct Recorder {
    queue: Arc<Queue>,
    vault: Vault,
    reserve: Reserve,
    thread: Option<JoinHandle<()>>,
}

/// The way into the recorder, for the tap's sink and for those who begin a recording.
#[derive(Clone)]
pub struct Inlet {
    queue: Arc<Queue>,
    vault: Vault,
    reserve: Reserve,
    elsewhere: Option<Elsewhere>,
}

/// Takes a recording that is to be made on another machine; false: make it here.
pub type Elsewhere = Arc<dyn Fn(&Open) -> bool + Send + Sync>;

/// Where a recording lies: `<data_dir>/recordings/2026-11-22/<id>.wav` (or `.opus`), the day in UTC.
pub fn path_of(data_dir: &Path, recording: &RecordingId, started: Timestamp, format: Format) -> PathBuf {
    let day = started.to_string();
    data_dir
        .join("recordings")
        .join(day.get(..10).unwrap_or("undated"))
        .join(format!("{recording}.{}", format.extension()))
}

impl Recorder {
    /// Starts a recorder that neither signs nor seals. `events` is called on its threads and must not wait.
    ///
    /// # Errors
    /// [`StartError`] when `<data_dir>/recordings` cannot be made or written, or the system gives no thread.
    pub fn spawn(data_dir: &Path, events: impl Fn(RecordEvent) + Send + Sync + 'static) -> Result<Self, StartError> {
        Self::spawn_with(data_dir, Vault::default(), Reserve::of_disk(0), events)
    }

    /// Starts a recorder that signs and seals with the keys of `vault`, and leaves `reserve` free on the disk.
    ///
    /// # Errors
    /// As [`Recorder::spawn`].
    pub fn spawn_with(
        data_dir: &Path,
        vault: Vault,
        reserve: Reserve,
        events: impl Fn(RecordEvent) + Send + Sync + 'static,
    ) -> Result<Self, StartError> {
        let dir = data_dir.join("recordings");
        let start = || {
            file::make_folder(&dir)?;
            // A folder that is there may still be read-only; better to know before the first call.
            tempfile::tempfile_in(&dir)?;
            let queue = Arc::new(Queue::default());
            let thread = worker::spawn(Arc::clone(&queue), vault.clone(), &dir, reserve.clone(), Arc::new(events))?;
            Ok(Self { queue, vault, reserve, thread: Some(thread) })
        };
        start().map_err(|cause| StartError { dir: dir.clone(), cause })
    }

    pub fn inlet(&self) -> Inlet {
        let (vault, reserve) = (self.vault.clone(), self.reserve.clone());
        Inlet { queue: Arc::clone(&self.queue), vault, reserve, elsewhere: None }
    }

    pub fn stats(&self) -> Stats {
        self.queue.stats()
    }

    /// Writes what is queued, finishes every file, and returns when the last event was told. Stop the tap first.
    pub fn stop(mut self) {
        self.queue.push(Item::Stop);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("the recorder had panicked");
            }
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.queue.push(Item::Stop);
    }
}

impl Inlet {
    /// The same inlet, but `elsewhere` is asked first.
    #[must_use]
    pub fn or_elsewhere(self, elsewhere: Elsewhere) -> Self {
        Self { elsewhere: Some(elsewhere), ..self }
    }

    /// Begins a recording. Never refused; failure comes as [`RecordEvent::Failed`].
    pub fn open(&self, open: Open) {
        if self.elsewhere.as_ref().is_some_and(|takes| takes(&open)) {
            return;
        }
        self.queue.push(Item::Open(open));
    }

    pub fn stats(&self) -> Stats {
        self.queue.stats()
    }

    /// The keys that recordings are made with.
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// What it leaves free on its disk.
    pub fn reserve(&self) -> &Reserve {
        &self.reserve
    }

    /// What the tap heard. Never waits; `false` when [`QUEUE_SECONDS_MAX`] of sound are waiting already.
    pub fn take(&self, heard: Output) -> bool {
        match heard {
            Output::Block(block) => self.queue.push_block(block),
            Output::Frames(frames) => self.queue.push_frames(frames),
            Output::Closed(closed) => {
                self.queue.push(Item::Close(closed));
                true
            }
        }
    }
}
