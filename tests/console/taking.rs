//! Taking calls out of the house, and finding one among hundreds.

use std::io::{Cursor, Read as _};
use std::time::Duration;

use serde_json::{Value, json};
use tandem::call::CallRecord;
use tandem::model::directory::ContactRef;
use tandem::model::id::{CallId, NumberId};
use tandem::model::reason::{Direction, EndReason};
use tandem::model::rtp::Side;
use tandem::model::time::{Clock, Timestamp};
use tandem_loadtest::measure;
use tandem_loadtest::sound::Sound;
use tandem_loadtest::whatsapp::{InboundCall, Step};

use crate::browser::Browser;
use crate::manage::{exported_bytes, keep_call, store, write_down};
use crate::people::{hire, sign_in_at};
use crate::world::{NINO, NUMBER, SOON, World, channels};
use crate::{CUSTOMER_HZ, MICROPHONE_HZ};

/// More than the list keeps in sight.
const MANY: i64 = 560;

#[tokio::test(flavor = "multi_thread")]
async fn a_narrowed_list_goes_home_as_lines_and_as_an_archive_with_the_voices() {
    let world = World::start().await;
    hire(&world, "agt_o", "Olga", "owner").await;
    let agent = world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    let hum = Step::SpeakForever(Sound::tone(CUSTOMER_HZ, Duration::from_secs(2)));
    let phone = world.wa.call(InboundCall::from(NINO).step(hum)).await.unwrap();
    let talk = agent.next_offer(SOON).await.unwrap().accept().await.unwrap();
    talk.speak(&Sound::tone(MICROPHONE_HZ, Duration::from_secs(3)));
    talk.finished_speaking(SOON).await.unwrap();
    world.until("two seconds are recorded", async || talk.heard().pcm().len() > 48_000 * 2).await;
    talk.hang_up().await.unwrap();
    phone.ended(SOON).await.unwrap();
    let id = world.settled(&talk.call_id).await["id"].as_str().unwrap().to_owned();
    world.until("the recording is ready", async || world.call(&id).await["recording"]["state"] == "ready").await;
    let call: CallId = id.parse().unwrap();
    write_down(&world, &call, &[(Side::Customer, 0, 900, "Where is my <i>parcel</i>?")]).await;
    world.post(&format!("calls/{id}/notes"), json!({"text": "Sent a link."})).await;
    let other = keep_call(&world, "995555040402", Some("agt_a"), Direction::BusinessInitiated).await;

    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    sign_in_at(&world, &browser, "agt_o", "/calls?section=all&recorded=true").await;
    let rows = "return [...document.querySelectorAll('[data-testid=call-row]')].map((row) => row.dataset.callId)";
    world.until("only what was recorded", async || browser.run(rows).await == json!([id])).await;
    browser.click("export").await;
    browser.appears("export-menu").await;
    browser.looks_good("manage-export").await;
    browser.press(thirtyfour::Key::Escape + "").await;

    let lines = String::from_utf8(exported_bytes(&world, &browser, "ndjson").await).unwrap();
    let found: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(found.len(), 1, "{lines}");
    assert_eq!((&found[0]["id"], &found[0]["recording"]["state"]), (&json!(id), &json!("ready")));

    let bytes = exported_bytes(&world, &browser, "zip").await;
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
    let names: Vec<String> = archive.file_names().map(|name| name.unwrap().into_owned()).collect();
    assert!(!names.iter().any(|name| name.contains(other.as_str())), "what does not fit stays here: {names:?}");
    let mut file = |end: &str| {
        let name = names.iter().find(|name| name.ends_with(end)).unwrap_or_else(|| panic!("no {end}: {names:?}"));
        let mut bytes = Vec::new();
        archive.by_name(name).unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    };
    let (customer, agents) = channels(&file(&format!("{id}/recording.wav")));
    let share = measure::tone_share(&customer, CUSTOMER_HZ);
    assert!(share > 0.2, "the customer is heard on the left: {share}");
    let share = measure::tone_share(&agents, MICROPHONE_HZ);
    assert!(share > 0.2, "the agent is heard on the right: {share}");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    assert!(text(file(&format!("{id}/transcript.txt"))).contains("Where is my <i>parcel</i>?"));
    assert!(text(file(&format!("{id}/notes.json"))).contains("Sent a link."));
    let table = text(file("calls.csv"));
    assert!(table.lines().count() == 2 && table.contains(&id), "{table}");
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_hundreds_of_calls_is_found_page_by_page_and_by_what_was_said() {
    let world = World::start().await;
    hire(&world, "agt_o", "Olga", "owner").await;
    let calls = many_calls(&world).await;
    let oldest = calls.last().unwrap();
    write_down(&world, oldest, &[(Side::Customer, 0, 900, "A purple elephant.")]).await;

    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    sign_in_at(&world, &browser, "agt_o", "/calls").await;
    browser.appears("call-row").await;
    let shown = async || {
        let ids = "return [...document.querySelectorAll('[data-testid=call-row]')].map((row) => row.dataset.callId)";
        serde_json::from_value::<Vec<String>>(browser.run(ids).await).unwrap()
    };
    for pages in 1..=10 {
        world.until("the page is there", async || shown().await.len() == pages * 50).await;
        if pages < 10 {
            browser.click("older").await;
        }
    }
    let want: Vec<&str> = calls.iter().take(500).map(CallId::as_str).collect();
    assert_eq!(shown().await, want, "each once, newest first");
    assert!(!browser.is_there("older").await, "beyond that filters find faster");
    assert!(
        browser
            .run("return document.querySelector('.more').textContent")
            .await
            .as_str()
            .unwrap()
            .contains("newest 500")
    );
    // A call that comes while somebody has scrolled down moves nothing away from under the eyes.
    let scroll = "const last = document.querySelectorAll('[data-testid=call-row]')[480]; last.scrollIntoView({ block: 'center' }); return last.getBoundingClientRect().top";
    let before = browser.run(scroll).await.as_f64().unwrap();
    keep_call(&world, "995555060606", Some("agt_o"), Direction::UserInitiated).await;
    let place =
        format!("return document.querySelector('[data-call-id=\"{}\"]').getBoundingClientRect().top", calls[480]);
    let after = browser.run(&place).await.as_f64().unwrap();
    assert!((after - before).abs() < 80.0, "from {before} to {after}");
    // Who looks at a call and goes back stands where the call was.
    browser.click_css(&format!("[data-call-id='{}'] a", calls[480])).await;
    browser.vanishes("calls-table").await;
    browser.run("history.back()").await;
    world.until("as many rows as before", async || shown().await.len() == 500).await;
    let in_sight = async || browser.run(&place).await.as_f64().is_some_and(|top| (0.0..720.0).contains(&top));
    world.until("the call is in sight again", in_sight).await;

    browser.fill("filter-text", "elephant").await;
    world.until("the oldest is found by what was said", async || shown().await == [oldest.as_str()]).await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}

/// Calls of one customer, a minute apart, newest first.
async fn many_calls(world: &World) -> Vec<CallId> {
    world.put("contacts/wa:995555050505", json!({"name": "Patient Customer"})).await;
    let store = store(world).await;
    let who: ContactRef = "wa:995555050505".parse().unwrap();
    let contact = store.contact(&who).await.unwrap().unwrap();
    let now = Clock.now().wall;
    let mut calls = Vec::new();
    for n in 0..MANY {
        let at = Timestamp::from_millis(now.as_millis() - n * 60_000);
        let number = NumberId::parse(NUMBER).unwrap();
        let mut call = CallRecord::begun(CallId::generate(), number, Direction::UserInitiated, contact.clone(), at);
        call.state = tandem::model::reason::CallState::Ended;
        (call.ended_at, call.end_reason, call.settled) = (Some(at), Some(EndReason::MissedByAgent), true);
        call.status = tandem::call::record::Status::of(call.state, false, call.end_reason);
        store.save_call(&call, vec![], at).await.unwrap();
        calls.push(call.id);
    }
    store.close().await;
    calls
}
