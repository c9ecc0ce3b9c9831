//! The end of a recording: to the disk for good, measured, and told. On a thread of its own, because reading an hour
//! of sound back for its digest would hold up the other files.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use aws_lc_rs::digest;

use super::wav::part_path;
use super::{Finished, Format, Part, RecordEvent, Sidecar};
use crate::audio::{self, Stats};
use crate::model::id::{CallId, RecordingId};
use crate::model::recording::Pause;
use crate::model::time::Timestamp;

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
    pub(super) pauses: Vec<Pause>,
    pub(super) started_at: Timestamp,
}

/// What a recording's files weigh.
pub(super) struct Weight {
    pub(super) parts: Vec<Part>,
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

pub(super) type Events = Arc<dyn Fn(RecordEvent) + Send + Sync>;

/// The finishing thread; it ends when the sender is dropped.
pub(super) fn spawn(events: Events) -> io::Result<(mpsc::Sender<Complete>, JoinHandle<()>)> {
    let (sender, receiver) = mpsc::channel::<Complete>();
    let thread = std::thread::Builder::new().name("record-finish".to_owned()).spawn(move || {
        for complete in receiver {
            events(finish(complete));
        }
    })?;
    Ok((sender, thread))
}

/// Digest and length over all parts in order.
pub(super) fn weigh(path: &Path, parts: u32) -> io::Result<Weight> {
    let mut sha256 = digest::Context::new(&digest::SHA256);
    let (mut bytes, mut weighed) = (0, Vec::new());
    let mut buffer = vec![0; 256 * 1024];
    for part in 1..=parts {
        let part = part_path(path, part);
        let mut file = File::open(&part)?;
        let (mut part_sha256, before) = (digest::Context::new(&digest::SHA256), bytes);
        loop {
            let len = file.read(&mut buffer)?;
            if len == 0 {
                break;
            }
            sha256.update(&buffer[..len]);
            part_sha256.update(&buffer[..len]);
            bytes += len as u64;
        }
        file.sync_data()?;
        weighed.push(Part {
            name: part.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            bytes: bytes - before,
            sha256: hex::encode(part_sha256.finish()),
        });
    }
    Ok(Weight { parts: weighed, bytes, sha256: hex::encode(sha256.finish()) })
}

/// Measures it, writes its details beside it, and says that it is there.
pub(super) fn finish(complete: Complete) -> RecordEvent {
    let Complete { call, recording, path, parts, samples, gaps, stats, pauses, started_at } = complete;
    let duration_ms = audio::duration(samples).as_millis() as u64;
    match weigh(&path, parts) {
        Ok(Weight { parts: weighed, bytes, sha256 }) => {
            let sidecar = Sidecar {
                recording_id: recording.clone(),
                call_id: call.clone(),
                format: Format::of(&path),
                started_at: Some(started_at),
                duration_ms,
                gaps,
                pauses: pauses.clone(),
                customer: Some(stats.customer.into()),
                agent: Some(stats.agent.into()),
                parts: weighed,
                sha256: sha256.clone(),
            };
            if let Err(error) = sidecar.write(&path) {
                // The sound is there, and the database has what matters most.
                tracing::error!(%call, %recording, %error, "a recording's details could not be written");
            }
            let finished = Finished { duration_ms, gaps, bytes, parts, sha256, stats, pauses };
            RecordEvent::Finished { call, recording, finished: Box::new(finished) }
        }
        Err(error) => RecordEvent::Failed { call, recording, error: error.to_string(), written_ms: duration_ms },
    }
}
