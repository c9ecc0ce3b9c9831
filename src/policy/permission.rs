//! What a customer permits. Only the customer's own words change it, and they arrive late, twice and in any order.

use std::cmp::Reverse;
use std::time::Duration;

use crate::model::directory::Permission;
use crate::model::id::{ContactId, NumberId};
use crate::model::reason::PermissionStatus;
use crate::model::time::Timestamp;

/// How long a temporary permission lasts when the reply that grants it does not say: 168 hours, not to the end of a day.
pub const TEMPORARY_LASTS: Duration = Duration::from_secs(7 * 24 * 3600);

/// One reply of a customer, or of Meta on the customer's behalf, about one number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub number_id: NumberId,
    pub contact_id: ContactId,
    pub granted: bool,
    /// Lasts until revoked. Meaningless when not granted.
    pub permanent: bool,
    /// End of a temporary permission, by Meta's word.
    pub expires_at: Option<Timestamp>,
    /// When the customer decided, by Meta's clock (whole seconds).
    pub decided_at: Timestamp,
    /// Meta decided: a callback permission after a call, or a revocation after unanswered calls.
    pub automatic: bool,
}

/// What the permission is worth at `now`.
///
/// A temporary one ends by our own clock, exactly at `expires_at`: Meta announces no expiry.
pub fn read_permission(permission: Option<&Permission>, now: Timestamp) -> PermissionStatus {
    let Some(permission) = permission else { return PermissionStatus::None };
    match permission.status {
        PermissionStatus::Temporary if now >= ends_at(permission) => PermissionStatus::Expired,
        status => status,
    }
}

/// The last word counts, by the time it was said and not by the time it arrived, so that replies fold to the same
/// permission in every order and however often each one comes.
///
/// `Some` is the permission to store; `None` says that the reply changes nothing.
pub fn fold_reply(current: Option<&Permission>, reply: &Reply) -> Option<Permission> {
    let proposed = Permission {
        number_id: reply.number_id.clone(),
        contact_id: reply.contact_id.clone(),
        status: match (reply.granted, reply.permanent, reply.automatic) {
            (true, true, _) => PermissionStatus::Permanent,
            (true, false, _) => PermissionStatus::Temporary,
            (false, _, true) => PermissionStatus::Revoked,
            (false, _, false) => PermissionStatus::Rejected,
        },
        expires_at: (reply.granted && !reply.permanent)
            .then(|| reply.expires_at.unwrap_or_else(|| reply.decided_at.plus(TEMPORARY_LASTS))),
        decided_at: reply.decided_at,
    };
    let wins = current.is_none_or(|current| precedence(&proposed) > precedence(current));
    wins.then_some(proposed)
}

/// A temporary permission without an end is one from before we stored ends; it must not last for ever.
fn ends_at(permission: &Permission) -> Timestamp {
    permission.expires_at.unwrap_or_else(|| permission.decided_at.plus(TEMPORARY_LASTS))
}

/// Which of two permissions stands: the greater one. It is a total order over everything but the two identities, which is
/// what makes the fold independent of order.
///
/// Seconds come first because Meta stamps whole seconds while our own marks (a request that was sent) carry
/// milliseconds: a reply in the second of the request must still answer it. Within one second a refusal beats a grant,
/// since calling somebody who refused costs more than asking again, and the shorter grant beats the longer.
fn precedence(permission: &Permission) -> (i64, u8, i64, Reverse<Option<Timestamp>>) {
    let rank = match permission.status {
        PermissionStatus::None => 0,
        PermissionStatus::Requested => 1,
        PermissionStatus::Expired => 2,
        PermissionStatus::Permanent => 3,
        PermissionStatus::Temporary => 4,
        PermissionStatus::Revoked => 5,
        PermissionStatus::Rejected => 6,
    };
    let decided_ms = permission.decided_at.as_millis();
    (decided_ms.div_euclid(1000), rank, decided_ms, Reverse(permission.expires_at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use PermissionStatus::{Expired, None as NoPermission, Permanent, Rejected, Requested, Revoked, Temporary};

    const DAY_S: i64 = 24 * 3600;
    const T0_S: i64 = 1_795_000_200;

    fn reply(decided_s: i64, granted: bool, permanent: bool, automatic: bool, expires_s: Option<i64>) -> Reply {
        Reply {
            number_id: NumberId::parse("100000000000001").unwrap(),
            contact_id: ContactId::parse("con_nino").unwrap(),
            granted,
            permanent,
            automatic,
            expires_at: expires_s.map(Timestamp::from_secs),
            decided_at: Timestamp::from_secs(decided_s),
        }
    }

    fn stored(status: PermissionStatus, decided_ms: i64, expires_s: Option<i64>) -> Permission {
        Permission {
            number_id: NumberId::parse("100000000000001").unwrap(),
            contact_id: ContactId::parse("con_nino").unwrap(),
            status,
            expires_at: expires_s.map(Timestamp::from_secs),
            decided_at: Timestamp::from_millis(decided_ms),
        }
    }

    fn fold_all<'a>(
        replies: impl IntoIterator<Item = &'a Reply>,
    ) -> Option<(PermissionStatus, Option<Timestamp>, i64)> {
        let mut state: Option<Permission> = None;
        for reply in replies {
            state = fold_reply(state.as_ref(), reply).or(state);
        }
        state.map(|p| (p.status, p.expires_at, p.decided_at.as_millis()))
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

    #[test]
    fn every_case_of_a_reply_becomes_its_status() {
        #[track_caller]
        fn check(reply: &Reply, status: PermissionStatus, expires_s: Option<i64>) {
            let p = fold_reply(None, reply).expect("the first reply always counts");
            assert_eq!((p.status, p.expires_at), (status, expires_s.map(Timestamp::from_secs)));
        }
        check(&reply(T0_S, true, false, false, Some(T0_S + 7 * DAY_S)), Temporary, Some(T0_S + 7 * DAY_S));
        check(&reply(T0_S, true, false, false, None), Temporary, Some(T0_S + 7 * DAY_S));
        check(&reply(T0_S, true, true, false, None), Permanent, None);
        check(&reply(T0_S, true, true, false, Some(T0_S + DAY_S)), Permanent, None);
        check(&reply(T0_S, true, false, true, Some(T0_S + DAY_S)), Temporary, Some(T0_S + DAY_S));
        check(&reply(T0_S, false, false, false, None), Rejected, None);
        check(&reply(T0_S, false, false, true, None), Revoked, None);
    }

    #[test]
    fn replies_fold_to_the_same_permission_in_every_order_and_however_often_they_come() {
        let mut replies = vec![
            reply(T0_S, true, false, false, Some(T0_S + 7 * DAY_S)),
            reply(T0_S + 10, false, false, false, None),
            reply(T0_S + 20, true, true, false, None),
            reply(T0_S + 30, true, false, true, Some(T0_S + 3 * DAY_S)),
            // The same second, twice over: only the rank can decide.
            reply(T0_S + 40, true, false, true, Some(T0_S + 4 * DAY_S)),
            reply(T0_S + 40, true, false, true, Some(T0_S + 5 * DAY_S)),
            reply(T0_S + 40, true, true, false, None),
        ];
        let want = Some((Temporary, Some(Timestamp::from_secs(T0_S + 4 * DAY_S)), (T0_S + 40) * 1000));
        let mut orders = 0;
        permutations(&mut replies, 0, &mut |order| {
            orders += 1;
            assert_eq!(fold_all(order), want, "{order:?}");
            assert_eq!(fold_all(order.iter().chain(order.iter().rev())), want, "{order:?}");
        });
        assert_eq!(orders, 5040);
    }

    #[test]
    fn a_refusal_beats_a_grant_of_the_same_second_in_both_orders() {
        let (yes, no) = (reply(T0_S, true, true, false, None), reply(T0_S, false, false, false, None));
        for order in [[&yes, &no], [&no, &yes]] {
            assert_eq!(fold_all(order), Some((Rejected, None, T0_S * 1000)));
        }
    }

    #[test]
    fn a_reply_in_the_second_of_our_request_still_answers_it_and_an_older_one_does_not() {
        let asked = stored(Requested, T0_S * 1000 + 900, None);
        assert_eq!(fold_reply(Some(&asked), &reply(T0_S, true, true, false, None)).map(|p| p.status), Some(Permanent));
        assert!(fold_reply(Some(&asked), &reply(T0_S - 1, true, true, false, None)).is_none());
    }

    #[test]
    fn a_permission_is_read_by_our_own_clock() {
        #[track_caller]
        fn check(permission: Option<Permission>, now_ms: i64, want: PermissionStatus) {
            assert_eq!(read_permission(permission.as_ref(), Timestamp::from_millis(now_ms)), want);
        }
        let end_ms = (T0_S + 7 * DAY_S) * 1000;
        let temporary = || Some(stored(Temporary, T0_S * 1000, Some(T0_S + 7 * DAY_S)));
        check(None, end_ms, NoPermission);
        check(temporary(), end_ms - 1, Temporary);
        check(temporary(), end_ms, Expired);
        check(temporary(), end_ms + 1, Expired);
        check(Some(stored(Temporary, T0_S * 1000, None)), end_ms - 1, Temporary);
        check(Some(stored(Temporary, T0_S * 1000, None)), end_ms, Expired);
        check(Some(stored(Permanent, T0_S * 1000, None)), end_ms * 2, Permanent);
        for status in [Requested, Rejected, Revoked, Expired] {
            check(Some(stored(status, T0_S * 1000, None)), end_ms * 2, status);
        }
    }
}
