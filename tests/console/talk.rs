//! In the call and after it: devices that come and go, what is known of the customer, what is written down.

use std::time::Duration;

use serde_json::{Value, json};
use tandem_loadtest::sound::Sound;
use tandem_loadtest::whatsapp::{Action, CallHandle, CallOptions, GraphFault, InboundCall, Script, Step};

use crate::browser::Browser;
use crate::world::{NINO, SOON, World};
use crate::{CUSTOMER_HZ, MICROPHONE_HZ, hear_each_other, sign_in};

/// Takes alarms out of the stream of events before the page sees them.
const DEAF: &str = "
    const real = window.fetch;
    window.fetch = async (path, options) => {
      const response = await real(path, options);
      if (!String(path).includes('/events')) return response;
      const deaf = new TransformStream({ transform(chunk, out) {
        out.enqueue(new TextEncoder().encode(new TextDecoder().decode(chunk).replaceAll('call.media_alarm', 'call.nothing')));
      } });
      return new Response(response.body.pipeThrough(deaf), { headers: response.headers });
    };";

fn humming() -> Step {
    Step::SpeakForever(Sound::tone(CUSTOMER_HZ, Duration::from_secs(2)))
}

async fn at_desk(world: &World) -> Browser {
    world.agent_offline("agt_a").await;
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    sign_in(world, &browser, "agt_a").await;
    browser
}

async fn talking(world: &World, browser: &Browser, call: InboundCall) -> CallHandle {
    let phone = world.wa.call(call.named("Nino").step(humming())).await.unwrap();
    browser.click("popup-accept").await;
    phone.answered(SOON).await.unwrap();
    browser.appears("call-panel").await;
    hear_each_other(world, browser, &phone).await;
    phone
}

async fn quiet(browser: &Browser) -> bool {
    browser.run("return document.querySelector('[data-testid=call-alarm]').hidden;").await == json!(true)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_headset_that_is_unplugged_gives_way_and_the_call_goes_on() {
    let world = World::start().await;
    let browser = at_desk(&world).await;
    let phone = talking(&world, &browser, InboundCall::from(NINO)).await;
    // As a browser does when a microphone is pulled: its track ends, and the system's choice is another.
    let pull = "return import('/mic.js').then(({ mic }) => {
        const track = mic.track();
        Object.defineProperty(track, 'label', { value: 'Desk headset' });
        window.pulled = track.id;
        track.stop();
        track.dispatchEvent(new Event('ended'));
        return mic.lost();
      });";
    assert_eq!(browser.run(pull).await, "Desk headset");
    browser.says("toast", "Your microphone is gone").await;
    browser.says("toast", "The call goes on with").await;
    let fresh = "return import('/mic.js').then(({ mic }) => mic.track().readyState === 'live' && mic.track().id !== window.pulled);";
    browser.reads(fresh, true).await;
    hear_each_other(&world, &browser, &phone).await;

    // The customer's voice moves to the system's speaker when the chosen one is gone, and back with it.
    let sinks = "return document.getElementById('remote-audio').sinkId;";
    let device = browser
        .run("return navigator.mediaDevices.enumerateDevices().then((all) => all.filter(({ kind, deviceId }) => kind === 'audiooutput' && deviceId !== 'default')[0].deviceId);")
        .await;
    browser.click_css(".nav [data-section=devices]").await;
    browser.click_css(&format!("#device-output option[value='{}']", device.as_str().unwrap())).await;
    world.until("it plays there", async || browser.run(sinks).await == device).await;
    let watch = "const list = navigator.mediaDevices.enumerateDevices.bind(navigator.mediaDevices);
        window.plugged = true;
        navigator.mediaDevices.enumerateDevices = async () => (await list()).filter(({ deviceId }) => window.plugged || deviceId !== DEVICE);
        navigator.mediaDevices.dispatchEvent(new Event('devicechange'));";
    browser.run(&watch.replace("DEVICE", &device.to_string())).await;
    let plug = async |there: bool| {
        let script =
            format!("window.plugged = {there}; navigator.mediaDevices.dispatchEvent(new Event('devicechange'));");
        browser.run(&script).await;
    };
    browser.run("document.getElementById('toasts').replaceChildren();").await;
    plug(false).await;
    browser.says("toast", "the call goes on").await;
    world.until("it plays on the system's speaker", async || browser.run(sinks).await == "").await;
    browser.looks_good("headset-gone").await;
    plug(true).await;
    world.until("and back", async || browser.run(sinks).await == device).await;
    hear_each_other(&world, &browser, &phone).await;

    // Muted at the headset: only the browser knows.
    browser.run("return import('/mic.js').then(({ mic }) => { Object.defineProperty(mic.track(), 'muted', { configurable: true, get: () => true }); });").await;
    browser.says("call-alarm", "switched off at the headset").await;
    browser.run("return import('/mic.js').then(({ mic }) => { delete mic.track().muted; });").await;
    world.until("the warning goes", async || quiet(&browser).await).await;
    // Muted here, and talking: the hum never stops.
    browser.click("call-mute").await;
    browser.says("call-alarm", "You are muted").await;
    browser.looks_good("talks-muted").await;
    browser.click_css("[data-testid=call-alarm] button").await;
    hear_each_other(&world, &browser, &phone).await;
    assert_eq!(phone.violations(), []);
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warning_outlives_a_reload_and_slow_connecting_explains_itself() {
    let world = World::start().await;
    let browser = at_desk(&world).await;
    world.wa.fail_next(Action::Accept, 1, GraphFault::AnswerLate(Duration::from_secs(4)));
    let phone = world.wa.call(InboundCall::from(NINO).named("Nino").step(humming())).await.unwrap();
    browser.click("popup-accept").await;
    let slow = async || browser.run("return document.body.textContent;").await.to_string();
    world
        .until("it says what it waits for", async || slow().await.contains("WhatsApp has not confirmed the answer yet"))
        .await;
    hear_each_other(&world, &browser, &phone).await;
    world.until("and no more", async || quiet(&browser).await).await;

    phone.fall_silent();
    browser.says("call-alarm", "check their microphone").await;
    // The page hears of no alarm from here on: what it shows it has read.
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", json!({ "source": DEAF })).await;
    browser.reload().await;
    browser.appears("call-panel").await;
    browser.says("call-alarm", "no sound comes from their phone").await;
    phone.peer().unwrap().speak_again();
    world.until("it goes with its cause", async || quiet(&browser).await).await;
    browser.reload().await;
    browser.appears("call-panel").await;
    hear_each_other(&world, &browser, &phone).await;
    assert!(quiet(&browser).await, "what is over is not told again");
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bar_tells_where_the_customer_is_what_brought_them_and_takes_notes_and_tags() {
    let world = World::start().await;
    let browser = at_desk(&world).await;
    let linked = CallOptions { deeplink_payload: Some("site-footer <b>".to_owned()), ..Default::default() };
    let phone = talking(&world, &browser, InboundCall::from(NINO).with(linked)).await;
    browser.click("alongside-close").await;
    browser.says("call-place", "Georgia").await;
    let plain = |text: &str| text.replace(['\u{202f}', '\u{a0}'], " ");
    let place = plain(&browser.text("call-place").await);
    let clock = browser
        .run("return new Intl.DateTimeFormat(undefined, { timeZone: 'Asia/Tbilisi', hour: 'numeric', minute: '2-digit' }).format();")
        .await;
    assert!(place.contains(&plain(clock.as_str().unwrap())), "{place}, and it is {clock}");
    browser.says("call-asked", "site-footer <b>").await;
    assert!(!browser.is_there("call-cost").await, "a customer's own call costs nothing");
    browser.looks_good("in-call").await;

    // In a window of its own, and back: the call does not notice.
    browser.click("call-popout").await;
    browser.appears("call-away").await;
    let away = "return documentPictureInPicture.window.document.querySelector('[data-testid=call-panel] [data-testid=call-duration]').textContent;";
    world.until("it has a clock there", async || browser.run(away).await.as_str().unwrap().starts_with("0:")).await;
    hear_each_other(&world, &browser, &phone).await;
    browser.click_css("[data-testid=call-away] button").await;
    browser.appears("call-panel").await;
    browser.vanishes("call-away").await;

    browser.click("call-notes").await;
    browser.appears("call-note").await.send_keys("Wants ten seats.").await.unwrap();
    browser.click("call-note-save").await;
    browser.fill("tag-text", "Renewal").await;
    browser.click("tag-add").await;
    browser.says("call-facts", "renewal").await;
    browser.looks_good("call-notes").await;
    let call = world.newest_call("it is marked", |call| call["tags"] == json!(["renewal"])).await;
    let id = call["id"].as_str().unwrap();
    let notes = async || world.get(&format!("calls/{id}/notes")).await["items"].clone();
    world.until("the note is kept", async || notes().await[0]["text"] == "Wants ten seats.").await;

    // What was begun is not lost with the call, nor when the next one comes first.
    browser.fill("call-note", "And a call on Monday.").await;
    phone.hang_up();
    phone.ended(SOON).await.unwrap();
    browser.appears("wrapup").await;
    let begun = "return document.querySelector('[data-testid=wrap-note]').value;";
    browser.reads(begun, "And a call on Monday.").await;
    let phone = world.wa.call(InboundCall::from(NINO).named("Nino").step(humming())).await.unwrap();
    browser.click("popup-accept").await;
    phone.answered(SOON).await.unwrap();
    world.until("it was saved by itself", async || notes().await[0]["text"] == "And a call on Monday.").await;
    browser.vanishes("wrapup").await;
    phone.hang_up();
    phone.ended(SOON).await.unwrap();
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_was_placed_shows_what_it_costs_so_far() {
    let world = World::start().await;
    let browser = at_desk(&world).await;
    world.nino_of("agt_a").await;
    world.wa.set_customer(NINO, Script::answers_after(Duration::from_millis(300)).step(humming()));
    let contact = world.get(&format!("contacts/wa:{NINO}")).await;
    browser.open(&format!("{}/contacts/{}", world.gateway.base, contact["id"].as_str().unwrap())).await;
    browser.click("call-button").await;
    browser.click("call-start").await;
    let phone = world.wa.next_outbound(SOON).await.unwrap();
    hear_each_other(&world, &browser, &phone).await;
    browser.says("call-cost", "so far").await;
    let shown = async || browser.text("call-cost").await;
    browser.says("call-cost", "$0.0").await;
    let first = shown().await;
    world.until("it grows with each pulse", async || shown().await != first).await;
    browser.click("call-hangup").await;
    phone.ended(SOON).await.unwrap();
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_for_writing_up_is_counted_down_and_ends_with_done() {
    let dir = tempfile::tempdir().unwrap();
    let pack = dir.path().join("pack.toml");
    let built_in = include_str!("../../config/policy/default.toml");
    std::fs::write(&pack, built_in.replace("wrap_up_s = 0", "wrap_up_s = 300")).unwrap();
    let world = World::with(&format!("[policy]\npack = {pack:?}\n"), Default::default()).await;
    let browser = at_desk(&world).await;
    let phone = talking(&world, &browser, InboundCall::from(NINO)).await;
    phone.hang_up();
    phone.ended(SOON).await.unwrap();
    browser.says("wrap-left", "Next call in 4:").await;
    browser.looks_good("wrap-up").await;
    let until = async || world.get("agents/agt_a/wrap-up").await["until"].clone();
    assert_ne!(until().await, Value::Null);
    let turned_away = world.wa.call(InboundCall::from(NINO)).await.unwrap();
    turned_away.ended(SOON).await.unwrap();
    assert!(!browser.is_there("popup").await, "she writes up the last call");

    browser.fill("wrap-note", "Rings again on Monday.").await;
    browser.click("wrap-save").await;
    browser.vanishes("wrapup").await;
    assert_eq!(until().await, Value::Null);
    let phone = world.wa.call(InboundCall::from(NINO)).await.unwrap();
    browser.appears("popup").await;
    phone.hang_up();
    phone.ended(SOON).await.unwrap();
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}
