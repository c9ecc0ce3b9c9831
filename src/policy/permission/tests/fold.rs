//! The fold itself: every reply, every order, every duplicate, and the change of rules.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;

#[test]
fn nobody_who_ever_said_anything_permits_nothing() {
    let ledger = fold(&[]);
    assert_eq!(ledger, Ledger::default());
    assert_eq!(ledger, serde_json::from_str("{}").unwrap());
    let reading = ledger.read(t(0));
    assert_eq!(reading, Reading { status: NoPermission, expires_at: None, request_expires_at: None });
    assert_eq!((ledger.changes_at(t(0)), last_check(&ledger)), (None, (None, None)));
}

#[test]
fn every_case_of_a_reply_becomes_its_status_and_source() {
    #[track_caller]
    fn check(
        (granted, permanent, ends, automatic, context): (bool, bool, Option<i64>, bool, Option<&str>),
        want: (PermissionStatus, Option<GrantSource>, Option<i64>),
    ) {
        let reply = Event::reply(Reply {
            id: Some("wamid.REPLY1".to_owned()),
            granted,
            permanent,
            expires_at: ends.map(t),
            automatic,
            context: context.map(str::to_owned),
            at: t(HOUR),
        });
        assert_eq!(reply.key, "reply:wamid.REPLY1");
        if let What::Granted { permanent: true, expires_at, .. } = reply.what {
            assert_eq!(expires_at, None, "for good has no end");
        }
        let (number, contact) = (NumberId::parse("100000000000001").unwrap(), ContactId::parse("con_nino").unwrap());
        let view = fold(&[asked("R1", 0), reply]).view(&number, &contact, t(2 * HOUR));
        assert_eq!((view.status, view.source, view.expires_at), (want.0, want.1, want.2.map(t)));
        assert_eq!((view.decided_at, view.requested_at), (Some(t(HOUR)), Some(t(0))));
        assert_eq!((view.number_id, view.contact_id), (number, contact));
    }
    use GrantSource::{Callback, Profile, Request};
    let (request, call) = (Some("wamid.R1"), Some("wacid.CALL1"));
    check((true, false, Some(5 * DAY), false, request), (Temporary, Some(Request), Some(5 * DAY)));
    check((true, false, None, false, request), (Temporary, Some(Request), Some(HOUR + 7 * DAY)));
    check((true, true, None, false, request), (Permanent, Some(Request), None));
    check((true, true, Some(5 * DAY), false, request), (Permanent, Some(Request), None));
    check((true, true, None, false, None), (Permanent, Some(Profile), None));
    check((true, false, Some(5 * DAY), false, None), (Temporary, Some(Profile), Some(5 * DAY)));
    check((false, false, None, false, request), (Rejected, None, None));
    check((false, false, None, false, None), (Rejected, None, None));
    check((true, false, Some(7 * DAY), true, call), (Temporary, Some(Callback), Some(7 * DAY)));
    check((true, false, Some(7 * DAY), true, None), (Temporary, Some(Callback), Some(7 * DAY)));
    check((true, false, Some(7 * DAY), false, call), (Temporary, Some(Callback), Some(7 * DAY)));
    check((false, false, None, true, None), (Revoked, None, None));
}

#[test]
fn replies_without_an_id_are_the_same_when_they_say_the_same_of_the_same_second() {
    let reply = |granted, permanent, ends: Option<i64>, automatic, context: Option<&str>, at| {
        let context = context.map(str::to_owned);
        Event::reply(Reply { id: None, granted, permanent, expires_at: ends.map(t), automatic, context, at: t(at) }).key
    };
    assert_eq!(reply(true, true, None, false, None, 0), reply(true, true, None, false, None, 999));
    let mut keys = vec![
        reply(true, true, None, false, None, 0),
        reply(true, true, None, false, None, 1000),
        reply(true, false, None, false, None, 0),
        reply(true, false, Some(DAY), false, None, 0),
        reply(true, false, Some(DAY), false, Some("wamid.A"), 0),
        reply(false, false, None, false, None, 0),
        reply(false, false, None, true, None, 0),
    ];
    let all = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), all);
}

#[test]
fn a_temporary_permission_lasts_168_hours_to_the_millisecond() {
    #[track_caller]
    fn check(age_ms: i64, want: PermissionStatus) {
        let ledger = fold(&[profile(false, 0)]);
        let reading = ledger.read(t(age_ms));
        assert_eq!((reading.status, reading.expires_at), (want, Some(t(168 * HOUR))), "{age_ms} ms old");
    }
    check(0, Temporary);
    check(168 * HOUR - SECOND, Temporary);
    check(168 * HOUR - 1, Temporary);
    check(168 * HOUR, Expired);
    check(168 * HOUR + SECOND, Expired);
    assert_eq!(status(&[profile(true, 0)], 1000 * DAY), Permanent);
}

#[test]
fn the_end_that_meta_names_counts_and_not_our_168_hours() {
    let end = 3 * DAY + 7 * SECOND;
    let granted = Event::reply(Reply {
        id: None,
        granted: true,
        permanent: false,
        expires_at: Some(t(end)),
        automatic: true,
        context: Some("wacid.C".to_owned()),
        at: t(0),
    });
    let ledger = fold(&[granted]);
    assert_eq!((ledger.read(t(end - 1)).status, ledger.read(t(end)).status), (Temporary, Expired));
    assert_eq!((ledger.changes_at(t(end - 1)), ledger.changes_at(t(end))), (Some(t(end)), None));
}

/// The set that orders badly on purpose: one second holds a temporary grant in two lengths, a permanent one and a request.
#[test]
fn events_fold_to_the_same_permission_in_every_order_and_however_often_they_come() {
    let until = |id: &str, end: i64, at: i64| Event {
        key: format!("reply:{id}"),
        at: t(at),
        what: What::Granted {
            permanent: false,
            expires_at: Some(t(end)),
            source: GrantSource::Callback,
            context: None,
        },
    };
    let mut events = vec![
        asked("R1", 400),
        accept("R1", 0),
        decline("R1", 10 * SECOND),
        until("a", 4 * DAY, 40 * SECOND),
        until("b", 5 * DAY, 40 * SECOND),
        profile(true, 40 * SECOND),
        asked("R2", 40 * SECOND + 999),
    ];
    let want = fold(&events);
    let reading = want.read(t(41 * SECOND));
    assert_eq!((reading.status, reading.expires_at), (Temporary, Some(t(4 * DAY))));
    let mut orders = 0;
    permutations(&mut events, 0, &mut |order| {
        orders += 1;
        assert_eq!(fold(order), want, "{order:?}");
        assert_eq!(Ledger::fold(order.iter().chain(order.iter().rev()), &built_in()), want, "{order:?}");
    });
    assert_eq!(orders, 5040);
}

#[test]
fn within_one_second_the_word_that_permits_less_stands() {
    #[track_caller]
    fn check(a: Event, b: Event, want: PermissionStatus) {
        for pair in [[a.clone(), b.clone()], [b, a]] {
            assert_eq!(status(&pair, 2 * SECOND), want, "{pair:?}");
        }
    }
    check(profile(true, 0), decline("x", 0), Rejected);
    check(profile(true, 900), decline("x", 0), Rejected);
    check(profile(true, 0), revoked(0), Revoked);
    check(revoked(0), decline("x", 0), Rejected);
    check(profile(true, 0), profile(false, 0).keyed("other"), Temporary);
    check(asked("R", 900), profile(true, 0), Permanent);
    check(asked("R", 900), decline("R", 0), Rejected);
    check(checked(NoPermission, None, 900), profile(true, 0), Permanent);
    // Not within one second: the later word.
    check(profile(true, SECOND), decline("x", 999), Permanent);
}

#[test]
fn a_grant_whose_end_meta_names_beats_one_whose_end_we_assume() {
    let assumed = profile(false, 0).keyed("assumed");
    let named = Event {
        key: "named".to_owned(),
        at: t(0),
        what: What::Granted {
            permanent: false,
            expires_at: Some(t(30 * DAY)),
            source: GrantSource::Profile,
            context: None,
        },
    };
    for pair in [[assumed.clone(), named.clone()], [named, assumed]] {
        assert_eq!(fold(&pair).read(t(0)).expires_at, Some(t(30 * DAY)));
    }
}

#[test]
fn a_corrected_report_replaces_the_first() {
    let first = unanswered("call_1", HOUR);
    let corrected = connected("call_1", HOUR);
    assert_eq!(first.key, corrected.key);
    assert_eq!(asked("R", 0).key, Event::requested("R", RequestKind::FreeForm, None, t(0)).key);
    // Should both reach the fold, it takes one of them, whichever came first.
    let both = fold(&[first.clone(), corrected.clone()]);
    assert_eq!(both, fold(&[corrected.clone(), first]));
    let later = fold(&[unanswered("call_1", HOUR), connected("call_1", HOUR + SECOND)]);
    assert_eq!(later, fold(&[connected("call_1", HOUR + SECOND)]));
}

#[test]
fn only_what_happened_later_may_be_applied_without_folding_anew() {
    let ledger = fold(&[profile(true, SECOND)]);
    assert!(Ledger::default().precedes(&asked("R", 0)));
    assert!(ledger.precedes(&profile(false, SECOND)), "a later rank of the same second");
    assert!(ledger.precedes(&asked("R", 2 * SECOND)));
    assert!(!ledger.precedes(&asked("R", SECOND + 900)), "an earlier rank of the same second");
    assert!(!ledger.precedes(&profile(true, SECOND)), "the same event again");
    assert!(!ledger.precedes(&decline("R", 999)));
}

#[test]
fn each_event_follows_the_rules_in_force_when_it_happened() {
    let change = t(DAY);
    let pack = pack_with(
        change,
        "[edition.permission]\ntemporary_h = 24\nrequest_life_h = 48\nrevoke_after = 3\nrenews_on_connected_call = false",
    );
    #[track_caller]
    fn check(pack: &Pack, events: &[Event], at: i64, status: PermissionStatus, ends: Option<i64>) {
        let reading = Ledger::fold(events, pack).read(t(at));
        assert_eq!((reading.status, reading.expires_at), (status, ends.map(t)), "{events:?}");
    }
    // Granted before the change: the old length, also when read after it.
    check(&pack, &[profile(false, DAY - SECOND)], 6 * DAY, Temporary, Some(8 * DAY - SECOND));
    check(&pack, &[profile(false, DAY)], 2 * DAY - 1, Temporary, Some(2 * DAY));
    check(&pack, &[profile(false, DAY)], 2 * DAY, Expired, Some(2 * DAY));
    // Asked before and after.
    check(&pack, &[asked("R", DAY - 1)], 7 * DAY, Requested, None);
    check(&pack, &[asked("R", DAY)], 3 * DAY - 1, Requested, None);
    check(&pack, &[asked("R", DAY)], 3 * DAY, NoPermission, None);
    // A connected call renews only under the old rules.
    check(&pack, &[profile(false, 0), connected("c", DAY - SECOND)], DAY, Temporary, Some(8 * DAY - SECOND));
    check(&pack, &[profile(false, 0), connected("c", DAY)], DAY, Temporary, Some(7 * DAY));
    // The third unanswered call revokes only under the new ones.
    let three = |from: i64| -> Vec<Event> {
        let calls = (0..3).map(|n| unanswered(&format!("call_{n}"), from + n * SECOND));
        std::iter::once(profile(true, 0)).chain(calls).collect()
    };
    check(&pack, &three(HOUR), 3 * DAY, Permanent, None);
    check(&pack, &three(DAY - 2 * SECOND), 3 * DAY, Revoked, None);
}

#[test]
fn a_year_of_asking_and_calling_leaves_a_small_state() {
    let events: Vec<Event> = (0..2000)
        .flat_map(|n| {
            let at = n * 4 * HOUR;
            [
                asked(&format!("R{n}"), at),
                accept(&format!("R{n}"), at + HOUR),
                connected(&format!("c{n}"), at + 2 * HOUR),
            ]
        })
        .collect();
    let state = serde_json::to_string(&fold(&events)).unwrap();
    assert!(state.len() < 12_000, "{} bytes", state.len());
}

fn any_event() -> impl Strategy<Value = Event> {
    let id = 0..6_u32;
    // Few seconds, so that many events fall into the same one; then days, so that lives and windows end.
    let at = prop_oneof![0..4 * SECOND, (0..40_i64).prop_map(|half_days| half_days * 12 * HOUR), 0..20 * DAY];
    let end = prop::option::of((0..30_i64).prop_map(|days| t(days * DAY)));
    let context =
        prop_oneof![Just(None), Just(Some("wacid.C".to_owned())), (0..7_u32).prop_map(|n| Some(format!("wamid.{n}")))];
    let source = prop::sample::select(GrantSource::ALL);
    let status = prop::sample::select(vec![NoPermission, Temporary, Permanent]);
    (id, at, 0..9_u32, end, context, source, status, any::<bool>()).prop_map(
        |(id, at, kind, end, context, source, status, permanent)| match kind {
            0 | 1 => Event::requested(
                &id.to_string(),
                RequestKind::Template,
                (!permanent || id % 2 == 0).then(|| format!("wamid.{id}")),
                t(at),
            ),
            2 | 3 => Event {
                key: format!("reply:{id}"),
                at: t(at),
                what: What::Granted { permanent, expires_at: end, source, context },
            },
            4 => Event { key: format!("reply:{id}"), at: t(at), what: What::Declined { context } },
            5 => Event { key: format!("reply:{id}"), at: t(at), what: What::Revoked },
            6 => Event::checked(status, end, t(at))
                .with_booked(Booked { no_calls_until: end, no_requests_until: end.filter(|_| permanent) }),
            7 => connected(&format!("call_{id}"), at),
            _ => unanswered(&format!("call_{id}"), at),
        },
    )
}

/// Day by day, so that one follows the other.
fn any_check() -> impl Strategy<Value = Event> {
    let status = prop::sample::select(vec![NoPermission, Temporary, Permanent]);
    (0..20_i64, status).prop_map(|(day, status)| checked(status, None, day * DAY))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, rng_seed: RngSeed::Fixed(1_795), ..ProptestConfig::default() })]

    #[test]
    fn the_fold_knows_neither_order_nor_repetition(
        events in prop::collection::vec(any_event(), 0..24),
        shuffle in prop::collection::vec(any::<prop::sample::Index>(), 0..48),
    ) {
        let want = fold(&events);
        let mut arrived = events.clone();
        for (place, index) in shuffle.iter().enumerate() {
            if events.is_empty() { break; }
            arrived.push(events[index.index(events.len())].clone());
            let other = index.index(arrived.len());
            arrived.swap(place % events.len(), other);
        }
        arrived.reverse();
        prop_assert_eq!(fold(&arrived), want);
    }

    /// What the store does: apply what is new and later, fold anew for everything else, keep the state as JSON between.
    #[test]
    fn applying_what_comes_later_equals_folding_anew(events in prop::collection::vec(any_event(), 0..32)) {
        let pack = pack_with(t(9 * DAY), "[edition.permission]\ntemporary_h = 48\nrevoke_after = 3\n[edition.requests]\nlong = { max = 3, window_h = 96 }");
        let mut known: BTreeMap<String, Event> = BTreeMap::new();
        let mut kept = Ledger::default();
        let mut applied = 0;
        for event in events {
            let is_new = known.insert(event.key.clone(), event.clone()).is_none();
            let anew = Ledger::fold(known.values(), &pack);
            if is_new && kept.precedes(&event) {
                kept.apply(&event, pack.rules(event.at));
                applied += 1;
                prop_assert_eq!(&kept, &anew);
            }
            kept = serde_json::from_str(&serde_json::to_string(&anew).unwrap()).unwrap();
            prop_assert_eq!(&kept, &anew);
        }
        prop_assert!(applied > 0 || known.is_empty());
    }

    #[test]
    fn without_the_checks_sifted_out_the_fold_is_the_same(
        events in prop::collection::vec(prop_oneof![2 => any_event(), 1 => any_check()], 0..48),
    ) {
        let pack = built_in();
    let (ledger, idle) = Ledger::fold_and_sift(&events, |_, at| pack.rules(at));
        let left: Vec<_> = events.into_iter().filter(|event| !idle.contains(&event.key)).collect();
        prop_assert!(idle.iter().all(|key| key.starts_with("checked:")));
        prop_assert_eq!(Ledger::fold_and_sift(&left, |_, at| pack.rules(at)), (ledger, Vec::new()));
    }

    /// Nothing changes between two moments that [`Ledger::changes_at`] names, and something does at each.
    #[test]
    fn the_clock_changes_a_reading_exactly_when_announced(
        events in prop::collection::vec(any_event(), 0..16),
        probe in 0..40 * DAY,
    ) {
        let ledger = fold(&events);
        let mut now = t(0);
        while let Some(next) = ledger.changes_at(now) {
            prop_assert!(next > now);
            let just_before = Timestamp::from_millis(next.as_millis() - 1);
            prop_assert_eq!(ledger.read(now), ledger.read(just_before));
            prop_assert_ne!(ledger.read(just_before), ledger.read(next));
            now = next;
        }
        prop_assert_eq!(ledger.read(now), ledger.read(now.plus(Duration::from_millis(u64::try_from(probe).unwrap()))));
    }
}

impl Event {
    fn keyed(mut self, key: &str) -> Self {
        self.key = key.to_owned();
        self
    }
}
