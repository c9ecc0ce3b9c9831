//! May this agent call this customer from this number now?
//!
//! The rules, in the order in which their blockers are listed: first what only an administrator or the customer can
//! change, then what passes by itself.
//!
//! | Code | Blocks when | Cleared by |
//! |---|---|---|
//! | `not_cloud_api` | the number lives in the Business App | moving the number to Cloud API |
//! | `messaging_limit` | it may message too few customers a day | WhatsApp raising its limit |
//! | `plan_required` | neither its plan nor an add-on includes calls | an upgrade or the add-on |
//! | `bic_not_available` | the business number's country may not call | another number |
//! | `bic_not_available` | WhatsApp reaches nobody in the customer's country | nothing |
//! | `calling_disabled` | Allow Voice Calls is off | switching it on |
//! | `quality_restricted` | WhatsApp stopped the number's outbound calls | the end of the restriction |
//! | `pickup_hold` | the pack holds numbers back whose calls are not taken | enough of them leaving the window |
//! | `not_assigned` | the chat has no assignee | assigning it |
//! | `not_assignee` | it is somebody else's, whatever the caller's role | assigning it to the caller |
//! | `no_permission` | the customer never granted, refused or revoked | the customer |
//! | `permission_expired` | a temporary grant has run out by our clock | the customer |
//! | `connected_limit` | the number's connected calls fill the window | the oldest leaving the window |
//! | `connected_limit` | the same for number and customer, by our count or by WhatsApp's books | the same |
//! | `attempts_limit` | the number's dialled calls fill the window | the same |
//! | `wallet_negative` | nothing is left in the wallet that is not held back | a top-up |
//! | `call_in_progress` | number and customer are in a call already (Meta allows one per pair) | its end |
//! | `agent_busy` | the agent dials, rings or talks | the end of that call |
//! | `draining` | this gateway is shutting down | its restart |
//!
//! Presence does not matter: an offline agent takes no calls but may place them. Every number and list is the
//! [`Rules`]'s.

use crate::model::country::Country;
use crate::model::directory::{Agent, Contact, Number};
use crate::model::id::{AgentId, ContactId, NumberId};
use crate::model::money::Micros;
use crate::model::reason::{BlockerCode, PermissionStatus, RestrictionKind};
use crate::model::settings::{NumberSettings, Restriction};
use crate::model::time::Timestamp;

use super::limits::{Limit, Window};
use super::pack::Rules;
use super::permission::{Ledger, Reading};
use super::pickup::{self, Hour};

mod prerequisites;
#[cfg(test)]
mod tests;

pub use prerequisites::{Prerequisite, prerequisites};

/// Everything that bears on one outbound call, read at one moment.
#[derive(Clone, Debug)]
pub struct OutboundFacts {
    pub now: Timestamp,
    pub number: Number,
    pub settings: NumberSettings,
    /// Those in force; expired ones may still be among them.
    pub restrictions: Vec<Restriction>,
    /// What the pickup guard looks at; empty where the pack holds nothing back.
    pub outbound_hours: Vec<Hour>,
    pub contact: Contact,
    pub agent: Agent,
    pub permission: Ledger,
    /// Calls dialled by the number ([`super::pack::CallRules::attempts_per_number`]).
    pub attempts: Window,
    /// Calls that connected, by number and by pair.
    pub connected_number: Window,
    pub connected_pair: Window,
    /// The wallet's balance less what is held back for running calls.
    pub available: Micros,
    /// A call between this number and this contact is running or ringing.
    pub pair_busy: bool,
    /// The agent is dialling, ringing or talking.
    pub agent_busy: bool,
    pub draining: bool,
}

/// The right to place this one call. Only [`admit`] makes one, and it cannot be copied: one permit, one call.
///
/// ```compile_fail,E0451
/// # use tandem::model::id::{AgentId, ContactId, NumberId};
/// fn forge(number_id: NumberId, contact_id: ContactId, agent_id: AgentId) -> tandem::policy::Permit {
///     tandem::policy::Permit { number_id, contact_id, agent_id }
/// }
/// ```
///
/// ```compile_fail,E0599
/// fn copy(permit: tandem::policy::Permit) -> tandem::policy::Permit {
///     permit.clone()
/// }
/// ```
#[derive(Debug)]
pub struct Permit {
    number_id: NumberId,
    contact_id: ContactId,
    agent_id: AgentId,
}

impl Permit {
    pub fn number_id(&self) -> &NumberId {
        &self.number_id
    }

    pub fn contact_id(&self) -> &ContactId {
        &self.contact_id
    }

    pub fn agent_id(&self) -> &AgentId {
        &self.agent_id
    }
}

/// One reason against a call.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Blocker {
    pub code: BlockerCode,
    /// What is wrong and what clears it, for people.
    pub message: String,
    pub clears_at: Option<Timestamp>,
}

/// Why the call may not be placed: every reason at once, never only the first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    pub blockers: Vec<Blocker>,
}

/// Decides about one outbound call; see the table at the top of this module.
///
/// # Errors
/// [`Denial`] with every blocker that applies.
pub fn admit(facts: &OutboundFacts, rules: &Rules) -> Result<Permit, Denial> {
    decide(facts, facts.permission.read(facts.now), rules)
}

fn decide(facts: &OutboundFacts, reading: Reading, rules: &Rules) -> Result<Permit, Denial> {
    let case = Case { facts, reading, rules };
    let blockers: Vec<Blocker> = RULES.iter().filter_map(|rule| rule(&case)).collect();
    if !blockers.is_empty() {
        return Err(Denial { blockers });
    }
    Ok(Permit {
        number_id: facts.number.id.clone(),
        contact_id: facts.contact.id.clone(),
        agent_id: facts.agent.id.clone(),
    })
}

/// What the rules look at.
struct Case<'a> {
    facts: &'a OutboundFacts,
    /// The permission, at [`OutboundFacts::now`].
    reading: Reading,
    rules: &'a Rules,
}

/// In the order of the table at the top.
const RULES: [fn(&Case<'_>) -> Option<Blocker>; 17] = [
    |case| prerequisites::not_cloud_api(&case.facts.number),
    |case| prerequisites::messaging_limit(&case.facts.number, case.rules),
    |case| prerequisites::plan_required(&case.facts.number, case.rules),
    |case| prerequisites::country_blocked(&case.facts.number, case.rules),
    customer_unreachable,
    calling_disabled,
    |case| restricted(&case.facts.restrictions, case.facts.now),
    |case| pickup::hold(&case.facts.outbound_hours, &case.rules.pickup, case.facts.now),
    not_mine,
    no_permission,
    connected_by_number,
    connected_by_pair,
    attempts,
    wallet_negative,
    pair_busy,
    agent_busy,
    draining,
];

fn customer_unreachable(case: &Case<'_>) -> Option<Blocker> {
    let contact = &case.facts.contact;
    let by_phone = contact.phone.as_ref().and_then(Country::of_phone);
    let by_user_id = contact.user_id.as_deref().and_then(Country::of_user_id);
    let unreachable = &case.rules.countries.unreachable;
    let country = [by_phone, by_user_id].into_iter().flatten().find(|country| unreachable.contains(country))?;
    Some(block(
        BlockerCode::BicNotAvailable,
        format!(
            "WhatsApp's Cloud API reaches nobody in {country}, this customer's country. No call can be placed there."
        ),
    ))
}

fn calling_disabled(case: &Case<'_>) -> Option<Blocker> {
    (!case.facts.settings.allow_voice_calls).then(|| {
        block(
            BlockerCode::CallingDisabled,
            "Allow Voice Calls is off for this number. Switch it on in the channel settings to place calls.",
        )
    })
}

/// Outbound calls are restricted: without an end when one restriction has none, else until the last one ends.
pub(super) fn restricted(restrictions: &[Restriction], now: Timestamp) -> Option<Blocker> {
    let in_force = |restriction: &&Restriction| {
        matches!(restriction.kind, RestrictionKind::Outbound | RestrictionKind::OutboundAndInbound)
            && restriction.expires_at.is_none_or(|end| end > now)
    };
    let until = |restriction: &Restriction| restriction.expires_at.unwrap_or(Timestamp::from_millis(i64::MAX));
    let longest = restrictions.iter().filter(in_force).max_by_key(|restriction| until(restriction))?;
    let end = match longest.expires_at {
        Some(_) => "It clears when the restriction ends.",
        None => "It clears when WhatsApp lifts the restriction; it has not said when.",
    };
    let mut message = format!("WhatsApp has stopped this number's outbound calls because of their quality. {end}");
    if let Some(remediation) = longest.remediation.as_deref().map(|text| text.trim().trim_end_matches('.')) {
        message.push_str(&format!(" It suggests: {remediation}."));
    }
    Some(Blocker { code: BlockerCode::QualityRestricted, message, clears_at: longest.expires_at })
}

fn not_mine(case: &Case<'_>) -> Option<Blocker> {
    match &case.facts.contact.assignee_id {
        Some(assignee) if *assignee == case.facts.agent.id => None,
        Some(_) => Some(block(
            BlockerCode::NotAssignee,
            "This chat is assigned to somebody else, and only its assignee may call. Have it assigned to you first.",
        )),
        None => Some(block(
            BlockerCode::NotAssigned,
            "This chat is assigned to nobody, and only its assignee may call. Have it assigned to you first.",
        )),
    }
}

fn no_permission(case: &Case<'_>) -> Option<Blocker> {
    let (code, message) = match case.reading.status {
        PermissionStatus::Temporary | PermissionStatus::Permanent => return None,
        PermissionStatus::Expired => (
            BlockerCode::PermissionExpired,
            "The customer's permission has run out. Ask for a new one; only the customer can grant it.",
        ),
        PermissionStatus::None => (
            BlockerCode::NoPermission,
            "The customer has not permitted calls. Ask for permission; only the customer can grant it.",
        ),
        PermissionStatus::Requested => (
            BlockerCode::NoPermission,
            "The customer has been asked for permission and has not answered yet. It clears when the customer agrees.",
        ),
        PermissionStatus::Rejected => (
            BlockerCode::NoPermission,
            "The customer declined calls. It clears when the customer agrees, to this request or to a new one.",
        ),
        PermissionStatus::Revoked => (
            BlockerCode::NoPermission,
            "WhatsApp revoked the permission after several unanswered calls. Ask again; only the customer can grant it.",
        ),
    };
    Some(block(code, message))
}

fn connected_by_number(case: &Case<'_>) -> Option<Blocker> {
    let limit = case.rules.calls.connected_per_number?;
    exhausted(case, limit, case.facts.connected_number, BlockerCode::ConnectedLimit, |limit| {
        format!("This number has reached its limit of {} connected calls in {} h.", limit.max, limit.window_h)
    })
}

fn connected_by_pair(case: &Case<'_>) -> Option<Blocker> {
    let ours = case.rules.calls.connected_per_pair.and_then(|limit| {
        exhausted(case, limit, case.facts.connected_pair, BlockerCode::ConnectedLimit, |limit| {
            format!(
                "This number has reached its limit of {} connected calls with this customer in {} h.",
                limit.max, limit.window_h
            )
        })
    });
    ours.or_else(|| case.facts.permission.calls_used_up(case.facts.now))
}

fn attempts(case: &Case<'_>) -> Option<Blocker> {
    let limit = case.rules.calls.attempts_per_number;
    exhausted(case, limit, case.facts.attempts, BlockerCode::AttemptsLimit, |limit| {
        format!("This number has reached its limit of {} dialled calls in {} h.", limit.max, limit.window_h)
    })
}

fn exhausted(
    case: &Case<'_>,
    limit: Limit,
    window: Window,
    code: BlockerCode,
    what: impl Fn(Limit) -> String,
) -> Option<Blocker> {
    let clears_at = limit.check(window, case.facts.now).err()?.clears_at;
    let what = what(limit);
    let message = match clears_at {
        Some(_) => format!("{what} It clears when the oldest of them is {} h old.", limit.window_h),
        None => {
            format!("{what} Calls being dialled hold the last places; it clears when one of them comes to nothing.")
        }
    };
    Some(Blocker { code, message, clears_at })
}

fn wallet_negative(case: &Case<'_>) -> Option<Blocker> {
    (case.facts.available <= 0).then(|| {
        block(
            BlockerCode::WalletNegative,
            "The wallet holds nothing beyond what running calls have reserved. Top it up to place calls.",
        )
    })
}

fn pair_busy(case: &Case<'_>) -> Option<Blocker> {
    case.facts.pair_busy.then(|| {
        block(
            BlockerCode::CallInProgress,
            "This number and this customer are already in a call. It clears when that call ends.",
        )
    })
}

fn agent_busy(case: &Case<'_>) -> Option<Blocker> {
    case.facts.agent_busy.then(|| {
        block(
            BlockerCode::AgentBusy,
            "You are ringing, dialling or talking on another call. It clears when that call ends.",
        )
    })
}

fn draining(case: &Case<'_>) -> Option<Blocker> {
    case.facts.draining.then(|| {
        block(BlockerCode::Draining, "The gateway is shutting down and starts no new calls. Try again when it is back.")
    })
}

/// A blocker that waits for a person or for the end of a call: nobody knows when it will clear.
fn block(code: BlockerCode, message: impl Into<String>) -> Blocker {
    Blocker { code, message: message.into(), clears_at: None }
}
