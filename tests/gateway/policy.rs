//! Stories of what may be done: asking, calling, paying, opening hours, and the rules behind them.

use std::time::Duration;

use serde_json::{Value, json};
use tandem_loadtest::whatsapp::{
    Action, Config as PhoneNetwork, Grant, GraphFault, InboundCall, Kind, Restriction, Rules, Script, WebhookFaults,
};

use crate::world::{NINO, NUMBER, SOON, World};

async fn callability(world: &World) -> Value {
    world.get(&format!("contacts/wa:{NINO}/callability?number_id={NUMBER}&agent_id=agt_a")).await
}

/// Codes against Ana calling Nino, as the conversation page shows them.
async fn blockers(world: &World) -> Vec<String> {
    codes(&callability(world).await["blockers"])
}

fn codes(blockers: &Value) -> Vec<String> {
    blockers.as_array().unwrap().iter().map(|b| b["code"].as_str().unwrap().to_owned()).collect()
}

fn dial() -> Value {
    json!({"number_id": NUMBER, "to": format!("wa:{NINO}"), "agent_id": "agt_a"})
}

fn ask(body: &str) -> Value {
    json!({"number_id": NUMBER, "contact": format!("wa:{NINO}"), "kind": "free_form", "body": body})
}

/// Nino's chat belongs to Ana, and nobody has permitted anything.
async fn nino_of_ana(world: &World) {
    world.agent_offline("agt_a").await;
    world.put(&format!("contacts/wa:{NINO}"), json!({"name": "Nino", "assignee_id": "agt_a"})).await;
}

#[tokio::test]
async fn without_permission_and_money_nobody_is_called_and_every_reason_is_told_at_once() {
    let world = World::without_money().await;
    nino_of_ana(&world).await;
    let refused = world.gateway.request("POST", "calls", Some(dial())).await.problem(409, "call_blocked");
    assert_eq!(codes(&refused["blockers"]), ["no_permission", "wallet_negative"]);
    assert_eq!(blockers(&world).await, ["no_permission", "wallet_negative"], "the button says the same");
    assert_eq!(world.wa.requests().len(), 0, "WhatsApp was not asked to call");
    world.top_up(1).await;
    assert_eq!(blockers(&world).await, ["no_permission"], "a top-up clears its blocker at once");
    world.wa.grant_permission(NINO, Grant::FromProfile).await.unwrap();
    world.until("a grant that nobody asked for counts", async || blockers(&world).await.is_empty()).await;
}

on_both!(a_call_is_charged_once_by_the_pulse_and_stays_charged_over_a_crash);
async fn a_call_is_charged_once_by_the_pulse_and_stays_charged_over_a_crash(mut world: World) {
    let ana = world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    world.wa.set_customer(NINO, Script { hang_up_after: Some(Duration::from_secs(2)), ..Script::default() });
    let talk = ana.dial(NUMBER, &format!("wa:{NINO}")).await.unwrap();
    world.until("the call is charged", async || !world.call(&talk.call_id).await["charge"].is_null()).await;
    let call = world.call(&talk.call_id).await;
    let pulses = call["charge"]["pulses"].as_i64().unwrap();
    assert_eq!(pulses, (call["duration_ms"].as_i64().unwrap() + 5_999) / 6_000, "{call}");
    let rate = callability(&world).await["rate"]["micros_per_minute"].as_i64().unwrap();
    assert_eq!(call["charge"]["micros"].as_i64().unwrap(), (pulses * rate + 9) / 10);
    world.kill_and_restart().await;
    let entries = world.get("wallet/entries").await;
    let charges: Vec<_> = entries["items"].as_array().unwrap().iter().filter(|e| e["kind"] == "call_charge").collect();
    assert_eq!(charges.len(), 1, "{entries}");
    assert_eq!(charges[0]["call_id"], json!(talk.call_id));
    assert_eq!(-charges[0]["micros"].as_i64().unwrap(), call["charge"]["micros"].as_i64().unwrap());
    // Another card comes; the one of that time still explains the charge.
    let card = charges[0]["explanation"]["rate_card"].as_str().unwrap();
    let imported = "effective_from,market,currency,price_per_minute\n2025-01-01,*,USD,9\n";
    world.gateway.put_rate_card(imported).await.ok();
    assert_eq!(callability(&world).await["rate"]["micros_per_minute"], 9_000_000);
    let old = world.get(&format!("rate-card?sha256={card}")).await;
    assert_eq!((&old["sha256"], &old["in_force"]), (&json!(card), &json!(false)));
    let (market, rows) = (&charges[0]["explanation"]["market"], old["rows"].as_array().unwrap());
    assert!(
        rows.iter().any(|row| row["market"] == *market && row["micros_per_minute"] == rate),
        "{market} in {rows:?}"
    );
    let wallet = world.get("wallet").await;
    assert_eq!(wallet["reserved_micros"], 0, "{wallet}");
    assert_eq!(wallet["balance_micros"].as_i64().unwrap(), 100_000_000 + charges[0]["micros"].as_i64().unwrap());
}

#[tokio::test]
async fn a_customer_is_asked_once_a_day_and_free_form_only_after_a_word_from_the_customer() {
    let world = World::start().await;
    nino_of_ana(&world).await;
    let early = world.gateway.request("POST", "permission-requests", Some(ask("May we call?"))).await;
    assert_eq!(codes(&early.problem(409, "request_blocked")["blockers"]), ["window_closed"]);
    let request = async || callability(&world).await["request"].clone();
    let closed = request().await;
    assert_eq!((&closed["allowed"], &closed["free_form_allowed"]), (&json!(true), &json!(false)), "{closed}");
    assert_eq!(closed["window_closes_at"], json!(null));
    world.wa.customer_writes(NINO, "hello").await.unwrap();
    let permission = async || callability(&world).await["permission"].clone();
    world.until("the window opens", async || request().await["free_form_allowed"] == true).await;
    let closes_at: jiff::Timestamp = request().await["window_closes_at"].as_str().unwrap().parse().unwrap();
    let left = closes_at.duration_since(jiff::Timestamp::now());
    assert!((86_340..=86_400).contains(&left.as_secs()), "a day from now, less what has passed: {left:?}");
    let first = world.gateway.request("POST", "permission-requests", Some(ask("May we call?"))).await;
    assert_eq!(first.status, 201, "{}", String::from_utf8_lossy(&first.body));
    assert_eq!(permission().await["status"], "requested");
    assert_eq!(permission().await["requested_by"], json!({"kind": "key", "name": "admin"}));
    let used_up = request().await;
    assert_eq!((&used_up["free_form_allowed"], &used_up["allowed"]), (&json!(false), &json!(false)), "{used_up}");
    assert!(used_up["window_closes_at"].is_string(), "the window is still open");
    let again = json!({"number_id": NUMBER, "contact": format!("wa:{NINO}"), "kind": "template",
        "template": {"name": "may_we_call", "language": "en"}});
    let again = world.gateway.request("POST", "permission-requests", Some(again)).await.problem(409, "request_blocked");
    assert_eq!(codes(&again["blockers"]), ["request_limit_24h"], "free form and template share one budget");
    let asked = callability(&world).await;
    assert_eq!(asked["request"]["next_allowed_at"], again["clears_at"]);
    let choice = json!({"number_id": NUMBER, "contact": format!("wa:{NINO}"), "kind": "free_form", "permanent": true});
    world.gateway.request("POST", "permission-requests", Some(choice)).await.problem(422, "invalid_field");

    world.wa.decline_permission(NINO).await.unwrap();
    world.until("the refusal arrives", async || permission().await["status"] == "rejected").await;
    // WhatsApp stamps whole seconds, and of two words of one second the refusal stands.
    world.wa.advance(Duration::from_secs(1));
    world.wa.grant_permission(NINO, Grant::Temporary { expires_in: Duration::from_secs(2) }).await.unwrap();
    world.until("the change of mind arrives", async || permission().await["status"] == "temporary").await;
    world.until("it runs out by our own clock", async || permission().await["status"] == "expired").await;
    assert_eq!(blockers(&world).await, ["permission_expired"]);
    let told = async || world.get("events?after=0&limit=200").await["items"].as_array().unwrap().clone();
    world.until("the end is told", async || told().await.iter().any(|e| e["type"] == "permission.expired")).await;
    let kinds: Vec<String> = told().await.iter().map(|e| e["type"].as_str().unwrap().to_owned()).collect();
    // WhatsApp's books may be read a moment before its webhook arrives; refused wishes are told too.
    let beside = ["permission.drift_repaired", "permission.request_blocked"];
    let of_permission = kinds.iter().filter(|kind| kind.starts_with("permission.") && !beside.contains(&kind.as_str()));
    let of_permission: Vec<_> = of_permission.collect();
    assert_eq!(
        of_permission,
        ["permission.requested", "permission.declined", "permission.granted", "permission.expired"],
        "each once"
    );
}

#[tokio::test]
async fn four_unanswered_calls_take_a_permanent_permission_away() {
    let network = PhoneNetwork { outbound_ring_timeout: Duration::from_millis(500), ..PhoneNetwork::default() };
    let world = World::with("", network).await;
    let ana = world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    world.wa.set_customer(NINO, Script::ignores());
    for unanswered in 1..=4 {
        let risk = callability(&world).await["risk"].clone();
        assert_eq!(risk["until_revoked"], 5 - unanswered, "{risk}");
        ana.dial(NUMBER, &format!("wa:{NINO}")).await.unwrap();
        world
            .until(&format!("call {unanswered} counts"), async || {
                callability(&world).await["permission"]["unanswered_in_a_row"] == unanswered
            })
            .await;
    }
    assert_eq!(callability(&world).await["permission"]["status"], "revoked");
    let refused = world.gateway.request("POST", "calls", Some(dial())).await.problem(409, "call_blocked");
    assert_eq!(codes(&refused["blockers"]), ["no_permission"]);
    world.wa.grant_permission(NINO, Grant::FromProfile).await.unwrap();
    world.until("the customer gives it back", async || blockers(&world).await.is_empty()).await;
}

#[tokio::test]
async fn a_permission_that_no_webhook_told_of_is_found_in_whatsapps_own_books() {
    let world = World::start().await;
    nino_of_ana(&world).await;
    world.wa.set_webhook_faults(WebhookFaults::default().dropping(Kind::PermissionReply));
    let _ = world.wa.grant_permission(NINO, Grant::Permanent).await;
    world.until("it is found", async || callability(&world).await["callable"] == true).await;
    let permission = callability(&world).await["permission"].clone();
    assert_eq!((&permission["status"], &permission["source"]), (&json!("permanent"), &json!("whatsapp")));
    assert!(permission["drift"].as_str().unwrap().contains("a permanent permission"), "{permission}");
}

#[tokio::test]
async fn closed_hours_turn_callers_away_and_are_told_to_whatsapp_without_losing_its_holidays() {
    let world = World::start().await;
    world.agent("agt_a").await;
    let holiday = json!({"call_hours": {"status": "ENABLED", "timezone_id": "Asia/Tbilisi",
        "weekly_operating_hours": [{"day_of_week": "MONDAY", "open_time": "0900", "close_time": "1800"}],
        "holiday_schedule": [{"date": "2099-01-07", "start_time": "0000", "end_time": "2359"}]}});
    world.wa.change_settings(NUMBER, &holiday).await.unwrap();
    let settings = format!("numbers/{NUMBER}/settings");
    let always: Value = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
        .iter()
        .map(|day| ((*day).to_owned(), json!([["00:00", "24:00"]])))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let open = json!({"call_hours": {"time_zone": "Asia/Tbilisi", "weekly": always}});
    let put = told(&world, open).await;
    let theirs = world.wa.settings(NUMBER).unwrap();
    assert_eq!(theirs["call_hours"]["holiday_schedule"][0]["date"], "2099-01-07", "entered elsewhere, and kept");
    assert_eq!(put["unavailable"][0]["date"], "2099-01-07", "and taken over");

    // Today is closed all day, whatever the time zone makes of today.
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::get("Asia/Tbilisi").unwrap());
    let days = [today.yesterday().unwrap(), today.clone(), today.tomorrow().unwrap()];
    let closed: Vec<Value> = days.iter().map(|day| json!({"date": day.date().to_string()})).collect();
    told(&world, json!({"unavailable": closed})).await;
    // WhatsApp's side may lag for days: the caller gets through to us, and nobody rings.
    world.wa.change_settings(NUMBER, &json!({"call_hours": {"status": "DISABLED"}})).await.unwrap();
    let call = world.wa.call(InboundCall::from(NINO)).await.unwrap();
    call.ended(SOON).await.unwrap();
    assert!(call.unavailable().is_some(), "the customer sees that the business is unavailable");
    let stored = world.newest_call("the attempt is in the books", |call| call["state"] == "ended").await;
    assert_eq!(
        (&stored["end_reason"], &stored["status"], &stored["offers"]),
        (&json!("business_unavailable"), &json!("Business unavailable"), &json!([]))
    );
    let opens = days[2].tomorrow().unwrap().start_of_day().unwrap().timestamp();
    let shown = async |path: &str| world.get(path).await["opens_at"].as_str().map(str::to_owned);
    let stored_at = shown(&format!("calls/{}", stored["id"].as_str().unwrap())).await.unwrap();
    assert_eq!(stored_at.parse::<jiff::Timestamp>().unwrap(), opens, "the day after tomorrow");
    assert_eq!(shown(&settings).await.unwrap(), stored_at);
    assert_eq!(world.get(&settings).await["open_now"], false);
    let missed = world.get("calls?section=missed").await;
    assert_eq!(missed["items"], json!([]), "nobody missed it");
    world.until("the drift is seen", async || world.get(&settings).await["drift"] != json!([])).await;
}

on_both!(what_was_set_up_at_whatsapp_stays_until_it_is_changed_here_also_over_a_crash);
async fn what_was_set_up_at_whatsapp_stays_until_it_is_changed_here_also_over_a_crash(mut world: World) {
    let week: Vec<_> = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"]
        .map(|day| json!({"day_of_week": day, "open_time": "0000", "close_time": "2359"}))
        .into();
    let there = json!({"call_icon_visibility": "DISABLE_ALL", "call_hours": {"status": "ENABLED",
        "timezone_id": "Asia/Tbilisi", "weekly_operating_hours": week,
        "holiday_schedule": [{"date": "2099-01-07", "start_time": "0000", "end_time": "2359"}]}});
    world.wa.change_settings(NUMBER, &there).await.unwrap();
    let settings = format!("numbers/{NUMBER}/settings");
    let shown = async |world: &World| {
        world.until("it is shown", async || world.get(&settings).await["display_call_buttons"] == false).await;
        world.get(&settings).await
    };
    let before = shown(&world).await;
    assert_eq!((&before["unknown"], &before["callback_permission"]), (&json!([]), &json!(false)), "{before}");
    assert_eq!(before["call_hours"]["time_zone"], "Asia/Tbilisi", "a closed date is one of its time zone");
    world.kill_and_restart().await;
    assert_eq!(shown(&world).await["unavailable"], before["unavailable"]);

    let put = told(&world, json!({"callback_permission": true})).await;
    assert_eq!(put["drift"], json!([]), "{put}");
    let theirs = world.wa.settings(NUMBER).unwrap();
    assert_eq!((&theirs["callback_permission_status"], &theirs["status"]), (&json!("ENABLED"), &json!("ENABLED")));
    assert_eq!(theirs["call_icon_visibility"], there["call_icon_visibility"]);
    assert_eq!(theirs["call_hours"], there["call_hours"], "hours, zone and holidays are WhatsApp's own");
}

on_both!(a_number_whose_plan_is_taken_away_rings_nobody_until_it_is_paid_for_again);
async fn a_number_whose_plan_is_taken_away_rings_nobody_until_it_is_paid_for_again(world: World) {
    let ana = world.agent("agt_a").await;
    world.put(&format!("contacts/wa:{NINO}"), json!({"assignee_id": "agt_a"})).await;
    let number = format!("numbers/{NUMBER}");
    world.put(&number, json!({"plan": "starter"})).await;
    let call = world.wa.call(InboundCall::from(NINO)).await.unwrap();
    call.ended(SOON).await.unwrap();
    assert!(call.unavailable().is_some(), "the customer sees that the business is unavailable");
    let stored = world.newest_call("the attempt is in the books", |call| call["state"] == "ended").await;
    assert_eq!(
        (&stored["end_reason"], &stored["status"], &stored["offers"]),
        (&json!("business_unavailable"), &json!("Business unavailable"), &json!([]))
    );
    let warnings = world.get(&format!("{number}/health")).await["warnings"].to_string();
    assert!(warnings.contains("Starter") && warnings.contains("Sales CRM"), "{warnings}");

    world.put(&number, json!({"add_ons": ["sales_crm"]})).await;
    let call = world.wa.call(InboundCall::from(NINO)).await.unwrap();
    ana.next_offer(SOON).await.unwrap().accept().await.unwrap();
    call.answered(SOON).await.unwrap();
    call.hang_up();
}

#[tokio::test]
async fn hidden_buttons_lock_the_hours_and_block_no_call() {
    let world = World::start().await;
    let ana = world.agent("agt_a").await;
    world.put(&format!("contacts/wa:{NINO}"), json!({"assignee_id": "agt_a"})).await;
    let settings = format!("numbers/{NUMBER}/settings");
    let hours = json!({"time_zone": "Europe/Berlin", "weekly": {"monday": [["09:00", "18:00"]]}});
    let hidden = json!({"display_call_buttons": false});
    told(&world, hidden.clone()).await;
    let locked = world.gateway.request("PUT", &settings, Some(json!({"call_hours": hours}))).await;
    locked.problem(409, "call_hours_locked");
    assert_eq!(world.wa.settings(NUMBER).unwrap()["call_icon_visibility"], "DISABLE_ALL");
    let call = world.wa.call(InboundCall::from(NINO)).await.unwrap();
    let offer = ana.next_offer(SOON).await.unwrap();
    offer.accept().await.unwrap();
    call.answered(SOON).await.unwrap();
    call.hang_up();
    for (body, field) in [
        (
            json!({"display_call_buttons": true, "call_hours": {"time_zone": "Mars/Base", "weekly": {"monday": [["09:00", "10:00"]]}}}),
            "call_hours.time_zone",
        ),
        (
            json!({"display_call_buttons": true, "call_hours": {"time_zone": "UTC", "weekly": {"monday": [["09:00", "12:00"], ["11:00", "13:00"]]}}}),
            "call_hours.weekly.monday",
        ),
    ] {
        let refused = world.gateway.request("PUT", &settings, Some(body)).await.problem(422, "invalid_field");
        assert!(refused["detail"].as_str().unwrap().contains(field), "{refused}");
    }
}

#[tokio::test]
async fn a_number_that_whatsapp_paused_places_no_calls_until_the_pause_is_over() {
    let world = World::start().await;
    world.agent_offline("agt_a").await;
    world.nino_of("agt_a").await;
    world.wa.restrict(NUMBER, Restriction::BusinessInitiated, Duration::from_secs(3)).await.unwrap();
    world.until("it is known", async || blockers(&world).await == ["quality_restricted"]).await;
    let health = world.get(&format!("numbers/{NUMBER}/health")).await;
    assert_eq!(callability(&world).await["blockers"][0]["clears_at"], health["restrictions"][0]["expires_at"]);
    world.until("it is over by the clock", async || blockers(&world).await.is_empty()).await;
}

#[tokio::test]
async fn falling_pickup_is_announced_stage_by_stage_and_then_holds_calls_back() {
    let dir = tempfile::tempdir().unwrap();
    let pack = dir.path().join("pack.toml");
    let guarded = include_str!("../../config/policy/default.toml")
        .replace("calls_min = 20", "calls_min = 2")
        .replace("hold_outbound_percent = \"never\"", "hold_outbound_percent = 75");
    std::fs::write(&pack, guarded).unwrap();
    let network = PhoneNetwork { outbound_ring_timeout: Duration::from_millis(500), ..PhoneNetwork::default() };
    let world = World::with(&format!("[policy]\npack = {pack:?}\n"), network).await;
    let ana = world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    let health = async || world.get(&format!("numbers/{NUMBER}/health")).await;
    let answers = Script { hang_up_after: Some(Duration::from_millis(500)), ..Script::answers_after(Duration::ZERO) };
    let mut stages = Vec::new();
    // Taken of all: 1/1, 1/2, 1/3, 1/4.
    for (calls, script) in [(1, answers), (2, Script::ignores()), (3, Script::ignores()), (4, Script::ignores())] {
        world.wa.set_customer(NINO, script);
        ana.dial(NUMBER, &format!("wa:{NINO}")).await.unwrap();
        world.until("it is counted", async || health().await["pickup"]["outbound"]["calls"] == calls).await;
        stages.push(health().await["stage"].as_str().unwrap().to_owned());
    }
    assert_eq!(stages, ["fine", "warning", "warning", "held"]);
    let hold = health().await["hold"].clone();
    assert_eq!(blockers(&world).await, ["pickup_hold"]);
    assert_eq!(callability(&world).await["blockers"][0], hold, "one sentence everywhere");
    let refused = world.gateway.request("POST", "calls", Some(dial())).await.problem(409, "call_blocked");
    assert_eq!(
        (codes(&refused["blockers"]), &refused["clears_at"]),
        (vec!["pickup_hold".to_owned()], &hold["clears_at"])
    );
    assert!(codes(&callability(&world).await["request"]["blockers"]).contains(&"pickup_hold".to_owned()));
    let told = async || {
        let events = world.get("events?after=0&limit=200").await["items"].as_array().unwrap().clone();
        let stages = events.iter().filter(|event| event["type"] == "number.pickup_stage_changed");
        stages.map(|event| event["data"]["stage"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    world.until("the log tells it in order", async || told().await == ["warning", "held"]).await;
    assert_eq!(world.wa.requests().iter().filter(|request| request.action == Some(Action::Connect)).count(), 4);
}

#[tokio::test]
async fn a_pack_is_replaced_while_the_gateway_runs_and_a_wrong_one_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (pack, built_in) = (dir.path().join("pack.toml"), include_str!("../../config/policy/default.toml"));
    std::fs::write(&pack, built_in).unwrap();
    let world = World::with(&format!("[policy]\npack = {pack:?}\n"), PhoneNetwork::default()).await;
    let ana = world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    world.wa.set_customer(NINO, Script { hang_up_after: Some(Duration::from_secs(1)), ..Script::default() });
    let before = ana.dial(NUMBER, &format!("wa:{NINO}")).await.unwrap();
    world.until("it has ended", async || world.call(&before.call_id).await["state"] == "ended").await;
    assert_eq!(blockers(&world).await, Vec::<String>::new());

    std::fs::write(&pack, built_in.replace("max = 100, window_h = 24", "max = 1, window_h = 24")).unwrap();
    let reloaded = world.gateway.request("POST", "admin/reload", None).await;
    assert_eq!(reloaded.status, 204, "{}", String::from_utf8_lossy(&reloaded.body));
    assert_eq!(blockers(&world).await, ["connected_limit"], "one call in 24 hours from now on");

    std::fs::write(&pack, built_in.replace("temporary_h = 168", "temporary_h = \"a week\"")).unwrap();
    let refused = world.gateway.request("POST", "admin/reload", None).await.problem(422, "invalid_policy");
    let detail = refused["detail"].as_str().unwrap();
    assert!(detail.contains("pack.toml") && detail.contains("permission.temporary_h"), "{detail}");
    assert_eq!(blockers(&world).await, ["connected_limit"], "what was in force stays");

    let packs = world.get("policy-packs").await;
    let old = world.call(&before.call_id).await["policy_pack"].as_str().unwrap().to_owned();
    assert_ne!(packs["in_force"], json!(old));
    let text = world.gateway.request("GET", &format!("policy-packs/{old}"), None).await;
    assert_eq!(String::from_utf8_lossy(&text.body), built_in, "the old call is still explained");
}

/// A customer of Ana's whose permission nobody ever asked for.
const LEVAN: &str = "995555010204";

/// How often WhatsApp was asked to call somebody.
fn connects(world: &World) -> usize {
    world.wa.requests().iter().filter(|request| request.action == Some(Action::Connect)).count()
}

/// Changes the number's settings and waits until WhatsApp was told, as it is when it is slow; answers with them.
async fn told(world: &World, change: Value) -> Value {
    let settings = format!("numbers/{NUMBER}/settings");
    world.put(&settings, change).await;
    let mut shown = Value::Null;
    world
        .until("WhatsApp was told", async || {
            shown = world.get(&settings).await;
            shown["sync"]["state"] != "pending"
        })
        .await;
    assert_eq!(shown["sync"]["state"], "synced", "{shown}");
    shown
}

/// What the list of permissions says of a customer.
async fn listed(world: &World, phone: &str) -> Option<Value> {
    let list = world.get(&format!("permissions?number_id={NUMBER}")).await;
    list["items"].as_array().unwrap().iter().find(|item| item["contact"]["phone"] == format!("+{phone}")).cloned()
}

#[tokio::test]
async fn what_whatsapp_refuses_is_told_as_a_blocker_and_what_it_fails_at_as_a_failure() {
    let world = World::start().await;
    world.agent_offline("agt_a").await;
    world.nino_of("agt_a").await;
    let mut dialled = 0;
    let mut refuse = async |code: u32, status: u16, told: &str| {
        world.wa.fail_next(Action::Connect, 1, GraphFault::Error(code));
        let problem = world.gateway.request("POST", "calls", Some(dial())).await.problem(status, told);
        assert_eq!(problem["upstream_code"], code);
        dialled += 1;
        let over = async || world.calls().await.iter().filter(|call| call["state"] == "ended").count() == dialled;
        world.until("the attempt is over", over).await;
        problem
    };
    for (code, blocker) in [
        (138_006, "no_permission"),
        (138_012, "connected_limit"),
        (138_013, "bic_not_available"),
        (138_014, "quality_restricted"),
    ] {
        let problem = refuse(code, 409, "call_blocked").await;
        assert_eq!(codes(&problem["blockers"]), [blocker]);
        assert!(problem["blockers"][0]["message"].as_str().unwrap().ends_with('.'), "{problem}");
    }
    let problem = refuse(138_002, 502, "upstream_refused").await;
    assert!(problem.get("blockers").is_none(), "{problem}");

    world.put(&format!("contacts/wa:{LEVAN}"), json!({"assignee_id": "agt_a"})).await;
    let template = json!({"number_id": NUMBER, "contact": format!("wa:{LEVAN}"), "kind": "template",
        "template": {"name": "may_we_call", "language": "en"}});
    let ask = async || world.gateway.request("POST", "permission-requests", Some(template.clone())).await;
    for (code, blocker) in [(138_009, "request_limit_24h"), (138_017, "already_permanent")] {
        world.wa.fail_next(Action::Message, 1, GraphFault::Error(code));
        let problem = ask().await.problem(409, "request_blocked");
        assert_eq!((&problem["upstream_code"], codes(&problem["blockers"])), (&json!(code), vec![blocker.to_owned()]));
    }
    world.wa.fail_next(Action::Message, 1, GraphFault::Error(131_026));
    ask().await.problem(502, "upstream_refused");
    assert_eq!(ask().await.status, 201, "what WhatsApp refused counts for nothing");
}

#[tokio::test]
async fn a_limit_that_only_whatsapp_counts_is_read_in_its_books_and_holds_until_the_time_they_name() {
    let rules = Rules { connected_calls_per_day: 1, ..Rules::enforced() };
    let world = World::with("", PhoneNetwork { rules, ..PhoneNetwork::default() }).await;
    let ana = world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    world.wa.set_customer(NINO, Script { hang_up_after: Some(Duration::from_secs(1)), ..Script::default() });
    let talk = ana.dial(NUMBER, &format!("wa:{NINO}")).await.unwrap();
    world.until("they have talked", async || world.call(&talk.call_id).await["state"] == "ended").await;
    assert_eq!(blockers(&world).await, Vec::<String>::new(), "ours allow a hundred a day");
    let refused = world.gateway.request("POST", "calls", Some(dial())).await.problem(409, "call_blocked");
    assert_eq!(
        (codes(&refused["blockers"]), &refused["upstream_code"]),
        (vec!["connected_limit".to_owned()], &json!(138_012))
    );

    world.until("its books are read", async || blockers(&world).await == ["connected_limit"]).await;
    let blocker = callability(&world).await["blockers"][0].clone();
    let clears_at: jiff::Timestamp = blocker["clears_at"].as_str().unwrap().parse().unwrap();
    let day = clears_at.as_second() - i64::try_from(world.wa.now()).unwrap();
    assert!((86_000..=86_400).contains(&day), "{blocker}");
    assert!(blocker["message"].as_str().unwrap().contains("WhatsApp's own count"), "{blocker}");
    let before = connects(&world);
    let refused = world.gateway.request("POST", "calls", Some(dial())).await.problem(409, "call_blocked");
    assert_eq!((&refused["blockers"][0], refused.get("upstream_code")), (&blocker, None));
    assert_eq!(connects(&world), before, "WhatsApp is not asked again");
}

#[tokio::test]
async fn a_missed_call_permits_the_way_back_for_a_week_where_callbacks_are_on() {
    // Told by WhatsApp's webhook; should that be lost, found in its books a moment after the call.
    for (lost, source) in [(false, "callback"), (true, "whatsapp")] {
        let world = World::start().await;
        told(&world, json!({"callback_permission": true})).await;
        if lost {
            world.wa.set_webhook_faults(WebhookFaults::default().dropping(Kind::PermissionReply));
        }
        let call = world.wa.call(InboundCall::from(NINO)).await.unwrap();
        call.ended(SOON).await.unwrap();
        world.until("the permission is there", async || listed(&world, NINO).await.is_some()).await;
        let permission = listed(&world, NINO).await.unwrap();
        assert_eq!((&permission["status"], &permission["source"]), (&json!("temporary"), &json!(source)));
        let end: jiff::Timestamp = permission["expires_at"].as_str().unwrap().parse().unwrap();
        let week = end.as_second() - i64::try_from(world.wa.now()).unwrap();
        assert!((604_700..=604_800).contains(&week), "{permission}");
        let stored = world.newest_call("the call is over", |call| call["state"] == "ended").await;
        assert_eq!(stored["answered_at"], Value::Null, "nobody answered it");
    }
}

#[tokio::test]
async fn a_callback_permission_is_not_taken_where_callbacks_are_off() {
    let world = World::start().await;
    told(&world, json!({"callback_permission": false})).await;
    let call = world.wa.call(InboundCall::from(NINO)).await.unwrap();
    call.ended(SOON).await.unwrap();
    let wacid = call.wacid().to_owned();
    world.wa.grant_permission(NINO, Grant::Callback { wacid }).await.unwrap();
    // Webhooks are worked off one after the other: when this one has been heard, so has that.
    world.wa.grant_permission(LEVAN, Grant::FromProfile).await.unwrap();
    world.until("the other customer's word is heard", async || listed(&world, LEVAN).await.is_some()).await;
    assert_eq!(listed(&world, NINO).await, None);
}

#[tokio::test]
async fn who_writes_up_a_call_is_busy_and_the_next_caller_rings_somebody_else() {
    let dir = tempfile::tempdir().unwrap();
    let (pack, built_in) = (dir.path().join("pack.toml"), include_str!("../../config/policy/default.toml"));
    std::fs::write(&pack, built_in.replace("wrap_up_s = 0", "wrap_up_s = 3600")).unwrap();
    let world = World::with(&format!("[policy]\npack = {pack:?}\n"), PhoneNetwork::default()).await;
    let ana = world.agent("agt_a").await;
    world.nino_of("agt_a").await;
    let call = async || world.wa.call(InboundCall::from(NINO)).await.unwrap();
    let phone = call().await;
    ana.next_offer(SOON).await.unwrap().accept().await.unwrap();
    phone.answered(SOON).await.unwrap();
    phone.hang_up();
    world.newest_call("the first call is over", |call| call["state"] == "ended").await;
    let beka = world.agent("agt_b").await;
    let phone = call().await;
    let offer = beka.next_offer(SOON).await.expect("the chat is Ana's, and she writes up the last call");
    let trace = world.get(&format!("calls/{}/trace", offer.call_id)).await;
    assert_eq!((&trace["trace"][0]["agent_id"], &trace["trace"][0]["wrapping_up"]), (&json!("agt_a"), &json!(true)));
    phone.hang_up();
}
