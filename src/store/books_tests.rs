//! The books under refused charges, corrections after the fact, and a clock that is set back.

use super::fixture::{self, Fixture, T0, at, number_id, on_both};
use super::{EntryFilter, Store, Terms, TopUp};
use crate::billing::RateCard;
use crate::call::record::{CallRecord, Status};
use crate::model::directory::Contact;
use crate::model::money::Currency;
use crate::model::reason::{CallState, Direction, EndReason, EntryKind, PermissionStatus};
use crate::model::time::Timestamp;
use crate::policy::permission::{Event, What};

/// A minute costs 10,000 micros.
fn card(currency: &str) -> RateCard {
    let csv = format!("effective_from,market,currency,price_per_minute\n2020-01-01,*,{currency},0.01\n");
    RateCard::parse("test.csv", &csv).unwrap()
}

fn in_force(store: &Store, card: RateCard) {
    store.set_terms(Terms { card, ..Terms::built_in() });
}

/// An outbound call from `T0` on that ended and is settled; answered, if it was, right at its beginning.
fn outbound(contact: &Contact, reason: EndReason, talked_s: Option<i64>, ended_s: i64) -> CallRecord {
    let mut call = fixture::ended(fixture::ringing(contact, T0), reason, at(ended_s));
    call.offers.clear();
    call.direction = Direction::BusinessInitiated;
    call.agent_id = Some(fixture::agent_id("a"));
    call.settled = true;
    corrected(call, reason, talked_s, ended_s)
}

/// The same call, as it turned out to have ended.
fn corrected(call: CallRecord, reason: EndReason, talked_s: Option<i64>, ended_s: i64) -> CallRecord {
    let status = Status::of(CallState::Ended, talked_s.is_some(), Some(reason));
    let duration_ms = talked_s.unwrap_or(0) * 1000;
    let (end_reason, ended_at) = (Some(reason), Some(at(ended_s)));
    CallRecord { end_reason, ended_at, answered_at: talked_s.map(|_| T0), duration_ms, status, ..call }
}

/// What the clock does.
async fn charge_again(store: &Store, now: Timestamp) -> Vec<String> {
    let mut kinds = Vec::new();
    for call in store.calls_to_charge(now).await.unwrap() {
        let saved = store.amend_call(&call, now, |_| Some(vec![])).await.unwrap().unwrap();
        kinds.extend(saved.events.into_iter().map(|event| event.kind));
    }
    kinds
}

async fn booked(store: &Store, call: &CallRecord) -> Vec<(EntryKind, i64)> {
    let newest_first = store.entries(&EntryFilter::default(), 500, None).await.unwrap().items.into_iter().rev();
    let of_call = newest_first.filter(|entry| entry.call_id.as_ref() == Some(&call.id));
    of_call.map(|entry| (entry.kind, entry.micros)).collect()
}

on_both!(a_charge_the_ledger_refuses_is_booked_once_it_takes_it_also_after_a_restart);
async fn a_charge_the_ledger_refuses_is_booked_once_it_takes_it_also_after_a_restart(t: Fixture) {
    let contact = t.seed().await;
    let eur = Currency::parse("EUR").unwrap();
    t.store.top_up(&TopUp { micros: 50_000, currency: eur, reference: None, key: None }, T0).await.unwrap();
    in_force(&t.store, card("USD"));
    let call = outbound(&contact, EndReason::Completed, Some(56), 60);
    let saved = t.store.save_call(&call, vec![], at(60)).await.unwrap();
    assert_eq!(saved.charge, None, "euros cannot pay for prices in dollars");
    assert!(t.store.call(&call.id).await.unwrap().unwrap().settled, "the end of the call is not lost for it");

    let t = t.restart().await;
    in_force(&t.store, card("USD"));
    assert_eq!(t.store.wallet(eur).await.unwrap().uncharged_calls, 1);
    assert!(charge_again(&t.store, at(119)).await.is_empty(), "not before a minute has passed");
    assert!(charge_again(&t.store, at(120)).await.is_empty(), "still refused");
    assert_eq!(t.store.uncharged_calls().await.unwrap(), 1);
    assert!(charge_again(&t.store, at(179)).await.is_empty());

    t.store.import_rate_card(&card("EUR"), at(150)).await.unwrap();
    in_force(&t.store, card("EUR"));
    // A clock set back by an hour does not keep it waiting for one.
    let now = Timestamp::from_millis(at(120).as_millis() - 3_600_000);
    assert_eq!(charge_again(&t.store, now).await, ["wallet.debited", "call.updated"]);
    let t = t.restart().await;
    in_force(&t.store, card("EUR"));
    for n in 0..3 {
        assert!(charge_again(&t.store, at(200 + 100 * n)).await.is_empty(), "it stands");
        t.store.save_call(&call, vec![], at(1000)).await.unwrap();
        t.store.amend_call(&call.id, at(1000), |_| Some(vec![])).await.unwrap();
    }
    assert_eq!(booked(&t.store, &call).await, [(EntryKind::CallCharge, -10_000)]);
    let wallet = t.store.wallet(eur).await.unwrap();
    assert_eq!((wallet.balance_micros, wallet.uncharged_calls), (40_000, 0));
    assert_eq!(t.store.call(&call.id).await.unwrap().unwrap().charge.map(|charge| charge.micros), Some(10_000));
}

on_both!(a_refused_correction_is_booked_once_it_can_be);
async fn a_refused_correction_is_booked_once_it_can_be(t: Fixture) {
    let contact = t.seed().await;
    in_force(&t.store, card("USD"));
    let call = outbound(&contact, EndReason::Completed, Some(60), 60);
    t.store.save_call(&call, vec![], at(60)).await.unwrap();
    in_force(&t.store, card("EUR"));
    let call = corrected(call, EndReason::Completed, Some(30), 30);
    let saved = t.store.save_call(&call, vec![], at(61)).await.unwrap();
    assert_eq!(saved.charge.map(|charge| charge.micros), Some(10_000), "what stands in the books");
    in_force(&t.store, card("USD"));
    assert_eq!(charge_again(&t.store, at(121)).await, ["wallet.debited", "call.updated"]);
    assert_eq!(booked(&t.store, &call).await, [(EntryKind::CallCharge, -10_000), (EntryKind::Adjustment, 5_000)]);
    assert_eq!(t.store.uncharged_calls().await.unwrap(), 0);
}

on_both!(a_call_that_turns_out_otherwise_is_counted_anew_by_the_pickup_guard);
async fn a_call_that_turns_out_otherwise_is_counted_anew_by_the_pickup_guard(t: Fixture) {
    let contact = t.seed().await;
    let mut call = outbound(&contact, EndReason::MissedByCustomer, None, 30);
    // T0 is 6:40 past the hour. Calls and missed ones of that hour and the next, and of the next alone.
    for (what, reason, talked_s, ended_s, all, next) in [
        ("missed", EndReason::MissedByCustomer, None, 30, [1, 1], [0, 0]),
        ("the same again", EndReason::MissedByCustomer, None, 30, [1, 1], [0, 0]),
        ("answered after all", EndReason::Completed, Some(20), 30, [1, 0], [0, 0]),
        ("and longer, into the next hour", EndReason::Completed, Some(3500), 3510, [1, 0], [1, 0]),
        ("a failure, which says nothing", EndReason::UpstreamError, None, 30, [0, 0], [0, 0]),
        ("declined", EndReason::RejectedByCustomer, None, 3510, [1, 1], [1, 1]),
    ] {
        call = corrected(call, reason, talked_s, ended_s);
        t.store.save_call(&call, vec![], at(4000)).await.unwrap();
        for (since, want) in [(0, all), (3600, next)] {
            let pickup = t.store.pickup(&number_id(), at(since)).await.unwrap();
            assert_eq!([pickup.outbound, pickup.outbound_missed], want, "{what}, since {since}");
            assert_eq!([pickup.inbound, pickup.inbound_missed], [0, 0]);
        }
    }
}

on_both!(a_clock_that_is_set_back_by_an_hour_books_and_tells_nothing_twice);
async fn a_clock_that_is_set_back_by_an_hour_books_and_tells_nothing_twice(t: Fixture) {
    let contact = t.seed().await;
    in_force(&t.store, card("USD"));
    let (before, after) = (at(3600), T0);
    let mut call = outbound(&contact, EndReason::Completed, Some(60), 60);
    call.created_at = before;
    t.store.save_call(&call, vec![], before).await.unwrap();
    for _ in 0..2 {
        // WhatsApp's last word, in its own time.
        call = corrected(call, EndReason::Completed, Some(30), 30);
        t.store.save_call(&call, vec![], after).await.unwrap();
    }
    let mut sums = booked(&t.store, &call).await;
    sums.sort_by_key(|(_, micros)| *micros);
    assert_eq!(sums, [(EntryKind::CallCharge, -10_000), (EntryKind::Adjustment, 5_000)]);
    assert_eq!(t.store.wallet(Currency::USD).await.unwrap().balance_micros, -5_000);
    assert_eq!(
        t.store.entries(&EntryFilter::default(), 10, None).await.unwrap().items.len(),
        2,
        "the statement shows both"
    );

    let what = What::Granted {
        permanent: false,
        expires_at: None,
        source: crate::model::reason::GrantSource::Profile,
        context: None,
    };
    let grant = Event { key: "g".to_owned(), at: T0, what };
    let ends = 168 * 3600;
    t.store.record_permission(&number_id(), &contact.id, &[grant], T0).await.unwrap();
    let told = async |now| {
        let (events, _) = t.store.expire_permissions(now).await.unwrap();
        events.into_iter().map(|event| event.kind).collect::<Vec<_>>()
    };
    assert_eq!(told(at(ends + 1)).await, ["permission.expired"]);
    let ledger = t.store.permission(&number_id(), &contact.id).await.unwrap();
    let status = |now| ledger.view(&number_id(), &contact.id, now).status;
    assert_eq!(status(at(ends - 3599)), PermissionStatus::Temporary, "what holds is judged by the clock as it is");
    assert_eq!(status(at(ends)), PermissionStatus::Expired);
    assert!(told(at(ends - 3599)).await.is_empty() && told(at(ends + 1)).await.is_empty(), "it was told");
}

on_both!(a_running_call_shows_its_cost_by_the_pulse_until_it_is_charged);
async fn a_running_call_shows_its_cost_by_the_pulse_until_it_is_charged(t: Fixture) {
    let contact = t.seed().await;
    in_force(&t.store, card("USD"));
    let ended = outbound(&contact, EndReason::Completed, Some(61), 61);
    let live =
        CallRecord { state: CallState::Active, end_reason: None, ended_at: None, settled: false, ..ended.clone() };
    let ringing = CallRecord { state: CallState::Ringing, answered_at: None, ..live.clone() };
    let inbound = CallRecord { direction: Direction::UserInitiated, ..live.clone() };
    let unsettled = CallRecord { settled: false, ..ended.clone() };
    for (what, call, now, want) in [
        ("ringing", &ringing, 5, None),
        ("inbound", &inbound, 5, None),
        ("just answered", &live, 0, Some((0, 0))),
        ("one pulse", &live, 1, Some((1_000, 1))),
        ("and ten", &live, 60, Some((10_000, 10))),
        ("and eleven", &live, 61, Some((11_000, 11))),
        ("over, and not settled", &unsettled, 90, Some((11_000, 11))),
    ] {
        let cost = t.store.cost_so_far(call, at(now)).await.unwrap();
        assert_eq!(cost.map(|cost| (cost.micros, cost.pulses)), want, "{what}");
    }
    let charge = t.store.save_call(&ended, vec![], at(90)).await.unwrap().charge;
    assert_eq!(charge.map(|charge| charge.micros), Some(11_000), "as was shown");
    let charged = CallRecord { charge, ..ended };
    assert_eq!(t.store.cost_so_far(&charged, at(99)).await.unwrap(), None);
}

on_both!(the_last_sign_of_life_survives_the_process);
async fn the_last_sign_of_life_survives_the_process(t: Fixture) {
    assert_eq!(t.store.last_alive().await.unwrap(), Timestamp::from_millis(0));
    t.store.note_alive(at(5)).await.unwrap();
    t.store.note_alive(at(10)).await.unwrap();
    let t = t.restart().await;
    assert_eq!(t.store.last_alive().await.unwrap(), at(10));
}
