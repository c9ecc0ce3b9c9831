//! Joins the forks with the recorder: what workers record becomes this gateway's recordings.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use tokio::runtime::Handle;

use crate::audio;
use crate::config::Config;
use crate::fork::control::Outcome;
use crate::fork::{Complete, Fork, Forks, Hooks, Sockets};
use crate::model::time::Clock;
use crate::record::{Elsewhere, Finished, Inlet, Open, Piece, RecordEvent, join, path_of};
use crate::signalling::whatsapp::read_secret_file;
use crate::worker::outcome_of;

/// Where the recorder's events go.
pub type Events = Arc<dyn Fn(RecordEvent) + Send + Sync>;

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
pub fn start(config: &Config, inlet: Inlet, events: Events, pieces: &Pieces) -> anyhow::Result<Option<Forks>> {
    if config.fork.workers.is_empty() {
        return Ok(None);
    }
    let token = read_secret_file("fork.token_file", &config.fork.token_file)?;
    let data_dir: Arc<Path> = config.data.dir.as_path().into();
    let hooks = Hooks {
        place: {
            let data_dir = Arc::clone(&data_dir);
            Arc::new(move |recording, started| path_of(&data_dir, recording, started))
        },
        here: {
            let data_dir = Arc::clone(&data_dir);
            Box::new(move |Fork { tap, call, recording, started }| {
                let path = path_of(&data_dir, &recording, started);
                inlet.open(Open { tap, recording, call, path });
            })
        },
        complete: {
            let (events, runtime, data_dir) = (Arc::clone(&events), Handle::current(), Arc::clone(&data_dir));
            Box::new(move |complete| {
                let (events, data_dir) = (Arc::clone(&events), Arc::clone(&data_dir));
                // Joining reads and writes whole files.
                runtime.spawn_blocking(move || events(ended(complete, &data_dir)));
            })
        },
        late: Box::new(move |delivery| {
            let (call, recording) = (delivery.call, delivery.recording);
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
        let Open { tap, recording, call, .. } = open.clone();
        if let Some(sockets) = &sockets {
            sockets.open(tap, &call);
        }
        if let Some(forks) = &forks {
            forks.open(Fork { tap, call, recording, started: Clock.now().wall });
        }
        forks.is_some()
    })
}

/// The recorder's word on a recording that workers made.
fn ended(complete: Complete, data_dir: &Path) -> RecordEvent {
    let Complete { call, recording, started, length, pieces, missing } = complete;
    let place = |recording| path_of(data_dir, recording, started);
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
    let gaps: u64 = pieces.iter().map(|piece| piece.outcome.gaps).sum();
    let samples = |time: std::time::Duration| time.as_millis() as u64 * u64::from(audio::RATE_HZ) / 1000;
    let here = |(path, first_sample): (PathBuf, u64)| path.exists().then_some(Piece { path, first_sample });
    let pieces: Vec<Piece> =
        pieces.iter().filter_map(|piece| here((place(&piece.recording), samples(piece.begins)))).collect();
    if pieces.is_empty() {
        let error = "the worker that recorded it did not come back; the recording comes when it does".to_owned();
        return RecordEvent::Failed { call, recording, error, written_ms: 0 };
    }
    match join(&place(&recording), &pieces, samples(length)) {
        Ok(joined) => {
            let (duration_ms, bytes, parts, sha256) = (joined.duration_ms, joined.bytes, joined.parts, joined.sha256);
            let outcome = Outcome { duration_ms, gaps: gaps + joined.holes, bytes, parts, sha256, error: None };
            RecordEvent::Finished { call, recording, finished: Box::new(finished(outcome)) }
        }
        Err(error) => {
            let error = format!("its pieces cannot be joined: {error}");
            RecordEvent::Failed { call, recording, error, written_ms: 0 }
        }
    }
}

fn finished(outcome: Outcome) -> Finished {
    let Outcome { duration_ms, gaps, bytes, parts, sha256, .. } = outcome;
    // The worker's own log has the details of each side.
    Finished { duration_ms, gaps, bytes, parts, sha256, stats: audio::Stats::default() }
}
