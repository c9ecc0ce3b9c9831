//! Stories of what may be done: asking, calling, paying, opening hours, and the rules behind them.

use std::time::Duration;

use serde_json::{Value, json};
use tandem_loadtest::whatsapp::{Config as PhoneNetwork, Grant, InboundCall, Kind, Restriction, Script, WebhookFaults};

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
    world.wa.customer_writes(NINO, "hello").await.unwrap();
    let permission = async || callability(&world).await["permission"].clone();
    world
        .until("the window opens", async || {
            world.gateway.request("POST", "permission-requests", Some(ask("May we call?"))).await.status == 201
        })
        .await;
    assert_eq!(permission().await["status"], "requested");
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
    let put = world.put(&settings, open).await;
    assert_eq!(put["sync"]["state"], "synced", "{put}");
    let theirs = world.wa.settings(NUMBER).unwrap();
    assert_eq!(theirs["call_hours"]["holiday_schedule"][0]["date"], "2099-01-07", "entered elsewhere, and kept");
    assert_eq!(put["unavailable"][0]["date"], "2099-01-07", "and taken over");

    // Today is closed all day, whatever the time zone makes of today.
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::get("Asia/Tbilisi").unwrap());
    let days = [today.yesterday().unwrap(), today.clone(), today.tomorrow().unwrap()];
    let closed: Vec<Value> = days.iter().map(|day| json!({"date": day.date().to_string()})).collect();
    world.put(&settings, json!({"unavailable": closed})).await;
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

    let put = world.put(&settings, json!({"callback_permission": true})).await;
    assert_eq!((&put["sync"]["state"], &put["drift"]), (&json!("synced"), &json!([])), "{put}");
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
    world.put(&settings, hidden.clone()).await;
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
