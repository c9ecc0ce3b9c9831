//! Builds every part from its section of the configuration, joins them, and takes them down again.
//!
//! Three kinds of channel, and nothing else, connect the parts:
//!
//! - **commands** go down: desk → shard, desk → recorder. Bounded; a full one refuses the call it was for.
//! - **events** come up: shard → desk, recorder → desk, store → bus → event streams. Bounded; the end of a call is never among
//!   what may be dropped: shards keep it until it is taken.
//! - **media copies**: shard → tap worker (a ring of packets), tap worker → recorder (a queue of samples) or another
//!   machine (QUIC's send buffer). Bounded in seconds of audio; what does not fit is dropped, counted, and becomes exact
//!   silence in the recording.

use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, bail};
use secrecy::SecretString;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::archive::Archive;
use crate::asr::{self, Builtin, Leg, Remote};
use crate::billing::RateCard;
use crate::bus::Bus;
use crate::config::{Config, Policy};
use crate::control::{self, Control, ServeError, Tls};
use crate::fork::Forks;
use crate::media::Identity;
use crate::metrics::Metrics;
use crate::model::error::chain;
use crate::model::rtp::{Route, TapRecord};
use crate::model::time::Clock;
use crate::policy::access;
use crate::record::{Announcements, Recorder, Reserve, Vault};
use crate::shard::Shards;
use crate::signalling::whatsapp::{Graph, Webhook, read_secret_file};
use crate::store::{Claim, IMPORTED, Store, StoreError, Terms};
use crate::summary::Summariser;
use crate::switchboard::{Parts, Switchboard};
use crate::worker::{Ops, Worker};
use crate::{bus, console, tap};
use figures::Figures;

pub use invite::{Invite, invite};

pub(crate) mod figures;
mod health;
mod invite;
mod push;

pub mod forks;

/// Packets copied away from one shard and not yet taken: 16 MB, some 0.6 s of 1,000 calls.
const TAP_RING: usize = 65_536;
/// Events of all shards in front of the desk.
const SHARD_EVENTS: usize = 4_096;
/// How long calls may take to be ended properly when the process must go.
const END_WITHIN: Duration = Duration::from_secs(5);

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    InPeace,
    /// This many calls ran when it had to go.
    CallsCut(usize),
    /// It was asked whether a recording is as it was recorded, and said no.
    Altered,
}

/// A running gateway.
pub struct App {
    pub store: Store,
    pub switchboard: Switchboard,
    /// What people and programs open, e.g. `http://127.0.0.1:8080`.
    pub base_url: String,
    pub metrics_address: SocketAddr,
    shards: Shards,
    recorder: Recorder,
    tap: tap::Tap,
    forks: Option<Forks>,
    terms: TermsLoader,
    closing: CancellationToken,
    doors: JoinSet<Result<(), ServeError>>,
    /// Held for life: two gateways on one folder or one database would end each other's calls.
    _folder: File,
    claim: Claim,
}

/// `tandem serve`: runs until SIGTERM or SIGINT, drains, and ends.
///
/// # Errors
/// Whatever keeps the gateway from starting, in one sentence.
pub async fn serve(config: Config) -> anyhow::Result<Ended> {
    let app = App::start(&config, false).await?;
    let key = config.data.dir.join("admin.key");
    tracing::info!(url = app.base_url, metrics = %app.metrics_address, admin_key = %key.display(), "tandem is ready");
    app.run().await
}

/// `tandem worker`: runs until SIGTERM or SIGINT.
///
/// # Errors
/// Whatever keeps the worker from starting, in one sentence.
pub async fn work(config: Config) -> anyhow::Result<Ended> {
    let door = control::bind("worker.metrics_listen", config.worker.metrics_listen)?;
    let metrics = door.address();
    let _folder = claim(&config.data.dir)?;
    let mut signals = Signals::new()?;
    let recogniser = recogniser(&config)?;
    let worker = Worker::start(&config, recogniser.as_ref().map(Recogniser::engine))?;
    let ops = Ops { watch: worker.watch(), recogniser, data_dir: config.data.dir.clone() };
    let closing = CancellationToken::new();
    let ops =
        tokio::spawn(control::serve(door, ops.router(), None, closing.clone(), closing.clone().cancelled_owned()));
    tracing::info!(address = %worker.address(), %metrics, pin = worker.fingerprint(), "the worker is ready: gateways name it in fork.workers and fork.pins");
    signals.recv().await;
    closing.cancel();
    // It is asked nothing any more, however it ended.
    let _ended = ops.await;
    let cut = worker.stats().calls;
    worker.stop().await;
    Ok(if cut == 0 { Ended::InPeace } else { Ended::CallsCut(cut) })
}

/// `tandem key create`.
///
/// # Errors
/// An unknown scope, or a database that cannot be opened.
pub async fn create_key(config: &Config, name: &str, scopes: &[String]) -> anyhow::Result<Ended> {
    let scopes = scopes.iter().map(|scope| scope.parse()).collect::<Result<Vec<_>, _>>()?;
    let store = Store::open(&config.data.url, &config.data.dir).await?;
    println!("{}", store.create_key(name, &scopes, Clock.now().wall).await?);
    Ok(Ended::InPeace)
}

/// `tandem access`: who may what under the policy pack in force, as a Markdown page on stdout.
///
/// # Errors
/// A policy pack that cannot be used.
pub fn print_access(config: &Config) -> anyhow::Result<Ended> {
    print!("{}", access::matrix(configured(config)?.rules(Clock.now().wall)));
    Ok(Ended::InPeace)
}

/// `tandem policy`: the policy pack's editions and what changes with each, as a Markdown page on stdout.
///
/// # Errors
/// A policy pack that cannot be used.
pub fn print_policy(config: &Config) -> anyhow::Result<Ended> {
    print!("{}", configured(config)?.pack.page(Clock.now().wall));
    Ok(Ended::InPeace)
}

/// The pack that `[policy]` names.
fn configured(config: &Config) -> anyhow::Result<Terms> {
    config.policy.terms(None).map_err(|errors| anyhow::anyhow!("{}", errors.join("\n")))
}

impl App {
    /// Starts every part, lowest floor first, the doors last: nobody is let in before everything stands.
    ///
    /// # Errors
    /// Whatever is missing, taken or unreadable, naming the key that mends it.
    pub async fn start(config: &Config, sandbox: bool) -> anyhow::Result<Self> {
        let clock = Clock;
        // Taken before anything else: a busy port is the commonest mistake.
        let main = control::bind("http.listen", config.http.listen)?;
        let ops = control::bind("http.metrics_listen", config.http.metrics_listen)?;
        let webhook = webhook_door(config)?;

        let folder = claim(&config.data.dir)?;
        // The paths of recordings are kept, and hold wherever the program is started from.
        let data_dir = std::path::absolute(&config.data.dir).context("data.dir cannot be used")?;
        let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION")));
        let (store, claim) = Store::open_claimed(&config.data.url, &config.data.dir).await?;
        store.admin_key(&config.data.dir, clock.now().wall).await?;
        let terms = TermsLoader { policy: config.policy.clone(), store: store.clone(), clock };
        terms.load().await.map_err(|errors| anyhow::anyhow!("{}", errors.join("\n")))?;
        let bus = Bus::new(bus::CAPACITY);

        let (record_events, mut recorded) = mpsc::unbounded_channel();
        let vault = Vault::open(&config.recording, &config.data.dir)?;
        let record_events: forks::Events = Arc::new(move |event| drop(record_events.send(event)));
        let pieces = forks::Pieces::default();
        let recorder =
            Recorder::spawn_with(&config.data.dir, vault.clone(), Reserve::of_disk(config.recording.reserve_mb), {
                let (events, pieces) = (Arc::clone(&record_events), pieces.clone());
                move |event| {
                    if let Some(event) = pieces.take(event) {
                        events(event);
                    }
                }
            })?;
        let (shard_events, mut media_events) = mpsc::channel(SHARD_EVENTS);
        let mut rings = Vec::new();
        let shards = Shards::spawn(
            &config.media,
            |_| {
                let (producer, consumer) = rtrb::RingBuffer::new(TAP_RING);
                rings.push(consumer);
                producer
            },
            shard_events,
        )?;
        let recogniser = recogniser(config)?;
        // The desk comes to be below; before that nobody is listened to.
        let desk_listens = Arc::new(OnceLock::<asr::Listener>::new());
        let listening = Arc::clone(&desk_listens);
        let listener: asr::Listener = Arc::new(move |leg: &Leg, said| {
            if let Some(listener) = listening.get() {
                listener(leg, said);
            }
        });
        let ears = recogniser.as_ref().map(|recogniser| {
            let language = config.asr.language().map(str::to_owned);
            asr::Inlet::new(recogniser.engine(), language, Arc::clone(&listener))
        });
        let ears = ears.transpose().context("cannot start the recogniser's thread")?;
        let neighbours = forks::Neighbours {
            recorder: recorder.inlet(),
            ears: ears.clone(),
            heard: listener,
            events: record_events,
            books: forks::books(store.clone()),
        };
        let forks = forks::start(config, neighbours, &pieces)?;
        let sockets = forks::sockets(config);
        let (streams, watched) = (sockets.is_some(), sockets.clone());
        // Whoever hears calls there needs them decoded here, wherever they are recorded.
        let mut diverter = forks.as_ref().map(|forks| forks.diverter(streams));
        let divert = move |record: &TapRecord| diverter.as_mut().map_or(Route::Here, |forks| forks.divert(record));
        let mut listeners = Vec::new();
        let listening = ears.clone();
        listeners.extend(ears.clone().map(asr_listener));
        listeners.extend(
            sockets.clone().map(|sockets| tap::Listener::new("media streams", move |heard| sockets.take(heard))),
        );
        let inlet = recorder.inlet();
        let tap = tap::spawn_with(rings, divert, listeners, move |heard| inlet.take(heard))
            .context("cannot start the tap worker's thread")?;

        let observed = Arc::clone(&metrics);
        let graph =
            Graph::new(&config.whatsapp, Arc::new(move |op, code, elapsed| observed.meta_api(op, code, elapsed)))?;
        let switchboard = Switchboard::start(Parts {
            clock,
            store: store.clone(),
            bus,
            metrics: Arc::clone(&metrics),
            graph,
            shards: shards.clone(),
            recorder: recorder.inlet().or_elsewhere(forks::elsewhere(forks.clone(), sockets)),
            ears: match &forks {
                Some(forks) => ears.map(|ears| ears.or_elsewhere(forks::ears_elsewhere(forks.clone()))),
                None => ears,
            },
            streams,
            summariser: summariser(config)?,
            tap: tap.orders(),
            recording: config.recording.clone(),
            announcements: Announcements::load(&config.recording.announcement)?,
            archive: archive(config)?,
            uploads_max: config.archive.uploads,
            data_dir: data_dir.clone(),
            identity: Identity::generate(),
            patience: config.calls,
            config: config.agents,
            push: push::open(config, &metrics)?,
        })
        .await?;
        let desk = switchboard.clone();
        tokio::spawn(async move {
            while let Some(event) = media_events.recv().await {
                desk.take_shard_event(event).await;
            }
        });
        let desk = switchboard.clone();
        tokio::spawn(async move {
            while let Some(event) = recorded.recv().await {
                desk.take_record_event(event).await;
            }
        });
        let _only_once = desk_listens.set(switchboard.listener());
        let figures = Figures {
            store: store.clone(),
            shards: shards.clone(),
            tap: Box::new(tap.watch()),
            recorder: recorder.inlet(),
            recogniser,
            ears: listening,
            forks: forks.clone(),
            sockets: watched,
            switchboard: switchboard.clone(),
            metrics: Arc::clone(&metrics),
            clock,
        };
        tokio::spawn(figures.keep());

        let closing = CancellationToken::new();
        let rendered = Arc::clone(&metrics);
        let probe = health::Probe { shards: shards.clone(), recorder: recorder.inlet(), tap: Box::new(tap.watch()) };
        let base_url = config.http.base_url(main.address());
        let control = Arc::new(Control {
            store: store.clone(),
            switchboard: switchboard.clone(),
            webhook,
            metrics: Box::new(move || rendered.render()),
            readiness: Box::new(move || {
                let unready = probe.unready();
                Box::pin(async move { unready })
            }),
            recordings_dir: data_dir.join("recordings"),
            vault,
            sandbox,
            sign_in: control::SignIn::default(),
            base_url: base_url.clone(),
            secure_cookies: base_url.starts_with("https://"),
            reload: {
                let terms = terms.clone();
                Box::new(move || {
                    let terms = terms.clone();
                    Box::pin(async move { terms.load().await })
                })
            },
            clock,
            closing: closing.clone(),
        });
        let metrics_address = ops.address();
        let tls = match config.http.is_tls() {
            true => Some(Tls::load(&config.http.tls_cert_file, &config.http.tls_key_file)?),
            false => None,
        };
        let mut doors = JoinSet::new();
        let shut = closing.clone();
        doors.spawn(control::serve(main, control.router(console::router()), tls, closing.clone(), async move {
            shut.cancelled().await;
        }));
        let shut = closing.clone();
        doors.spawn(control::serve(ops, control.ops_router(), None, closing.clone(), async move {
            shut.cancelled().await;
        }));
        Ok(Self {
            store,
            switchboard,
            base_url,
            metrics_address,
            shards,
            recorder,
            tap,
            forks,
            terms,
            closing,
            doors,
            _folder: folder,
            claim,
        })
    }

    /// Runs until told to stop: the first SIGTERM or SIGINT drains, a second one ends what still runs. SIGHUP reads the
    /// policy pack and the rate card anew.
    ///
    /// # Errors
    /// A door that failed.
    pub async fn run(mut self) -> anyhow::Result<Ended> {
        let mut signals = Signals::new()?;
        tokio::spawn(self.terms.clone().reload_on(signal(SignalKind::hangup())?));
        tokio::select! {
            () = signals.recv() => {}
            lost = self.claim.lost() => {
                self.stop(END_WITHIN).await;
                return Err(lost.into());
            }
            Some(door) = self.doors.join_next() => {
                self.stop(END_WITHIN).await;
                match door {
                    Ok(Ok(())) => bail!("a listener closed by itself"),
                    Ok(Err(error)) => return Err(error.into()),
                    Err(panic) => bail!("a listener failed: {panic}"),
                }
            }
        }
        self.switchboard.drain();
        let drained = async {
            while self.switchboard.active_calls() > 0 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            () = drained => {}
            () = signals.recv() => tracing::warn!(calls = self.switchboard.active_calls(), "told twice: ending what still runs"),
            lost = self.claim.lost() => tracing::error!(error = %lost, "ending what still runs"),
        }
        Ok(match self.stop(END_WITHIN).await {
            0 => Ended::InPeace,
            cut => Ended::CallsCut(cut),
        })
    }

    /// Ends calls properly, closes the doors, the media and the files. Returns how many calls were cut.
    pub async fn stop(mut self, within: Duration) -> usize {
        let cut = self.switchboard.end_all(within).await;
        self.closing.cancel();
        while self.doors.join_next().await.is_some() {}
        let (shards, tap, recorder, forks) = (self.shards, self.tap, self.recorder, self.forks);
        let runtime = tokio::runtime::Handle::current();
        let stopped = tokio::task::spawn_blocking(move || {
            shards.shutdown();
            tap.stop();
            // After the last packets, and while the recorder can still take what comes back.
            if let Some(forks) = forks {
                runtime.block_on(forks.stop());
            }
            recorder.stop();
        });
        if stopped.await.is_err() {
            tracing::error!("the media threads did not stop cleanly");
        }
        cut
    }
}

/// The recogniser as the tap knows it.
pub(crate) fn asr_listener(ears: asr::Inlet) -> tap::Listener {
    let late = ears.clone();
    tap::Listener::new("recogniser", move |heard| ears.take(heard)).makes_up(move |tap| late.let_go(tap))
}

/// Reads the policy pack and the rate card, and puts them in force.
#[derive(Clone)]
struct TermsLoader {
    policy: Policy,
    store: Store,
    clock: Clock,
}

impl TermsLoader {
    /// Both or neither: what is in force stays when either is wrong.
    async fn load(&self) -> Result<(), Vec<String>> {
        let failed = |error: StoreError| vec![format!("the database: {error}")];
        let _turn = self.store.terms_change().await;
        let imported = self.store.imported_rate_card().await.map_err(failed)?.filter(|(sha256, csv)| {
            // The gateway must come up for a better card to be imported.
            let errors = RateCard::parse(IMPORTED, csv).err();
            if let Some(errors) = &errors {
                tracing::error!(sha256, %errors, "the imported rate card cannot be read; PUT /v1/rate-card a corrected one");
            }
            errors.is_none()
        });
        let terms = self.policy.terms(imported.as_ref().map(|(_, csv)| csv.as_str()))?;
        let (card, wallet) = (terms.card.currency(), self.store.wallet(terms.card.currency()).await.map_err(failed)?);
        if card != wallet.currency {
            return Err(vec![format!(
                "policy.rate_card: its currency is {card}, but the wallet is in {}",
                wallet.currency
            )]);
        }
        tracing::info!(pack = terms.pack_id, "terms in force");
        self.store.keep_pack(&terms, self.clock.now().wall).await.map_err(failed)?;
        self.store.keep_rate_card(&terms.card).await.map_err(failed)?;
        self.store.set_terms(terms);
        Ok(())
    }

    /// What cannot be used is told and changes nothing.
    async fn reload_on(self, mut hang_up: Signal) {
        while hang_up.recv().await.is_some() {
            for error in self.load().await.err().unwrap_or_default() {
                tracing::error!(error, "not reloaded; what was in force stays");
            }
        }
    }
}

/// Claims the data folder for this process.
fn claim(dir: &Path) -> anyhow::Result<File> {
    let unusable = || format!("data.dir: {} cannot be used", dir.display());
    std::fs::create_dir_all(dir).with_context(unusable)?;
    let path = dir.join("gateway.lock");
    let lock = File::options().create(true).write(true).truncate(false).open(&path).with_context(unusable)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            bail!(
                "data.dir: {} is in use by another tandem; stop it, or give this one a folder of its own",
                dir.display()
            )
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(unusable),
    }
}

/// Who listens to calls; its figures are asked of it.
pub(crate) enum Recogniser {
    Builtin(Arc<Builtin>),
    Remote(Arc<Remote>),
}

impl Recogniser {
    fn engine(&self) -> Arc<dyn asr::Engine> {
        match self {
            Self::Builtin(engine) => Arc::clone(engine) as _,
            Self::Remote(engine) => Arc::clone(engine) as _,
        }
    }
}

/// Who listens to calls. Without a model nobody does, and everything else works.
fn recogniser(config: &Config) -> anyhow::Result<Option<Recogniser>> {
    if let Some(kind) = config.asr.remote() {
        let key = secret("asr.api_key_file", &config.secrets.asr_api_key, &config.asr.api_key_file)?;
        let remote = Remote::new(kind, &config.asr, key, tokio::runtime::Handle::current())?;
        tracing::info!(
            engine = kind.name(),
            host = remote.host(),
            "calls' sound goes to a speech recogniser elsewhere"
        );
        return Ok(Some(Recogniser::Remote(Arc::new(remote))));
    }
    if config.asr.engine == "off" {
        return Ok(None);
    }
    match Builtin::load(&config.asr) {
        Ok(engine) => Ok(Some(Recogniser::Builtin(Arc::new(engine)))),
        Err(error) => {
            tracing::warn!(error = %chain(&error), "calls are not transcribed");
            Ok(None)
        }
    }
}

/// A secret from the environment, a file, or none.
fn secret(key: &'static str, given: &Option<SecretString>, file: &Path) -> anyhow::Result<Option<SecretString>> {
    match given {
        Some(secret) => Ok(Some(secret.clone())),
        None if file.as_os_str().is_empty() => Ok(None),
        None => Ok(Some(read_secret_file(key, file)?)),
    }
}

/// What tells WhatsApp's webhooks from forged ones. Without the secrets the gateway starts, and refuses every webhook.
fn webhook_door(config: &Config) -> anyhow::Result<Option<Webhook>> {
    let app_secret = secret("whatsapp.app_secret_file", &config.secrets.app_secret, &config.whatsapp.app_secret_file)?;
    let verify_token =
        secret("whatsapp.verify_token_file", &config.secrets.verify_token, &config.whatsapp.verify_token_file)?;
    if let (Some(app_secret), Some(verify_token)) = (app_secret, verify_token) {
        return Ok(Some(Webhook::new(&app_secret, verify_token)?));
    }
    tracing::warn!("webhooks are refused until whatsapp.app_secret_file and whatsapp.verify_token_file are set");
    Ok(None)
}

/// Where finished recordings go, with the secret that opens it.
fn archive(config: &Config) -> anyhow::Result<Option<Archive>> {
    let (given, file) = (&config.secrets.archive_secret, &config.archive.secret_access_key_file);
    // Where nothing goes there, its key need not be there either.
    let file = if config.recording.store.is_empty() { Path::new("") } else { file };
    let secret = secret("archive.secret_access_key_file", given, file)?;
    Ok(Archive::open(&config.recording.store, &config.archive, secret)?)
}

/// Who sums calls up, with the key of the endpoint that may do so.
fn summariser(config: &Config) -> anyhow::Result<Summariser> {
    let key = secret("summary.api_key_file", &config.secrets.summary_api_key, &config.summary.api_key_file)?;
    Ok(Summariser::new(&config.summary, key)?)
}

/// SIGTERM and SIGINT, which mean the same.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let failed = "signals cannot be received";
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context(failed)?,
            interrupt: signal(SignalKind::interrupt()).context(failed)?,
        })
    }

    async fn recv(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
