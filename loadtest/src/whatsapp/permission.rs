//! Call permissions: who said yes, for how long, what limits apply, and the replies that tell of it.

mod pair;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::rules::Rules;
use super::wire::GraphError;
use pair::{DAY, Pair, Reaction};
pub(super) use pair::{Permission, Usage};

/// How a permission comes about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// Yes to a request, for a time (Meta: 7 days).
    Temporary {
        /// From now.
        expires_in: Duration,
    },
    /// Yes to a request, until taken back.
    Permanent,
    /// Given in the business's profile, without a request.
    FromProfile,
    /// The customer called, and callback permission is on; the id of that call goes into `context`.
    Callback {
        /// The call.
        wacid: String,
    },
}

/// Seven days, the life of a temporary permission.
pub const TEMPORARY: Duration = Duration::from_secs(7 * 24 * 3_600);

/// A permission request that the business sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermissionRequest {
    /// The business number's id.
    pub number_id: String,
    /// Id of the message.
    pub wamid: String,
    /// The customer's number in digits.
    pub to: String,
    /// The whole body.
    pub body: Value,
}

/// WhatsApp asked a customer to reconsider a permission, after calls that were not picked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nudge {
    /// The business number's id.
    pub number_id: String,
    /// The customer's number in digits.
    pub phone: String,
    /// Unix seconds of the fake's clock.
    pub at: u64,
}

/// The reply object of a webhook, and the id that goes into its `context`.
pub(super) type Told = (Value, Option<String>);

pub(super) struct Ledger {
    rules: Rules,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    pairs: HashMap<(String, String), Pair>,
    requests: Vec<PermissionRequest>,
    nudges: Vec<Nudge>,
    /// Call attempts per number, seconds.
    attempts: HashMap<String, VecDeque<u64>>,
    /// Reads of `call_permissions` per number, milliseconds.
    reads: HashMap<String, VecDeque<u64>>,
}

impl State {
    fn pair(&mut self, number_id: &str, phone: &str) -> &mut Pair {
        self.pairs.entry((number_id.to_owned(), phone.to_owned())).or_default()
    }
}

impl Ledger {
    pub(super) fn new(rules: Rules) -> Self {
        Self { rules, state: Mutex::default() }
    }

    // ---- what the business asks ----

    pub(super) fn permission(&self, number_id: &str, phone: &str, now: u64) -> Permission {
        self.lock().pair(number_id, phone).permission(now)
    }

    /// Usage of the request limits and of the limit of connected calls.
    pub(super) fn usage(&self, number_id: &str, phone: &str, now: u64) -> ([Usage; 2], Usage) {
        let mut state = self.lock();
        let pair = state.pair(number_id, phone);
        (pair.request_usage(&self.rules, now), pair.call_usage(&self.rules, now))
    }

    /// Whether the business may send a free-form message.
    pub(super) fn may_write(&self, number_id: &str, phone: &str, now: u64) -> Result<(), GraphError> {
        if !self.rules.enforce_limits || self.lock().pair(number_id, phone).window_is_open(now) {
            return Ok(());
        }
        Err(GraphError::new(
            131_047,
            "More than 24 hours have passed since the customer last wrote or called; send a template",
        ))
    }

    /// Whether the business may ask for permission.
    pub(super) fn may_ask(&self, number_id: &str, phone: &str, now: u64) -> Result<(), GraphError> {
        let mut state = self.lock();
        let pair = state.pair(number_id, phone);
        if pair.permission(now) == Permission::Permanent {
            return Err(GraphError::new(138_017, "the user has granted permanent permission"));
        }
        let usage = pair.request_usage(&self.rules, now);
        let Some(limit) = usage.iter().rev().find(|usage| self.rules.enforce_limits && usage.is_used_up()) else {
            return Ok(());
        };
        let (used, hours) = (limit.used, limit.period / 3_600);
        let next = limit.free_at.unwrap_or(now + limit.period);
        let details = format!("{used} permission requests were sent in {hours} hours; the next is allowed at {next}");
        Err(GraphError::new(138_009, &details))
    }

    pub(super) fn note_request(&self, request: PermissionRequest, now: u64) {
        let mut state = self.lock();
        state.pair(&request.number_id, &request.to).note_request(&request.wamid, now);
        state.requests.push(request);
    }

    /// Counts an attempt to call and says whether it is within the number's and the pair's limits.
    pub(super) fn may_attempt(&self, number_id: &str, phone: &str, now: u64) -> Result<(), GraphError> {
        let mut state = self.lock();
        let attempts = state.attempts.entry(number_id.to_owned()).or_default();
        while attempts.front().is_some_and(|at| at + DAY <= now) {
            attempts.pop_front();
        }
        if self.rules.enforce_limits && attempts.len() >= self.rules.attempts_per_day {
            let details = format!("{} calls were attempted in 24 hours", attempts.len());
            return Err(GraphError::new(138_005, &details));
        }
        attempts.push_back(now);
        let usage = state.pair(number_id, phone).call_usage(&self.rules, now);
        if self.rules.enforce_limits && usage.is_used_up() {
            let next = usage.free_at.unwrap_or(now + DAY);
            let details =
                format!("{} calls were connected in 24 hours; the next call is allowed at {next}", usage.used);
            return Err(GraphError::new(138_012, &details));
        }
        Ok(())
    }

    /// Counts a read of `call_permissions`. `now_ms` is in milliseconds.
    pub(super) fn may_read(&self, number_id: &str, now_ms: u64) -> Result<(), GraphError> {
        let mut state = self.lock();
        let reads = state.reads.entry(number_id.to_owned()).or_default();
        while reads.front().is_some_and(|at| at + 1_000 <= now_ms) {
            reads.pop_front();
        }
        if self.rules.enforce_limits && reads.len() >= self.rules.permission_reads_per_second {
            return Err(GraphError::new(613, "call permissions are read too often: wait a second"));
        }
        reads.push_back(now_ms);
        Ok(())
    }

    pub(super) fn requests(&self) -> Vec<PermissionRequest> {
        self.lock().requests.clone()
    }

    pub(super) fn nudges(&self) -> Vec<Nudge> {
        self.lock().nudges.clone()
    }

    // ---- what the customer does ----

    /// The customer wrote or called.
    pub(super) fn open_window(&self, number_id: &str, phone: &str, now: u64) {
        self.lock().pair(number_id, phone).open_window(&self.rules, now);
    }

    /// A call was picked up.
    pub(super) fn note_connected(&self, number_id: &str, phone: &str, by_business: bool, now: u64) {
        let mut state = self.lock();
        let pair = state.pair(number_id, phone);
        pair.note_connected(by_business, now);
        pair.open_window(&self.rules, now);
    }

    /// A business-initiated call was not picked up. The result is what Meta tells, when it takes the permission back.
    pub(super) fn note_not_picked_up(&self, number_id: &str, phone: &str, now: u64) -> Option<Told> {
        if !self.rules.enforce_limits {
            return None;
        }
        let mut state = self.lock();
        match state.pair(number_id, phone).note_not_picked_up(&self.rules, now) {
            Reaction::Nothing => None,
            Reaction::Nudge => {
                state.nudges.push(Nudge { number_id: number_id.to_owned(), phone: phone.to_owned(), at: now });
                None
            }
            Reaction::Revoke => Some((rejected("automatic"), None)),
        }
    }

    /// A call of the customer was allowed to open the way back. `None`: the permission is permanent anyway.
    pub(super) fn grant_callback(&self, number_id: &str, phone: &str, wacid: &str, now: u64) -> Option<Told> {
        let mut state = self.lock();
        let pair = state.pair(number_id, phone);
        if pair.permission(now) == Permission::Permanent {
            return None;
        }
        let end = now + self.rules.temporary_life.as_secs();
        pair.set_permission(Permission::Until(end));
        Some((accepted(Some(end), "automatic"), Some(wacid.to_owned())))
    }

    /// Notes the customer's yes, to this request or to the newest one on which an answer is still possible.
    pub(super) fn grant(
        &self,
        number_id: &str,
        phone: &str,
        grant: &Grant,
        request: Option<&str>,
        now: u64,
    ) -> Result<Told> {
        let mut state = self.lock();
        let pair = state.pair(number_id, phone);
        let end = |life: Duration| now + life.as_secs();
        let (permission, source, context) = match grant {
            Grant::Temporary { expires_in } => {
                (Permission::Until(end(*expires_in)), "user_action", pair.act_on(request, &self.rules, now)?)
            }
            Grant::Permanent => (Permission::Permanent, "user_action", pair.act_on(request, &self.rules, now)?),
            Grant::FromProfile => (Permission::Permanent, "user_action", None),
            Grant::Callback { wacid } => {
                (Permission::Until(end(self.rules.temporary_life)), "automatic", Some(wacid.clone()))
            }
        };
        pair.set_permission(permission);
        let until = if let Permission::Until(end) = permission { Some(end) } else { None };
        Ok((accepted(until, source), context))
    }

    /// The customer says no to a request.
    pub(super) fn decline(&self, number_id: &str, phone: &str, request: Option<&str>, now: u64) -> Result<Told> {
        let mut state = self.lock();
        let pair = state.pair(number_id, phone);
        let context = pair.act_on(request, &self.rules, now)?;
        pair.set_permission(Permission::None);
        Ok((rejected("user_action"), context))
    }

    /// Meta takes the permission back.
    pub(super) fn revoke(&self, number_id: &str, phone: &str) -> Told {
        self.lock().pair(number_id, phone).set_permission(Permission::None);
        (rejected("automatic"), None)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pair {
    /// The request that an answer belongs to. Where the business has never asked there is none, and the answer comes
    /// without `context`.
    fn act_on(&mut self, request: Option<&str>, rules: &Rules, now: u64) -> Result<Option<String>> {
        let found = match request {
            Some(wamid) if self.is_live(wamid, rules, now) => Some(wamid.to_owned()),
            Some(wamid) => {
                bail!("the customer cannot act on {wamid} any more: it is too old, or a newer one is answered")
            }
            None => self.live_request(rules, now).map(str::to_owned),
        };
        match &found {
            Some(wamid) => self.note_answer(wamid, now),
            None if self.was_asked() => {
                bail!("no request is left on which the customer can act: the last one is too old")
            }
            None => {}
        }
        Ok(found)
    }
}

fn accepted(until: Option<u64>, source: &str) -> Value {
    let mut reply = json!({"response": "accept", "is_permanent": until.is_none(), "response_source": source});
    if let Some(until) = until {
        reply["expiration_timestamp"] = json!(until.to_string());
    }
    reply
}

fn rejected(source: &str) -> Value {
    json!({"response": "reject", "response_source": source})
}
