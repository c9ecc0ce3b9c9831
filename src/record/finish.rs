//! The end of a recording: to the disk for good, measured, and told. On a thread of its own, because reading an hour
//! of sound back for its digest would hold up the other files.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use aws_lc_rs::digest;

use super::wav::{FRAME_BYTES, part_path};
use super::{Finished, RecordEvent};
use crate::audio::{self, Stats};
use crate::model::id::{CallId, RecordingId};
use crate::model::recording::Pause;

/// A recording whose file is complete.
pub(super) struct Complete {
    pub(super) call: CallId,
    pub(super) recording: RecordingId,
    pub(super) path: PathBuf,
    pub(super) parts: u32,
    pub(super) frames: u64,
    pub(super) gaps: u64,
    pub(super) stats: Stats,
    pub(super) pauses: Vec<Pause>,
}

/// What a recording's files weigh.
pub(super) struct Weight {
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
    let mut bytes = 0;
    let mut buffer = vec![0; 256 * 1024];
    for part in 1..=parts {
        let mut file = File::open(part_path(path, part))?;
        loop {
            let len = file.read(&mut buffer)?;
            if len == 0 {
                break;
            }
            sha256.update(&buffer[..len]);
            bytes += len as u64;
        }
        file.sync_data()?;
    }
    Ok(Weight { bytes, sha256: hex::encode(sha256.finish()) })
}

fn finish(complete: Complete) -> RecordEvent {
    let Complete { call, recording, path, parts, frames, gaps, stats, pauses } = complete;
    let duration_ms = audio::duration(frames).as_millis() as u64;
    match weigh(&path, parts) {
        Ok(Weight { bytes, sha256 }) => {
            debug_assert!(bytes >= frames * FRAME_BYTES);
            let finished = Finished { duration_ms, gaps, bytes, parts, sha256, stats, pauses };
            RecordEvent::Finished { call, recording, finished: Box::new(finished) }
        }
        Err(error) => RecordEvent::Failed { call, recording, error: error.to_string(), written_ms: duration_ms },
    }
}
