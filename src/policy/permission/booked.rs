//! Limits as WhatsApp counts them: what its books said when they were last asked.

use serde::{Deserialize, Serialize};

use super::Ledger;
use crate::model::reason::BlockerCode;
use crate::model::time::Timestamp;
use crate::policy::admit::Blocker;

/// Until when WhatsApp's books refuse each thing because its limit is used up; `None` where they do not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub struct Booked {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_calls_until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_requests_until: Option<Timestamp>,
}

impl Booked {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Ledger {
    /// WhatsApp lets no call to this customer through now, by its own count. It may count what we cannot see: calls placed
    /// elsewhere, or another limit than the pack's.
    pub fn calls_used_up(&self, now: Timestamp) -> Option<Blocker> {
        let until = self.booked.no_calls_until.filter(|until| now < *until)?;
        let message = "By WhatsApp's own count this number may place no more calls to this customer for now. It clears at \
                       the time WhatsApp names, or when WhatsApp counts otherwise.";
        Some(Blocker { code: BlockerCode::ConnectedLimit, message: message.to_owned(), clears_at: Some(until) })
    }

    /// The same of asking for permission.
    pub(super) fn requests_used_up(&self, now: Timestamp) -> Option<Blocker> {
        let until = self.booked.no_requests_until.filter(|until| now < *until)?;
        let message = "By WhatsApp's own count this customer may not be asked again for now. It clears at the time WhatsApp \
                       names, or as soon as a call with the customer connects.";
        Some(Blocker { code: BlockerCode::RequestLimit24h, message: message.to_owned(), clears_at: Some(until) })
    }
}
