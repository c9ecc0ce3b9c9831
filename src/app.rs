//! Builds every part from its section of the configuration, joins them, and takes them down again.
//!
//! Three kinds of channel, and nothing else, connect the parts:
//!
//! - **commands** go down: desk → shard, desk → recorder. Bounded; a full one refuses the call it was for.
//! - **events** come up: shard → desk, recorder → desk, store → bus → event streams. Bounded; the end of a call is never among
//!   what may be dropped: shards keep it until it is taken.
//! - **media copies**: shard → tap worker (a ring of packets), tap worker → recorder (a queue of samples). Bounded in
//!   seconds of audio; what does not fit is dropped, counted, and becomes exact silence in the recording.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use secrecy::SecretString;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::bus::Bus;
use crate::config::Config;
use crate::control::{self, Control, Door, Unready, WebhookDoor};
use crate::media::Identity;
use crate::metrics::Metrics;
use crate::model::time::Clock;
use crate::record::Recorder;
use crate::shard::Shards;
use crate::signalling::whatsapp::{Graph, Webhook, read_secret_file};
use crate::store::Store;
use crate::switchboard::{Parts, Switchboard};
use crate::{console, tap};

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
    closing: CancellationToken,
    doors: tokio::task::JoinSet<Result<(), control::ServeError>>,
}

/// `tandem serve`: runs until SIGTERM or SIGINT, drains, and ends.
///
/// # Errors
/// Whatever keeps the gateway from starting, in one sentence.
pub async fn serve(config: Config) -> anyhow::Result<Ended> {
    let app = App::start(&config, false).await?;
    tracing::info!(url = app.base_url, metrics = %app.metrics_address, "tandem is ready");
    app.run().await
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

impl App {
    /// Starts every part, lowest floor first, the doors last: nobody is let in before everything stands.
    ///
    /// # Errors
    /// Whatever is missing, taken or unreadable, naming the key that mends it.
    pub async fn start(config: &Config, sandbox: bool) -> anyhow::Result<Self> {
        let clock = Clock;
        // Taken before anything else: a busy port is the commonest mistake.
        let main = control::bind(config.http.listen, "http.listen")?;
        let ops = control::bind(config.http.metrics_listen, "http.metrics_listen")?;
        let webhook = webhook_door(config)?;

        let metrics = Arc::new(Metrics::new());
        let store = Store::open(&config.data.url, &config.data.dir).await?;
        store.admin_key(&config.data.dir, clock.now().wall).await?;
        let bus = Bus::new();

        let (record_events, mut recorded) = mpsc::unbounded_channel();
        let recorder = Recorder::spawn(&config.data.dir, move |event| {
            let _ = record_events.send(event);
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
        let inlet = recorder.inlet();
        let tap = tap::spawn(rings, move |heard| inlet.take(heard)).context("cannot start the tap worker's thread")?;

        let observed = Arc::clone(&metrics);
        let graph = Graph::new(
            &config.whatsapp,
            Arc::new(move |op, code, elapsed| observed.meta_api(op, code, elapsed)),
        )?;
        let switchboard = Switchboard::start(Parts {
            clock,
            store: store.clone(),
            bus,
            metrics: Arc::clone(&metrics),
            graph,
            shards: shards.clone(),
            recorder: recorder.inlet(),
            data_dir: config.data.dir.clone(),
            identity: Identity::generate(),
            patience: config.calls,
            config: config.agents,
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
        tokio::spawn(housekeeping(store.clone(), shards.clone(), Arc::clone(&metrics), clock));

        let closing = CancellationToken::new();
        let rendered = Arc::clone(&metrics);
        let probed = shards.clone();
        let control = Arc::new(Control {
            store: store.clone(),
            switchboard: switchboard.clone(),
            webhook,
            metrics: Box::new(move || rendered.render()),
            readiness: Box::new(move || {
                let ports = probed.bind_customer().err().map(|error| Unready::new("ports", error.to_string()));
                Box::pin(async move { ports.into_iter().collect() })
            }),
            recordings_dir: config.data.dir.join("recordings"),
            sandbox,
            clock,
            closing: closing.clone(),
        });
        let base_url = config.http.base_url(main.local_addr()?);
        let metrics_address = ops.local_addr()?;
        let mut doors = tokio::task::JoinSet::new();
        open_door(&mut doors, main, control.router(console::router()), Door::from_config(&config.http)?, &closing);
        open_door(&mut doors, ops, control.ops_router(), Door::Plain, &closing);
        Ok(Self { store, switchboard, base_url, metrics_address, shards, recorder, tap, closing, doors })
    }

    /// Runs until told to stop: the first SIGTERM or SIGINT drains, a second one ends what still runs.
    ///
    /// # Errors
    /// A door that failed.
    pub async fn run(mut self) -> anyhow::Result<Ended> {
        let mut signals = Signals::new()?;
        tokio::select! {
            () = signals.recv() => {}
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
        }
        Ok(match self.stop(END_WITHIN).await {
            0 => Ended::InPeace,
            cut => Ended::CallsCut(cut),
        })
    }

    /// Ends calls properly, closes the doors, the media and the files. Returns how many calls were cut.
    pub async fn stop(mut self_: Self, within: Duration) -> usize {
        let cut = self_.switchboard.end_all(within).await;
        self_.closing.cancel();
        while tokio::time::timeout(Duration::from_secs(2), self_.doors.join_next()).await.is_ok_and(|door| door.is_some()) {}
        let (shards, tap, recorder) = (self_.shards, self_.tap, self_.recorder);
        let stopped = tokio::task::spawn_blocking(move || {
            shards.shutdown();
            tap.stop();
            recorder.stop();
        });
        let _ = stopped.await;
        cut
    }
}
