//! Joins the forks with the recorder and the recogniser: what workers record and hear becomes this gateway's own.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use futures_util::future::BoxFuture;
use tokio::runtime::Handle;

use crate::asr::{self, Heard, Leg};
use crate::config::Config;
use crate::fork::control::{Delivery, Outcome, Said};
use crate::fork::{Arrived, Complete, Fork, Forks, Hooks, Intake, Keys, Sockets, Wanted};
use crate::model::error::chain;
use crate::model::id::{CallId, RecordingId};
use crate::model::reason::RecordingState;
use crate::record::{Elsewhere, Finished, Inlet, Join, Open, Piece, RecordEvent, Vault, finish_joins, join, path_of};
use crate::signalling::whatsapp::read_secret_file;
use crate::store::{Store, StoreError};
use crate::worker::outcome_of;
use crate::{audio, record};

/// Where the recorder's events go.
pub type Events = Arc<dyn Fn(RecordEvent) + Send + Sync>;

/// Asks what the books say about a call's recording; `None`: they know no such call.
pub type Books = Arc<dyn Fn(CallId) -> BoxFuture<'static, Result<Option<Booked>, String>> + Send + Sync>;

/// What the books say about a call's recording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Booked {
    /// `None`: that there is one was not written down.
    pub recording: Option<RecordingId>,
    /// It was deleted, or its time was over.
    pub is_deleted: bool,
}

/// The books of this gateway.
pub fn books(store: Store) -> Books {
    Arc::new(move |call| {
        let store = store.clone();
        Box::pin(async move {
            let failed = |error: StoreError| format!("the database does not answer: {}", chain(&error));
            let file = store.recording(&call).await.map_err(failed)?;
            if let Some(file) = file {
                let is_deleted = file.state == RecordingState::Deleted;
                return Ok(Some(Booked { recording: Some(file.id), is_deleted }));
            }
            Ok(store.call(&call).await.map_err(failed)?.map(|_| Booked::default()))
        })
    })
}

/// What the forks are joined with.
pub struct Neighbours {
    pub recorder: Inlet,
    /// `None`: nothing is written down, whatever workers can.
    pub ears: Option<asr::Inlet>,
    /// Where the ears' words go.
    pub heard: asr::Listener,
    pub events: Events,
    pub books: Books,
}

/// Put before the recorder's events while there are no forks yet: it takes those of forked calls' pieces away.
#[derive(Clone, Default)]
pub struct Pieces(Arc<OnceLock<Forks>>);

impl Pieces {
    /// The event, unless it is about a piece of a recording that others have pieces of.
    pub fn take(&self, event: RecordEvent) -> Option<RecordEvent> {
        let Some(forks) = self.0.get() else { return Some(event) };
        let (recording, outcome) = match &event {
            RecordEvent::Started { .. } | RecordEvent::Late { .. } | RecordEvent::Awaited { .. } => return Some(event),
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
    let recordings = config.data.dir.join("recordings");
    finish_joins(&recordings).with_context(|| format!("data.dir: cannot read {}", recordings.display()))?;
    tell_of_pieces(&recordings);
    if config.fork.workers.is_empty() {
        return Ok(None);
    }
    let Neighbours { recorder, ears, heard, events, books } = neighbours;
    let vault = recorder.vault().clone();
    let token = read_secret_file("fork.token_file", &config.fork.token_file)?;
    let data_dir: Arc<Path> = config.data.dir.as_path().into();
    let language = ears.as_ref().and_then(|ears| ears.language().map(str::to_owned));
    let hooks = Hooks {
        intake: intake(config, books, vault.clone()),
        keys: keys_of(&vault),
        here: {
            let data_dir = Arc::clone(&data_dir);
            Box::new(move |Fork { tap, call, recording, started, format, consent, .. }| {
                let path = path_of(&data_dir, &recording, started, format);
                recorder.open(Open { tap, recording, call, path, started_at: started, consent });
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
            Box::new(move |complete| {
                let (events, data_dir, vault) = (Arc::clone(&events), Arc::clone(&data_dir), vault.clone());
                // Joining reads and writes whole files.
                runtime.spawn_blocking(move || events(ended(complete, &data_dir, &vault)));
            })
        },
        late: Box::new(move |Delivery { call, recording, outcome, .. }| {
            if recording.is_piece() {
                tracing::warn!(%call, %recording, "a part of a recording came when nobody waited for it any more; it lies beside the recording");
                return;
            }
            events(match outcome.error {
                Some(error) => RecordEvent::Failed { call, recording, error, written_ms: outcome.duration_ms },
                None => RecordEvent::Late { call, recording, finished: Box::new(finished(outcome)) },
            });
        }),
    };
    let forks = Forks::start(&config.fork, &token, &config.data.dir, hooks)?;
    let _only_once = pieces.0.set(forks.clone());
    Ok(Some(forks))
}

/// What makes the recorder's inlet tell the listeners, and ask the workers first.
pub fn elsewhere(forks: Option<Forks>, sockets: Option<Sockets>) -> Elsewhere {
    Arc::new(move |open| {
        let Open { tap, recording, call, path, started_at, consent } = open.clone();
        if let Some(sockets) = &sockets {
            sockets.open(tap, &call);
        }
        let format = record::Format::of(&path);
        if let Some(forks) = &forks {
            forks.open(Fork { tap, call, recording, started: started_at, format, listen: false, consent });
        }
        forks.is_some()
    })
}

/// What makes the recogniser's inlet ask the workers first. A call that is not recorded is not forked, so it stays here.
pub fn ears_elsewhere(forks: Forks) -> asr::Elsewhere {
    Arc::new(move |tap, _| forks.listen(tap))
}

/// Which keys a worker must have.
pub(crate) fn keys_of(vault: &Vault) -> Keys {
    Keys { signing: vault.public_key().map(|key| key.to_string()), sealing: vault.sealing_key_id() }
}

fn intake(config: &Config, books: Books, vault: Vault) -> Intake {
    let data_dir = config.data.dir.clone();
    Intake {
        place: Arc::new(move |recording, started, format| path_of(&data_dir, recording, started, format)),
        wanted: Box::new(move |delivery| {
            let (booked, recording) = (books(delivery.call.clone()), delivery.recording.clone());
            Box::pin(async move { wanted(booked.await?, &recording) })
        }),
        fits: Box::new(move |start| match vault.fits(start) {
            true => Ok(()),
            false => Err("is not sealed: the worker needs this gateway's recording.encryption_key_file".to_owned()),
        }),
        reserve_bytes: config.archive.keep_free_mb.saturating_mul(1_000_000),
    }
}

fn wanted(booked: Option<Booked>, recording: &RecordingId) -> Result<Wanted, String> {
    let whole = recording.whole();
    match booked {
        None => Err("this gateway's books know no such call: was its database replaced?".to_owned()),
        Some(Booked { recording: Some(known), .. }) if known != whole => {
            Err(format!("the recording of its call is {known}"))
        }
        Some(Booked { is_deleted: true, .. }) => Ok(Wanted::Deleted),
        Some(_) => Ok(Wanted::Yes),
    }
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
        let why = "the worker that recorded it did not come back; the recording comes when it does".to_owned();
        return RecordEvent::Awaited { call, recording, why };
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
        let error = format!("its pieces cannot be joined and lie beside each other: {error}");
        RecordEvent::Failed { call, recording, error, written_ms: 0 }
    })
}

/// Parts of recordings that nobody will put together any more: the process died before all of them had come, or they came
/// too late.
fn tell_of_pieces(recordings: &Path) {
    for (path, _) in sounds(recordings).filter(|(_, recording)| recording.is_piece()) {
        tracing::warn!(path = %path.display(), "a part of a recording that is not in the whole; it lies beside it");
    }
}

/// All files of sound in a folder of recordings, and whose they are. What cannot be read is passed over.
pub(crate) fn sounds(recordings: &Path) -> impl Iterator<Item = (PathBuf, RecordingId)> {
    let days = std::fs::read_dir(recordings).into_iter().flatten().flatten();
    let files = days.flat_map(|day| std::fs::read_dir(day.path())).flatten().flatten().map(|file| file.path());
    let sounds = files.filter(|path| ["wav", "opus"].iter().any(|kind| path.extension() == Some(kind.as_ref())));
    sounds.filter_map(|path| {
        let recording = RecordingId::parse(path.file_name()?.to_str()?.split_once('.')?.0).ok()?;
        Some((path, recording))
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::recording::Format;
    use crate::model::time::Timestamp;

    #[test]
    fn the_books_say_what_is_taken_from_a_worker() {
        #[track_caller]
        fn check(booked: Option<(Option<&str>, bool)>, delivered: &str, expected: Result<Wanted, &str>) {
            let id = |id: &str| RecordingId::parse(id).unwrap();
            let booked = booked.map(|(recording, is_deleted)| Booked { recording: recording.map(id), is_deleted });
            let got = wanted(booked, &id(delivered));
            match (&got, expected) {
                (Ok(got), Ok(expected)) => assert_eq!(*got, expected, "{delivered}"),
                (Err(got), Err(expected)) => assert!(got.contains(expected), "{got}"),
                _ => panic!("{delivered}: {got:?}"),
            }
        }
        check(Some((Some("rec_1"), false)), "rec_1", Ok(Wanted::Yes));
        check(Some((Some("rec_1"), false)), "rec_1-p2", Ok(Wanted::Yes));
        check(Some((Some("rec_1"), true)), "rec_1", Ok(Wanted::Deleted));
        check(Some((Some("rec_1"), true)), "rec_1-p1", Ok(Wanted::Deleted));
        check(Some((None, false)), "rec_1", Ok(Wanted::Yes));
        check(Some((Some("rec_2"), false)), "rec_1", Err("the recording of its call is rec_2"));
        check(Some((Some("rec_2"), true)), "rec_1", Err("the recording of its call is rec_2"));
        check(None, "rec_1", Err("know no such call"));
    }

    #[test]
    fn a_worker_that_stays_away_is_no_broken_disk() {
        let dir = tempfile::tempdir().unwrap();
        let complete = Complete {
            call: CallId::generate(),
            recording: RecordingId::generate(),
            started: Timestamp::from_millis(0),
            format: Format::Wav,
            length: Duration::from_secs(9),
            pieces: Vec::new(),
            missing: 1,
        };
        let told = ended(complete, dir.path(), &Vault::default());
        assert!(matches!(told, RecordEvent::Awaited { .. }), "{told:?}");
    }
}
