//! The figures on the page are those of the API, and those are of the calls that are listed.

use std::time::Duration;

use serde_json::{Value, json};
use tandem_loadtest::whatsapp::{InboundCall, Script, Step};

use crate::browser::Browser;
use crate::settings::console;
use crate::world::{NINO, NUMBER, SOON, World, agent_voice};

/// Rows of the table behind a chart.
async fn table(browser: &Browser, chart: &str) -> Value {
    let rows = format!(
        "return [...document.querySelectorAll('[data-testid={chart}] tbody tr')].map((row) => [...row.cells].map((cell) => cell.textContent))"
    );
    browser.run(&rows).await
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_on_the_page_are_those_of_the_api_and_open_to_all_senses() {
    let world = World::start().await;
    let ana = world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    // One is answered, one gives up, one is placed and answered.
    let taken = world.wa.call(InboundCall::from(NINO).step(Step::SpeakForever(agent_voice()))).await.unwrap();
    let offer = ana.next_offer(SOON).await.unwrap();
    let talk = offer.accept().await.unwrap();
    taken.answered(SOON).await.unwrap();
    taken.hang_up();
    world.settled(&talk.call_id).await;
    ana.go_offline().await.unwrap();
    let lost = world.wa.call(InboundCall::from("995555010204")).await.unwrap();
    lost.ended(SOON).await.unwrap();
    ana.go_online().await.unwrap();
    world.wa.set_customer(NINO, Script { hang_up_after: Some(Duration::from_secs(1)), ..Script::default() });
    let placed = ana.dial(NUMBER, &format!("wa:{NINO}")).await.unwrap();
    world.settled(&placed.call_id).await;
    world.until("it is charged", async || !world.call(&placed.call_id).await["charge"].is_null()).await;

    let browser = console(&world, "agt_owner", "owner", false).await;
    browser.open(&format!("{}/analytics", world.gateway.base)).await;
    browser.appears("chart-days").await;
    let calls = world.get("reports/calls").await;
    let count = |direction: &str, field: &str| calls[direction][field].as_i64().unwrap();
    assert_eq!((count("inbound", "calls"), count("outbound", "calls")), (2, 1), "{calls}");
    assert_eq!(world.calls().await.len(), 3);
    // One of two was answered.
    for (tile, figure) in [("tile-calls", "2 incoming, 1 outbound"), ("tile-rate", "50 %"), ("tile-reached", "100 %")] {
        browser.says(tile, figure).await;
    }

    let hours = table(&browser, "chart-hours").await;
    let drawn: i64 = hours.as_array().unwrap().iter().map(|row| row[1].as_str().unwrap().parse::<i64>().unwrap()).sum();
    assert_eq!(drawn, 3, "{hours}");
    let days = table(&browser, "chart-days").await;
    assert_eq!(days.as_array().unwrap().len(), 7, "every day of the week, with calls or without");
    let reasons = table(&browser, "chart-missed").await;
    assert_eq!(reasons, json!([["No agent was available", "1"]]));
    let cost = &world.get("reports/costs").await["items"][0];
    assert_eq!(
        (&cost["country"], &cost["micros"]),
        (&json!("GE"), &world.call(&placed.call_id).await["charge"]["micros"])
    );
    let costs = table(&browser, "chart-costs").await;
    assert_eq!(costs[0][0], "Georgia", "{costs}");
    let agents = table(&browser, "chart-agents").await;
    assert_eq!((&agents[0][0], &agents[0][1], &agents[0][2]), (&json!("agt_a"), &json!("1"), &json!("1")), "{agents}");
    let steps = world.get("reports/permissions").await;
    let funnel = table(&browser, "chart-permissions").await;
    for (row, step) in funnel.as_array().unwrap().iter().zip(steps["steps"].as_array().unwrap()) {
        assert_eq!(row[1], step["customers"].to_string(), "{row} {step}");
    }
    // Each picture says what it is, and its table opens by the keyboard.
    let named = "return [...document.querySelectorAll('svg[role=img]')].every((svg) => svg.getAttribute('aria-label')) && document.querySelectorAll('details.numbers summary').length >= 4";
    assert_eq!(browser.run(named).await, json!(true));
    browser.looks_good("analytics").await;
    // Without a pointer: one value after another is read out.
    browser.run("document.querySelector('[data-testid=chart-days] [data-testid=walk]').focus()").await;
    browser.press(thirtyfour::Key::End + "").await;
    let said = async |chart: &str| {
        let script = format!("return document.querySelector('[data-testid={chart}] .chart-said').textContent");
        browser.run(&script).await.as_str().unwrap().to_owned()
    };
    assert!(said("chart-days").await.ends_with(": Answered 2, Missed 1, Other 0"), "{}", said("chart-days").await);
    browser.press(thirtyfour::Key::Left + "").await;
    assert!(said("chart-days").await.ends_with(": Answered 0, Missed 0, Other 0"), "{}", said("chart-days").await);
    browser.run("document.querySelector('[data-testid=chart-hours] [data-testid=walk]').focus()").await;
    browser.press(thirtyfour::Key::Home + "").await;
    assert!(said("chart-hours").await.starts_with("Monday 00:00: "), "{}", said("chart-hours").await);
    let risk = browser.text("chart-risk").await;
    browser.run("document.querySelector('[data-testid=chart-risk]').scrollIntoView({ block: 'end' })").await;
    browser.looks_good("analytics-end").await;
    let health = world.get(&format!("numbers/{NUMBER}/health")).await;
    assert!(risk.contains("50 % of 2") && health["pickup"]["inbound"]["calls"] == 2, "{risk} {health}");

    browser.click("days-1").await;
    world
        .until("today alone is drawn", async || table(&browser, "chart-days").await.as_array().unwrap().len() == 1)
        .await;
    // Days by their names; all of a year is drawn by weeks.
    browser.click("days-days").await;
    let between = async |since: &str, until: &str| {
        for (name, day) in [("since", since), ("until", until)] {
            browser
                .run(&format!("const field = document.querySelector('[data-testid=days-{name}]'); field.value = '{day}'; field.dispatchEvent(new Event('change'))"))
                .await;
        }
    };
    between("2020-01-01", "2020-01-03").await;
    world.until("three days", async || table(&browser, "chart-permissions").await.as_array().unwrap().is_empty()).await;
    browser.says("tile-calls", "0 incoming, 0 outbound").await;
    browser.reads("return location.search", "?days=days&since=2020-01-01&until=2020-01-03").await;
    browser.looks_good("analytics-days-none").await;
    between("2020-01-03", "2020-01-01").await;
    let wrong = "return document.querySelector('#days-wrong').textContent";
    browser.reads(wrong, "The last day is before the first: swap them.").await;
    let today = browser.run("const d = new Date(); return `${d.getFullYear()}-${String(d.getMonth() + 1).padStart(2, '0')}-${String(d.getDate()).padStart(2, '0')}`").await;
    let year_ago = browser.run("const d = new Date(); d.setDate(d.getDate() - 364); return `${d.getFullYear()}-${String(d.getMonth() + 1).padStart(2, '0')}-${String(d.getDate()).padStart(2, '0')}`").await;
    between(year_ago.as_str().unwrap(), today.as_str().unwrap()).await;
    world.until("weeks of a year", async || table(&browser, "chart-days").await.as_array().unwrap().len() == 53).await;
    browser.looks_good("analytics-year").await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;

    // A teammate is shown its own figures, and no costs.
    let mate = console(&world, "agt_mate", "teammate", false).await;
    mate.open(&format!("{}/analytics", world.gateway.base)).await;
    mate.appears("chart-permissions").await;
    mate.says("tile-calls", "0 incoming, 0 outbound").await;
    assert!(!mate.is_there("chart-costs").await && !mate.is_there("filter-agent_id").await);
    mate.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_who_would_ring_and_rings_nobody() {
    let world = World::start().await;
    world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    let browser = console(&world, "agt_owner", "owner", false).await;
    browser.open(&format!("{}/settings/routing", world.gateway.base)).await;
    let ask = async |who: &str| {
        browser.appears("route-ask").await;
        browser.run(&format!("document.querySelector('[data-testid=route-customer]').value = '{who}'")).await;
        browser.click("route-ask").await;
    };
    ask("Nobody").await;
    browser.says("route-answer", "with its country code").await;
    ask("Nino").await;
    browser.appears("route-candidates").await;
    browser.has("[data-testid=route-candidates] li", "data-agent-id", "agt_a").await;
    world.put("numbers/100000000000001/settings", json!({"allow_voice_calls": false})).await;
    ask(&format!("+{NINO}")).await;
    browser.says("route-answer", "Turned away").await;
    browser.looks_good("routing").await;
    assert!(world.calls().await.is_empty());
    browser.quit().await;
}
