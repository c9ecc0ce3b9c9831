//! Bodies that no honest sender writes: rubbish, cut, corrupted, huge, and valid JSON of the wrong shape.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::repair;
use super::*;

#[test]
fn what_is_no_webhook_is_refused_and_says_why() {
    for rubbish in [
        "",
        "{",
        "null",
        "[]",
        "7",
        "{}",
        r#"{"entry":{}}"#,
        r#"{"entry":null}"#,
        "\u{feff}",
        "<html>",
        &"[".repeat(100_000),
    ] {
        let error = parse(rubbish.as_bytes()).expect_err(rubbish).to_string();
        assert!(error.contains("not JSON") || error.contains("`entry`"), "{error}");
    }
    assert_eq!(parse(br#"{"entry":[]}"#).unwrap(), []);
}

#[test]
fn a_body_of_the_largest_size_is_read() {
    let call = || with(inbound_connect(), json!({"session": {"sdp_type": "offer", "sdp": "v=0\r\n".repeat(2000)}}));
    let body =
        envelope("calls", value_with(json!({"calls": (0..300).map(|_| call()).collect::<Vec<_>>()}))).to_string();
    assert!(body.len() > 3_000_000);
    assert_eq!(parse(body.as_bytes()).unwrap().len(), 300);
}

fn whole_body() -> Vec<u8> {
    let value = value_with(
        json!({"calls": [inbound_connect(), terminate()], "statuses": [ringing()], "errors": [{"code": 138_021}],
        "messages": [reply(json!({}))]}),
    );
    let changes: Vec<Value> =
        ["calls", "messages"].iter().map(|field| json!({"field": field, "value": value.clone()})).collect();
    json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": changes}]}).to_string().into_bytes()
}

#[test]
fn a_body_cut_anywhere_is_refused_and_never_panics() {
    let body = whole_body();
    assert_eq!(parse(&body).unwrap().len(), 5);
    for len in 0..body.len() {
        assert!(parse(&body[..len]).is_err(), "cut at {len}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop_oneof![
            Just("connect"),
            Just("terminate"),
            Just("RINGING"),
            Just("accept"),
            Just("995555010203"),
            Just("call"),
            Just("ENABLED"),
            Just("RESTRICTED_BIZ_INITIATED_CALLING"),
            Just("MONDAY"),
            Just("2027-01-07"),
            Just("09:00")
        ]
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::hash_map(any_key(), inner, 0..8).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_key() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "entry",
        "changes",
        "field",
        "value",
        "metadata",
        "phone_number_id",
        "contacts",
        "profile",
        "name",
        "wa_id",
        "user_id",
        "calls",
        "statuses",
        "messages",
        "errors",
        "id",
        "event",
        "status",
        "type",
        "session",
        "sdp",
        "sdp_type",
        "timestamp",
        "duration",
        "from",
        "to",
        "interactive",
        "call_permission_reply",
        "response",
        "context",
        "error_data",
        "details",
        "code",
        "restriction_info",
        "restriction_type",
        "expiration",
        "violation_info",
        "violation_type",
        "phone_number_settings",
        "calling",
        "call_hours",
        "weekly_operating_hours",
        "holiday_schedule",
        "open_time",
        "date",
        "restrictions",
    ])
    .prop_map(str::to_owned)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, rng_seed: proptest::test_runner::RngSeed::Fixed(7_781), ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = parse(&bytes);
        let _ = repair::mend(&bytes);
    }

    #[test]
    fn any_json_in_the_places_that_we_look_at_is_read(value in any_json(), field in prop_oneof![Just("calls"), Just("messages"), Just("account_update"), Just("account_settings_update"), Just("")]) {
        let deliveries = parse(envelope(field, value).to_string().as_bytes()).unwrap();
        prop_assert!(!deliveries.is_empty());
        for delivery in deliveries {
            let _ = (delivery.dedup_key(), delivery.kind(), format!("{delivery:?}"));
        }
    }

    #[test]
    fn any_field_of_a_call_may_be_anything(key in any_key(), anything in any_json()) {
        for call in [inbound_connect(), outbound_connect(), terminate()] {
            let mut changed = call;
            changed[&key] = anything.clone();
            let deliveries = read(&envelope("calls", value_with(json!({"calls": [changed, inbound_connect()]}))));
            prop_assert!(deliveries.iter().any(|d| matches!(d, Delivery::Connect(c) if c.wacid.as_str() == INBOUND)), "the neighbour is lost");
        }
    }

    #[test]
    fn any_corrupted_byte_is_read_or_refused(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut body = whole_body();
        let at = at.index(body.len());
        body[at] = byte;
        let _ = parse(&body);
    }
}
