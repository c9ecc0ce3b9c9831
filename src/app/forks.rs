//! Joins the forks with the recorder and the recogniser: what workers record and hear becomes this gateway's own.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime::Handle;

use crate::asr::{self, Heard, Leg};
use crate::config::Config;
use crate::fork::control::{Outcome, Said};
use crate::fork::{Arrived, Complete, Fork, Forks, Hooks, Sockets};
use crate::model::id::RecordingId;
use crate::record::{Elsewhere, Finished, Inlet, Join, Open, Piece, RecordEvent, Vault, join, path_of};
use crate::signalling::whatsapp::read_secret_file;
use crate::worker::outcome_of;
use crate::{audio, record};

/// Where the recorder's events go.
pub type Events = Arc<dyn Fn(RecordEvent) + Send + Sync>;

/// What the forks are joined with.
pub struct Neighbours {
    pub recorder: Inlet,
    /// `None`: nothing is written down, whatever workers can.
    pub ears: Option<asr::Inlet>,
    /// Where the ears' words go.
    pub heard: asr::Listener,
    pub events: Events,
}

/// Put before the recorder's events while there are no forks yet: it takes those of forked calls' pieces away.
#[derive(Clone, Default)]
pub struct Pieces(Arc<OnceLock<Forks>>);

impl Pieces {
    /// The event, unless it is about a piece of a recording that others have pieces of.
    pub fn take(&self, event: RecordEvent) -> Option<RecordEvent> {
        let Some(forks) = self.0.get() else { return Some(event) };
        let (recording, outcome) = match &event {
            RecordEvent::Started { .. } | RecordEvent::Late { .. } => return Some(event),
            RecordEvent::Finished { recording, finished, .. } => (recording, outcome_of(finished)),
            RecordEvent::Failed { recording, error, written_ms, .. } => {
                let failed = Outcome { duration_ms: *written_ms, error: Some(error.clone()), ..Outcome::default() };
                (recording, failed)
            }
        };
        (!forks.take_local(recording, outcome)).then_some(event)
    }
}

/// The way to the listeners of `[[fork.websocket]]`; `None` when there are none. Called inside a runtime.
pub fn sockets(config: &Config) -> Option<Sockets> {
    (!config.fork.websocket.is_empty()).then(|| Sockets::new(config.fork.websocket.clone()))
}

/// Connects to the workers of `[fork]`; `None` when there are none. Called inside a runtime.
///
/// # Errors
/// A token or certificate that cannot be read, naming the key.
pub fn start(config: &Config, neighbours: Neighbours, pieces: &Pieces) -> anyhow::Result<Option<Forks>> {
    if config.fork.workers.is_empty() {
        return Ok(None);
    }
    let Neighbours { recorder, ears, heard, events } = neighbours;
    let vault = recorder.vault().clone();
    let token = read_secret_file("fork.token_file", &config.fork.token_file)?;
    let data_dir: Arc<Path> = config.data.dir.as_path().into();
    let language = ears.as_ref().and_then(|ears| ears.language().map(str::to_owned));
    let hooks = Hooks {
        place: {
            let data_dir = Arc::clone(&data_dir);
            Arc::new(move |recording, started, format| path_of(&data_dir, recording, started, format))
        },
        here: {
            let data_dir = Arc::clone(&data_dir);
            Box::new(move |Fork { tap, call, recording, started, format, .. }| {
                let path = path_of(&data_dir, &recording, started, format);
                recorder.open(Open { tap, recording, call, path, started_at: started, consent: None });
            })
        },
        listen: Box::new(move |tap, call| {
            if let Some(ears) = &ears {
                ears.open(tap, call);
            }
        }),
        said: Box::new(move |call, said| {
            let leg = Leg { call: call.clone(), speaker: said.speaker(), language: language.clone() };
            heard(&leg, heard_of(said));
        }),
        complete: {
            let (events, runtime, data_dir) = (Arc::clone(&events), Handle::current(), Arc::clone(&data_dir));
            let vault = vault.clone();
            Box::new(move |complete| {
                let (events, data_dir, vault) = (Arc::clone(&events), Arc::clone(&data_dir), vault.clone());
                // Joining reads and writes whole files.
                runtime.spawn_blocking(move || events(ended(complete, &data_dir, &vault)));
            })
        },
        late: Box::new(move |delivery| {
            let (call, recording) = (delivery.call, delivery.recording);
            if recording.is_piece() {
                tracing::warn!(%call, %recording, "a part of a recording came when nobody waited for it any more; it lies beside the recording");
                return;
            }
            events(RecordEvent::Late { call, recording, finished: Box::new(finished(delivery.outcome)) });
        }),
    };
    let forks = Forks::start(&config.fork, &token, &config.data.dir, hooks)?;
    let _only_once = pieces.0.set(forks.clone());
    Ok(Some(forks))
}

/// What makes the recorder's inlet tell the listeners, and ask the workers first.
pub fn elsewhere(forks: Option<Forks>, sockets: Option<Sockets>) -> Elsewhere {
    Arc::new(move |open| {
        let Open { tap, recording, call, path, started_at, .. } = open.clone();
        if let Some(sockets) = &sockets {
            sockets.open(tap, &call);
        }
        let format = record::Format::of(&path);
        if let Some(forks) = &forks {
            forks.open(Fork { tap, call, recording, started: started_at, format, listen: false });
        }
        forks.is_some()
    })
}

/// What makes the recogniser's inlet ask the workers first. A call that is not recorded is not forked, so it stays here.
pub fn ears_elsewhere(forks: Forks) -> asr::Elsewhere {
    Arc::new(move |tap, _| forks.listen(tap))
}

/// The recorder's word on a recording that workers made.
fn ended(complete: Complete, data_dir: &Path, vault: &Vault) -> RecordEvent {
    let Complete { call, recording, started, format, length, pieces, missing } = complete;
    if let [one] = &pieces[..]
        && missing == 0
        && one.begins.is_zero()
    {
        let outcome = one.outcome.clone();
        return match outcome.error {
            Some(error) => RecordEvent::Failed { call, recording, error, written_ms: outcome.duration_ms },
            None => RecordEvent::Finished { call, recording, finished: Box::new(finished(outcome)) },
        };
    }
    let place = |recording: &RecordingId| path_of(data_dir, recording, started, format);
    let gaps = pieces.iter().map(|piece| piece.outcome.gaps).sum();
    let here = |Arrived { recording, begins, outcome }| {
        let path = place(&recording);
        path.exists().then(|| Piece { path, first_sample: samples(begins), pauses: outcome.pauses })
    };
    let pieces: Vec<Piece> = pieces.into_iter().filter_map(here).collect();
    if pieces.is_empty() {
        let error = "the worker that recorded it did not come back; the recording comes when it does".to_owned();
        return RecordEvent::Failed { call, recording, error, written_ms: 0 };
    }
    let path = place(&recording);
    let whole = Join {
        call: call.clone(),
        recording: recording.clone(),
        started_at: started,
        path,
        pieces,
        samples: samples(length),
        gaps,
    };
    join(whole, vault).unwrap_or_else(|error| {
        let error = format!("its pieces cannot be joined: {error}");
        RecordEvent::Failed { call, recording, error, written_ms: 0 }
    })
}

fn samples(time: Duration) -> u64 {
    time.as_micros() as u64 * u64::from(audio::RATE_HZ) / 1_000_000
}

fn heard_of(said: Said) -> Heard {
    match said {
        Said::Segment(segment) => Heard::Segment(segment),
        Said::Missed(unheard) => Heard::Missed(unheard),
        Said::Ended { .. } => Heard::Ended,
    }
}

fn finished(outcome: Outcome) -> Finished {
    let Outcome { duration_ms, gaps, bytes, parts, sha256, pauses, .. } = outcome;
    // The details of each side lie beside the recording.
    Finished { duration_ms, gaps, bytes, parts, sha256, stats: audio::Stats::default(), pauses }
}
