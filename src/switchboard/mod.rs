//! skeleton
use crate::call::record::CallRecord;
use crate::media::sdp::SdpError;
use crate::model::directory::{Agent, Contact, ContactRef, Permission};
use crate::model::event::Event;
use crate::model::id::*;
use crate::model::reason::*;
use crate::policy::{Denial, Routing};
use crate::store::StoreError;

/// Why a wish was not granted. The HTTP mapping is in `control::problem`.
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
    /// WhatsApp refused; its code and sentence.
    #[error("WhatsApp refused: {message}")]
    Upstream { code: Option<i64>, message: String, end_reason: EndReason },
    #[error("the gateway is full: {0}")]
    Full(String),
    #[error("the gateway is draining and takes no new calls")]
    Draining,
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub struct PlaceCall {
    pub number_id: NumberId,
    pub to: ContactRef,
    pub agent_id: AgentId,
    pub callback_data: Option<String>,
}
#[derive(Default)]
pub struct ContactChange {
    pub name: Option<Option<String>>,
    pub assignee_id: Option<Option<AgentId>>,
    pub owner_id: Option<Option<AgentId>>,
}
pub struct Callability {
    pub blockers: Vec<crate::policy::Blocker>,
    pub permission: Option<Permission>,
    pub status: PermissionStatus,
}
#[derive(Clone, Copy, Debug)]
pub enum Receipt {
    Shown,
    Audible,
}
/// Held by an agent's event stream while it is open; dropping it tells the presence.
pub struct StreamGuard(());

#[derive(Clone)]
pub struct Switchboard {}
impl Switchboard {
    /// Keeps the body, then works it off in the background. Call it only with a verified signature.
    pub async fn take_webhook(&self, _body: Vec<u8>) -> Result<(), StoreError> {
        todo!()
    }
    pub async fn set_status(&self, _agent: &AgentId, _status: Presence) -> Result<Agent, Refusal> {
        todo!()
    }
    pub async fn put_contact(&self, _who: &ContactRef, _change: ContactChange) -> Result<Contact, Refusal> {
        todo!()
    }
    pub async fn callability(
        &self,
        _who: &ContactRef,
        _number: &NumberId,
        _agent: &AgentId,
    ) -> Result<Callability, Refusal> {
        todo!()
    }
    pub async fn simulate_routing(&self, _number: &NumberId, _who: &ContactRef) -> Result<Routing, Refusal> {
        todo!()
    }
    pub async fn place_call(&self, _wish: PlaceCall) -> Result<CallRecord, Refusal> {
        todo!()
    }
    /// `agent`: the signed-in agent, `None` for an API key (any agent's offer).
    pub async fn offer_media(
        &self,
        _agent: Option<&AgentId>,
        _offer: &OfferId,
        _sdp: &str,
    ) -> Result<(LegId, String), Refusal> {
        todo!()
    }
    pub async fn accept_offer(&self, _agent: Option<&AgentId>, _offer: &OfferId) -> Result<CallRecord, Refusal> {
        todo!()
    }
    pub async fn reject_offer(&self, _agent: Option<&AgentId>, _offer: &OfferId) -> Result<CallRecord, Refusal> {
        todo!()
    }
    pub async fn receipt(&self, _agent: Option<&AgentId>, _offer: &OfferId, _kind: Receipt) -> Result<(), Refusal> {
        todo!()
    }
    pub async fn call_media(
        &self,
        _agent: Option<&AgentId>,
        _call: &CallId,
        _sdp: &str,
    ) -> Result<(LegId, String), Refusal> {
        todo!()
    }
    pub async fn hang_up(&self, _agent: Option<&AgentId>, _call: &CallId) -> Result<CallRecord, Refusal> {
        todo!()
    }
    pub async fn hold(&self, _agent: Option<&AgentId>, _call: &CallId, _held: bool) -> Result<CallRecord, Refusal> {
        todo!()
    }
    pub async fn send_digits(
        &self,
        _agent: Option<&AgentId>,
        _call: &CallId,
        _digits: &str,
    ) -> Result<CallRecord, Refusal> {
        todo!()
    }
    pub fn active_calls_of(&self, _agent: &AgentId) -> u32 {
        todo!()
    }
    pub fn active_calls(&self) -> usize {
        todo!()
    }
    pub fn is_draining(&self) -> bool {
        todo!()
    }
    pub fn drain(&self) {
        todo!()
    }
    /// Live events as they enter the log. A slow reader sees `Lagged` and re-reads the log.
    pub fn subscribe(&self) -> tokio::sync::broadcast::Receiver<Event> {
        todo!()
    }
    pub fn stream_opened(&self, _agent: &AgentId) -> StreamGuard {
        todo!()
    }
}
