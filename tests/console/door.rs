//! How people come in, and what they find there.

use serde_json::json;

use crate::MICROPHONE_HZ;
use crate::browser::Browser;
use crate::people::{PASSWORD, hire, invitation, sign_in_at, type_password};
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn who_is_invited_chooses_a_password_and_comes_in_with_it_from_then_on() {
    let world = World::start().await;
    world.put("agents/agt_new", json!({"name": "Nana", "email": "nana@example.com", "role": "teammate"})).await;
    let link = invitation(&world, "agt_new").await;
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    browser.open(&link).await;
    let whose = browser.appears("welcome-account").await.text().await.unwrap();
    for told in ["Nana", "nana@example.com", "127.0.0.1"] {
        assert!(whose.contains(told), "{told}: {whose}");
    }
    for (first, again, told) in
        [("short", "short", "At least 10 characters"), (PASSWORD, "another one", "The two are not the same")]
    {
        choose(&browser, first, again).await;
        says(&world, &browser, told).await;
    }
    browser.looks_good("welcome").await;
    choose(&browser, PASSWORD, PASSWORD).await;
    browser.appears("status-switch").await;
    assert_eq!(browser.run("return document.cookie").await, json!(""), "scripts cannot read it");
    // The link's secret is not left lying about.
    browser.reads("return location.hash", "").await;
    browser.reload().await;
    browser.appears("status-switch").await;

    browser.click("sign-out").await;
    browser.appears("sign-in-login").await;
    browser.looks_good("sign-in").await;
    type_password(&browser, "nana@example.com", "not my password").await;
    says(&world, &browser, "The name or the password is wrong").await;
    type_password(&browser, "NANA@example.com", PASSWORD).await;
    browser.appears("status-switch").await;
    browser.click("sign-out").await;
    browser.appears("sign-in-login").await;
    browser.open("about:blank").await;
    browser.open(&link).await;
    let told = browser.appears("dead-link").await.text().await.unwrap();
    assert!(told.contains("This link was used"), "{told}");
    assert!(!browser.is_there("sign-in-password").await, "a link works once, and it is told before anything is typed");
    browser.looks_good("welcome-dead-link").await;
    browser.click("dead-link-again").await;
    browser.appears("sign-in-login").await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_role_may_not_do_is_on_none_of_its_pages() {
    let world = World::start().await;
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    for (role, pages, configures) in [
        ("owner", "Home Live Calls Contacts Analytics Wallet Devices More", true),
        ("sales_lead", "Home Live Calls Contacts Analytics Devices More", false),
        ("admin", "Home Calls Contacts Analytics Devices", false),
        ("teammate", "Home Calls Contacts Analytics Devices", false),
    ] {
        let id = format!("agt_{role}");
        hire(&world, &id, role, role).await;
        sign_in_at(&world, &browser, &id, "/").await;
        let shown = "return [...document.querySelectorAll('.nav a')].map((a) => a.textContent).join(' ')";
        browser.reads(shown, pages).await;
        assert_eq!(browser.is_there("settings-link").await, configures, "{role}");
        for (path, open) in [("wallet", configures), ("numbers/100000000000001/settings", configures)] {
            let status = browser
                .run(&format!("const ask = new XMLHttpRequest(); ask.open('GET', '/v1/{path}', false); ask.send(); return ask.status;"))
                .await;
            assert_eq!(
                status,
                json!(if open { 200 } else { 403 }),
                "{role}: the page has its cookie, and {path} stays shut"
            );
        }
        browser.click("sign-out").await;
        browser.appears("sign-in-login").await;
    }
    browser.quit().await;
}

async fn choose(browser: &Browser, password: &str, again: &str) {
    browser.fill("sign-in-password", password).await;
    browser.fill("sign-in-again", again).await;
    browser.click("sign-in-submit").await;
}

async fn says(world: &World, browser: &Browser, told: &str) {
    let message = "return document.getElementById('sign-in-message')?.textContent ?? ''";
    world.until(told, async || browser.run(message).await.as_str().unwrap().contains(told)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_can_be_installed_and_its_first_page_is_light() {
    let world = World::start().await;
    hire(&world, "agt_a", "Ana", "teammate").await;
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    sign_in_at(&world, &browser, "agt_a", "/").await;
    let told = browser.devtools("Page.getInstallabilityErrors", json!({})).await;
    assert_eq!(told["installabilityErrors"], json!([]), "what keeps Chromium from installing it");
    let manifest = browser.devtools("Page.getAppManifest", json!({})).await;
    assert_eq!(manifest["errors"], json!([]));
    // All that one asks for who has never been here, the page itself included, as it went over the wire.
    let sent = "const all = [...performance.getEntriesByType('resource'), ...performance.getEntriesByType('navigation')];
        const own = all.filter((e) => !e.name.includes('/v1/'));
        return [own.length, own.reduce((sum, e) => sum + e.encodedBodySize, 0), own.reduce((sum, e) => sum + e.decodedBodySize, 0)]";
    let told = browser.run(sent).await;
    let [files, sent, unpacked] = [0, 1, 2].map(|at| told[at].as_u64().unwrap());
    println!("first page: {files} files, {sent} bytes sent, {unpacked} unpacked");
    assert!(unpacked > 200_000, "it is the whole console: {told}");
    assert!(sent <= 300_000, "{told}");
    browser.quit().await;
}
