//! Requests: how long they can be answered, and how many there may be.

use super::*;
use crate::model::directory::Asker;
use crate::model::id::{AgentId, ContactId, NumberId};
use crate::model::reason::BlockerCode;

#[test]
fn an_unanswered_request_lives_168_hours_after_it_was_sent() {
    #[track_caller]
    fn check(age_ms: i64, want: PermissionStatus, open: bool) {
        let reading = fold(&[asked("R", 0)]).read(t(age_ms));
        let request_expires_at = open.then(|| t(168 * HOUR));
        assert_eq!((reading.status, reading.request_expires_at), (want, request_expires_at), "{age_ms} ms old");
    }
    check(0, Requested, true);
    check(168 * HOUR - 1, Requested, true);
    check(168 * HOUR, NoPermission, false);
    check(168 * HOUR + SECOND, NoPermission, false);
}

#[test]
fn each_of_the_three_timers_ends_a_request_to_the_second() {
    #[track_caller]
    fn check(before: &[Event], yes_at: i64, want: PermissionStatus) {
        let mut events = before.to_vec();
        events.push(accept("R", yes_at));
        assert_eq!(status(&events, yes_at), want, "yes at {yes_at}");
    }
    // Nobody answered: from the sending.
    let silent = [asked("R", 0)];
    check(&silent, 168 * HOUR - SECOND, Temporary);
    check(&silent, 168 * HOUR, NoPermission);
    check(&silent, 168 * HOUR + SECOND, NoPermission);
    // Declined on day 5: from the refusal.
    let declined = [asked("R", 0), decline("R", 5 * DAY)];
    check(&declined, 5 * DAY + 168 * HOUR - SECOND, Temporary);
    check(&declined, 5 * DAY + 168 * HOUR, Rejected);
    check(&declined, 5 * DAY + 168 * HOUR + SECOND, Rejected);
    // Accepted on day 5, revoked since: from the acceptance.
    let accepted = [asked("R", 0), accept("R", 5 * DAY), revoked(6 * DAY)];
    check(&accepted, 5 * DAY + 168 * HOUR - SECOND, Temporary);
    check(&accepted, 5 * DAY + 168 * HOUR, Revoked);
    check(&accepted, 5 * DAY + 168 * HOUR + SECOND, Revoked);
}

#[test]
fn who_declined_may_accept_on_day_6_and_not_on_day_8() {
    let declined = [asked("R", 0), decline("R", HOUR)];
    let late = |days: i64| [&declined[..], &[accept("R", HOUR + days * DAY)]].concat();
    assert_eq!(status(&late(6), HOUR + 6 * DAY), Temporary);
    assert_eq!(status(&late(8), HOUR + 8 * DAY), Rejected);
    assert_eq!(fold(&late(6)).read(t(HOUR + 6 * DAY)).request_expires_at, Some(t(HOUR + 13 * DAY)));
}

#[test]
fn a_refusal_is_honoured_whatever_it_answers() {
    #[track_caller]
    fn check(no: Event) {
        let at = 20 * DAY;
        assert_eq!(status(&[asked("R", 0), profile(true, DAY), no], at), Rejected);
    }
    check(decline("R", 20 * DAY));
    check(decline("unknown", 20 * DAY));
    check(reply("x", false, false, None, 20 * DAY));
}

#[test]
fn a_refusal_of_a_dead_request_does_not_bring_it_back_to_life() {
    let events = [asked("R", 0), decline("R", 8 * DAY), accept("R", 9 * DAY)];
    assert_eq!(status(&events, 9 * DAY), Rejected);
}

#[test]
fn acting_on_a_newer_request_ends_the_older_ones() {
    let both = [asked("A", 0), asked("B", DAY)];
    let then = |more: &[Event]| status(&[&both[..], more].concat(), 4 * DAY);
    assert_eq!(then(&[decline("B", 2 * DAY), accept("A", 3 * DAY)]), Rejected);
    assert_eq!(then(&[decline("B", 2 * DAY), accept("B", 3 * DAY)]), Temporary);
    // The older one may still be acted on while the newer is unanswered, and leaves the newer alone.
    assert_eq!(then(&[decline("A", 2 * DAY), accept("B", 3 * DAY)]), Temporary);
    assert_eq!(then(&[accept("A", 2 * DAY)]), Temporary);
}

#[test]
fn a_grant_that_answers_no_known_request_counts() {
    let old = [asked("R", 0), decline("R", HOUR)];
    let then = |yes: Event| status(&[&old[..], &[yes]].concat(), 30 * DAY);
    assert_eq!(then(accept("somebody-elses", 30 * DAY)), Temporary);
    assert_eq!(then(profile(true, 30 * DAY)), Permanent);
    assert_eq!(then(accept("R", 30 * DAY)), Rejected);
}

#[test]
fn a_dead_request_is_remembered_past_fifteen_newer_ones_and_not_past_sixteen() {
    let late_yes = |newer: i64| {
        let mut events = vec![asked("R", 0)];
        events.extend((1..=newer).map(|n| asked(&format!("N{n}"), n * 8 * DAY)));
        events.push(accept("R", 150 * DAY));
        status(&events, 150 * DAY)
    };
    assert_eq!(late_yes(15), NoPermission, "too late, and known to be");
    assert_eq!(late_yes(16), Temporary, "as if nobody had asked");
}

#[test]
fn an_open_request_shows_only_while_nothing_better_is_known() {
    #[track_caller]
    fn check(events: &[Event], at: i64, want: PermissionStatus) {
        assert_eq!(status(events, at), want, "{events:?}");
    }
    // Before it, nothing is lost: what was, is again when the request ends.
    check(&[decline("x", 0), asked("R", DAY)], 2 * DAY, Requested);
    check(&[decline("x", 0), asked("R", DAY)], 8 * DAY, Rejected);
    check(&[revoked(0), asked("R", DAY)], 2 * DAY, Requested);
    check(&[revoked(0), asked("R", DAY)], 8 * DAY, Revoked);
    // A permission in force outshines it, and when it ends the request is seen.
    check(&[profile(false, 0), asked("R", 6 * DAY)], 6 * DAY, Temporary);
    check(&[profile(false, 0), asked("R", 6 * DAY)], 7 * DAY, Requested);
    check(&[profile(false, 0), asked("R", 6 * DAY)], 13 * DAY, Expired);
    check(&[profile(true, 0), asked("R", DAY)], 2 * DAY, Permanent);
    // A decision after it closes it.
    check(&[asked("R", 0), decline("R", DAY)], DAY, Rejected);
    check(&[asked("R", 0), revoked(DAY)], DAY, Revoked);
    check(&[asked("R", 0), profile(false, HOUR)], HOUR, Temporary);
    check(&[asked("R", 8 * DAY - HOUR), profile(false, 0)], 8 * DAY, Requested);
}

/// The blockers at a moment: code and how many milliseconds until it clears.
#[track_caller]
fn check_limits(events: &[Event], at: i64, want: &[(BlockerCode, Option<i64>)]) {
    let ledger = fold(events);
    let blockers = ledger.request_blockers(&rules(), t(at));
    let got: Vec<_> =
        blockers.iter().map(|b| (b.code, b.clears_at.map(|c| c.as_millis() - t(at).as_millis()))).collect();
    assert_eq!(got, want, "{events:?}");
    for blocker in &blockers {
        assert!(blocker.message.len() > 40 && blocker.message.ends_with('.'), "{}", blocker.message);
    }
    let latest = blockers.iter().filter_map(|b| b.clears_at).max();
    assert_eq!(ledger.next_request_allowed_at(&rules(), t(at)), latest);
}

const DAILY: BlockerCode = BlockerCode::RequestLimit24h;
const WEEKLY: BlockerCode = BlockerCode::RequestLimit7d;

#[test]
fn one_request_in_24_hours_to_the_millisecond() {
    let one = [asked("A", 0)];
    check_limits(&[], 0, &[]);
    check_limits(&one, 0, &[(DAILY, Some(24 * HOUR))]);
    check_limits(&one, 24 * HOUR - SECOND, &[(DAILY, Some(SECOND))]);
    check_limits(&one, 24 * HOUR - 1, &[(DAILY, Some(1))]);
    check_limits(&one, 24 * HOUR, &[]);
    check_limits(&one, 24 * HOUR + SECOND, &[]);
}

#[test]
fn two_requests_in_7_days_to_the_millisecond_and_rolling() {
    let two = [asked("A", 0), asked("B", 30 * HOUR)];
    check_limits(&two, 30 * HOUR, &[(DAILY, Some(24 * HOUR)), (WEEKLY, Some(138 * HOUR))]);
    check_limits(&two, 54 * HOUR, &[(WEEKLY, Some(114 * HOUR))]);
    check_limits(&two, 168 * HOUR - 1, &[(WEEKLY, Some(1))]);
    check_limits(&two, 168 * HOUR, &[]);
    // The window rolls: a third at 168 h, and the second holds the place until it is a week old.
    let three = [asked("A", 0), asked("B", 30 * HOUR), asked("C", 168 * HOUR)];
    check_limits(&three, 192 * HOUR, &[(WEEKLY, Some(6 * HOUR))]);
    check_limits(&three, 198 * HOUR, &[]);
}

#[test]
fn a_used_up_budget_is_named_with_its_size() {
    let ledger = fold(&[asked("A", 0), asked("B", 30 * HOUR)]);
    let says: Vec<String> = ledger.request_blockers(&rules(), t(31 * HOUR)).into_iter().map(|b| b.message).collect();
    assert!(says[0].starts_with("WhatsApp allows 1 permission request to one customer in 24 hours,"), "{}", says[0]);
    assert!(says[1].starts_with("WhatsApp allows 2 permission requests to one customer in 168 hours,"), "{}", says[1]);
}

#[test]
fn free_form_and_template_share_one_budget() {
    let kind = |id: &str, kind, at| Event::requested(id, kind, None, t(at));
    let both = [kind("A", RequestKind::FreeForm, 0), kind("B", RequestKind::Template, 25 * HOUR)];
    check_limits(&both, 60 * HOUR, &[(WEEKLY, Some(108 * HOUR))]);
}

#[test]
fn a_request_written_again_with_its_wamid_counts_once() {
    let sent = Event::requested("A", RequestKind::FreeForm, None, t(0));
    check_limits(&[sent, asked("A", 0)], 25 * HOUR, &[]);
}

#[test]
fn a_connected_call_frees_the_budget_and_an_unanswered_one_does_not() {
    let two = [asked("A", 0), asked("B", 30 * HOUR)];
    let then = |call: Event| [&two[..], &[call]].concat();
    check_limits(&then(connected("bic", 31 * HOUR)), 32 * HOUR, &[]);
    check_limits(
        &then(unanswered("bic", 31 * HOUR)),
        32 * HOUR,
        &[(DAILY, Some(22 * HOUR)), (WEEKLY, Some(136 * HOUR))],
    );
    // Only what lies before it.
    check_limits(&then(connected("bic", 2 * HOUR)), 32 * HOUR, &[(DAILY, Some(22 * HOUR))]);
    // The requests themselves live on.
    let reading = fold(&then(connected("bic", 31 * HOUR))).read(t(32 * HOUR));
    assert_eq!((reading.status, reading.request_expires_at), (Requested, Some(t(198 * HOUR))));
    let yes = [&then(connected("bic", 31 * HOUR))[..], &[accept("A", 33 * HOUR)]].concat();
    assert_eq!(status(&yes, 33 * HOUR), Temporary);
}

#[test]
fn answers_free_nothing() {
    let events = [asked("A", 0), accept("A", HOUR), revoked(2 * HOUR)];
    check_limits(&events, 3 * HOUR, &[(DAILY, Some(21 * HOUR))]);
}

#[test]
fn a_permanent_permission_leaves_nothing_to_ask_for() {
    check_limits(&[profile(true, 0)], DAY, &[(BlockerCode::AlreadyPermanent, None)]);
    check_limits(
        &[asked("A", 0), reply("A", true, true, Some("wamid.A"), HOUR)],
        2 * HOUR,
        &[(BlockerCode::AlreadyPermanent, None), (DAILY, Some(22 * HOUR))],
    );
    check_limits(&[profile(false, 0)], DAY, &[]);
    check_limits(&[profile(true, 0), revoked(HOUR)], DAY, &[]);
}

#[test]
fn the_limits_are_those_of_the_pack() {
    let wide = pack_with(
        t(-DAY),
        "[edition.requests]\nshort = { max = 25, window_h = 24 }\nlong = { max = 100, window_h = 168 }",
    );
    let events: Vec<Event> = (0..100).map(|n| asked(&format!("R{n}"), n * HOUR)).collect();
    let blocked = |count: usize, at: i64| -> Vec<(BlockerCode, Option<Timestamp>)> {
        let ledger = Ledger::fold(&events[..count], &wide);
        ledger.request_blockers(wide.rules(t(at)), t(at)).iter().map(|b| (b.code, b.clears_at)).collect()
    };
    assert_eq!(blocked(99, 99 * HOUR), []);
    assert_eq!(blocked(100, 100 * HOUR), [(WEEKLY, Some(t(168 * HOUR)))]);
}

#[test]
fn the_latest_request_says_who_asked() {
    let view = |events: &[Event]| {
        let (n, c) = (NumberId::parse("1").unwrap(), ContactId::parse("con_1").unwrap());
        fold(events).view(&n, &c, t(100)).requested_by
    };
    let ana = Asker::Agent { agent_id: AgentId::parse("agt_a").unwrap() };
    let crm = Asker::Key { name: "crm".to_owned() };
    let by = |id: &str, at, asker: &Asker| asked(id, at).by(asker.clone());
    assert_eq!(view(&[]), None);
    // Entered by a version that did not know.
    assert_eq!(view(&[asked("A", 0)]), None);
    assert_eq!(view(&[by("B", 10, &crm), by("A", 0, &ana)]), Some(crm.clone()));
    assert_eq!(view(&[by("A", 0, &crm), by("B", 10, &ana)]), Some(ana));
    let kept = serde_json::to_value(by("A", 0, &crm)).unwrap();
    assert_eq!(kept["what"]["by"], serde_json::json!({"kind": "key", "name": "crm"}));
    assert_eq!(serde_json::from_value::<Event>(kept).unwrap(), by("A", 0, &crm));
}
