//! Counts against what was stored, on both databases.

use super::super::fixture::{self, Fixture, T0, agent_id, at, declined, ended, granted, number_id, on_both};
use super::super::{CallFilter, DialWish};
use super::permissions::PermissionStep;
use super::*;
use crate::call::record::CallRecord;
use crate::model::directory::{Contact, ContactRef};
use crate::model::id::AgentId;
use crate::model::reason::{CallState, GrantSource, OfferOutcome, RequestKind};
use crate::policy::permission::{Event, What};

const HOUR: i64 = 3600;

/// A call that began so many seconds after [`T0`] and was answered after `wait_s`, for a minute.
async fn taken(t: &Fixture, who: &Contact, secs: i64, wait_s: i64, agent: &str) -> CallRecord {
    let mut call = fixture::ringing(who, at(secs));
    call.agent_id = Some(agent_id(agent));
    call.answered_at = Some(at(secs + wait_s));
    call.duration_ms = 60_000;
    call.offers[0].outcome = OfferOutcome::Accepted;
    call.offers[0].agent_id = agent_id(agent);
    call.offers[0].ended_at = Some(at(secs + wait_s));
    save(t, ended(call, EndReason::Completed, at(secs + wait_s + 60))).await
}

async fn missed(t: &Fixture, who: &Contact, secs: i64, reason: EndReason) -> CallRecord {
    save(t, ended(fixture::ringing(who, at(secs)), reason, at(secs + 20))).await
}

/// Agent `b` calls; `None`: nobody answers.
async fn placed(t: &Fixture, who: &Contact, secs: i64, talk_s: Option<i64>) -> CallRecord {
    let mut call = fixture::ringing(who, at(secs));
    call.direction = Direction::BusinessInitiated;
    call.offers.clear();
    call.agent_id = Some(agent_id("b"));
    let (terms, to) = (t.store.terms(), ContactRef::Id(who.id.clone()));
    let wish = DialWish { terms: &terms, call: &call.id, number: &number_id(), to: &to, agent: &agent_id("b") };
    t.store.decide_dial(wish, || at(secs), |_| Ok::<_, ()>(())).await.unwrap().unwrap().unwrap();
    t.store.save_call(&call, vec![], at(secs)).await.unwrap();
    call.answered_at = talk_s.map(|_| at(secs + 5));
    call.duration_ms = talk_s.unwrap_or(0) * 1000;
    call.settled = true;
    let reason = if talk_s.is_some() { EndReason::Completed } else { EndReason::MissedByCustomer };
    save(t, ended(call, reason, at(secs + 5 + talk_s.unwrap_or(20)))).await
}

async fn save(t: &Fixture, call: CallRecord) -> CallRecord {
    t.store.save_call(&call, vec![], call.ended_at.unwrap_or(T0)).await.unwrap();
    call
}

fn only(agents: &[&str]) -> CallFilter {
    CallFilter { agent_ids: Some(agents.iter().map(|name| agent_id(name)).collect()), ..CallFilter::default() }
}

fn tally(calls: i64, answered: i64, missed: i64, talk_s: i64) -> CallTally {
    CallTally { calls, answered, missed, talk_ms: talk_s * 1000 }
}

on_both!(calls_are_counted_by_what_became_of_them_and_by_the_clocks_of_a_zone);
async fn calls_are_counted_by_what_became_of_them_and_by_the_clocks_of_a_zone(t: Fixture) {
    let nino = t.seed().await;
    // T0 is a Wednesday, 11:06:40 in UTC.
    for (secs, wait) in [(0, 3), (60, 9), (HOUR, 6)] {
        taken(&t, &nino, secs, wait, "a").await;
    }
    missed(&t, &nino, 120, EndReason::MissedByAgent).await;
    missed(&t, &nino, 10 * HOUR, EndReason::CallerCancelled).await;
    missed(&t, &nino, 180, EndReason::OutsideHours).await;
    missed(&t, &nino, 240, EndReason::SetupFailed).await;
    placed(&t, &nino, 24 * HOUR, Some(30)).await;
    placed(&t, &nino, 24 * HOUR + 60, None).await;
    let mut running = fixture::ringing(&nino, at(300));
    (running.state, running.agent_id, running.answered_at) = (CallState::Active, Some(agent_id("a")), Some(at(312)));
    running.status = Status::of(running.state, true, None);
    save(&t, running).await;

    let report = t.store.calls_report(&CallFilter::default(), &Zone::UTC).await.unwrap();
    assert_eq!((report.inbound, report.outbound), (tally(8, 4, 2, 180), tally(2, 1, 1, 30)));
    let hours: Vec<_> = report.by_hour.iter().map(|hour| (hour.weekday, hour.hour, hour.tally.calls)).collect();
    let wednesday = Weekday::Wednesday;
    assert_eq!(hours, [(wednesday, 11, 6), (wednesday, 12, 1), (wednesday, 21, 1), (Weekday::Thursday, 11, 2)]);
    let days: Vec<_> = report.by_day.iter().map(|day| (day.date.as_str(), day.inbound, day.outbound)).collect();
    let none = CallTally::default();
    assert_eq!(days, [("2026-11-18", tally(8, 4, 2, 180), none), ("2026-11-19", none, tally(2, 1, 1, 30))]);
    let reasons: Vec<_> = report.missed_by_reason.iter().map(|missed| (missed.end_reason, missed.calls)).collect();
    assert_eq!(reasons.len(), 3);
    for reason in [EndReason::MissedByAgent, EndReason::CallerCancelled, EndReason::MissedByCustomer] {
        assert!(reasons.contains(&(reason, 1)), "{reasons:?}");
    }
    // Of 3, 6, 9 and 12 s.
    assert_eq!(report.answer_speed, AnswerSpeed { calls: 4, p50_ms: Some(6_000), p90_ms: Some(12_000) });
    let statuses: i64 = report.by_status.iter().map(|status| status.calls).sum();
    assert_eq!(statuses, 10);

    // Tbilisi is four hours ahead: the late call was on Thursday there.
    let there = t.store.calls_report(&CallFilter::default(), &"Asia/Tbilisi".parse().unwrap()).await.unwrap();
    assert!(there.by_hour.iter().any(|h| (h.weekday, h.hour, h.tally.calls) == (Weekday::Thursday, 1, 1)));
    assert_eq!(there.by_day[1].inbound, tally(1, 0, 1, 0));
    assert_eq!((there.inbound, there.outbound), (report.inbound, report.outbound));
}

on_both!(a_report_counts_what_the_list_shows_for_the_same_filter);
async fn a_report_counts_what_the_list_shows_for_the_same_filter(t: Fixture) {
    let nino = t.seed().await;
    taken(&t, &nino, 0, 3, "a").await;
    taken(&t, &nino, HOUR, 4, "b").await;
    missed(&t, &nino, 120, EndReason::MissedByAgent).await;
    placed(&t, &nino, 2 * HOUR, Some(30)).await;
    let unknown = crate::model::id::NumberId::parse("7").unwrap();
    for filter in [
        CallFilter::default(),
        only(&["a"]),
        only(&["b"]),
        only(&[]),
        CallFilter { agent_id: Some(agent_id("a")), ..CallFilter::default() },
        CallFilter { agent_id: Some(agent_id("b")), ..only(&["a"]) },
        CallFilter { from: Some(at(60)), to: Some(at(2 * HOUR)), ..CallFilter::default() },
        CallFilter { number_id: Some(unknown), ..CallFilter::default() },
    ] {
        let listed = t.store.calls(&filter).await.unwrap().items;
        let report = t.store.calls_report(&filter, &Zone::UTC).await.unwrap();
        let of = |direction| listed.iter().filter(move |call| call.direction == direction);
        for (direction, tally) in
            [(Direction::UserInitiated, report.inbound), (Direction::BusinessInitiated, report.outbound)]
        {
            let answered = of(direction).filter(|call| call.answered_at.is_some());
            let want = (of(direction).count() as i64, answered.clone().count() as i64);
            assert_eq!((tally.calls, tally.answered), want, "{filter:?}");
            assert_eq!(tally.talk_ms, answered.map(|call| call.duration_ms).sum::<i64>(), "{filter:?}");
        }
        let by_hour: i64 = report.by_hour.iter().map(|hour| hour.tally.calls).sum();
        let costs = t.store.costs_report(&filter).await.unwrap();
        let charged: i64 = listed.iter().filter_map(|call| call.charge).map(|charge| charge.micros).sum();
        let counted: i64 = costs.iter().map(|cost| cost.micros).sum();
        assert_eq!((by_hour, counted), (listed.len() as i64, charged), "{filter:?}");
    }
}

on_both!(agents_are_told_apart_and_others_are_not_told_of);
async fn agents_are_told_apart_and_others_are_not_told_of(t: Fixture) {
    let nino = t.seed().await;
    let mut call = taken(&t, &nino, 0, 4, "b").await;
    // It rang at `a` first.
    let mut first = fixture::ringing(&nino, at(0)).offers.remove(0);
    (first.outcome, first.ended_at) = (OfferOutcome::MissedByAgent, Some(at(2)));
    call.offers.insert(0, first);
    save(&t, call).await;
    missed(&t, &nino, 120, EndReason::MissedByAgent).await;
    placed(&t, &nino, HOUR, Some(30)).await;
    placed(&t, &nino, 2 * HOUR, None).await;

    let loads = async |filter: &CallFilter| t.store.agents_report(filter).await.unwrap();
    let a = AgentLoad { offers: 2, missed: 2, ring_ms: 22_000, ..AgentLoad::of(agent_id("a")) };
    let b = AgentLoad {
        taken: 1,
        placed: 2,
        reached: 1,
        talk_ms: 90_000,
        offers: 1,
        ring_ms: 4_000,
        ..AgentLoad::of(agent_id("b"))
    };
    assert_eq!(loads(&CallFilter::default()).await, [a.clone(), b.clone()]);
    let seen = loads(&only(&["a"])).await;
    assert_eq!(seen, std::slice::from_ref(&a), "the call names `b`, whose load is not `a`'s to know");
    assert_eq!(loads(&CallFilter { agent_id: Some(agent_id("a")), ..CallFilter::default() }).await, [a]);
    assert_eq!(loads(&CallFilter { agent_id: Some(agent_id("b")), ..CallFilter::default() }).await, [b]);
    assert_eq!(loads(&only(&[])).await, []);
}

on_both!(customers_are_counted_once_at_each_step_of_their_permission);
async fn customers_are_counted_once_at_each_step_of_their_permission(t: Fixture) {
    let nino = t.seed().await;
    let beka = t.customer("995555010204").await;
    let mine = Contact { assignee_id: Some(agent_id("a")), ..nino.clone() };
    t.store.put_contact(&mine).await.unwrap();
    let number = number_id();
    let asked = |id: &str, secs| Event::requested(id, RequestKind::Template, None, at(secs));
    let temporary = What::Granted { permanent: false, expires_at: None, source: GrantSource::Request, context: None };
    let temporary = Event { key: "t".to_owned(), at: at(20), what: temporary };
    let said = [asked("1", 0), temporary, asked("2", 25 * HOUR), granted("p", at(25 * HOUR + 9))];
    t.store.record_permission(&number, &nino.id, &said, at(26 * HOUR)).await.unwrap();
    let revoked = Event { key: "r".to_owned(), at: at(99), what: What::Revoked };
    let said = [asked("3", 0), declined("d", at(30)), granted("g", at(60)), revoked];
    t.store.record_permission(&number, &beka.id, &said, at(26 * HOUR)).await.unwrap();

    let steps = async |seen_by: Option<&[AgentId]>, from, to| -> Vec<(i64, i64)> {
        let steps = t.store.permissions_report(Some(&number), seen_by, at(from), at(to)).await.unwrap();
        assert!(steps.iter().map(|step| step.step).eq(PermissionStep::ALL.iter().copied()));
        steps.iter().map(|step| (step.customers, step.times)).collect()
    };
    let all = [(2, 3), (1, 1), (2, 2), (1, 1), (0, 0), (1, 1)];
    assert_eq!(steps(None, 0, 48 * HOUR).await, all);
    assert_eq!(steps(None, 0, 24 * HOUR).await, [(2, 2), (1, 1), (1, 1), (1, 1), (0, 0), (1, 1)]);
    let hers = [(1, 2), (1, 1), (1, 1), (0, 0), (0, 0), (0, 0)];
    assert_eq!(steps(Some(&[agent_id("a")]), 0, 48 * HOUR).await, hers);
    assert_eq!(steps(Some(&[]), 0, 48 * HOUR).await, [(0, 0); 6]);

    placed(&t, &nino, 30 * HOUR, Some(60)).await;
    placed(&t, &nino, 31 * HOUR, Some(60)).await;
    placed(&t, &nino, 32 * HOUR, None).await;
    assert_eq!(steps(None, 0, 48 * HOUR).await[4], (1, 2), "two calls connected, one customer");
    let unknown = crate::model::id::NumberId::parse("7").unwrap();
    let none = t.store.permissions_report(Some(&unknown), None, T0, at(48 * HOUR)).await.unwrap();
    assert!(none.iter().all(|step| step.times == 0), "{none:?}");
}

on_both!(costs_are_added_up_by_the_country_of_the_customer);
async fn costs_are_added_up_by_the_country_of_the_customer(t: Fixture) {
    let nino = t.seed().await;
    let jamaica = t.customer("18765550123").await;
    placed(&t, &nino, 0, Some(60)).await;
    placed(&t, &nino, HOUR, Some(61)).await;
    placed(&t, &jamaica, 2 * HOUR, Some(7)).await;
    placed(&t, &jamaica, 3 * HOUR, None).await;
    let costs = t.store.costs_report(&CallFilter::default()).await.unwrap();
    let mut by_country: Vec<_> =
        costs.iter().map(|cost| (cost.country.unwrap().to_string(), cost.calls, cost.pulses, cost.talk_ms)).collect();
    by_country.sort();
    assert_eq!(by_country, [("GE".to_owned(), 2, 21, 121_000), ("JM".to_owned(), 1, 2, 7_000)]);
    let listed = t.store.calls(&CallFilter::default()).await.unwrap().items;
    let charged: i64 = listed.iter().filter_map(|call| call.charge).map(|charge| charge.micros).sum();
    assert_eq!((costs.iter().map(|cost| cost.micros).sum::<i64>(), charged > 0), (charged, true));
    assert!(costs[0].micros >= costs[1].micros, "dearest first");
}
