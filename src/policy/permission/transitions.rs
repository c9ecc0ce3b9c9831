//! The transitions: one function per kind of event, the only places that change a [`Ledger`].

use std::time::Duration;

use super::asked::Asked;
use super::event::{Order, What};
use super::{Decision, Ledger, Standing};
use crate::model::directory::Asker;
use crate::model::reason::{GrantSource, PermissionStatus};
use crate::model::time::Timestamp;
use crate::policy::pack::{PermissionRules, Rules};

/// Ends that differ by no more than this are the same: the clocks of two computers, and Meta's rounding to seconds.
const SAME_END: Duration = Duration::from_secs(60);

impl Ledger {
    pub(super) fn take(&mut self, order: Order, what: &What, rules: &Rules) {
        let at = order.at();
        match what {
            What::Requested { wamid, by, .. } => self.requested(wamid.clone(), by.clone(), at, rules),
            What::Granted { permanent, expires_at, source, context } => {
                let standing = if *permanent { Standing::Permanent } else { temporary(*expires_at, at, rules) };
                self.granted(standing, *source, context.as_deref(), at, &rules.permission);
            }
            What::Declined { context } => self.declined(context.as_deref(), at, &rules.permission),
            What::Revoked => self.revoked(at),
            What::Connected => self.connected(at, rules),
            What::Unanswered => self.unanswered(at, &rules.permission),
            What::Checked { status, expires_at, booked } => {
                self.booked = *booked;
                let theirs = match status {
                    PermissionStatus::Temporary => Some(temporary(*expires_at, at, rules)),
                    PermissionStatus::Permanent => Some(Standing::Permanent),
                    PermissionStatus::None
                    | PermissionStatus::Requested
                    | PermissionStatus::Rejected
                    | PermissionStatus::Expired
                    | PermissionStatus::Revoked => None,
                };
                self.checked_against(theirs, expires_at.is_some(), at);
            }
        }
        self.last = Some(order);
    }

    fn requested(&mut self, wamid: Option<String>, by: Option<Asker>, at: Timestamp, rules: &Rules) {
        let expires_at = at.plus(Duration::from_hours(rules.permission.request_life_h.into()));
        self.requests.push(Asked { at, wamid, by, expires_at, counts: true }, &rules.requests);
        self.waiting = true;
    }

    fn granted(
        &mut self,
        standing: Standing,
        source: GrantSource,
        context: Option<&str>,
        at: Timestamp,
        rules: &PermissionRules,
    ) {
        if let Some(request) = self.requests.named(context) {
            if !self.requests.is_alive(request, at) {
                return;
            }
            self.requests.answer(request, at, Duration::from_hours(rules.request_life_h.into()));
        }
        self.forget_unanswered();
        self.decide(standing, Some(source), at);
    }

    /// A refusal needs no living request: calling somebody who refused costs more than asking again.
    fn declined(&mut self, context: Option<&str>, at: Timestamp, rules: &PermissionRules) {
        if let Some(request) = self.requests.named(context)
            && self.requests.is_alive(request, at)
        {
            self.requests.answer(request, at, Duration::from_hours(rules.request_life_h.into()));
        }
        self.decide(Standing::Rejected, None, at);
    }

    /// Meta's report of what our own count has already concluded changes nothing.
    fn revoked(&mut self, at: Timestamp) {
        if !matches!(&self.decision, Some(Decision { standing: Standing::Revoked, .. })) {
            self.decide(Standing::Revoked, None, at);
        }
    }

    fn connected(&mut self, at: Timestamp, rules: &Rules) {
        self.forget_unanswered();
        if self.requests.free(at, &rules.requests) {
            self.limit_reset_at = Some(at);
        }
        self.booked.no_requests_until = None;
        self.connected_at = Some(at);
        if rules.permission.renews_on_connected_call
            && let Some(Decision { standing: Standing::Temporary { ends_at }, .. }) = &mut self.decision
            && at < *ends_at
        {
            *ends_at = (*ends_at).max(at.plus(Duration::from_hours(rules.permission.temporary_h.into())));
        }
    }

    fn unanswered(&mut self, at: Timestamp, rules: &PermissionRules) {
        self.unanswered = self.unanswered.saturating_add(1);
        self.reconsidering |= self.unanswered >= rules.reconsider_after;
        if self.unanswered >= rules.revoke_after && self.is_in_force(at) {
            self.decide(Standing::Revoked, None, at);
        }
    }

    /// WhatsApp's books are the truth about what WhatsApp will let through. `end_told`: they named the end of a temporary
    /// permission; an end of our own assumption proves nothing.
    fn checked_against(&mut self, theirs: Option<Standing>, end_told: bool, at: Timestamp) {
        let ours = self.decision.as_ref().map(|decision| decision.standing).filter(|standing| standing.is_in_force(at));
        let agree = match (ours, theirs) {
            (None, theirs) => !theirs.is_some_and(|theirs| theirs.is_in_force(at)),
            (Some(Standing::Permanent), Some(Standing::Permanent)) => true,
            (Some(Standing::Temporary { ends_at: ours }), Some(Standing::Temporary { ends_at: theirs })) => {
                !end_told || ours.since(theirs).max(theirs.since(ours)) <= SAME_END
            }
            (Some(_), _) => false,
        };
        self.checked_at = Some(at);
        self.drift = (!agree)
            .then(|| format!("WhatsApp's books held {}, ours {}; WhatsApp's count.", describe(theirs), describe(ours)));
        if agree {
            return;
        }
        let Some(found) = theirs else {
            self.decide(Standing::Revoked, None, at);
            return;
        };
        // Another end may be nothing but a renewal that the two sides judge differently; another kind is a new grant.
        if ours.is_none_or(|ours| std::mem::discriminant(&ours) != std::mem::discriminant(&found)) {
            self.forget_unanswered();
        }
        self.decide(found, Some(GrantSource::WhatsApp), at);
    }

    fn forget_unanswered(&mut self) {
        self.unanswered = 0;
        self.reconsidering = false;
    }

    fn decide(&mut self, standing: Standing, source: Option<GrantSource>, at: Timestamp) {
        self.decision = Some(Decision { standing, at, source });
        self.waiting = false;
    }
}

fn temporary(expires_at: Option<Timestamp>, at: Timestamp, rules: &Rules) -> Standing {
    Standing::Temporary {
        ends_at: expires_at.unwrap_or_else(|| at.plus(Duration::from_hours(rules.permission.temporary_h.into()))),
    }
}

fn describe(standing: Option<Standing>) -> String {
    match standing {
        Some(Standing::Permanent) => "a permanent permission".to_owned(),
        Some(Standing::Temporary { ends_at }) => format!("a temporary permission until {ends_at}"),
        Some(Standing::Rejected | Standing::Revoked) | None => "no permission".to_owned(),
    }
}
