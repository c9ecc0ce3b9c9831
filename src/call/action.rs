//! What a call asks for.

use crate::model::id::{AgentId, OfferId};
use crate::model::reason::OfferCause;

use super::signal::Candidate;

/// One wish of the call, carried out by the switchboard in order. Answers come back as signals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Choose the next agent among those not tried yet → `Signal::Routed`.
    Route,
    /// Answer the customer's offer and move the leg to a shard → `Signal::CustomerLegReady`.
    AnswerCustomer,
    /// Build our offer and post `connect` → `Signal::Dialled`.
    Dial,
    /// Apply the customer's answer and move the leg to its shard → `Signal::CustomerLegReady`.
    ApplyAnswer {
        sdp: String,
    },
    PreAccept,
    Accept,
    /// Refuse the call at WhatsApp; only before it was pre-accepted.
    Reject,
    /// End the call at WhatsApp.
    Terminate,
    /// Show the offer to the agent.
    Ring(Candidate),
    /// Free an agent who was chosen and is not to be rung after all.
    Release(AgentId),
    /// Take the offer away from the agent, say why, and forget the leg set up for it.
    Withdraw {
        offer_id: OfferId,
        agent_id: AgentId,
        cause: OfferCause,
    },
    /// The agent and the customer hear each other (towards the customer once the gate is open).
    Join(AgentId),
    /// WhatsApp accepted: audio may flow to the customer.
    OpenGate,
    Hold(bool),
    StartRecording,
    /// Say goodbye on every leg and close the recording.
    CloseMedia,
}
