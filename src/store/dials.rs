//! Outbound calls as the limits and the wallet see them: one row from the decision on. Decision and row are one
//! transaction that begins by locking the number's counter, so that parallel wishes are decided one after the other.

use sqlx::{Any, Transaction};

use super::error::{Result, StoreError};
use super::sql::{Columns, Select};
use super::{Store, Terms, facts, permissions, pickup, wallet};
use crate::billing::{Customer, Quote};
use crate::model::directory::{Contact, ContactRef};
use crate::model::id::{AgentId, CallId, ContactId, NumberId};
use crate::model::time::Timestamp;
use crate::policy::OutboundFacts;
use crate::policy::limits::{Limit, Window};
use crate::policy::pack::Rules;

/// Who wishes to call whom.
#[derive(Clone, Copy, Debug)]
pub struct DialWish<'a> {
    /// What is decided on.
    pub terms: &'a Terms,
    pub call: &'a CallId,
    pub number: &'a NumberId,
    pub to: &'a ContactRef,
    pub agent: &'a AgentId,
}

/// Everything that bears on one outbound call, and what it would cost.
#[derive(Clone, Debug)]
pub struct Look {
    /// What only the running process knows (who is busy, whether it drains) is still to be filled in.
    pub facts: OutboundFacts,
    pub quote: Quote,
}

impl Store {
    /// What a decision would see now. `None` if number, contact or agent is unknown.
    pub async fn look_at_dial(
        &self,
        number: &NumberId,
        to: &ContactRef,
        agent: &AgentId,
        now: Timestamp,
    ) -> Result<Option<Look>> {
        let mut tx = self.reader.begin().await?;
        let look = gather(&mut tx, (number, to, agent), &self.terms(), || now).await?;
        tx.commit().await?;
        Ok(look)
    }

    /// Decides about an outbound call and, if `decide` says yes, enters it: it takes its place in every limit and its share
    /// of the wallet. `None` if number, contact or agent is unknown. `now` is read when its turn has come, and is the `now`
    /// of the facts.
    pub async fn decide_dial<T, E>(
        &self,
        wish: DialWish<'_>,
        now: impl FnOnce() -> Timestamp + Send,
        decide: impl FnOnce(OutboundFacts) -> Result<T, E> + Send,
    ) -> Result<Option<Result<T, E>>> {
        let terms = wish.terms;
        let mut tx = self.writer.begin().await?;
        if !lock(&mut tx, wish.number).await? {
            return Ok(None);
        }
        // Locks the wallet, so that two calls cannot both have its last money.
        wallet::available(&mut tx, terms.card.currency()).await?;
        let look = gather(&mut tx, (wish.number, wish.to, wish.agent), terms, now).await?;
        let Some(Look { facts, quote }) = look else { return Ok(None) };
        let (contact, now) = (facts.contact.id.clone(), facts.now);
        let decision = decide(facts);
        if decision.is_ok() {
            let seconds = i64::from(terms.rules(now).wallet.reserve_s);
            let reserved = quote.micros_per_minute.saturating_mul(seconds) / 60;
            wallet::reserve(&mut tx, reserved).await?;
            enter(&mut tx, wish, &contact, reserved, now).await?;
            tx.commit().await?;
        }
        Ok(Some(decision))
    }

    /// Calls that were allowed and of which nothing was ever heard, because the process died in between: they give back
    /// what they took. To be called before any call begins.
    pub async fn forget_lost_dials(&self) -> Result<u64> {
        let lost = sqlx::query(
            "SELECT call_id FROM dials WHERE in_flight = 1 AND NOT EXISTS (SELECT 1 FROM calls WHERE calls.id = dials.call_id)",
        )
        .fetch_all(&self.reader)
        .await?;
        for row in &lost {
            self.forget_dial(&row.word("call_id")?).await?;
        }
        Ok(lost.len() as u64)
    }

    /// The same for one call whose task broke before it was ever stored.
    pub async fn forget_dial(&self, call: &CallId) -> Result<()> {
        let mut tx = self.writer.begin().await?;
        ended(&mut tx, call, None).await?;
        settled(&mut tx, call).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// The call has ended, or has connected at `connected`: it takes no place as one that may still connect.
pub(super) async fn ended(
    tx: &mut Transaction<'static, Any>,
    call: &CallId,
    connected: Option<Timestamp>,
) -> Result<()> {
    let landed = sqlx::query("UPDATE dials SET in_flight = 0 WHERE call_id = $1 AND in_flight = 1 RETURNING number_id")
        .bind(call.as_str())
        .fetch_optional(&mut **tx)
        .await?;
    if let Some(row) = landed {
        sqlx::query("UPDATE dial_counters SET in_flight = in_flight - 1 WHERE number_id = $1")
            .bind(row.text("number_id")?)
            .execute(&mut **tx)
            .await?;
    }
    // A later word of WhatsApp may move it, or take it back.
    sqlx::query("UPDATE dials SET connected_at = $2 WHERE call_id = $1")
        .bind(call.as_str())
        .bind(connected.map(Timestamp::as_millis))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The call is settled: what was held back for it is free.
pub(super) async fn settled(tx: &mut Transaction<'static, Any>, call: &CallId) -> Result<()> {
    let row = sqlx::query("SELECT reserved_micros FROM dials WHERE call_id = $1 AND reserved_micros > 0")
        .bind(call.as_str())
        .fetch_optional(&mut **tx)
        .await?;
    let Some(reserved) = row.map(|row| row.int("reserved_micros")).transpose()? else { return Ok(()) };
    let freed = sqlx::query("UPDATE dials SET reserved_micros = 0 WHERE call_id = $1 AND reserved_micros = $2")
        .bind(call.as_str())
        .bind(reserved)
        .execute(&mut **tx)
        .await?;
    if freed.rows_affected() == 1 {
        wallet::release(tx, reserved).await?;
    }
    Ok(())
}

/// Locks the number's counter, made at the first dial. False if there is no such number.
pub(super) async fn lock(tx: &mut Transaction<'static, Any>, number: &NumberId) -> Result<bool> {
    let locked = sqlx::query(
        "INSERT INTO dial_counters (number_id, dialled, in_flight) VALUES ($1, 0, 0) \
         ON CONFLICT (number_id) DO UPDATE SET dialled = dial_counters.dialled",
    )
    .bind(number.as_str())
    .execute(&mut **tx)
    .await
    .map_err(StoreError::on_write(|| format!("number {number}")));
    match locked {
        Ok(_) => Ok(true),
        Err(StoreError::Missing(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// `now` is read after what others may write meanwhile, so that no decision sees what happened after its own moment; what
/// the limits and the wallet count is locked by whoever decides.
async fn gather(
    tx: &mut Transaction<'static, Any>,
    (number, to, agent): (&NumberId, &ContactRef, &AgentId),
    terms: &Terms,
    now: impl FnOnce() -> Timestamp,
) -> Result<Option<Look>> {
    let (Some(number), Some(contact), Some(agent)) =
        (facts::number(tx, number).await?, facts::contact(tx, to).await?, facts::agent(tx, agent).await?)
    else {
        return Ok(None);
    };
    let settings = facts::settings(tx, &number.id).await?;
    let restrictions = facts::restrictions(tx, &number.id).await?;
    let permission = permissions::read(tx, &number.id, &contact.id, terms).await?;
    let now = now();
    let rules = terms.rules(now);
    let counts = Counts::read(tx, &number.id, &contact, rules).await?;
    let customer = Customer { phone: contact.phone.as_ref(), user_id: contact.user_id.as_deref() };
    let used = wallet::usage(tx, &terms.card.month(now), &terms.card.market(customer, now)).await?;
    let quote = terms.card.quote(customer, now, used);
    let facts = OutboundFacts {
        now,
        settings,
        restrictions,
        outbound_hours: pickup::held_by(tx, &number.id, &rules.pickup, now).await?,
        permission,
        attempts: counts.attempts,
        connected_number: counts.connected_number,
        connected_pair: counts.connected_pair,
        available: wallet::look(tx).await?,
        pair_busy: counts.pair_in_flight > 0,
        number,
        contact,
        agent,
        agent_busy: false,
        draining: false,
    };
    Ok(Some(Look { facts, quote }))
}

/// What the limits count.
struct Counts {
    attempts: Window,
    connected_number: Window,
    connected_pair: Window,
    pair_in_flight: u32,
}

impl Counts {
    async fn read(
        tx: &mut Transaction<'static, Any>,
        number: &NumberId,
        contact: &Contact,
        rules: &Rules,
    ) -> Result<Self> {
        let counter = sqlx::query("SELECT dialled, in_flight FROM dial_counters WHERE number_id = $1")
            .bind(number.as_str())
            .fetch_optional(&mut **tx)
            .await?;
        let (dialled, in_flight) = match counter {
            Some(row) => (row.int("dialled")?, count(row.int("in_flight")?)),
            None => (0, 0),
        };
        let pair =
            sqlx::query("SELECT COUNT(*) AS n FROM dials WHERE number_id = $1 AND in_flight = 1 AND contact_id = $2")
                .bind(number.as_str())
                .bind(contact.id.as_str())
                .fetch_one(&mut **tx)
                .await?;
        let pair_in_flight = count(pair.int("n")?);
        Ok(Self {
            attempts: nth_attempt(tx, number, dialled, rules.calls.attempts_per_number).await?,
            connected_number: match rules.calls.connected_per_number {
                Some(limit) => nth_connected(tx, number, None, in_flight, limit).await?,
                None => Window::default(),
            },
            connected_pair: match rules.calls.connected_per_pair {
                Some(limit) => nth_connected(tx, number, Some(&contact.id), pair_in_flight, limit).await?,
                None => Window::default(),
            },
            pair_in_flight,
        })
    }
}

/// One look-up however many calls were ever made: positions have no gaps.
async fn nth_attempt(
    tx: &mut Transaction<'static, Any>,
    number: &NumberId,
    dialled: i64,
    limit: Limit,
) -> Result<Window> {
    let Some(rank) = limit.rank(0) else { return Ok(Window::default()) };
    let row = sqlx::query("SELECT dialled_at FROM dials WHERE number_id = $1 AND position = $2")
        .bind(number.as_str())
        .bind(dialled - i64::from(rank) + 1)
        .fetch_optional(&mut **tx)
        .await?;
    Ok(Window { in_flight: 0, nth: row.map(|row| row.time("dialled_at")).transpose()? })
}

/// A walk along an index, as long as the limit at most.
async fn nth_connected(
    tx: &mut Transaction<'static, Any>,
    number: &NumberId,
    contact: Option<&ContactId>,
    in_flight: u32,
    limit: Limit,
) -> Result<Window> {
    let Some(rank) = limit.rank(in_flight) else { return Ok(Window { in_flight, nth: None }) };
    let mut select = Select::new("SELECT connected_at FROM dials");
    select.and("number_id = ").text(number.as_str()).and("connected_at IS NOT NULL");
    if let Some(contact) = contact {
        select.and("contact_id = ").text(contact.as_str());
    }
    select.push(" ORDER BY connected_at DESC LIMIT 1 OFFSET ").int(i64::from(rank) - 1);
    let row = select.query().fetch_optional(&mut **tx).await?;
    Ok(Window { in_flight, nth: row.map(|row| row.time("connected_at")).transpose()? })
}

async fn enter(
    tx: &mut Transaction<'static, Any>,
    wish: DialWish<'_>,
    contact: &ContactId,
    reserved_micros: i64,
    now: Timestamp,
) -> Result<()> {
    let row = sqlx::query(
        "UPDATE dial_counters SET dialled = dialled + 1, in_flight = in_flight + 1 WHERE number_id = $1 RETURNING dialled",
    )
    .bind(wish.number.as_str())
    .fetch_one(&mut **tx)
    .await?;
    sqlx::query(
        "INSERT INTO dials (call_id, number_id, contact_id, position, dialled_at, in_flight, reserved_micros, pack) \
         VALUES ($1, $2, $3, $4, $5, 1, $6, $7)",
    )
    .bind(wish.call.as_str())
    .bind(wish.number.as_str())
    .bind(contact.as_str())
    .bind(row.int("dialled")?)
    .bind(now.as_millis())
    .bind(reserved_micros)
    .bind(&wish.terms.pack_id)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn count(n: i64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::record::{CallRecord, Status};
    use crate::model::directory::Plan;
    use crate::model::reason::{BlockerCode, CallState, Direction, EndReason, RequestKind};
    use crate::policy::pack::{BUILT_IN, Pack};
    use crate::policy::permission::Event;
    use crate::policy::{Denial, Permit, admit};
    use crate::store::fixture::{self, Fixture, T0, agent_id, at, granted, number_id, on_both};
    use crate::store::{EntryFilter, RequestWish};

    /// A number that may call, its agent's customers, and money.
    async fn ready(t: &Fixture, pack: &str, micros: i64) {
        t.seed().await;
        let number = crate::model::directory::Number { plan: Plan::Advanced, ..fixture::number() };
        t.store.put_number(&number, None).await.unwrap();
        let card = crate::billing::RateCard::parse(
            "test",
            "effective_from,market,currency,price_per_minute\n2020-01-01,*,USD,0.01\n",
        );
        let pack = (Pack::parse("test", pack).unwrap(), pack.to_owned());
        t.store.set_terms(Terms::new(pack.0, pack.1, card.unwrap()));
        let usd = crate::model::money::Currency::USD;
        let top_up = crate::store::TopUp { micros, currency: usd, reference: None, key: None };
        t.store.top_up(&top_up, T0).await.unwrap();
    }

    async fn callable(t: &Fixture, phone: &str) -> Contact {
        let mut contact = t.customer(phone).await;
        contact.assignee_id = Some(agent_id("a"));
        t.store.put_contact(&contact).await.unwrap();
        t.store.record_permission(&number_id(), &contact.id, &[granted("a", T0)], T0).await.unwrap();
        contact
    }

    async fn dial(t: &Fixture, contact: &Contact, now: Timestamp) -> (CallId, Result<Permit, Denial>) {
        let call = CallId::generate();
        let (number, agent, to) = (number_id(), agent_id("a"), ContactRef::Id(contact.id.clone()));
        let terms = t.store.terms();
        let wish = DialWish { terms: &terms, call: &call, number: &number, to: &to, agent: &agent };
        let decided = t.store.decide_dial(wish, || now, |facts| admit(&facts, terms.rules(now)));
        (call.clone(), decided.await.unwrap().unwrap())
    }

    fn record(call: CallId, contact: &Contact, now: Timestamp) -> CallRecord {
        let mut record = fixture::ringing(contact, now);
        (record.id, record.direction) = (call, Direction::BusinessInitiated);
        record.agent_id = Some(agent_id("a"));
        record.offers.clear();
        record
    }

    fn over(mut record: CallRecord, reason: EndReason, talked_s: Option<i64>, now: Timestamp) -> CallRecord {
        record.state = CallState::Ended;
        record.end_reason = Some(reason);
        record.ended_at = Some(now);
        record.settled = true;
        if let Some(talked) = talked_s {
            record.duration_ms = talked * 1000;
            record.answered_at = Some(Timestamp::from_millis(now.as_millis() - talked * 1000));
        }
        record.status = Status::of(record.state, record.answered_at.is_some(), record.end_reason);
        record
    }

    fn with_cap(cap: u32) -> String {
        BUILT_IN.replace("connected_per_number = { max = 100,", &format!("connected_per_number = {{ max = {cap},"))
    }

    /// 200 customers are dialled at once; how many went through.
    async fn stampede(t: &Fixture) -> usize {
        let mut contacts = Vec::new();
        for i in 0..200 {
            contacts.push(callable(t, &format!("99555600{i:04}")).await);
        }
        let terms = t.store.terms();
        let tasks = contacts.into_iter().map(|contact| {
            let (store, terms) = (t.store.clone(), terms.clone());
            tokio::spawn(async move {
                let (call, number, agent) = (CallId::generate(), number_id(), agent_id("a"));
                let to = ContactRef::Id(contact.id);
                let wish = DialWish { terms: &terms, call: &call, number: &number, to: &to, agent: &agent };
                store.decide_dial(wish, || T0, |facts| admit(&facts, terms.rules(T0))).await.unwrap().unwrap().is_ok()
            })
        });
        futures_util::future::join_all(tasks).await.into_iter().filter(|went| *went.as_ref().unwrap()).count()
    }

    on_both!(of_two_hundred_parallel_dials_exactly_as_many_pass_as_there_is_room);
    async fn of_two_hundred_parallel_dials_exactly_as_many_pass_as_there_is_room(t: Fixture) {
        ready(&t, &with_cap(10), 1_000_000_000).await;
        assert_eq!(stampede(&t).await, 10);
    }

    on_both!(of_two_hundred_parallel_dials_exactly_as_many_pass_as_there_is_money);
    async fn of_two_hundred_parallel_dials_exactly_as_many_pass_as_there_is_money(t: Fixture) {
        // A minute costs 10,000 micros and is held back for each call.
        ready(&t, BUILT_IN, 10 * 10_000).await;
        assert_eq!(stampede(&t).await, 10);
    }

    on_both!(a_decision_is_made_at_the_moment_its_turn_comes);
    async fn a_decision_is_made_at_the_moment_its_turn_comes(t: Fixture) {
        ready(&t, BUILT_IN, 1_000_000_000).await;
        let contact = callable(&t, "995556000001").await;
        let clock = std::sync::atomic::AtomicI64::new(0);
        let now = || at(clock.load(std::sync::atomic::Ordering::SeqCst));
        let mut ahead = t.store.writer.begin().await.unwrap();
        lock(&mut ahead, &number_id()).await.unwrap();

        let (call, number, agent, to) =
            (CallId::generate(), number_id(), agent_id("a"), ContactRef::Id(contact.id.clone()));
        let terms = t.store.terms();
        let wish = DialWish { terms: &terms, call: &call, number: &number, to: &to, agent: &agent };
        let dial = t.store.decide_dial(wish, now, |facts| Ok::<_, ()>(facts.now));
        let asked = Event::requested("r", RequestKind::Template, None, T0);
        let wish = RequestWish { terms: &terms, number: &number, to: &to, kind: RequestKind::Template, asked: &asked };
        let request = t.store.decide_request(wish, now, |facts| Ok::<_, ()>(facts.now));
        let (mut dial, mut request) = (std::pin::pin!(dial), std::pin::pin!(request));
        assert!(futures_util::poll!(&mut dial).is_pending() && futures_util::poll!(&mut request).is_pending());
        clock.store(9, std::sync::atomic::Ordering::SeqCst);
        ahead.commit().await.unwrap();
        let (dialled, requested) = tokio::join!(dial, request);
        assert_eq!(dialled.unwrap().unwrap(), Ok(at(9)));
        assert_eq!(requested.unwrap().unwrap().unwrap().0, at(9));
        let row = sqlx::query("SELECT dialled_at FROM dials").fetch_one(&t.store.reader).await.unwrap();
        assert_eq!(row.time("dialled_at").unwrap(), at(9));
        let view = t.store.permission(&number, &contact.id).await.unwrap().view(&number, &contact.id, at(9));
        assert_eq!(view.requested_at, Some(at(9)));
    }

    on_both!(a_connected_call_counts_for_a_day_and_an_unanswered_one_gives_its_place_back);
    async fn a_connected_call_counts_for_a_day_and_an_unanswered_one_gives_its_place_back(t: Fixture) {
        ready(&t, &with_cap(1), 1_000_000_000).await;
        let (nino, beka) = (callable(&t, "995556000001").await, callable(&t, "995556000002").await);
        let (first, permit) = dial(&t, &nino, T0).await;
        permit.unwrap();
        let blocked = dial(&t, &beka, at(1)).await.1.unwrap_err();
        assert_eq!(blocked.blockers[0].clears_at, None, "only the end of the running call makes room");
        let rang = record(first.clone(), &nino, T0);
        t.store.save_call(&rang, vec![], at(1)).await.unwrap();
        t.store.save_call(&over(rang, EndReason::MissedByCustomer, None, at(20)), vec![], at(20)).await.unwrap();
        let (second, permit) = dial(&t, &beka, at(21)).await;
        permit.expect("an unanswered call takes no place");
        let talked = over(record(second, &beka, at(21)), EndReason::Completed, Some(10), at(40));
        t.store.save_call(&talked, vec![], at(40)).await.unwrap();
        let t = t.restart().await;
        ready(&t, &with_cap(1), 1).await;
        let day = 24 * 3600;
        let blocked = dial(&t, &nino, at(30 + day - 1)).await.1.unwrap_err();
        assert_eq!(blocked.blockers[0].clears_at, Some(at(30 + day)), "counted from the answer at second 30");
        dial(&t, &nino, at(30 + day)).await.1.expect("a day later to the second");
    }

    on_both!(what_was_held_back_is_free_once_the_call_is_settled_and_charged);
    async fn what_was_held_back_is_free_once_the_call_is_settled_and_charged(t: Fixture) {
        ready(&t, BUILT_IN, 10_000).await;
        let contact = callable(&t, "995556000001").await;
        let (call, permit) = dial(&t, &contact, T0).await;
        permit.unwrap();
        let usd = crate::model::money::Currency::USD;
        assert_eq!(t.store.wallet(usd).await.unwrap().available_micros, 0);
        let live = record(call, &contact, T0);
        t.store.save_call(&live, vec![], at(1)).await.unwrap();
        let ended = over(live, EndReason::Completed, Some(56), at(60));
        for _ in 0..3 {
            let saved = t.store.save_call(&ended, vec![], at(61)).await.unwrap();
            assert_eq!(saved.charge.map(|c| (c.micros, c.pulses)), Some((10_000, 10)), "56 s are 10 pulses");
        }
        let wallet = t.store.wallet(usd).await.unwrap();
        assert_eq!((wallet.balance_micros, wallet.reserved_micros), (0, 0));
        let read = t.store.call(&ended.id).await.unwrap().unwrap();
        assert_eq!(read.charge.map(|c| c.micros), Some(10_000));
        assert_eq!(
            t.store.entries(&EntryFilter::default(), 10, None).await.unwrap().items.len(),
            2,
            "the top-up and one charge"
        );
    }

    on_both!(a_dial_lost_in_a_crash_gives_back_what_it_took);
    async fn a_dial_lost_in_a_crash_gives_back_what_it_took(t: Fixture) {
        ready(&t, &with_cap(1), 1_000_000_000).await;
        let contact = callable(&t, "995556000001").await;
        dial(&t, &contact, T0).await.1.unwrap();
        let t = t.restart().await;
        ready(&t, &with_cap(1), 1).await;
        assert_eq!(t.store.forget_lost_dials().await.unwrap(), 1);
        assert_eq!(t.store.wallet(crate::model::money::Currency::USD).await.unwrap().reserved_micros, 0);
        dial(&t, &contact, at(1)).await.1.expect("its place is free");
    }

    on_both!(a_number_whose_calls_nobody_takes_is_held_back_until_they_have_left_the_window);
    async fn a_number_whose_calls_nobody_takes_is_held_back_until_they_have_left_the_window(t: Fixture) {
        let holding = BUILT_IN.replace("hold_outbound_percent = \"never\"", "hold_outbound_percent = 85");
        ready(&t, &holding, 1_000_000_000).await;
        let nino = callable(&t, "995556000001").await;
        for _ in 0..20 {
            let (call, permit) = dial(&t, &nino, T0).await;
            permit.expect("19 calls say nothing");
            // A customer who lets it ring ten times would revoke; this is about the number.
            t.store
                .save_call(&over(record(call, &nino, T0), EndReason::MissedByCustomer, None, T0), vec![], T0)
                .await
                .unwrap();
            t.store.record_permission(&number_id(), &nino.id, &[granted("again", at(1))], at(1)).await.unwrap();
        }
        let (hour, week) = (3600, 7 * 24 * 3600);
        // T0 is 6:40 past its hour, which counts whole.
        let over_at = at(hour + week - 400);
        let blocked = dial(&t, &nino, at(10)).await.1.unwrap_err().blockers;
        assert_eq!(
            blocked.iter().map(|b| (b.code, b.clears_at)).collect::<Vec<_>>(),
            [(BlockerCode::PickupHold, Some(over_at))]
        );
        let to = ContactRef::Id(nino.id.clone());
        let asked = t.store.look_at_request(&number_id(), &to, RequestKind::Template, at(10)).await.unwrap().unwrap();
        let held = crate::policy::request::may_ask(&asked, t.store.terms().rules(at(10))).unwrap_err().blockers;
        assert!(held.contains(&blocked[0]), "permission is not asked for either: {held:?}");
        let last = Timestamp::from_millis(over_at.as_millis() - 1);
        assert!(dial(&t, &nino, last).await.1.is_err());
        dial(&t, &nino, over_at).await.1.expect("released by itself");
    }

    on_both!(inbound_calls_cost_nothing_and_need_no_money);
    async fn inbound_calls_cost_nothing_and_need_no_money(t: Fixture) {
        ready(&t, BUILT_IN, 1).await;
        let contact = callable(&t, "995556000001").await;
        let mut call = fixture::ringing(&contact, T0);
        call.agent_id = Some(agent_id("a"));
        let saved = t.store.save_call(&over(call, EndReason::Completed, Some(600), at(900)), vec![], at(900)).await;
        assert_eq!(saved.unwrap().charge, None);
        assert_eq!(t.store.entries(&EntryFilter::default(), 10, None).await.unwrap().items.len(), 1);
    }
}
