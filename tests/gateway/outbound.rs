//! An agent calls.

use std::time::Duration;

use serde_json::json;
use tandem_loadtest::measure;
use tandem_loadtest::sound::Sound;
use tandem_loadtest::whatsapp::Script;

use crate::world::{NINO, NUMBER, SOON, World, agent_share, agent_voice};

on_both!(an_answered_outbound_call_is_heard_at_both_ends_and_recorded);
async fn an_answered_outbound_call_is_heard_at_both_ends_and_recorded(world: World) {
    let agent = world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    let (customer, says) = (Sound::beeps(12), agent_voice());
    world.wa.set_customer(NINO, Script::answers_after(Duration::from_millis(500)).says(customer.clone()));

    let talk = agent.dial(NUMBER, &format!("wa:{NINO}")).await.unwrap();
    let phone = world.wa.next_outbound(SOON).await.unwrap();
    phone.answered(SOON).await.unwrap();
    agent.event("call.answered", SOON, |_| true).await.unwrap();
    talk.connected(SOON).await.unwrap();
    talk.speak(&says);
    talk.finished_speaking(SOON).await.unwrap();
    phone.finished_speaking(SOON).await.unwrap();
    world.until("the phone hears the agent", async || agent_share(&phone.heard().pcm()) > 0.4).await;
    assert_eq!(measure::beeps_heard(&talk.heard().pcm(), 12), (0..12).collect::<Vec<_>>());
    assert_eq!(phone.violations(), []);
    talk.hang_up().await.unwrap();
    let ended = phone.ended(SOON).await.unwrap();
    assert!(ended.duration.is_some());
    let call = world.settled(&talk.call_id).await;
    assert_eq!(
        (&call["direction"], &call["status"], &call["ended_by"]),
        (&json!("business_initiated"), &json!("Completed"), &json!("agent"))
    );
    assert_eq!(call["placed_by"], json!({"kind": "agent", "agent_id": "agt_a"}));
    let (left, right) = world.recording(&talk.call_id).await;
    assert_eq!(measure::beeps_heard(&left, 12), (0..12).collect::<Vec<_>>());
    assert!(agent_share(&right) > 0.4 && agent_share(&left) < 0.05);
    let outbound = world.get("calls?section=outbound").await;
    assert_eq!(outbound["items"][0]["id"], talk.call_id.as_str());
}

#[tokio::test]
async fn declined_and_unanswered_calls_are_told_apart() {
    for (script, status, reason) in [
        (Script::declines_after(Duration::from_millis(300)), "Rejected by Customer", "rejected_by_customer"),
        (Script::ignores(), "Missed by Customer", "missed_by_customer"),
    ] {
        let network =
            tandem_loadtest::whatsapp::Config { outbound_ring_timeout: Duration::from_secs(1), ..Default::default() };
        let world = World::with("", network).await;
        let agent = world.agent("agt_a").await;
        world.nino_of("agt_a").await;
        world.wa.set_customer(NINO, script);
        let talk = agent.dial(NUMBER, &format!("wa:{NINO}")).await.unwrap();
        world.wa.next_outbound(SOON).await.unwrap().ended(SOON).await.unwrap();
        world.until("the call ends", async || world.call(&talk.call_id).await["state"] == "ended").await;
        world.until("its status settles", async || world.call(&talk.call_id).await["status"] == status).await;
        let call = world.call(&talk.call_id).await;
        assert_eq!((&call["end_reason"], &call["answered_at"]), (&json!(reason), &json!(null)));
    }
}

#[tokio::test]
async fn every_blocker_is_reported_and_no_media_is_spent() {
    let world = World::start().await;
    world.agent("agt_a").await;
    world.agent_offline("agt_b").await;
    world.put(&format!("contacts/wa:{NINO}"), json!({"assignee_id": "agt_b"})).await;
    let wish = json!({"number_id": NUMBER, "to": format!("wa:{NINO}"), "agent_id": "agt_a"});
    let refused = world.gateway.request("POST", "calls", Some(wish)).await.problem(409, "call_blocked");
    let codes: Vec<_> = refused["blockers"].as_array().unwrap().iter().map(|b| b["code"].as_str().unwrap()).collect();
    assert!(codes.contains(&"not_assignee") && codes.contains(&"no_permission"), "{codes:?}");
    let asked = world.get(&format!("contacts/wa:{NINO}/callability?number_id={NUMBER}&agent_id=agt_a")).await;
    assert_eq!(asked["callable"], false);
    assert_eq!(asked["blockers"], refused["blockers"]);
    assert_eq!(world.wa.requests().len(), 0, "WhatsApp was not asked");
    assert_eq!(world.calls().await.len(), 0);
}

#[tokio::test]
async fn a_cancelled_call_stops_ringing_at_the_customer() {
    let world = World::start().await;
    let agent = world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    world.wa.set_customer(NINO, Script::ignores());
    let talk = agent.dial(NUMBER, &format!("wa:{NINO}")).await.unwrap();
    let phone = world.wa.next_outbound(SOON).await.unwrap();
    agent.event("call.ringing", SOON, |_| true).await.unwrap();
    talk.hang_up().await.unwrap();
    phone.ended(SOON).await.unwrap();
    let call = world.settled(&talk.call_id).await;
    assert_eq!((&call["ended_by"], &call["answered_at"]), (&json!("agent"), &json!(null)));
}

#[tokio::test]
async fn two_calls_to_one_customer_at_once_are_one() {
    let world = World::start().await;
    let anna = world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    world.wa.set_customer(NINO, Script::ignores());
    let wish = json!({"number_id": NUMBER, "to": format!("wa:{NINO}"), "agent_id": "agt_a"});
    let (one, two) = tokio::join!(
        world.gateway.request("POST", "calls", Some(wish.clone())),
        world.gateway.request("POST", "calls", Some(wish.clone()))
    );
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
    drop(anna);
}
