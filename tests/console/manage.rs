//! Call Management: the guide's columns, rows that live, whose calls are shown, and a call's own page.

use std::time::Duration;

use serde_json::{Value, json};
use tandem::call::CallRecord;
use tandem::model::directory::{Asker, ContactRef};
use tandem::model::id::{AgentId, CallId, NumberId};
use tandem::model::reason::{CallState, Direction, EndReason, PermissionStatus, RequestKind};
use tandem::model::rtp::Side;
use tandem::model::time::Clock;
use tandem::model::transcript::Segment;
use tandem::policy::permission::Event;
use tandem::store::Store;
use tandem_loadtest::sound::Sound;
use tandem_loadtest::whatsapp::{InboundCall, Step};

use crate::browser::Browser;
use crate::people::{PASSWORD, hire, sign_in_at, type_password};
use crate::world::{NINO, NUMBER, SOON, World};
use crate::{CUSTOMER_HZ, MICROPHONE_HZ};

const SIX: [&str; 6] = ["Customer name", "Date/Time", "Status", "Duration", "Agent Name", "Summary"];

#[tokio::test(flavor = "multi_thread")]
async fn every_section_has_the_guides_columns_and_a_call_moves_from_ringing_to_completed_without_a_reload() {
    let world = World::start().await;
    hire(&world, "agt_o", "Olga", "owner").await;
    let agent = world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    sign_in_at(&world, &browser, "agt_o", "/calls").await;
    browser.run("globalThis.sameDocument = true").await;

    let hum = Step::SpeakForever(Sound::tone(CUSTOMER_HZ, Duration::from_secs(2)));
    let phone = world.wa.call(InboundCall::from(NINO).named("Nino").step(hum)).await.unwrap();
    let offer = agent.next_offer(SOON).await.unwrap();
    let row = "[data-testid=call-row]";
    let status = async |want: &str| {
        browser.has(row, "data-status", want).await;
    };
    status("Ringing").await;
    browser.click("section-received").await;
    browser.appears("filter-text").await;
    assert!(!browser.is_there("call-row").await, "nobody has received it yet");
    let talk = offer.accept().await.unwrap();
    phone.answered(SOON).await.unwrap();
    status("Ongoing").await;
    let clock = async || cells(&browser).await[0][3].clone();
    let before = clock().await;
    assert!(before.starts_with("0:"), "{before}");
    world.until("the duration ticks", async || clock().await > before).await;
    world.until("who talks is shown", async || cells(&browser).await[0][4] == "agt_a").await;
    browser.looks_good("manage-live").await;
    talk.hang_up().await.unwrap();
    phone.ended(SOON).await.unwrap();
    status("Completed").await;

    // Missed: with everyone it was offered to, and when.
    let phone = world.wa.call(InboundCall::from(NINO)).await.unwrap();
    agent.next_offer(SOON).await.unwrap().reject().await.unwrap();
    phone.ended(SOON).await.unwrap();
    for (section, want) in [
        ("all", &SIX[..]),
        ("received", &SIX),
        ("outbound", &SIX),
        ("missed", &SIX[..5]),
        ("permissions", &["Customer name", "Status", "Permission Requested/Expiry Date", "Agent Name"]),
    ] {
        browser.click(&format!("section-{section}")).await;
        if section == "outbound" {
            world
                .until("it is empty", async || {
                    browser.run("return document.querySelector('main .empty') !== null").await == true
                })
                .await;
            continue;
        }
        browser.reads(COLUMNS, want).await;
    }
    world
        .until("the permission is listed", async || {
            let rows = cells(&browser).await;
            rows.first().is_some_and(|row| row[1] == "Permanent" && row[2].contains("Given for good"))
        })
        .await;
    browser.looks_good("manage-permissions").await;
    browser.click("section-missed").await;
    status("Missed by Agent").await;
    world
        .until("who was offered it, and when", async || {
            let offered = cells(&browser).await[0][4].clone();
            offered.starts_with("agt_a") && offered.contains(':')
        })
        .await;
    browser.reads("return document.querySelectorAll('[data-testid=call-row] .offered time').length", 1).await;
    browser.looks_good("manage-missed").await;
    assert_eq!(browser.run("return globalThis.sameDocument").await, true, "the page was never loaded anew");

    // An outbound call has the six as well.
    keep_call(&world, "995555020202", Some("agt_a"), Direction::BusinessInitiated).await;
    browser.click("section-outbound").await;
    status("Completed").await;
    browser.reads(COLUMNS, &SIX[..]).await;
    browser.looks_good("manage-outbound").await;
    browser.click("section-received").await;
    status("Completed").await;
    browser.looks_good("manage-received").await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_house_without_calls_says_in_every_section_what_will_be_there() {
    let world = World::start().await;
    hire(&world, "agt_o", "Olga", "owner").await;
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    sign_in_at(&world, &browser, "agt_o", "/calls").await;
    let says = async || browser.run("return document.querySelector('main .empty')?.textContent ?? ''").await;
    for (section, what) in [
        ("all", "as soon as somebody calls"),
        ("received", "Incoming calls that were answered"),
        ("outbound", "Calls you place"),
        ("missed", "with everyone they were offered to"),
        ("permissions", "Ask a customer for permission"),
    ] {
        browser.click(&format!("section-{section}")).await;
        world.until(section, async || says().await.as_str().unwrap().contains(what)).await;
        browser.looks_good(&format!("manage-{section}-empty")).await;
    }
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn owner_lead_and_teammate_see_their_calls_and_no_trace_of_others() {
    let world = World::start().await;
    world.put("teams/team_b", json!({"name": "Team B"})).await;
    for (id, name, role) in [("agt_o", "Olga", "owner"), ("agt_l", "Lia", "sales_lead"), ("agt_t", "Tato", "teammate")]
    {
        hire(&world, id, name, role).await;
    }
    world.put("agents/agt_x", json!({"name": "Xenia", "role": "teammate", "team_id": "team_b"})).await;
    let mut calls = Vec::new();
    for (n, agent) in [("1", Some("agt_l")), ("2", Some("agt_t")), ("3", Some("agt_x")), ("4", None)] {
        calls.push(keep_call(&world, &format!("99555503030{n}"), agent, Direction::UserInitiated).await);
    }
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    for (who, sees, agent_filter, team_filter) in
        [("agt_o", &[3, 2, 1, 0][..], true, true), ("agt_l", &[1, 0], true, false), ("agt_t", &[1], false, false)]
    {
        if who == "agt_o" {
            sign_in_at(&world, &browser, who, "/calls").await;
        } else {
            type_password(&browser, &format!("{who}@example.com"), PASSWORD).await;
        }
        browser.appears("call-row").await;
        let ids = "return [...document.querySelectorAll('[data-testid=call-row]')].map((row) => row.dataset.callId)";
        let want: Vec<&str> = sees.iter().map(|n| calls[*n].as_str()).collect();
        browser.reads(ids, want.clone()).await;
        browser.click("filters-open").await;
        browser.appears("filter-status").await;
        world.until("the lists are there", async || browser.is_there("filter-disposition").await).await;
        assert_eq!(browser.is_there("filter-agent_id").await, agent_filter, "{who}");
        assert_eq!(browser.is_there("filter-team_id").await, team_filter, "{who}");
        // The server refuses what the page does not show.
        let foreign = calls[2].as_str();
        let script = format!("fetch('/v1/calls/{foreign}').then((answer) => done(answer.status))");
        assert_eq!(browser.run_async(&script).await, if who == "agt_o" { 200 } else { 404 }, "{who}");
        assert_eq!(exported(&world, &browser, "csv").await.lines().count(), 1 + want.len(), "{who}");
        browser.click("sign-out").await;
        browser.appears("sign-in-login").await;
    }
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_narrowed_linked_reloaded_and_exported() {
    let world = World::start().await;
    hire(&world, "agt_o", "Olga", "owner").await;
    world.agent_offline("agt_a").await;
    let parcel = keep_call(&world, "995555040401", Some("agt_a"), Direction::UserInitiated).await;
    let other = keep_call(&world, "995555040402", Some("agt_a"), Direction::BusinessInitiated).await;
    let missed = keep_call(&world, "995555040403", None, Direction::UserInitiated).await;
    write_down(
        &world,
        &parcel,
        &[(Side::Customer, 0, 1_500, "Where is my parcel?"), (Side::Agent, 1_600, 3_000, "On its way.")],
    )
    .await;
    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    sign_in_at(&world, &browser, "agt_o", "/calls").await;
    let rows = async || {
        let ids = "return [...document.querySelectorAll('[data-testid=call-row]')].map((row) => row.dataset.callId)";
        serde_json::from_value::<Vec<String>>(browser.run(ids).await).unwrap()
    };
    let shows = async |what: &str, want: &[&CallId]| {
        let want: Vec<&str> = want.iter().map(|id| id.as_str()).collect();
        world.until(what, async || rows().await == want).await;
    };
    shows("all", &[&missed, &other, &parcel]).await;
    browser.fill("filter-text", "parcel").await;
    shows("what was said", &[&parcel]).await;
    let address = browser.run("return location.search").await;
    assert!(address.as_str().unwrap().contains("text=parcel"), "{address}");
    browser.reload().await;
    shows("the same after a reload", &[&parcel]).await;
    let table = exported(&world, &browser, "csv").await;
    assert!(table.lines().count() == 2 && table.contains(parcel.as_str()), "{table}");
    let lines = exported(&world, &browser, "ndjson").await;
    let line: Value = serde_json::from_str(lines.trim()).unwrap();
    assert_eq!(line["id"], parcel.as_str());
    browser.fill("filter-text", "").await;
    shows("all again", &[&missed, &other, &parcel]).await;

    world.put(&format!("calls/{other}/tags"), json!({"tags": ["vip"]})).await;
    world.put(&format!("calls/{other}/disposition"), json!({"disposition": "Sale made"})).await;
    for (search, want) in [
        ("status=Missed+by+Agent", &missed),
        ("direction=business_initiated", &other),
        ("tag=vip", &other),
        ("disposition=Sale+made", &other),
        ("text=040401", &parcel),
    ] {
        browser.open(&format!("{}/calls?section=all&{search}", world.gateway.base)).await;
        shows(search, &[want]).await;
    }
    browser.open(&format!("{}/calls?section=all&since=2020-01-01&until=2020-01-31", world.gateway.base)).await;
    browser.appears("filters-clear").await;
    shows("a month before", &[]).await;
    browser.click("filters-open").await;
    browser.looks_good("manage-filters").await;
    browser.click("filters-clear").await;
    shows("nothing narrows", &[&missed, &other, &parcel]).await;
    browser.reads("return location.search", "?section=all").await;

    // Permissions alike: one who agreed, and one whom an agent asked.
    let store = store(&world).await;
    let (number, now) = (NumberId::parse(NUMBER).unwrap(), Clock.now().wall);
    let ana = Asker::Agent { agent_id: AgentId::parse("agt_a").unwrap() };
    for (customer, said) in [
        ("wa:995555040401", Event::checked(PermissionStatus::Permanent, None, now)),
        ("wa:995555040402", Event::requested("req_1", RequestKind::Template, None, now).by(ana)),
    ] {
        let contact = store.contact(&customer.parse().unwrap()).await.unwrap().unwrap();
        store.record_permission(&number, &contact.id, &[said], now).await.unwrap();
    }
    store.close().await;
    browser.click("section-permissions").await;
    let statuses = async || {
        let script = "return [...document.querySelectorAll('[data-testid=permission-row]')].map((row) => row.dataset.status).sort().join()";
        browser.run(script).await
    };
    world.until("both are listed", async || statuses().await == "permanent,requested").await;
    browser.click("filters-open").await;
    browser.click_css("#filter-status option[value=requested]").await;
    world.until("by status", async || statuses().await == "requested").await;
    browser.looks_good("manage-permissions-filters").await;
    browser.reads("return location.search", "?section=permissions&status=requested").await;
    browser.reload().await;
    world.until("the same after a reload", async || statuses().await == "requested").await;
    browser.says("filter-chips", "Status:\nRequested").await;
    let table = exported(&world, &browser, "csv").await;
    assert!(table.lines().count() == 2 && table.contains("995555040402") && table.contains(",agt_a,"), "{table}");
    browser.fill("filter-text", "040401").await;
    world.until("nobody fits", async || statuses().await == "").await;
    browser.click("filters-clear").await;
    world.until("both again", async || statuses().await == "permanent,requested").await;
    browser.open(&format!("{}/calls?section=permissions&agent_id=agt_a", world.gateway.base)).await;
    world.until("whom an agent asked", async || statuses().await == "requested").await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_calls_page_plays_seeks_and_takes_down_what_it_was() {
    let world = World::start().await;
    hire(&world, "agt_o", "Olga", "owner").await;
    let agent = world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    let phone = world
        .wa
        .call(InboundCall::from(NINO).step(Step::SpeakForever(Sound::tone(CUSTOMER_HZ, Duration::from_secs(2)))))
        .await
        .unwrap();
    let talk = agent.next_offer(SOON).await.unwrap().accept().await.unwrap();
    talk.speak(&Sound::tone(MICROPHONE_HZ, Duration::from_secs(1)));
    talk.finished_speaking(SOON).await.unwrap();
    world.until("three seconds are recorded", async || talk.heard().pcm().len() > 48_000 * 3).await;
    talk.hang_up().await.unwrap();
    phone.ended(SOON).await.unwrap();
    let call = world.newest_call("the call is over", |call| call["state"] == "ended").await;
    let id: CallId = call["id"].as_str().unwrap().parse().unwrap();
    world
        .until("the recording is ready", async || world.call(id.as_str()).await["recording"]["state"] == "ready")
        .await;
    write_down(
        &world,
        &id,
        &[(Side::Customer, 0, 900, "Where is my parcel?"), (Side::Agent, 1_000, 2_500, "It comes <b>today</b>.")],
    )
    .await;

    let browser = Browser::start(world.dir.path(), MICROPHONE_HZ).await;
    sign_in_at(&world, &browser, "agt_o", &format!("/calls/{id}")).await;
    browser.appears("recording-player").await;
    let at = async || {
        browser
            .run("return document.querySelector('[data-testid=recording-audio]').currentTime")
            .await
            .as_f64()
            .unwrap()
    };
    browser.click("player-play").await;
    world.until("the sound moves", async || at().await > 0.3).await;
    browser.click("player-play").await;
    // By what was said, and back by the keyboard.
    browser.click_css("[data-testid=segment]:nth-child(2) button").await;
    world.until("it plays from there", async || at().await >= 1.0).await;
    let current = "[data-testid=segment][aria-current=true]";
    world.until("what is said is marked", async || browser.attribute(current, "data-speaker").await == "agent").await;
    browser.run("document.querySelector('[data-testid=recording-audio]').pause(); document.querySelector('[data-testid=waveform]').focus()").await;
    browser.press(thirtyfour::Key::Home + "").await;
    world.until("it is at the beginning", async || at().await == 0.0).await;
    browser.click("solo-agent").await;
    assert_eq!(browser.attribute("[data-testid=solo-agent]", "aria-pressed").await, "true");
    let drawn = "const canvas = document.querySelector('.wave canvas'); return canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((byte) => byte > 0)";
    // Both voices are drawn.
    browser.reads(drawn, true).await;

    browser.fill("transcript-search", "TODAY").await;
    browser.says("transcript-found", "1 found").await;
    browser.reads("return document.querySelector('mark').textContent", "today").await;
    // Text, not markup.
    browser.says("transcript", "It comes <b>today</b>.").await;

    browser.click_css("#disposition option[value=Resolved]").await;
    browser.fill("tag-text", "VIP").await;
    browser.click("tag-add").await;
    browser.fill("note-text", "Sent a link <script>alert(1)</script>").await;
    browser.click("note-add").await;
    browser.says("note", "Sent a link <script>alert(1)</script>").await;
    browser.says("tags", "vip").await;
    world
        .until("both are kept", async || {
            let kept = world.call(id.as_str()).await;
            (&kept["disposition"], &kept["tags"]) == (&json!("Resolved"), &json!(["vip"]))
        })
        .await;
    let notes = world.get(&format!("calls/{id}/notes")).await;
    assert_eq!(notes["items"][0]["author_id"], "agt_o");

    browser.click("integrity-check").await;
    browser.says("integrity-badge", "Intact and signed").await;
    browser.says("offers", "Accepted").await;
    browser.says("trace", "Chat assignee").await;
    browser.says("timeline", "wrote a note").await;
    browser.says("call-cost", "Free").await;
    browser.appears("quality-graph").await;
    browser.run("document.activeElement.blur(); for (const box of [document.documentElement, document.getElementById('view'), document.querySelector('.stage')]) box.scrollTop = 0").await;
    browser.looks_good("manage-call").await;
    browser.run("document.querySelector('[data-testid=quality-graph]').scrollIntoView({ block: 'end' })").await;
    browser.looks_good("manage-call-quality").await;
    assert_eq!(browser.errors().await, Vec::<String>::new());
    browser.quit().await;
}

/// The heads of the table that is shown, in order.
const COLUMNS: &str = "return [...document.querySelectorAll('main thead th')].map((cell) => cell.textContent)";

/// The text of every cell, row by row.
pub(crate) async fn cells(browser: &Browser) -> Vec<Vec<String>> {
    let script = "return [...document.querySelectorAll('main tbody tr')].map((row) => [...row.cells].map((cell) => cell.innerText))";
    serde_json::from_value(browser.run(script).await).unwrap()
}

/// What the page hands to the browser's downloads.
async fn exported(world: &World, browser: &Browser, kind: &str) -> String {
    String::from_utf8(exported_bytes(world, browser, kind).await).unwrap()
}

pub(crate) async fn exported_bytes(world: &World, browser: &Browser, kind: &str) -> Vec<u8> {
    watch_downloads(browser).await;
    browser.click("export").await;
    browser.click(&format!("export-{kind}")).await;
    world.until("the export is saved", async || browser.text("export-status").await.contains("saved as")).await;
    let told = browser.text("export-status").await;
    let day = |file: &str| file.strip_suffix(&format!(".{kind}")).map(|stem| stem.rsplitn(4, '-').take(3).count());
    let file = told.split("saved as ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    let section = ["-calls-20", "-permissions-20"].iter().any(|section| file.contains(section));
    assert!(section && day(file) == Some(3), "it says which section, and of which day: {told}");
    last_download(browser).await
}

/// From now on what the page saves can be looked at.
pub(crate) async fn watch_downloads(browser: &Browser) {
    browser
        .run("globalThis.taken = []; const make = URL.createObjectURL.bind(URL); URL.createObjectURL = (blob) => { taken.push(blob); return make(blob); }")
        .await;
}

pub(crate) async fn last_download(browser: &Browser) -> Vec<u8> {
    let script = "taken.at(-1).arrayBuffer().then((bytes) => done([...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, '0')).join('')))";
    hex::decode(browser.run_async(script).await.as_str().unwrap()).unwrap()
}

/// A call that ended a moment ago; answered if somebody took it. Those made later began later.
pub(crate) async fn keep_call(world: &World, wa_id: &str, agent: Option<&str>, direction: Direction) -> CallId {
    world.put(&format!("contacts/wa:{wa_id}"), json!({"name": format!("Customer {wa_id}")})).await;
    let store = store(world).await;
    let contact: ContactRef = format!("wa:{wa_id}").parse().unwrap();
    let contact = store.contact(&contact).await.unwrap().unwrap();
    let now = Clock.now().wall;
    let number = NumberId::parse(NUMBER).unwrap();
    let mut call = CallRecord::begun(CallId::generate(), number, direction, contact, now);
    call.state = CallState::Ended;
    call.agent_id = agent.map(|agent| AgentId::parse(agent).unwrap());
    call.answered_at = agent.map(|_| now);
    (call.ended_at, call.duration_ms) = (Some(now), if agent.is_some() { 3_000 } else { 0 });
    let reason = if agent.is_some() { EndReason::Completed } else { EndReason::MissedByAgent };
    call.end_reason = Some(reason);
    call.status = tandem::call::record::Status::of(call.state, agent.is_some(), Some(reason));
    call.settled = true;
    store.save_call(&call, vec![], now).await.unwrap();
    store.close().await;
    call.id
}

/// As a recogniser would have written it down.
pub(crate) async fn write_down(world: &World, call: &CallId, said: &[(Side, u64, u64, &str)]) {
    let store = store(world).await;
    store.begin_transcript(call, "builtin", None, false).await.unwrap();
    for (index, (speaker, start_ms, end_ms, text)) in (0..).zip(said) {
        let segment = Segment {
            speaker: *speaker,
            index,
            start_ms: *start_ms,
            end_ms: *end_ms,
            text: (*text).to_owned(),
            is_final: true,
            stable_chars: 0,
            confidence: None,
            language: None,
        };
        store.add_segment(call, &segment).await.unwrap();
    }
    store.end_transcript(call, Clock.now().wall).await.unwrap();
    store.close().await;
}

/// The gateway's own database, as a program beside it.
pub(crate) async fn store(world: &World) -> Store {
    Store::open("", &world.dir.path().join("data")).await.unwrap()
}
