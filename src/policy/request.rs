//! May this customer be asked for permission now?

use std::time::Duration;

use crate::model::directory::{Contact, Number};
use crate::model::reason::{BlockerCode, RequestKind};
use crate::model::settings::{NumberSettings, Restriction};
use crate::model::time::Timestamp;

use super::admit::{Blocker, Denial, prerequisites, restricted};
use super::pack::Rules;
use super::permission::Ledger;
use super::pickup::{self, Hour};

/// Everything that bears on one permission request.
#[derive(Clone, Debug)]
pub struct RequestFacts {
    pub now: Timestamp,
    pub kind: RequestKind,
    pub number: Number,
    pub settings: NumberSettings,
    pub restrictions: Vec<Restriction>,
    /// What the pickup guard looks at; empty where the pack holds nothing back.
    pub outbound_hours: Vec<Hour>,
    pub contact: Contact,
    pub permission: Ledger,
    /// When the customer last wrote, called or took our call.
    pub window_opened_at: Option<Timestamp>,
}

/// The right to send this one request. Only [`may_ask`] makes one.
#[derive(Debug)]
pub struct RequestPermit(());

/// Decides about one permission request: every blocker at once, first what only people can change, then what passes by
/// itself.
///
/// | Code | Blocks when | Cleared by |
/// |---|---|---|
/// | `not_cloud_api`, `messaging_limit`, `plan_required`, `bic_not_available` | the number lives in the Business App | moving the number to Cloud API |
/// | `calling_disabled` | voice calls are switched off for the number | switching them on |
/// | `window_closed` | a free-form request, and the customer has been silent for `service_window_h` | the customer, or a template |
/// | `already_permanent` | the customer has permitted calls for good | nothing: call |
/// | `request_limit_24h`, `request_limit_7d` | the customer was asked often enough, by our count or by WhatsApp's | time, or a connected call |
/// | `quality_restricted` | WhatsApp took outbound calls from the number | its end |
/// | `pickup_hold` | the pack holds numbers back whose calls are not taken | time |
///
/// # Errors
/// [`Denial`].
pub fn may_ask(facts: &RequestFacts, rules: &Rules) -> Result<RequestPermit, Denial> {
    let mut blockers = Vec::new();
    let mut block = |code, message: &str, clears_at| {
        blockers.push(Blocker { code, message: message.to_owned(), clears_at });
    };
    // A permission that no call could use would only cost the customer's patience.
    for missing in prerequisites(&facts.number, rules).into_iter().filter(|one| !one.met) {
        block(missing.code, &missing.message, None);
    }
    if !facts.settings.allow_voice_calls {
        block(
            BlockerCode::CallingDisabled,
            "Voice calls are switched off for this number, so a permission would be of no use; switch them on in its \
             settings first.",
            None,
        );
    }
    if facts.kind == RequestKind::FreeForm && window_closes_at(facts, rules).is_none() {
        let message = format!(
            "The customer has neither written nor called in the last {} hours, so a free-form request is not allowed; send \
             a template request, or wait for the customer's next message or call.",
            rules.permission.service_window_h
        );
        block(BlockerCode::WindowClosed, &message, None);
    }
    blockers.extend(facts.permission.request_blockers(rules, facts.now));
    blockers.extend(restricted(&facts.restrictions, facts.now));
    blockers.extend(pickup::hold(&facts.outbound_hours, &rules.pickup, facts.now));
    if blockers.is_empty() { Ok(RequestPermit(())) } else { Err(Denial { blockers }) }
}

/// Until when the customer may be written to in free form; `None` while that is not allowed.
pub fn window_closes_at(facts: &RequestFacts, rules: &Rules) -> Option<Timestamp> {
    window_from(facts.window_opened_at, rules, facts.now)
}

/// The right to write this customer plain words. Only [`may_write`] makes one.
#[derive(Debug)]
pub struct WritePermit(());

/// Whether a customer who last wrote, called or took our call at `window_opened_at` may be written to.
///
/// # Errors
/// [`Denial`] with `window_closed`.
pub fn may_write(window_opened_at: Option<Timestamp>, rules: &Rules, now: Timestamp) -> Result<WritePermit, Denial> {
    if window_from(window_opened_at, rules, now).is_some() {
        return Ok(WritePermit(()));
    }
    let message = format!(
        "The customer has neither written nor called in the last {} hours, so WhatsApp takes no message to them; reject the \
         call without one.",
        rules.permission.service_window_h
    );
    Err(Denial { blockers: vec![Blocker { code: BlockerCode::WindowClosed, message, clears_at: None }] })
}

fn window_from(opened_at: Option<Timestamp>, rules: &Rules, now: Timestamp) -> Option<Timestamp> {
    let lasts = Duration::from_hours(rules.permission.service_window_h.into());
    opened_at.map(|opened_at| opened_at.plus(lasts)).filter(|end| now < *end)
}

#[cfg(test)]
mod tests;
