//! A number's settings over Graph, and what customers feel of them.

use std::time::Duration;

use serde_json::{Value, json};
use tandem_loadtest::whatsapp::{Action, By, Config, GraphFault, InboundCall, Restriction, Unavailable};

use crate::business::{Business, SOON};

const NINO: &str = "995555010203";
const NUMBER: &str = "100000000000001";

fn all_week(from: &str, to: &str) -> Value {
    let days = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"];
    json!(days.map(|day| json!({"day_of_week": day, "open_time": from, "close_time": to})))
}

#[tokio::test]
async fn settings_are_changed_read_and_told() {
    let business = Business::start(Config::default()).await;
    let first = business.get("settings").await;
    assert_eq!(first.body["calling"]["status"], "ENABLED");
    assert!(first.body["calling"].get("call_hours").is_none(), "{first:?}");
    let hours =
        json!({"status": "ENABLED", "timezone_id": "Asia/Tbilisi", "weekly_operating_hours": all_week("0900", "1800")});
    let change = json!({"calling": {"callback_permission_status": "ENABLED", "call_hours": hours}});
    let changed = business.post("settings", &change).await;
    assert_eq!((changed.status, &changed.body), (200, &json!({"success": true})));
    let read = business.get("settings").await.body;
    assert_eq!(read["calling"]["call_hours"], hours);
    assert_eq!(read["calling"], business.wa.settings(NUMBER).unwrap());
    wait_for_updates(&business, 1).await;
    let update = &business.changes("account_settings_update")[0];
    assert_eq!(update["type"], "phone_number_settings");
    assert_eq!(
        update["phone_number_settings"],
        json!({"phone_number_id": NUMBER, "calling": {"status": "ENABLED", "call_icon_visibility": "DEFAULT", "callback_permission_status": "ENABLED"}}),
        "without the hours"
    );

    let bodies = [
        json!({"calling": {"video": {}}}),
        json!({"calling": {"status": "ENABLED"}, "colour": "red"}),
        json!({"calling": {"status": "OFF"}}),
        json!({}),
        json!([]),
    ];
    for bad in bodies {
        let refused = business.post("settings", &bad).await;
        assert_eq!((refused.status, refused.code()), (400, 100), "{bad}");
    }
    assert!(business.wa.change_settings(NUMBER, &json!({"status": "OFF"})).await.is_err());
    business.wa.change_settings(NUMBER, &json!({"call_icon_visibility": "DISABLE_ALL"})).await.unwrap();
    let updates = business.changes("account_settings_update");
    assert_eq!(updates.len(), 2, "refused changes are not told");
    assert_eq!(updates[1]["phone_number_settings"]["calling"]["call_icon_visibility"], "DISABLE_ALL");
    assert_eq!(business.get("settings").await.body["calling"]["call_hours"], hours, "still there");

    business.wa.fail_next(Action::Settings, 1, GraphFault::Error(138_015));
    assert_eq!(business.post("settings", &change).await.code(), 138_015);
    business.wa.fail_next(Action::ReadSettings, 1, GraphFault::Status(503));
    let url = format!("{}/v26.0/{NUMBER}/settings", business.wa.graph_url());
    let response = reqwest::Client::builder().no_proxy().build().unwrap().get(url).send().await.unwrap();
    assert_eq!(response.status(), 503);
}

#[tokio::test]
async fn callers_are_turned_away_without_a_word_to_the_business() {
    let business = Business::start(Config::default()).await;
    let change = async |calling: Value| business.wa.change_settings(NUMBER, &calling).await.unwrap();
    let check = async |expected: Option<Unavailable>| {
        let call = business.wa.call(InboundCall::from(NINO)).await.unwrap();
        assert_eq!(call.unavailable(), expected);
        if expected.is_some() {
            assert_eq!(call.ending().map(|ended| ended.by), Some(By::WhatsApp));
        } else {
            business.event(call.wacid(), "connect").await;
            call.hang_up();
            business.event(call.wacid(), "terminate").await;
        }
        call
    };
    let mut quiet = Vec::new();
    change(json!({"status": "DISABLED"})).await;
    quiet.push(check(Some(Unavailable::CallingOff)).await);
    assert_eq!(business.try_dial(NINO).await.1.code(), 138_000);
    change(json!({"status": "ENABLED"})).await;

    // Open for one hour that begins at least an hour from now, so that the test cannot run into it.
    let now = business.wa.now();
    let (opens, closes) = ((now / 3_600 + 2) % 24, (now / 3_600 + 3) % 24);
    let hour = |hour: u64| format!("{hour:02}00");
    let week = if closes == 0 { all_week(&hour(opens), "2359") } else { all_week(&hour(opens), &hour(closes)) };
    change(json!({"call_hours": {"status": "ENABLED", "timezone_id": "UTC", "weekly_operating_hours": week}})).await;
    quiet.push(check(Some(Unavailable::OutsideHours)).await);
    let until_open = 3_600 - now % 3_600 + 3_600;
    business.wa.advance(Duration::from_secs(until_open));
    check(None).await;
    change(json!({"call_hours": {"status": "DISABLED"}})).await;

    business.wa.restrict(NUMBER, Restriction::Both, Duration::from_secs(60)).await.unwrap();
    quiet.push(check(Some(Unavailable::Paused)).await);
    business.wa.advance(Duration::from_secs(60));
    check(None).await;
    change(json!({"sip": {"status": "ENABLED", "servers": [{"hostname": "sip.example.com"}]}})).await;
    quiet.push(check(Some(Unavailable::SipMode)).await);
    assert_eq!(business.try_dial(NINO).await.1.code(), 131_055);
    for call in quiet {
        assert_eq!(business.words(call.wacid()), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_rejected_caller_sees_that_the_business_is_unavailable() {
    let business = Business::start(Config::default()).await;
    let call = business.wa.call(InboundCall::from(NINO)).await.unwrap();
    business.event(call.wacid(), "connect").await;
    assert_eq!(call.unavailable(), None);
    assert_eq!(business.act("reject", call.wacid()).await.status, 200);
    call.ended(SOON).await.unwrap();
    assert_eq!(call.unavailable(), Some(Unavailable::Rejected));
    let missed = business.wa.call(InboundCall::from(NINO)).await.unwrap();
    missed.hang_up();
    assert_eq!(missed.unavailable(), None);
}

#[tokio::test]
async fn time_stamps_and_durations_follow_the_clock() {
    let business = Business::start(Config::default()).await;
    business.wa.advance(Duration::from_secs(3_600));
    let call = business.wa.call(InboundCall::from(NINO)).await.unwrap();
    let (_peer, sdp) = business.answer(call.wacid(), false).await;
    assert_eq!(business.act_with("accept", call.wacid(), &sdp).await.status, 200);
    business.wa.advance(Duration::from_secs(61));
    call.hang_up();
    let terminate = business.event(call.wacid(), "terminate").await;
    let seconds = terminate["duration"].as_u64().unwrap();
    assert!((61..70).contains(&seconds), "{terminate}");
    let real = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let stamp: u64 = terminate["timestamp"].as_str().unwrap().parse().unwrap();
    assert!((3_655..3_670).contains(&(stamp - real)), "{terminate}");
}

/// Webhooks of changes over Graph come by themselves.
async fn wait_for_updates(business: &Business, count: usize) {
    let deadline = tokio::time::Instant::now() + SOON;
    while business.changes("account_settings_update").len() < count {
        assert!(tokio::time::Instant::now() < deadline, "{:?}", business.bodies());
        tokio::task::yield_now().await;
    }
}
