//! skeleton
use crate::call::record::CallRecord;
use crate::model::directory::{Agent, Contact, ContactRef, Number, Permission, Team};
use crate::model::event::{Event, NewEvent};
use crate::model::id::*;
use crate::model::phone::Phone;
use crate::model::reason::*;
use crate::model::time::Timestamp;
use crate::policy::access::Scope;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database failed")]
    Database(#[source] sqlx::Error),
}
type R<T> = Result<T, StoreError>;

/// The truth: everything that must survive the process.
#[derive(Clone)]
pub struct Store {}

/// Which calls a list shows; all fields narrow it.
#[derive(Clone, Debug, Default)]
pub struct CallFilter {
    /// `received`: user-initiated not missed; `outbound`: business-initiated not missed; `missed`.
    pub section: Section,
    pub agent_ids: Option<Vec<AgentId>>, // who may be seen: calls whose agent_id or any offer's agent is one of these
    pub agent_id: Option<AgentId>,
    pub number_id: Option<NumberId>,
    pub contact_id: Option<ContactId>,
    pub direction: Option<Direction>,
    pub status: Option<crate::call::record::Status>,
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    pub limit: u32,
    pub cursor: Option<String>,
}
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Section {
    #[default]
    All,
    Received,
    Outbound,
    Missed,
}
pub struct Page<T> {
    pub items: Vec<T>,
    pub next_cursor: Option<String>,
}
pub enum Idempotent {
    Fresh,
    Replay { status: u16, content_type: String, body: Vec<u8>, location: Option<String> },
    Mismatch,
    InProgress,
}
/// Who a WhatsApp event names.
#[derive(Clone, Debug, Default)]
pub struct CustomerIdentity {
    pub phone: Option<Phone>,
    pub user_id: Option<String>,
    pub name: Option<String>,
    pub username: Option<String>,
}
pub enum SecretActor {
    Key { id: KeyId, name: String, scopes: Vec<Scope> },
    Agent(AgentId),
}
pub struct RecordingFile {
    pub id: RecordingId,
    pub path: std::path::PathBuf,
    pub state: RecordingState,
    pub sha256: Option<String>,
}

impl Store {
    /// Opens (and migrates) the database: `url` empty = `<dir>/tandem.sqlite3`.
    pub async fn open(_url: &str, _dir: &std::path::Path) -> R<Self> {
        todo!()
    }
    pub async fn ping(&self) -> R<()> {
        todo!()
    }
    // directory
    pub async fn put_number(&self, _n: &Number, _graph_token: Option<&str>) -> R<Number> {
        todo!()
    }
    pub async fn number(&self, _id: &NumberId) -> R<Option<Number>> {
        todo!()
    }
    pub async fn numbers(&self) -> R<Vec<Number>> {
        todo!()
    }
    pub async fn graph_token(&self, _id: &NumberId) -> R<Option<secrecy::SecretString>> {
        todo!()
    }
    pub async fn put_team(&self, _t: &Team) -> R<()> {
        todo!()
    }
    pub async fn team(&self, _id: &TeamId) -> R<Option<Team>> {
        todo!()
    }
    pub async fn teams(&self) -> R<Vec<Team>> {
        todo!()
    }
    /// Keeps the stored `status`; a new agent is offline.
    pub async fn put_agent(&self, _a: &Agent) -> R<Agent> {
        todo!()
    }
    pub async fn agent(&self, _id: &AgentId) -> R<Option<Agent>> {
        todo!()
    }
    pub async fn agents(&self) -> R<Vec<Agent>> {
        todo!()
    }
    pub async fn set_status(
        &self,
        _id: &AgentId,
        _s: Presence,
        _e: NewEvent,
        _now: Timestamp,
    ) -> R<Option<(Agent, Event)>> {
        todo!()
    }
    pub async fn contact(&self, _r: &ContactRef) -> R<Option<Contact>> {
        todo!()
    }
    pub async fn contacts(&self, _text: Option<&str>, _limit: u32, _cursor: Option<&str>) -> R<Page<Contact>> {
        todo!()
    }
    /// Finds by phone, else by user id, else creates; fills in what was unknown (name only if none is set).
    pub async fn identify(&self, _who: &CustomerIdentity, _now: Timestamp) -> R<Contact> {
        todo!()
    }
    pub async fn put_contact(&self, _c: &Contact) -> R<()> {
        todo!()
    }
    // permissions
    pub async fn permission(&self, _n: &NumberId, _c: &ContactId) -> R<Option<Permission>> {
        todo!()
    }
    /// Stores unless a newer decision is there; true if it changed anything.
    pub async fn put_permission(&self, _p: &Permission) -> R<bool> {
        todo!()
    }
    pub async fn permissions(&self, _n: &NumberId) -> R<Vec<Permission>> {
        todo!()
    }
    // calls: the whole record (offers, legs) and its events in one transaction; the events come back with their sequence
    pub async fn save_call(&self, _c: &CallRecord, _events: Vec<NewEvent>, _now: Timestamp) -> R<Vec<Event>> {
        todo!()
    }
    pub async fn call(&self, _id: &CallId) -> R<Option<CallRecord>> {
        todo!()
    }
    pub async fn call_by_wacid(&self, _w: &Wacid) -> R<Option<CallRecord>> {
        todo!()
    }
    pub async fn calls(&self, _f: &CallFilter) -> R<Page<CallRecord>> {
        todo!()
    }
    /// Calls not ended, as a crash leaves them.
    pub async fn live_calls(&self) -> R<Vec<CallRecord>> {
        todo!()
    }
    pub async fn offer_call(&self, _o: &OfferId) -> R<Option<CallId>> {
        todo!()
    }
    /// End of each agent's last call or offer: round robin's memory.
    pub async fn idle_since(&self) -> R<std::collections::HashMap<AgentId, Timestamp>> {
        todo!()
    }
    // recordings
    pub async fn put_recording(&self, _call: &CallId, _f: &RecordingFile) -> R<()> {
        todo!()
    }
    pub async fn recording(&self, _call: &CallId) -> R<Option<RecordingFile>> {
        todo!()
    }
    // webhooks: raw before the 200; `seen` keys de-duplicate the events inside
    pub async fn keep_webhook(&self, _body: &[u8], _now: Timestamp) -> R<i64> {
        todo!()
    }
    /// true the first time this key is seen.
    pub async fn first_sight(&self, _dedup_key: &str, _now: Timestamp) -> R<bool> {
        todo!()
    }
    pub async fn webhook_done(&self, _id: i64) -> R<()> {
        todo!()
    }
    /// Kept but not worked off, oldest first: a crash came between.
    pub async fn webhooks_pending(&self) -> R<Vec<(i64, Vec<u8>, Timestamp)>> {
        todo!()
    }
    /// An end that came before its call: remembered so that a late connect rings nobody.
    pub async fn bury(&self, _w: &Wacid, _terminate: &serde_json::Value, _now: Timestamp) -> R<()> {
        todo!()
    }
    pub async fn tombstone(&self, _w: &Wacid) -> R<Option<serde_json::Value>> {
        todo!()
    }
    // events
    pub async fn append(&self, _events: Vec<NewEvent>, _now: Timestamp) -> R<Vec<Event>> {
        todo!()
    }
    pub async fn events_after(&self, _seq: i64, _limit: u32) -> R<Vec<Event>> {
        todo!()
    }
    pub async fn last_seq(&self) -> R<i64> {
        todo!()
    }
    // secrets: only SHA-256 hashes are kept
    pub async fn create_key(&self, _name: &str, _scopes: &[Scope], _now: Timestamp) -> R<String> {
        todo!()
    }
    pub async fn create_agent_token(&self, _a: &AgentId, _expires_at: Timestamp) -> R<String> {
        todo!()
    }
    pub async fn authenticate(&self, _secret: &str, _now: Timestamp) -> R<Option<SecretActor>> {
        todo!()
    }
    // idempotency of POSTs (24 h)
    pub async fn idempotency_begin(
        &self,
        _actor: &str,
        _key: &str,
        _request_sha256: &str,
        _now: Timestamp,
    ) -> R<Idempotent> {
        todo!()
    }
    pub async fn idempotency_finish(
        &self,
        _actor: &str,
        _key: &str,
        _answer: Option<(u16, String, Vec<u8>, Option<String>)>,
    ) -> R<()> {
        todo!()
    }
}
