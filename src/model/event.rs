//! What happened, as the outside reads it: one line of the durable event log.

use super::id::{AgentId, CallId};
use super::time::Timestamp;

/// An event not yet in the log.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// Dot-separated type, e.g. `call.answered`.
    pub kind: &'static str,
    pub call_id: Option<CallId>,
    /// The one agent it is for; `None` = everybody who may see the call.
    pub agent_id: Option<AgentId>,
    pub data: serde_json::Value,
}

/// An event with its place in the log. Serialises as the envelope of `/v1/events` and of the SSE streams.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct Event {
    #[serde(rename = "type")]
    pub kind: String,
    /// Gap-free, starts at 1.
    pub seq: i64,
    pub occurred_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_id: Option<CallId>,
    #[serde(skip)]
    pub agent_id: Option<AgentId>,
    #[schema(value_type = Object)]
    pub data: serde_json::Value,
}
