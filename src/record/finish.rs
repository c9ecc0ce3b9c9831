//! The end of a recording: to the disk for good, measured, and told. On a thread of its own, because reading an hour
//! of sound back for its digest would hold up the other files.

use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use aws_lc_rs::digest;

use super::proof::{Mended, certify};
use super::repair::repair;
use super::wav::part_path;
use super::{Finished, Format, Part, RecordEvent, Side, Sidecar, Vault};
use crate::audio::{self, Stats};
use crate::model::files::digest_too;
use crate::model::id::{CallId, RecordingId};
use crate::model::recording::{Consent, Pause};
use crate::model::time::{Clock, Timestamp};

/// A recording whose file is complete.
pub(super) struct Complete {
    pub(super) call: CallId,
    pub(super) recording: RecordingId,
    pub(super) path: PathBuf,
    pub(super) parts: u32,
    /// Length, per channel.
    pub(super) samples: u64,
    pub(super) gaps: u64,
    pub(super) stats: Stats,
    /// Customer, agent.
    pub(super) sides: [Option<Side>; 2],
    pub(super) pauses: Vec<Pause>,
    pub(super) started_at: Timestamp,
    pub(super) consent: Option<Consent>,
}

/// A recording that its disk did not take to the end.
pub(super) struct Cut {
    pub(super) call: CallId,
    pub(super) recording: RecordingId,
    pub(super) path: PathBuf,
    pub(super) error: String,
}

/// How a recording ended.
#[allow(clippy::large_enum_variant, reason = "the large one is the rule")]
pub(super) enum Ending {
    Complete(Complete),
    Cut(Cut),
}

impl Ending {
    fn names(&self) -> (CallId, RecordingId) {
        match self {
            Self::Complete(Complete { call, recording, .. }) | Self::Cut(Cut { call, recording, .. }) => {
                (call.clone(), recording.clone())
            }
        }
    }
}

/// What a recording's files weigh.
pub(super) struct Weight {
    pub(super) parts: Vec<Part>,
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

pub(super) type Events = Arc<dyn Fn(RecordEvent) + Send + Sync>;

/// The finishing thread; it ends when the sender is dropped.
pub(super) fn spawn(vault: Vault, events: Events) -> io::Result<(mpsc::Sender<Ending>, JoinHandle<()>)> {
    let (sender, receiver) = mpsc::channel::<Ending>();
    let thread = std::thread::Builder::new().name("record-finish".to_owned()).spawn(move || {
        for ending in receiver {
            let (call, recording) = ending.names();
            let end = || match ending {
                Ending::Complete(complete) => finish(complete, None, &vault),
                Ending::Cut(cut) => mend(cut, &vault),
            };
            let event = catch_unwind(AssertUnwindSafe(end)).unwrap_or_else(|_| {
                tracing::error!(%call, %recording, "finishing a recording panicked; the others go on");
                let error = "finishing it panicked; its file is where it was written".to_owned();
                RecordEvent::Failed { call, recording, error, written_ms: 0 }
            });
            if catch_unwind(AssertUnwindSafe(|| events(event))).is_err() {
                tracing::error!("telling of a recording's end panicked; the others go on");
            }
        }
    })?;
    Ok((sender, thread))
}

/// Leaves a file that plays to the last sample the disk took.
fn mend(cut: Cut, vault: &Vault) -> RecordEvent {
    let Cut { call, recording, path, error } = cut;
    let written_ms = match repair(&path, vault) {
        Ok(repaired) => repaired.duration_ms,
        Err(error) => {
            tracing::error!(%recording, %error, "the rest of a failed recording could not be put in order");
            0
        }
    };
    tracing::error!(%call, %recording, path = %path.display(), error, written_ms, "a recording was cut");
    RecordEvent::Failed { call, recording, error, written_ms }
}

/// Digest and length over all parts in order.
pub(super) fn weigh(path: &Path, parts: u32) -> io::Result<Weight> {
    let mut sha256 = digest::Context::new(&digest::SHA256);
    let (mut bytes, mut weighed) = (0, Vec::new());
    for part in 1..=parts {
        let part = part_path(path, part);
        let mut file = File::open(&part)?;
        let (part_bytes, part_sha256) = digest_too(&mut file, |piece| sha256.update(piece))?;
        file.sync_data()?;
        bytes += part_bytes;
        weighed.push(Part {
            name: part.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            bytes: part_bytes,
            sha256: part_sha256,
        });
    }
    Ok(Weight { parts: weighed, bytes, sha256: hex::encode(sha256.finish()) })
}

/// Measures it, writes its details beside it, signs it, and says that it is there. `mended`: how much its chain proves, if it
/// was not chained while it was recorded.
pub(super) fn finish(complete: Complete, mended: Option<Mended>, vault: &Vault) -> RecordEvent {
    let Complete { call, recording, path, parts, samples, gaps, stats, sides, pauses, started_at, consent } = complete;
    let [customer, agent] = sides;
    let duration_ms = audio::duration(samples).as_millis() as u64;
    match weigh(&path, parts) {
        Ok(Weight { parts: weighed, bytes, sha256 }) => {
            let sidecar = Sidecar {
                recording_id: recording.clone(),
                call_id: call.clone(),
                format: Format::of(&path),
                started_at: Some(started_at),
                consent,
                duration_ms,
                gaps,
                pauses: pauses.clone(),
                customer,
                agent,
                parts: weighed,
                sha256: sha256.clone(),
                redacted: None,
            };
            if let Err(error) = sidecar.write(&path) {
                // The sound is there, and the database has what matters most.
                tracing::error!(%call, %recording, %error, "a recording's details could not be written");
            } else if let Err(error) = certify(&path, &sidecar, mended, vault, Clock.now().wall) {
                tracing::error!(%call, %recording, %error, "a recording could not be signed");
            }
            let finished = Finished { duration_ms, gaps, bytes, parts, sha256, stats, pauses };
            RecordEvent::Finished { call, recording, finished: Box::new(finished) }
        }
        Err(error) => RecordEvent::Failed { call, recording, error: error.to_string(), written_ms: duration_ms },
    }
}
