//! Our requests for permission: which can still be answered, and which still count against the limits.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Ledger;
use crate::model::directory::Asker;
use crate::model::reason::{BlockerCode, PermissionStatus};
use crate::model::time::Timestamp;
use crate::policy::admit::Blocker;
use crate::policy::limits::{Exhausted, Limit, Window};
use crate::policy::pack::{RequestRules, Rules};

/// So many requests are remembered although they count no more: a yes to one of them must be known for one that comes too
/// late. WhatsApp allows two a week, so this is two months of asking. A yes to a forgotten one is taken as unsolicited.
const REMEMBERED: usize = 16;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Asked {
    pub(super) at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) wamid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) by: Option<Asker>,
    /// It can be answered until just before this.
    pub(super) expires_at: Timestamp,
    /// Counts against the limits: no call has connected since.
    pub(super) counts: bool,
}

impl Asked {
    pub(super) fn is_alive(&self, at: Timestamp) -> bool {
        at < self.expires_at
    }

    fn weighs(&self, limit: Limit, now: Timestamp) -> bool {
        self.counts && now < self.at.plus(limit.window())
    }
}

/// All requests, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Requests(Vec<Asked>);

impl Requests {
    pub(super) fn latest(&self) -> Option<&Asked> {
        self.0.last()
    }

    /// Which request a reply's context names, if we know it.
    pub(super) fn named(&self, context: Option<&str>) -> Option<usize> {
        let context = context?;
        self.0.iter().rposition(|request| request.wamid.as_deref() == Some(context))
    }

    pub(super) fn is_alive(&self, index: usize, at: Timestamp) -> bool {
        self.0[index].is_alive(at)
    }

    pub(super) fn push(&mut self, request: Asked, rules: &RequestRules) {
        let now = request.at;
        self.0.push(request);
        let old = self.0.len().saturating_sub(REMEMBERED);
        let mut index = 0;
        self.0.retain(|request| {
            index += 1;
            index > old || request.weighs(rules.short, now) || request.weighs(rules.long, now)
        });
    }

    /// The customer answered: the request may be answered anew for `life`, and older ones no more.
    pub(super) fn answer(&mut self, index: usize, at: Timestamp, life: Duration) {
        for older in &mut self.0[..index] {
            older.expires_at = older.expires_at.min(at);
        }
        self.0[index].expires_at = at.plus(life);
    }

    /// A call connected: nothing counts any more. Returns whether anything did.
    pub(super) fn free(&mut self, at: Timestamp, rules: &RequestRules) -> bool {
        let used = self.0.iter().any(|request| request.weighs(rules.short, at) || request.weighs(rules.long, at));
        for request in &mut self.0 {
            request.counts = false;
        }
        used
    }

    fn check(&self, limit: Limit, now: Timestamp) -> Result<(), Exhausted> {
        let nth = limit.rank(0).and_then(|rank| {
            let rank = usize::try_from(rank).expect("a limit is at most a million");
            self.0.iter().rev().filter(|request| request.counts).nth(rank - 1).map(|request| request.at)
        });
        limit.check(Window { in_flight: 0, nth }, now)
    }
}

impl Ledger {
    /// Every reason against asking now: `already_permanent`, `request_limit_24h`, `request_limit_7d`; of our count and
    /// WhatsApp's the later end is told. Whether the service window is open and the number restricted is judged by
    /// `request::may_ask`.
    pub fn request_blockers(&self, rules: &Rules, now: Timestamp) -> Vec<Blocker> {
        let mut blockers = Vec::new();
        if self.read(now).status == PermissionStatus::Permanent {
            blockers.push(Blocker {
                code: BlockerCode::AlreadyPermanent,
                message:
                    "The customer has permitted calls for good, so WhatsApp refuses another request; call without \
                          asking."
                        .to_owned(),
                clears_at: None,
            });
        }
        for (code, limit) in limits(&rules.requests) {
            if let Err(Exhausted { clears_at }) = self.requests.check(limit, now) {
                blockers.push(Blocker { code, message: used_up(limit), clears_at });
            }
        }
        if let Some(theirs) = self.requests_used_up(now)
            && blockers.iter().all(|ours| ours.clears_at < theirs.clears_at)
        {
            blockers.retain(|ours| ours.code != theirs.code);
            blockers.push(theirs);
        }
        blockers
    }

    /// When the limits allow the next request: the latest of the moments at which each has room again, by our count and by
    /// WhatsApp's. `None` when all have room now.
    pub fn next_request_allowed_at(&self, rules: &Rules, now: Timestamp) -> Option<Timestamp> {
        let ours = limits(&rules.requests).map(|(_, limit)| self.requests.check(limit, now).err()?.clears_at);
        let theirs = self.requests_used_up(now).and_then(|blocker| blocker.clears_at);
        ours.into_iter().chain([theirs]).flatten().max()
    }
}

fn limits(rules: &RequestRules) -> [(BlockerCode, Limit); 2] {
    [(BlockerCode::RequestLimit24h, rules.short), (BlockerCode::RequestLimit7d, rules.long)]
}

fn used_up(limit: Limit) -> String {
    let requests = if limit.max == 1 { "request" } else { "requests" };
    format!(
        "WhatsApp allows {} permission {requests} to one customer in {} hours, and no more are left; there is room again \
         when the oldest of them has aged out, or as soon as a call with the customer connects.",
        limit.max, limit.window_h
    )
}
