use std::time::Duration;

use super::super::pack::Pack;
use super::super::routing::tests::{agent, contact, number};
use super::*;
use crate::model::directory::{AddOn, Plan, Platform};
use crate::model::phone::Phone;
use crate::model::reason::{GrantSource, Role};
use crate::policy::permission::{Booked, Event, What};

const NOW: Timestamp = Timestamp::from_secs(1_795_000_000);
const DAY: Duration = Duration::from_secs(24 * 3600);
const MS: Duration = Duration::from_millis(1);

/// The built-in rules of today, with a limit per pair beside the one per number, and a guard that holds calls back.
fn rules() -> Rules {
    let mut rules = Pack::built_in().rules(NOW).clone();
    rules.calls.connected_per_pair = Some(Limit { max: 3, window_h: 24 });
    rules.pickup.hold_outbound_percent = Some(85);
    rules
}

fn callable() -> OutboundFacts {
    OutboundFacts {
        now: NOW,
        number: number(),
        settings: NumberSettings::default(),
        restrictions: vec![],
        outbound_hours: vec![],
        contact: Contact { assignee_id: Some(agent("agt_a").id), ..contact() },
        agent: agent("agt_a"),
        permission: Ledger::default(),
        attempts: Window::default(),
        connected_number: Window::default(),
        connected_pair: Window::default(),
        available: 1_000_000,
        pair_busy: false,
        agent_busy: false,
        draining: false,
    }
}

fn reading(status: PermissionStatus) -> Reading {
    Reading { status, expires_at: None, request_expires_at: None }
}

fn blockers(facts: &OutboundFacts, reading: Reading, rules: &Rules) -> Vec<Blocker> {
    decide(facts, reading, rules).err().map_or_else(Vec::new, |denial| denial.blockers)
}

/// Of a customer who has permitted calls for good.
fn permitted(facts: &OutboundFacts) -> Vec<Blocker> {
    blockers(facts, reading(PermissionStatus::Permanent), &rules())
}

fn codes(blockers: &[Blocker]) -> Vec<BlockerCode> {
    blockers.iter().map(|blocker| blocker.code).collect()
}

fn phone(text: &str) -> Phone {
    Phone::parse(text).unwrap()
}

fn restriction(kind: RestrictionKind, expires_at: Option<Timestamp>) -> Restriction {
    Restriction { kind, since: Timestamp::from_secs(1_794_900_000), expires_at, remediation: None }
}

#[test]
fn the_assignee_with_a_permission_gets_a_permit_for_exactly_this_call() {
    let facts = callable();
    for status in [PermissionStatus::Temporary, PermissionStatus::Permanent] {
        let permit = decide(&facts, reading(status), &rules()).unwrap();
        assert_eq!(
            (permit.number_id(), permit.contact_id(), permit.agent_id()),
            (&facts.number.id, &facts.contact.id, &facts.agent.id)
        );
    }
}

#[test]
fn permission_and_assignment_are_judged_independently() {
    #[track_caller]
    fn check(assignee: Option<&str>, status: PermissionStatus, want: &[BlockerCode]) {
        let mut facts = callable();
        facts.contact.assignee_id = assignee.map(|id| AgentId::parse(id).unwrap());
        assert_eq!(codes(&blockers(&facts, reading(status), &rules())), want, "{assignee:?} {status:?}");
    }
    use BlockerCode::{NoPermission, NotAssigned, NotAssignee, PermissionExpired};
    use PermissionStatus::{Expired, Permanent, Rejected, Requested, Revoked, Temporary};
    for granted in [Temporary, Permanent] {
        check(Some("agt_a"), granted, &[]);
        check(Some("agt_b"), granted, &[NotAssignee]);
        check(None, granted, &[NotAssigned]);
    }
    for refused in [PermissionStatus::None, Requested, Rejected, Revoked] {
        check(Some("agt_a"), refused, &[NoPermission]);
        check(Some("agt_b"), refused, &[NotAssignee, NoPermission]);
        check(None, refused, &[NotAssigned, NoPermission]);
    }
    check(Some("agt_a"), Expired, &[PermissionExpired]);
    check(Some("agt_b"), Expired, &[NotAssignee, PermissionExpired]);
    check(None, Expired, &[NotAssigned, PermissionExpired]);
}

#[test]
fn a_temporary_permission_admits_calls_until_a_week_after_the_word_to_the_second() {
    let granted = |expires_at| {
        let what = What::Granted { permanent: false, expires_at, source: GrantSource::Request, context: None };
        Event { key: "reply:wamid.1".to_owned(), at: NOW, what }
    };
    let week = 168 * 3600;
    // WhatsApp tells the end, or it is ours to know.
    for word in [granted(None), granted(Some(NOW.plus(Duration::from_secs(week))))] {
        let permission = Ledger::fold([&word], &Pack::built_in());
        let check = |after: Duration, want: &[BlockerCode]| {
            let facts = OutboundFacts { now: NOW.plus(after), permission: permission.clone(), ..callable() };
            let found = admit(&facts, &rules()).err().map_or_else(Vec::new, |denial| denial.blockers);
            assert_eq!(codes(&found), want, "{after:?} after {word:?}");
        };
        check(Duration::from_secs(week - 1), &[]);
        check(Duration::from_secs(week) - MS, &[]);
        check(Duration::from_secs(week), &[BlockerCode::PermissionExpired]);
        check(Duration::from_secs(week + 1), &[BlockerCode::PermissionExpired]);
    }
}

#[test]
fn an_owner_who_is_not_the_assignee_may_not_call_either() {
    for role in Role::ALL {
        let mut facts = callable();
        facts.agent = Agent { role: *role, ..agent("agt_b") };
        assert_eq!(codes(&permitted(&facts)), [BlockerCode::NotAssignee], "{role}");
    }
}

#[test]
fn an_agent_who_is_offline_may_call() {
    let mut facts = callable();
    facts.agent.status = crate::model::reason::Presence::Offline;
    assert_eq!(permitted(&facts), []);
}

#[test]
fn calls_need_a_plan_or_the_add_on() {
    for (plan, alone) in [(Plan::Starter, false), (Plan::Growth, false), (Plan::Advanced, true), (Plan::SalesCrm, true)]
    {
        for (add_ons, with) in [(vec![], alone), (vec![AddOn::SalesCrm], true)] {
            let mut facts = callable();
            facts.number = Number { plan, add_ons, ..number() };
            let want = if with { vec![] } else { vec![BlockerCode::PlanRequired] };
            assert_eq!(codes(&permitted(&facts)), want, "{plan} {:?}", facts.number.add_ons);
        }
    }
    let mut facts = callable();
    facts.number.plan = Plan::Growth;
    assert_eq!(
        permitted(&facts)[0].message,
        "The Growth plan of this number does not include calls. Calls come with the Advanced plan or the Sales CRM plan or \
         the Sales CRM add-on."
    );
}

#[test]
fn the_messaging_limit_must_be_reached_exactly() {
    for (limit, want) in [(0, false), (1_999, false), (2_000, true), (2_001, true), (100_000, true)] {
        let mut facts = callable();
        facts.number.messaging_limit = limit;
        let want = if want { vec![] } else { vec![BlockerCode::MessagingLimit] };
        assert_eq!(codes(&permitted(&facts)), want, "{limit}");
    }
}

#[test]
fn the_business_numbers_country_decides_and_not_the_customers() {
    #[track_caller]
    fn check(business: &str, customer: &str, allowed: bool) {
        let mut facts = callable();
        facts.number.display_phone_number = phone(business);
        facts.contact.phone = Some(phone(customer));
        let want = if allowed { vec![] } else { vec![BlockerCode::BicNotAvailable] };
        assert_eq!(codes(&permitted(&facts)), want, "{business} calls {customer}");
    }
    let (indian, american) = ("+91 81234 56789", "+1 212 555 0100");
    for refused in
        [american, "+1 416 555 0100", "+90 501 234 5678", "+20 100 123 4567", "+84 912 345 678", "+234 802 123 4567"]
    {
        check(refused, indian, false);
        check(indian, refused, true);
    }
    for allowed in ["+1 876 555 0100", "+1 809 555 0100", "+995 322 000 111", "+49 1512 3456789", "+1 787 555 0100"] {
        check(allowed, american, true);
    }
}

#[test]
fn a_country_that_a_later_edition_takes_off_the_list_may_call() {
    let mut facts = callable();
    facts.number.display_phone_number = phone("+90 501 234 5678");
    let mut without = rules();
    without.countries.outbound_blocked.retain(|country| country.as_str() != "TR");
    assert_eq!(blockers(&facts, reading(PermissionStatus::Permanent), &without), []);
}

#[test]
fn a_customer_whom_whatsapp_does_not_reach_is_not_called() {
    #[track_caller]
    fn check(number: Option<&str>, user_id: Option<&str>, reachable: bool) {
        let mut facts = callable();
        facts.contact.phone = number.map(phone);
        facts.contact.user_id = user_id.map(str::to_owned);
        let want = if reachable { vec![] } else { vec![BlockerCode::BicNotAvailable] };
        assert_eq!(codes(&permitted(&facts)), want, "{number:?} {user_id:?}");
    }
    for unreachable in ["+53 5 1234567", "+98 912 345 6789", "+850 192 123 4567", "+963 944 567 890"] {
        check(Some(unreachable), None, false);
        check(Some(unreachable), Some("GE.1"), false);
    }
    for unreachable in ["CU.1", "IR.1", "KP.1", "SY.1"] {
        check(None, Some(unreachable), false);
        check(Some("+995555010203"), Some(unreachable), false);
    }
    check(Some("+995555010203"), Some("GE.1"), true);
    check(None, Some("GE.1"), true);
}

#[test]
fn both_countries_are_named_when_both_stand_against_the_call() {
    let mut facts = callable();
    facts.number.display_phone_number = phone("+1 212 555 0100");
    facts.contact.phone = Some(phone("+53 5 1234567"));
    let messages: Vec<String> = permitted(&facts).into_iter().map(|b| b.message).collect();
    assert_eq!(messages.len(), 2);
    assert!(messages[0].contains("business number of US") && messages[1].contains("nobody in CU"), "{messages:?}");
}

#[test]
fn a_restriction_blocks_until_the_moment_it_ends() {
    use RestrictionKind::{ButtonsHidden, Inbound, Outbound, OutboundAndInbound};
    #[track_caller]
    fn check(restrictions: &[(RestrictionKind, Option<Timestamp>)], want: Option<Option<Timestamp>>) {
        let mut facts = callable();
        facts.restrictions = restrictions.iter().map(|(kind, end)| restriction(*kind, *end)).collect();
        let found = permitted(&facts);
        assert_eq!(codes(&found), want.map_or(vec![], |_| vec![BlockerCode::QualityRestricted]), "{restrictions:?}");
        assert_eq!(found.first().map(|b| b.clears_at), want, "{restrictions:?}");
    }
    let (soon, later) = (NOW.plus(MS), NOW.plus(DAY));
    for kind in [Outbound, OutboundAndInbound] {
        check(&[(kind, Some(soon))], Some(Some(soon)));
        check(&[(kind, Some(NOW))], None);
        check(&[(kind, None)], Some(None));
    }
    check(&[(Inbound, None), (ButtonsHidden, Some(later))], None);
    check(&[(Outbound, Some(soon)), (OutboundAndInbound, Some(later)), (Inbound, None)], Some(Some(later)));
    check(&[(Outbound, None), (Outbound, Some(later))], Some(None));
}

#[test]
fn whatsapps_advice_is_passed_on() {
    let mut facts = callable();
    facts.restrictions = vec![Restriction {
        remediation: Some("Answer more calls.".to_owned()),
        ..restriction(RestrictionKind::Outbound, Some(NOW.plus(DAY)))
    }];
    assert!(permitted(&facts)[0].message.ends_with("It suggests: Answer more calls."), "{:?}", permitted(&facts));
}

#[test]
fn a_full_window_blocks_until_its_oldest_call_has_aged_out() {
    type Put = fn(&mut OutboundFacts, Window);
    let windows: [(Put, u32, BlockerCode); 3] = [
        (|facts, window| facts.attempts = window, 10_000, BlockerCode::AttemptsLimit),
        (|facts, window| facts.connected_number = window, 100, BlockerCode::ConnectedLimit),
        (|facts, window| facts.connected_pair = window, 3, BlockerCode::ConnectedLimit),
    ];
    for (put, max, code) in windows {
        let check = |window: Window, want: Option<Option<Timestamp>>| {
            let mut facts = callable();
            put(&mut facts, window);
            let found = permitted(&facts);
            assert_eq!(codes(&found), want.map_or(vec![], |_| vec![code]), "{max}: {window:?}");
            assert_eq!(found.first().map(|b| b.clears_at), want, "{max}: {window:?}");
        };
        let at =
            |age: Duration| Some(Timestamp::from_millis(NOW.as_millis() - i64::try_from(age.as_millis()).unwrap()));
        check(Window { in_flight: max - 1, nth: None }, None);
        check(Window { in_flight: max, nth: None }, Some(None));
        check(Window { in_flight: max + 1, nth: at(MS) }, Some(None));
        check(Window { in_flight: 0, nth: at(DAY) }, None);
        check(Window { in_flight: 0, nth: at(DAY - MS) }, Some(Some(NOW.plus(MS))));
        check(Window { in_flight: 1, nth: at(Duration::ZERO) }, Some(Some(NOW.plus(DAY))));
    }
}

#[test]
fn what_whatsapps_books_count_blocks_too_unless_our_own_count_of_the_pair_says_so_already() {
    let look = Timestamp::from_secs(1_794_999_000);
    let booked = Booked { no_calls_until: Some(NOW.plus(DAY)), ..Booked::default() };
    let looked = Event::checked(PermissionStatus::Permanent, None, look).with_booked(booked);
    let mut facts = OutboundFacts { permission: Ledger::fold(&[looked], &Pack::built_in()), ..callable() };
    let unlimited = |facts: &OutboundFacts| {
        let mut rules = rules();
        rules.calls.connected_per_pair = None;
        admit(facts, &rules).err().map_or_else(Vec::new, |denial| denial.blockers)
    };
    let denied = unlimited(&facts);
    assert_eq!(codes(&denied), [BlockerCode::ConnectedLimit], "whatever limits the pack sets");
    assert_eq!(denied[0].clears_at, Some(NOW.plus(DAY)));
    assert!(denied[0].message.contains("WhatsApp's own count"), "{}", denied[0].message);
    facts.connected_pair = Window { in_flight: 0, nth: Some(NOW) };
    let denied = admit(&facts, &rules()).unwrap_err().blockers;
    assert_eq!(codes(&denied), [BlockerCode::ConnectedLimit]);
    assert!(denied[0].message.contains("limit of 3"), "{}", denied[0].message);
    (facts.connected_pair, facts.now) = (Window::default(), NOW.plus(DAY));
    assert!(admit(&facts, &rules()).is_ok(), "over by the clock");
}

#[test]
fn a_limit_that_the_rules_do_not_set_blocks_nothing() {
    let mut facts = callable();
    let full = Window { in_flight: u32::MAX, nth: Some(NOW) };
    (facts.connected_number, facts.connected_pair) = (full, full);
    let mut lifted = rules();
    (lifted.calls.connected_per_number, lifted.calls.connected_per_pair) = (None, None);
    assert_eq!(blockers(&facts, reading(PermissionStatus::Permanent), &lifted), []);
}

#[test]
fn an_empty_wallet_blocks_and_the_smallest_sum_does_not() {
    for (available, want) in [(i64::MIN, false), (-1, false), (0, false), (1, true), (i64::MAX, true)] {
        let facts = OutboundFacts { available, ..callable() };
        let want = if want { vec![] } else { vec![BlockerCode::WalletNegative] };
        assert_eq!(codes(&permitted(&facts)), want, "{available}");
    }
}

#[test]
fn hidden_buttons_and_closed_hours_keep_nobody_from_calling_out() {
    let mut facts = callable();
    facts.settings.display_call_buttons = false;
    facts.settings.unavailable = vec![super::super::hours::tests::closed("2026-11-18", "00:00", "24:00")];
    assert_eq!(permitted(&facts), []);
}

/// What makes a rule block, and the code it blocks with.
type Against = (fn(&mut OutboundFacts), BlockerCode);

/// Everything that can stand against a call beside assignment and permission, in the order of the table.
const AGAINST: [Against; 15] = [
    (|f| f.number.platform = Platform::BusinessApp, BlockerCode::NotCloudApi),
    (|f| f.number.messaging_limit = 1_999, BlockerCode::MessagingLimit),
    (|f| f.number.plan = Plan::Starter, BlockerCode::PlanRequired),
    (|f| f.number.display_phone_number = phone("+1 212 555 0100"), BlockerCode::BicNotAvailable),
    (|f| f.contact.phone = Some(phone("+53 5 1234567")), BlockerCode::BicNotAvailable),
    (|f| f.settings.allow_voice_calls = false, BlockerCode::CallingDisabled),
    (|f| f.restrictions = vec![restriction(RestrictionKind::Outbound, None)], BlockerCode::QualityRestricted),
    (|f| f.outbound_hours = vec![Hour { begins_at: NOW, calls: 20, missed: 17 }], BlockerCode::PickupHold),
    (|f| f.connected_number = Window { in_flight: 0, nth: Some(NOW) }, BlockerCode::ConnectedLimit),
    (|f| f.connected_pair = Window { in_flight: 3, nth: None }, BlockerCode::ConnectedLimit),
    (|f| f.attempts = Window { in_flight: 0, nth: Some(NOW) }, BlockerCode::AttemptsLimit),
    (|f| f.available = 0, BlockerCode::WalletNegative),
    (|f| f.pair_busy = true, BlockerCode::CallInProgress),
    (|f| f.agent_busy = true, BlockerCode::AgentBusy),
    (|f| f.draining = true, BlockerCode::Draining),
];
/// How many of them come before assignment and permission.
const FIRST: usize = 8;

#[test]
fn every_combination_of_reasons_is_reported_whole_and_in_order() {
    use BlockerCode::{NoPermission, NotAssigned, NotAssignee, PermissionExpired};
    let rules = rules();
    let mut seen = 0;
    for bits in 0..1_u32 << AGAINST.len() {
        let mut facts = callable();
        let mut want = Vec::new();
        for (at, (apply, code)) in AGAINST.iter().enumerate() {
            if bits & 1 << at != 0 {
                apply(&mut facts);
                want.push(*code);
            }
        }
        let first = (bits & ((1 << FIRST) - 1)).count_ones() as usize;
        for assignment in [None, Some(NotAssigned), Some(NotAssignee)] {
            facts.contact.assignee_id = match assignment {
                Some(NotAssigned) => None,
                Some(_) => Some(AgentId::parse("agt_b").unwrap()),
                None => Some(facts.agent.id.clone()),
            };
            for (status, refused) in [
                (PermissionStatus::Temporary, None),
                (PermissionStatus::Rejected, Some(NoPermission)),
                (PermissionStatus::Expired, Some(PermissionExpired)),
            ] {
                let between = assignment.into_iter().chain(refused);
                let want = want[..first].iter().copied().chain(between).chain(want[first..].iter().copied());
                let found = blockers(&facts, reading(status), &rules);
                assert!(
                    found.iter().map(|b| b.code).eq(want),
                    "{bits:015b} {assignment:?} {status}: {:?}",
                    codes(&found)
                );
                assert!(found.iter().all(|b| b.message.len() > 40 && b.message.ends_with('.')), "{found:?}");
                seen += 1;
            }
        }
    }
    assert_eq!(seen, (1 << 15) * 9);
}

#[test]
fn every_reason_says_another_sentence() {
    let mut facts = callable();
    for (apply, _) in AGAINST {
        apply(&mut facts);
    }
    let mut sentences: Vec<String> = permitted(&facts).into_iter().map(|b| b.message).collect();
    for status in PermissionStatus::ALL {
        let refused = blockers(&callable(), reading(*status), &rules());
        sentences.extend(refused.into_iter().map(|b| b.message));
    }
    let count = sentences.len();
    assert_eq!(count, 15 + 5);
    sentences.sort();
    sentences.dedup();
    assert_eq!(sentences.len(), count);
}

#[test]
fn prerequisites_are_told_whether_met_or_not() {
    use BlockerCode::{BicNotAvailable, MessagingLimit, NotCloudApi, PlanRequired};
    let all = |number: &Number| {
        prerequisites(number, &rules()).into_iter().map(|p| (p.code, p.met, p.message)).collect::<Vec<_>>()
    };
    assert_eq!(
        all(&number()),
        [
            (NotCloudApi, true, "The number is on Cloud API.".to_owned()),
            (MessagingLimit, true, "The number may message 2000 customers in 24 h.".to_owned()),
            (PlanRequired, true, "The plan includes calls.".to_owned()),
            (BicNotAvailable, true, "Numbers of GE may place calls.".to_owned()),
        ]
    );
    for bits in 0..16_usize {
        let mut facts = callable();
        for (at, (apply, _)) in AGAINST[..4].iter().enumerate() {
            if bits & 1 << at != 0 {
                apply(&mut facts);
            }
        }
        let blocked: Vec<_> = permitted(&facts).into_iter().map(|b| (b.code, false, b.message)).collect();
        let mut told = all(&facts.number);
        assert_eq!(told.len(), 4, "{bits:04b}");
        told.retain(|(_, met, _)| !met);
        assert_eq!(told, blocked, "{bits:04b}: the settings page and the refusal must say the same");
    }
}

#[test]
fn only_the_country_does_not_keep_calling_from_being_switched_on() {
    let only: Vec<_> = prerequisites(&number(), &rules()).into_iter().filter(|p| p.outbound_only).collect();
    assert_eq!(only.iter().map(|p| p.code).collect::<Vec<_>>(), [BlockerCode::BicNotAvailable]);
}

#[test]
fn plan_and_platform_are_needed_to_be_called_and_the_messaging_limit_only_to_switch_calling_on() {
    let inbound: Vec<_> =
        prerequisites(&number(), &rules()).into_iter().filter(|p| p.needed_inbound).map(|p| p.code).collect();
    assert_eq!(inbound, [BlockerCode::NotCloudApi, BlockerCode::PlanRequired]);
}
