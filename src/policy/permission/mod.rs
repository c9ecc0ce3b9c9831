//! What a customer permits one number, folded from everything that was said and done between the two.
//!
//! Reports come late, twice and in any order, and may be corrected; the events are therefore kept as a set (the same thing
//! has the same key) and folded in the order in which they happened. The fold is the same for every order of arrival. The
//! business appears in it only as the one who asks and who calls: nothing it does grants, lengthens or chooses anything.
//!
//! | Event | What it comes to |
//! |---|---|
//! | requested | counts against the limits; can be answered for a request's life |
//! | granted | temporary (to Meta's end, else `temporary_h`) or permanent; zeroes the unanswered calls; ignored when it answers a request whose life is over |
//! | declined | rejected, always; the customer may still say yes for a request's life |
//! | revoked | revoked |
//! | connected | zeroes the unanswered calls, frees the request limits, renews a temporary permission if the rules say so |
//! | unanswered | one more in a row; at `revoke_after` revoked |
//! | checked | WhatsApp's books replace ours where the two differ; what they say of limits holds until the next check |
//!
//! An answer to a request gives it a new life and ends that of every older one. Each event follows the rules in force when
//! it happened, so a change of the rules rewrites nothing.

mod asked;
mod booked;
mod event;
mod news;
mod risk;
#[cfg(test)]
mod tests;
mod transitions;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::directory::Permission;
use crate::model::id::{ContactId, NumberId};
use crate::model::reason::{GrantSource, PermissionStatus};
use crate::model::time::Timestamp;

use super::pack::{Pack, Rules};
use asked::Requests;
use event::Order;

pub use booked::Booked;
pub use event::{Event, Reply, What};
pub use news::news;
pub use risk::Risk;

/// The state of a permission: the fold of its events. Serialised into the store; never made by hand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ledger {
    /// Where the last event folded stands; `None` before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<Order>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<Decision>,
    requests: Requests,
    /// Nobody has decided anything since the latest request.
    waiting: bool,
    unanswered: u32,
    /// WhatsApp has asked the customer to reconsider, and no call has connected since.
    reconsidering: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    connected_at: Option<Timestamp>,
    /// When a connected call last freed a request limit that was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit_reset_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    checked_at: Option<Timestamp>,
    /// What that check found wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    drift: Option<String>,
    /// What it found of limits.
    #[serde(skip_serializing_if = "Booked::is_empty")]
    booked: Booked,
}

/// The last word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Decision {
    standing: Standing,
    /// For one found in WhatsApp's books, when they were asked.
    at: Timestamp,
    /// Of a grant.
    source: Option<GrantSource>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Standing {
    Temporary { ends_at: Timestamp },
    Permanent,
    Rejected,
    Revoked,
}

impl Standing {
    fn is_in_force(self, at: Timestamp) -> bool {
        match self {
            Self::Permanent => true,
            Self::Temporary { ends_at } => at < ends_at,
            Self::Rejected | Self::Revoked => false,
        }
    }
}

/// What the permission is worth at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    pub status: PermissionStatus,
    /// End of a temporary permission, also when it has passed.
    pub expires_at: Option<Timestamp>,
    /// End of the latest request's life, if it is still open.
    pub request_expires_at: Option<Timestamp>,
}

impl Ledger {
    /// Folds a set of events, in whatever order they are given. Each event follows the rules in force when it happened.
    /// Should two have the same key, the one that happened later counts.
    pub fn fold<'a>(events: impl IntoIterator<Item = &'a Event>, pack: &Pack) -> Self {
        Self::fold_and_sift(events, |_, at| pack.rules(at)).0
    }

    /// The same by `rules` that are asked for with the key of each event and its moment; also gives the keys of the events
    /// that it would come out the same without: checks that found our books right, each followed by another check. What
    /// arrives late from before one of them is judged by the check that followed.
    pub fn fold_and_sift<'a, 'r>(
        events: impl IntoIterator<Item = &'a Event>,
        rules: impl Fn(&str, Timestamp) -> &'r Rules,
    ) -> (Self, Vec<String>) {
        let mut by_key: BTreeMap<&str, (Order, &What)> = BTreeMap::new();
        for event in events {
            let entry = (Order::of(event), &event.what);
            let later = match by_key.remove(event.key.as_str()) {
                Some(kept) => kept.max(entry),
                None => entry,
            };
            by_key.insert(&event.key, later);
        }
        let mut events: Vec<(&str, (Order, &What))> = by_key.into_iter().collect();
        events.sort_unstable_by(|a, b| a.1.cmp(&b.1));
        let (mut ledger, mut idle) = (Self::default(), Vec::new());
        for (key, (order, what)) in events {
            idle.extend(ledger.made_idle_by(what));
            let rules = rules(key, order.at());
            ledger.take(order, what, rules);
        }
        (ledger, idle)
    }

    /// The key of the latest check, if `what` is another and the latest changed nothing but its own date, which the other
    /// replaces. To be asked before it is applied.
    fn made_idle_by(&self, what: &What) -> Option<String> {
        let idle = matches!(what, What::Checked { .. }) && self.drift.is_none();
        self.checked_at.filter(|_| idle).map(Event::check_key)
    }

    /// Whether `event` happened after everything folded so far: then [`Ledger::apply`] gives what folding anew would.
    pub fn precedes(&self, event: &Event) -> bool {
        self.last.as_ref().is_none_or(|last| *last < Order::of(event))
    }

    /// Takes in one event that [`Ledger::precedes`] it, under the rules in force when it happened.
    pub fn apply(&mut self, event: &Event, rules: &Rules) {
        debug_assert!(self.precedes(event), "an event of the past needs a new fold");
        self.take(Order::of(event), &event.what, rules);
    }

    /// By our own clock: Meta announces no expiry.
    pub fn read(&self, now: Timestamp) -> Reading {
        let request_expires_at = self.requests.latest().map(|request| request.expires_at).filter(|end| now < *end);
        let status = match self.decision.as_ref().map(|decision| decision.standing) {
            Some(Standing::Permanent) => PermissionStatus::Permanent,
            Some(Standing::Temporary { ends_at }) if now < ends_at => PermissionStatus::Temporary,
            _ if self.waiting && request_expires_at.is_some() => PermissionStatus::Requested,
            Some(Standing::Temporary { .. }) => PermissionStatus::Expired,
            Some(Standing::Rejected) => PermissionStatus::Rejected,
            Some(Standing::Revoked) => PermissionStatus::Revoked,
            None => PermissionStatus::None,
        };
        Reading { status, expires_at: self.temporary_end(), request_expires_at }
    }

    /// As the API shows it.
    pub fn view(&self, number: &NumberId, contact: &ContactId, now: Timestamp) -> Permission {
        let Reading { status, expires_at, request_expires_at } = self.read(now);
        Permission {
            number_id: number.clone(),
            contact_id: contact.clone(),
            status,
            expires_at,
            decided_at: self.decision.as_ref().map(|decision| decision.at),
            source: self.decision.as_ref().and_then(|decision| decision.source),
            requested_at: self.requests.latest().map(|request| request.at),
            request_expires_at,
            requested_by: self.requests.latest().and_then(|request| request.by.clone()),
            unanswered_in_a_row: self.unanswered,
            connected_at: self.connected_at,
            checked_at: self.checked_at,
            drift: self.drift.clone(),
        }
    }

    /// When the clock alone next changes [`Ledger::read`], after `now`.
    pub fn changes_at(&self, now: Timestamp) -> Option<Timestamp> {
        let request = self.requests.latest().map(|request| request.expires_at);
        [self.temporary_end(), request].into_iter().flatten().filter(|end| now < *end).min()
    }

    fn is_in_force(&self, at: Timestamp) -> bool {
        self.decision.as_ref().is_some_and(|decision| decision.standing.is_in_force(at))
    }

    fn temporary_end(&self) -> Option<Timestamp> {
        match self.decision.as_ref()?.standing {
            Standing::Temporary { ends_at } => Some(ends_at),
            Standing::Permanent | Standing::Rejected | Standing::Revoked => None,
        }
    }
}
