//! What goes wrong on request.

use std::time::Duration;

use tandem_loadtest::whatsapp::{
    Action, By, CallOptions, Config, GraphFault, HidePhone, Hold, InboundCall, Kind, Signature, WebhookFaults,
};

use crate::business::{Business, SOON};

fn with_faults(faults: WebhookFaults) -> CallOptions {
    CallOptions { faults: Some(faults), ..CallOptions::default() }
}

#[tokio::test]
async fn webhooks_are_signed_escaped_verified_and_retried() {
    let business =
        Business::start(Config { webhook_retry_pause: Duration::from_millis(50), ..Config::default() }).await;
    business.wa.verify_webhook().await.unwrap();
    business.refuse(2);
    let call = business.wa.call(InboundCall::from("995555010203").named("ნინო / Nino")).await.unwrap();
    business.event(call.wacid(), "connect").await;
    let raw = business.raw().pop().unwrap();
    assert!(raw.is_ascii() && raw.contains("\\u10dc") && raw.contains(" \\/ ") && raw.contains("RTP\\/SAVPF"), "{raw}");
    call.until(SOON, "the log is complete", |_| business.wa.deliveries().len() == 3).await.unwrap();
    let log: Vec<_> = business.wa.deliveries().iter().map(|d| (d.attempt, d.status)).collect();
    assert_eq!(log, [(1, Some(503)), (2, Some(503)), (3, Some(200))]);
    for (signature, status) in [(Signature::Right, 200), (Signature::Wrong, 401), (Signature::Missing, 401)] {
        assert_eq!(business.wa.deliver_signed_bytes(b"{}".to_vec(), signature).await.unwrap(), status);
    }
}

#[tokio::test]
async fn webhooks_come_twice_late_first_or_never() {
    let business = Business::start(Config::default()).await;
    let twice = business
        .wa
        .call(InboundCall::from("995555010201").with(with_faults(WebhookFaults::default().duplicating(1))))
        .await
        .unwrap();
    business.event(twice.wacid(), "connect").await;
    twice.hang_up();
    twice.until(SOON, "copies", |c| business.words(c.wacid()).len() == 4).await.unwrap();

    let first = CallOptions { terminate_first: true, ..CallOptions::default() };
    let first = business.wa.call(InboundCall::from("995555010202").with(first)).await.unwrap();
    business.event(first.wacid(), "connect").await;
    assert_eq!(business.words(first.wacid()), ["terminate", "connect"]);

    let late = WebhookFaults::default().delaying(Kind::Connect, Duration::from_millis(200));
    let late = business.wa.call(InboundCall::from("995555010203").with(with_faults(late))).await.unwrap();
    late.hang_up();
    business.event(late.wacid(), "connect").await;
    assert_eq!(business.words(late.wacid()), ["terminate", "connect"]);

    let lost = WebhookFaults::default().dropping(Kind::Terminate);
    let lost = business.wa.call(InboundCall::from("995555010204").with(with_faults(lost))).await.unwrap();
    business.event(lost.wacid(), "connect").await;
    lost.hang_up();
    assert_eq!(lost.ended(SOON).await.unwrap().by, By::Customer);
    assert_eq!(business.words(lost.wacid()), ["connect"]);
}

#[tokio::test]
async fn held_webhooks_are_delivered_in_any_order() {
    let business = Business::start(Config::default()).await;
    let held = CallOptions { hold: Hold::All, ..CallOptions::default() };
    let call = business.wa.call(InboundCall::from("995555010203").with(held)).await.unwrap();
    call.hang_up();
    call.holds(2, SOON).await.unwrap();
    assert_eq!(call.held(), [Kind::Connect, Kind::Terminate]);
    call.release(&[1, 0, 1]).await.unwrap();
    assert_eq!(business.words(call.wacid()), ["terminate", "connect", "terminate"]);
    assert!(call.release(&[7]).await.is_err());
}

#[tokio::test]
async fn payloads_hide_numbers_grow_fields_and_come_in_batches() {
    let business = Business::start(Config::default()).await;
    for (hide_phone, phone) in [(HidePhone::Missing, "995555010201"), (HidePhone::Empty, "995555010202")] {
        let faults = WebhookFaults {
            hide_phone,
            extra_fields: true,
            unknown_events: true,
            stale_by: Duration::from_secs(3_600),
            ..WebhookFaults::default()
        };
        let call = business.wa.call(InboundCall::from(phone).with(with_faults(faults))).await.unwrap();
        let connect = business.event(call.wacid(), "connect").await;
        assert!(connect["from"].as_str().unwrap_or("").is_empty(), "{connect}");
        assert_eq!(connect["from"].is_null(), hide_phone == HidePhone::Missing);
        assert_eq!(connect["from_user_id"], call.customer().user_id);
        assert!(connect["x_added_later"].is_object());
        let stamp: u64 = connect["timestamp"].as_str().unwrap().parse().unwrap();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        assert!((3_600..3_700).contains(&(now - stamp)), "{connect}");
        assert!(business.items().iter().any(|item| item["event"] == "call_weather_changed"));
    }
    let faults = WebhookFaults { batch_window: Some(Duration::from_millis(150)), ..WebhookFaults::default() };
    let bodies_before = business.bodies().len();
    let one = business.wa.call(InboundCall::from("995555010203").with(with_faults(faults.clone()))).await.unwrap();
    let two = business.wa.call(InboundCall::from("995555010204").with(with_faults(faults))).await.unwrap();
    business.event(one.wacid(), "connect").await;
    business.event(two.wacid(), "connect").await;
    assert_eq!(business.bodies().len(), bodies_before + 1, "both in one POST");
}

#[tokio::test]
async fn graph_requests_fail_as_asked_and_then_work() {
    let business = Business::start(Config::default()).await;
    let call = business.wa.call(InboundCall::from("995555010203")).await.unwrap();
    let (_peer, sdp) = business.answer(call.wacid(), false).await;
    business.wa.fail_next(Action::PreAccept, 1, GraphFault::Error(131_000));
    assert_eq!(business.act_with("pre_accept", call.wacid(), &sdp).await.status, 500);
    assert!(call.business_sdp().is_none(), "nothing was done");
    // Done, and the answer is lost: the client sees a broken connection, the second try says "already".
    business.wa.fail_next(Action::Accept, 1, GraphFault::AnswerLost);
    let session = serde_json::json!({"sdp_type": "answer", "sdp": sdp});
    let body = serde_json::json!({"messaging_product": "whatsapp", "action": "accept", "call_id": call.wacid(), "session": session});
    let lost =
        tokio::time::timeout(SOON, business.try_graph(&body)).await.expect("the connection is cut, not left hanging");
    assert!(lost.is_err(), "{lost:?}");
    assert!(call.is_answered());
    let again = business.act_with("accept", call.wacid(), &sdp).await;
    assert!(again.details().contains("already accepted"), "{again:?}");
    let codes: Vec<_> = business.wa.requests().iter().map(|r| (r.action, r.status, r.code)).collect();
    assert_eq!(
        codes,
        [
            (Some(Action::PreAccept), 500, Some(131_000)),
            (Some(Action::Accept), 0, None),
            (Some(Action::Accept), 400, Some(100)),
        ]
    );
}

#[tokio::test]
async fn strangers_get_no_answer_from_graph() {
    let business = Business::start(Config::default()).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("{}/v26.0/100000000000001/calls", business.wa.graph_url());
    let response =
        client.post(&url).bearer_auth("wrong").json(&serde_json::json!({"action": "terminate"})).send().await.unwrap();
    assert_eq!(response.status(), 401);
    let body: serde_json::Value = response.json().await.unwrap();
    assert_eq!(body["error"]["code"], 190);
    let url = format!("{}/v26.0/1/calls", business.wa.graph_url());
    let response =
        client.post(&url).bearer_auth("sandbox-graph-token").json(&serde_json::json!({})).send().await.unwrap();
    assert_eq!(response.status(), 400);
}
