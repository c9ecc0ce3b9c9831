//! One thing that was said or done, and where it stands among the others.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use super::booked::Booked;
use crate::model::directory::Asker;
use crate::model::id::CallId;
use crate::model::reason::{GrantSource, PermissionStatus, RequestKind};
use crate::model::time::Timestamp;

/// One thing that was said or done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The same for every report of the same thing; a later report replaces the earlier one.
    pub key: String,
    /// When it happened. Meta stamps whole seconds.
    pub at: Timestamp,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "what")]
pub enum What {
    /// We asked. `wamid`: Meta's id of the message, once known.
    Requested {
        kind: RequestKind,
        wamid: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Asker>,
    },
    /// The customer, or Meta after the customer's call, said yes. `context`: the request (`wamid.…`) or call (`wacid.…`) it
    /// answers. `expires_at`: end of a temporary one by Meta's word.
    Granted { permanent: bool, expires_at: Option<Timestamp>, source: GrantSource, context: Option<String> },
    /// The customer said no.
    Declined { context: Option<String> },
    /// Meta took it back after unanswered calls.
    Revoked,
    /// A call of either direction connected.
    Connected,
    /// An outbound call was let ring or declined.
    Unanswered,
    /// WhatsApp's own books, as asked: `None`, `Temporary` or `Permanent`.
    Checked {
        status: PermissionStatus,
        expires_at: Option<Timestamp>,
        #[serde(default, skip_serializing_if = "Booked::is_empty")]
        booked: Booked,
    },
}

/// What Meta reports of one permission reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Meta's id of the reply message.
    pub id: Option<String>,
    pub granted: bool,
    /// Lasts until revoked. Means nothing when not granted.
    pub permanent: bool,
    /// End of a temporary permission, by Meta's word.
    pub expires_at: Option<Timestamp>,
    /// Meta decided, not the customer: a callback permission after a call, or a revocation after unanswered calls.
    pub automatic: bool,
    /// The request (`wamid.…`) or call (`wacid.…`) that it answers; a reply from the business profile answers nothing.
    pub context: Option<String>,
    /// By Meta's clock.
    pub at: Timestamp,
}

impl Event {
    /// We asked. `request_id` is ours; once Meta has named the message, the same event is written again with its `wamid`.
    pub fn requested(request_id: &str, kind: RequestKind, wamid: Option<String>, at: Timestamp) -> Self {
        Self { key: format!("request:{request_id}"), at, what: What::Requested { kind, wamid, by: None } }
    }

    /// The same request, and who sent it.
    #[must_use]
    pub fn by(mut self, asker: Asker) -> Self {
        if let What::Requested { by, .. } = &mut self.what {
            *by = Some(asker);
        }
        self
    }

    /// The customer, or Meta on the customer's behalf, decided.
    pub fn reply(reply: Reply) -> Self {
        let Reply { id, granted, permanent, expires_at, automatic, context, at } = reply;
        let key = match id {
            Some(id) => format!("reply:{id}"),
            // Without an id two reports are of the same reply when they say the same of the same second.
            None => {
                let word = match (granted, permanent, automatic) {
                    (true, true, _) => "permanent",
                    (true, false, _) => "temporary",
                    (false, _, false) => "declined",
                    (false, _, true) => "revoked",
                };
                let end = expires_at.map_or(0, Timestamp::as_millis);
                format!("reply:{}:{word}:{end}:{}", second(at), context.as_deref().unwrap_or(""))
            }
        };
        let what = match (granted, automatic) {
            (true, _) => {
                let answers_call = context.as_deref().is_some_and(|context| context.starts_with("wacid."));
                let source = match (automatic || answers_call, &context) {
                    (true, _) => GrantSource::Callback,
                    (false, Some(_)) => GrantSource::Request,
                    (false, None) => GrantSource::Profile,
                };
                What::Granted { permanent, expires_at: expires_at.filter(|_| !permanent), source, context }
            }
            (false, false) => What::Declined { context },
            (false, true) => What::Revoked,
        };
        Self { key, at, what }
    }

    /// How a call came out. Written again when a later report corrects the first. A user-initiated call counts only when
    /// it connected: what an agent misses says nothing about the customer.
    pub fn call_outcome(call_id: &CallId, answered: bool, at: Timestamp) -> Self {
        Self { key: format!("call:{call_id}"), at, what: if answered { What::Connected } else { What::Unanswered } }
    }

    /// What WhatsApp's own books say. `asked_at` is when the question was *sent*: whatever the customer said in that
    /// second or later may have crossed with the answer, and must win over it. The moment is therefore rounded down to its
    /// second, in which a check comes before the customer's decisions.
    pub fn checked(status: PermissionStatus, expires_at: Option<Timestamp>, asked_at: Timestamp) -> Self {
        let at = Timestamp::from_secs(second(asked_at));
        let what = What::Checked { status, expires_at, booked: Booked::default() };
        Self { key: Self::check_key(at), at, what }
    }

    pub(super) fn check_key(at: Timestamp) -> String {
        format!("checked:{}", second(at))
    }

    /// Adds to a check what the books say of limits.
    #[must_use]
    pub fn with_booked(mut self, limits: Booked) -> Self {
        if let What::Checked { booked, .. } = &mut self.what {
            *booked = limits;
        }
        self
    }
}

/// Where an event stands among all others of its permission: a total order, because keys are unique.
///
/// Seconds come first, since Meta stamps whole seconds while our own marks carry milliseconds: a reply in the second of
/// the request must still answer it. Within a second the rank decides: first what we did, then what was found, then what
/// the customer granted, then a call that was not taken, which needed the grant before it. Of two decisions the one that
/// permits less comes last and so stands, because calling somebody who refused costs more than asking again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Order {
    second: i64,
    rank: u8,
    /// End of a temporary grant in milliseconds: the longer comes first. One without an end counts as the longest, so that
    /// Meta's word about the end beats our assumption.
    end: Reverse<i64>,
    ms: i64,
    key: String,
}

impl Order {
    pub(super) fn of(event: &Event) -> Self {
        let mut end = i64::MAX;
        let rank = match &event.what {
            What::Requested { .. } => 0,
            What::Connected => 1,
            What::Checked { .. } => 2,
            What::Granted { permanent: true, .. } => 3,
            What::Granted { permanent: false, expires_at, .. } => {
                end = expires_at.map_or(i64::MAX, Timestamp::as_millis);
                4
            }
            What::Unanswered => 5,
            What::Revoked => 6,
            What::Declined { .. } => 7,
        };
        Self { second: second(event.at), rank, end: Reverse(end), ms: event.at.as_millis(), key: event.key.clone() }
    }

    /// When the event happened.
    pub(super) fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.ms)
    }
}

fn second(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(1000)
}
