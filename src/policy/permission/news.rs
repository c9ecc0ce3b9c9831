//! What is worth telling when a permission went from one state to another.

use super::{Decision, Ledger, Standing};
use crate::model::time::Timestamp;

/// The event types to log when the state went from `before` (as read at `was`) to `after` (as read at `now`):
/// `permission.requested|granted|declined|revoked|expired|reconsider_prompted|limit_reset|drift_repaired`.
///
/// When the clock alone has moved, `before` and `after` are the same and only `was` and `now` differ. An end that `was`
/// has already passed is not told again, so `was` must be no later than the last moment for which news was asked.
pub fn news(before: &Ledger, was: Timestamp, after: &Ledger, now: Timestamp) -> Vec<&'static str> {
    let mut news = Vec::new();
    if after.requests.latest().map(|request| request.at) > before.requests.latest().map(|request| request.at) {
        news.push("permission.requested");
    }
    if after.reconsidering && !before.reconsidering {
        news.push("permission.reconsider_prompted");
    }
    if let Some(decision) = &after.decision
        && !before.decision.as_ref().is_some_and(|old| same(old, decision))
    {
        news.push(match decision.standing {
            Standing::Temporary { .. } | Standing::Permanent => "permission.granted",
            Standing::Rejected => "permission.declined",
            Standing::Revoked => "permission.revoked",
        });
    }
    if after.limit_reset_at > before.limit_reset_at {
        news.push("permission.limit_reset");
    }
    if after.drift.is_some() && (after.checked_at, &after.drift) != (before.checked_at, &before.drift) {
        news.push("permission.drift_repaired");
    }
    let ran_out = |ledger: &Ledger, at| ledger.temporary_end().is_some_and(|ends_at| ends_at <= at);
    let told =
        ran_out(before, was) && matches!((&before.decision, &after.decision), (Some(old), Some(new)) if same(old, new));
    if ran_out(after, now) && !told {
        news.push("permission.expired");
    }
    news
}

/// The same decision; its end may have moved.
fn same(a: &Decision, b: &Decision) -> bool {
    (a.at, std::mem::discriminant(&a.standing)) == (b.at, std::mem::discriminant(&b.standing))
}
