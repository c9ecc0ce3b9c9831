//! How a call ended, read from everything known about it, in whatever order it became known.

use std::time::Duration;

use crate::model::reason::{Direction, EndReason, EndedBy};
use crate::model::time::Timestamp;

use super::signal::Terminated;

/// What is known about the call's end and its answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// Inbound: WhatsApp's 200 to our accept. Outbound: the stamp of `ACCEPTED`.
    pub accepted_at: Option<Timestamp>,
    /// The customer declined.
    pub rejected: bool,
    pub terminated: Option<Terminated>,
    /// Our own reason to end it, the first one only.
    pub ours: Option<Ours>,
}

/// Why we ended the call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ours {
    pub reason: EndReason,
    pub by: EndedBy,
    pub at: Timestamp,
    /// The talk lasted between these two, by the clock that never jumps: since we heard of the answer, and since the call
    /// began. What the wall clock or WhatsApp's stamp of the answer say beyond that is a clock that is wrong.
    pub talked: (Duration, Duration),
    /// Only a guess until WhatsApp says more, e.g. after a refused accept.
    pub guess: bool,
}

/// The end as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub reason: EndReason,
    pub by: EndedBy,
    pub answered_at: Option<Timestamp>,
    pub ended_at: Timestamp,
    pub duration_ms: i64,
    pub upstream_code: Option<i64>,
}

impl Facts {
    /// `None` while the call lives.
    pub(super) fn verdict(&self, direction: Direction) -> Option<Verdict> {
        let terminated = self.terminated.as_ref();
        let answered_at = self.answered_at(direction);
        let ended_at = match (terminated, self.ours) {
            (Some(t), _) if t.ended_at.is_some() => t.ended_at?,
            (_, Some(ours)) => ours.at,
            (Some(t), None) => t.at,
            (None, None) => return None,
        };
        let duration_ms = match (terminated.and_then(|t| t.duration_s), answered_at) {
            (Some(seconds), _) => seconds.saturating_mul(1000),
            (None, Some(answered)) => {
                let (least, most) = self.ours.map_or((Duration::ZERO, Duration::MAX), |ours| ours.talked);
                i64::try_from(ended_at.since(answered).clamp(least, most).as_millis()).unwrap_or(i64::MAX)
            }
            (None, None) => 0,
        };
        let (reason, by) = self.reason(direction, answered_at.is_some());
        Some(Verdict { reason, by, answered_at, ended_at, duration_ms, upstream_code: terminated.and_then(|t| t.code) })
    }

    /// A `terminate` carries the pick-up's time only if there was one. Should it carry none although WhatsApp had said
    /// "accepted" well before, the acceptance counts; an accept that crossed with the caller's hang-up does not.
    ///
    /// Of a customer's call the acceptance is our own, by the clock that wrote when the call began: WhatsApp's whole
    /// seconds would have it answered before it rang.
    fn answered_at(&self, direction: Direction) -> Option<Timestamp> {
        let Some(terminated) = &self.terminated else { return self.accepted_at };
        let accepted_at = self.accepted_at.filter(|at| *at < terminated.ended_at.unwrap_or(terminated.at));
        match direction {
            Direction::UserInitiated => accepted_at.or(terminated.started_at),
            Direction::BusinessInitiated => terminated.started_at.or(accepted_at),
        }
    }

    fn reason(&self, direction: Direction, answered: bool) -> (EndReason, EndedBy) {
        let firm = self.ours.filter(|ours| !ours.guess || self.terminated.is_none());
        if let Some(ours) = firm {
            return (ours.reason, ours.by);
        }
        if let Some(t) = self.terminated.as_ref().filter(|t| t.failed || t.code.is_some()) {
            return (reason_of_code(t.code), EndedBy::Upstream);
        }
        let reason = match direction {
            _ if answered => EndReason::Completed,
            Direction::UserInitiated => EndReason::CallerCancelled,
            Direction::BusinessInitiated if self.rejected => EndReason::RejectedByCustomer,
            Direction::BusinessInitiated => EndReason::MissedByCustomer,
        };
        (reason, EndedBy::Customer)
    }
}

/// Meta's media and set-up errors of a `terminate` (Troubleshoot calling errors).
fn reason_of_code(code: Option<i64>) -> EndReason {
    match code {
        // The customer's app received nothing from us.
        Some(138_021) => EndReason::MediaTimeoutTx,
        // The customer's app sent nothing.
        Some(138_022) => EndReason::MediaTimeoutRx,
        Some(138_007 | 138_008 | 138_019 | 138_020 | 138_023) => EndReason::SetupFailed,
        _ => EndReason::UpstreamError,
    }
}
