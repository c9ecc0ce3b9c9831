//! Calls that the business makes.

use std::time::Duration;

use serde_json::json;
use tandem_loadtest::whatsapp::{By, CallOptions, Config, Customer, Grant, Script, SdpStyle, Setup, TEMPORARY};

use crate::business::{Business, SOON};

#[tokio::test]
async fn an_answered_call_carries_audio_with_every_setup_and_order() {
    let business = Business::start(Config::default()).await;
    let cases = [
        (Setup::Passive, SdpStyle::Live, false),
        (Setup::Active, SdpStyle::Reference, true),
        (Setup::ActPass, SdpStyle::Live, true),
    ];
    for (n, (setup, sdp_style, connect_before_response)) in cases.into_iter().enumerate() {
        let phone = format!("99555502000{n}");
        let options = CallOptions { setup, sdp_style, connect_before_response, ..CallOptions::default() };
        business.wa.set_customer_with(
            Customer::new(&phone),
            Script::answers_after(Duration::from_millis(100)),
            options,
        );
        let (peer, wacid) = business.dial(&phone).await;
        let call = business.wa.next_outbound(SOON).await.unwrap();
        assert_eq!(call.wacid(), wacid);
        call.answered(SOON).await.unwrap();
        business.hear_each_other(&peer, &call).await;
        assert_eq!(call.violations(), [], "{setup:?}");
        call.hang_up();
        let terminate = business.event(&wacid, "terminate").await;
        assert_eq!(terminate["biz_opaque_callback_data"], "lead-42");
        assert!(terminate["duration"].is_number(), "{terminate}");
        assert_eq!(business.words(&wacid), ["connect", "RINGING", "ACCEPTED", "terminate"], "{setup:?}");
    }
}

#[tokio::test]
async fn declined_and_unanswered_calls_complete_without_duration() {
    let business =
        Business::start(Config { outbound_ring_timeout: Duration::from_millis(600), ..Config::default() }).await;
    business.wa.set_customer("995555020001", Script::declines_after(Duration::from_millis(50)));
    business.wa.set_customer("995555020002", Script::ignores());
    business.wa.set_customer("995555020003", Script { ringing: None, ..Script::ignores() });
    for (phone, words, by) in [
        ("995555020001", &["connect", "RINGING", "REJECTED", "terminate"][..], By::Customer),
        ("995555020002", &["connect", "RINGING", "terminate"][..], By::RingTimeOut),
        ("995555020003", &["connect", "terminate"][..], By::RingTimeOut),
    ] {
        let (_peer, wacid) = business.dial(phone).await;
        let terminate = business.event(&wacid, "terminate").await;
        assert!(terminate["status"] == "COMPLETED" && terminate["duration"].is_null(), "{terminate}");
        assert_eq!(business.words(&wacid), words);
        assert_eq!(business.wa.find(&wacid).unwrap().ending().unwrap().by, by);
    }
}

#[tokio::test]
async fn a_second_call_to_the_same_person_is_refused() {
    let business = Business::start(Config::default()).await;
    let (_peer, wacid) = business.dial("995555020001").await;
    let (_other, answer) = business.try_dial("995555020001").await;
    assert_eq!((answer.status, answer.code()), (400, 138_003));
    assert_eq!(business.act("terminate", &wacid).await.status, 200);
    business.dial("995555020001").await;
}

#[tokio::test]
async fn permissions_are_told_and_enforced() {
    let business = Business::start(Config { enforce_permission: true, ..Config::default() }).await;
    let phone = "995555020001";
    let (_peer, answer) = business.try_dial(phone).await;
    assert_eq!((answer.status, answer.code()), (401, 138_006));
    let cases: [(Grant, serde_json::Value); 3] = [
        (Grant::Temporary { expires_in: TEMPORARY }, json!({"response": "accept", "is_permanent": false})),
        (Grant::FromProfile, json!({"response": "accept", "is_permanent": true})),
        (Grant::Callback { wacid: "wacid.X".into() }, json!({"response": "accept", "response_source": "automatic"})),
    ];
    for (grant, expected) in cases {
        business.wa.grant_permission(phone, grant.clone()).await.unwrap();
        let message = business.items().pop().unwrap();
        let reply = &message["interactive"]["call_permission_reply"];
        for (key, value) in expected.as_object().unwrap() {
            assert_eq!(reply[key], *value, "{grant:?}: {message}");
        }
        let has_context = message["context"].is_object();
        assert_eq!(has_context, matches!(grant, Grant::Callback { .. }), "{message}");
    }
    let (_peer, wacid) = business.dial(phone).await;
    business.act("terminate", &wacid).await;
    business.wa.revoke_permission(phone).await.unwrap();
    assert_eq!(business.items().pop().unwrap()["interactive"]["call_permission_reply"]["response"], "reject");
    assert_eq!(business.try_dial(phone).await.1.code(), 138_006);
}
