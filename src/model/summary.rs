//! What a call came to, in short: quoted from its transcript, or worded by a language model with the places it rests on.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::rtp::Side;
use super::words::words;

words! {
    /// Where a call's summary stands.
    SummaryState {
        /// Nobody sums up: switched off, or there is no transcript to come.
        Off = "off",
        Pending = "pending",
        Ready = "ready",
        /// It could not be made; asking again may help.
        Failed = "failed",
    }
}

words! {
    /// How a summary was made.
    SummaryKind {
        /// Sentences of the call itself, word for word, chosen by rules.
        Extractive = "extractive",
        /// Worded by a language model; each point rests on a place of the transcript that was checked.
        Generated = "generated",
    }
}

words! {
    /// How a call ended for the customer, where its words say so.
    OutcomeWord {
        Resolved = "resolved",
        /// Somebody has promised something that is still to be done.
        FollowUp = "follow_up",
        /// Handed to somebody else.
        Escalated = "escalated",
        Unresolved = "unresolved",
        WrongNumber = "wrong_number",
    }
}

words! {
    /// What kind of detail was named.
    DetailKind {
        /// A day or a time of day.
        Date = "date",
        Amount = "amount",
        Phone = "phone",
        Email = "email",
        /// An order, ticket, booking or account number.
        Reference = "reference",
    }
}

/// Something that was said, and where. In an extractive summary `text` is the speaker's own words; in a generated one the
/// model's, and the place is the one it rests on. Times are milliseconds as in a transcript's segments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Point {
    pub text: String,
    pub speaker: Side,
    pub start_ms: u64,
    pub end_ms: u64,
}

/// A question of one side to the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Question {
    #[serde(flatten)]
    pub point: Point,
    /// Whether the other side gave an answer; "I will look into it" is none.
    pub answered: bool,
}

/// Something somebody has promised or was asked to do after the call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActionItem {
    /// Who is to do it.
    pub owner: Side,
    #[serde(flatten)]
    pub point: Point,
    /// Until when, as it was said: `by Friday`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<String>,
}

/// How it ended, and the words that say so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Outcome {
    pub word: OutcomeWord,
    #[serde(flatten)]
    pub point: Point,
}

/// A detail that somebody will want to copy. Found by rules, never by a language model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Detail {
    pub kind: DetailKind,
    /// In one spelling: spoken digits as digits, an amount as `24.50 USD` where the currency is clear. Else as said.
    pub value: String,
    #[serde(flatten)]
    pub point: Point,
}

/// How the two shared the time. Counted from the transcript's segments.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Figures {
    pub customer_talk_ms: u64,
    pub agent_talk_ms: u64,
    /// The customer's share of all talk, 0 to 1; `null` where nobody spoke.
    pub customer_talk_ratio: Option<f32>,
    /// Nobody spoke.
    pub silence_ms: u64,
    /// The longest stretch of one side that the other did not break.
    pub longest_monologue_ms: u64,
    pub longest_monologue_speaker: Option<Side>,
    /// Times the word passed from one side to the other, plus one.
    pub turns: u32,
    /// Times that side began while the other was in the middle of speaking.
    pub customer_interruptions: u32,
    pub agent_interruptions: u32,
}

/// What a call came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Summary {
    pub kind: SummaryKind,
    /// The language model's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// ISO 639-1, where it is known.
    pub language: Option<String>,
    /// The whole as one short paragraph.
    pub text: String,
    /// Why the call was made.
    pub reason: Option<Point>,
    /// In the order of the call.
    pub key_points: Vec<Point>,
    pub questions: Vec<Question>,
    pub action_items: Vec<ActionItem>,
    pub outcome: Option<Outcome>,
    pub details: Vec<Detail>,
    pub figures: Figures,
    /// Speech that nobody wrote down, so that the summary may lack something.
    pub unheard_ms: u64,
    /// Statements of the language model that the transcript does not bear out; they were left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub withheld: u32,
    /// Why the language model did not make this summary though it was to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback_reason: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}
