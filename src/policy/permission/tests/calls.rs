//! What calls do: unanswered ones wear a permission out, connected ones mend it.

use super::*;

/// `count` unanswered calls, an hour apart, the first at `from`.
fn missed(count: i64, from: i64) -> Vec<Event> {
    (0..count).map(|n| unanswered(&format!("call_{}", from / HOUR + n), from + n * HOUR)).collect()
}

fn story(parts: &[&[Event]]) -> Vec<Event> {
    parts.concat()
}

#[test]
fn the_fourth_unanswered_call_in_a_row_revokes_either_permission() {
    #[track_caller]
    fn check(permanent: bool, count: i64, want: PermissionStatus) {
        let events = story(&[&[profile(permanent, 0)], &missed(count, HOUR)]);
        let ledger = fold(&events);
        assert_eq!(ledger.read(t(DAY)).status, want, "{count} unanswered");
        assert_eq!(ledger.risk(&rules(), t(DAY)).unanswered_in_a_row, u32::try_from(count).unwrap());
    }
    for (permanent, granted) in [(false, Temporary), (true, Permanent)] {
        check(permanent, 1, granted);
        check(permanent, 2, granted);
        check(permanent, 3, granted);
        check(permanent, 4, Revoked);
        check(permanent, 5, Revoked);
    }
}

#[test]
fn a_connected_call_in_between_starts_the_count_anew() {
    let events = story(&[&[profile(true, 0)], &missed(3, HOUR), &[connected("uic", 5 * HOUR)], &missed(3, 6 * HOUR)]);
    assert_eq!(status(&events, DAY), Permanent);
    assert_eq!(status(&story(&[&events, &missed(1, 10 * HOUR)]), DAY), Revoked);
}

#[test]
fn a_late_report_of_a_connected_call_gives_the_permission_back() {
    let events = story(&[&[profile(true, 0)], &missed(4, HOUR)]);
    assert_eq!(status(&events, DAY), Revoked);
    assert_eq!(status(&story(&[&events, &[connected("call_late", 2 * HOUR + HOUR / 2)]]), DAY), Permanent);
}

#[test]
fn the_same_unanswered_call_counts_once() {
    let call = unanswered("call_1", HOUR);
    let events = [profile(true, 0), call.clone(), call.clone(), call.clone(), call];
    let ledger = fold(&events);
    assert_eq!((ledger.read(t(DAY)).status, ledger.risk(&rules(), t(DAY)).unanswered_in_a_row), (Permanent, 1));
}

#[test]
fn a_revoked_customer_may_permit_again_without_being_asked() {
    for lost in [missed(4, HOUR), vec![revoked(4 * HOUR)]] {
        let events = story(&[&[profile(true, 0)], &lost, &[profile(false, 6 * HOUR)]]);
        let ledger = fold(&events);
        assert_eq!((ledger.read(t(DAY)).status, ledger.unanswered), (Temporary, 0));
        // And the whole count is allowed anew.
        assert_eq!(status(&story(&[&events, &missed(3, 7 * HOUR)]), DAY), Temporary);
        assert_eq!(status(&story(&[&events, &missed(4, 7 * HOUR)]), DAY), Revoked);
    }
}

#[test]
fn a_grant_that_is_ignored_leaves_the_count() {
    let events = story(&[&[asked("R", 0), profile(true, HOUR)], &missed(3, 2 * HOUR), &[accept("R", 9 * DAY)]]);
    let ledger = fold(&events);
    assert_eq!((ledger.unanswered, ledger.read(t(9 * DAY)).status), (3, Permanent));
}

#[test]
fn a_refusal_and_a_revocation_leave_the_count() {
    for word in [decline("x", 5 * HOUR), revoked(5 * HOUR)] {
        assert_eq!(fold(&story(&[&[profile(true, 0)], &missed(3, HOUR), &[word]])).unanswered, 3);
    }
}

#[test]
fn metas_report_of_what_we_had_counted_ourselves_changes_nothing() {
    let counted = story(&[&[profile(true, 0)], &missed(4, HOUR)]);
    let reported = story(&[&counted, &[revoked(4 * HOUR + 5 * SECOND)]]);
    assert_eq!(fold(&reported).decision, fold(&counted).decision);
}

#[test]
fn calls_revoke_nothing_that_is_not_there() {
    assert_eq!(status(&missed(6, 0), DAY), NoPermission);
    assert_eq!(status(&story(&[&[decline("x", 0)], &missed(6, HOUR)]), DAY), Rejected);
    // It ran out before the fourth call.
    let events = story(&[&[profile(false, 0)], &missed(3, HOUR), &missed(1, 7 * DAY)]);
    assert_eq!(status(&events, 7 * DAY), Expired);
    let a_second_before = [unanswered("last", 7 * DAY - SECOND)];
    assert_eq!(status(&story(&[&[profile(false, 0)], &missed(3, HOUR), &a_second_before]), 7 * DAY), Revoked);
}

#[test]
fn a_connected_call_renews_a_temporary_permission_if_the_rules_say_so() {
    let always = built_in();
    let never = pack_with(t(-DAY), "[edition.permission]\nrenews_on_connected_call = false");
    #[track_caller]
    fn check(pack: &Pack, events: &[Event], ends: Option<i64>) {
        assert_eq!(Ledger::fold(events, pack).read(t(0)).expires_at, ends.map(t), "{events:?}");
    }
    let on_day = |day: i64| [profile(false, 0), connected("c", day * DAY)];
    check(&always, &on_day(5), Some(12 * DAY));
    check(&never, &on_day(5), Some(7 * DAY));
    // At the last second, and too late.
    check(&always, &[profile(false, 0), connected("c", 7 * DAY - SECOND)], Some(14 * DAY - SECOND));
    check(&always, &on_day(7), Some(7 * DAY));
    check(&always, &on_day(8), Some(7 * DAY));
    // Never shorter: Meta may have given a longer end.
    let long = Event {
        key: "reply:long".to_owned(),
        at: t(0),
        what: What::Granted {
            permanent: false,
            expires_at: Some(t(30 * DAY)),
            source: GrantSource::Profile,
            context: None,
        },
    };
    check(&always, &[long, connected("c", DAY)], Some(30 * DAY));
    // Permanent stays permanent, and nothing comes of nothing.
    check(&always, &[profile(true, 0), connected("c", DAY)], None);
    check(&always, &[connected("c", DAY)], None);
    check(&always, &[decline("x", 0), connected("c", DAY)], None);
    assert_eq!(status(&[profile(true, 0), connected("c", DAY)], 20 * DAY), Permanent);
}

#[test]
fn the_last_connected_call_is_shown() {
    let (number, contact) = (NumberId::parse("1").unwrap(), ContactId::parse("con_nino").unwrap());
    let events = story(&[&[profile(true, 0), connected("a", HOUR), connected("b", 9 * HOUR)], &missed(2, 10 * HOUR)]);
    let view = fold(&events).view(&number, &contact, t(DAY));
    assert_eq!((view.connected_at, view.unanswered_in_a_row), (Some(t(9 * HOUR)), 2));
}

#[test]
fn the_risk_counts_down_in_words() {
    #[track_caller]
    fn check(events: &[Event], want: (u32, Option<u32>, u32), says: Option<&str>) {
        let risk = fold(events).risk(&rules(), t(DAY));
        assert_eq!((risk.unanswered_in_a_row, risk.until_reconsider, risk.until_revoked), want);
        match says {
            None => assert_eq!(risk.message, None),
            Some(says) => {
                let message = risk.message.unwrap();
                assert!(message.contains(says) && message.ends_with('.'), "{message}");
            }
        }
    }
    let after = |count| story(&[&[profile(true, 0)], &missed(count, HOUR)]);
    check(&[], (0, Some(2), 4), None);
    check(&[decline("x", 0)], (0, Some(2), 4), None);
    check(
        &after(0),
        (0, Some(2), 4),
        Some("2 more unanswered calls in a row and WhatsApp asks the customer to reconsider."),
    );
    check(&after(1), (1, Some(1), 3), Some("One more unanswered call and WhatsApp asks the customer to reconsider."));
    check(&after(2), (2, None, 2), Some("2 more unanswered calls in a row and WhatsApp revokes the permission"));
    check(&after(3), (3, None, 1), Some("One more unanswered call and WhatsApp revokes the permission"));
    check(&after(4), (4, None, 0), Some("The customer did not take the last 4 calls"));
    check(&story(&[&[decline("x", 0)], &missed(1, HOUR)]), (1, Some(1), 3), Some("did not take the last call;"));
}

#[test]
fn stricter_rules_revoke_at_the_next_call_and_not_by_themselves() {
    let strict = pack_with(t(5 * HOUR), "[edition.permission]\nrevoke_after = 3");
    let mut events = story(&[&[profile(true, 0)], &missed(3, HOUR)]);
    let ledger = Ledger::fold(&events, &strict);
    let risk = ledger.risk(strict.rules(t(DAY)), t(DAY));
    assert_eq!((ledger.read(t(DAY)).status, risk.until_revoked), (Permanent, 1));
    events.extend(missed(1, 6 * HOUR));
    assert_eq!(Ledger::fold(&events, &strict).read(t(DAY)).status, Revoked);
}
