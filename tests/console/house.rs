//! A new house: what there is to do, a number of its own, and a first customer.

use serde_json::{Value, json};

use crate::MICROPHONE_HZ;
use crate::browser::Browser;
use crate::people::{hire, sign_in_at};
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_connects_a_number_and_names_the_first_customer() {
    let world = World::start().await;
    hire(&world, "agt_o", "Olga", "owner").await;
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    sign_in_at(&world, &browser, "agt_o", "/").await;
    browser.says("todo", "Invite somebody").await;
    assert!(!browser.text("todo").await.contains("Connect a number"), "there is one");
    browser.looks_good("home-todo").await;
    hire(&world, "agt_b", "Bela", "teammate").await;
    world
        .until("nothing is left to do", async || {
            browser.run("return document.querySelector('[data-testid=todo]').hidden").await == json!(true)
        })
        .await;

    browser.open(&format!("{}/settings/channels", world.gateway.base)).await;
    browser.appears("status-switch").await;
    browser.click_css("main a[href='/settings/channels/number']").await;
    browser.fill("number-id", "12 34").await;
    browser.click("number-save").await;
    browser.says("number-id-wrong", "Phone number ID").await;
    browser.fill("number-id", "100000000000002").await;
    browser.fill("number-display_phone_number", "12").await;
    browser.fill("number-graph_token", "EAA-of-the-second").await;
    browser.click("number-save").await;
    browser.appears("number-display_phone_number-wrong").await;
    browser.looks_good("number-form").await;
    browser.fill("number-display_phone_number", "+995 322 000 222").await;
    browser.click("number-save").await;
    browser.says("toast", "The number is connected").await;
    let number = second(&world).await;
    assert_eq!(
        (&number["display_phone_number"], &number["graph_token_set"], &number["plan"]),
        (&json!("+995322000222"), &json!(true), &json!("starter"))
    );
    // What is left empty is kept.
    browser.open(&format!("{}/settings/channels/number?id=100000000000002", world.gateway.base)).await;
    browser.click_css("[data-testid=number-plan] option[value=advanced]").await;
    browser.click("number-save").await;
    browser.says("toast", "Saved").await;
    let number = second(&world).await;
    assert_eq!((&number["graph_token_set"], &number["plan"]), (&json!(true), &json!("advanced")));

    browser.open(&format!("{}/contacts", world.gateway.base)).await;
    browser.click("contact-new").await;
    browser.fill("contact-phone", "+995 555 010 233").await;
    browser.fill("contact-name", "Dato").await;
    browser.looks_good("contact-new").await;
    browser.click("contact-save").await;
    browser.click("name-edit").await;
    browser.looks_good("contact-rename").await;
    browser.fill("name-input", "Dato <b>Kvara</b>").await;
    browser.click("name-save").await;
    browser.vanishes("name-save").await;
    browser.says("name-edit", "Change name").await;
    assert_eq!(world.get("contacts/wa:995555010233").await["name"], "Dato <b>Kvara</b>");
    browser.reads("return document.querySelector('main h1').textContent", "Dato <b>Kvara</b>").await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}

async fn second(world: &World) -> Value {
    let numbers = world.get("numbers").await;
    numbers["items"].as_array().unwrap().iter().find(|number| number["id"] == "100000000000002").unwrap().clone()
}
