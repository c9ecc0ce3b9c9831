//! The wallet under replays, races, corrections and crashes.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;

use super::fixture::{self, Fixture, T0, at, on_both};
use super::paying_in::{Adjustment, TopUp};
use super::sql::Columns;
use super::wallet::{self, Charged, Entry, available, charge, release, reserve};
use super::{EntryFilter, Store, StoreError};
use crate::billing::{Customer, RateCard};
use crate::model::directory::Asker;
use crate::model::id::CallId;
use crate::model::money::{Currency, Micros};
use crate::model::reason::EntryKind;

/// 950 and, from 100 minutes of the month on, 760 micros a pulse to Georgia; 1 micro a pulse, rounded up, to everybody
/// else; nothing to India until the fifth minute, then 100.
const CARD: &str = "effective_from,market,currency,tier_from_minutes,price_per_minute
2025-01-01,*,USD,0,0.000007
2025-01-01,GE,USD,0,0.0095
2025-01-01,GE,USD,100,0.0076
2025-01-01,IN,USD,0,0
2025-01-01,IN,USD,5,0.001
";

const GEORGIA: &str = "GE.1";
const INDIA: &str = "IN.1";
const MONTH: &str = "2026-11";

fn card() -> RateCard {
    RateCard::parse("test.csv", CARD).unwrap()
}

fn call(n: usize) -> CallId {
    CallId::parse(&format!("call_{n}")).unwrap()
}

fn hidden(user_id: &str) -> Customer<'_> {
    Customer { phone: None, user_id: Some(user_id) }
}

/// Settles a call as the desk does: charge and events in one transaction.
async fn end(store: &Store, call: &CallId, user_id: &str, talked_ms: u64) -> Charged {
    let mut tx = store.writer.begin().await.unwrap();
    let talked = Duration::from_millis(talked_ms);
    let charged = charge(&mut tx, call, hidden(user_id), T0, talked, &card(), at(1)).await.unwrap();
    super::events::append(&mut tx, charged.events(), at(1)).await.unwrap();
    tx.commit().await.unwrap();
    charged
}

fn usd(micros: Micros, key: Option<&str>) -> TopUp {
    TopUp { micros, currency: Currency::USD, reference: Some("invoice 1".to_owned()), key: key.map(str::to_owned) }
}

/// The wallet's balance, after a look at the books: the accounts' sum is 0, and each is what its transfers come to.
async fn audited(store: &Store) -> Micros {
    let mut balances = HashMap::<String, Micros>::new();
    for row in sqlx::query("SELECT * FROM transfers").fetch_all(&store.writer).await.unwrap() {
        let micros = row.int("micros").unwrap();
        assert!(micros > 0);
        *balances.entry(row.text("debit_account").unwrap()).or_default() -= micros;
        *balances.entry(row.text("credit_account").unwrap()).or_default() += micros;
    }
    let mut sum = 0;
    for row in sqlx::query("SELECT * FROM accounts").fetch_all(&store.writer).await.unwrap() {
        let (id, balance) = (row.text("id").unwrap(), row.int("balance_micros").unwrap());
        assert_eq!(balance, balances.remove(&id).unwrap_or(0), "{id}");
        sum += balance;
    }
    assert_eq!((sum, balances.len()), (0, 0));
    store.wallet(Currency::USD).await.unwrap().balance_micros
}

async fn used(store: &Store, market: &str) -> i64 {
    let mut reader = store.reader.acquire().await.unwrap();
    wallet::usage(&mut reader, MONTH, market).await.unwrap()
}

async fn statement(store: &Store) -> Vec<Entry> {
    store.entries(&EntryFilter::default(), 500, None).await.unwrap().items
}

/// xorshift64: the same order in every run.
fn shuffle<T>(items: &mut [T], mut seed: u64) {
    for last in (1..items.len()).rev() {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        items.swap(last, usize::try_from(seed % (last as u64 + 1)).unwrap());
    }
}

#[tokio::test]
async fn ten_thousand_replayed_and_shuffled_ends_come_to_the_exact_total_also_over_crashes() {
    const CALLS: usize = 400;
    let t = fixture::open().await;
    t.store.top_up(&usd(1_000_000, None), T0).await.unwrap();
    // Every fourth call goes elsewhere, some were not answered; seconds 0 to 99.
    let talk = |n: usize| if n % 4 == 3 { ("JP.1", n % 100) } else { (GEORGIA, n % 100) };
    let mut ends: Vec<usize> = (0..CALLS).flat_map(|n| [n; 25]).collect();
    shuffle(&mut ends, 0x5eed);
    assert_eq!(ends.len(), 10_000);

    // What it must come to, by arithmetic of its own: the first end of each call that is not lost counts.
    let (mut total, mut pulses, mut seen) = (0, HashMap::<&str, i64>::new(), vec![false; CALLS]);
    let mut expect = |n: usize| {
        let (customer, seconds) = talk(n);
        if std::mem::replace(&mut seen[n], true) || seconds == 0 {
            return;
        }
        let this = i64::try_from(seconds.div_ceil(6)).unwrap();
        let used = pulses.entry(customer).or_default();
        *used += this;
        total += match customer {
            GEORGIA if *used > 1000 => 760 * this,
            GEORGIA => 950 * this,
            _ => (7 * this + 9) / 10,
        };
    };

    let mut lost = Vec::new();
    let mut batches: Vec<_> = ends.chunks(20).map(<[usize]>::to_vec).collect();
    for (turn, batch) in batches.drain(..).enumerate() {
        let mut tx = t.store.writer.begin().await.unwrap();
        for &n in &batch {
            let (customer, seconds) = talk(n);
            let talked = Duration::from_secs(seconds as u64);
            charge(&mut tx, &call(n), hidden(customer), T0, talked, &card(), at(1)).await.unwrap();
        }
        if turn % 7 == 3 {
            // The process dies before the commit; WhatsApp delivers again.
            drop(tx);
            lost.extend(batch);
        } else {
            tx.commit().await.unwrap();
            batch.into_iter().for_each(&mut expect);
        }
    }
    assert!(lost.len() > 1000);
    for n in lost {
        end(&t.store, &call(n), talk(n).0, talk(n).1 as u64 * 1000).await;
        expect(n);
    }
    assert!(pulses[GEORGIA] > 2000, "the tier was crossed");
    assert_eq!(audited(&t.store).await, 1_000_000 - total);
    assert_eq!(used(&t.store, "GE").await, pulses[GEORGIA]);
    assert_eq!(used(&t.store, "*").await, pulses["JP.1"]);
    let booked = statement(&t.store).await;
    for n in 0..CALLS {
        let of_call = booked.iter().filter(|entry| entry.call_id.as_ref() == Some(&call(n)));
        let kinds: Vec<_> = of_call.map(|entry| entry.kind).collect();
        let want: &[EntryKind] = if talk(n).1 == 0 { &[] } else { &[EntryKind::CallCharge] };
        assert_eq!(kinds, want, "call {n}");
    }
}

on_both!(of_sixty_four_who_end_one_call_at_once_one_debits);
async fn of_sixty_four_who_end_one_call_at_once_one_debits(t: Fixture) {
    // The accounts are there, so that nobody waits for whoever makes them.
    t.store.top_up(&usd(9500, None), T0).await.unwrap();
    let tasks = (0..64).map(|_| {
        let store = t.store.clone();
        tokio::spawn(async move { end(&store, &call(1), GEORGIA, 56_000).await })
    });
    let all: Vec<_> = join_all(tasks).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(all.iter().filter(|charged| charged.entry.is_some()).count(), 1);
    for charged in &all {
        assert_eq!((charged.charge.micros, charged.charge.pulses, charged.balance_micros), (9500, 10, 0));
    }
    assert_eq!((audited(&t.store).await, used(&t.store, "GE").await), (0, 10));
}

on_both!(sixty_four_calls_that_end_at_once_are_all_booked);
async fn sixty_four_calls_that_end_at_once_are_all_booked(t: Fixture) {
    let tasks = (0..64).map(|n| {
        let store = t.store.clone();
        tokio::spawn(async move { end(&store, &call(n), GEORGIA, 6_000).await })
    });
    join_all(tasks).await.into_iter().for_each(|charged| assert!(charged.unwrap().entry.is_some()));
    assert_eq!((audited(&t.store).await, used(&t.store, "GE").await), (-64 * 950, 64));
}

on_both!(another_duration_books_the_difference_and_corrects_the_volume);
async fn another_duration_books_the_difference_and_corrects_the_volume(t: Fixture) {
    // What it is told, what it books, what the call has then cost, and the month's pulses.
    #[track_caller]
    fn check(charged: &Charged, booked: Option<(EntryKind, Micros)>, cost: Micros) {
        assert_eq!(charged.entry.as_ref().map(|entry| (entry.kind, entry.micros)), booked);
        assert_eq!((charged.charge.micros, charged.balance_micros), (cost, -cost));
    }
    use EntryKind::{Adjustment, CallCharge};
    for (talked_ms, booked, cost, pulses) in [
        (0, None, 0, 0),
        (56_000, Some((CallCharge, -9500)), 9500, 10),
        (54_001, None, 9500, 10),
        (54_000, Some((Adjustment, 950)), 8550, 9),
        (54_000, None, 8550, 9),
        (0, Some((Adjustment, 8550)), 0, 0),
        (0, None, 0, 0),
        (120_000, Some((Adjustment, -19_000)), 19_000, 20),
    ] {
        check(&end(&t.store, &call(1), GEORGIA, talked_ms).await, booked, cost);
        assert_eq!((audited(&t.store).await, used(&t.store, "GE").await), (-cost, pulses), "{talked_ms}");
    }
    let keys = sqlx::query("SELECT key FROM transfers ORDER BY id").fetch_all(&t.store.writer).await.unwrap();
    let keys: Vec<_> = keys.iter().map(|row| row.text("key").unwrap()).collect();
    assert_eq!(keys, ["charge:call_1", "adjust:call_1:1", "adjust:call_1:2", "adjust:call_1:3"]);
}

on_both!(a_correction_keeps_to_the_tier_the_call_began_in);
async fn a_correction_keeps_to_the_tier_the_call_began_in(t: Fixture) {
    // 990 of the 1000 pulses of the first tier.
    end(&t.store, &call(1), GEORGIA, 990 * 6_000).await;
    assert_eq!(end(&t.store, &call(2), GEORGIA, 5 * 6_000).await.charge.micros, 5 * 950);
    // Others fill the tier; the end of call 2 reported again is still the same end.
    end(&t.store, &call(3), GEORGIA, 500 * 6_000).await;
    assert!(end(&t.store, &call(2), GEORGIA, 5 * 6_000).await.entry.is_none());
    assert_eq!(end(&t.store, &call(2), GEORGIA, 6 * 6_000).await.charge.micros, 6 * 950);
    // Longer than what was left of the tier: wholly in the next one.
    assert_eq!(end(&t.store, &call(2), GEORGIA, 11 * 6_000).await.charge.micros, 11 * 760);
    assert_eq!(used(&t.store, "GE").await, 990 + 11 + 500);
    audited(&t.store).await;
    let last = statement(&t.store).await.into_iter().find(|entry| entry.call_id == Some(call(2)));
    let explanation = serde_json::to_value(last.unwrap().explanation.unwrap()).unwrap();
    let want = serde_json::json!({
        "market": "GE", "country": "GE", "micros_per_minute": 7600, "currency": "USD", "tier_from_minutes": 100,
        "talked_ms": 66_000, "price_micros": 8360, "month": MONTH, "pulses_before": 990, "rate_card": card().sha256(),
    });
    assert_eq!(explanation, want);
}

on_both!(new_prices_change_nothing_that_was_charged);
async fn new_prices_change_nothing_that_was_charged(t: Fixture) {
    end(&t.store, &call(1), GEORGIA, 60_000).await;
    let dearer = RateCard::parse("test.csv", &CARD.replace("0.0095", "0.0295")).unwrap();
    let again = async |talked_ms| {
        let mut tx = t.store.writer.begin().await.unwrap();
        let talked = Duration::from_millis(talked_ms);
        let charged = charge(&mut tx, &call(1), hidden(GEORGIA), T0, talked, &dearer, at(2)).await.unwrap();
        tx.commit().await.unwrap();
        charged
    };
    assert!(again(60_000).await.entry.is_none());
    assert_eq!(audited(&t.store).await, -9500);
    let entry = again(66_000).await.entry.unwrap();
    assert_eq!((entry.micros, entry.explanation.unwrap().rate_card.as_str()), (9500 - 11 * 2950, dearer.sha256()));
    audited(&t.store).await;
}

on_both!(a_customer_who_turns_out_to_be_elsewhere_moves_price_and_volume);
async fn a_customer_who_turns_out_to_be_elsewhere_moves_price_and_volume(t: Fixture) {
    end(&t.store, &call(1), GEORGIA, 60_000).await;
    let charged = end(&t.store, &call(1), "JP.1", 66_000).await;
    assert_eq!((charged.charge.micros, audited(&t.store).await), (8, -8));
    assert_eq!((used(&t.store, "GE").await, used(&t.store, "*").await), (0, 11));
}

on_both!(free_minutes_are_counted_and_cost_nothing);
async fn free_minutes_are_counted_and_cost_nothing(t: Fixture) {
    for _ in 0..3 {
        let charged = end(&t.store, &call(1), INDIA, 240_000).await;
        assert!(charged.entry.is_none() && charged.events().is_empty() && charged.charge.pulses == 40);
    }
    assert_eq!((used(&t.store, "IN").await, statement(&t.store).await.len()), (40, 0));
    let charged = end(&t.store, &call(2), INDIA, 66_000).await;
    assert_eq!((charged.entry.unwrap().kind, charged.charge.micros), (EntryKind::CallCharge, 1100));
    // A free call that was longer than it seemed is charged for the first time.
    let charged = end(&t.store, &call(1), INDIA, 306_000).await;
    assert_eq!((charged.entry.unwrap().kind, charged.charge.micros), (EntryKind::CallCharge, 5100));
    assert_eq!(audited(&t.store).await, -6200);
    let quote = card().quote(hidden(INDIA), T0, used(&t.store, "IN").await);
    assert_eq!((quote.micros_per_minute, quote.tier_from_minutes), (1000, 5));
}

on_both!(a_call_that_was_not_answered_leaves_nothing_in_the_books);
async fn a_call_that_was_not_answered_leaves_nothing_in_the_books(t: Fixture) {
    let charged = end(&t.store, &call(1), GEORGIA, 0).await;
    assert_eq!((charged.charge.micros, charged.charge.pulses, charged.entry.is_none()), (0, 0, true));
    assert!(statement(&t.store).await.is_empty());
    let rows = sqlx::query("SELECT * FROM call_charges").fetch_all(&t.store.writer).await.unwrap();
    assert!(rows.is_empty());
}

on_both!(the_wallet_goes_below_zero_and_says_so_once);
async fn the_wallet_goes_below_zero_and_says_so_once(t: Fixture) {
    t.store.top_up(&usd(10_000, None), T0).await.unwrap();
    let mut said = Vec::new();
    for n in 0..3 {
        let charged = end(&t.store, &call(n), GEORGIA, 36_000).await;
        said.push(charged.events().iter().map(|event| event.kind).collect::<Vec<_>>());
    }
    assert_eq!(said, [vec!["wallet.debited"], vec!["wallet.debited", "wallet.negative"], vec!["wallet.debited"]]);
    assert_eq!(audited(&t.store).await, 10_000 - 3 * 5700);
    let log = t.store.events_after(0, 10).await.unwrap();
    let negative = log.iter().find(|event| event.kind == "wallet.negative").unwrap();
    assert_eq!(negative.data, serde_json::json!({"balance_micros": -1400, "currency": "USD"}));
    assert!(log.iter().all(|event| event.call_id.is_none()), "balances are not for everybody who was on the call");
    assert_eq!(log[1].data["entry"]["call_id"], "call_0");
}

on_both!(a_wallet_that_gets_low_says_so_once_until_it_was_filled);
async fn a_wallet_that_gets_low_says_so_once_until_it_was_filled(t: Fixture) {
    let wallet = async || t.store.wallet("USD".parse().unwrap()).await.unwrap();
    let usd_ = "USD".parse().unwrap();
    let by = Asker::Key { name: "crm".to_owned() };
    let logged = t.store.set_low(Some(9_000), usd_, &by, T0).await.unwrap();
    assert_eq!(logged[0].kind, "wallet.changed");
    assert_eq!(logged[0].data["low_micros"], 9_000);
    assert_eq!((wallet().await.low_micros, wallet().await.low), (Some(9_000), true), "before anybody paid in");
    t.store.top_up(&usd(20_000, None), T0).await.unwrap();
    assert!(!wallet().await.low);
    let mut said = Vec::new();
    let mut balances = Vec::new();
    for n in 0..3 {
        if n == 2 {
            t.store.top_up(&usd(6_000, None), T0).await.unwrap();
        }
        let charged = end(&t.store, &call(n), GEORGIA, 36_000).await;
        said.push(charged.events().iter().any(|event| event.kind == "wallet.low"));
        balances.push(charged.balance_micros);
    }
    assert_eq!((balances, said), (vec![14_300, 8_600, 8_900], vec![false, true, true]));
    let last = t.store.events_after(0, 50).await.unwrap();
    let low = last.iter().find(|event| event.kind == "wallet.low").unwrap();
    assert_eq!(low.data, serde_json::json!({"balance_micros": 8_600, "currency": "USD", "low_micros": 9_000}));
    // Both at once.
    let kinds: Vec<_> = end(&t.store, &call(9), GEORGIA, 60_000).await.events().iter().map(|e| e.kind).collect();
    assert_eq!(kinds, ["wallet.debited", "wallet.negative"], "it was low before");
    t.store.set_low(None, usd_, &by, T0).await.unwrap();
    assert_eq!((wallet().await.low_micros, wallet().await.low), (None, false));
    for wrong in [-1, i64::MAX] {
        let refused = t.store.set_low(Some(wrong), usd_, &by, T0).await;
        assert!(matches!(refused, Err(StoreError::Refused { field: "low_micros", .. })), "{refused:?}");
    }
}

on_both!(exactly_nothing_left_is_nothing_left);
async fn exactly_nothing_left_is_nothing_left(t: Fixture) {
    t.store.top_up(&usd(950, None), T0).await.unwrap();
    let kinds: Vec<_> = end(&t.store, &call(1), GEORGIA, 1).await.events().iter().map(|event| event.kind).collect();
    assert_eq!(kinds, ["wallet.debited", "wallet.negative"]);
}

on_both!(what_is_held_back_is_not_available);
async fn what_is_held_back_is_not_available(t: Fixture) {
    t.store.top_up(&usd(1000, None), T0).await.unwrap();
    let mut tx = t.store.writer.begin().await.unwrap();
    assert_eq!(available(&mut tx, Currency::USD).await.unwrap(), 1000);
    reserve(&mut tx, 400).await.unwrap();
    reserve(&mut tx, 700).await.unwrap();
    assert_eq!(available(&mut tx, Currency::USD).await.unwrap(), -100);
    release(&mut tx, 700).await.unwrap();
    assert_eq!(available(&mut tx, Currency::USD).await.unwrap(), 600);
    assert!(reserve(&mut tx, Micros::MAX / 8).await.is_err());
    tx.commit().await.unwrap();
    let wallet = t.store.wallet(Currency::USD).await.unwrap();
    assert_eq!((wallet.balance_micros, wallet.reserved_micros, wallet.available_micros), (1000, 400, 600));
    let mut tx = t.store.writer.begin().await.unwrap();
    release(&mut tx, 401).await.unwrap();
    assert_eq!(available(&mut tx, Currency::USD).await.unwrap(), 1000, "never more than there is");
    let eur = Currency::parse("EUR").unwrap();
    assert!(matches!(available(&mut tx, eur).await, Err(StoreError::Refused { field: "currency", .. })));
}

on_both!(two_hundred_who_want_the_last_money_get_it_ten_times);
async fn two_hundred_who_want_the_last_money_get_it_ten_times(t: Fixture) {
    t.store.top_up(&usd(10, None), T0).await.unwrap();
    let tasks = (0..200).map(|_| {
        let store = t.store.clone();
        tokio::spawn(async move {
            let mut tx = store.writer.begin().await.unwrap();
            if available(&mut tx, Currency::USD).await.unwrap() <= 0 {
                return false;
            }
            reserve(&mut tx, 1).await.unwrap();
            tx.commit().await.unwrap();
            true
        })
    });
    assert_eq!(join_all(tasks).await.into_iter().filter(|got| *got.as_ref().unwrap()).count(), 10);
}

on_both!(a_top_up_is_refused_by_field);
async fn a_top_up_is_refused_by_field(t: Fixture) {
    t.store.top_up(&usd(1, None), T0).await.unwrap();
    let eur = TopUp { currency: Currency::parse("EUR").unwrap(), ..usd(5, None) };
    for (top_up, field) in [
        (usd(0, None), "micros: 1 to"),
        (usd(-5, None), "micros: 1 to"),
        (usd(Micros::MIN, None), "micros: 1 to"),
        (usd(1_000_000_000_000_001, None), "micros: 1 to"),
        (usd(Micros::MAX, None), "micros: 1 to"),
        (eur, "currency: the wallet is in USD"),
    ] {
        let error = t.store.top_up(&top_up, T0).await.unwrap_err().to_string();
        assert!(error.starts_with(field), "{error}");
    }
    assert_eq!(audited(&t.store).await, 1);
}

on_both!(a_wallet_holds_so_much_and_no_more);
async fn a_wallet_holds_so_much_and_no_more(t: Fixture) {
    for n in 0..1000 {
        t.store.top_up(&usd(1_000_000_000_000_000, Some(&format!("k{n}"))), T0).await.unwrap();
    }
    let error = t.store.top_up(&usd(1, None), T0).await.unwrap_err().to_string();
    assert!(error.starts_with("micros: the wallet would hold more"), "{error}");
    assert_eq!(audited(&t.store).await, 1_000_000_000_000_000_000);
}

on_both!(a_key_pays_in_once_however_many_come_with_it_and_whenever);
async fn a_key_pays_in_once_however_many_come_with_it_and_whenever(t: Fixture) {
    let tasks = (0..64).map(|_| {
        let store = t.store.clone();
        tokio::spawn(async move { store.top_up(&usd(5, Some("k")), T0).await.unwrap() })
    });
    let all: Vec<_> = join_all(tasks).await.into_iter().map(Result::unwrap).collect();
    assert!(all.iter().all(|(entry, _)| entry == &all[0].0));
    assert_eq!(all.iter().map(|(_, events)| events.len()).sum::<usize>(), 1);
    let t = t.restart().await;
    assert_eq!(t.store.top_up(&usd(5, Some("k")), at(999_999)).await.unwrap().0, all[0].0);
    for other in [usd(6, Some("k")), TopUp { reference: None, ..usd(5, Some("k")) }] {
        assert!(matches!(t.store.top_up(&other, T0).await, Err(StoreError::Taken(_))));
    }
    assert_eq!(audited(&t.store).await, 5);
    let log = t.store.events_after(0, 10).await.unwrap();
    assert_eq!(log.len(), 1);
    assert_eq!((log[0].kind.as_str(), &log[0].data["balance_micros"]), ("wallet.topped_up", &5.into()));
    assert_eq!(log[0].data["entry"]["reference"], "invoice 1");
    // Without a key each is its own.
    t.store.top_up(&usd(5, None), T0).await.unwrap();
    t.store.top_up(&usd(5, None), T0).await.unwrap();
    assert_eq!(audited(&t.store).await, 15);
}

on_both!(a_wrong_top_up_is_taken_back_once_and_says_why_and_by_whom);
async fn a_wrong_top_up_is_taken_back_once_and_says_why_and_by_whom(t: Fixture) {
    t.store.top_up(&usd(500, None), T0).await.unwrap();
    t.store.set_low(Some(60), Currency::USD, &by(), T0).await.unwrap();
    let correction = |micros, key: Option<&str>| Adjustment {
        micros,
        currency: Currency::USD,
        reason: "A zero too many".to_owned(),
        by: by(),
        key: key.map(str::to_owned),
    };
    let (entry, events) = t.store.adjust(&correction(-450, Some("k")), at(1)).await.unwrap();
    assert_eq!((entry.kind, entry.micros, &entry.by), (EntryKind::Adjustment, -450, &Some(by())));
    let kinds: Vec<_> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["wallet.adjusted", "wallet.low"]);
    let (again, events) = t.store.adjust(&correction(-450, Some("k")), at(2)).await.unwrap();
    assert_eq!((&again, events.len()), (&entry, 0), "the same key corrects once");
    assert!(matches!(t.store.adjust(&correction(-451, Some("k")), at(2)).await, Err(StoreError::Taken(_))));
    assert_eq!(t.store.adjust(&correction(-60, None), at(3)).await.unwrap().1[1].kind, "wallet.negative");
    t.store.adjust(&correction(7, None), at(4)).await.unwrap();
    assert_eq!(audited(&t.store).await, -3);
    let listed = t.store.entries(&EntryFilter::default(), 10, None).await.unwrap().items;
    assert_eq!(listed[2], entry);
    for micros in [0, Micros::MIN, 1_000_000_000_000_001, -1_000_000_000_000_001] {
        let error = t.store.adjust(&correction(micros, None), T0).await.unwrap_err().to_string();
        assert!(error.starts_with("micros: -1000000000000000 to 1000000000000000, and not 0"), "{error}");
    }
}

fn by() -> Asker {
    Asker::Key { name: "books".to_owned() }
}

#[tokio::test]
async fn the_statement_comes_in_pages_newest_first_and_with_signs() {
    let t: Fixture = fixture::open().await;
    for n in 0..5 {
        t.store.top_up(&usd(100 + n, None), at(n / 2)).await.unwrap();
    }
    end(&t.store, &call(1), GEORGIA, 6_000).await;
    let (mut got, mut cursor) = (Vec::new(), None);
    loop {
        let page = t.store.entries(&EntryFilter::default(), 2, cursor.as_deref()).await.unwrap();
        got.extend(page.items.iter().map(|entry| entry.micros));
        // Whoever pays in meanwhile moves nothing.
        t.store.top_up(&usd(1, None), at(100)).await.unwrap();
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    assert_eq!(got, [104, -950, 103, 102, 101, 100]);
    assert!(matches!(t.store.entries(&EntryFilter::default(), 2, Some("00")).await, Err(StoreError::BadCursor)));
    let calls = super::CallFilter { cursor, ..super::CallFilter::default() };
    assert!(matches!(t.store.calls(&calls).await, Err(StoreError::BadCursor)), "another list's");
}

on_both!(a_talk_of_more_than_a_year_stays_out_of_the_books);
async fn a_talk_of_more_than_a_year_stays_out_of_the_books(t: Fixture) {
    for talked in [Duration::from_secs(366 * 24 * 3600 + 1), Duration::MAX] {
        let mut tx = t.store.writer.begin().await.unwrap();
        let refused = charge(&mut tx, &call(1), hidden(GEORGIA), T0, talked, &card(), at(1)).await;
        assert!(matches!(refused, Err(StoreError::Refused { field: "talked", .. })));
    }
    assert_eq!(audited(&t.store).await, 0);
}

on_both!(a_charge_the_wallet_has_no_room_for_leaves_nothing_behind_and_is_booked_once_there_is);
async fn a_charge_the_wallet_has_no_room_for_leaves_nothing_behind_and_is_booked_once_there_is(t: Fixture) {
    t.store.top_up(&usd(1, None), T0).await.unwrap();
    let room = async |micros: Micros| {
        let sql = "UPDATE accounts SET balance_micros = $1 WHERE id = 'wallet'";
        sqlx::query(sql).bind(micros).execute(&t.store.writer).await.unwrap();
    };
    room(-1_000_000_000_000_000_000).await;
    let mut tx = t.store.writer.begin().await.unwrap();
    let refused = charge(&mut tx, &call(1), hidden(GEORGIA), T0, Duration::from_secs(6), &card(), at(1)).await;
    assert!(matches!(refused, Err(StoreError::Refused { field: "balance", .. })));
    tx.commit().await.unwrap();
    assert_eq!(
        (used(&t.store, "GE").await, statement(&t.store).await.iter().filter(|entry| entry.call_id.is_some()).count()),
        (0, 0)
    );
    room(1).await;
    for _ in 0..2 {
        assert_eq!(end(&t.store, &call(1), GEORGIA, 6_000).await.charge.micros, 950);
    }
    assert_eq!((audited(&t.store).await, used(&t.store, "GE").await), (1 - 950, 1));
}
