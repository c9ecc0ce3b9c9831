//! Whom calls pass by, how they come back, and what an agent says who has no time.

use serde_json::{Value, json};
use tandem_loadtest::whatsapp::{CallHandle, InboundCall};

use crate::ring::{Console, moment};
use crate::world::{NINO, NUMBER, SOON, World};

const READY: [&str; 5] = ["microphone", "speaker", "notifications", "sound", "media"];

async fn nino_calls(world: &World) -> CallHandle {
    world.wa.call(InboundCall::from(NINO)).await.unwrap()
}

/// What Ana's client says of itself.
async fn looks(world: &World, ana: &Console, microphone: &str) {
    let mut all: Value = READY.map(|name| (name.to_owned(), json!("passed"))).into_iter().collect();
    all["microphone"] = microphone.into();
    world.gateway.request_as(&ana.token, "PUT", "agents/agt_a/readiness", Some(all)).await.ok();
}

async fn passed_over(world: &World) -> Value {
    world.get("agents/agt_a").await["passed_over"]["cause"].clone()
}

on_both!(a_console_that_showed_nothing_costs_only_the_first_caller_a_second_until_it_speaks_again);
async fn a_console_that_showed_nothing_costs_only_the_first_caller_a_second_until_it_speaks_again(world: World) {
    let mut ana = Console::open(&world, "agt_a").await;
    let ben = world.agent("agt_b").await;
    world.nino_of("agt_a").await;
    let phone = nino_calls(&world).await;
    ana.hears("offer.created").await;
    ben.next_offer(SOON).await.unwrap().reject().await.unwrap();
    phone.ended(SOON).await.unwrap();
    assert_eq!(ana.hears("agent.passed_over").await["passed_over"]["cause"], "not_shown");
    assert_eq!(passed_over(&world).await, "not_shown");

    let phone = nino_calls(&world).await;
    let offer = ben.next_offer(SOON).await.unwrap();
    let call = world.call(&offer.call_id).await;
    assert_eq!(call["offers"].as_array().unwrap().len(), 1, "{call}");
    let cost = moment(&call["offers"][0]["offered_at"]).duration_since(moment(&call["created_at"])).as_millis();
    assert!(cost < 900, "no second of Ana's: {cost} ms");
    let trace = world.get(&format!("calls/{}/trace", offer.call_id)).await;
    let step = trace["trace"].as_array().unwrap().iter().find(|step| step["agent_id"] == "agt_a").unwrap().clone();
    assert_eq!((&step["passed_over"], &step["online"]), (&json!("not_shown"), &json!(true)), "{step}");
    offer.reject().await.unwrap();
    phone.ended(SOON).await.unwrap();

    looks(&world, &ana, "passed").await;
    assert_eq!(ana.hears("agent.passed_over").await["passed_over"], json!(null));
    let phone = nino_calls(&world).await;
    let offer = ana.hears("offer.created").await;
    ana.says(&world, offer["offer_id"].as_str().unwrap(), json!({"kind": "shown"})).await;
    phone.hang_up();
    phone.ended(SOON).await.unwrap();
}

#[tokio::test]
async fn what_a_console_says_of_a_missed_offer_brings_it_back_unless_it_may_not_sound() {
    let world = World::start().await;
    let mut ana = Console::open(&world, "agt_a").await;
    let ben = world.agent("agt_b").await;
    world.nino_of("agt_a").await;
    let phone = nino_calls(&world).await;
    let missed = ana.hears("offer.created").await["offer_id"].as_str().unwrap().to_owned();
    let _rings = ben.next_offer(SOON).await.unwrap();
    ana.hears("agent.passed_over").await;
    ana.says(&world, &missed, json!({"kind": "failed", "reason": "autoplay_blocked"})).await;
    assert_eq!(passed_over(&world).await, "not_shown", "it would miss the next one, too");
    ana.says(&world, &missed, json!({"kind": "failed", "reason": "tab_asleep"})).await;
    assert_eq!(ana.hears("agent.passed_over").await["passed_over"], json!(null), "it is awake");
    phone.hang_up();
    phone.ended(SOON).await.unwrap();
}

#[tokio::test]
async fn whose_microphone_is_gone_for_long_is_passed_by_and_back_with_it() {
    let world = World::with("[agents]\nnot_ready_after_ms = 400\n", Default::default()).await;
    let mut ana = Console::open(&world, "agt_a").await;
    let simulate = json!({"number_id": NUMBER, "contact": format!("wa:{NINO}")});
    let rings = async || world.post("routing/simulate", simulate.clone()).await["candidates"].as_array().unwrap().len();
    looks(&world, &ana, "passed").await;
    looks(&world, &ana, "failed").await;
    assert_eq!(rings().await, 1, "a headset may be changed");
    assert_eq!(ana.hears("agent.passed_over").await["passed_over"]["cause"], "not_ready");
    assert_eq!((rings().await, passed_over(&world).await), (0, json!("not_ready")));
    looks(&world, &ana, "failed").await;
    assert_eq!(rings().await, 0, "a look that finds the same changes nothing");
    looks(&world, &ana, "passed").await;
    assert_eq!((rings().await, passed_over(&world).await), (1, json!(null)));
}

on_both!(an_agent_who_has_no_time_says_so_and_the_customer_reads_it);
async fn an_agent_who_has_no_time_says_so_and_the_customer_reads_it(world: World) {
    let mut ana = Console::open(&world, "agt_a").await;
    let phone = nino_calls(&world).await;
    let offer = ana.hears("offer.created").await;
    let path = format!("offers/{}/reject", offer["offer_id"].as_str().unwrap());
    let ask = |body: Value| world.gateway.request_as(&ana.token, "POST", &path, Some(body));
    for wrong in [json!({"message": " "}), json!({"message": "x".repeat(1025)}), json!({"massage": "x"})] {
        assert_eq!(ask(wrong).await.status, 422);
    }
    let words = "In a call just now.\nI ring you back <soon>.";
    ask(json!({ "message": words })).await.ok();
    phone.ended(SOON).await.unwrap();
    assert_eq!(ana.hears("message.sent").await["text"], words);
    let sent = world.wa.requests().into_iter().rfind(|request| request.body["type"] == "text").unwrap();
    assert_eq!((&sent.body["text"]["body"], &sent.body["to"]), (&json!(words), &json!(NINO)), "{sent:?}");
    let call = offer["call_id"].as_str().unwrap();
    let timeline = world.get(&format!("calls/{call}/timeline")).await;
    let told = timeline["items"].as_array().unwrap().iter().find(|event| event["type"] == "message.sent").unwrap();
    assert_eq!((&told["data"]["by"]["agent_id"], &told["data"]["text"]), (&json!("agt_a"), &json!(words)));
    assert!(told["data"]["wamid"].as_str().unwrap().starts_with("wamid."), "{told}");
    let call = world.settled(call).await;
    assert_eq!((&call["offers"][0]["cause"], &call["status"]), (&json!("rejected"), &json!("Missed by Agent")));

    // As if her webhook had come a day late: WhatsApp would take no message, so nothing is rejected with one.
    let phone = nino_calls(&world).await;
    let offer = ana.hears("offer.created").await;
    let id = offer["offer_id"].as_str().unwrap();
    ana.says(&world, id, json!({"kind": "shown"})).await;
    world.alter("UPDATE service_windows SET opened_at = opened_at - 25 * 3600 * 1000").await;
    let path = format!("offers/{id}/reject");
    let late = world.gateway.request_as(&ana.token, "POST", &path, Some(json!({ "message": words }))).await;
    assert_eq!(late.problem(409, "request_blocked")["blockers"][0]["code"], "window_closed");
    assert!(!phone.is_ended());
    world.gateway.request_as(&ana.token, "POST", &path, None).await.ok();
    phone.ended(SOON).await.unwrap();
    let written = world.wa.requests().iter().filter(|request| request.body["type"] == "text").count();
    assert_eq!(written, 1, "and nothing more was written to her");
}

#[tokio::test]
async fn the_agents_other_devices_hear_of_the_click_and_a_wrap_up_ends_when_its_agent_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let pack = dir.path().join("pack.toml");
    let built_in = include_str!("../../config/policy/default.toml");
    std::fs::write(&pack, built_in.replace("wrap_up_s = 0", "wrap_up_s = 3600")).unwrap();
    let world = World::with(&format!("[policy]\npack = {pack:?}\n"), Default::default()).await;
    let ana = world.agent("agt_a").await;
    let mut other = Console::open(&world, "agt_a").await;
    let phone = nino_calls(&world).await;
    let offer = ana.next_offer(SOON).await.unwrap();
    let talk = offer.accept().await.unwrap();
    let told = other.hears("offer.accepted").await;
    assert_eq!((&told["call_id"], &told["offer_id"]), (&json!(talk.call_id), &json!(offer.id)));
    phone.answered(SOON).await.unwrap();
    phone.hang_up();
    world.settled(&talk.call_id).await;

    let simulate = json!({"number_id": NUMBER, "contact": format!("wa:{NINO}")});
    let rings = async || world.post("routing/simulate", simulate.clone()).await["candidates"].as_array().unwrap().len();
    let until = async || world.get("agents/agt_a/wrap-up").await["until"].clone();
    assert!(until().await.is_string());
    let seen = async || world.get("agents/agt_a").await["wrap_up_until"].clone();
    assert_eq!(
        (seen().await, other.hears("agent.wrap_up_changed").await["wrap_up_until"].clone()),
        (until().await, until().await)
    );
    assert_eq!(rings().await, 0, "she writes it up");
    let done = world.gateway.request_as(&other.token, "DELETE", "agents/agt_a/wrap-up", None).await;
    assert_eq!(done.status, 204);
    assert_eq!((rings().await, until().await, seen().await), (1, json!(null), json!(null)));
    assert_eq!(other.hears("agent.wrap_up_changed").await["wrap_up_until"], json!(null));
}
