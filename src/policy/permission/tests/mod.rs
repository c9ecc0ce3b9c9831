//! Stories between one number and one customer, told as events and read at chosen moments.
mod booked;
mod calls;
mod checks;
mod fold;
mod news;
mod requests;

use std::time::Duration;

use super::*;
use crate::model::id::CallId;
use crate::model::reason::RequestKind;
use PermissionStatus::{Expired, None as NoPermission, Permanent, Rejected, Requested, Revoked, Temporary};

const SECOND: i64 = 1000;
const HOUR: i64 = 3600 * SECOND;
const DAY: i64 = 24 * HOUR;
/// 2026-11-18T11:10:00Z.
const T0_MS: i64 = 1_795_000_200_000;

/// `ms` after the story began.
fn t(ms: i64) -> Timestamp {
    Timestamp::from_millis(T0_MS + ms)
}

fn built_in() -> Pack {
    Pack::built_in()
}

/// The built-in pack with other rules from a moment on.
fn pack_with(from: Timestamp, changes: &str) -> Pack {
    let text = format!("{}\n[[edition]]\nfrom = \"{from}\"\n{changes}\n", crate::policy::pack::BUILT_IN);
    Pack::parse("test.toml", &text).unwrap()
}

fn rules() -> Rules {
    built_in().rules(t(0)).clone()
}

fn fold(events: &[Event]) -> Ledger {
    Ledger::fold(events, &built_in())
}

fn status(events: &[Event], at: i64) -> PermissionStatus {
    fold(events).read(t(at)).status
}

/// A request; its message is `wamid.<id>`.
fn asked(id: &str, at: i64) -> Event {
    Event::requested(id, RequestKind::FreeForm, Some(format!("wamid.{id}")), t(at))
}

fn reply(id: &str, granted: bool, permanent: bool, context: Option<&str>, at: i64) -> Event {
    Event::reply(Reply {
        id: Some(format!("wamid.reply-{id}-{at}")),
        granted,
        permanent,
        expires_at: None,
        automatic: false,
        context: context.map(str::to_owned),
        at: t(at),
    })
}

/// The customer says yes to request `id`, for a while.
fn accept(id: &str, at: i64) -> Event {
    reply(id, true, false, Some(&format!("wamid.{id}")), at)
}

fn decline(id: &str, at: i64) -> Event {
    reply(id, false, false, Some(&format!("wamid.{id}")), at)
}

/// The customer permits calls in the business profile.
fn profile(permanent: bool, at: i64) -> Event {
    reply("profile", true, permanent, None, at)
}

/// Meta revokes after unanswered calls.
fn revoked(at: i64) -> Event {
    Event { key: format!("reply:wamid.revoked-{at}"), at: t(at), what: What::Revoked }
}

fn connected(call: &str, at: i64) -> Event {
    Event::call_outcome(&CallId::parse(call).unwrap(), true, t(at))
}

fn unanswered(call: &str, at: i64) -> Event {
    Event::call_outcome(&CallId::parse(call).unwrap(), false, t(at))
}

fn checked(status: PermissionStatus, ends: Option<i64>, at: i64) -> Event {
    Event::checked(status, ends.map(t), t(at))
}

/// When WhatsApp's books were last compared with ours, and what was wrong then.
fn last_check(ledger: &Ledger) -> (Option<Timestamp>, Option<&str>) {
    (ledger.checked_at, ledger.drift.as_deref())
}

/// Calls `visit` with every order of `items`.
fn permutations<T: Clone>(items: &mut Vec<T>, fixed: usize, visit: &mut impl FnMut(&[T])) {
    if fixed == items.len() {
        return visit(items);
    }
    for i in fixed..items.len() {
        items.swap(fixed, i);
        permutations(items, fixed + 1, visit);
        items.swap(fixed, i);
    }
}
