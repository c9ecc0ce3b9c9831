//! Settings and the wallet as their owner uses them, and as nobody else may.

use serde_json::{Value, json};

use crate::MICROPHONE_HZ;
use crate::browser::Browser;
use crate::world::{NUMBER, World};

const SETTINGS: &str = "numbers/100000000000001/settings";
const VOICE: &str = "/settings/channels/voice-calling";

/// A console in which this agent is signed in, offline.
pub(crate) async fn console(world: &World, agent: &str, role: &str, configures: bool) -> Browser {
    let switches = json!({"configure_calls": configures, "all_calls": false});
    let body = json!({"name": agent, "role": role, "team_id": "team_a", "switches": switches});
    world.put(&format!("agents/{agent}"), body).await;
    let token = world.token(agent).await;
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    browser.open(&format!("{}/#token={token}", world.gateway.base)).await;
    browser.appears("status-switch").await;
    browser
}

async fn go(world: &World, browser: &Browser, path: &str) {
    browser.open(&format!("{}{path}", world.gateway.base)).await;
}

/// Writes into the fields of a group, as typing does; a clock's field looks different in every language.
async fn fill(browser: &Browser, css: &str, values: &[&str]) {
    let values = json!(values);
    browser
        .run(&format!(
            "const fields = document.querySelectorAll(`{css}`); {values}.forEach((value, i) => {{ \
             fields[i].value = value; fields[i].dispatchEvent(new Event('input', {{ bubbles: true }})); }});"
        ))
        .await;
}

async fn saved(world: &World, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    world.until(what, async || holds(&world.get(SETTINGS).await)).await;
    world.get(SETTINGS).await
}

#[tokio::test(flavor = "multi_thread")]
async fn hours_are_found_by_their_path_written_split_at_midnight_and_told_to_whatsapp() {
    let world = World::start().await;
    let browser = console(&world, "agt_owner", "owner", false).await;
    let links =
        async || browser.run("return [...document.querySelectorAll('main a strong')].map((a) => a.textContent)").await;
    browser.click("settings-link").await;
    world.until("the hub opens", async || links().await == json!(["Channel Settings", "Routing"])).await;
    let right = "const box = document.querySelector('[data-testid=settings-link]').getBoundingClientRect(); \
                 return box.right > innerWidth * 0.9 && box.top < 60";
    assert_eq!(browser.run(right).await, json!(true), "Settings is at the top right");
    browser.click_css("a[href='/settings/channels']").await;
    world.until("the channels open", async || links().await == json!(["WhatsApp Voice Calling"])).await;
    browser.click_css("main a[href='/settings/channels/voice-calling']").await;
    browser.appears("hours-card").await;
    assert_eq!(browser.text("now-state").await, "Open: calls ring");
    assert_eq!(browser.text("deep-link").await, "https://wa.me/995322000111?call");
    let drawn = "return document.querySelector('[data-testid=qr]')?.naturalWidth > 0";
    world.until("the code is drawn", async || browser.run(drawn).await == json!(true)).await;
    browser.screenshot("settings-voice").await;

    browser.click("hours-weekly").await;
    browser.run("const zone = document.querySelector('[data-testid=hours-zone]'); zone.value = 'Asia/Tbilisi'; zone.dispatchEvent(new Event('change'))").await;
    fill(&browser, "[data-testid=day-friday] input", &["09:00", "09:00"]).await;
    browser.click("settings-save").await;
    assert_eq!(
        browser.text("settings-mistakes").await,
        "Friday: opens and closes at 09:00. For the whole day write 00:00 to 00:00 of the next day."
    );
    fill(&browser, "[data-testid=day-friday] input", &["22:00", "02:00"]).await;
    let told = browser.text("day-friday").await;
    assert!(told.contains("saved as 22:00–24:00 and 00:00–02:00 on Saturday"), "{told}");
    browser.click("closed-add").await;
    fill(&browser, "[data-testid=closed-row] input[type=date]", &["2090-01-07"]).await;
    browser.screenshot("settings-hours").await;
    browser.click("settings-save").await;
    let settings = saved(&world, "the hours are saved", |s| !s["call_hours"].is_null()).await;
    let weekly = &settings["call_hours"]["weekly"];
    assert_eq!((&weekly["friday"], &weekly["saturday"]), (&json!([["22:00", "24:00"]]), &json!([["00:00", "02:00"]])));
    assert_eq!(settings["call_hours"]["time_zone"], "Asia/Tbilisi");
    assert_eq!(settings["unavailable"], json!([{"date": "2090-01-07", "from": "00:00", "to": "24:00"}]));
    // What was split is shown as it is kept.
    let saturday = "return [...document.querySelectorAll('[data-testid=day-saturday] input')].map((i) => i.value)";
    world.until("Saturday shows its part", async || browser.run(saturday).await == json!(["00:00", "02:00"])).await;
    let whatsapp = async || world.wa.settings(NUMBER).unwrap();
    world.until("WhatsApp has the hours", async || whatsapp().await["call_hours"]["status"] == "ENABLED").await;
    assert_eq!(whatsapp().await["call_hours"]["timezone_id"], "Asia/Tbilisi");
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hidden_buttons_lock_the_hours_on_the_page_and_at_the_door() {
    let world = World::start().await;
    let hours = json!({"time_zone": "UTC", "weekly": {"monday": [["09:00", "18:00"]]}});
    world.put(SETTINGS, json!({"call_hours": hours})).await;
    let browser = console(&world, "agt_owner", "owner", false).await;
    go(&world, &browser, VOICE).await;
    browser.appears("hours-card").await;
    let open = "return [...document.querySelectorAll('[data-testid=hours-card] input, [data-testid=hours-card] select')].filter((i) => !i.disabled).length";
    assert!(browser.run(open).await.as_u64().unwrap() > 0);
    browser.click("set-display_call_buttons").await;
    assert!(browser.text("hours-locked").await.starts_with("Locked while Display Call Buttons is off."));
    assert_eq!(browser.run(open).await, json!(0));
    browser.click("settings-save").await;
    saved(&world, "the buttons are hidden", |s| s["display_call_buttons"] == false).await;
    browser.screenshot("settings-locked").await;
    let other = json!({"call_hours": {"time_zone": "UTC", "weekly": {"monday": [["10:00", "18:00"]]}}});
    world.gateway.request("PUT", SETTINGS, Some(other)).await.problem(409, "call_hours_locked");
    world
        .until("WhatsApp hides them", async || {
            world.wa.settings(NUMBER).unwrap()["call_icon_visibility"] == "DISABLE_ALL"
        })
        .await;
    browser.click("set-display_call_buttons").await;
    browser.click("settings-save").await;
    let settings = saved(&world, "the buttons are shown", |s| s["display_call_buttons"] == true).await;
    assert_eq!(settings["call_hours"]["weekly"]["monday"], json!([["09:00", "18:00"]]), "the hours were kept");
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_editors_the_second_is_told_what_the_first_did() {
    let world = World::start().await;
    let browser = console(&world, "agt_owner", "owner", false).await;
    go(&world, &browser, VOICE).await;
    browser.appears("hours-card").await;
    let before = world.get(SETTINGS).await["callback_permission"].as_bool().unwrap();
    browser.click("set-callback_permission").await;
    // The page hears of it by an event; saving would be refused all the same.
    world.put(SETTINGS, json!({"display_call_buttons": false})).await;
    let conflict = browser.text("settings-conflict").await;
    assert!(conflict.contains("Display Call Buttons") && conflict.contains("Callback Permission"), "{conflict}");
    browser.screenshot("settings-conflict").await;
    browser.click("conflict-mine").await;
    let settings = saved(&world, "both changes hold", |s| s["callback_permission"] == !before).await;
    assert_eq!(settings["display_call_buttons"], false, "what was not touched here stays as the other left it");
    browser.vanishes("settings-conflict").await;

    // With nothing unsaved, what others do simply appears.
    world.put(SETTINGS, json!({"allow_voice_calls": false})).await;
    world
        .until("the page follows", async || {
            browser.attribute("[data-testid=set-allow_voice_calls]", "aria-checked").await == "false"
        })
        .await;
    assert_eq!(browser.text("now-state").await, "Business unavailable");
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_configure_finds_no_settings_and_no_wallet() {
    let world = World::start().await;
    let browser = console(&world, "agt_mate", "teammate", false).await;
    for absent in ["settings-link", "top-up"] {
        assert!(!browser.is_there(absent).await, "{absent} is there");
    }
    let pages = "return [...document.querySelectorAll('.nav a')].map((a) => a.pathname)";
    assert!(!browser.run(pages).await.as_array().unwrap().contains(&json!("/wallet")));
    for path in ["/settings", "/settings/channels", VOICE, "/settings/routing", "/wallet"] {
        go(&world, &browser, path).await;
        let heading = "return document.querySelector('h1')?.textContent";
        world.until(path, async || browser.run(heading).await == json!("Not for your role")).await;
        assert!(!browser.is_there("hours-card").await && !browser.is_there("balance").await, "{path}");
    }
    let token = world.token("agt_mate").await;
    for (method, path, body) in [
        ("GET", SETTINGS, None),
        ("PUT", SETTINGS, Some(json!({"allow_voice_calls": false}))),
        ("GET", "numbers/100000000000001/deep-link.svg", None),
        ("GET", "wallet", None),
        ("POST", "wallet/top-ups", Some(json!({"micros": 1, "currency": "USD"}))),
        ("GET", "reports/costs", None),
    ] {
        world.gateway.request_as(&token, method, path, body).await.problem(403, "forbidden");
    }
    browser.quit().await;

    let lead = console(&world, "agt_switched", "teammate", true).await;
    lead.click("settings-link").await;
    lead.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_top_up_changes_the_balance_here_and_wherever_the_wallet_is_open() {
    let world = World::without_money().await;
    let browser = console(&world, "agt_owner", "owner", false).await;
    go(&world, &browser, "/wallet").await;
    browser.appears("wallet-empty").await;
    browser.appears("wallet-banner").await;
    assert_eq!(browser.text("balance").await, "$0.00");
    browser.click("top-up").await;
    for wrong in ["", "0", "abc", "1.2345678", "-5", "1e3", "12,50"] {
        fill(&browser, "[data-testid=top-up-amount]", &[wrong]).await;
        browser.click("top-up-save").await;
        assert_eq!(
            browser.run("return document.querySelector('.field-error').textContent.slice(0, 21)").await,
            json!("Write an amount above"),
            "{wrong}"
        );
    }
    // As a fraction of the machine this would be 19.989999…
    fill(&browser, "[data-testid=top-up-amount]", &["19.99"]).await;
    fill(&browser, "[data-testid=top-up-reference]", &["invoice <b>7</b>"]).await;
    browser.screenshot("wallet-top-up").await;
    browser.click("top-up-save").await;
    world.until("the balance follows", async || browser.text("balance").await == "$19.99").await;
    assert_eq!(world.get("wallet").await["balance_micros"], 19_990_000);
    browser.vanishes("wallet-empty").await;
    assert!(browser.text("ledger").await.contains("invoice <b>7</b>"), "a reference is text");
    // Somebody else pays in.
    world.top_up(5_010_000).await;
    world.until("the balance follows others", async || browser.text("balance").await == "$25.00").await;
    let rows = "return document.querySelectorAll('[data-testid=entry]').length";
    world.until("the ledger follows", async || browser.run(rows).await == json!(2)).await;
    browser.screenshot("wallet").await;
    browser.click_css("a[href='/wallet?tab=rates']").await;
    browser.appears("rates").await;
    fill(&browser, "[data-testid=rate-search]", &["georgia"]).await;
    let found = browser.text("rates").await;
    assert!(found.contains("Rest of Central & Eastern Europe") && found.contains("$0.0095"), "{found}");
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}
