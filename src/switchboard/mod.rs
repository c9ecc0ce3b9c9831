//! The desk: the only place that decides *when*. It gathers facts, asks the mind, and carries out what it answers.
//!
//! One task ([`line`]) runs each call; the [`registry`] knows which calls there are and who is busy; the [`inbox`] works off
//! WhatsApp's webhooks one after another, so that two of them never race for the same call.

mod admit;
mod adopt;
mod bring_back;
mod bypass;
mod completing;
mod consent;
mod documents;
mod downloads;
mod execute;
mod inbox;
mod keeping;
mod leftovers;
mod line;
mod notes;
mod permissions;
mod presence;
mod push;
mod pushed;
mod readiness;
mod reconcile;
mod recorded;
mod recording;
mod refusals;
mod registry;
mod requests;
mod restrictions;
mod settings;
mod settle;
mod summaries;
mod templates;
mod terms;
mod transcripts;
mod under_way;
mod upkeep;
mod wishes;
mod writing;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{broadcast, mpsc};

use crate::archive::Archive;
use crate::bus::Bus;
use crate::call::{CallRecord, Patience};
use crate::media::Identity;
use crate::media::sdp::SdpError;
use crate::metrics::Metrics;
use crate::model::directory::Asker;
use crate::model::event::{Event, NewEvent};
use crate::model::id::{AgentId, CallId};
use crate::model::money::Charge;
use crate::model::reason::EndReason;
use crate::model::time::Clock;
use crate::policy::Denial;
use crate::record::{self, Inlet};
use crate::shard::Shards;
use crate::signalling::whatsapp::Graph;
use crate::store::{Store, StoreError};
use crate::summary::Summariser;
use crate::tap::Orders;
use crate::webpush::Push;

pub use admit::{Callability, PlaceCall};
pub use bring_back::Absent;
pub use downloads::Download;
pub use keeping::KeepingStats;
pub use presence::StreamGuard;
pub use requests::AskPermission;
pub use restrictions::Health;
pub use settings::{SettingsChange, SettingsRefusal, SettingsView, SyncState};
pub use summaries::SummingStats;
pub use transcripts::LiveTranscript;
pub use wishes::ContactChange;
pub use writing::WritingStats;

use registry::Registry;

/// Why a wish was not granted.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Absent, or not this caller's to see: the same answer.
    #[error("there is no such thing, or it is not yours to see")]
    NotFound,
    #[error("the offer is no longer pending")]
    OfferNotPending,
    #[error("the call has ended")]
    CallEnded,
    /// The command does not fit the call's state.
    #[error("{0}")]
    WrongState(String),
    #[error("{0}")]
    BadRequest(String),
    #[error("the session description cannot be used")]
    Sdp(#[from] SdpError),
    #[error("the call may not be placed")]
    Denied(Denial),
    /// The customer may not be asked for permission now.
    #[error("permission may not be asked for")]
    RequestDenied(Denial),
    /// WhatsApp refused the call; its code and sentence.
    #[error("WhatsApp refused: {message}")]
    Upstream { code: Option<i64>, message: String },
    /// WhatsApp refused to ask the customer for permission.
    #[error("WhatsApp refused: {message}")]
    RequestUpstream { code: Option<i64>, message: String },
    #[error("the gateway is full: {0}")]
    Full(String),
    #[error("the gateway is draining and takes no new calls")]
    Draining,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the switchboard works with; each part is built in `app`.
pub struct Parts {
    pub clock: Clock,
    pub store: Store,
    pub bus: Bus,
    pub metrics: Arc<Metrics>,
    pub graph: Graph,
    pub shards: Shards,
    pub recorder: Inlet,
    /// `None` = nobody listens to what is said.
    pub ears: Option<crate::asr::Inlet>,
    /// Whether recorded calls are also heard, decoded, by others, who are told of them through `recorder`.
    pub streams: bool,
    pub summariser: Summariser,
    pub tap: Orders,
    pub recording: record::Config,
    pub announcements: record::Announcements,
    /// `None` = recordings stay in the local folder.
    pub archive: Option<Archive>,
    /// Recordings on their way into it at once.
    pub uploads_max: u32,
    /// Recordings lie beneath it.
    pub data_dir: PathBuf,
    pub identity: Identity,
    pub patience: Patience,
    pub config: Config,
    /// Rings agents whose consoles are closed; `None` = nobody does.
    pub push: Option<Push>,
}

/// `[agents]`: how agents are told to be there.
#[derive(Clone, Copy, Debug, serde::Deserialize, serde::Serialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// An agent whose last event stream closed, and who neither comes back nor is pushed to, goes offline after this time.
    pub away_after_ms: u64,
    /// An online agent whose client says for so long that it is not ready is offered no calls until it is; 0: however long.
    pub not_ready_after_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        // A page reload takes a second or two; a closed laptop must not be rung for long.
        // A headset is plugged in again, or a question of the browser's answered, within two minutes.
        Self { away_after_ms: 15_000, not_ready_after_ms: 120_000 }
    }
}

/// A `connect` older than this rings nobody: WhatsApp gives a caller 30 to 60 s, and may deliver much later.
const STALE_AFTER: Duration = Duration::from_secs(60);

/// The handle everybody above the desk holds. Cheap to clone.
#[derive(Clone)]
pub struct Switchboard(Arc<Desk>);

/// What all calls of the process share.
pub(crate) struct Desk {
    parts: Parts,
    registry: Registry,
    streams: presence::Streams,
    ready: readiness::Ready,
    pushes: push::Turns,
    rounds: permissions::Rounds,
    live: transcripts::Live,
    writing: writing::Writing,
    summing: Mutex<SummingStats>,
    keeping: keeping::Keeping,
    untaken: recorded::Untaken,
    downloads: downloads::Downloads,
    templates: templates::Kept,
    draining: AtomicBool,
    webhooks: mpsc::Sender<inbox::Kept>,
}

impl Switchboard {
    /// Starts the desk: settles what a crash left behind, then works off webhooks that were kept but not worked off.
    ///
    /// # Errors
    /// [`StoreError`] when the database cannot be read.
    pub async fn start(parts: Parts) -> Result<Self, StoreError> {
        let (webhooks, inbox) = mpsc::channel(inbox::QUEUE);
        let keeping = keeping::Keeping::begin(&parts.data_dir.join("recordings"));
        let desk = Arc::new(Desk {
            parts,
            registry: Registry::default(),
            streams: presence::Streams::default(),
            ready: readiness::Ready::default(),
            pushes: push::Turns::default(),
            rounds: permissions::Rounds::default(),
            live: transcripts::Live::default(),
            writing: writing::Writing::new(),
            summing: Mutex::default(),
            keeping,
            untaken: recorded::Untaken::default(),
            downloads: downloads::Downloads::default(),
            templates: templates::Kept::default(),
            draining: AtomicBool::new(false),
            webhooks,
        });
        settle::settle_orphans(&desk).await?;
        desk.settle_transcripts().await?;
        permissions::start_clocks(&desk);
        presence::expect_everybody_back(&desk).await?;
        let pending = desk.parts.store.webhooks_pending().await?;
        tokio::spawn(inbox::run(Arc::clone(&desk), pending, inbox));
        tokio::spawn(upkeep::run(Arc::downgrade(&desk)));
        tokio::spawn(completing::run(Arc::downgrade(&desk)));
        tokio::spawn(summaries::run(Arc::downgrade(&desk)));
        tokio::spawn(keeping::run_uploads(Arc::downgrade(&desk)));
        tokio::spawn(keeping::run_sweeps(Arc::downgrade(&desk)));
        tokio::spawn(leftovers::run(Arc::downgrade(&desk)));
        Ok(Self(desk))
    }

    /// Live events as they enter the log. A slow reader sees `Lagged` and re-reads the log.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.0.parts.bus.subscribe()
    }

    pub fn active_calls(&self) -> usize {
        self.0.registry.active_calls()
    }

    /// Calls the agent is rung for, dials or talks on.
    pub fn active_calls_of(&self, agent: &AgentId) -> u32 {
        self.0.registry.active_calls_of(agent)
    }

    pub fn is_draining(&self) -> bool {
        self.0.draining.load(Ordering::Relaxed)
    }

    /// From now on no new call begins; those that run end in peace.
    pub fn drain(&self) {
        if !self.0.draining.swap(true, Ordering::Relaxed) {
            tracing::info!(calls = self.active_calls(), "draining");
        }
    }

    /// Ends what still runs, properly: WhatsApp told, recordings closed, records written. Returns how many were cut.
    pub async fn end_all(&self, within: Duration) -> usize {
        self.drain();
        let cut = self.active_calls();
        for call in self.0.registry.calls() {
            call.signal(crate::call::Signal::Abandon(EndReason::Drained)).await;
        }
        let all_gone = async {
            while self.0.registry.lines() > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(within, all_gone).await.is_err() {
            tracing::warn!(lines = self.0.registry.lines(), "not every call was settled in time");
        }
        cut
    }

    /// Somebody takes a list out, as `what` tells: an audit wants to know who, and which. `asked`: the query.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be written down; nothing may leave then.
    pub async fn note_export(
        &self,
        by: Asker,
        what: &'static str,
        format: &str,
        asked: &str,
    ) -> Result<(), StoreError> {
        let data = serde_json::json!({"by": by, "format": format, "query": asked});
        self.0.announce(vec![NewEvent { kind: what, call_id: None, agent_id: None, data }]).await
    }

    /// What shards report; `app` feeds it.
    pub async fn take_shard_event(&self, event: crate::shard::ShardEvent) {
        self.0.registry.deliver_media(event).await;
    }

    /// What the recorder reports; `app` feeds it.
    pub async fn take_record_event(&self, event: record::RecordEvent) {
        self.0.take_record_event(event).await;
    }
}

impl Desk {
    /// Publishes what has just entered the log.
    fn publish(&self, events: Vec<Event>) {
        for event in events {
            self.parts.metrics.events_logged(event.seq);
            self.parts.bus.publish(event);
        }
    }

    /// Logs and publishes events that belong to no call's record.
    async fn announce(&self, events: Vec<NewEvent>) -> Result<(), StoreError> {
        let logged = self.parts.store.append(events, self.parts.clock.now().wall).await?;
        self.publish(logged);
        Ok(())
    }

    /// Stores the record with its events, then publishes them. Gives back what the call costs as of now.
    async fn save(&self, record: &CallRecord, events: Vec<NewEvent>) -> Result<Option<Charge>, StoreError> {
        let saved = self.parts.store.save_call(record, events, self.parts.clock.now().wall).await?;
        self.publish(saved.events);
        Ok(saved.charge)
    }

    fn draining_blockers(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

/// An event that carries the call object.
pub(crate) fn call_event(kind: &'static str, record: &CallRecord) -> NewEvent {
    NewEvent {
        kind,
        call_id: Some(record.id.clone()),
        agent_id: None,
        data: serde_json::to_value(record).expect("a call record is plain data"),
    }
}

/// An event about a call with data of its own.
pub(crate) fn about_call(kind: &'static str, call: &CallId, data: serde_json::Value) -> NewEvent {
    NewEvent { kind, call_id: Some(call.clone()), agent_id: None, data }
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}
