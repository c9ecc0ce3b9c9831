//! The record of a call: what the API shows, the log carries and the store keeps.

use serde::Serialize;
use utoipa::ToSchema;

use crate::model::directory::{Asker, Contact};
use crate::model::id::{AgentId, CallId, LegId, NumberId, OfferId, Wacid};
use crate::model::money::Charge;
use crate::model::quality::{Quality, Sample};
use crate::model::reason::{
    CallState, Direction, EndReason, EndedBy, LegKind, OfferCause, OfferOutcome, RecordingState,
};
use crate::model::recording::{Consent, Pause, RecordingReason};
use crate::model::summary::SummaryState;
use crate::model::time::Timestamp;
use crate::model::transcript::{TranscriptReason, TranscriptState};

/// One call. Serialised, this is the call object of the API.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CallRecord {
    pub id: CallId,
    pub number_id: NumberId,
    pub direction: Direction,
    pub state: CallState,
    /// The words of the call lists: `Ringing`, `Ongoing`, `Completed`, `Missed by Agent`, …
    pub status: Status,
    pub contact: Contact,
    /// Who talks to the customer, or placed the call.
    pub agent_id: Option<AgentId>,
    pub offers: Vec<OfferRecord>,
    pub created_at: Timestamp,
    pub answered_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// Talk time, answer to end; of a running call as of the last change.
    pub duration_ms: i64,
    pub end_reason: Option<EndReason>,
    /// Of a call that the hours turned away: when the number opens next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opens_at: Option<Timestamp>,
    pub ended_by: Option<EndedBy>,
    pub legs: Vec<LegRecord>,
    pub recording: RecordingRecord,
    pub transcript: TranscriptRecord,
    pub summary: SummaryRecord,
    /// What the call cost, once it is settled; `null` where nothing is charged.
    pub charge: Option<Charge>,
    /// What people say the call was: a word of `/v1/dispositions`.
    pub disposition: Option<String>,
    /// What people put it among, in lower case.
    pub tags: Vec<String>,
    pub wacid: Option<Wacid>,
    pub callback_data: Option<String>,
    /// Who placed an outbound call: the agent, or a program on the agent's behalf.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placed_by: Option<Asker>,
    /// From the call button that the customer pressed, as the business wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cta_payload: Option<String>,
    /// From the call link that the customer followed. Anybody can write such a link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deeplink_payload: Option<String>,
    /// Meta's error code of a failed call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_code: Option<i64>,
    /// Why the candidates were rung in this order; shown by `/v1/calls/{id}/trace`.
    #[serde(skip)]
    pub trace: serde_json::Value,
    /// The policy pack that the call was decided by.
    pub policy_pack: Option<String>,
    /// WhatsApp has said its last word, or is no longer waited for: the call is charged by what is known.
    #[serde(skip)]
    pub settled: bool,
    /// Whether it is to be recorded once it is answered.
    #[serde(skip)]
    pub record: bool,
}

/// One offer of the call to one agent.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct OfferRecord {
    pub id: OfferId,
    pub agent_id: AgentId,
    pub offered_at: Timestamp,
    pub outcome: OfferOutcome,
    pub cause: Option<OfferCause>,
    pub ended_at: Option<Timestamp>,
    /// Why this agent was chosen, in one sentence.
    pub reason: String,
}

/// One leg and how it sounded.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LegRecord {
    pub id: LegId,
    pub kind: LegKind,
    pub quality: Quality,
    /// How it sounded from moment to moment; shown by `/v1/calls/{id}/quality`.
    #[serde(skip)]
    pub history: Vec<Sample>,
}

/// A call of two hours, measured every ten seconds. A longer one keeps every other sample.
const SAMPLES_MAX: usize = 720;

impl LegRecord {
    /// Takes the figures of the whole call so far, and what they say of the time since the last.
    pub fn measured(&mut self, quality: Quality, now: Timestamp) {
        if self.history.len() >= SAMPLES_MAX {
            let mut odd = false;
            self.history.retain(|_| {
                odd = !odd;
                odd
            });
        }
        self.history.push(Sample::between(self.quality, quality, now));
        self.quality = quality;
    }
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RecordingRecord {
    pub state: RecordingState,
    /// Why an ended call has none, or not all of one; left out where there is nothing to explain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<RecordingReason>,
    pub duration_ms: i64,
    /// Holes that were filled with silence.
    pub gaps: i64,
    /// What was not kept by request: silence of its length in the file. While the call runs as the desk saw it; from the
    /// file once it is closed.
    pub pauses: Vec<Pause>,
    /// `null` where nothing is announced.
    pub consent: Option<Consent>,
}

impl RecordingRecord {
    pub const NONE: Self =
        Self { state: RecordingState::None, reason: None, duration_ms: 0, gaps: 0, pauses: Vec::new(), consent: None };

    /// A pause that nobody ended lasts to the end of the file.
    pub fn end_pause(&mut self) {
        if let Some(last) = self.pauses.last_mut() {
            last.to_ms = last.to_ms.or_else(|| Some(self.duration_ms.max(last.from_ms)));
        }
    }
}

/// The text itself is at `/v1/calls/{id}/transcript`.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct TranscriptRecord {
    pub state: TranscriptState,
    /// Why an ended call has none, or not all of one; left out where there is nothing to explain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<TranscriptReason>,
}

impl TranscriptRecord {
    /// Nobody listens to the call.
    pub const OFF: Self = Self { state: TranscriptState::Off, reason: None };
}

/// The whole summary is at `/v1/calls/{id}/summary`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SummaryRecord {
    pub state: SummaryState,
    /// Once it is `ready`.
    pub text: Option<String>,
}

impl SummaryRecord {
    /// Nobody sums the call up.
    pub const OFF: Self = Self { state: SummaryState::Off, text: None };
}

impl CallRecord {
    /// A call that begins: nothing has come of it yet, and nobody of ours is on it.
    pub fn begun(
        id: CallId,
        number_id: NumberId,
        direction: Direction,
        contact: Contact,
        created_at: Timestamp,
    ) -> Self {
        Self {
            id,
            number_id,
            direction,
            state: CallState::New,
            status: Status::Ringing,
            contact,
            agent_id: None,
            offers: Vec::new(),
            created_at,
            answered_at: None,
            ended_at: None,
            duration_ms: 0,
            end_reason: None,
            opens_at: None,
            ended_by: None,
            legs: Vec::new(),
            recording: RecordingRecord::NONE,
            transcript: TranscriptRecord::OFF,
            summary: SummaryRecord::OFF,
            charge: None,
            disposition: None,
            tags: Vec::new(),
            wacid: None,
            callback_data: None,
            placed_by: None,
            cta_payload: None,
            deeplink_payload: None,
            upstream_code: None,
            trace: serde_json::Value::Null,
            policy_pack: None,
            settled: false,
            record: true,
        }
    }
}

crate::model::words! {
    /// The words of the call lists.
    Status {
        Ringing = "Ringing",
        Ongoing = "Ongoing",
        Completed = "Completed",
        MissedByAgent = "Missed by Agent",
        MissedByCustomer = "Missed by Customer",
        RejectedByCustomer = "Rejected by Customer",
        Failed = "Failed",
        /// A customer's call that the switches or the hours turned away; it is nobody's missed call.
        BusinessUnavailable = "Business unavailable",
    }
}

impl Status {
    /// The word for a call in this state that ended (or not) for this reason.
    pub fn of(state: CallState, answered: bool, end_reason: Option<EndReason>) -> Self {
        match (end_reason, state) {
            (None, CallState::Active | CallState::Held | CallState::WrapUp) => Self::Ongoing,
            (None, _) => Self::Ringing,
            (Some(_), _) if answered => Self::Completed,
            (Some(EndReason::MissedByCustomer), _) => Self::MissedByCustomer,
            (Some(EndReason::RejectedByCustomer), _) => Self::RejectedByCustomer,
            (Some(EndReason::OutsideHours | EndReason::BusinessUnavailable), _) => Self::BusinessUnavailable,
            (
                Some(
                    EndReason::MissedByAgent
                    | EndReason::NoAgentAvailable
                    | EndReason::CallerCancelled
                    | EndReason::Drained,
                ),
                _,
            ) => Self::MissedByAgent,
            (Some(_), _) => Self::Failed,
        }
    }
}
