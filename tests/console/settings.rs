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
    world
        .until("the hub opens", async || {
            links().await == json!(["Channel Settings", "Routing", "People", "Teams", "Roles"])
        })
        .await;
    let right = "const box = document.querySelector('[data-testid=settings-link]').getBoundingClientRect(); \
                 return box.right > innerWidth * 0.9 && box.top < 60";
    assert_eq!(browser.run(right).await, json!(true), "Settings is at the top right");
    browser.looks_good("settings-hub").await;
    browser.click_css("a[href='/settings/channels']").await;
    let channels = json!(["WhatsApp Voice Calling", "+995322000111", "Connect a number"]);
    world.until("the channels open", async || links().await == channels).await;
    browser.looks_good("settings-channels").await;
    browser.click_css("main a[href='/settings/channels/voice-calling']").await;
    browser.appears("hours-card").await;
    browser.shows("now-state", "Open: calls ring").await;
    browser.shows("deep-link", "https://wa.me/995322000111?call").await;
    let drawn = "return document.querySelector('[data-testid=qr]')?.naturalWidth > 0";
    world.until("the code is drawn", async || browser.run(drawn).await == json!(true)).await;
    browser.screenshot("settings-voice").await;

    browser.click("hours-weekly").await;
    browser.run("const zone = document.querySelector('[data-testid=hours-zone]'); zone.value = 'Asia/Tbilisi'; zone.dispatchEvent(new Event('change'))").await;
    fill(&browser, "[data-testid=day-friday] input", &["09:00", "09:00"]).await;
    browser.click("settings-save").await;
    let mistake = "Friday: opens and closes at 09:00. For the whole day write 00:00 to 00:00 of the next day.";
    browser.shows("settings-mistakes", mistake).await;
    fill(&browser, "[data-testid=day-friday] input", &["22:00", "02:00"]).await;
    browser.says("day-friday", "saved as 22:00–24:00 and 00:00–02:00 on Saturday").await;
    browser.click("closed-add").await;
    fill(&browser, "[data-testid=closed-row] input[type=date]", &["2090-01-07"]).await;
    browser.looks_good("settings-hours").await;
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
    browser.says("hours-locked", "Locked while Display Call Buttons is off.").await;
    browser.reads(open, 0).await;
    browser.click("settings-save").await;
    saved(&world, "the buttons are hidden", |s| s["display_call_buttons"] == false).await;
    browser.looks_good("settings-locked").await;
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
    browser.looks_good("settings-conflict").await;
    browser.click("conflict-mine").await;
    let settings = saved(&world, "both changes hold", |s| s["callback_permission"] == !before).await;
    assert_eq!(settings["display_call_buttons"], false, "what was not touched here stays as the other left it");
    browser.vanishes("settings-conflict").await;

    // With nothing unsaved, what others do simply appears.
    world.put(SETTINGS, json!({"allow_voice_calls": false})).await;
    browser.has("[data-testid=set-allow_voice_calls]", "aria-checked", "false").await;
    browser.shows("now-state", "Business unavailable").await;
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
    browser.shows("balance", "$0.00").await;
    browser.click("top-up").await;
    for wrong in ["", "0", "abc", "1.2345678", "-5", "1e3", "12,50"] {
        fill(&browser, "[data-testid=top-up-amount]", &[wrong]).await;
        browser.click("top-up-save").await;
        let error = "return document.querySelector('.field-error').textContent.slice(0, 21)";
        assert_eq!(browser.run(error).await, json!("Write an amount above"), "{wrong}");
    }
    // As a fraction of the machine this would be 19.989999…
    fill(&browser, "[data-testid=top-up-amount]", &["19.99"]).await;
    fill(&browser, "[data-testid=top-up-reference]", &["invoice <b>7</b>"]).await;
    browser.looks_good("wallet-top-up").await;
    browser.click("top-up-save").await;
    browser.shows("balance", "$19.99").await;
    assert_eq!(world.get("wallet").await["balance_micros"], 19_990_000);
    browser.vanishes("wallet-empty").await;
    // A reference is text.
    browser.says("ledger", "invoice <b>7</b>").await;
    // Somebody else pays in.
    world.top_up(5_010_000).await;
    browser.shows("balance", "$25.00").await;
    let rows = "return document.querySelectorAll('[data-testid=entry]').length";
    world.until("the ledger follows", async || browser.run(rows).await == json!(2)).await;
    browser.looks_good("wallet").await;
    browser.click_css("a[href='/wallet?tab=rates']").await;
    browser.appears("rates").await;
    fill(&browser, "[data-testid=rate-search]", &["georgia"]).await;
    browser.says("rates", "Rest of Central & Eastern Europe").await;
    browser.says("rates", "$0.0095").await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_leaves_unsaved_settings_unasked_and_each_number_has_its_own() {
    let world = World::start().await;
    let token = world.wa.config().graph_token.clone();
    let second = json!({"display_phone_number": "+12025550123", "plan": "starter", "add_ons": [], "messaging_limit": 250,
        "platform": "cloud_api", "graph_token": token});
    world.put("numbers/100000000000002", second).await;
    let browser = console(&world, "agt_owner", "owner", false).await;
    go(&world, &browser, "/settings/channels").await;
    browser.click_css("main a[href='/settings/channels/voice-calling']").await;
    browser.appears("hours-card").await;
    let missing = "return document.querySelectorAll('[data-testid=prerequisites] [data-met=false]').length";
    browser.reads(missing, 0).await;
    browser.says("phone-view", "Voice call").await;
    browser.click("set-display_call_buttons").await;
    browser.appears("now-draft").await;
    // As it will be once it is saved.
    browser.says("phone-view", "No call button").await;
    for (how, leave) in [
        ("a link", "document.querySelector('.nav a[href=\"/calls\"]').click()"),
        (
            "another number",
            "const select = document.querySelector('[data-testid=voice-number]'); select.value = '100000000000002'; select.dispatchEvent(new Event('change'))",
        ),
        ("back", "history.back()"),
    ] {
        browser.run(leave).await;
        browser.appears("leaving").await;
        if how == "a link" {
            browser.looks_good("settings-leaving").await;
        }
        browser.click("leaving-stay").await;
        browser.vanishes("leaving").await;
        browser.reads("return location.pathname + location.search", VOICE).await;
        browser.has("[data-testid=set-display_call_buttons]", "aria-checked", "false").await;
    }
    browser.reads("return document.querySelector('[data-testid=voice-number]').value", NUMBER).await;
    browser.run("document.querySelector('.nav a[href=\"/calls\"]').click()").await;
    browser.click("leaving-save").await;
    browser.appears("section-all").await;
    assert_eq!(world.get(SETTINGS).await["display_call_buttons"], false, "saved on the way out");

    go(&world, &browser, &format!("{VOICE}?number=100000000000002")).await;
    browser.appears("hours-card").await;
    // Digits only.
    browser.shows("deep-link", "https://wa.me/12025550123?call").await;
    // The plan, the limit, and the country.
    world.until("so much is missing", async || browser.run(missing).await.as_u64() >= Some(2)).await;
    browser.says("prerequisites", "Calls come with").await;
    browser.says("prerequisites", "It clears when WhatsApp raises the limit").await;
    browser.has("[data-testid=set-display_call_buttons]", "aria-checked", "true").await;
    browser.looks_good("settings-second-number").await;
    browser.click("set-callback_permission").await;
    browser.run("document.querySelector('.nav a[href=\"/calls\"]').click()").await;
    browser.click("leaving-discard").await;
    browser.appears("section-all").await;
    browser.run("history.back()").await;
    browser.appears("hours-card").await;
    browser.run("document.querySelector('.nav a[href=\"/calls\"]').click()").await;
    browser.appears("section-all").await;
    assert!(!browser.is_there("leaving").await, "nothing was changed");
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatsapp_has_something_else_until_it_is_told_again_and_so_many_dates_and_no_more() {
    let world = World::start().await;
    let days: Vec<_> =
        (1..=19).map(|day| json!({"date": format!("2090-01-{day:02}"), "from": "00:00", "to": "24:00"})).collect();
    world.put(SETTINGS, json!({"unavailable": days, "callback_permission": true})).await;
    saved(&world, "WhatsApp was told", |s| s["sync"]["state"] == "synced").await;
    let browser = console(&world, "agt_owner", "owner", false).await;
    go(&world, &browser, VOICE).await;
    browser.appears("hours-card").await;
    browser.click("closed-add").await;
    assert!(!browser.is_there("closed-add").await, "twenty are all that WhatsApp takes");
    browser.says("closed-card", "20 of 20").await;
    browser.click("settings-discard").await;
    let card = async |state: &str| browser.has("[data-testid=sync-card]", "data-state", state).await;
    card("synced").await;
    world.wa.change_settings(NUMBER, &json!({"callback_permission_status": "DISABLED"})).await.unwrap();
    card("drift").await;
    browser.says("sync-card", "Callback Permission").await;
    browser.says("sync-card", "At WhatsApp: Off").await;
    browser.run("document.querySelector('[data-testid=sync-card]').scrollIntoView({ block: 'center' })").await;
    browser.looks_good("settings-drift").await;
    browser.click("tell-again").await;
    card("synced").await;
    assert_eq!(world.wa.settings(NUMBER).unwrap()["callback_permission_status"], "ENABLED");
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}
