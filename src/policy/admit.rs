//! skeleton
use crate::model::directory::{Agent, Contact, Number, Permission};
use crate::model::id::{AgentId, ContactId, NumberId};
use crate::model::reason::BlockerCode;
use crate::model::time::Timestamp;

/// Everything that bears on one outbound call, read at one moment.
#[derive(Clone, Debug)]
pub struct OutboundFacts {
    pub now: Timestamp,
    pub number: Number,
    pub contact: Contact,
    pub agent: Agent,
    pub permission: Option<Permission>,
    /// A call between this number and this contact is running or ringing.
    pub pair_busy: bool,
    /// The agent is dialling, ringing or talking.
    pub agent_busy: bool,
    pub draining: bool,
}

/// The right to place this one call. Only [`admit`] makes one.
#[derive(Debug)]
pub struct Permit {
    number_id: NumberId,
    contact_id: ContactId,
    agent_id: AgentId,
}
impl Permit {
    pub fn number_id(&self) -> &NumberId {
        &self.number_id
    }
    pub fn contact_id(&self) -> &ContactId {
        &self.contact_id
    }
    pub fn agent_id(&self) -> &AgentId {
        &self.agent_id
    }
}

/// One reason against a call.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Blocker {
    pub code: BlockerCode,
    /// What is wrong and what clears it, for people.
    pub message: String,
    pub clears_at: Option<Timestamp>,
}

/// Why the call may not be placed: every reason at once, never only the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    pub blockers: Vec<Blocker>,
}

pub fn admit(_facts: &OutboundFacts) -> Result<Permit, Denial> {
    todo!()
}
