//! What is told of a change.

use super::*;

/// What one more event, learnt a second after it happened, is told as.
#[track_caller]
fn check(before: &[Event], event: Event, want: &[&str]) {
    let was = fold(before);
    let after = fold(&[before, std::slice::from_ref(&event)].concat());
    let now = event.at.plus(Duration::from_secs(1));
    assert_eq!(news(&was, event.at, &after, now), want, "{event:?} after {before:?}");
    assert_eq!(news(&after, now, &after, now), [""; 0], "nothing is told twice");
}

fn missed(count: i64) -> Vec<Event> {
    std::iter::once(profile(true, 0)).chain((1..=count).map(|n| unanswered(&format!("c{n}"), n * HOUR))).collect()
}

#[test]
fn each_change_has_its_word() {
    check(&[], asked("R", 0), &["permission.requested"]);
    check(&[asked("R", 0)], accept("R", HOUR), &["permission.granted"]);
    check(&[asked("R", 0)], decline("R", HOUR), &["permission.declined"]);
    check(&[asked("R", 0), decline("R", HOUR)], accept("R", 2 * HOUR), &["permission.granted"]);
    check(&[profile(true, 0)], revoked(HOUR), &["permission.revoked"]);
    check(&[profile(false, 0)], profile(false, HOUR), &["permission.granted"]);
    check(&[profile(false, 0)], asked("R", HOUR), &["permission.requested"]);
    check(&[asked("R", 0)], asked("S", DAY), &["permission.requested"]);
}

#[test]
fn what_changes_nothing_is_not_told() {
    check(&[asked("R", 0)], accept("R", 8 * DAY), &[]);
    check(&[profile(true, HOUR)], decline("x", 0), &[]);
    check(&[profile(true, 0)], connected("c", HOUR), &[]);
    check(&[profile(false, 0)], connected("c", HOUR), &[]);
    check(&missed(4), revoked(5 * HOUR), &[]);
    check(&[profile(true, 0)], checked(Permanent, None, HOUR), &[]);
    // WhatsApp refused to send the second request, and it is taken back.
    assert_eq!(news(&fold(&[asked("R", 0), asked("S", DAY)]), t(DAY), &fold(&[asked("R", 0)]), t(DAY)), [""; 0]);
    // The request's own id comes later.
    let sent = Event::requested("R", RequestKind::FreeForm, None, t(0));
    assert_eq!(news(&fold(&[sent]), t(0), &fold(&[asked("R", 0)]), t(SECOND)), [""; 0]);
}

#[test]
fn unanswered_calls_are_told_at_the_second_and_at_the_fourth() {
    let told = |n: i64| {
        let (before, after) = (missed(n - 1), missed(n));
        news(&fold(&before), t(n * HOUR), &fold(&after), t(n * HOUR))
    };
    assert_eq!(told(1), [""; 0]);
    assert_eq!(told(2), ["permission.reconsider_prompted"]);
    assert_eq!(told(3), [""; 0]);
    assert_eq!(told(4), ["permission.revoked"]);
    assert_eq!(told(5), [""; 0]);
    // And again after a call connected.
    let mut again = missed(3);
    again.extend([connected("x", 4 * HOUR), unanswered("y", 5 * HOUR)]);
    check(&again, unanswered("z", 6 * HOUR), &["permission.reconsider_prompted"]);
}

#[test]
fn a_connected_call_is_told_when_it_frees_a_budget_that_was_used() {
    check(&[asked("R", 0)], connected("c", HOUR), &["permission.limit_reset"]);
    check(&[asked("R", 0), connected("c", HOUR)], connected("d", 2 * HOUR), &[]);
    check(&[asked("R", 0)], connected("c", 7 * DAY - 1000), &["permission.limit_reset"]);
    check(&[asked("R", 0)], connected("c", 7 * DAY), &[]);
    check(&[asked("R", 0)], unanswered("c", HOUR), &[]);
    check(&[], connected("c", HOUR), &[]);
}

#[test]
fn a_repaired_drift_is_told_with_what_it_came_to() {
    check(&[], checked(Permanent, None, HOUR), &["permission.granted", "permission.drift_repaired"]);
    check(&[profile(true, 0)], checked(NoPermission, None, HOUR), &["permission.revoked", "permission.drift_repaired"]);
    let far = Some(9 * DAY);
    check(&[profile(false, 0)], checked(Temporary, far, HOUR), &["permission.granted", "permission.drift_repaired"]);
}

#[test]
fn the_clock_tells_an_expiry_once() {
    let end = 7 * DAY;
    let ledger = fold(&[profile(false, 0)]);
    let told = |was: i64, now: i64| news(&ledger, t(was), &ledger, t(now));
    assert_eq!(told(0, end - 1), [""; 0]);
    assert_eq!(told(end - 1, end), ["permission.expired"]);
    assert_eq!(told(0, end + DAY), ["permission.expired"]);
    assert_eq!(told(end, end + 1), [""; 0]);
    // Also when a request is open behind it, and not when a request ends.
    let asking = fold(&[profile(false, 0), asked("R", 6 * DAY)]);
    assert_eq!(news(&asking, t(6 * DAY), &asking, t(end)), ["permission.expired"]);
    assert_eq!(news(&asking, t(end), &asking, t(14 * DAY)), [""; 0]);
}

#[test]
fn a_grant_that_was_learnt_after_its_end_is_told_with_its_end() {
    let (before, after) = (fold(&[]), fold(&[profile(false, 0)]));
    assert_eq!(news(&before, t(0), &after, t(8 * DAY)), ["permission.granted", "permission.expired"]);
    // Also when an older one had run out before it and that was told.
    let two = fold(&[profile(false, 0), profile(false, DAY)]);
    assert_eq!(news(&after, t(9 * DAY), &two, t(9 * DAY)), ["permission.granted", "permission.expired"]);
}

#[test]
fn an_expiry_is_told_again_only_when_the_permission_lived_again() {
    let plain = fold(&[profile(false, 0)]);
    let renewed = fold(&[profile(false, 0), connected("c", 3 * DAY)]);
    // A connected call of day 3 is learnt on day 8: it is in force after all, until day 10.
    assert_eq!(news(&plain, t(8 * DAY), &renewed, t(8 * DAY)), [""; 0]);
    assert_eq!(news(&renewed, t(8 * DAY), &renewed, t(10 * DAY)), ["permission.expired"]);
    // Learnt on day 11 it makes no difference any more.
    assert_eq!(news(&plain, t(11 * DAY), &renewed, t(11 * DAY)), [""; 0]);
}
