//! A customer calls.

use std::time::Duration;

use serde_json::json;
use tandem_loadtest::measure;
use tandem_loadtest::sound::Sound;
use tandem_loadtest::whatsapp::{CallOptions, Config, InboundCall};

use crate::world::{NINO, SOON, World, agent_share, agent_voice};

on_both!(an_answered_call_is_heard_at_both_ends_and_in_both_channels_of_its_recording);
async fn an_answered_call_is_heard_at_both_ends_and_in_both_channels_of_its_recording(world: World) {
    let agent = world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    let (caller, answer) = (Sound::beeps(20), agent_voice());

    let phone = world.wa.call(InboundCall::from(NINO).named("Nino").says(caller.clone())).await.unwrap();
    let offer = agent.next_offer(SOON).await.unwrap();
    assert_eq!(offer.contact["name"], "Nino Beridze");
    offer.prepare().await.unwrap();
    let talk = offer.accept().await.unwrap();
    phone.answered(SOON).await.unwrap();
    talk.connected(SOON).await.unwrap();
    talk.speak(&answer);
    phone.finished_speaking(SOON).await.unwrap();
    talk.finished_speaking(SOON).await.unwrap();
    world.until("the phone hears the agent", async || agent_share(&phone.heard().pcm()) > 0.4).await;

    // What the caller said arrives whole: not a millisecond of the first word is missing.
    world
        .until("every beep arrives", async || {
            measure::beeps_heard(&talk.heard().pcm(), 20) == (0..20).collect::<Vec<_>>()
        })
        .await;
    let clipped = measure::clipped_ms(caller.pcm(), &talk.heard().pcm());
    assert!(clipped.is_some_and(|ms| ms < 1.0), "{clipped:?} ms of the first word are missing");
    assert_eq!(phone.violations(), []);
    let stats = phone.stats();
    assert_eq!(stats.ssrcs.len(), 1);

    let call = world.newest_call("the call is up", |call| call["state"] == "active").await;
    let id = call["id"].as_str().unwrap().to_owned();
    assert_eq!(call["status"], "Ongoing");
    agent.event("call.answered", SOON, |event| event["data"]["id"] == id.as_str()).await.unwrap();
    phone.hang_up();
    let call = world.settled(&id).await;
    assert_eq!(
        (&call["status"], &call["end_reason"], &call["ended_by"], &call["agent_id"]),
        (&json!("Completed"), &json!("completed"), &json!("customer"), &json!("agt_a"))
    );
    assert_eq!(call["offers"][0]["outcome"], "accepted");
    assert_eq!(call["recording"]["state"], "ready", "{call}");
    let (customer, agent_channel) = world.recording(&id).await;
    assert_eq!(measure::beeps_heard(&customer, 20), (0..20).collect::<Vec<_>>(), "the caller is on the left");
    assert!(agent_share(&agent_channel) > 0.4, "the agent is on the right");
    assert!(agent_share(&customer) < 0.05, "and not on both");
    assert_eq!(measure::beeps_heard(&agent_channel, 20), [0; 0], "nor the caller");
    let seconds = customer.len() as f64 / 16_000.0;
    assert!((seconds - call["duration_ms"].as_f64().unwrap() / 1000.0).abs() < 1.5, "{seconds} s, {call}");
    agent.event("call.ended", SOON, |event| event["data"]["id"] == id.as_str()).await.unwrap();
}

#[tokio::test]
async fn a_rejected_offer_is_missed_by_that_agent_and_the_next_one_answers() {
    let world = World::start().await;
    let anna = world.agent("agt_a").await;
    let ben = world.agent("agt_b").await;
    world.nino_of("agt_a").await;
    let phone = world.wa.call(InboundCall::from(NINO).says(Sound::beeps(3))).await.unwrap();
    anna.next_offer(SOON).await.unwrap().reject().await.unwrap();
    let talk = ben.next_offer(SOON).await.unwrap().accept().await.unwrap();
    phone.answered(SOON).await.unwrap();
    talk.hang_up().await.unwrap();
    phone.ended(SOON).await.unwrap();
    let call = world.newest_call("the call is over", |call| call["state"] == "ended").await;
    let call = world.settled(call["id"].as_str().unwrap()).await;
    assert_eq!((&call["status"], &call["ended_by"]), (&json!("Completed"), &json!("agent")));
    let offers: Vec<_> =
        call["offers"].as_array().unwrap().iter().map(|o| (&o["agent_id"], &o["outcome"], &o["cause"])).collect();
    assert_eq!(
        offers,
        [
            (&json!("agt_a"), &json!("missed_by_agent"), &json!("rejected")),
            (&json!("agt_b"), &json!("accepted"), &json!(null))
        ]
    );
}

#[tokio::test]
async fn a_rejected_offer_ends_the_call_where_the_configuration_says_so() {
    let world = World::with("[calls]\non_reject = \"end\"\n", Config::default()).await;
    let (anna, _ben) = (world.agent("agt_a").await, world.agent("agt_b").await);
    world.nino_of("agt_a").await;
    let phone = world.wa.call(InboundCall::from(NINO)).await.unwrap();
    let offer = anna.next_offer(SOON).await.unwrap();
    offer.reject().await.unwrap();
    phone.ended(SOON).await.unwrap();
    let call = world.settled(&offer.call_id).await;
    assert_eq!((&call["status"], &call["end_reason"]), (&json!("Missed by Agent"), &json!("missed_by_agent")));
    let offers = call["offers"].as_array().unwrap();
    assert_eq!(offers.len(), 1, "Ben is never rung: {call}");
    assert_eq!((&offers[0]["agent_id"], &offers[0]["cause"]), (&json!("agt_a"), &json!("rejected")));
    assert!(!phone.is_answered());
}

#[tokio::test]
async fn a_ring_nobody_hears_goes_on_to_the_next_and_ends_as_missed() {
    let world = World::with("[calls]\nring_timeout_ms = 600\n", Config::default()).await;
    let anna = world.agent("agt_a").await;
    let ben = world.agent("agt_b").await;
    world.nino_of("agt_a").await;
    let phone = world.wa.call(InboundCall::from(NINO)).await.unwrap();
    let first = anna.next_offer(SOON).await.unwrap();
    let second = ben.next_offer(SOON).await.unwrap();
    assert_eq!(first.call_id, second.call_id);
    anna.event("offer.withdrawn", SOON, |event| event["data"]["reason"] == "ring_timeout").await.unwrap();
    phone.ended(SOON).await.unwrap();
    let call = world.settled(&first.call_id).await;
    assert_eq!((&call["status"], &call["end_reason"]), (&json!("Missed by Agent"), &json!("missed_by_agent")));
    assert!(!phone.is_answered());
    let missed = world.get("calls?section=missed").await;
    assert_eq!(missed["items"][0]["offers"].as_array().unwrap().len(), 2);
    let late = world.gateway.request("POST", &format!("offers/{}/accept", first.id), Some(json!({}))).await;
    late.problem(409, "offer_not_pending");
}

#[tokio::test]
async fn a_caller_who_hangs_up_while_it_rings_takes_the_offer_away() {
    let world = World::start().await;
    let agent = world.agent("agt_a").await;
    let call = InboundCall::from(NINO).hangs_up_ringing(Duration::from_millis(1500));
    let phone = world.wa.call(call).await.unwrap();
    let offer = agent.next_offer(SOON).await.unwrap();
    phone.ended(SOON).await.unwrap();
    agent.event("offer.withdrawn", SOON, |event| event["data"]["reason"] == "caller_cancelled").await.unwrap();
    let call = world.settled(&offer.call_id).await;
    assert_eq!((&call["status"], &call["end_reason"]), (&json!("Missed by Agent"), &json!("caller_cancelled")));
    assert_eq!(
        (&call["offers"][0]["outcome"], &call["offers"][0]["cause"]),
        (&json!("withdrawn"), &json!("caller_cancelled"))
    );
    assert!(offer.accept().await.is_err());
}

#[tokio::test]
async fn nobody_online_is_refused_at_once_with_a_trace_of_why() {
    let world = World::start().await;
    let _offline = world.agent_offline("agt_a").await;
    let (cta_payload, deeplink_payload) = (Some("order-7781".to_owned()), Some("site-footer".to_owned()));
    let options = CallOptions { cta_payload, deeplink_payload, ..CallOptions::default() };
    let phone = world.wa.call(InboundCall::from(NINO).with(options)).await.unwrap();
    phone.ended(SOON).await.unwrap();
    let call = world.newest_call("the call is over", |call| call["state"] == "ended").await;
    assert_eq!((&call["end_reason"], &call["status"]), (&json!("no_agent_available"), &json!("Missed by Agent")));
    let trace = world.get(&format!("calls/{}/trace", call["id"].as_str().unwrap())).await;
    assert!(trace["trace"].to_string().contains("agt_a"), "{trace}");
    let from = (&call["cta_payload"], &call["deeplink_payload"]);
    assert_eq!(from, (&json!("order-7781"), &json!("site-footer")), "where the customer pressed call");
}

#[tokio::test]
async fn who_is_rung_or_in_a_call_is_not_removed_until_it_is_over() {
    let world = World::start().await;
    let agent = world.agent("agt_a").await;
    let phone = world.wa.call(InboundCall::from(NINO)).await.unwrap();
    let offer = agent.next_offer(SOON).await.unwrap();
    let remove = async || world.gateway.request("DELETE", "agents/agt_a", None).await;
    remove().await.problem(409, "wrong_state");
    let talk = offer.accept().await.unwrap();
    phone.answered(SOON).await.unwrap();
    let refused = remove().await.problem(409, "wrong_state");
    assert!(refused["detail"].as_str().unwrap().contains("in a call"), "{refused}");
    assert!(!phone.is_ended());
    talk.hang_up().await.unwrap();
    phone.ended(SOON).await.unwrap();
    world.settled(&talk.call_id).await;
    world.until("it may be removed", async || remove().await.status == 204).await;
    world.gateway.request("GET", "agents/agt_a", None).await.problem(404, "not_found");
}

#[tokio::test]
async fn an_offer_is_taken_once_and_only_by_whom_it_was_made_to() {
    let world = World::start().await;
    let agent = world.agent("agt_a").await;
    world.agent_offline("agt_b").await;
    let phone = world.wa.call(InboundCall::from(NINO)).await.unwrap();
    let offer = agent.next_offer(SOON).await.unwrap();
    let path = format!("offers/{}/accept", offer.id);
    let (mine, foreign) = (world.token("agt_a").await, world.token("agt_b").await);
    let stranger = world.gateway.request_as(&foreign, "POST", &path, Some(json!({}))).await.problem(404, "not_found");
    let unknown = world.gateway.request_as(&foreign, "POST", "offers/off_nothing/accept", Some(json!({}))).await;
    let unknown = unknown.problem(404, "not_found");
    assert_eq!((&stranger["detail"], &stranger["title"]), (&unknown["detail"], &unknown["title"]));
    world.gateway.request_as(&mine, "POST", &path, Some(json!({}))).await.ok();
    world.gateway.request_as(&mine, "POST", &path, Some(json!({}))).await.problem(409, "offer_not_pending");
    phone.hang_up();
}
