//! What must not get in the way of a call, and whose page it is.

use std::time::Duration;

use serde_json::json;
use tandem_loadtest::sound::Sound;
use tandem_loadtest::whatsapp::{CallHandle, InboundCall, Step};

use crate::browser::Browser;
use crate::people::{PASSWORD, hire, invitation, sign_in_at, type_password};
use crate::world::{NINO, NUMBER, SOON, World};
use crate::{CUSTOMER_HZ, MICROPHONE_HZ, hear_each_other, hear_plainly};

/// Nino's assignee, signed in with a password and online.
async fn at_the_desk(role: &str, path: &str) -> (World, Browser) {
    let world = World::start().await;
    hire(&world, "agt_a", "Ana", role).await;
    world.nino_of("agt_a").await;
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    browser.open(&format!("{}/", world.gateway.base)).await;
    hear_plainly(&browser).await;
    sign_in_at(&world, &browser, "agt_a", path).await;
    browser.click("status-switch").await;
    let online = "return document.querySelector('[data-testid=status-switch]').getAttribute('aria-checked')";
    world.until("the agent is online", async || browser.run(online).await == json!("true")).await;
    (world, browser)
}

async fn nino_calls(world: &World) -> CallHandle {
    let hums = Step::SpeakForever(Sound::tone(CUSTOMER_HZ, Duration::from_secs(2)));
    world.wa.call(InboundCall::from(NINO).step(hums)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_comes_while_a_dialog_is_open_can_be_muted_and_ended() {
    let (world, browser) = at_the_desk("owner", "/wallet").await;
    browser.click("top-up").await;
    let phone = nino_calls(&world).await;
    browser.click("popup-accept").await;
    phone.answered(SOON).await.unwrap();
    browser.appears("call-panel").await;
    browser.looks_good("call-and-dialog").await;
    let part = ".dialog button, .dialog input, .call-panel button";
    browser.fits_when_small("call-and-dialog", part, &["call-mute", "call-hangup"]).await;
    browser.click("call-mute").await;
    browser.click("call-hangup").await;
    phone.ended(SOON).await.unwrap();
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_that_ends_in_a_call_is_renewed_while_both_go_on_talking() {
    let (world, browser) = at_the_desk("teammate", "/").await;
    let phone = nino_calls(&world).await;
    browser.click("popup-accept").await;
    phone.answered(SOON).await.unwrap();
    hear_each_other(&world, &browser, &phone).await;
    world.gateway.request("DELETE", "agents/agt_a/password", None).await;
    let link = invitation(&world, "agt_a").await;
    let (_, secret) = link.split_once("#invitation=").unwrap();
    world.post("session/invitation", json!({"invitation": secret, "password": PASSWORD})).await;

    let banner = "return document.querySelector('[data-testid=banner]').textContent";
    let told = async || browser.run(banner).await.as_str().unwrap().contains("Your sign-in has ended");
    world.until_within(Duration::from_secs(40), "the page tells", told).await;
    browser.click_css("[data-testid=banner] button").await;
    type_password(&browser, "agt_a@example.com", "not the password").await;
    let said = "return document.querySelector('#dialogs #sign-in-message')?.textContent ?? ''";
    world
        .until("the dialog refuses", async || browser.run(said).await.as_str().unwrap().contains("password is wrong"))
        .await;
    browser.looks_good("sign-in-again").await;
    type_password(&browser, "agt_a@example.com", PASSWORD).await;
    browser.vanishes("sign-in-again").await;
    hear_each_other(&world, &browser, &phone).await;
    assert_eq!(phone.violations(), [], "the customer heard no gap that WhatsApp would end a call for");
    browser.click("call-hangup").await;
    phone.ended(SOON).await.unwrap();
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tab_is_left_when_somebody_else_signs_in_in_its_browser() {
    let world = World::start().await;
    hire(&world, "agt_a", "Ana", "teammate").await;
    hire(&world, "agt_b", "Ben", "teammate").await;
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    sign_in_at(&world, &browser, "agt_a", "/").await;
    let anas = browser.tab().await;
    browser.open_tab(&format!("{}/contacts", world.gateway.base)).await;
    browser.click("sign-out").await;
    browser.appears("sign-in-login").await;
    sign_in_at(&world, &browser, "agt_b", "/").await;
    browser.turn_to(&anas).await;
    browser.appears("sign-in-login").await;
    assert!(!browser.is_there("status-switch").await, "nothing of Ana's is shown with Ben's rights");
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_cannot_call_is_chosen_and_left_again_on_the_customers_page() {
    let (world, browser) = at_the_desk("teammate", "/").await;
    let other =
        json!({"display_phone_number": "+995322000222", "plan": "starter", "add_ons": [], "platform": "cloud_api"});
    world.put("numbers/100000000000002", other).await;
    let contact = world.get(&format!("contacts/wa:{NINO}")).await;
    let page = format!("{}/contacts/{}", world.gateway.base, contact["id"].as_str().unwrap());
    browser.open(&page).await;
    browser.appears("call-button").await;
    choose(&browser, "100000000000002").await;
    browser.vanishes("call-button").await;
    browser.open(&page).await;
    browser.appears("contact-number").await;
    assert!(!browser.is_there("call-button").await);
    choose(&browser, NUMBER).await;
    browser.appears("call-button").await;
    browser.looks_good("contact-two-numbers").await;
    browser.quit().await;
}

async fn choose(browser: &Browser, number: &str) {
    let script = format!(
        "const s = document.querySelector('[data-testid=contact-number]'); s.value = '{number}'; s.dispatchEvent(new Event('change'))"
    );
    browser.appears("contact-number").await;
    browser.run(&script).await;
}
