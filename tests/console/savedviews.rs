//! Views of the list that an agent keeps.

use serde_json::json;
use tandem::model::reason::Direction;

use crate::MICROPHONE_HZ;
use crate::browser::Browser;
use crate::manage::keep_call;
use crate::people::{PASSWORD, hire, sign_in_at, type_password};
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_view_is_kept_by_the_gateway_and_found_in_another_browser() {
    let world = World::start().await;
    hire(&world, "agt_o", "Olga", "owner").await;
    hire(&world, "agt_t", "Tato", "teammate").await;
    world.agent_offline("agt_a").await;
    let taken = keep_call(&world, "995555070701", Some("agt_a"), Direction::UserInitiated).await;
    let missed = keep_call(&world, "995555070702", None, Direction::UserInitiated).await;
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    sign_in_at(&world, &browser, "agt_o", "/calls?section=missed").await;
    browser.click("filters-open").await;
    let choose = async |field: &str, value: &str| {
        browser.appears(&format!("filter-{field}")).await;
        browser
            .run(&format!("const field = document.querySelector('[data-testid=filter-{field}]'); field.value = '{value}'; field.dispatchEvent(new Event('change'))"))
            .await;
    };
    world.until("the lists are there", async || browser.is_there("filter-disposition").await).await;
    choose("since", "2026-01-01").await;
    choose("days", "7").await;
    choose("talked", "-60000").await;
    choose("recorded", "false").await;
    choose("direction", "user_initiated").await;
    let chips = async || browser.text("filter-chips").await;
    world.until("days by name give way", async || chips().await.contains("Last 7 days")).await;
    assert!(!chips().await.contains("From"), "{}", chips().await);

    browser.click("views").await;
    browser.click("view-save").await;
    world
        .until("it wants a name", async || {
            browser.run("return document.querySelector('#view-wrong').textContent").await == "Give it a name."
        })
        .await;
    browser.looks_good("manage-views-empty").await;
    browser.fill("view-name", "Missed <b>this week</b>").await;
    browser.click("view-save").await;
    browser.appears("toast").await;
    let kept = world.get("agents/agt_o/views").await;
    assert_eq!(
        (&kept["items"][0]["name"], &kept["items"][0]["section"]),
        (&json!("Missed <b>this week</b>"), &json!("missed"))
    );
    assert_eq!(
        kept["items"][0]["filter"],
        json!({"days": 7, "direction": "user_initiated", "recorded": false, "talked_ms_below": 60_000})
    );
    browser.quit().await;

    let other = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    sign_in_at(&world, &other, "agt_o", "/calls").await;
    other.appears("call-row").await;
    other.click("views").await;
    // A name is text.
    other.shows("view", "Missed <b>this week</b>").await;
    other.looks_good("manage-views").await;
    other.click("view").await;
    let address = "return location.search";
    world
        .until("it is opened", async || {
            other.run(address).await == "?section=missed&days=7&direction=user_initiated&recorded=false&talked=-60000"
        })
        .await;
    let row = "[data-testid=call-row]";
    world.until("it narrows", async || other.attribute(row, "data-call-id").await == missed.as_str()).await;
    other.click("views").await;
    other.appears("view").await;
    // Where one is.
    other.has("[data-testid=view]", "aria-current", "true").await;
    other.click_css(".view-list button").await;
    other.vanishes("view").await;
    world.until("it is gone", async || world.get("agents/agt_o/views").await["items"] == json!([])).await;
    assert_eq!(other.errors().await, Vec::<String>::new());

    // Others neither see it nor may ask.
    other.press(thirtyfour::Key::Escape + "").await;
    other.click("sign-out").await;
    other.appears("sign-in-login").await;
    type_password(&other, "agt_t@example.com", PASSWORD).await;
    other.appears("status-switch").await;
    let asked = "fetch('/v1/agents/agt_o/views').then((answer) => done(answer.status))";
    assert_eq!(other.run_async(asked).await, 404);
    assert_ne!(taken, missed);
    other.quit().await;
}
