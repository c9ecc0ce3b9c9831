//! The call bar: every key does at the far end what it says here, and what goes wrong is told in words.

use std::time::{Duration, Instant};

use serde_json::json;
use tandem_loadtest::measure;
use tandem_loadtest::sound::Sound;
use tandem_loadtest::whatsapp::{CallHandle, CallOptions, InboundCall, Script, Step};

use crate::browser::Browser;
use crate::world::{NINO, SOON, World};
use crate::{CUSTOMER_HZ, MICROPHONE_HZ, hear_each_other, sign_in};

/// A recogniser on a machine that does three other things is slow, and not wrong.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);
/// A sentence from Debian's `pocketsphinx-testdata`, and a word of it.
pub(crate) const CLIP: &str =
    "/usr/share/pocketsphinx/test/data/librivox/sense_and_sensibility_01_austen_64kb-0870.wav";
pub(crate) const WORD: &str = "leisure";
/// Long enough to tell a hum from a click.
const EARSHOT: usize = 24_000;

fn humming() -> Step {
    Step::SpeakForever(Sound::tone(CUSTOMER_HZ, Duration::from_secs(2)))
}

/// An agent in a browser, online.
async fn at_the_desk(world: &World, microphone_hz: f32) -> Browser {
    world.agent_offline("agt_a").await;
    let browser = Browser::start(world.dir.path(), microphone_hz).await;
    sign_in(world, &browser, "agt_a").await;
    browser
}

/// Nino calls, and the agent has answered in the browser.
async fn talking(world: &World, browser: &Browser, step: Step) -> CallHandle {
    let phone = world.wa.call(InboundCall::from(NINO).named("Nino").step(step)).await.unwrap();
    browser.click("popup-accept").await;
    phone.answered(SOON).await.unwrap();
    browser.appears("call-panel").await;
    phone
}

/// By the button of the customer's page, once the gateway has said that it may be.
async fn start_call(browser: &Browser) {
    browser.click("call-button").await;
    browser.click("call-start").await;
}

/// What the phone hears from now on, once it is enough to judge.
async fn heard_from_now(world: &World, phone: &CallHandle) -> Vec<i16> {
    let since = Instant::now();
    world.until("the phone hears a while", async || phone.heard().since(since).pcm().len() > EARSHOT).await;
    phone.heard().since(since).pcm()
}

/// Waits until half a second of what the phone hears is so: what was said before is still on its way.
async fn hears(world: &World, phone: &CallHandle, what: &str, fits: impl Fn(&[i16]) -> bool) {
    world.until(what, async || fits(&heard_from_now(world, phone).await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mute_hold_and_keys_are_heard_at_the_far_end_and_shown_here() {
    // Time to look at what rings.
    let world = World::with("[calls]\nring_timeout_ms = 40000\n", Default::default()).await;
    let browser = at_the_desk(&world, MICROPHONE_HZ).await;
    world.nino_of("agt_a").await;
    let written = json!({"text": "Wants the papers by post, to the office in Batumi and not to her home. She will be there until six, and has to sign for them in person; if nobody opens, ring the neighbour on the left, who has a key and knows that somebody comes."});
    world.post(&format!("contacts/wa:{NINO}/notes"), written).await;
    // Much to be read, so that not all of it has room.
    let pressed = CallOptions { cta_payload: Some("order-7781/catalogue/autumn/".repeat(9)), ..Default::default() };
    let phone = world.wa.call(InboundCall::from(NINO).named("Nino").with(pressed).step(humming())).await.unwrap();
    browser.says("popup-note", "to the office in Batumi").await;
    browser.fits_when_small("ringing", ".popup button", &["popup-accept", "popup-reject"]).await;
    // A browser that was opened while it rings knows as much of it as one that heard the event.
    let ringing = browser.text("popup").await;
    assert!(
        ringing.contains("Georgia") && ringing.contains("Assigned to this chat") && ringing.contains("Rings here for"),
        "{ringing}"
    );
    browser.run("sessionStorage.removeItem('tandem.offers')").await;
    browser.reload().await;
    let told = |popup: &str| {
        popup
            .lines()
            .filter(|line| !line.contains("Waiting") && !line.contains("Rings here"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let popup = browser.text("popup").await;
    assert_eq!(told(&popup), told(&ringing));
    assert!(popup.contains("Rings here for"), "{popup}");
    browser.press_alt_shift('a').await;
    phone.answered(SOON).await.unwrap();
    browser.appears("call-panel").await;
    hear_each_other(&world, &browser, &phone).await;
    browser.fits_when_small("in-call", ".call-panel button, .nav a, .line button", &["call-mute", "call-hangup"]).await;

    // Also while one types.
    browser.click("call-notes").await;
    browser.press("Papers").await;
    browser.press_alt_shift('m').await;
    browser.says("call-mute", "Unmute").await;
    assert_eq!(browser.run("return document.querySelector('[data-testid=call-note]').value").await, "Papers");
    browser.fits_when_small("in-call-notes", ".call-panel button", &["call-mute", "call-hangup"]).await;
    browser.click("call-notes").await;
    let unheard = async || {
        hears(&world, &phone, "muted, and not heard", |heard| measure::tone_share(heard, MICROPHONE_HZ) < 0.05).await;
    };
    unheard().await;
    browser.reload().await;
    browser.says("call-mute", "Unmute").await;
    browser.reads("return __tandem.peer?.connectionState", "connected").await;
    unheard().await;
    browser.click("call-mute").await;
    hear_each_other(&world, &browser, &phone).await;

    browser.press_alt_shift('h').await;
    browser.says("call-hold", "Resume").await;
    hears(
        &world,
        &phone,
        "what is said on hold stays here, and the customer hears that somebody will come back",
        |heard| measure::tone_share(heard, MICROPHONE_HZ) < 0.05 && measure::rms(heard) > 100.0,
    )
    .await;
    world
        .until("the agent does not hear the customer on hold", async || {
            (browser.remote_peak_hz().await - f64::from(CUSTOMER_HZ)).abs() > 100.0
        })
        .await;
    browser.looks_good("held").await;
    browser.click("call-hold").await;
    hear_each_other(&world, &browser, &phone).await;

    // Every tone that the page makes is noted.
    browser
        .run(
            "window.tones = []; const Real = OscillatorNode;
             window.OscillatorNode = class extends Real { constructor(ctx, o) { super(ctx, o); tones.push(o.frequency); } };",
        )
        .await;
    browser.click("call-keypad").await;
    for digit in ["1", "9", "#"] {
        browser.click_css(&format!("[data-testid=keypad] [data-digit='{digit}']")).await;
    }
    browser.shows("keypad-echo", "19#").await;
    world.until("the phone hears the keys", async || phone.heard().digits() == "19#").await;
    assert_eq!(browser.run("return tones;").await, json!([697, 1209, 852, 1477, 941, 1477]), "ITU-T Q.23");
    phone.dtmf("7");
    browser.says("keypad-echo", "Customer pressed 7").await;
    browser.looks_good("keypad").await;
    browser.fits_when_small("keypad", ".call-panel button", &["call-mute", "call-hangup"]).await;
    assert_eq!(phone.violations(), []);
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_light_tells_what_is_recorded_and_a_pause_leaves_it_out() {
    let world = World::start().await;
    let browser = at_the_desk(&world, MICROPHONE_HZ).await;
    let phone = talking(&world, &browser, humming()).await;
    // The customer's page opens beside the one that is open.
    browser.says("alongside", "Ongoing").await;
    browser.says("alongside", "Nino").await;
    let beside = "return document.querySelector('#view h1').isConnected && !location.pathname.startsWith('/contacts');";
    browser.reads(beside, true).await;
    browser.looks_good("alongside").await;
    browser.click("alongside-close").await;
    browser.vanishes("alongside").await;
    browser.shows("recording-light", "Recording").await;
    let call = world.newest_call("it is recorded", |call| call["recording"]["state"] == "recording").await;
    let id = call["id"].as_str().unwrap();

    browser.click("call-recording").await;
    browser.shows("recording-light", "Recording paused").await;
    assert_eq!(world.call(id).await["recording"]["state"], "paused");
    browser.reads("return document.querySelector('[data-testid=call-recording]').disabled", false).await;
    assert!(!browser.is_there("toast").await, "it was paused, and nothing else is said");
    browser.looks_good("recording-paused").await;
    // A pause can last over a reload, and the light with it.
    browser.reload().await;
    browser.shows("recording-light", "Recording paused").await;
    hear_each_other(&world, &browser, &phone).await;
    browser.click("call-recording").await;
    browser.shows("recording-light", "Recording").await;
    // Somebody else may pause it, too, and again and again.
    for (action, shown) in [("pause", "Recording paused"), ("resume", "Recording"), ("pause", "Recording paused")] {
        world.post(&format!("calls/{id}/recording"), json!({ "action": action })).await;
        browser.shows("recording-light", shown).await;
    }

    phone.hang_up();
    browser.appears("toast").await;
    let call = world.settled(id).await;
    assert_eq!(call["recording"]["pauses"].as_array().unwrap().len(), 3, "{call}");
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_one_has_placed_survives_other_pages_and_a_reload() {
    let world = World::start().await;
    let browser = at_the_desk(&world, MICROPHONE_HZ).await;
    world.agent_offline("agt_b").await;
    let (own, other) = (world.token("agt_a").await, world.token("agt_b").await);
    world.nino_of("agt_a").await;
    world.wa.set_customer(NINO, Script::answers_after(Duration::from_millis(700)).step(humming()));
    let contact = world.get(&format!("contacts/wa:{NINO}")).await;
    browser.open(&format!("{}/contacts/{}", world.gateway.base, contact["id"].as_str().unwrap())).await;
    start_call(&browser).await;
    let phone = world.wa.next_outbound(SOON).await.unwrap();
    phone.answered(SOON).await.unwrap();
    hear_each_other(&world, &browser, &phone).await;

    for section in ["contacts", "calls"] {
        browser.click_css(&format!(".nav [data-section={section}]")).await;
        browser.appears("call-panel").await;
    }
    hear_each_other(&world, &browser, &phone).await;
    browser.reload().await;
    browser.appears("call-panel").await;
    hear_each_other(&world, &browser, &phone).await;
    assert!(!phone.is_ended());
    assert_eq!(phone.violations(), []);

    browser.click("call-hangup").await;
    phone.ended(SOON).await.unwrap();
    browser.appears("wrapup").await;
    browser.says("toast", "Completed").await;
    browser.looks_good("after-call").await;
    browser.fits_when_small("after-call", ".wrapup button, .wrapup textarea", &["wrap-save"]).await;
    browser.click_css("[data-testid=wrap-disposition] option[value='Resolved']").await;
    browser.appears("wrap-note").await.send_keys("Sends the papers today.").await.unwrap();
    // What is begun is there again after a reload, and for nobody else.
    for (token, is_there) in [(other, false), (own, true)] {
        browser.open("about:blank").await;
        browser.open(&format!("{}/#token={token}", world.gateway.base)).await;
        let live = "return globalThis.__tandem?.link === 'live'";
        world.until("somebody is signed in", async || browser.run(live).await == json!(true)).await;
        let begun = "return import('/ui/draft.js').then(({ draft }) => draft() !== null)";
        assert_eq!(browser.run(begun).await, json!(is_there));
        if is_there {
            browser.appears("wrapup").await;
        }
        assert_eq!(browser.is_there("wrapup").await, is_there);
    }
    let chosen = "return document.querySelector('[data-testid=wrap-disposition]').value";
    world.until("what was chosen is there", async || browser.run(chosen).await == json!("Resolved")).await;
    browser.click("wrap-save").await;
    browser.vanishes("wrapup").await;
    let call = world.newest_call("it is over", |call| call["state"] == "ended").await;
    assert_eq!(call["disposition"], "Resolved");
    let notes = world.get(&format!("calls/{}/notes", call["id"].as_str().unwrap())).await;
    assert_eq!(
        (&notes["items"][0]["text"], &notes["items"][0]["author_id"]),
        (&json!("Sends the papers today."), &json!("agt_a"))
    );
    browser.reload().await;
    browser.appears("status-switch").await;
    assert_eq!(
        browser.run("return import('/ui/draft.js').then(({ draft }) => draft())").await,
        json!(null),
        "nothing is left"
    );
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_side_that_is_not_heard_is_told_in_words_that_say_what_to_do() {
    let world = World::start().await;
    let browser = at_the_desk(&world, MICROPHONE_HZ).await;
    let phone = talking(&world, &browser, humming()).await;
    hear_each_other(&world, &browser, &phone).await;
    assert!(
        !browser.is_there("call-alarm").await
            || browser.run("return document.querySelector('[data-testid=call-alarm]').hidden;").await == json!(true)
    );

    phone.fall_silent();
    // The gateway's word, which knows whose side it is.
    browser.says("call-alarm", "check their microphone").await;
    browser.looks_good("one-way").await;
    phone.peer().unwrap().speak_again();
    world
        .until("the warning goes when the customer is back", async || {
            browser.run("return document.querySelector('[data-testid=call-alarm]').hidden;").await == json!(true)
        })
        .await;

    // The browser's own half: nothing goes out any more.
    browser.run("__tandem.peer.getSenders()[0].replaceTrack(null);").await;
    browser.says("call-alarm", "The customer cannot hear you").await;
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_stands_above_the_bar_and_its_summary_comes_to_the_page_by_itself() {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/models/whisper-tiny.en");
    let world = World::with(&format!("[asr]\nmodel = {model:?}\n"), Default::default()).await;
    // A steady hum is no speech.
    let browser = at_the_desk(&world, 0.0).await;
    world.nino_of("agt_a").await;
    let sentence = Sound::wav(CLIP).expect("`make test` brings the sentences");
    let phone = talking(&world, &browser, Step::Speak(sentence)).await;
    browser.click_css("[data-testid=call-panel] .call-name").await;
    let says = async |test_id: &str| browser.text(test_id).await.to_lowercase().contains(WORD);
    world.until_within(PATIENCE, "captions show it", async || says("captions").await).await;
    world.until_within(PATIENCE, "so does the customer's page", async || says("card-live").await).await;
    browser.looks_good("captions").await;
    browser.click("call-captions").await;
    world
        .until("captions can be switched off", async || {
            browser.run("return document.querySelector('[data-testid=captions]').hidden;").await == json!(true)
        })
        .await;

    phone.hang_up();
    browser.appears("toast").await;
    let call = world.newest_call("it is over", |call| call["state"] == "ended").await;
    let id = call["id"].as_str().unwrap();
    let path = format!("calls/{id}/summary");
    world.until_within(PATIENCE, "it is summed up", async || world.get(&path).await["state"] == "ready").await;
    let text = world.get(&path).await["summary"]["text"].as_str().unwrap().to_owned();
    let shown = async || browser.text("card-summary").await;
    world.until("the page shows the summary without a reload", async || shown().await == text).await;
    browser.click("card-transcript-open").await;
    world.until("the transcript is on the page", async || says("card-transcript").await).await;
    browser.click("card-recording-open").await;
    browser.appears("recording-player").await;
    browser.looks_good("conversation").await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_rings_at_the_customer_can_be_taken_back() {
    let world = World::start().await;
    let browser = at_the_desk(&world, MICROPHONE_HZ).await;
    world.nino_of("agt_a").await;
    world.wa.set_customer(NINO, Script::ignores());
    let contact = world.get(&format!("contacts/wa:{NINO}")).await;
    browser.open(&format!("{}/contacts/{}", world.gateway.base, contact["id"].as_str().unwrap())).await;
    start_call(&browser).await;
    let phone = world.wa.next_outbound(SOON).await.unwrap();
    browser.says("call-panel", "Ringing…").await;
    browser.says("call-hangup", "Cancel").await;
    browser.looks_good("dialling").await;
    browser.click("call-hangup").await;
    phone.ended(SOON).await.unwrap();
    browser.vanishes("call-panel").await;
    browser.appears("toast").await;
    assert!(!browser.is_there("wrapup").await, "nobody talked: there is nothing to write up");
    let call = world.newest_call("it is over", |call| call["state"] == "ended").await;
    assert_eq!((&call["answered_at"], &call["ended_by"]), (&json!(null), &json!("agent")));
    browser.appears("call-button").await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}
