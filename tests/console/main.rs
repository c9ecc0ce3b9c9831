//! The console in a real Chromium with a fake microphone: real clicks, and what was heard at both ends.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a story fails where it cannot go on, and lives in real time"
)]

#[allow(dead_code, reason = "the vocabulary of stories, not all of it said in each build")]
mod browser;
mod callpage;
mod conversation;
mod desk;
mod door;
mod ground;
mod hostile;
mod house;
mod incall;
mod ledger;
mod live;
mod manage;
mod mishaps;
mod people;
mod push;
mod reach;
mod reports;
mod savedviews;
mod settings;
mod tabs;
mod taking;
mod talk;
mod team;
#[path = "../gateway/world.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the gateway's stories, which use all of it")]
mod world;

use std::time::Duration;

use browser::Browser;
use serde_json::json;
use tandem_loadtest::measure;
use tandem_loadtest::sound::Sound;
use tandem_loadtest::whatsapp::{Grant, InboundCall, Script, Step};
use world::{NINO, SOON, World};

/// How calls ring, where a story does not say so: a browser on a busy machine shows them late, and is still looked at when
/// they would have rung to their end.
const CALLS: &str = "[calls]\nring_timeout_ms = 40000\nshown_ms = 10000\n";
/// What the fake microphone hums.
const MICROPHONE_HZ: f32 = 997.0;
/// What the customer hums.
const CUSTOMER_HZ: f32 = 600.0;

#[tokio::test(flavor = "multi_thread")]
async fn a_ringing_call_is_answered_in_the_browser_heard_at_both_ends_and_played_back() {
    let world = World::start().await;
    world.agent_offline("agt_a").await;
    world.nino_of("agt_a").await;
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    sign_in(&world, &browser, "agt_a").await;

    let hum = InboundCall::from(NINO)
        .named("Nino")
        .step(Step::SpeakForever(Sound::tone(CUSTOMER_HZ, Duration::from_secs(2))));
    let phone = world.wa.call(hum).await.unwrap();
    browser.shows("popup-name", "Nino Beridze").await;
    assert!(browser.text("popup-number").await.contains("995"));
    browser.screenshot("popup").await;
    browser.click("popup-accept").await;
    phone.answered(SOON).await.unwrap();
    browser.appears("call-panel").await;
    hear_each_other(&world, &browser, &phone).await;
    world.until("the clock of the call runs", async || browser.text("call-duration").await.starts_with("0:")).await;
    browser.screenshot("in-call").await;
    assert_eq!(phone.violations(), []);

    let call = world.newest_call("the call is up", |call| call["state"] == "active").await;
    let id = call["id"].as_str().unwrap();
    browser.click("call-hangup").await;
    phone.ended(SOON).await.unwrap();
    browser.appears("toast").await;
    let call = world.settled(id).await;
    assert_eq!((&call["status"], &call["ended_by"]), (&json!("Completed"), &json!("agent")));
    let (customer, agent) = world.recording(id).await;
    assert!(measure::tone_share(&customer, CUSTOMER_HZ) > 0.5, "the customer is on the left");
    assert!(measure::tone_share(&agent, MICROPHONE_HZ) > 0.3, "the agent is on the right");
    // Browsers say how loud each packet is; the call keeps it.
    let quality = world.get(&format!("calls/{id}/quality")).await;
    let legs = quality["legs"].as_array().unwrap();
    let level = legs.iter().find(|leg| leg["kind"] == "agent").unwrap()["quality"]["level_dbov"].as_f64();
    assert!(level.is_some_and(|dbov| (-40.0..0.0).contains(&dbov)), "{quality}");

    browser.open(&format!("{}/calls", world.gateway.base)).await;
    let row = format!("[data-testid=call-row][data-call-id='{id}']");
    browser.has(&row, "data-status", "Completed").await;
    browser.screenshot("calls").await;
    browser.click_css(&row).await;
    browser.appears("recording-player").await;
    world.until("the recording can be played", async || {
        browser.run("const a = document.querySelector('[data-testid=recording-player] audio, audio[data-testid=recording-player]'); return a && a.duration > 0.2 && a.duration < 600;").await == json!(true)
    })
    .await;
    browser.screenshot("call").await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_called_from_the_browser_and_both_hear_each_other() {
    let world = World::start().await;
    world.agent_offline("agt_a").await;
    world.nino_of("agt_a").await;
    let hums = Step::SpeakForever(Sound::tone(CUSTOMER_HZ, Duration::from_secs(2)));
    world.wa.set_customer(NINO, Script::answers_after(Duration::from_millis(700)).step(hums));
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    sign_in(&world, &browser, "agt_a").await;

    let contact = world.get(&format!("contacts/wa:{NINO}")).await;
    browser.open(&format!("{}/contacts/{}", world.gateway.base, contact["id"].as_str().unwrap())).await;
    browser.click("call-button").await;
    browser.appears("call-dialog").await;
    browser
        .shows("call-rate", "Estimated rate to Georgia: $0.0095 per minute, charged for every six seconds begun.")
        .await;
    assert_eq!(browser.text("call-wallet").await, "Wallet: $100.00 available.");
    browser.screenshot("call-dialog").await;
    browser.click("call-start").await;
    let phone = world.wa.next_outbound(SOON).await.unwrap();
    phone.answered(SOON).await.unwrap();
    browser.appears("call-panel").await;
    hear_each_other(&world, &browser, &phone).await;
    phone.hang_up();
    browser.appears("toast").await;
    let call = world.newest_call("the call is over", |call| call["state"] == "ended").await;
    let call = world.settled(call["id"].as_str().unwrap()).await;
    assert_eq!((&call["direction"], &call["status"]), (&json!("business_initiated"), &json!("Completed")));
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_call_button_is_absent_until_the_chat_is_assigned_and_vanishes_again() {
    let world = World::start().await;
    world.agent_offline("agt_a").await;
    world.agent_offline("agt_b").await;
    world.nino_of("agt_b").await;
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    sign_in(&world, &browser, "agt_a").await;
    let contact = world.get(&format!("contacts/wa:{NINO}")).await;
    browser.open(&format!("{}/contacts/{}", world.gateway.base, contact["id"].as_str().unwrap())).await;
    browser.appears("permission-chip").await;
    assert!(!browser.is_there("call-button").await, "absent, not merely disabled");
    world.put(&format!("contacts/wa:{NINO}"), json!({"assignee_id": "agt_a"})).await;
    browser.appears("call-button").await;
    world.put(&format!("contacts/wa:{NINO}"), json!({"assignee_id": "agt_b"})).await;
    browser.vanishes("call-button").await;
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_call_button_appears_the_moment_the_customer_agrees() {
    let world = World::start().await;
    world.agent_offline("agt_a").await;
    world.put(&format!("contacts/wa:{NINO}"), json!({"name": "Nino", "assignee_id": "agt_a"})).await;
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    sign_in(&world, &browser, "agt_a").await;
    let contact = world.get(&format!("contacts/wa:{NINO}")).await;
    browser.open(&format!("{}/contacts/{}", world.gateway.base, contact["id"].as_str().unwrap())).await;
    browser.appears("permission-chip").await;
    assert!(!browser.is_there("call-button").await);
    let request = json!({"number_id": world::NUMBER, "contact": format!("wa:{NINO}"), "kind": "template",
        "template": {"name": "may_we_call", "language": "en"}});
    world.post("permission-requests", request).await;
    let status = || browser.attribute("[data-testid=permission-chip]", "data-status");
    world.until("the page shows that she was asked", async || status().await == "requested").await;
    world.wa.grant_permission(NINO, Grant::Permanent).await.unwrap();
    browser.appears("call-button").await;
    browser.has("[data-testid=permission-chip]", "data-status", "permanent").await;
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_in_the_middle_of_a_call_comes_back_to_it() {
    let world = World::start().await;
    world.agent_offline("agt_a").await;
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    sign_in(&world, &browser, "agt_a").await;
    let hum = InboundCall::from(NINO).step(Step::SpeakForever(Sound::tone(CUSTOMER_HZ, Duration::from_secs(2))));
    let phone = world.wa.call(hum).await.unwrap();
    browser.click("popup-accept").await;
    phone.answered(SOON).await.unwrap();
    hear_each_other(&world, &browser, &phone).await;
    browser.reload().await;
    browser.appears("call-panel").await;
    hear_each_other(&world, &browser, &phone).await;
    assert!(!phone.is_ended());
    assert_eq!(phone.violations(), []);
    browser.quit().await;
}

async fn sign_in(world: &World, browser: &Browser, agent: &str) {
    let token = world.token(agent).await;
    browser.open(&format!("{}/", world.gateway.base)).await;
    hear_plainly(browser).await;
    browser.open("about:blank").await;
    browser.open(&format!("{}/#token={token}", world.gateway.base)).await;
    browser.click("status-switch").await;
    world
        .until("the agent is online", async || {
            let agents = world.get("agents").await;
            let agents = agents["items"].as_array().unwrap();
            agents.iter().any(|a| a["id"] == agent && a["status"] == "online")
        })
        .await;
}

/// Noise suppression takes a steady hum for noise.
async fn hear_plainly(browser: &Browser) {
    let plain = r#"{"echoCancellation":false,"noiseSuppression":false,"autoGainControl":false}"#;
    browser.run(&format!("localStorage.setItem('tandem.desk', '{plain}')")).await;
}

/// The page plays the customer's hum, and the phone hears the microphone's.
async fn hear_each_other(world: &World, browser: &Browser, phone: &tandem_loadtest::whatsapp::CallHandle) {
    let since = std::time::Instant::now();
    let mut peak = 0.0;
    for _ in 0..20 {
        peak = browser.remote_peak_hz().await;
        if (peak - f64::from(CUSTOMER_HZ)).abs() < 40.0 {
            break;
        }
    }
    assert!((peak - f64::from(CUSTOMER_HZ)).abs() < 40.0, "the page plays {peak} Hz");
    world
        .until("the phone hears the microphone", async || {
            measure::tone_share(&phone.heard().since(since).pcm(), MICROPHONE_HZ) > 0.3
        })
        .await;
}
