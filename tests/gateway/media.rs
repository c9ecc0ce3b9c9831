//! What happens to the sound while a call is up.

use std::time::Duration;

use serde_json::json;
use tandem_loadtest::measure;
use tandem_loadtest::sound::Sound;
use tandem_loadtest::whatsapp::{InboundCall, Step};

use crate::world::{NINO, SOON, World, agent_share, agent_voice};

#[tokio::test]
async fn a_reloaded_tab_comes_back_to_the_same_call_while_the_customer_hears_hold_audio() {
    let world = World::start().await;
    let agent = world.agent("agt_a").await;
    let phone = world.wa.call(InboundCall::from(NINO).step(Step::SpeakForever(Sound::beeps(10)))).await.unwrap();
    let talk = agent.next_offer(SOON).await.unwrap().accept().await.unwrap();
    phone.answered(SOON).await.unwrap();
    talk.connected(SOON).await.unwrap();
    talk.close_tab();
    agent.event("call.agent_lost", SOON, |_| true).await.expect("the vanished browser is noticed");
    assert!(!phone.is_ended());
    let lost = std::time::Instant::now();
    world
        .until("the customer hears hold audio", async || {
            let since = phone.heard().since(lost).pcm();
            since.len() > 16_000 && measure::rms(&since[since.len() - 16_000..]) > 100.0
        })
        .await;
    let again = agent.attach(&talk.call_id).await.unwrap();
    again.connected(SOON).await.unwrap();
    let says = agent_voice();
    again.speak(&says);
    world
        .until("the customer hears the agent again", async || agent_share(&phone.heard().since(lost).pcm()) > 0.2)
        .await;
    world.until("the agent hears the customer again", async || !again.heard().is_empty()).await;
    assert_eq!(phone.violations(), [], "one SSRC, one line, never silent");
    again.hang_up().await.unwrap();
    let call = world.settled(&talk.call_id).await;
    assert_eq!((&call["status"], &call["recording"]["state"]), (&json!("Completed"), &json!("ready")));
}

#[tokio::test]
async fn hold_plays_to_the_customer_and_neither_side_hears_the_other() {
    let world = World::start().await;
    let agent = world.agent("agt_a").await;
    let phone = world.wa.call(InboundCall::from(NINO)).await.unwrap();
    let talk = agent.next_offer(SOON).await.unwrap().accept().await.unwrap();
    phone.answered(SOON).await.unwrap();
    talk.connected(SOON).await.unwrap();
    talk.hold().await.unwrap();
    assert_eq!(world.call(&talk.call_id).await["state"], "held");
    let held = std::time::Instant::now();
    let secret = agent_voice();
    talk.speak(&secret);
    talk.finished_speaking(SOON).await.unwrap();
    let heard = || phone.heard().since(held).pcm();
    world.until("the customer hears that somebody will come back", async || measure::rms(&heard()) > 100.0).await;
    assert!(agent_share(&heard()) < 0.05, "what is said on hold stays here");
    talk.resume().await.unwrap();
    let resumed = std::time::Instant::now();
    talk.speak(&secret);
    world.until("they hear each other again", async || agent_share(&phone.heard().since(resumed).pcm()) > 0.4).await;
}

#[tokio::test]
async fn keys_pressed_arrive_once_each_in_both_directions() {
    let world = World::start().await;
    let agent = world.agent("agt_a").await;
    let script = InboundCall::from(NINO).step(Step::Wait(Duration::from_millis(500))).step(Step::Dtmf("12#".into()));
    let phone = world.wa.call(script.step(Step::SpeakForever(Sound::beeps(5)))).await.unwrap();
    let talk = agent.next_offer(SOON).await.unwrap().accept().await.unwrap();
    phone.answered(SOON).await.unwrap();
    talk.connected(SOON).await.unwrap();
    let mut pressed = String::new();
    for digit in ["1", "2", "#"] {
        agent.event("call.dtmf", SOON, |event| event["data"]["digit"] == digit).await.unwrap();
        pressed.push_str(digit);
    }
    assert_eq!(agent.events().iter().filter(|event| event.kind == "call.dtmf").count(), 3, "once per key");
    world.post(&format!("calls/{}/dtmf", talk.call_id), json!({"digits": "90*"})).await;
    world.until("the phone hears our keys", async || phone.heard().digits() == "90*").await;
    world
        .gateway
        .request("POST", &format!("calls/{}/dtmf", talk.call_id), Some(json!({"digits": "x"})))
        .await
        .problem(422, "invalid_field");
}

#[tokio::test]
async fn a_customer_who_falls_silent_raises_an_alarm_and_the_quality_of_both_legs_is_kept() {
    let world = World::start().await;
    let agent = world.agent("agt_a").await;
    let script = InboundCall::from(NINO).step(Step::Speak(Sound::beeps(5))).step(Step::FallSilent);
    let phone = world.wa.call(script).await.unwrap();
    let talk = agent.next_offer(SOON).await.unwrap().accept().await.unwrap();
    phone.answered(SOON).await.unwrap();
    talk.connected(SOON).await.unwrap();
    agent
        .event("call.media_alarm", SOON, |event| {
            event["data"]["kind"] == "no_rtp" && event["data"]["leg"] == "whatsapp"
        })
        .await
        .unwrap();
    talk.hang_up().await.unwrap();
    let call = world.settled(&talk.call_id).await;
    let kinds: Vec<_> = call["legs"].as_array().unwrap().iter().map(|leg| leg["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"whatsapp") && kinds.contains(&"agent"), "{call}");
    for leg in call["legs"].as_array().unwrap() {
        assert!(leg["quality"]["packets_received"].as_u64().unwrap() > 20, "{leg}");
        assert_eq!(leg["quality"]["packets_lost"], 0);
    }
    assert!(world.gateway.metric("tandem_calls_total").await >= 1.0);
}
