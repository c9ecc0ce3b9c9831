//! What happened to a call, seen from outside it.

use std::time::Duration;

use crate::model::id::{AgentId, OfferId, Wacid};
use crate::model::reason::{EndReason, EndedBy, ReceiptKind, RingTrouble};
use crate::model::time::Timestamp;

/// One thing that happened. Any of them may come late, twice, or before another that explains it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// The call exists; begin.
    Begin,
    /// Routing answered. `None`: nobody eligible is left.
    Routed(Option<Candidate>),
    /// The customer's leg is built and has moved to its shard.
    CustomerLegReady,
    /// The customer's leg cannot be built.
    CustomerLegFailed,
    /// WhatsApp answered `pre_accept`; an error that is final ends the call, a passing one does not.
    PreAccepted(Result<(), UpstreamFailure>),
    /// WhatsApp answered `accept`.
    Accepted(Result<(), UpstreamFailure>),
    /// WhatsApp answered `connect`.
    Dialled(Result<Wacid, UpstreamFailure>),
    /// The answer to our outbound offer, by webhook.
    CustomerAnswer {
        sdp: String,
    },
    /// The customer's phone rings.
    CustomerRings,
    /// The customer picked up, says WhatsApp.
    CustomerAccepted {
        at: Timestamp,
    },
    /// The customer declined, says WhatsApp.
    CustomerRejected,
    /// WhatsApp says the call is over.
    Terminated(Terminated),
    /// ICE and DTLS towards the customer are done.
    CustomerConnected,
    /// The customer's media path is dead.
    CustomerLost,
    /// First audio packet from the customer.
    CustomerHeard,
    /// The media path of the agent in the call is up.
    AgentConnected,
    /// The media path of the agent in the call is gone.
    AgentLost,
    AgentAccepts(OfferId),
    AgentRejects(OfferId),
    /// What the agent's client says it did with the offer; it may come after the offer's end.
    OfferReceipt(OfferId, Receipt),
    /// No push service took the offer: nobody will show it.
    NotPushed(OfferId),
    /// The agent went offline or away.
    AgentLeft(AgentId),
    HangUp(EndedBy),
    Hold(bool),
    /// The offer is too old to be worth a ring; WhatsApp is told nothing (Meta: no Graph calls for a stale call).
    Stale,
    /// The gateway cannot go on with this call.
    Abandon(EndReason),
}

/// Whom routing chose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub offer_id: OfferId,
    pub agent_id: AgentId,
    /// Why, in one sentence.
    pub reason: String,
    pub client: Client,
}

/// What is known of the agent's client at the moment of a ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Client {
    /// It says nothing of what it shows, as a softphone does: it rings its whole time.
    #[default]
    Silent,
    /// It tells of every offer that it shows.
    Tells,
    /// It tells, and its event stream is closed at the moment.
    Gone,
    /// No console is open; the offer is pushed to the agent's browsers, one of which shows it within this time.
    Pushed { shown_within: Duration },
}

/// What an agent's client says of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub kind: ReceiptKind,
    pub trouble: Option<RingTrouble>,
}

/// WhatsApp refused, or did not answer in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamFailure {
    pub reason: EndReason,
    /// Meta's error code.
    pub code: Option<i64>,
    /// What went wrong, in a sentence for people.
    pub message: String,
    /// The same request may succeed later or was not needed (5xx, time-out): the call can go on.
    pub passing: bool,
    /// Whether WhatsApp acted on the request is not known.
    pub outcome_unknown: bool,
}

/// Meta's `terminate` webhook, reduced to what bears on the call.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Terminated {
    /// Stamp of the webhook.
    pub at: Timestamp,
    pub failed: bool,
    /// First error code, if any.
    pub code: Option<i64>,
    /// When it was picked up; `None` means it never was.
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// Talk time by Meta's clock, in seconds.
    pub duration_s: Option<i64>,
}
