//! Whether the other stories would notice: what the browser's helpers must not overlook.

use serde_json::json;

use crate::MICROPHONE_HZ;
use crate::browser::{Browser, Size, Theme};
use crate::people::{hire, sign_in_at};
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_in_a_page_is_seen() {
    let world = World::start().await;
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    browser.open(&format!("{}/", world.gateway.base)).await;
    browser.appears("sign-in-login").await;
    assert_eq!(browser.errors().await, Vec::<String>::new(), "a 401 of the API is an answer");

    let first = browser.tab().await;
    let mut faults = 0;
    for (what, script) in [
        ("thrown", "setTimeout(() => { throw new Error('thrown') })"),
        ("unhandled", "Promise.reject(new Error('unhandled'))"),
        ("reported", "console.error('reported')"),
        (
            "Content Security Policy",
            "document.body.append(Object.assign(document.createElement('script'), { text: '1' }))",
        ),
        ("Content Security Policy", "document.body.insertAdjacentHTML('beforeend', '<i style=\"color:red\">')"),
        (
            "/missing.js",
            "document.head.append(Object.assign(document.createElement('script'), { src: '/missing.js' }))",
        ),
    ] {
        let other = browser.open_tab(&format!("{}/", world.gateway.base)).await;
        browser.run(script).await;
        world.until(what, async || browser.errors().await.len() > faults).await;
        let seen = browser.errors().await;
        assert!(seen[faults..].iter().any(|fault| fault.contains(what)), "{what}: {seen:?}");
        faults = seen.len();
        browser.turn_to(&other).await;
        browser.close_tab().await;
        browser.turn_to(&first).await;
        assert_eq!(browser.errors().await.len(), faults, "what was seen is not forgotten with its tab, nor seen twice");
    }
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_looked_at_in_the_size_and_theme_that_were_chosen() {
    let world = World::start().await;
    hire(&world, "agt_a", "Ana", "teammate").await;
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    sign_in_at(&world, &browser, "agt_a", "/contacts").await;
    let facts = "return [innerWidth, innerHeight, matchMedia('(prefers-color-scheme: dark)').matches]";
    browser.reads(facts, json!([1280, 720, false])).await;
    browser.look(Size::Phone, Theme::Dark).await;
    browser.reads(facts, json!([390, 844, true])).await;
    browser.open_tab(&format!("{}/calls", world.gateway.base)).await;
    browser.appears("status-switch").await;
    // Another tab too, which is signed in like the first.
    browser.reads(facts, json!([390, 844, true])).await;
    browser.look(Size::Desk, Theme::Light).await;

    browser.accessible("the calls").await;
    let nameless = "document.querySelector('main').append(document.createElement('button'))";
    browser.run(nameless).await;
    let barriers = browser.barriers().await;
    assert!(matches!(&barriers[..], [one] if one.starts_with("button-name ")), "{barriers:?}");
    browser.quit().await;
}
