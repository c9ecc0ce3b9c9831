//! Call settings and health, with a stand-in for WhatsApp's settings at the other end.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method as Verb, StatusCode, Uri};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::fixture::{House, answer, listen, signature};
use crate::model::directory::{Number, Plan, Platform};
use crate::model::id::NumberId;
use crate::signalling::whatsapp;

pub(super) const SETTINGS: &str = "/v1/numbers/100000000000001/settings";
pub(super) const HEALTH: &str = "/v1/numbers/100000000000001/health";

/// WhatsApp as far as settings go: keeps what it is told, replaces hours as a whole, notes every request.
#[derive(Clone, Default)]
pub(super) struct Meta(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    calling: Value,
    asked: Vec<String>,
    fails_with: Option<(u16, Value)>,
    /// Answers nothing before this is true.
    answers: Option<watch::Receiver<bool>>,
    /// Holds the next answer back until it is told.
    held: Option<Arc<Notify>>,
}

impl Meta {
    pub(super) fn open() -> (Self, whatsapp::Config, impl Sized) {
        // Hours that nobody ever set are not told.
        let calling =
            json!({"status": "ENABLED", "call_icon_visibility": "DEFAULT", "callback_permission_status": "ENABLED"});
        let meta = Self(Arc::new(Mutex::new(Kept { calling, ..Kept::default() })));
        let router = Router::new().fallback(serve).with_state(meta.clone());
        let (url, stop) = listen(router, CancellationToken::new());
        (meta, whatsapp::Config { graph_url: url, ..whatsapp::Config::default() }, stop)
    }

    pub(super) fn calling(&self) -> Value {
        self.0.lock().unwrap().calling.clone()
    }

    /// Somebody changes a setting in WhatsApp's own manager.
    pub(super) fn set(&self, key: &str, value: Value) {
        self.0.lock().unwrap().calling[key] = value;
    }

    pub(super) fn fail(&self, with: Option<(u16, Value)>) {
        self.0.lock().unwrap().fails_with = with;
    }

    /// Has the next question answered only when that is told, with what was true before.
    pub(super) fn hold(&self) -> Arc<Notify> {
        let release = Arc::new(Notify::new());
        self.0.lock().unwrap().held = Some(Arc::clone(&release));
        release
    }

    pub(super) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().asked)
    }
}

async fn serve(State(meta): State<Meta>, verb: Verb, uri: Uri, body: Bytes) -> (StatusCode, String) {
    let answers = {
        let mut kept = meta.0.lock().unwrap();
        kept.asked.push(format!("{verb} {}", uri.path().rsplit('/').next().unwrap_or_default()));
        kept.answers.clone()
    };
    if let Some(mut answers) = answers {
        answers.wait_for(|answers| *answers).await.unwrap();
    }
    let (answer, held) = {
        let mut kept = meta.0.lock().unwrap();
        (kept.answer(&verb, &body), kept.held.take())
    };
    if let Some(release) = held {
        release.notified().await;
    }
    answer
}

impl Kept {
    fn answer(&mut self, verb: &Verb, body: &Bytes) -> (StatusCode, String) {
        if let Some((status, body)) = &self.fails_with {
            return (StatusCode::from_u16(*status).unwrap(), body.to_string());
        }
        if *verb == Verb::GET {
            return (StatusCode::OK, json!({"calling": self.calling}).to_string());
        }
        let told: Value = serde_json::from_slice(body).unwrap();
        for (key, value) in told["calling"].as_object().unwrap() {
            self.calling[key] = value.clone();
        }
        (StatusCode::OK, json!({"success": true}).to_string())
    }
}

/// A house whose number has a token for this WhatsApp.
pub(super) async fn connected() -> (House, Meta, impl Sized) {
    let (meta, config, stop) = Meta::open();
    let house = House::connected(config).await;
    meta.asked();
    (house, meta, stop)
}

pub(super) fn number(change: impl FnOnce(&mut Number)) -> Number {
    let mut number = Number {
        id: NumberId::parse("100000000000001").unwrap(),
        display_phone_number: crate::model::phone::Phone::parse("995322000111").unwrap(),
        plan: Plan::Advanced,
        add_ons: Vec::new(),
        messaging_limit: 10_000,
        platform: Platform::CloudApi,
        graph_token_set: true,
        record: None,
        keep_recordings_days: None,
    };
    change(&mut number);
    number
}

pub(super) fn weekly() -> Value {
    json!({"time_zone": "Asia/Tbilisi", "weekly": {"monday": [["09:00", "13:00"], ["14:00", "18:00"]]}})
}

pub(super) fn closed(date: &str) -> Value {
    json!({"date": date, "from": "00:00", "to": "24:00"})
}

pub(super) async fn events(house: &House, kind: &str) -> Vec<Value> {
    let (_, log) = answer(house.get("/v1/events?limit=200", &house.admin).await).await;
    let of_kind = |event: &&Value| event["type"] == kind;
    log["items"].as_array().unwrap().iter().filter(of_kind).map(|event| event["data"].clone()).collect()
}

/// WhatsApp reports something, and it has been worked off when this returns.
pub(super) async fn report(house: &House, field: &str, value: Value) {
    let body = json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "time": 1_795_000_300,
        "changes": [{"field": field, "value": value}]}]})
    .to_string();
    let sent = house
        .ask(Method::POST, "/webhooks/whatsapp", "")
        .header("x-hub-signature-256", signature(body.as_bytes()))
        .header("content-type", "application/json")
        .body(body);
    assert_eq!(sent.send().await.unwrap().status(), 200);
    while !house.store.webhooks_pending().await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_number_without_settings_shows_the_defaults_and_its_links() {
    let house = House::open().await;
    let response = house.get(SETTINGS, &house.admin).await;
    assert_eq!(response.headers()["etag"], "\"0\"");
    let (status, body) = answer(response).await;
    assert_eq!(status, 200, "{body}");
    for (field, want) in [
        ("allow_voice_calls", json!(true)),
        ("display_call_buttons", json!(true)),
        ("callback_permission", json!(true)),
        ("call_hours", json!(null)),
        ("unavailable", json!([])),
        ("drift", json!([])),
        ("restrictions", json!([])),
        ("open_now", json!(true)),
        ("opens_at", json!(null)),
        (
            "deep_links",
            json!([{"kind": "call", "url": "https://wa.me/995322000111?call"},
            {"kind": "call_with_payload", "url": "https://wa.me/call/995322000111?biz_payload="}]),
        ),
    ] {
        assert_eq!(body[field], want, "{field}");
    }
    assert_eq!(body["sync"]["state"], "pending");
    assert!(body["sync"]["error"].as_str().unwrap().contains("graph_token"), "{body}");
    assert_eq!(body["unknown"].as_array().unwrap().len(), 5, "nothing of it is known: {body}");
    assert!(body["prerequisites"].as_array().unwrap().iter().all(|one| one["met"] == true), "{body}");
}

#[tokio::test]
async fn a_change_keeps_what_it_leaves_out_and_whatsapp_is_told() {
    let (house, meta, _stop) = connected().await;
    let (status, body) = house
        .put(
            SETTINGS,
            json!({"allow_voice_calls": true, "call_hours": weekly(), "unavailable": [closed("2099-01-07")]}),
        )
        .await;
    assert_eq!((status, &body["sync"]["state"]), (200, &json!("synced")), "{body}");
    assert!(body["sync"]["pushed_at"].is_string() && body["sync"].get("error").is_none(), "{body}");
    assert_eq!(meta.asked(), ["GET settings", "POST settings", "GET settings"]);
    let hours = meta.calling()["call_hours"].clone();
    assert_eq!((&hours["timezone_id"], &meta.calling()["status"]), (&json!("Asia/Tbilisi"), &json!("ENABLED")));
    assert_eq!(hours["holiday_schedule"], json!([{"date": "2099-01-07", "start_time": "0000", "end_time": "2359"}]));

    let (status, body) = house.put(SETTINGS, json!({"callback_permission": false})).await;
    assert_eq!((status, &body["call_hours"]), (200, &weekly()), "{body}");
    assert_eq!(body["unavailable"], json!([closed("2099-01-07")]));
    assert_eq!(meta.calling()["callback_permission_status"], "DISABLED");
    assert_eq!(meta.calling()["call_hours"], hours, "closed dates must never be lost by a write");

    let (_, body) = house.put(SETTINGS, json!({"call_hours": null, "unavailable": []})).await;
    assert_eq!((&body["call_hours"], &body["callback_permission"]), (&json!(null), &json!(false)));
    assert_eq!(meta.calling()["call_hours"]["status"], "DISABLED");
    meta.asked();
    let (_, same) = house.put(SETTINGS, json!({"call_hours": null, "callback_permission": false})).await;
    assert_eq!((same["drift"].clone(), meta.asked()), (json!([]), Vec::<String>::new()), "nothing changed");
    assert_eq!(events(&house, "number.settings_changed").await.len(), 3);
    assert_eq!(events(&house, "number.settings_drifted").await.len(), 0);
}

#[tokio::test]
async fn whoever_asks_is_told_whether_the_number_is_open_and_when_it_opens() {
    let house = House::open().await;
    let off = json!({"allow_voice_calls": false, "call_hours": weekly()});
    let (_, body) = house.put(SETTINGS, off).await;
    assert_eq!((&body["open_now"], &body["opens_at"]), (&json!(false), &json!(null)), "no hour opens it: {body}");
    let (_, body) = house.put(SETTINGS, json!({"allow_voice_calls": true})).await;
    assert_ne!(body["open_now"], body["opens_at"].is_string(), "it tells when it opens while it is closed: {body}");

    #[rustfmt::skip]
    let moments = [
        ("2027-01-03T20:00:00+04:00", json!("outside_hours"), json!("2027-01-04T05:00:00.000Z")),
        ("2027-01-04T09:00:00+04:00", json!(null), json!(null)),
        ("2027-01-04T13:00:00+04:00", json!("outside_hours"), json!("2027-01-04T10:00:00.000Z")),
    ];
    for (at, refused, opens_at) in moments {
        let body = json!({"number_id": "100000000000001", "contact": "wa:995555010203", "at": at});
        let asked = house.ask(Method::POST, "/v1/routing/simulate", &house.admin).json(&body);
        let (_, told) = answer(asked.send().await.unwrap()).await;
        assert_eq!((&told["refused"], &told["opens_at"]), (&refused, &opens_at), "{at}: {told}");
    }
}

#[tokio::test]
async fn every_mistake_is_named_with_its_field_and_nothing_is_stored() {
    let house = House::open().await;
    let (status, body) = house
        .put(
            SETTINGS,
            json!({"call_hours": {"time_zone": "Moon/Crater", "weekly": {"monday": [["18:00", "18:00"]]}},
                "unavailable": [{"date": "2027-02-30"}]}),
        )
        .await;
    assert_eq!((status, &body["code"]), (422, &json!("invalid_field")), "{body}");
    let detail = body["detail"].as_str().unwrap();
    for field in ["call_hours.time_zone", "call_hours.weekly.monday[0]", "unavailable[0]"] {
        assert!(detail.contains(field), "{field} in {detail}");
    }
    for wrong in [
        json!({"call_hours": {"time_zone": "UTC", "weekly": {"moonday": []}}}),
        json!({"call_hours": {"weekly": {}}}),
        json!({"unavailable": [{"from": "00:00"}]}),
        json!({"unavailable": "2027-01-07"}),
        json!({"allow_voice_calls": "yes"}),
        json!({"deep_links": []}),
        json!({"surprise": 1}),
    ] {
        let (status, body) = house.put(SETTINGS, wrong.clone()).await;
        assert_eq!((status, &body["code"]), (422, &json!("invalid_field")), "{wrong}: {body}");
    }
    assert_eq!(events(&house, "number.settings_changed").await, [json!(null); 0]);
}

#[tokio::test]
async fn hidden_buttons_lock_the_hours_and_give_them_back() {
    let house = House::open().await;
    let ok = async |body: Value| {
        let (status, answer) = house.put(SETTINGS, body.clone()).await;
        assert_eq!(status, 200, "{body}: {answer}");
        answer
    };
    ok(json!({"call_hours": weekly(), "unavailable": [closed("2099-01-07")]})).await;
    let hidden = ok(json!({"display_call_buttons": false})).await;
    assert_eq!(hidden["call_hours"], weekly(), "hidden, not forgotten");
    for locked in [
        json!({"call_hours": null}),
        json!({"call_hours": {"time_zone": "UTC", "weekly": {"monday": [["09:00", "10:00"]]}}}),
        json!({"unavailable": []}),
        json!({"display_call_buttons": false, "unavailable": [closed("2099-01-08")]}),
        json!({"callback_permission": false, "call_hours": null}),
    ] {
        let (status, body) = house.put(SETTINGS, locked.clone()).await;
        assert_eq!((status, &body["code"]), (409, &json!("call_hours_locked")), "{locked}: {body}");
    }
    // Who sends back what was read changes no hours.
    ok(json!({"callback_permission": false, "call_hours": weekly(), "unavailable": [closed("2099-01-07")]})).await;
    let shown = ok(json!({"display_call_buttons": true})).await;
    assert_eq!((&shown["call_hours"], &shown["unavailable"]), (&weekly(), &json!([closed("2099-01-07")])));
    ok(json!({"display_call_buttons": false})).await;
    ok(json!({"display_call_buttons": true, "call_hours": null})).await;
    ok(json!({"display_call_buttons": false, "unavailable": []})).await;
}

#[tokio::test]
async fn calling_cannot_be_enabled_while_something_is_missing() {
    #[track_caller]
    fn check(body: &Value, status: u16, want: (u16, &str, &[&str])) {
        let codes: Vec<_> = body["blockers"].as_array().unwrap().iter().map(|one| one["code"].clone()).collect();
        assert_eq!((status, body["code"].as_str().unwrap()), (want.0, want.1), "{body}");
        assert_eq!(codes, want.2);
        assert!(body["blockers"][0]["message"].as_str().is_some_and(|text| !text.is_empty()));
    }
    let house = House::open().await;
    for (number, want) in [
        (number(|n| n.plan = Plan::Starter), (402, "plan_required", &["plan_required"][..])),
        (number(|n| n.messaging_limit = 1999), (409, "prerequisites_missing", &["messaging_limit"][..])),
        (number(|n| n.platform = Platform::BusinessApp), (409, "prerequisites_missing", &["not_cloud_api"][..])),
    ] {
        house.store.put_number(&number, None).await.unwrap();
        let (status, body) = house.put(SETTINGS, json!({"allow_voice_calls": true})).await;
        check(&body, status, want);
        let (status, body) = house.put(SETTINGS, json!({"allow_voice_calls": false})).await;
        assert_eq!(status, 200, "switching off needs nothing: {body}");
        let unmet = body["prerequisites"].as_array().unwrap().iter().filter(|one| one["met"] == false).count();
        assert_eq!(unmet, 1);
    }
    // Customers may call numbers of countries that place no calls.
    let american = number(|n| n.display_phone_number = crate::model::phone::Phone::parse("12125550100").unwrap());
    house.store.put_number(&american, None).await.unwrap();
    let (status, body) = house.put(SETTINGS, json!({"allow_voice_calls": true})).await;
    assert_eq!(status, 200, "{body}");
}

#[tokio::test]
async fn a_change_made_from_an_old_reading_is_refused_when_it_asks_for_that() {
    let house = House::open().await;
    let put = async |tag: &str, body: Value| {
        let sent = house.ask(Method::PUT, SETTINGS, &house.admin).header("if-match", tag).json(&body).send();
        let response = sent.await.unwrap();
        let tag = response.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned());
        (response.status().as_u16(), tag)
    };
    let one = (200, Some("\"1\"".to_owned()));
    assert_eq!(put("\"0\"", json!({"callback_permission": false})).await, one);
    assert_eq!(put("\"0\"", json!({"callback_permission": true})).await, (412, None));
    assert_eq!(put("old", json!({"callback_permission": true})).await, (412, None));
    assert_eq!(put("\"1\"", json!({"callback_permission": true})).await, (200, Some("\"2\"".to_owned())));
    assert_eq!(put("*", json!({"callback_permission": false})).await.0, 200);
}

#[tokio::test]
async fn without_a_token_the_wish_is_kept_and_says_what_is_missing() {
    let house = House::open().await;
    let (status, body) = house.put(SETTINGS, json!({"callback_permission": false})).await;
    assert_eq!((status, &body["sync"]["state"]), (200, &json!("failed")), "{body}");
    assert!(body["sync"]["error"].as_str().unwrap().contains("graph_token"), "{body}");
    assert_eq!(body["callback_permission"], false);
    let stored = house.store.settings(&number(|_| ()).id).await.unwrap().unwrap();
    assert!(stored.push_at.is_some(), "it is tried again");
}

#[tokio::test]
async fn whatsapps_refusal_is_shown_and_the_next_change_tries_at_once() {
    let (house, meta, _stop) = connected().await;
    meta.fail(Some((400, json!({"error": {"code": 138_015, "message": "x"}}))));
    let (status, body) = house.put(SETTINGS, json!({"callback_permission": false})).await;
    assert_eq!((status, &body["sync"]["state"]), (200, &json!("failed")), "{body}");
    assert!(body["sync"]["error"].as_str().unwrap().contains("2,000"), "{body}");
    assert_eq!(meta.asked(), ["GET settings"], "what cannot be read is not written over");
    meta.fail(None);
    let (_, body) = house.put(SETTINGS, json!({"callback_permission": false})).await;
    assert_eq!((&body["sync"]["state"], &body["drift"]), (&json!("synced"), &json!([])), "{body}");
    assert_eq!(meta.calling()["callback_permission_status"], "DISABLED");
}

#[tokio::test]
async fn a_wish_that_was_refused_rests_also_for_whoever_waited_to_tell_it() {
    let (house, meta, _stop) = connected().await;
    let (answer, answers) = watch::channel(false);
    meta.0.lock().unwrap().answers = Some(answers);
    meta.fail(Some((400, json!({"error": {"code": 138_015, "message": "x"}}))));
    let mut told = house.control.switchboard.subscribe();
    // The first is at it; the others wait with theirs, and the second tells what the third wishes.
    let puts = [(true, true), (true, false), (false, false)].map(async |(callback, buttons)| {
        house.put(SETTINGS, json!({"callback_permission": callback, "display_call_buttons": buttons})).await
    });
    let all_stored = async {
        for _ in 0..3 {
            while told.recv().await.unwrap().kind != "number.settings_changed" {}
        }
        answer.send(true).unwrap();
    };
    let (answers, ()) = tokio::join!(futures_util::future::join_all(puts), all_stored);
    assert!(answers.iter().all(|(status, _)| *status == 200), "{answers:?}");
    let stored = house.store.settings(&number(|_| ()).id).await.unwrap().unwrap();
    assert_eq!((stored.revision, stored.push_failures), (3, 1));
    assert_eq!(meta.asked(), ["GET settings"; 2]);
}

#[tokio::test]
async fn closed_dates_entered_at_whatsapp_are_taken_over_and_ours_can_still_be_removed() {
    let (house, meta, _stop) = connected().await;
    let dates = |list: &[&str]| list.iter().map(|date| closed(date)).collect::<Vec<_>>();
    house.put(SETTINGS, json!({"call_hours": weekly(), "unavailable": dates(&["2099-01-01", "2099-01-07"])})).await;
    let mut hours = meta.calling()["call_hours"].clone();
    hours["holiday_schedule"]
        .as_array_mut()
        .unwrap()
        .push(json!({"date": "2099-05-26", "start_time": "00:00", "end_time": "23:59"}));
    meta.set("call_hours", hours);
    let (_, body) = house.put(SETTINGS, json!({"unavailable": dates(&["2099-01-07"])})).await;
    assert_eq!(body["unavailable"], json!(dates(&["2099-01-07", "2099-05-26"])), "{body}");
    assert_eq!((&body["sync"]["state"], &body["drift"]), (&json!("synced"), &json!([])));
    let left: Vec<_> = meta.calling()["call_hours"]["holiday_schedule"]
        .as_array()
        .unwrap()
        .iter()
        .map(|day| day["date"].clone())
        .collect();
    assert_eq!(left, ["2099-01-07", "2099-05-26"]);
    // Taken over, it is ours to remove.
    let (_, body) = house.put(SETTINGS, json!({"unavailable": dates(&["2099-01-07"])})).await;
    assert_eq!(body["unavailable"], json!(dates(&["2099-01-07"])));
    assert_eq!(meta.calling()["call_hours"]["holiday_schedule"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_change_made_elsewhere_is_drift_announced_once_and_mended_by_any_change() {
    let (house, meta, _stop) = connected().await;
    house.put(SETTINGS, json!({"callback_permission": true})).await;
    let told = |status: &str, visibility: &str| {
        json!({"messaging_product": "whatsapp", "timestamp": "4070908800", "type": "phone_number_settings",
            "phone_number_settings": {"phone_number_id": "100000000000001",
                "calling": {"status": status, "call_icon_visibility": visibility}}})
    };
    let drift = async || answer(house.get(SETTINGS, &house.admin).await).await.1["drift"].clone();
    let seen = async |want: Value| {
        while drift().await != want {
            tokio::task::yield_now().await;
        }
    };
    report(&house, "account_settings_update", told("ENABLED", "DEFAULT")).await;
    assert_eq!(drift().await, json!([]), "the echo of our own change");
    meta.set("call_icon_visibility", json!("DISABLE_ALL"));
    let hidden = json!([{"field": "display_call_buttons", "ours": true, "theirs": false}]);
    for _ in 0..2 {
        report(&house, "account_settings_update", told("ENABLED", "DISABLE_ALL")).await;
        seen(hidden.clone()).await;
    }
    assert_eq!(
        events(&house, "number.settings_drifted").await,
        [json!({"number_id": "100000000000001", "drift": hidden})]
    );
    // Old news: WhatsApp, asked, has nothing switched off.
    report(&house, "account_settings_update", told("DISABLED", "DISABLE_ALL")).await;
    seen(hidden).await;
    let (_, body) = house.put(SETTINGS, json!({"callback_permission": true})).await;
    assert_eq!((&body["drift"], meta.calling()["call_icon_visibility"].as_str()), (&json!([]), Some("DEFAULT")));
    assert_eq!(events(&house, "number.settings_drifted").await.len(), 1);
}

#[tokio::test]
async fn who_may_not_configure_calls_may_neither_read_nor_change_settings() {
    let house = House::open().await;
    for secret in [&house.ana, &house.powerless] {
        assert_eq!(house.get(SETTINGS, secret).await.status(), 403);
        let put = house.ask(Method::PUT, SETTINGS, secret).json(&json!({"callback_permission": false}));
        assert_eq!(put.send().await.unwrap().status(), 403);
    }
    assert_eq!(house.get(HEALTH, &house.powerless).await.status(), 403);
    assert_eq!(house.get("/v1/numbers/7/settings", &house.admin).await.status(), 404);
    assert_eq!(house.get("/v1/numbers/7/health", &house.admin).await.status(), 404);
    assert_eq!(house.put("/v1/numbers/7/settings", json!({})).await.0, 404);
}

#[tokio::test]
async fn what_whatsapp_takes_from_a_number_is_shown_with_its_end_and_told_to_the_log() {
    let house = House::open().await;
    let restricted = |expiration: i64| {
        json!({"phone_number": "995322000111", "event": "ACCOUNT_RESTRICTION",
        "restriction_info": [{"restriction_type": "RESTRICTED_BIZ_INITIATED_CALLING", "expiration": expiration}]})
    };
    let warned = json!({"phone_number": "995322000111", "event": "ACCOUNT_VIOLATION",
        "violation_info": {"violation_type": "USER_INITIATED_CALLS_LOW_PICKUP_RATE", "remediation": "answer more"}});
    for value in [restricted(1_600_000_000), restricted(4_070_908_800), restricted(4_070_908_800), warned] {
        report(&house, "account_update", value).await;
    }
    report(
        &house,
        "account_update",
        json!({"phone_number": "995322000999", "event": "ACCOUNT_RESTRICTION",
        "restriction_info": [{"restriction_type": "RESTRICTED_USER_INITIATED_CALLING"}]}),
    )
    .await;
    let of_number = house.store.restrictions(&number(|_| ()).id).await.unwrap();
    assert_eq!(of_number.len(), 1, "neither what is over nor what is another number's: {of_number:?}");
    let told = events(&house, "number.restricted").await;
    assert_eq!((told.len(), &told[0]["restriction"]["kind"]), (1, &json!("outbound")));
    assert_eq!(told[0]["restriction"]["expires_at"], "2099-01-01T00:00:00.000Z");
    assert_eq!(events(&house, "number.violation_reported").await.len(), 1);

    let (status, health) = answer(house.get(HEALTH, &house.admin).await).await;
    assert_eq!(status, 200, "{health}");
    assert_eq!(health["restrictions"][0]["expires_at"], "2099-01-01T00:00:00.000Z");
    assert_eq!((&health["violations"][0]["kind"], &health["stage"]), (&json!("inbound_pickup"), &json!("fine")));
    assert_eq!(
        health["pickup"]["inbound"],
        json!({"calls": 1, "missed": 1, "pickup_ratio": 0.0}),
        "the house's missed call"
    );
    assert_eq!(health["warnings"].as_array().unwrap().len(), 2, "{health}");
    let (_, settings) = answer(house.get(SETTINGS, &house.admin).await).await;
    assert_eq!(settings["restrictions"], health["restrictions"]);
}
