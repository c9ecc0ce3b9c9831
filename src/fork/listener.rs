//! The receiving side's door: who may come in, and which media connection is whose.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quinn::crypto::rustls::HandshakeData;
use quinn::{Connection, Endpoint, Incoming, VarInt};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use super::control::{self, Goodbye, Outcome, Said, Token};
use super::outbox::{Cut, Outbox};
use super::session::Ear;
use super::stats::{Counter, Level, WorkerStats};
use super::{Fork, Keys, Place, TlsError, WorkerConfig, link, lock, roq, session, socket, tls};
use crate::model::error::chain;
use crate::model::id::{CallId, RecordingId};
use crate::model::rtp::TapRecord;

/// A connection must say who it is within this time.
pub(super) const INTRODUCE_WITHIN: Duration = Duration::from_secs(5);

/// Connections that have not said so yet; more are turned away unread. Each may make us hold 20 MB, and a gateway needs two,
/// for as long as a round trip.
const STRANGERS_MAX: usize = 16;

/// What the listener needs from its neighbours; called on its threads, must not wait.
pub struct WorkerHooks {
    /// Where a recording belongs.
    pub place: Place,
    /// Record this call. Comes before the first record of its tap.
    pub open: Box<dyn Fn(Fork) + Send + Sync>,
    /// What recordings are signed and sealed with here.
    pub keys: Keys,
    /// Whether this machine has a recogniser, which tells [`Listener::said`] what it hears of calls opened to be listened to.
    pub listens: bool,
    /// In order for each tap.
    pub record: Box<dyn Fn(TapRecord) + Send + Sync>,
}

/// The door cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("worker.listen: cannot listen on {0} (UDP): free the port, or set another")]
    Bind(SocketAddr, #[source] std::io::Error),
    #[error("cannot keep the outbox in {}: make the folder writable for this user", .0.display())]
    Outbox(std::path::PathBuf, #[source] std::io::Error),
}

/// The running receiving side.
pub struct Listener {
    worker: Arc<WorkerState>,
    endpoint: Endpoint,
    /// SHA-256 of the certificate in hex, for `fork.pins`.
    pub fingerprint: String,
    door: JoinHandle<()>,
}

/// What all sessions share.
pub(super) struct WorkerState {
    pub(super) token: Token,
    pub(super) hooks: WorkerHooks,
    pub(super) outbox: Outbox,
    /// Something new may be delivered.
    pub(super) news: Notify,
    /// Media connections nobody has named yet, by their exporter.
    media: Mutex<HashMap<String, Unclaimed>>,
    media_came: Notify,
    /// Where the words of calls go that are being listened to.
    pub(super) ears: Mutex<HashMap<CallId, Ear>>,
    strangers: Level,
    pub(super) gateways: Level,
    pub(super) counters: WorkerCounters,
}

/// A media connection, and whom to tell when it is claimed.
struct Unclaimed {
    connection: Connection,
    _claimed: oneshot::Sender<()>,
}

#[derive(Debug, Default)]
pub(super) struct WorkerCounters {
    pub(super) calls: Level,
    pub(super) packets: Counter,
    pub(super) bytes: Counter,
    pub(super) malformed: Counter,
    pub(super) strays: Counter,
    pub(super) lost: Counter,
    pub(super) dropped_partials: Counter,
    pub(super) refused: Counter,
    pub(super) cut: Counter,
    pub(super) delivered: Counter,
    pub(super) undelivered: Counter,
}

impl Listener {
    /// Opens the door; recordings that a former process left are mended first, with `mend`. Called inside a runtime.
    ///
    /// # Errors
    /// [`ListenError`].
    pub fn start(
        config: &WorkerConfig,
        token: &SecretString,
        data_dir: &Path,
        mend: impl Fn(&Cut<'_>) -> Result<Outcome, String>,
        hooks: WorkerHooks,
    ) -> Result<Self, ListenError> {
        let outbox_dir = data_dir.join("outbox");
        let outbox = Outbox::open(outbox_dir.clone(), &mend).map_err(|error| ListenError::Outbox(outbox_dir, error))?;
        let (server, fingerprint) = tls::server(config, data_dir)?;
        let endpoint =
            socket::endpoint(config.listen, Some(server)).map_err(|error| ListenError::Bind(config.listen, error))?;
        let worker = Arc::new(WorkerState {
            token: Token(token.expose_secret().to_owned()),
            hooks,
            outbox,
            news: Notify::new(),
            media: Mutex::default(),
            media_came: Notify::new(),
            ears: Mutex::default(),
            strangers: Level::default(),
            gateways: Level::default(),
            counters: WorkerCounters::default(),
        });
        let door = tokio::spawn(welcome(endpoint.clone(), Arc::clone(&worker)));
        Ok(Self { worker, endpoint, fingerprint, door })
    }

    /// Where it listens.
    ///
    /// # Panics
    /// Never: a bound socket has an address.
    pub fn address(&self) -> SocketAddr {
        self.endpoint.local_addr().expect("a bound socket has an address")
    }

    /// What the recogniser heard. Never waits.
    pub fn said(&self, call: &CallId, said: Said) {
        self.worker.said(call, said);
    }

    /// A recording has ended; it is delivered as soon as its gateway is there.
    pub fn finished(&self, recording: &RecordingId, outcome: Outcome) {
        match self.worker.outbox.finish(recording, outcome) {
            true => self.worker.news.notify_waiters(),
            false => tracing::error!(%recording, "a recording of no gateway ended; it stays here"),
        }
    }

    /// Whether this recording is to be delivered to a gateway, now or when it has ended.
    pub fn owes(&self, recording: &RecordingId) -> bool {
        self.worker.outbox.has(recording)
    }

    /// Makes sure that the next process knows what is left. Waits for the disk; to be called last.
    pub fn flush(&self) {
        if let Err(error) = self.worker.outbox.flush() {
            tracing::error!(%error, "the outbox cannot be written: recordings may be left that the next process does not know of");
        }
    }

    pub fn stats(&self) -> WorkerStats {
        let worker = &self.worker;
        let (of, waiting) = (&worker.counters, worker.outbox.waiting());
        WorkerStats {
            gateways: worker.gateways.get(),
            calls: of.calls.get(),
            packets: of.packets.get(),
            bytes: of.bytes.get(),
            malformed: of.malformed.get(),
            strays: of.strays.get(),
            lost: of.lost.get(),
            dropped_partials: of.dropped_partials.get(),
            refused: of.refused.get(),
            cut: of.cut.get(),
            waiting: waiting.recordings,
            waiting_bytes: waiting.bytes,
            delivered: of.delivered.get(),
            undelivered: of.undelivered.get(),
        }
    }

    /// Closes every connection: gateways take their calls elsewhere. Taps are closed then; what the recorder still
    /// finishes is told to [`Listener::finished`] as before and delivered after the next start.
    pub async fn close(&self) {
        self.door.abort();
        self.endpoint.close(VarInt::from_u32(Goodbye::Leaving as u32), b"the worker ends");
        let gone = async {
            while self.worker.gateways.get() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            self.endpoint.wait_idle().await;
        };
        let _late = tokio::time::timeout(Duration::from_secs(2), gone).await;
    }
}

impl WorkerState {
    fn said(&self, call: &CallId, said: Said) {
        let mut ears = lock(&self.ears);
        let Some(ear) = ears.get_mut(call) else { return };
        if ear.tell(call, said, &self.counters) {
            ears.remove(call);
        }
    }

    /// The media connection of that name, once it is there.
    pub(super) async fn claim(&self, binding: &str) -> Option<Connection> {
        let found = async {
            loop {
                let mut came = std::pin::pin!(self.media_came.notified());
                came.as_mut().enable();
                if let Some(unclaimed) = lock(&self.media).remove(binding) {
                    return unclaimed.connection;
                }
                came.await;
            }
        };
        tokio::time::timeout(INTRODUCE_WITHIN, found).await.ok()
    }

    /// Keeps a media connection until its gateway names it.
    async fn offer(&self, connection: Connection) {
        let Some(binding) = link::binding(&connection) else { return };
        let (sender, claimed) = oneshot::channel();
        lock(&self.media).insert(binding.clone(), Unclaimed { connection, _claimed: sender });
        self.media_came.notify_waiters();
        // The sender is dropped once it is claimed.
        let _claimed = tokio::time::timeout(INTRODUCE_WITHIN, claimed).await;
        let unclaimed = lock(&self.media).remove(&binding);
        if let Some(Unclaimed { connection, .. }) = unclaimed {
            self.counters.refused.add(1);
            tracing::warn!(from = %connection.remote_address(), "a media connection that no gateway named; closed");
            let code = VarInt::from_u32(roq::ErrorCode::ExpectationUnmet.code());
            connection.close(code, b"nobody named this connection on a control connection");
        }
    }
}

async fn welcome(endpoint: Endpoint, worker: Arc<WorkerState>) {
    while let Some(incoming) = endpoint.accept().await {
        if !incoming.remote_address_validated() {
            // Nothing is kept for an address that may be a forged one (RFC 9000 section 8.1.2).
            if let Err(error) = incoming.retry() {
                error.into_incoming().refuse();
            }
            continue;
        }
        if worker.strangers.get() >= STRANGERS_MAX {
            worker.counters.refused.add(1);
            incoming.refuse();
            continue;
        }
        worker.strangers.up();
        tokio::spawn({
            let worker = Arc::clone(&worker);
            async move {
                introduce(incoming, &worker).await;
            }
        });
    }
}

async fn introduce(incoming: Incoming, worker: &Arc<WorkerState>) {
    let from = incoming.remote_address();
    let connection = match tokio::time::timeout(INTRODUCE_WITHIN, incoming).await {
        Ok(Ok(connection)) => Some(connection),
        Ok(Err(error)) => {
            worker.counters.refused.add(1);
            tracing::warn!(%from, why = chain(&error), "a connection did not come about");
            None
        }
        Err(_) => None,
    };
    let control = connection.as_ref().is_some_and(is_control);
    match connection {
        Some(connection) if control => session::run(connection, worker, || worker.strangers.down()).await,
        Some(connection) => {
            worker.offer(connection).await;
            worker.strangers.down();
        }
        None => worker.strangers.down(),
    }
}

fn is_control(connection: &Connection) -> bool {
    let data = connection.handshake_data().and_then(|data| data.downcast::<HandshakeData>().ok());
    data.is_some_and(|data| data.protocol.as_deref() == Some(control::ALPN))
}
