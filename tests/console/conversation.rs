//! The customer's page: who may call, when, and why not; asking for permission; whose the customer is.

use serde_json::{Value, json};
use tandem_loadtest::whatsapp::Grant;

use crate::browser::Browser;
use crate::world::{NINO, NUMBER, World};
use crate::{MICROPHONE_HZ, sign_in};

const PATH: &str = "contacts/wa:995555010203";

async fn open_page(world: &World, browser: &Browser) {
    let contact = world.get(PATH).await;
    browser.open(&format!("{}/contacts/{}", world.gateway.base, contact["id"].as_str().unwrap())).await;
    browser.appears("permission-chip").await;
}

/// The agent `agt_a` in a browser, looking at Nino's page.
async fn on_the_page(world: &World) -> Browser {
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    sign_in(world, &browser, "agt_a").await;
    open_page(world, &browser).await;
    browser
}

async fn assign(world: &World, to: Value) {
    world.put(PATH, json!({ "assignee_id": to })).await;
}

async fn until_chip(browser: &Browser, status: &str) {
    browser.has("[data-testid=permission-chip]", "data-status", status).await;
}

fn blocker(box_id: &str, code: &str) -> String {
    format!("[data-testid={box_id}] [data-code={code}]")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_that_is_taken_away_while_the_dialog_is_open_cannot_be_called() {
    let world = World::start().await;
    world.agent_offline("agt_a").await;
    world.agent_offline("agt_b").await;
    world.nino_of("agt_a").await;
    let browser = on_the_page(&world).await;
    browser.click("call-button").await;
    let enabled = async || browser.attribute("[data-testid=call-start]", "disabled").await.is_empty();
    world.until("the call can start", enabled).await;
    let texts = browser.text("call-dialog").await;
    for wanted in ["+995322000111", "in WhatsApp", "country and your plan", "leaves your wallet", "$0.0095", "$100.00"]
    {
        assert!(texts.contains(wanted), "{wanted} is not in {texts}");
    }

    assign(&world, json!("agt_b")).await;
    browser.vanishes("call-button").await;
    let refused = "[data-testid=call-dialog] [data-code=not_assignee]";
    assert!(browser.attribute(refused, "data-code").await.contains("not_assignee"));
    world.until("Start Call is refused", async || !enabled().await).await;
    browser.looks_good("dialog-refused").await;
    let token = world.token("agt_a").await;
    let wish = json!({"number_id": NUMBER, "to": format!("wa:{NINO}"), "agent_id": "agt_a"});
    let problem = world.gateway.request_as(&token, "POST", "calls", Some(wish)).await;
    assert_eq!((problem.status, &problem.json()["blockers"][0]["code"]), (409, &json!("not_assignee")));

    assign(&world, json!("agt_a")).await;
    world.until("the call can start again", enabled).await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_button_follows_the_assignment_whatever_the_permission_is() {
    let world = World::start().await;
    world.agent_offline("agt_a").await;
    world.agent_offline("agt_b").await;
    assign(&world, Value::Null).await;
    let browser = on_the_page(&world).await;
    let week = std::time::Duration::from_secs(7 * 24 * 3600);
    let grants = [
        (None, "none"),
        (Some(Grant::Temporary { expires_in: week }), "temporary"),
        (Some(Grant::Permanent), "permanent"),
    ];
    for (grant, status) in grants {
        let permitted = grant.is_some();
        if let Some(grant) = grant {
            world.wa.grant_permission(NINO, grant).await.unwrap();
        }
        until_chip(&browser, status).await;
        for (assignee, code) in [(json!("agt_b"), "not_assignee"), (Value::Null, "not_assigned"), (json!("agt_a"), "")]
        {
            assign(&world, assignee.clone()).await;
            if permitted && code.is_empty() {
                browser.appears("call-button").await;
                continue;
            }
            let code = if code.is_empty() { "no_permission" } else { code };
            browser.attribute(&blocker("blockers", code), "data-code").await;
            assert!(!browser.is_there("call-button").await, "{status}, {assignee}: absent, not disabled");
        }
    }
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_asked_from_the_page_and_it_tells_when_one_may_ask_again() {
    let world = World::start().await;
    world.agent_offline("agt_a").await;
    world.put(PATH, json!({"name": "Nino", "assignee_id": "agt_a"})).await;
    let browser = on_the_page(&world).await;
    until_chip(&browser, "none").await;
    browser.click("ask-permission").await;
    let dialog = browser.text("ask-dialog").await;
    assert!(dialog.contains("takes a template only"), "{dialog}");
    browser.appears("ask-template").await.send_keys("may_we_call").await.unwrap();
    browser.looks_good("ask").await;
    browser.click("ask-send").await;
    browser.vanishes("ask-dialog").await;
    until_chip(&browser, "requested").await;
    assert_eq!(world.wa.permission_requests().len(), 1);
    browser.attribute(&blocker("ask-blockers", "request_limit_24h"), "data-code").await;
    assert!(!browser.is_there("ask-permission").await, "the reason stands in the button's place");
    let resets = browser.text("request-resets").await;
    assert!(resets == "23 h 59 min" || resets == "1 d", "{resets}");
    let callability = world.get(&format!("{PATH}/callability?number_id={NUMBER}&agent_id=agt_a")).await;
    assert!(callability["request"]["next_allowed_at"].is_string(), "{callability}");
    browser.looks_good("asked").await;

    // WhatsApp tells whole seconds, and of two words of the same second the first counts.
    let a_second_later = || world.wa.advance(std::time::Duration::from_secs(1));
    a_second_later();
    world.wa.decline_permission(NINO).await.unwrap();
    until_chip(&browser, "rejected").await;
    a_second_later();
    world.wa.grant_permission(NINO, Grant::Permanent).await.unwrap();
    until_chip(&browser, "permanent").await;
    browser.appears("call-button").await;
    a_second_later();
    world.wa.revoke_permission(NINO).await.unwrap();
    until_chip(&browser, "revoked").await;
    browser.vanishes("call-button").await;

    // Within a day of the customer's word one may write freely.
    world.put("contacts/wa:4915112345678", json!({"name": "Jonas", "assignee_id": "agt_a"})).await;
    world.wa.customer_writes("4915112345678", "When does it come?").await.unwrap();
    let jonas = world.get("contacts/wa:4915112345678").await;
    browser.open(&format!("{}/contacts/{}", world.gateway.base, jonas["id"].as_str().unwrap())).await;
    browser.click("ask-permission").await;
    browser.appears("ask-body").await.send_keys("May we call you about it?").await.unwrap();
    browser.click("ask-send").await;
    until_chip(&browser, "requested").await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_manages_says_whose_a_customer_is_and_nobody_else_is_offered_to() {
    let world = World::start().await;
    world.agent_offline("agt_a").await;
    world.put("agents/agt_o", json!({"name": "Olga", "role": "owner"})).await;
    world.nino_of("agt_a").await;
    let browser = on_the_page(&world).await;
    assert!(!browser.is_there("choose-assignee_id").await, "absent for a teammate");
    let token = world.token("agt_a").await;
    let refused = world.gateway.request_as(&token, "PUT", PATH, Some(json!({"assignee_id": "agt_a"}))).await;
    refused.problem(403, "forbidden");

    sign_in(&world, &browser, "agt_o").await;
    open_page(&world, &browser).await;
    assert!(!browser.is_there("call-button").await);
    browser.click_css("[data-testid=choose-assignee_id] option[value=agt_o]").await;
    browser.appears("call-button").await;
    world.until("it is kept", async || world.get(PATH).await["assignee_id"] == "agt_o").await;
    browser.click_css("[data-testid=choose-owner_id] option[value=agt_a]").await;
    world.until("the owner is kept", async || world.get(PATH).await["owner_id"] == "agt_a").await;
    // With the keys one passes over names: what holds is what Enter is pressed at, and the field keeps the focus.
    browser.run("const field = document.querySelector('[data-testid=choose-assignee_id]'); field.focus(); field.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowUp' })); field.value = ''; field.dispatchEvent(new Event('change'))").await;
    assert_eq!(world.get(PATH).await["assignee_id"], "agt_o");
    browser.press(thirtyfour::Key::Enter + "").await;
    browser.vanishes("call-button").await;
    assert_eq!(browser.run("return document.activeElement.dataset.testid").await, "choose-assignee_id");
    // Who is neither the assignee nor gives customers away renames none.
    let refused = world.gateway.request_as(&token, "PUT", PATH, Some(json!({"name": "Other"}))).await;
    refused.problem(403, "forbidden");
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_write_down_stands_on_the_page_as_text_for_everybody_at_once() {
    const HOSTILE: &str = "<img src=x onerror=\"document.title='run'\"> & </p>";
    let world = World::start().await;
    world.agent_offline("agt_a").await;
    world.agent_offline("agt_b").await;
    world.nino_of("agt_a").await;
    let browser = on_the_page(&world).await;
    browser.appears("note-text").await.send_keys(HOSTILE).await.unwrap();
    browser.click("note-add").await;
    browser.says("note", HOSTILE).await;
    assert_eq!(browser.run("return document.querySelectorAll('[data-testid=note] img').length;").await, json!(0));

    let colleague = world.token("agt_b").await;
    let note = json!({"text": "Prefers mornings."});
    world.gateway.request_as(&colleague, "POST", &format!("{PATH}/notes"), Some(note)).await.ok();
    // A colleague's comes by itself. One's own can be taken back, a colleague's cannot.
    browser.says("note", "Prefers mornings.").await;
    browser.reads("return document.querySelectorAll('.note-remove').length;", 1).await;
    browser.looks_good("notes").await;
    browser.click_css(".note-remove").await;
    browser.click("note-remove-sure").await;
    world.until("it is gone", async || !browser.text("notes").await.contains("onerror")).await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}
