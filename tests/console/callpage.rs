//! A call's own page: while it runs, when it ends, and afterwards.

use std::time::Duration;

use tandem::model::id::CallId;
use tandem::model::reason::Direction;
use tandem::model::rtp::Side;
use tandem_loadtest::sound::Sound;
use tandem_loadtest::whatsapp::{InboundCall, Script, Step};

use crate::browser::Browser;
use crate::incall::{CLIP, PATIENCE, WORD};
use crate::manage::{keep_call, store, write_down};
use crate::people::{hire, sign_in_at};
use crate::world::{NINO, NUMBER, SOON, World};
use crate::{CUSTOMER_HZ, MICROPHONE_HZ};

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_a_running_call_follows_it_to_its_end_without_a_reload() {
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/models/whisper-tiny.en");
    let world = World::with(&format!("[asr]\nmodel = {model:?}\n"), Default::default()).await;
    hire(&world, "agt_o", "Olga", "owner").await;
    let agent = world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    let sentence = Sound::wav(CLIP).expect("`make test` brings the sentences");
    let phone = world.wa.call(InboundCall::from(NINO).named("Nino").step(Step::Speak(sentence))).await.unwrap();
    let offer = agent.next_offer(SOON).await.unwrap();
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    let id = offer.call_id.clone();
    let talk = offer.accept().await.unwrap();
    phone.answered(SOON).await.unwrap();
    sign_in_at(&world, &browser, "agt_o", &format!("/calls/{id}")).await;
    browser.appears("call-status").await;
    browser.run("globalThis.sameDocument = true").await;
    // It is hidden as long as there is nothing in it.
    let written = async || {
        let text =
            browser.run("return document.querySelector('[data-testid=transcript]').textContent.toLowerCase()").await;
        text.as_str().unwrap().to_owned()
    };
    world.until_within(PATIENCE, "the words come while they are spoken", async || written().await.contains(WORD)).await;
    // They come by themselves: nobody asks again and again.
    let asked =
        "return performance.getEntriesByType('resource').filter(({ name }) => name.endsWith('/transcript')).length";
    assert!(browser.run(asked).await.as_u64().unwrap() <= 3, "{}", browser.run(asked).await);
    browser.says("call-status", "Ongoing").await;
    browser.says("recording", "Recording.").await;
    browser.looks_good("call-ongoing").await;

    talk.hang_up().await.unwrap();
    phone.ended(SOON).await.unwrap();
    browser.says("call-status", "Completed").await;
    browser.appears("recording-player").await;
    world.until_within(PATIENCE, "the summary comes", async || browser.is_there("summary").await).await;
    world
        .until("the transcript is whole", async || {
            browser.text("transcript").await.to_lowercase().contains(WORD)
                && browser.run("return document.querySelectorAll('[data-testid=segment][data-growing]').length").await
                    == 0
        })
        .await;
    let ends = async || {
        let told = browser.text("timeline").await;
        told.contains("The summary was ready") || told.contains("hung up")
    };
    world.until("the timeline tells the end", ends).await;
    assert_eq!(browser.run("return globalThis.sameDocument").await, true, "the page was never loaded anew");
    browser.looks_good("call-completed").await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_plays_faster_and_without_its_pauses_and_a_call_is_summed_up_anew() {
    let world = World::start().await;
    hire(&world, "agt_a", "Ana", "teammate").await;
    let agent = world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    let (tone, pause) = (|| Step::Speak(Sound::tone(CUSTOMER_HZ, Duration::from_secs(1))), Duration::from_secs(4));
    let says = InboundCall::from(NINO).step(tone()).step(Step::Wait(pause)).step(tone()).step(Step::HangUp);
    let phone = world.wa.call(says).await.unwrap();
    let talk = agent.next_offer(SOON).await.unwrap().accept().await.unwrap();
    phone.ended(SOON).await.unwrap();
    let id: CallId = talk.call_id.parse().unwrap();
    world.settled(id.as_str()).await;
    world.until("it is kept", async || world.call(id.as_str()).await["recording"]["state"] == "ready").await;
    // Over, and still being written down.
    let kept = store(&world).await;
    kept.begin_transcript(&id, "builtin", None, false).await.unwrap();
    kept.close().await;
    let contact = world.get(&format!("contacts/wa:{NINO}")).await["id"].as_str().unwrap().to_owned();
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    sign_in_at(&world, &browser, "agt_a", &format!("/contacts/{contact}")).await;
    assert_eq!(browser.text("card-summary").await, "The summary is being written…");
    browser.click_css(".call-card-open").await;
    assert_eq!(browser.text("summary-state").await, "The summary is being written…");
    assert_eq!(browser.text("transcript-state").await, "It is being written down…");
    write_down(
        &world,
        &id,
        &[
            (Side::Customer, 0, 1_500, "Where is my parcel with number 4711? It was due on Monday."),
            (Side::Agent, 1_600, 3_000, "I will send you a link today."),
        ],
    )
    .await;
    browser.appears("recording-player").await;
    let audio = "document.querySelector('[data-testid=recording-audio]')";
    browser.click_css(".speed button:nth-child(5)").await;
    assert_eq!(browser.run(&format!("return {audio}.playbackRate")).await, 2);
    assert_eq!(browser.attribute(".speed button:nth-child(5)", "aria-pressed").await, "true");
    browser.click_css(".speed button:nth-child(2)").await;
    assert_eq!(browser.run(&format!("return {audio}.playbackRate")).await, 1);

    let skip = "[data-testid=player-skip]";
    world.until("the pauses are known", async || browser.attribute(skip, "disabled").await.is_empty()).await;
    browser.click("player-skip").await;
    // How far the place in the recording moves between two frames, at most.
    browser
        .run(&format!(
            "globalThis.leap = 0; let last = 0; const look = () => {{ const now = {audio}.currentTime; leap = Math.max(leap, now - last); last = now; requestAnimationFrame(look); }}; look();"
        ))
        .await;
    browser.click("player-play").await;
    world.until("it has played to its end", async || browser.run(&format!("return {audio}.ended")).await == true).await;
    let leap = browser.run("return leap").await.as_f64().unwrap();
    assert!(leap > 2.5, "a pause of four seconds is jumped over: {leap} s");

    let ready = async || {
        let log = world.get("events?limit=200").await;
        log["items"].as_array().unwrap().iter().filter(|event| event["type"] == "summary.ready").count()
    };
    let before = ready().await;
    let asked = world.gateway.request("POST", &format!("calls/{id}/summary"), None).await;
    assert_eq!(asked.status, 202);
    world.until("it was summed up", async || ready().await == before + 1).await;
    browser.says("summary", "parcel").await;
    browser.click("summary-again").await;
    world.until("it is summed up anew", async || ready().await == before + 2).await;
    browser.says("summary", "parcel").await;
    browser.says("quality-graph", "Jitter").await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outbound_call_says_what_it_cost_and_a_missed_one_whom_it_reached() {
    let world = World::start().await;
    hire(&world, "agt_o", "Olga", "owner").await;
    let agent = world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    world.wa.set_customer(NINO, Script { hang_up_after: Some(Duration::from_secs(1)), ..Script::default() });
    let placed = agent.dial(NUMBER, &format!("wa:{NINO}")).await.unwrap();
    world.settled(&placed.call_id).await;
    world.until("it is charged", async || !world.call(&placed.call_id).await["charge"].is_null()).await;
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    sign_in_at(&world, &browser, "agt_o", &format!("/calls/{}", placed.call_id)).await;
    let cost = browser.text("call-cost").await;
    let charge = &world.call(&placed.call_id).await["charge"];
    let dollars = charge["micros"].as_f64().unwrap() / 1e6;
    assert!(cost.starts_with(&format!("${dollars}")), "{cost} is not {charge}");
    assert!(cost.contains("of 6 s at $0.0095 a minute"), "{cost}");
    browser.looks_good("call-outbound").await;

    let phone = world.wa.call(InboundCall::from(NINO)).await.unwrap();
    agent.next_offer(SOON).await.unwrap().reject().await.unwrap();
    phone.ended(SOON).await.unwrap();
    let missed = world.newest_call("it is missed", |call| call["status"] == "Missed by Agent").await;
    browser.open(&format!("{}/calls/{}", world.gateway.base, missed["id"].as_str().unwrap())).await;
    let offers = browser.text("offers").await;
    assert!(offers.contains("agt_a") && offers.contains("Missed by Agent") && offers.contains("rejected"), "{offers}");
    browser.looks_good("call-missed").await;
    let gone = keep_call(&world, "995555080801", None, Direction::UserInitiated).await;
    browser.open(&format!("{}/calls/{gone}", world.gateway.base)).await;
    browser.appears("call-status").await;
    assert!(
        !browser.is_there("offers").await
            || browser.run("return document.querySelector('[data-testid=offers]').hidden").await == true
    );
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}
