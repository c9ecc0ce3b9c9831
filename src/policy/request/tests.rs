use super::*;
use crate::model::directory::Plan;
use crate::model::directory::Platform;
use crate::model::id::{CallId, ContactId, NumberId};
use crate::model::phone::Phone;
use crate::model::reason::RestrictionKind;
use crate::policy::pack::Pack;
use crate::policy::permission::{Event, Reply};
use BlockerCode::{
    AlreadyPermanent, CallingDisabled, NotCloudApi, PickupHold, QualityRestricted, RequestLimit7d, RequestLimit24h,
    WindowClosed,
};

const HOUR: i64 = 3600 * 1000;
const NOW_MS: i64 = 1_795_000_200_000;

/// `ms` from now.
fn t(ms: i64) -> Timestamp {
    Timestamp::from_millis(NOW_MS + ms)
}

fn ledger(events: &[Event]) -> Ledger {
    Ledger::fold(events, &Pack::built_in())
}

/// A request that nothing is against.
fn fine() -> RequestFacts {
    RequestFacts {
        now: t(0),
        kind: RequestKind::FreeForm,
        number: Number {
            id: NumberId::parse("100000000000001").unwrap(),
            display_phone_number: Phone::parse("+995322000111").unwrap(),
            plan: Plan::Advanced,
            add_ons: Vec::new(),
            messaging_limit: 2_000,
            platform: Platform::CloudApi,
            graph_token_set: true,
            record: None,
            keep_recordings_days: None,
        },
        settings: NumberSettings::default(),
        restrictions: Vec::new(),
        outbound_hours: Vec::new(),
        contact: Contact {
            id: ContactId::parse("con_nino").unwrap(),
            phone: Some(Phone::parse("+995555010203").unwrap()),
            user_id: None,
            name: None,
            username: None,
            assignee_id: None,
            owner_id: None,
            created_at: t(-1000 * HOUR),
        },
        permission: Ledger::default(),
        window_opened_at: Some(t(-HOUR)),
    }
}

/// The built-in rules of today, with a guard that holds calls back.
fn rules() -> Rules {
    let mut rules = Pack::built_in().rules(t(0)).clone();
    rules.pickup.hold_outbound_percent = Some(85);
    rules
}

#[track_caller]
fn check(change: impl FnOnce(&mut RequestFacts), want: &[(BlockerCode, Option<i64>)]) {
    let mut facts = fine();
    change(&mut facts);
    let blockers = may_ask(&facts, &rules()).map_or_else(|denial| denial.blockers, |_| Vec::new());
    let got: Vec<_> = blockers.iter().map(|b| (b.code, b.clears_at)).collect();
    let want: Vec<_> = want.iter().map(|(code, clears_in)| (*code, clears_in.map(t))).collect();
    assert_eq!(got, want);
    for Blocker { code, message, .. } in &blockers {
        assert!(message.len() > 40 && message.ends_with('.') && !message.contains("  "), "{code}: {message}");
    }
}

fn asked(id: &str, at: i64) -> Event {
    Event::requested(id, RequestKind::Template, Some(format!("wamid.{id}")), t(at))
}

fn permanent(at: i64) -> Event {
    Event::reply(Reply {
        id: None,
        granted: true,
        permanent: true,
        expires_at: None,
        automatic: false,
        context: None,
        at: t(at),
    })
}

fn restriction(kind: RestrictionKind, expires_in: Option<i64>) -> Restriction {
    Restriction { kind, since: t(-HOUR), expires_at: expires_in.map(t), remediation: None }
}

#[test]
fn a_customer_may_be_asked_when_nothing_is_against_it() {
    check(|_| {}, &[]);
}

#[test]
fn each_blocker_alone() {
    check(|f| f.number.platform = Platform::BusinessApp, &[(NotCloudApi, None)]);
    check(|f| f.number.messaging_limit = 1_999, &[(BlockerCode::MessagingLimit, None)]);
    check(|f| f.number.plan = Plan::Starter, &[(BlockerCode::PlanRequired, None)]);
    check(
        |f| f.number.display_phone_number = Phone::parse("+12125550100").unwrap(),
        &[(BlockerCode::BicNotAvailable, None)],
    );
    check(|f| f.settings.allow_voice_calls = false, &[(CallingDisabled, None)]);
    check(|f| f.settings.display_call_buttons = false, &[]);
    check(|f| f.permission = ledger(&[permanent(-HOUR)]), &[(AlreadyPermanent, None)]);
    check(|f| f.permission = ledger(&[asked("A", -HOUR)]), &[(RequestLimit24h, Some(23 * HOUR))]);
    check(
        |f| f.permission = ledger(&[asked("A", -100 * HOUR), asked("B", -50 * HOUR)]),
        &[(RequestLimit7d, Some(68 * HOUR))],
    );
    check(|f| f.window_opened_at = None, &[(WindowClosed, None)]);
}

#[test]
fn the_service_window_closes_24_hours_after_the_customers_last_word() {
    check(|f| f.window_opened_at = Some(t(-24 * HOUR + 1)), &[]);
    check(|f| f.window_opened_at = Some(t(-24 * HOUR)), &[(WindowClosed, None)]);
    check(|f| f.window_opened_at = Some(t(-24 * HOUR - 1000)), &[(WindowClosed, None)]);
    let pack = Pack::built_in();
    for (opened, closes) in
        [(None, None), (Some(-24 * HOUR), None), (Some(-24 * HOUR + 1), Some(1)), (Some(0), Some(24 * HOUR))]
    {
        let facts = RequestFacts { window_opened_at: opened.map(t), ..fine() };
        assert_eq!(window_closes_at(&facts, pack.rules(facts.now)), closes.map(t), "{opened:?}");
    }
}

#[test]
fn a_template_needs_no_window_and_the_refusal_says_so() {
    for opened_at in [None, Some(t(-25 * HOUR))] {
        check(|f| (f.kind, f.window_opened_at) = (RequestKind::Template, opened_at), &[]);
    }
    let mut facts = fine();
    facts.window_opened_at = None;
    let denial = may_ask(&facts, Pack::built_in().rules(facts.now)).unwrap_err();
    assert!(denial.blockers[0].message.contains("template"));
}

#[test]
fn only_a_restriction_of_outbound_calls_that_is_in_force_blocks() {
    use RestrictionKind::{ButtonsHidden, Inbound, Outbound, OutboundAndInbound};
    let blocked = |clears_in| [(QualityRestricted, clears_in)];
    check(|f| f.restrictions = vec![restriction(Outbound, Some(HOUR))], &blocked(Some(HOUR)));
    check(|f| f.restrictions = vec![restriction(OutboundAndInbound, Some(HOUR))], &blocked(Some(HOUR)));
    check(|f| f.restrictions = vec![restriction(Outbound, None)], &blocked(None));
    check(|f| f.restrictions = vec![restriction(Outbound, Some(1))], &blocked(Some(1)));
    check(|f| f.restrictions = vec![restriction(Outbound, Some(0))], &[]);
    check(|f| f.restrictions = vec![restriction(Inbound, None), restriction(ButtonsHidden, None)], &[]);
    let (short, long) = (restriction(Outbound, Some(HOUR)), restriction(OutboundAndInbound, Some(2 * HOUR)));
    check(|f| f.restrictions = vec![long.clone(), short.clone()], &blocked(Some(2 * HOUR)));
    check(|f| f.restrictions = vec![short, restriction(OutboundAndInbound, None)], &blocked(None));
}

#[test]
fn every_combination_of_blockers_is_reported_whole() {
    for set in 0..1_u32 << 8 {
        let has = |bit: u32| set & (1 << bit) != 0;
        let mut events = Vec::new();
        // Two long ago use up the week, the one of an hour ago the day (and, with one of the two, the week).
        if has(3) {
            events.push(asked("A", -HOUR));
        }
        if has(4) {
            events.extend([asked("B", -100 * HOUR), asked("C", -50 * HOUR)]);
        }
        if has(2) {
            events.push(permanent(-2 * HOUR));
        }
        let wanted = [
            (has(0), NotCloudApi),
            (has(1), CallingDisabled),
            (has(5), WindowClosed),
            (has(2), AlreadyPermanent),
            (has(3), RequestLimit24h),
            (has(4), RequestLimit7d),
            (has(6), QualityRestricted),
            (has(7), PickupHold),
        ];
        let mut facts = fine();
        facts.permission = ledger(&events);
        if has(0) {
            facts.number.platform = Platform::BusinessApp;
        }
        facts.settings.allow_voice_calls = !has(1);
        if has(5) {
            facts.window_opened_at = None;
        }
        if has(6) {
            facts.restrictions = vec![restriction(RestrictionKind::Outbound, None)];
        }
        if has(7) {
            facts.outbound_hours = vec![Hour { begins_at: t(-HOUR), calls: 20, missed: 17 }];
        }
        let got: Vec<BlockerCode> = may_ask(&facts, &rules())
            .map_or_else(|denial| denial.blockers, |_| Vec::new())
            .iter()
            .map(|blocker| blocker.code)
            .collect();
        let want: Vec<BlockerCode> = wanted.into_iter().filter(|(on, _)| *on).map(|(_, code)| code).collect();
        assert_eq!(got, want, "{set:#b}");
    }
}

#[test]
fn a_connected_call_of_either_direction_makes_room_at_once() {
    let call = Event::call_outcome(&CallId::parse("call_1").unwrap(), true, t(-1000));
    check(|f| f.permission = ledger(&[asked("A", -100 * HOUR), asked("B", -HOUR), call]), &[]);
}
