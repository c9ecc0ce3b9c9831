//! skeleton
use crate::model::directory::{Agent, Contact, Number};
use crate::model::id::AgentId;
use crate::model::time::Timestamp;

/// What routing knows of one agent at this moment.
#[derive(Clone, Debug)]
pub struct AgentFacts {
    pub agent: Agent,
    /// Calls the agent is ringing, dialling or talking on.
    pub active_calls: u32,
    /// End of the agent's last call or offer, `None` if there was none.
    pub idle_since: Option<Timestamp>,
}

#[derive(Clone, Debug)]
pub struct RoutingFacts {
    pub now: Timestamp,
    pub number: Number,
    pub contact: Contact,
    pub agents: Vec<AgentFacts>,
    /// Agents this call was already offered to.
    pub tried: Vec<AgentId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub agent_id: AgentId,
    pub reason: String,
}

/// One line of the trace: which step looked at whom and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct TraceStep {
    /// `chat_assignee`, `contact_owner` or `round_robin`.
    pub step: String,
    pub agent_id: Option<AgentId>,
    /// `chosen`, `next`, `skipped`.
    pub verdict: String,
    pub reason: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routing {
    pub candidates: Vec<Candidate>,
    pub trace: Vec<TraceStep>,
}

pub fn route(_facts: &RoutingFacts) -> Routing {
    todo!()
}
