//! The wall of a supervisor: who waits, who talks, who could take the next call.

use std::time::Duration;

use serde_json::json;
use tandem_loadtest::sound::Sound;
use tandem_loadtest::whatsapp::{InboundCall, Step};

use crate::browser::Browser;
use crate::people::{hire, sign_in_at};
use crate::world::{NINO, SOON, World};
use crate::{CUSTOMER_HZ, MICROPHONE_HZ};

#[tokio::test(flavor = "multi_thread")]
async fn a_lead_sees_each_call_of_the_team_from_the_first_ring_to_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let pack = dir.path().join("pack.toml");
    let built_in = include_str!("../../config/policy/default.toml");
    std::fs::write(&pack, built_in.replace("wrap_up_s = 0", "wrap_up_s = 300")).unwrap();
    let world = World::with(&format!("[policy]\npack = {pack:?}\n"), Default::default()).await;
    hire(&world, "agt_lead", "Lea", "sales_lead").await;
    world.put("teams/team_other", json!({"name": "Other"})).await;
    world.put("agents/agt_z", json!({"name": "Zaza", "role": "teammate", "team_id": "team_other"})).await;
    let ana = world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    sign_in_at(&world, &browser, "agt_lead", "/live").await;
    browser.reads(DEEDS, "agt_a Free|Lea Offline").await;
    browser.looks_good("live-quiet").await;

    let hums = Step::SpeakForever(Sound::tone(CUSTOMER_HZ, Duration::from_secs(2)));
    let phone = world.wa.call(InboundCall::from(NINO).named("Nino").step(hums)).await.unwrap();
    let offer = ana.next_offer(SOON).await.unwrap();
    shows(&world, &browser, "agt_a Nino Beridze rings").await;
    browser.reads(CALLS, "Ringing Rings at agt_a").await;
    browser.reads(&figure("waiting"), "1").await;
    let call = offer.accept().await.unwrap();
    phone.answered(SOON).await.unwrap();
    shows(&world, &browser, "agt_a Talks to Nino Beridze").await;
    browser.reads(CALLS, "Ongoing agt_a").await;
    browser.reads(&figure("talking"), "1").await;
    browser.looks_good("live").await;

    call.hang_up().await.unwrap();
    phone.ended(SOON).await.unwrap();
    shows(&world, &browser, "agt_a Writes up the last call").await;
    browser.reads(CALLS, "").await;
    browser.looks_good("live-wrap-up").await;
    let token = world.token("agt_a").await;
    assert_eq!(world.gateway.request_as(&token, "DELETE", "agents/agt_a/wrap-up", None).await.status, 204);
    shows(&world, &browser, "agt_a Free").await;
    ana.go_offline().await.unwrap();
    shows(&world, &browser, "agt_a Offline").await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sees_only_own_calls_has_no_wall() {
    let world = World::start().await;
    hire(&world, "agt_mate", "Mate", "teammate").await;
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    sign_in_at(&world, &browser, "agt_mate", "/").await;
    assert_eq!(browser.run("return document.querySelectorAll('a[href=\"/live\"]').length").await, json!(0));
    browser.quit().await;
}

const DEEDS: &str = "return [...document.querySelectorAll('.live-agent')].map((agent) => `${agent.querySelector('strong').textContent} ${agent.querySelector('.live-deed').textContent}`).join('|')";
const CALLS: &str = "return [...document.querySelectorAll('[data-testid=live-calls] li')].map((call) => `${call.dataset.status} ${call.querySelector('.live-with strong').textContent}`).join('|')";

fn figure(name: &str) -> String {
    format!("return document.querySelector('[data-testid=live-{name}] strong').textContent")
}

/// Waits until an agent's card says this.
async fn shows(world: &World, browser: &Browser, told: &str) {
    world.until(told, async || browser.run(DEEDS).await.as_str().unwrap().split('|').any(|agent| agent == told)).await;
}
