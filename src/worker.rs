//! `tandem worker`: the tap, the recorder and the recogniser of other machines' calls, without calls of its own.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use anyhow::Context;

use crate::app::asr_listener;
use crate::app::forks::{keys_of, sounds};
use crate::asr::{self, Heard, Leg};
use crate::config::Config;
use crate::fork::control::{Outcome, Said};
use crate::fork::{Cut, Fork, Listener, WorkerHooks, WorkerStats};
use crate::model::id::RecordingId;
use crate::model::rtp::Route;
use crate::record::{
    CutOff, Finished, Format, Inlet, Open, RecordEvent, Recorder, Reserve, Sidecar, Vault, mend_and_certify, path_of,
};
use crate::shard::TapRing;
use crate::signalling::whatsapp::read_secret_file;
use crate::{record, tap};
pub(crate) use ops::Ops;

mod ops;

/// As a gateway's shard: 0.6 s of 1,000 calls.
const TAP_RING: usize = 65_536;

/// Control records that found the tap's ring full go on at most so much later.
const FLUSH_EVERY: Duration = Duration::from_millis(50);

/// For the last recordings to be delivered when the process must go.
const LAST_DELIVERIES: Duration = Duration::from_secs(3);

/// A running worker.
pub struct Worker {
    listener: Arc<Listener>,
    tap: tap::Tap,
    recorder: Recorder,
}

impl Worker {
    /// Opens the door once everything behind it stands. `engine`: who writes down what is said, if anybody does. Called
    /// inside a runtime.
    ///
    /// # Errors
    /// Whatever is missing, taken or unreadable, naming the key that mends it.
    pub fn start(config: &Config, engine: Option<Arc<dyn asr::Engine>>) -> anyhow::Result<Self> {
        if config.worker.token_file.as_os_str().is_empty() {
            anyhow::bail!("worker.token_file: must name the file with the token that gateways know this worker by");
        }
        let token = read_secret_file("worker.token_file", &config.worker.token_file)?;
        let data_dir = config.data.dir.clone();
        std::fs::create_dir_all(&data_dir).with_context(|| format!("data.dir: {}", data_dir.display()))?;
        // The recorder is there before the door through which its ends are told.
        let door: Arc<OnceLock<Arc<Listener>>> = Arc::default();
        let vault = Vault::open(&config.recording, &data_dir)?;
        let recorder =
            Recorder::spawn_with(&data_dir, vault.clone(), Reserve::of_disk(config.recording.reserve_mb), {
                let door = Arc::clone(&door);
                move |event| {
                    if let Some((recording, outcome)) = ended(event)
                        && let Some(door) = door.get()
                    {
                        door.finished(&recording, outcome);
                    }
                }
            })?;
        let (ring, records) = rtrb::RingBuffer::new(TAP_RING);
        let ears = engine.map(|engine| {
            let (door, language) = (Arc::clone(&door), config.asr.language().map(str::to_owned));
            let listener = move |leg: &Leg, heard| {
                if let Some(door) = door.get() {
                    door.said(&leg.call, said_by(leg, heard));
                }
            };
            asr::Inlet::new(engine, language, Arc::new(listener))
        });
        let ears = ears.transpose().context("no thread for the recogniser")?;
        let inlet = recorder.inlet();
        let listeners = ears.clone().map(asr_listener).into_iter().collect();
        let tap = tap::spawn_with(vec![records], |_| Route::Here, listeners, move |heard| inlet.take(heard))
            .context("no thread for the tap")?;
        let (inlet, orders, ring) = (recorder.inlet(), tap.orders(), Arc::new(Mutex::new(TapRing::new(ring))));
        let listens = ears.is_some();
        let hooks = WorkerHooks {
            place: {
                let data_dir = data_dir.clone();
                Arc::new(move |recording, started, format| path_of(&data_dir, recording, started, format))
            },
            open: {
                let data_dir = data_dir.clone();
                Box::new(move |Fork { tap, call, recording, started, format, listen, consent }| {
                    let listen = listen && listens;
                    let frames = format == Format::Opus;
                    orders.expect(tap, tap::Wants { samples: listen || !frames, frames });
                    if let Some(ears) = ears.as_ref().filter(|_| listen) {
                        ears.open(tap, &call);
                    }
                    let path = path_of(&data_dir, &recording, started, format);
                    inlet.open(Open { tap, recording, call, path, started_at: started, consent });
                })
            },
            keys: keys_of(&vault),
            listens,
            record: {
                let ring = Arc::clone(&ring);
                Box::new(move |record| ring.lock().unwrap_or_else(PoisonError::into_inner).push(record))
            },
        };
        let listener =
            Arc::new(Listener::start(&config.worker, &token, &data_dir, move |cut| mend(cut, &vault), hooks)?);
        let _only_once = door.set(Arc::clone(&listener));
        tokio::spawn(flush_now_and_then(Arc::downgrade(&ring)));
        tell_of_orphans(&data_dir.join("recordings"), &listener);
        Ok(Self { listener, tap, recorder })
    }

    pub fn address(&self) -> std::net::SocketAddr {
        self.listener.address()
    }

    /// For `fork.pins` of the gateways.
    pub fn fingerprint(&self) -> &str {
        &self.listener.fingerprint
    }

    pub fn stats(&self) -> WorkerStats {
        self.listener.stats()
    }

    /// The figures of all of its parts, for somebody else.
    pub(crate) fn watch(&self) -> Watch {
        let (listener, tap) = (Arc::downgrade(&self.listener), self.tap.watch());
        Watch { listener, tap: Box::new(tap), recorder: self.recorder.inlet() }
    }

    /// Ends in peace: gateways take their calls elsewhere, what is finished is delivered if that is quick.
    pub async fn stop(self) {
        let running = self.listener.stats().calls;
        let delivered = async {
            while self.listener.stats().gateways > 0 && self.listener.stats().waiting > 0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        if tokio::time::timeout(LAST_DELIVERIES, delivered).await.is_err() {
            tracing::warn!("recordings are left in the outbox; they are delivered after the next start");
        }
        self.listener.close().await;
        let (tap, recorder, listener) = (self.tap, self.recorder, self.listener);
        let stopped = tokio::task::spawn_blocking(move || {
            tap.stop();
            recorder.stop();
            listener.flush();
        });
        if stopped.await.is_err() {
            tracing::error!("the threads did not stop cleanly");
        }
        tracing::info!(calls_cut = running, "stopped");
    }
}

/// See [`Worker::watch`].
pub(crate) struct Watch {
    listener: Weak<Listener>,
    tap: Box<dyn Fn() -> tap::Stats + Send + Sync>,
    recorder: Inlet,
}

impl Watch {
    fn worker(&self) -> WorkerStats {
        self.listener.upgrade().map(|listener| listener.stats()).unwrap_or_default()
    }

    fn tap(&self) -> tap::Stats {
        (self.tap)()
    }

    fn recorder(&self) -> record::Stats {
        self.recorder.stats()
    }
}

/// The last word of a call must not wait for the next call.
async fn flush_now_and_then(ring: Weak<Mutex<TapRing>>) {
    let mut turns = tokio::time::interval(FLUSH_EVERY);
    loop {
        turns.tick().await;
        let Some(ring) = ring.upgrade() else { return };
        ring.lock().unwrap_or_else(PoisonError::into_inner).flush();
    }
}

/// Recordings that no gateway will ask for: their entries were lost, or they were put here by hand.
fn tell_of_orphans(recordings: &Path, listener: &Listener) {
    for (path, _) in sounds(recordings).filter(|(_, recording)| !listener.owes(recording)) {
        tracing::warn!(path = %path.display(), "a recording of which is not known whose it is; copy it to its gateway, or remove it");
    }
}

/// What an end of the recorder's means for the gateway.
fn ended(event: RecordEvent) -> Option<(RecordingId, Outcome)> {
    match event {
        RecordEvent::Started { .. } | RecordEvent::Late { .. } | RecordEvent::Awaited { .. } => None,
        RecordEvent::Finished { recording, finished, .. } => Some((recording, outcome_of(&finished))),
        RecordEvent::Failed { recording, error, written_ms, .. } => {
            Some((recording, Outcome { duration_ms: written_ms, error: Some(error), ..Outcome::default() }))
        }
    }
}

/// The recorder's figures in the fork's words.
pub(crate) fn outcome_of(finished: &Finished) -> Outcome {
    let Finished { duration_ms, gaps, bytes, parts, ref sha256, ref pauses, .. } = *finished;
    Outcome { duration_ms, gaps, bytes, parts, sha256: sha256.clone(), pauses: pauses.clone(), error: None }
}

/// A recording that a crash of this worker cut off.
fn mend(cut: &Cut<'_>, vault: &Vault) -> Result<Outcome, String> {
    let known = CutOff {
        recording: cut.recording.clone(),
        call: cut.call.clone(),
        started_at: Some(cut.started),
        consent: cut.consent.cloned(),
        pauses: Vec::new(),
    };
    let now = crate::model::time::Clock.now().wall;
    let Sidecar { duration_ms, gaps, pauses, parts, sha256, .. } =
        mend_and_certify(cut.path, known, vault, now).map_err(|error| crate::model::error::chain(&error))?;
    let (bytes, parts) = (parts.iter().map(|part| part.bytes).sum(), u32::try_from(parts.len()).unwrap_or(u32::MAX));
    Ok(Outcome { duration_ms, gaps, bytes, parts, sha256, pauses, error: None })
}

fn said_by(leg: &Leg, heard: Heard) -> Said {
    match heard {
        Heard::Segment(segment) => Said::Segment(segment),
        Heard::Missed(unheard) => Said::Missed(unheard),
        Heard::Ended => Said::Ended { speaker: leg.speaker },
    }
}
