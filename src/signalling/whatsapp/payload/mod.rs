//! The only place that knows Meta's JSON: what its webhooks say, what its endpoints are told, what they answer.
//!
//! Reading is tolerant, because a field that Meta adds, drops or writes as a number one day must not cost a call: the
//! webhook side walks the tree and takes what it knows; an element that is unusable is reported as [`Delivery::Bad`] and
//! its neighbours are read all the same. Writing is strict: Meta refuses any field that it did not document.

mod account;
mod action;
mod analytics;
mod answer;
mod books;
mod calling;
mod field;
mod message;
mod read;
mod repair;
mod templates;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::id::{NumberId, Wacid};
use crate::model::phone::Phone;
use crate::model::reason::Direction;
use crate::model::time::Timestamp;

pub use account::{AccountUpdate, Restricted, SettingsUpdate, Violated};
pub(super) use action::{Action, CALLBACK_DATA_LEN_MAX};
pub(super) use analytics::read_analytics;
pub use analytics::{CallAnalytics, CallFigures};
pub(super) use answer::{MetaError, read_call_id, read_error};
pub use books::Books;
pub(super) use books::read_books;
pub(super) use calling::read_settings;
pub use calling::{Icons, MetaCalling, MetaHoliday, MetaHours, MetaSpan};
pub use message::RequestBody;
pub(super) use message::{read_message_id, words_to_json};
pub use read::{BadPayload, owners, parse};
pub(super) use templates::read_templates;

/// One thing that a webhook reports. Reports come twice, late and in any order; [`Delivery::dedup_key`] tells repeats.
#[derive(Clone, Debug, PartialEq)]
pub enum Delivery {
    Connect(Connect),
    Status(Status),
    Terminate(Terminate),
    PermissionReply(PermissionReply),
    /// The customer wrote or sent something that is no permission reply; what it was is nobody's business here. It opens
    /// the 24 h in which free-form messages are allowed, and so does a permission reply.
    Message {
        number_id: NumberId,
        customer: Customer,
        at: Option<Timestamp>,
    },
    /// Meta warns or restricts a number.
    AccountUpdate(AccountUpdate),
    /// A number's call settings changed.
    SettingsUpdate(SettingsUpdate),
    /// Meta complains without naming a call, e.g. that the account has no payment method.
    Errors {
        number_id: Option<NumberId>,
        errors: Vec<CallError>,
    },
    /// An element of a batch that should concern us and cannot be used.
    Bad {
        field: String,
        event: String,
        why: &'static str,
    },
    /// Nothing for us.
    Unknown {
        field: String,
        event: String,
    },
}

/// The media leg opens. User-initiated it carries the caller's offer; business-initiated it carries the answer, while the
/// customer's phone still rings: it is not a pick-up.
#[derive(Clone, PartialEq)]
pub struct Connect {
    pub wacid: Wacid,
    pub number_id: NumberId,
    pub direction: Direction,
    pub customer: Customer,
    pub sdp: String,
    pub sdp_type: SdpType,
    /// When it happened by Meta's clock; `None` if Meta did not say, then the time of receipt must do.
    pub at: Option<Timestamp>,
    /// From the call button the customer pressed. Written by the business, at most 512 characters.
    pub cta_payload: Option<String>,
    /// From the link the customer followed. Anybody can write such a link.
    pub deeplink_payload: Option<String>,
    /// What our own request carried.
    pub callback_data: Option<String>,
}

/// How an outbound call stands at the customer's phone.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    pub wacid: Wacid,
    pub number_id: NumberId,
    pub status: CallStatus,
    pub at: Option<Timestamp>,
    pub customer: Customer,
    pub callback_data: Option<String>,
}

/// The call is over, whoever ended it. Serialisable, since one that precedes its call is kept until the call comes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Terminate {
    pub wacid: Wacid,
    pub number_id: NumberId,
    pub direction: Option<Direction>,
    /// `Completed` does not mean answered: unanswered business calls complete too. See [`Terminate::was_answered`].
    pub status: TerminateStatus,
    pub at: Option<Timestamp>,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// Talk time in seconds as Meta bills it.
    pub duration_s: Option<i64>,
    pub errors: Vec<CallError>,
    pub customer: Customer,
    pub callback_data: Option<String>,
}

/// The customer, or Meta on the customer's behalf, granted or refused permission to be called.
#[derive(Clone, Debug, PartialEq)]
pub struct PermissionReply {
    /// Meta's id of the reply message.
    pub id: Option<String>,
    pub number_id: NumberId,
    pub customer: Customer,
    pub granted: bool,
    pub permanent: bool,
    pub expires_at: Option<Timestamp>,
    pub at: Option<Timestamp>,
    pub source: ReplySource,
    /// The request (`wamid.…`) or call (`wacid.…`) that it answers; a reply from the business profile answers nothing.
    pub context_id: Option<String>,
}

/// Who is at the other end. Since 2026 people may hide their number, so either half may be absent.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    pub phone: Option<Phone>,
    /// Meta's business-scoped user id, `CC.digits`.
    pub user_id: Option<String>,
    /// Fit for display: without control and direction characters, of bounded length. Chosen by the customer.
    pub name: Option<String>,
    pub username: Option<String>,
}

/// What went wrong, in Meta's words. Every part may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallError {
    pub code: Option<i64>,
    pub title: Option<String>,
    pub message: Option<String>,
    pub details: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SdpType {
    Offer,
    Answer,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallStatus {
    /// The customer's device rings. Never comes if it is offline.
    Ringing,
    /// Picked up. May come after media flows.
    Accepted,
    /// Declined; a `terminate` follows.
    Rejected,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TerminateStatus {
    Completed,
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplySource {
    UserAction,
    Automatic,
}

impl Delivery {
    /// The same for every repeat of the same report; `None` where a repeat has no effect anyway.
    ///
    /// Meta gives deliveries no id, but a call connects, rings, is accepted and ends at most once each.
    pub fn dedup_key(&self) -> Option<String> {
        match self {
            Self::Connect(connect) => Some(format!("connect:{}", connect.wacid.as_str())),
            Self::Status(status) => Some(format!("status:{}:{}", status.status.as_str(), status.wacid.as_str())),
            Self::Terminate(terminate) => Some(format!("terminate:{}", terminate.wacid.as_str())),
            Self::PermissionReply(reply) => Some(reply.dedup_key()),
            Self::AccountUpdate(update) => update.dedup_key(),
            // The latest word opens the window and the latest settings stand, however often they are told.
            Self::Message { .. } | Self::SettingsUpdate(_) => None,
            Self::Errors { .. } | Self::Bad { .. } | Self::Unknown { .. } => None,
        }
    }

    /// A word from a closed list, for metrics and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::Status(_) => "status",
            Self::Terminate(_) => "terminate",
            Self::PermissionReply(_) => "permission_reply",
            Self::Message { .. } => "message",
            Self::AccountUpdate(_) => "account_update",
            Self::SettingsUpdate(_) => "settings_update",
            Self::Errors { .. } => "errors",
            Self::Bad { .. } => "bad",
            Self::Unknown { .. } => "unknown",
        }
    }
}

impl Terminate {
    /// Whether somebody picked up: only then does Meta give times.
    pub fn was_answered(&self) -> bool {
        self.started_at.is_some() || self.duration_s.is_some_and(|seconds| seconds > 0)
    }

    /// The first error that has a code.
    pub fn code(&self) -> Option<i64> {
        self.errors.iter().find_map(|error| error.code)
    }
}

impl PermissionReply {
    fn dedup_key(&self) -> String {
        if let Some(id) = &self.id {
            return format!("permission:{id}");
        }
        let who = self.customer.phone.as_ref().map(Phone::wa_id).or(self.customer.user_id.as_deref()).unwrap_or("");
        let at_ms = self.at.map_or(0, Timestamp::as_millis);
        let word = match (self.granted, self.permanent) {
            (false, _) => "refused",
            (true, false) => "temporary",
            (true, true) => "permanent",
        };
        format!("permission:{}:{who}:{at_ms}:{word}", self.number_id)
    }
}

impl Customer {
    /// Neither number nor user id: such a customer cannot be told from another nor be called back.
    pub fn is_anonymous(&self) -> bool {
        self.phone.is_none() && self.user_id.is_none()
    }
}

impl CallStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ringing => "ringing",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
        }
    }
}

/// Names and ids of people stay out of logs; only their presence is told.
impl fmt::Debug for Customer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Customer")
            .field("phone", &self.phone)
            .field("user_id", &self.user_id.as_ref().map(|_| "…"))
            .field("name", &self.name.as_ref().map(|_| "…"))
            .finish_non_exhaustive()
    }
}

/// The session description holds the ICE password, so only its length is told.
impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("wacid", &self.wacid)
            .field("number_id", &self.number_id)
            .field("direction", &self.direction)
            .field("customer", &self.customer)
            .field("sdp_type", &self.sdp_type)
            .field("sdp_len", &self.sdp.len())
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
