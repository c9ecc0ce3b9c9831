//! Round robin over the real store: its memory is the calls themselves, so it survives a restart.

use std::collections::BTreeMap;

use super::fixture::{self, Fixture, T0, agent, at, ended, number, on_both, ringing};
use crate::model::directory::{Agent, ContactRef};
use crate::model::id::AgentId;
use crate::model::reason::{EndReason, OfferCause, OfferOutcome, Presence};
use crate::policy::routing::AgentFacts;
use crate::policy::{RoutingFacts, route};

/// Calls taken, by agent.
type Taken = BTreeMap<AgentId, u32>;

async fn present(t: &Fixture, name: &str, status: Presence) {
    let id = t.store.put_agent(&agent(name)).await.unwrap().id;
    let kind = "agent.status_changed";
    let event = crate::model::event::NewEvent { kind, call_id: None, agent_id: None, data: serde_json::json!({}) };
    t.store.set_status(&id, status, event, T0).await.unwrap().unwrap();
}

/// Whom the store's facts would ring, nobody being on a call.
async fn next(t: &Fixture, phone: &str, secs: i64) -> AgentId {
    let contact = t.customer(phone).await;
    let contact = t.store.contact(&ContactRef::Id(contact.id)).await.unwrap().unwrap();
    let turns = t.store.last_turns().await.unwrap();
    let agents = t.store.agents().await.unwrap().into_iter();
    let facts = |agent: Agent| AgentFacts {
        idle_since: turns.get(&agent.id).map(|turn| turn.ended_at),
        agent,
        active_calls: 0,
        wrapping_up: false,
        passed_over: None,
    };
    let agents = agents.map(facts).collect();
    let facts = RoutingFacts { now: at(secs), number: number(), contact, agents, tried: vec![] };
    route(&facts, t.store.terms().rules(at(secs))).candidates.into_iter().next().unwrap().agent_id
}

/// A call that the next agent takes, or misses, and that is over a second later.
async fn call(t: &Fixture, taken: &mut Taken, secs: i64) {
    let chosen = next(t, "995555111222", secs).await;
    let contact = t.customer("995555111222").await;
    let mut call = ringing(&contact, at(secs));
    call.offers[0].agent_id = chosen.clone();
    if secs % 3 == 0 {
        // Missing a call is a turn as well: else whoever never answers would be rung every time.
        call = ended(call, EndReason::MissedByAgent, at(secs + 1));
    } else {
        call.agent_id = Some(chosen.clone());
        call.answered_at = Some(at(secs));
        let offer = &mut call.offers[0];
        (offer.outcome, offer.cause, offer.ended_at) = (OfferOutcome::Accepted, None::<OfferCause>, Some(at(secs)));
        call = ended(call, EndReason::Completed, at(secs + 1));
    }
    t.store.save_call(&call, vec![], at(secs + 1)).await.unwrap();
    *taken.entry(chosen).or_default() += 1;
}

#[track_caller]
fn even(taken: &Taken, agents: usize) {
    let (least, most) = (taken.values().min().unwrap(), taken.values().max().unwrap());
    assert!(taken.len() == agents && most - least <= 1, "{taken:?}");
}

on_both!(calls_are_spread_within_one_over_restarts_and_while_agents_come_and_go);
async fn calls_are_spread_within_one_over_restarts_and_while_agents_come_and_go(mut t: Fixture) {
    t.store.put_number(&number(), None).await.unwrap();
    for name in ["a", "b", "c", "d"] {
        present(&t, name, Presence::Online).await;
    }
    let (mut secs, mut taken) = (0, Taken::new());
    for n in 0..41 {
        secs += 2;
        call(&t, &mut taken, secs).await;
        if n % 7 == 3 {
            t = t.restart().await;
        }
    }
    even(&taken, 4);

    // One goes, a new one comes, who was never rung: first in line, and one of many from then on.
    present(&t, "b", Presence::Offline).await;
    present(&t, "e", Presence::Online).await;
    assert_eq!(next(&t, "995555111222", secs).await.as_str(), "agt_e");
    let mut taken = Taken::new();
    for _ in 0..18 {
        secs += 2;
        call(&t, &mut taken, secs).await;
        t = t.restart().await;
    }
    even(&taken, 4);
    assert!(!taken.contains_key(&fixture::agent_id("b")));

    // Who comes back has been idle longest, and gets no more than that one turn for it.
    present(&t, "b", Presence::Online).await;
    let mut taken = Taken::new();
    for _ in 0..23 {
        secs += 2;
        call(&t, &mut taken, secs).await;
    }
    even(&taken, 5);
}

on_both!(agents_idle_since_the_same_moment_take_turns_by_their_ids);
async fn agents_idle_since_the_same_moment_take_turns_by_their_ids(t: Fixture) {
    t.store.put_number(&number(), None).await.unwrap();
    let contact = t.customer("995555111222").await;
    for name in ["c", "a", "b"] {
        present(&t, name, Presence::Online).await;
        // As after a crash: everybody's call is settled at the same moment.
        let mut call = ringing(&contact, T0);
        call.offers[0].agent_id = fixture::agent_id(name);
        t.store.save_call(&ended(call, EndReason::SetupFailed, at(1)), vec![], at(1)).await.unwrap();
    }
    let (mut order, mut taken) = (Vec::new(), Taken::new());
    for n in 1..=6 {
        order.push(next(&t, "995555111222", 10 * n).await.to_string());
        call(&t, &mut taken, 10 * n).await;
    }
    assert_eq!(order, ["agt_a", "agt_b", "agt_c", "agt_a", "agt_b", "agt_c"]);
}
