//! Where a number's settings come from before anybody chose any here, and what a number needs to be called at all.

use serde_json::{Value, json};

use super::fixture::{House, answer, now};
use super::settings::{HEALTH, Meta, SETTINGS, closed, connected, events, number, report, weekly};
use crate::model::directory::{AddOn, Plan, Platform};

/// As somebody set it up in WhatsApp's own manager, all of it other than our defaults.
fn at_whatsapp() -> [(&'static str, Value); 4] {
    let hours = json!({"status": "ENABLED", "timezone_id": "Asia/Tbilisi",
        "weekly_operating_hours": [{"day_of_week": "MONDAY", "open_time": "0900", "close_time": "1300"},
            {"day_of_week": "MONDAY", "open_time": "1400", "close_time": "1800"}],
        "holiday_schedule": [{"date": "2099-01-07", "start_time": "0000", "end_time": "2359"}]});
    [
        ("status", json!("DISABLED")),
        ("call_icon_visibility", json!("DISABLE_ALL")),
        ("callback_permission_status", json!("DISABLED")),
        ("call_hours", hours),
    ]
}

fn set_up(meta: &Meta) {
    for (key, value) in at_whatsapp() {
        meta.set(key, value);
    }
}

async fn settings(house: &House) -> Value {
    answer(house.get(SETTINGS, &house.admin).await).await.1
}

/// WhatsApp reports that callbacks were switched on there; what it has is asked.
async fn report_callbacks(house: &House) {
    let calling = json!({"callback_permission_status": "ENABLED"});
    let told = json!({"messaging_product": "whatsapp", "timestamp": "4070908800", "type": "phone_number_settings",
        "phone_number_settings": {"phone_number_id": "100000000000001", "calling": calling}});
    report(house, "account_settings_update", told).await;
}

/// Waits until the settings show this.
async fn shown(house: &House, field: &str, want: Value) -> Value {
    loop {
        let shown = settings(house).await;
        if shown[field] == want {
            return shown;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_number_shows_what_whatsapp_has_and_follows_it_until_somebody_changes_it_here() {
    let (house, meta, _stop) = connected().await;
    set_up(&meta);
    house.put("/v1/numbers/100000000000001", json!({"graph_token": "token"})).await;
    let body = shown(&house, "unknown", json!([])).await;
    assert_eq!((&body["allow_voice_calls"], &body["display_call_buttons"]), (&json!(false), &json!(false)), "{body}");
    assert_eq!((&body["callback_permission"], &body["call_hours"]), (&json!(false), &weekly()));
    assert_eq!((&body["unavailable"], &body["drift"]), (&json!([closed("2099-01-07")]), &json!([])));
    assert_eq!((&body["sync"]["state"], &body["sync"]["pushed_at"]), (&json!("synced"), &json!(null)));
    let followed = events(&house, "number.settings_changed").await;
    assert_eq!((followed.len(), &followed[0]["settings"]["call_hours"]), (1, &weekly()));

    meta.set("callback_permission_status", json!("ENABLED"));
    report_callbacks(&house).await;
    let body = shown(&house, "callback_permission", json!(true)).await;
    assert_eq!((&body["drift"], events(&house, "number.settings_drifted").await.len()), (&json!([]), 0));
    assert!(meta.asked().iter().all(|asked| asked == "GET settings"), "WhatsApp is not told what it has");

    // What was shown can be taken out, though it was entered at WhatsApp.
    let (status, body) = house.put(SETTINGS, json!({"display_call_buttons": true, "unavailable": []})).await;
    assert_eq!((status, &body["unavailable"], &body["sync"]["state"]), (200, &json!([]), &json!("synced")), "{body}");
    assert_eq!(meta.calling()["call_hours"]["holiday_schedule"], json!([]));
    // From now on all of it is ours.
    meta.set("callback_permission_status", json!("DISABLED"));
    report_callbacks(&house).await;
    let drift = json!([{"field": "callback_permission", "ours": true, "theirs": false}]);
    assert_eq!(shown(&house, "drift", drift).await["callback_permission"], true);
}

#[tokio::test]
async fn the_first_change_overwrites_nothing_that_it_does_not_name() {
    for (body, key, want) in [
        (json!({"callback_permission": true}), "callback_permission_status", json!("ENABLED")),
        (json!({"display_call_buttons": true}), "call_icon_visibility", json!("DEFAULT")),
        (json!({"allow_voice_calls": true}), "status", json!("ENABLED")),
        (json!({"call_hours": null}), "call_hours", json!(null)),
    ] {
        let (house, meta, _stop) = connected().await;
        set_up(&meta);
        let (status, answer) = house.put(SETTINGS, body.clone()).await;
        assert_eq!(
            (status, &answer["sync"]["state"], &answer["drift"]),
            (200, &json!("synced"), &json!([])),
            "{answer}"
        );
        for (of, before) in at_whatsapp() {
            match of == key {
                true if key == "call_hours" => {
                    assert_eq!(meta.calling()[of]["holiday_schedule"], before["holiday_schedule"], "{body}");
                }
                true => assert_eq!(meta.calling()[of], want),
                false => assert_eq!(meta.calling()[of], before, "{body} changed {of}"),
            }
        }
        assert_eq!(answer["unavailable"], json!([closed("2099-01-07")]));
    }
}

#[tokio::test]
async fn a_change_made_while_whatsapp_cannot_be_asked_is_kept_and_merged_before_it_is_told() {
    let (house, meta, _stop) = connected().await;
    set_up(&meta);
    meta.fail(Some((400, json!({"error": {"code": 138_015, "message": "x"}}))));
    let (status, body) = house.put(SETTINGS, json!({"callback_permission": true})).await;
    assert_eq!((status, &body["sync"]["state"], &body["callback_permission"]), (200, &json!("failed"), &json!(true)));
    assert_eq!(body["unknown"], json!(["allow_voice_calls", "display_call_buttons", "call_hours", "unavailable"]));
    meta.fail(None);
    let (_, body) = house.put(SETTINGS, json!({"callback_permission": true})).await;
    assert_eq!((&body["sync"]["state"], &body["unknown"]), (&json!("synced"), &json!([])), "{body}");
    assert_eq!((&body["allow_voice_calls"], &body["call_hours"]), (&json!(false), &weekly()));
    assert_eq!(meta.calling()["callback_permission_status"], "ENABLED");
    for (of, before) in at_whatsapp().into_iter().filter(|(of, _)| *of != "callback_permission_status") {
        assert_eq!(meta.calling()[of], before, "{of}");
    }
}

#[tokio::test]
async fn a_look_between_two_pushes_does_not_bring_back_a_date_that_is_being_removed() {
    let (house, meta, _stop) = connected().await;
    set_up(&meta);
    house.put("/v1/numbers/100000000000001", json!({"graph_token": "token"})).await;
    shown(&house, "unknown", json!([])).await;
    meta.fail(Some((400, json!({"error": {"code": 138_015, "message": "x"}}))));
    let dates = json!({"display_call_buttons": true, "unavailable": []});
    assert_eq!(house.put(SETTINGS, dates.clone()).await.1["sync"]["state"], "failed");
    meta.fail(None);
    meta.set("callback_permission_status", json!("ENABLED"));
    report_callbacks(&house).await;
    let seen = async || house.store.settings(&number(|_| ()).id).await.unwrap().unwrap().seen.unwrap();
    while seen().await["callback_permission_status"] != true {
        tokio::task::yield_now().await;
    }
    let (_, body) = house.put(SETTINGS, dates).await;
    assert_eq!((&body["sync"]["state"], &body["unavailable"]), (&json!("synced"), &json!([])), "{body}");
    assert_eq!(meta.calling()["call_hours"]["holiday_schedule"], json!([]));
    assert_eq!((&body["callback_permission"], &body["unknown"]), (&json!(true), &json!([])));
}

#[tokio::test]
async fn what_was_asked_before_a_push_says_nothing_of_what_came_after() {
    let (house, meta, _stop) = connected().await;
    set_up(&meta);
    house.put(SETTINGS, json!({"callback_permission": false})).await;
    let stored = async || house.store.settings(&number(|_| ()).id).await.unwrap().unwrap();
    meta.asked();
    let release = meta.hold();
    report_callbacks(&house).await;
    while meta.asked().is_empty() {
        tokio::task::yield_now().await;
    }
    let (_, body) = house.put(SETTINGS, json!({"display_call_buttons": true})).await;
    assert_eq!((&body["sync"]["state"], &body["drift"]), (&json!("synced"), &json!([])), "{body}");
    let (seen, seen_at) = (stored().await.seen, stored().await.seen_at);
    release.notify_one();
    while stored().await.seen_at == seen_at {
        tokio::task::yield_now().await;
    }
    assert_eq!((stored().await.seen, settings(&house).await["drift"].clone()), (seen, json!([])));
    assert_eq!(events(&house, "number.settings_drifted").await.len(), 0);
}

#[tokio::test]
async fn hours_that_cannot_be_read_are_left_alone() {
    let (house, meta, _stop) = connected().await;
    set_up(&meta);
    let mut hours = meta.calling()["call_hours"].clone();
    hours["timezone_id"] = json!("Moon/Crater");
    meta.set("call_hours", hours.clone());
    let (_, body) = house.put(SETTINGS, json!({"callback_permission": true})).await;
    assert_eq!((&body["sync"]["state"], &body["unknown"]), (&json!("synced"), &json!(["call_hours", "unavailable"])));
    assert_eq!(body["unavailable"], json!([]), "dates of a time zone that nobody knows");
    let (_, body) = house.put(SETTINGS, json!({"display_call_buttons": true, "unavailable": []})).await;
    assert_eq!(body["sync"]["state"], "failed", "{body}");
    assert!(body["sync"]["error"].as_str().unwrap().contains("call_hours"), "{body}");
    assert_eq!(meta.calling()["call_hours"], hours);
    let (_, body) = house.put(SETTINGS, json!({"call_hours": weekly()})).await;
    assert_eq!((&body["sync"]["state"], &body["unknown"]), (&json!("synced"), &json!([])), "{body}");
    assert_eq!(meta.calling()["call_hours"]["timezone_id"], "Asia/Tbilisi");
}

#[tokio::test]
async fn calling_is_switched_on_only_with_its_prerequisites_whatever_the_body_names() {
    for lacks in [number(|n| n.plan = Plan::Starter), number(|n| n.platform = Platform::BusinessApp)] {
        let (house, meta, _stop) = connected().await;
        set_up(&meta);
        house.store.put_number(&lacks, None).await.unwrap();
        let (status, body) = house.put(SETTINGS, json!({"callback_permission": true})).await;
        assert_eq!((status, &body["allow_voice_calls"]), (200, &json!(false)), "{body}");
        assert_eq!(meta.calling()["status"], "DISABLED", "nobody asked for calls");
        let (status, body) = house.put(SETTINGS, json!({"allow_voice_calls": true})).await;
        assert!(status == 402 || status == 409, "{body}");
        assert_eq!(meta.calling()["status"], "DISABLED");

        // Where WhatsApp has it on already, nothing is switched on.
        meta.set("status", json!("ENABLED"));
        let (status, body) = house.put(SETTINGS, json!({"allow_voice_calls": true})).await;
        assert_eq!((status, &body["sync"]["state"]), (200, &json!("synced")), "{body}");
        // Somebody switches it off there, and we have not looked since.
        meta.set("status", json!("DISABLED"));
        let (status, body) = house.put(SETTINGS, json!({"callback_permission": false})).await;
        assert_eq!((status, &body["sync"]["state"]), (200, &json!("failed")), "{body}");
        assert!(body["sync"]["error"].as_str().unwrap().contains("cannot be switched on"), "{body}");
        assert_eq!(meta.calling()["status"], "DISABLED");
        let (status, body) = house.put(SETTINGS, json!({"allow_voice_calls": false})).await;
        assert_eq!((status, &body["sync"]["state"]), (200, &json!("synced")), "{body}");
    }
}

#[tokio::test]
async fn a_number_whose_plan_was_taken_away_is_unavailable_to_its_callers_and_says_so() {
    let house = House::open().await;
    let simulate = json!({"number_id": "100000000000001", "contact": "wa:995555010203"});
    let refused = async || {
        let asked = house.ask(reqwest::Method::POST, "/v1/routing/simulate", &house.admin).json(&simulate);
        answer(asked.send().await.unwrap()).await.1["refused"].clone()
    };
    let warnings = async || answer(house.get(HEALTH, &house.admin).await).await.1["warnings"].clone();
    for (number, away) in [
        (number(|_| ()), false),
        (number(|n| n.plan = Plan::Starter), true),
        (number(|n| (n.plan, n.add_ons) = (Plan::Starter, vec![AddOn::SalesCrm])), false),
        (number(|n| n.platform = Platform::BusinessApp), true),
        // Asked of whoever switches calling on; a call that WhatsApp lets through rings.
        (number(|n| n.messaging_limit = 250), false),
    ] {
        house.store.put_number(&number, None).await.unwrap();
        assert_eq!(refused().await, if away { json!("business_unavailable") } else { json!(null) }, "{number:?}");
        assert_eq!(warnings().await.to_string().contains("Business unavailable"), away, "{number:?}");
        let unmet = settings(&house).await["prerequisites"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|one| one["met"] == false && one["needed_inbound"] == true)
            .count();
        assert_eq!(unmet, usize::from(away), "{number:?}");
    }

    house.store.put_number(&number(|n| n.plan = Plan::Starter), None).await.unwrap();
    let stamp = (now().as_millis() / 1000).to_string();
    let connect = json!({"id": "wacid.starter", "from": "995555010203", "to": "995322000111", "event": "connect",
        "timestamp": stamp, "direction": "USER_INITIATED", "session": {"sdp_type": "offer", "sdp": "v=0\r\n"}});
    let value = json!({"messaging_product": "whatsapp", "calls": [connect],
        "metadata": {"display_phone_number": "995322000111", "phone_number_id": "100000000000001"}});
    report(&house, "calls", value).await;
    let call = loop {
        let calls = answer(house.get("/v1/calls?section=all", &house.admin).await).await.1;
        let ended = calls["items"].as_array().unwrap().iter().find(|call| call["wacid"] == "wacid.starter").cloned();
        if let Some(call) = ended.filter(|call| call["state"] == "ended") {
            break call;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(
        (&call["end_reason"], &call["status"], &call["offers"]),
        (&json!("business_unavailable"), &json!("Business unavailable"), &json!([])),
        "{call}"
    );
}
