//! What WhatsApp's books say of limits.

use super::*;
use crate::model::reason::BlockerCode;
use BlockerCode::{ConnectedLimit, RequestLimit7d, RequestLimit24h};

/// The books of `at` hold the limits used up until these moments.
fn books(calls: Option<i64>, requests: Option<i64>, at: i64) -> Event {
    let booked = Booked { no_calls_until: calls.map(t), no_requests_until: requests.map(t) };
    checked(Permanent, None, at).with_booked(booked)
}

#[test]
fn no_call_is_let_through_until_the_time_they_name_or_they_say_otherwise() {
    #[track_caller]
    fn check(events: &[Event], at: i64, want: Option<i64>) {
        let found = fold(events).calls_used_up(t(at));
        let want = want.map(|until| (ConnectedLimit, Some(t(until))));
        assert_eq!(found.map(|blocker| (blocker.code, blocker.clears_at)), want, "at {at}");
    }
    let full = [profile(true, 0), books(Some(5 * HOUR), None, HOUR)];
    check(&full[..1], HOUR, None);
    check(&full, HOUR, Some(5 * HOUR));
    check(&full, 5 * HOUR - 1, Some(5 * HOUR));
    check(&full, 5 * HOUR, None);
    let [grant, full] = full;
    check(&[grant.clone(), full.clone(), books(Some(7 * HOUR), None, 2 * HOUR)], 2 * HOUR, Some(7 * HOUR));
    check(&[grant.clone(), full.clone(), books(None, None, 2 * HOUR)], 2 * HOUR, None);
    // An older look that arrives late says nothing any more; a connected call frees no calls.
    check(&[grant.clone(), books(None, None, 2 * HOUR), full.clone()], 2 * HOUR, None);
    check(&[grant, full, connected("c1", 2 * HOUR)], 2 * HOUR, Some(5 * HOUR));
}

#[test]
fn of_two_counts_of_the_requests_the_later_end_is_told_once() {
    #[track_caller]
    fn check(events: &[Event], at: i64, want: &[(BlockerCode, i64)]) {
        let ledger = fold(events);
        let found = ledger.request_blockers(&rules(), t(at)).into_iter();
        let found: Vec<_> = found.map(|blocker| (blocker.code, blocker.clears_at)).collect();
        assert_eq!(found, Vec::from_iter(want.iter().map(|(code, until)| (*code, Some(t(*until))))), "at {at}");
        let next = want.iter().map(|(_, until)| t(*until)).max();
        assert_eq!(ledger.next_request_allowed_at(&rules(), t(at)), next, "at {at}");
    }
    let none = |until: i64, at: i64| {
        let booked = Booked { no_calls_until: None, no_requests_until: Some(t(until)) };
        checked(NoPermission, None, at).with_booked(booked)
    };
    // We know of no request, or of one that clears earlier, at the same moment, later.
    check(&[none(5 * HOUR, 0)], HOUR, &[(RequestLimit24h, 5 * HOUR)]);
    check(&[none(5 * HOUR, 0)], 5 * HOUR, &[]);
    check(&[asked("R", 0), none(30 * HOUR, HOUR)], 2 * HOUR, &[(RequestLimit24h, 30 * HOUR)]);
    check(&[asked("R", 0), none(DAY, HOUR)], 2 * HOUR, &[(RequestLimit24h, DAY)]);
    check(&[asked("R", 0), none(5 * HOUR, HOUR)], 2 * HOUR, &[(RequestLimit24h, DAY)]);
    let twice = [asked("R", 0), asked("S", 2 * DAY), none(3 * DAY + HOUR, 2 * DAY + HOUR)];
    check(&twice, 2 * DAY + HOUR, &[(RequestLimit24h, 3 * DAY), (RequestLimit7d, 7 * DAY)]);
    // A connected call starts both counts anew.
    check(&[asked("R", 0), none(30 * HOUR, HOUR), connected("c1", 2 * HOUR)], 2 * HOUR, &[]);
}

#[test]
fn where_both_counts_end_at_once_ours_is_told() {
    let booked = Booked { no_calls_until: None, no_requests_until: Some(t(DAY)) };
    let looked = checked(NoPermission, None, HOUR).with_booked(booked);
    let told = |events: &[Event]| fold(events).request_blockers(&rules(), t(2 * HOUR)).remove(0).message;
    assert_eq!(told(&[asked("R", 0), looked]), told(&[asked("R", 0)]));
}

#[test]
fn a_check_that_found_no_limit_is_written_as_it_always_was() {
    let what = |booked| serde_json::to_value(checked(Permanent, None, 0).with_booked(booked).what).unwrap();
    assert_eq!(what(Booked::default()).get("booked"), None);
    let full = Booked { no_calls_until: Some(t(DAY)), no_requests_until: None };
    assert!(what(full).get("booked").is_some());
    let ledger = serde_json::to_value(fold(&[checked(Permanent, None, 0)])).unwrap();
    assert_eq!(ledger.get("booked"), None);
}
