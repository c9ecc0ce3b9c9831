//! WhatsApp's own books against ours.

use super::*;

/// What a check at day 2 makes of the events before it: status, end, and the two halves of the drift.
#[track_caller]
fn check(
    before: &[Event],
    books: (PermissionStatus, Option<i64>),
    want: (PermissionStatus, Option<i64>),
    drift: Option<(&str, &str)>,
) {
    let mut events = before.to_vec();
    events.push(checked(books.0, books.1, 2 * DAY));
    let ledger = fold(&events);
    let reading = ledger.read(t(2 * DAY + HOUR));
    assert_eq!((reading.status, reading.expires_at), (want.0, want.1.map(t)));
    let (checked_at, says) = last_check(&ledger);
    assert_eq!(checked_at, Some(t(2 * DAY)));
    let wanted = drift.map(|(theirs, ours)| format!("WhatsApp's books held {theirs}, ours {ours}; WhatsApp's count."));
    assert_eq!(says, wanted.as_deref());
    let (number, contact) = (NumberId::parse("1").unwrap(), ContactId::parse("con_nino").unwrap());
    let view = ledger.view(&number, &contact, t(2 * DAY + HOUR));
    assert_eq!((view.checked_at, view.drift), (checked_at, wanted));
    let repaired = drift.is_some() && reading.status != Revoked;
    assert_eq!(view.source == Some(GrantSource::WhatsApp), repaired);
}

const NO: &str = "no permission";
const FOR_GOOD: &str = "a permanent permission";

fn until(ms: i64) -> String {
    format!("a temporary permission until {}", t(ms))
}

#[test]
fn equal_books_change_nothing() {
    check(&[], (NoPermission, None), (NoPermission, None), None);
    check(&[asked("R", DAY)], (NoPermission, None), (Requested, None), None);
    check(&[decline("x", 0)], (NoPermission, None), (Rejected, None), None);
    check(&[revoked(0)], (NoPermission, None), (Revoked, None), None);
    check(&[profile(true, 0)], (Permanent, None), (Permanent, None), None);
    check(&[profile(false, 0)], (Temporary, Some(7 * DAY)), (Temporary, Some(7 * DAY)), None);
    // By our clock it has run out, by theirs too.
    check(&[profile(false, -6 * DAY)], (NoPermission, None), (Expired, Some(DAY)), None);
    check(&[profile(false, -6 * DAY)], (Temporary, Some(DAY)), (Expired, Some(DAY)), None);
    // Meta leaves the end out.
    check(&[profile(false, 0)], (Temporary, None), (Temporary, Some(7 * DAY)), None);
}

#[test]
fn ends_may_differ_by_a_minute() {
    let (end, minute) = (7 * DAY, 60 * SECOND);
    for near in [-minute, -1, 1, minute] {
        check(&[profile(false, 0)], (Temporary, Some(end + near)), (Temporary, Some(end)), None);
    }
    for far in [-minute - 1, minute + 1] {
        let theirs = until(end + far);
        let drift = Some((theirs.as_str(), "a temporary permission until 2026-11-25T11:10:00.000Z"));
        check(&[profile(false, 0)], (Temporary, Some(end + far)), (Temporary, Some(end + far)), drift);
    }
}

#[test]
fn whatsapps_books_replace_ours() {
    let (week, other) = (until(7 * DAY), until(5 * DAY));
    check(&[profile(true, 0)], (NoPermission, None), (Revoked, None), Some((NO, FOR_GOOD)));
    check(&[profile(false, 0)], (NoPermission, None), (Revoked, None), Some((NO, &week)));
    check(&[], (Permanent, None), (Permanent, None), Some((FOR_GOOD, NO)));
    check(&[decline("x", 0)], (Temporary, Some(5 * DAY)), (Temporary, Some(5 * DAY)), Some((&other, NO)));
    check(&[profile(false, 0)], (Permanent, None), (Permanent, None), Some((FOR_GOOD, &week)));
    check(&[profile(true, 0)], (Temporary, Some(5 * DAY)), (Temporary, Some(5 * DAY)), Some((&other, FOR_GOOD)));
    check(&[profile(false, -6 * DAY)], (Permanent, None), (Permanent, None), Some((FOR_GOOD, NO)));
    // It ended by their books, and not by ours.
    let ended = until(DAY);
    check(&[profile(false, 0)], (Temporary, Some(DAY)), (Expired, Some(DAY)), Some((&ended, &week)));
    // Meta leaves the end out: a week from the question.
    let assumed = until(9 * DAY);
    check(&[], (Temporary, None), (Temporary, Some(9 * DAY)), Some((&assumed, NO)));
    check(&[asked("R", DAY)], (Temporary, Some(5 * DAY)), (Temporary, Some(5 * DAY)), Some((&other, NO)));
}

#[test]
fn a_grant_that_crossed_with_the_answer_wins() {
    let asked_at = 2 * DAY + 900;
    let events = [checked(NoPermission, None, asked_at), profile(true, 2 * DAY)];
    assert_eq!(events[0].at, t(2 * DAY));
    let ledger = fold(&events);
    assert_eq!((ledger.read(t(3 * DAY)).status, last_check(&ledger)), (Permanent, (Some(t(2 * DAY)), None)));
    // What was granted a second earlier had reached WhatsApp's books.
    assert_eq!(status(&[checked(NoPermission, None, asked_at), profile(true, 2 * DAY - SECOND)], 3 * DAY), Revoked);
}

#[test]
fn a_call_that_connected_in_the_second_of_the_question_is_known_to_it() {
    let events = [profile(false, 0), connected("c", 2 * DAY + 500), checked(Temporary, Some(9 * DAY), 2 * DAY + 100)];
    assert_eq!(last_check(&fold(&events)).1, None);
}

#[test]
fn the_drift_is_that_of_the_last_check() {
    let events = [checked(Permanent, None, 0), checked(Permanent, None, DAY)];
    assert_eq!(
        last_check(&fold(&events[..1])),
        (Some(t(0)), Some("WhatsApp's books held a permanent permission, ours no permission; WhatsApp's count."))
    );
    assert_eq!(last_check(&fold(&events)), (Some(t(DAY)), None));
}

#[test]
fn a_check_that_changed_nothing_is_idle_once_another_follows_and_a_repair_never() {
    let daily = |days: std::ops::Range<i64>, books| days.map(move |day| checked(books, None, day * DAY));
    let mut events = vec![profile(true, 0)];
    events.extend(daily(1..11, Permanent));
    // A repair on the 11th day, another on the 21st; each is agreed with afterwards.
    events.extend(daily(11..21, NoPermission).chain(daily(21..31, Permanent)));
    let pack = built_in();
    let (ledger, idle) = Ledger::fold_and_sift(&events, |_, at| pack.rules(at));
    events.retain(|event| !idle.contains(&event.key));
    let left: Vec<_> = events.iter().map(|event| event.at).collect();
    assert_eq!(left, [t(0), t(11 * DAY), t(21 * DAY), t(30 * DAY)]);
    assert_eq!(fold(&events), ledger);
    assert_eq!(
        ledger.made_idle_by(&profile(true, 40 * DAY).what),
        None,
        "only another check says when the last one was"
    );
}

#[test]
fn a_grant_found_in_the_books_starts_the_count_anew_and_another_end_does_not() {
    let calls = |count: i64| (0..count).map(|n| unanswered(&format!("c{n}"), HOUR + n * HOUR));
    let unanswered_after = |events: Vec<Event>| fold(&events).unanswered;
    let mut revoked = vec![profile(false, 0), checked(Temporary, Some(9 * DAY), 2 * DAY)];
    revoked.extend(calls(4));
    assert_eq!(unanswered_after(revoked), 0);
    let mut worn = vec![profile(false, 0), checked(Permanent, None, 2 * DAY)];
    worn.extend(calls(3));
    assert_eq!(unanswered_after(worn), 0);
    let mut renewed = vec![profile(false, 0), checked(Temporary, Some(9 * DAY), 2 * DAY)];
    renewed.extend(calls(3));
    assert_eq!(unanswered_after(renewed), 3);
}
