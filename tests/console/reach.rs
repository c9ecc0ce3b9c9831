//! What reaches an agent and what does not: a console that shows nothing, an agent who has no time, a second device, a bell
//! of its own.

use std::time::Duration;

use serde_json::{Value, json};
use tandem_loadtest::whatsapp::{Action, CallHandle, CallOptions, GraphFault, InboundCall};

use crate::browser::Browser;
use crate::people::hire;
use crate::world::{NINO, NUMBER, SOON, World};
use crate::{MICROPHONE_HZ, sign_in};

const ELSEWHERE: &str = "995555040404";

async fn at_desk(config: &str) -> (World, Browser) {
    let world = World::with(config, Default::default()).await;
    world.agent_offline("agt_a").await;
    world.nino_of("agt_a").await;
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    sign_in(&world, &browser, "agt_a").await;
    (world, browser)
}

async fn nino_calls(world: &World) -> CallHandle {
    world.wa.call(InboundCall::from(NINO)).await.unwrap()
}

async fn hidden(browser: &Browser, test_id: &str) -> bool {
    browser.run(&format!("return document.querySelector('[data-testid={test_id}]').hidden;")).await == json!(true)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_without_time_says_so_in_whatsapp_and_the_next_agent_rings() {
    let (world, browser) = at_desk("").await;
    let ben = world.agent("agt_b").await;
    let phone = nino_calls(&world).await;
    browser.click("popup-busy").await;
    browser.appears("busy-words").await;
    assert!(!phone.is_ended(), "opening it rejects nothing");
    browser.looks_good("popup-busy").await;
    let ready = browser.run("return document.querySelector('.busy-choice:nth-child(3)').textContent;").await;
    browser.click_css(".busy-choice:nth-child(3)").await;
    let words = "return document.querySelector('[data-testid=busy-words]').value;";
    browser.reads(words, ready).await;
    browser.fill("busy-words", "Back at five, <b>promised</b>.").await;
    browser.click("busy-send").await;
    browser.vanishes("popup").await;
    ben.next_offer(SOON).await.unwrap().reject().await.unwrap();
    phone.ended(SOON).await.unwrap();
    browser.says("toast", "Back at five, <b>promised</b>.").await;
    let sent = world.wa.requests().into_iter().rfind(|request| request.body["type"] == "text").unwrap();
    assert_eq!(
        (&sent.body["text"]["body"], &sent.body["to"]),
        (&json!("Back at five, <b>promised</b>."), &json!(NINO))
    );

    // The words are kept for the next time.
    let phone = nino_calls(&world).await;
    browser.click("popup-busy").await;
    browser.appears("busy-words").await;
    browser.reads(words, "Back at five, <b>promised</b>.").await;
    phone.hang_up();
    browser.vanishes("popup").await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_console_that_showed_nothing_says_so_and_takes_calls_again_at_a_click() {
    let (world, browser) = at_desk("[calls]\nshown_ms = 1000\n").await;
    let ben = world.agent("agt_b").await;
    // Frozen as far as the gateway can tell: nothing of it arrives there.
    browser
        .run(
            "window.real = window.fetch; window.fetch = (path, options) => /receipts|readiness/.test(path)
               ? Promise.reject(new TypeError('frozen')) : real(path, options);",
        )
        .await;
    let phone = nino_calls(&world).await;
    ben.next_offer(SOON).await.unwrap().reject().await.unwrap();
    phone.ended(SOON).await.unwrap();
    browser.says("passed-banner", "Calls go to others").await;
    browser.looks_good("passed-over").await;
    let phone = nino_calls(&world).await;
    let offer = ben.next_offer(SOON).await.unwrap();
    assert_eq!(world.call(&offer.call_id).await["offers"].as_array().unwrap().len(), 1, "no second of hers");
    offer.reject().await.unwrap();
    phone.ended(SOON).await.unwrap();

    browser.run("window.fetch = window.real;").await;
    browser.click("passed-mend").await;
    browser.says("passed-banner", "A call was passed on at").await;
    browser.click("passed-mend").await;
    world.until("it is read", async || hidden(&browser, "passed-banner").await).await;
    let phone = nino_calls(&world).await;
    browser.appears("popup").await;
    phone.hang_up();
    phone.ended(SOON).await.unwrap();
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_microphone_breaks_while_online_is_told_on_every_page_until_calls_come_again() {
    let (world, browser) = at_desk("[agents]\nnot_ready_after_ms = 500\n").await;
    browser.open(&format!("{}/contacts", world.gateway.base)).await;
    browser.appears("contact-search").await;
    assert!(hidden(&browser, "passed-banner").await);
    let refuse = "window.real = navigator.mediaDevices.getUserMedia;
        navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', 'NotAllowedError'));
        return import('/mic.js').then(({ mic }) => mic.reopen());";
    browser.run(refuse).await;
    browser.says("passed-banner", "You are online but not ready: The browser refuses the microphone").await;
    browser.says("passed-banner", "Calls go to others until this is mended").await;
    assert_eq!(world.get("agents/agt_a").await["passed_over"]["cause"], "not_ready");
    browser.looks_good("not-ready").await;
    browser.run("navigator.mediaDevices.getUserMedia = window.real;").await;
    browser.click("passed-mend").await;
    world.until("all is well", async || hidden(&browser, "passed-banner").await).await;
    world.until("and for calls", async || world.get("agents/agt_a").await["passed_over"].is_null()).await;
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_taken_on_another_device_ends_the_ring_here_before_whatsapp_has_said_a_word() {
    let (world, browser) = at_desk("").await;
    let handset = world.sign_in("agt_a").await;
    let mut took = Vec::new();
    for _ in 0..3 {
        world.wa.fail_next(Action::Accept, 1, GraphFault::AnswerLate(Duration::from_secs(3)));
        let phone = nino_calls(&world).await;
        let offer = handset.next_offer(SOON).await.unwrap();
        browser.appears("popup").await;
        // The later leg of a ring replaces the earlier one: the console's comes first.
        let leg = format!(
            "return performance.getEntriesByType('resource').some(({{ name }}) => name.endsWith('/{}/media'))",
            offer.id
        );
        world.until("the console's leg is there", async || browser.run(&leg).await == json!(true)).await;
        offer.prepare().await.unwrap();
        browser
            .run(
                "window.gone = null; new MutationObserver(() => { if (!document.querySelector('[data-testid=popup]')) window.gone ??= Date.now(); })
                   .observe(document.getElementById('popups'), { childList: true });",
            )
            .await;
        let clicked = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
        let talk = offer.accept().await.unwrap();
        browser.vanishes("popup").await;
        browser.says("toast", "Answered by you on another device").await;
        phone.answered(SOON).await.unwrap();
        let gone = browser.run("return window.gone;").await.as_f64().unwrap();
        took.push(gone - clicked as f64);
        let call = world.newest_call("it is up", |call| call["state"] == "active").await;
        let answered: jiff::Timestamp = call["answered_at"].as_str().unwrap().parse().unwrap();
        assert!(gone < answered.as_millisecond() as f64, "WhatsApp was still silent: {gone}, {call}");
        talk.hang_up().await.unwrap();
        phone.ended(SOON).await.unwrap();
        browser.run("document.getElementById('toasts').replaceChildren();").await;
        browser.vanishes("call-panel").await;
    }
    took.sort_by(f64::total_cmp);
    println!("from Accept on another device to the popup's end here: {took:?} ms");
    assert!(took[1] < 1000.0, "the budget is 200 ms: {took:?}");
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_comes_over_an_open_dialog_and_the_missed_are_counted_on_every_page() {
    let (world, browser) = at_desk("").await;
    let tagged = nino_calls(&world).await;
    browser.click("popup-reject").await;
    tagged.ended(SOON).await.unwrap();
    let call = world.newest_call("it is over", |call| call["state"] == "ended").await;
    world.put(&format!("calls/{}/tags", call["id"].as_str().unwrap()), json!({"tags": ["vip", "warranty"]})).await;
    browser.says("missed-badge", "1").await;
    browser.click_css(".nav [data-section=devices]").await;
    browser.says("missed-badge", "1").await;
    browser.click_css(".nav [data-section=home]").await;
    browser.click("call-back").await;
    browser.appears("call-dialog").await;
    browser.looks_good("call-dialog").await;

    let pressed = CallOptions { cta_payload: Some("order-7781".to_owned()), ..Default::default() };
    let phone = world.wa.call(InboundCall::from(NINO).with(pressed)).await.unwrap();
    browser.appears("popup").await;
    assert_eq!(browser.text("popup-tags").await.split_whitespace().collect::<Vec<_>>(), ["vip", "warranty"]);
    browser.says("popup-asked", "order-7781").await;
    let on_top = "const { left, top, width, height } = document.querySelector('[data-testid=popup-accept]').getBoundingClientRect();
        return document.elementFromPoint(left + width / 2, top + height / 2).closest('[data-testid=popup-accept]') !== null;";
    // Above the dialog.
    browser.reads(on_top, true).await;
    browser.screenshot("popup-over-dialog").await;
    browser.click("popup-accept").await;
    phone.answered(SOON).await.unwrap();
    browser.appears("call-panel").await;
    world.until("nobody is to be rung back", async || hidden(&browser, "missed-badge").await).await;
    phone.hang_up();
    phone.ended(SOON).await.unwrap();
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bell_rings_on_the_device_that_was_chosen_for_it() {
    let (world, browser) = at_desk("").await;
    browser.click_css(".nav [data-section=devices]").await;
    let options = "return [...document.querySelectorAll('#device-bell option')].map(({ value }) => value);";
    world
        .until("devices are listed", async || browser.run(options).await.as_array().is_some_and(|all| all.len() > 2))
        .await;
    browser.looks_good("devices").await;
    let chosen = browser.run(options).await[2].clone();
    browser
        .run("window.sinks = []; const real = HTMLMediaElement.prototype.setSinkId; HTMLMediaElement.prototype.setSinkId = function (id) { sinks.push(id); return real.call(this, id); };")
        .await;
    browser.click_css("#device-bell option:nth-child(3)").await;
    world.until("the bell moves", async || browser.run("return window.sinks;").await == json!([chosen])).await;
    let phone = nino_calls(&world).await;
    browser.appears("popup").await;
    // How loud it is there over half a second of the figure, and that nothing of it goes the other way.
    let loud = "import('/ringout.js').then(({ bellOut }) => {
          const out = bellOut();
          if (!(out instanceof MediaStreamAudioDestinationNode)) return done(0);
          const meter = new AnalyserNode(out.context, { fftSize: 2048 });
          out.context.createMediaStreamSource(out.stream).connect(meter);
          const samples = new Float32Array(2048);
          let peak = 0;
          const until = performance.now() + 3500;
          const timer = setInterval(() => {
            meter.getFloatTimeDomainData(samples);
            for (const sample of samples) peak = Math.max(peak, Math.abs(sample));
            if (performance.now() > until || peak > 0.05) { clearInterval(timer); done(peak); }
          }, 30);
        });";
    let peak = browser.run_async(loud).await.as_f64().unwrap();
    assert!(peak > 0.05, "the bell is heard on its own device: {peak}");
    phone.hang_up();
    browser.vanishes("popup").await;

    // Unplugged: it rings where all else is heard, and says so.
    let unplug = "const real = navigator.mediaDevices.enumerateDevices.bind(navigator.mediaDevices);
        navigator.mediaDevices.enumerateDevices = async () => (await real()).filter(({ deviceId }) => deviceId !== CHOSEN);
        navigator.mediaDevices.dispatchEvent(new Event('devicechange'));";
    browser.run(&unplug.replace("CHOSEN", &chosen.to_string())).await;
    browser.says("toast", "It rings where the customer’s voice is heard").await;
    let plain = "return import('/ringout.js').then(({ bellOut }) => bellOut() instanceof AudioDestinationNode);";
    browser.reads(plain, true).await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_asked_by_a_template_that_whatsapp_has_approved_with_its_places_filled_in() {
    let (world, browser) = {
        let world = World::start().await;
        world.agent_offline("agt_a").await;
        world.put(&format!("contacts/wa:{NINO}"), json!({"name": "Nino", "assignee_id": "agt_a"})).await;
        // With any webhook WhatsApp tells whose the number is.
        world.wa.customer_writes(ELSEWHERE, "Hello").await.unwrap();
        let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
        (world, browser)
    };
    let templates = format!("numbers/{NUMBER}/permission-templates");
    world.until("they are known", async || world.get(&templates).await["items"].as_array().unwrap().len() == 2).await;
    sign_in(&world, &browser, "agt_a").await;
    let contact = world.get(&format!("contacts/wa:{NINO}")).await;
    browser.open(&format!("{}/contacts/{}", world.gateway.base, contact["id"].as_str().unwrap())).await;
    browser.click("ask-permission").await;
    browser.appears("ask-list").await;
    let names =
        "return [...document.querySelectorAll('[data-testid=ask-list] option')].map(({ textContent }) => textContent);";
    browser.reads(names, ["may_we_call · en", "call_about_order · en", "Another, by its name…"].as_slice()).await;
    browser.shows("ask-preview", "May we call you about your request?").await;
    browser.click_css("[data-testid=ask-list] option:nth-child(2)").await;
    browser.appears("ask-place-0").await;
    browser.reads("return document.querySelector('[data-testid=ask-place-0]').value;", "Nino").await;
    browser.click("ask-send").await;
    browser.says("ask-dialog", "Fill in what stands in the place of {{2}}.").await;
    browser.fill("ask-place-1", "7781").await;
    browser.shows("ask-preview", "Hello Nino, may we call you about order 7781?").await;
    browser.looks_good("ask-list").await;
    browser.click("ask-send").await;
    browser.vanishes("ask-dialog").await;
    world.until("she is asked", async || world.wa.permission_requests().len() == 1).await;
    let sent = world.wa.permission_requests()[0].body["template"].clone();
    let parameters = json!([{"type": "text", "text": "Nino"}, {"type": "text", "text": "7781"}]);
    assert_eq!(
        (&sent["name"], &sent["components"][0]["parameters"]),
        (&json!("call_about_order"), &parameters),
        "{sent}"
    );
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lead_gives_customers_away_within_the_team_and_nobody_else_sees_a_way_to() {
    let world = World::start().await;
    world.put("teams/team_b", json!({"name": "Team B"})).await;
    for (id, role) in [("agt_lead", "sales_lead"), ("agt_mate", "teammate")] {
        hire(&world, id, id, role).await;
    }
    world.put("agents/agt_other", json!({"name": "agt_other", "role": "teammate", "team_id": "team_b"})).await;
    world.put(&format!("contacts/wa:{NINO}"), json!({"name": "Nino", "assignee_id": "agt_mate"})).await;
    world.put(&format!("contacts/wa:{ELSEWHERE}"), json!({"name": "Levan", "assignee_id": "agt_other"})).await;
    let id = async |phone: &str| world.get(&format!("contacts/wa:{phone}")).await["id"].as_str().unwrap().to_owned();
    let (nino, levan) = (id(NINO).await, id(ELSEWHERE).await);
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    crate::people::sign_in_at(&world, &browser, "agt_lead", &format!("/contacts/{nino}")).await;
    browser.appears("choose-assignee_id").await;
    let listed =
        "return [...document.querySelectorAll('[data-testid=choose-assignee_id] option')].map(({ value }) => value);";
    // The own team, and nobody.
    browser.reads(listed, ["", "agt_lead", "agt_mate"].as_slice()).await;
    browser.click_css("[data-testid=choose-assignee_id] option[value=agt_lead]").await;
    let assignee = async || world.get(&format!("contacts/{nino}")).await["assignee_id"].clone();
    world.until("it is the lead's", async || assignee().await == "agt_lead").await;
    // Keys pass over names: what they stop at holds with Enter.
    browser.run("document.querySelector('[data-testid=choose-assignee_id]').focus()").await;
    browser.press(thirtyfour::Key::Down + "").await;
    let chosen = "const field = document.querySelector('[data-testid=choose-assignee_id]'); return [field.value, 'choosing' in field.dataset]";
    browser.reads(chosen, json!(["agt_mate", true])).await;
    assert_eq!(assignee().await, "agt_lead");
    browser.press(thirtyfour::Key::Enter + "").await;
    world.until("it is the mate's again", async || assignee().await == "agt_mate").await;
    browser.open(&format!("{}/contacts/{levan}", world.gateway.base)).await;
    browser.appears("permission-chip").await;
    assert!(!browser.is_there("choose-assignee_id").await, "a customer of another team's");
    let put = format!(
        "return fetch('/v1/contacts/{levan}', {{ method: 'PUT', headers: {{ 'Content-Type': 'application/json' }}, body: JSON.stringify({{ assignee_id: 'agt_lead' }}) }}).then(({{ status }}) => status);"
    );
    assert_eq!(browser.run(&put).await, Value::from(403), "nor by other means");
    browser.quit().await;
}
