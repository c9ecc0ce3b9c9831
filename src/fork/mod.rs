//! Calls' sound on its way to other machines: to `tandem worker`s, as RTP over QUIC; to listeners that speak Twilio's
//! media streams, decoded, over WebSocket ([`Sockets`]).
//!
//! # Who speaks what
//!
//! There are two QUIC connections to each worker, so that the media is RoQ and nothing else, as any other RoQ peer
//! speaks it ([`roq`]), and what RoQ leaves open has a protocol of its own ([`control`], ALPN `tandem-fork-1`): who we
//! are, which call a flow id is, its beginning, gaps, switches of encoder, its end; finished recordings come back on
//! it. RoQ has no way to say whose a connection is, so the control connection, once the worker has seen the token,
//! names the media connection by its TLS exporter (RFC 8446 section 7.5), which only its two ends can compute. A media
//! connection that nobody names within seconds is closed.
//!
//! A call is one flow; the two sides have an SSRC each. The gateway copies Opus packets as they are and decodes nothing.
//!
//! # What may go wrong
//!
//! Nothing here can disturb a call: the tap worker's thread hands packets to QUIC and never waits; 250 ms of media may
//! wait for the network, what is more is dropped, counted and told to the worker as a gap. A dead worker is noticed
//! within four seconds; its calls go on as a further piece on another worker or in the gateway, and the pieces are
//! joined at the end ([`runs`]). What such a call says is no more written down live, but afterwards, from the recording
//! ([`speech`]). Sound of a pause stays here ([`pauses`]). A worker keeps a recording until the gateway has it safe on its disk ([`delivery`]);
//! if it was away, it delivers when it is back.

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use quinn::{Endpoint, VarInt};
use secrecy::{ExposeSecret, SecretString};
use tokio::task::JoinSet;

use crate::model::id::{CallId, RecordingId};
use crate::model::recording::{Consent, Format};
use crate::model::rtp::TapKey;
use crate::model::time::{Clock, Timestamp};
use control::{Delivery, Goodbye, Outcome, Said, Token};
use delivery::Received;
use link::{Credentials, Link, Live};
use runs::Runs;
use speech::Speech;
use stats::Counter;

pub use config::{Config, WorkerConfig};
pub use delivery::{AskBooks, AskFormat, Intake, Place, Wanted};
pub use divert::Diverter;
pub use keys::Keys;
pub use listener::{ListenError, Listener, WorkerHooks};
pub use outbox::Cut;
pub use runs::{Arrived, Complete, PIECES_WITHIN};
pub use stats::{Stats, WorkerStats};
pub use tls::TlsError;
pub use websocket::{Encoding, SocketStats, Sockets, Target, Tracks};

mod config;
pub mod control;
mod delivery;
mod divert;
mod durable;
mod early;
mod flows;
mod keys;
mod link;
mod listener;
mod outbox;
mod pauses;
pub mod roq;
mod runs;
mod session;
mod socket;
mod speech;
mod stats;
mod tls;
mod twilio;
mod websocket;

/// Calls whose taps are to open. Of one that ends before that an entry stays, so the oldest one goes.
const EXPECTED_MAX: usize = 4_096;

/// At the end of the process, for recordings that are just being delivered.
const LAST_DELIVERIES: Duration = Duration::from_secs(3);

/// A call whose sound may go to a worker. Give it to [`Forks::open`] before the shard is told to tap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fork {
    pub tap: TapKey,
    pub call: CallId,
    pub recording: RecordingId,
    pub started: Timestamp,
    pub format: Format,
    /// Whether what is said is to be written down. At the gateway, [`Forks::listen`] sets it.
    pub listen: bool,
    /// What was announced before it.
    pub consent: Option<Consent>,
}

/// What the forks need from their neighbours; called on their threads, must not wait.
pub struct Hooks {
    pub intake: Intake,
    /// What recordings are signed and sealed with here: only workers are used that do the same.
    pub keys: Keys,
    /// Record this call here: no worker has it, or has it any more. Called before the first block of its sound.
    pub here: Box<dyn Fn(Fork) + Send + Sync>,
    /// Listen to this call here: its worker, if it has one, has no recogniser. Called before the first block of its sound.
    pub listen: Listen,
    /// What a worker heard. Of each side of a call that [`Hooks::listen`] is not called for, `Ended` is the last word and
    /// always comes.
    pub said: Tell,
    /// All of a recording that will come has come.
    pub complete: Box<dyn Fn(Complete) + Send + Sync>,
    /// A recording came that nobody waited for any more: its worker was away for long, or this process began after it.
    pub late: Box<dyn Fn(Delivery) + Send + Sync>,
}

/// See [`Hooks::listen`].
pub type Listen = Box<dyn Fn(TapKey, &CallId) + Send + Sync>;

/// See [`Hooks::said`].
pub type Tell = Box<dyn Fn(&CallId, Said) + Send + Sync>;

/// The forks cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("no UDP port for the workers' connections")]
    Port(#[source] std::io::Error),
    #[error("cannot keep the gateway's name in {}", .0.display())]
    Name(std::path::PathBuf, #[source] std::io::Error),
}

/// The ways to all workers. Cheap to clone.
#[derive(Clone)]
pub struct Forks {
    shared: Arc<Shared>,
    endpoint: Endpoint,
    tasks: Arc<Mutex<JoinSet<()>>>,
}

/// What the links, the tap's thread and the desk share. Locks are held for a look-up.
pub(crate) struct Shared {
    links: Vec<Arc<Link>>,
    calls_per_worker: usize,
    hooks: Hooks,
    expected: Mutex<BTreeMap<TapKey, Fork>>,
    runs: Mutex<Runs>,
    speech: Mutex<Speech>,
    fallbacks: Counter,
    moved: Counter,
}

impl Forks {
    /// Connects to the workers, and keeps connecting. Called inside a runtime. `data_dir` keeps the name the workers
    /// know this gateway by.
    ///
    /// # Errors
    /// [`StartError`]; that a worker is away is none.
    pub fn start(config: &Config, token: &SecretString, data_dir: &Path, hooks: Hooks) -> Result<Self, StartError> {
        let name = data_dir.join("fork.id");
        let gateway = gateway_name(&name).map_err(|cause| StartError::Name(name, cause))?;
        let clients = tls::clients(config)?;
        // Both families where the system has both.
        let endpoint = socket::endpoint(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)), None)
            .or_else(|_| socket::endpoint(SocketAddr::from(([0, 0, 0, 0], 0)), None))
            .map_err(StartError::Port)?;
        let token = Token(token.expose_secret().to_owned());
        let credentials = Arc::new(Credentials { endpoint: endpoint.clone(), clients, token, gateway });
        let shared = Arc::new(Shared {
            links: config.workers.iter().map(|address| Arc::new(Link::new(address.clone()))).collect(),
            calls_per_worker: config.calls_per_worker,
            hooks,
            expected: Mutex::default(),
            runs: Mutex::default(),
            speech: Mutex::default(),
            fallbacks: Counter::default(),
            moved: Counter::default(),
        });
        let mut tasks = JoinSet::new();
        for link in &shared.links {
            tasks.spawn(Arc::clone(link).run(Arc::clone(&credentials), Arc::clone(&shared)));
        }
        tasks.spawn(wait_in_vain(Arc::clone(&shared)));
        Ok(Self { shared, endpoint, tasks: Arc::new(Mutex::new(tasks)) })
    }

    /// This call's sound is to go to a worker once its tap opens.
    pub fn open(&self, fork: Fork) {
        let mut expected = self.shared.expected();
        if expected.len() >= EXPECTED_MAX {
            expected.pop_first();
        }
        expected.insert(fork.tap, fork);
    }

    /// For the tap worker's thread; there is one.
    /// `also_here`: the sound is wanted in this process too, so the calls that are sent away are decoded here besides.
    pub fn diverter(&self, also_here: bool) -> Diverter {
        Diverter::new(Arc::clone(&self.shared), also_here)
    }

    /// What is said in this call, which was given to [`Forks::open`], is to be written down: by its worker if that has a
    /// recogniser, else [`Hooks::listen`] is called. False: there is no such call.
    pub fn listen(&self, tap: TapKey) -> bool {
        self.shared.expected().get_mut(&tap).map(|fork| fork.listen = true).is_some()
    }

    /// A recording that [`Hooks::here`] began has ended. False: it is none of a forked call.
    pub fn take_local(&self, recording: &RecordingId, outcome: Outcome) -> bool {
        self.shared.arrive(recording, outcome).is_ok()
    }

    pub fn stats(&self) -> Stats {
        let shared = &self.shared;
        let moved = (shared.fallbacks.get(), shared.moved.get());
        let mut all = Stats { fallbacks: moved.0, moved: moved.1, ..Stats::default() };
        for (link, one) in shared.links.iter().map(|link| (link, &link.counters)) {
            if let Some(live) = link.live() {
                all.connected += 1;
                all.calls += live.calls.get();
                all.quic_lost += live.lost();
                all.queued_bytes = all.queued_bytes.max(live.queued());
                all.rtt = all.rtt.max(live.rtt());
            }
            all.packets += one.packets.get();
            all.bytes += one.bytes.get();
            all.dropped += one.dropped.get();
            all.withheld += one.withheld.get();
            all.reconnects += one.connects.get().saturating_sub(1);
            all.refused += one.refused.get();
            all.other_keys += usize::from(link.has_other_keys());
            all.quic_lost += one.quic_lost.get();
            all.delivered += one.delivered.get();
            all.undelivered += one.undelivered.get();
        }
        all
    }

    /// Ends without a word, as a crash would.
    pub fn abandon(self) {
        lock(&self.tasks).abort_all();
        self.endpoint.close(VarInt::from_u32(Goodbye::Leaving as u32), b"");
    }

    /// Waits a little for recordings that are on their way, then says goodbye. Stop the tap first. What is still with a
    /// worker then is delivered to the next process on this data folder.
    pub async fn stop(self) {
        let delivered = async {
            while !(self.shared.runs().is_empty() && self.shared.speech().is_empty()) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let in_time = tokio::time::timeout(LAST_DELIVERIES, delivered).await.is_ok();
        if !in_time {
            tracing::warn!("workers still hold recordings or words; recordings are delivered at the next start");
        }
        lock(&self.tasks).abort_all();
        self.endpoint.close(VarInt::from_u32(Goodbye::Leaving as u32), b"the gateway ends");
        let _gone_anyway = tokio::time::timeout(Duration::from_secs(1), self.endpoint.wait_idle()).await;
    }
}

impl Shared {
    fn expected(&self) -> MutexGuard<'_, BTreeMap<TapKey, Fork>> {
        lock(&self.expected)
    }

    fn runs(&self) -> MutexGuard<'_, Runs> {
        lock(&self.runs)
    }

    fn speech(&self) -> MutexGuard<'_, Speech> {
        lock(&self.speech)
    }

    /// The worker for a new call.
    fn least_loaded(&self) -> Option<(Arc<Link>, Arc<Live>)> {
        let live = self.links.iter().filter_map(|link| Some((link, link.live()?)));
        let room = live.filter(|(_, live)| live.calls.get() < self.calls_per_worker);
        room.min_by_key(|(_, live)| live.calls.get()).map(|(link, live)| (Arc::clone(link), live))
    }

    /// A call's sound has ended.
    fn close(&self, fork: &Fork, length: Duration, now: Instant) {
        let complete = self.runs().close(&fork.recording, length, now);
        if let Some(complete) = complete {
            (self.hooks.complete)(complete);
        }
        let rest = self.speech().close(&fork.call, length, now);
        self.say(rest);
    }

    /// What worker number `link` heard.
    fn take_said(&self, call: &CallId, link: u64, said: Said) {
        let believed = self.speech().take(call, link, &said);
        if believed {
            (self.hooks.said)(call, said);
        }
    }

    fn lose_ears(&self, link: u64) {
        let rest = self.speech().lose(link);
        self.say(rest);
    }

    fn say(&self, rest: Vec<(CallId, Said)>) {
        for (call, said) in rest {
            (self.hooks.said)(&call, said);
        }
    }

    fn arrive(&self, recording: &RecordingId, outcome: Outcome) -> Result<(), Outcome> {
        let complete = self.runs().arrive(recording, outcome)?;
        if let Some(complete) = complete {
            (self.hooks.complete)(complete);
        }
        Ok(())
    }

    /// The recording that its worker need not keep any longer.
    fn take_received(&self, received: Received) -> RecordingId {
        let (Received::Here(delivery) | Received::Aside(delivery) | Received::Deleted(delivery)) = &received;
        let (call, recording) = (delivery.call.clone(), delivery.recording.clone());
        match received {
            Received::Here(delivery) => self.take_delivery(delivery),
            Received::Aside(_) => {
                tracing::warn!(%call, %recording, "a part of a recording came too late; it lies beside the recording");
            }
            Received::Deleted(_) => {
                tracing::info!(%call, %recording, "a worker had a recording that was deleted meanwhile; its copy goes too");
            }
        }
        recording
    }

    fn take_delivery(&self, delivery: Delivery) {
        if let Err(outcome) = self.arrive(&delivery.recording, delivery.outcome.clone()) {
            (self.hooks.late)(Delivery { outcome, ..delivery });
        }
    }
}

/// Gives up on pieces whose workers do not come back.
async fn wait_in_vain(shared: Arc<Shared>) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    loop {
        seconds.tick().await;
        let given_up = shared.runs().give_up(Clock.instant());
        for complete in given_up {
            tracing::error!(call = %complete.call, recording = %complete.recording, missing = complete.missing,
                "a worker does not come back with its part of a recording");
            (shared.hooks.complete)(complete);
        }
        let silent = shared.speech().give_up(Clock.instant());
        shared.say(silent);
    }
}

/// A name for this data folder, kept in it.
fn gateway_name(path: &Path) -> std::io::Result<String> {
    match std::fs::read_to_string(path) {
        Ok(name) if !name.trim().is_empty() => Ok(name.trim().to_owned()),
        Ok(_) => write_name(path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => write_name(path),
        Err(error) => Err(error),
    }
}

fn write_name(path: &Path) -> std::io::Result<String> {
    let name = format!("gw_{}", uuid::Uuid::now_v7().simple());
    durable::write(path, name.as_bytes())?;
    Ok(name)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
