use serde_json::{Value, json};

use super::*;

mod account;
mod hostile;

const INBOUND: &str =
    "wacid.HBgMOTk1NTU1MDEwMjAzFQIAEhggMDEyMzQ1Njc4OUFCQ0RFRjAxMjM0NTY3ODlBQkNERUYcGAw5OTUzMjIwMDAxMTEVAgAA";
const OUTBOUND: &str =
    "wacid.HBgMOTk1NTU1MDEwMjAzFQIAERggRkVEQ0JBOTg3NjU0MzIxMDAxMjM0NTY3ODlBQkNERUYcGAw5OTUzMjIwMDAxMTEVAgAA";
const USER: &str = "GE.1000000000000000001";
const SDP: &str = "v=0\r\no=- 1795000000000 2 IN IP4 127.0.0.1\r\ns=-\r\n";

fn envelope(field: &str, value: Value) -> Value {
    json!({"object": "whatsapp_business_account", "entry": [{"id": "200000000000002", "changes": [{"field": field, "value": value}]}]})
}

fn value_with(extra: Value) -> Value {
    let mut value = json!({
        "messaging_product": "whatsapp",
        "metadata": {"display_phone_number": "995322000111", "phone_number_id": "100000000000001"},
        "contacts": [{"profile": {"name": "Nino", "username": "nino.k"}, "wa_id": "995555010203", "user_id": USER}],
    });
    merge(&mut value, extra);
    value
}

/// Overwrites the fields of `base`; null removes one.
fn merge(base: &mut Value, changes: Value) {
    let (Value::Object(base), Value::Object(changes)) = (base, changes) else { panic!("objects only") };
    for (key, change) in changes {
        if change.is_null() {
            base.remove(&key);
        } else {
            base.insert(key, change);
        }
    }
}

fn with(mut base: Value, changes: Value) -> Value {
    merge(&mut base, changes);
    base
}

fn inbound_connect() -> Value {
    json!({"id": INBOUND, "from": "995555010203", "from_user_id": USER, "to": "995322000111", "event": "connect",
        "timestamp": "1795000000", "direction": "USER_INITIATED", "cta_payload": "order-7781", "deeplink_payload": "site-footer",
        "session": {"sdp_type": "offer", "sdp": SDP}})
}

fn outbound_connect() -> Value {
    json!({"id": OUTBOUND, "from": "995322000111", "to": "995555010203", "to_user_id": USER, "event": "connect",
        "timestamp": "1795000101", "direction": "BUSINESS_INITIATED", "biz_opaque_callback_data": "lead-42",
        "session": {"sdp_type": "answer", "sdp": SDP}, "connection": {"webrtc": {"sdp": "{\"type\":\"answer\",\"sdp\":\"v=0 other\"}"}}})
}

fn ringing() -> Value {
    json!({"id": OUTBOUND, "type": "call", "status": "RINGING", "timestamp": "1795000103", "recipient_id": "995555010203",
        "recipient_user_id": USER, "biz_opaque_callback_data": "lead-42"})
}

fn terminate() -> Value {
    json!({"id": INBOUND, "from": "995555010203", "to": "995322000111", "event": "terminate", "timestamp": "1795000060",
        "direction": "USER_INITIATED", "biz_opaque_callback_data": "acc-9", "status": "FAILED", "start_time": "1795000040",
        "end_time": "1795000060", "duration": 20,
        "errors": [{"code": 138021, "title": "Media receive timeout", "message": "Media receive timeout"}]})
}

fn reply(changes: Value) -> Value {
    let mut reply = json!({"response": "accept", "is_permanent": false, "expiration_timestamp": "1795604800", "response_source": "user_action"});
    merge(&mut reply, changes);
    json!({"from": "995555010203", "from_user_id": USER, "id": "wamid.REPLY1", "timestamp": "1795000200", "type": "interactive",
        "context": {"from": "995322000111", "id": "wamid.REQUEST1"},
        "interactive": {"type": "call_permission_reply", "call_permission_reply": reply}})
}

#[track_caller]
fn read(body: &Value) -> Vec<Delivery> {
    parse(body.to_string().as_bytes()).unwrap()
}

#[track_caller]
fn read_one(body: &Value) -> Delivery {
    let mut deliveries = read(body);
    assert_eq!(deliveries.len(), 1, "{deliveries:?}");
    deliveries.remove(0)
}

#[track_caller]
fn calls(call: Value) -> Delivery {
    read_one(&envelope("calls", value_with(json!({"calls": [call]}))))
}

#[track_caller]
fn connect(call: Value) -> Connect {
    match calls(call) {
        Delivery::Connect(connect) => connect,
        other => panic!("no connect: {other:?}"),
    }
}

#[track_caller]
fn ended(call: Value) -> Terminate {
    match calls(call) {
        Delivery::Terminate(terminate) => terminate,
        other => panic!("no terminate: {other:?}"),
    }
}

fn nino() -> Customer {
    Customer {
        phone: Some(Phone::parse("+995555010203").unwrap()),
        user_id: Some(USER.to_owned()),
        name: Some("Nino".to_owned()),
        username: Some("nino.k".to_owned()),
    }
}

fn at(secs: i64) -> Option<Timestamp> {
    Some(Timestamp::from_secs(secs))
}

fn number_id() -> NumberId {
    NumberId::parse("100000000000001").unwrap()
}

#[test]
fn a_callers_connect_is_read_whole() {
    let want = Connect {
        wacid: Wacid::parse(INBOUND).unwrap(),
        number_id: number_id(),
        direction: Direction::UserInitiated,
        customer: nino(),
        sdp: SDP.to_owned(),
        sdp_type: SdpType::Offer,
        at: at(1_795_000_000),
        cta_payload: Some("order-7781".to_owned()),
        deeplink_payload: Some("site-footer".to_owned()),
        callback_data: None,
    };
    assert_eq!(connect(inbound_connect()), want);
}

#[test]
fn the_answer_to_our_call_is_read_from_the_session_and_never_from_the_old_connection() {
    let got = connect(outbound_connect());
    assert_eq!((got.direction, got.sdp_type, got.sdp.as_str()), (Direction::BusinessInitiated, SdpType::Answer, SDP));
    assert_eq!((got.customer, got.callback_data.as_deref()), (nino(), Some("lead-42")));
    let only_old = with(outbound_connect(), json!({"session": null}));
    assert!(matches!(calls(only_old), Delivery::Bad { why: "it carries no session", .. }));
}

#[test]
fn the_direction_of_a_connect_is_trusted_and_otherwise_follows_from_the_session() {
    #[track_caller]
    fn check(direction: Value, sdp_type: Value, want: Option<(Direction, SdpType)>) {
        let mut call = inbound_connect();
        merge(&mut call, json!({ "direction": direction.clone() }));
        merge(&mut call["session"], json!({ "sdp_type": sdp_type.clone() }));
        let got = match calls(call) {
            Delivery::Connect(connect) => Some((connect.direction, connect.sdp_type)),
            Delivery::Bad { .. } => None,
            other => panic!("{other:?}"),
        };
        assert_eq!(got, want, "{direction} {sdp_type}");
    }
    use Direction::{BusinessInitiated, UserInitiated};
    check(json!("USER_INITIATED"), json!("offer"), Some((UserInitiated, SdpType::Offer)));
    check(json!("user_initiated"), json!("OFFER"), Some((UserInitiated, SdpType::Offer)));
    check(json!("BUSINESS_INITIATED"), Value::Null, Some((BusinessInitiated, SdpType::Answer)));
    check(Value::Null, json!("offer"), Some((UserInitiated, SdpType::Offer)));
    check(Value::Null, json!("answer"), Some((BusinessInitiated, SdpType::Answer)));
    check(json!("SIDEWAYS"), json!("answer"), Some((BusinessInitiated, SdpType::Answer)));
    check(Value::Null, Value::Null, None);
    check(json!("USER_INITIATED"), json!("pranswer"), None);
}

#[test]
fn the_customer_is_found_whichever_side_is_named_swapped_hidden_or_missing() {
    #[track_caller]
    fn check(call: Value, contacts: Value, phone: Option<&str>, user_id: Option<&str>, name: Option<&str>) {
        let value = value_with(json!({"calls": [call], "contacts": contacts}));
        let Delivery::Connect(got) = read_one(&envelope("calls", value)) else { panic!("no connect") };
        let c = &got.customer;
        assert_eq!(
            (c.phone.as_ref().map(Phone::wa_id), c.user_id.as_deref(), c.name.as_deref()),
            (phone, user_id, name)
        );
    }
    let nino = || json!([{"profile": {"name": "Nino"}, "wa_id": "995555010203"}]);
    let known = Some("995555010203");
    let no_user = json!({"from_user_id": null});
    let inbound = || with(inbound_connect(), no_user.clone());
    check(inbound(), nino(), known, None, Some("Nino"));
    // Swapped, as in samples of the documentation.
    check(with(inbound(), json!({"from": "995322000111", "to": "995555010203"})), nino(), known, None, Some("Nino"));
    check(
        with(outbound_connect(), json!({"from": "995555010203", "to": "995322000111", "to_user_id": null})),
        nino(),
        known,
        None,
        Some("Nino"),
    );
    // No contacts at all.
    check(inbound(), Value::Null, known, None, None);
    check(inbound(), json!([]), known, None, None);
    check(inbound(), json!("none"), known, None, None);
    // Hidden: absent or empty, known by user id only.
    for hidden in [Value::Null, json!("")] {
        let call = with(inbound_connect(), json!({ "from": hidden }));
        check(
            call.clone(),
            json!([{"profile": {"name": "Nino"}, "wa_id": "", "user_id": USER}]),
            None,
            Some(USER),
            Some("Nino"),
        );
        check(call.clone(), Value::Null, None, Some(USER), None);
        // The contact of a lone call may know more than the call.
        check(call, nino(), known, Some(USER), Some("Nino"));
    }
    // Our own number is never the customer.
    check(with(inbound(), json!({"from": "995322000111", "to": "995322000111"})), Value::Null, None, None, None);
    // Nothing at all: the contact must do, and without one the caller stays nameless.
    let nobody = with(inbound(), json!({"from": null}));
    check(nobody.clone(), nino(), known, None, Some("Nino"));
    check(nobody, Value::Null, None, None, None);
    // A contact that is somebody else lends no name.
    check(inbound(), json!([{"profile": {"name": "Otar"}, "wa_id": "995555999999"}]), known, None, None);
    check(inbound_connect(), json!([{"profile": {"name": "Otar"}, "user_id": "GE.2"}]), known, Some(USER), None);
    // Numbers as numbers.
    check(with(inbound(), json!({"from": 995_555_010_203_i64})), nino(), known, None, Some("Nino"));
}

#[test]
fn two_callers_in_one_delivery_keep_their_own_names() {
    let second = with(inbound_connect(), json!({"id": "wacid.SECOND", "from": "995555020304", "from_user_id": null}));
    let third = with(inbound_connect(), json!({"id": "wacid.THIRD", "from": null, "from_user_id": null}));
    let contacts =
        json!([{"profile": {"name": "Otar"}, "wa_id": "995555020304"}, {"profile": {"name": "Nino"}, "user_id": USER}]);
    let got = read(&envelope(
        "calls",
        value_with(json!({"calls": [inbound_connect(), second, third], "contacts": contacts})),
    ));
    let names: Vec<_> = got
        .iter()
        .map(|delivery| match delivery {
            Delivery::Connect(connect) => connect.customer.name.as_deref(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(names, [Some("Nino"), Some("Otar"), None]);
}

#[test]
fn statuses_of_calls_are_read_in_any_case_and_told_from_those_of_messages() {
    #[track_caller]
    fn check(changes: Value, want: Option<CallStatus>) {
        let status = with(ringing(), changes);
        match read_one(&envelope("calls", value_with(json!({"statuses": [status]})))) {
            Delivery::Status(got) => {
                assert_eq!(Some(got.status), want);
                assert_eq!(
                    (got.at, got.customer, got.callback_data.as_deref()),
                    (at(1_795_000_103), nino(), Some("lead-42"))
                );
                assert_eq!((got.wacid.as_str(), got.number_id), (OUTBOUND, number_id()));
            }
            Delivery::Unknown { .. } => assert_eq!(want, None),
            other => panic!("{other:?}"),
        }
    }
    check(json!({}), Some(CallStatus::Ringing));
    check(json!({"status": "Accepted"}), Some(CallStatus::Accepted));
    check(json!({"status": "rejected"}), Some(CallStatus::Rejected));
    check(json!({"type": null}), Some(CallStatus::Ringing));
    check(json!({"timestamp": 1_795_000_103}), Some(CallStatus::Ringing));
    check(json!({"status": "delivered", "type": "message"}), None);
    check(json!({"status": "ACCEPTED", "type": "message"}), None);
    check(json!({"status": "PONDERING"}), None);
    assert_eq!(
        read(&envelope("messages", value_with(json!({"statuses": [{"id": "wamid.1", "status": "delivered"}]})))),
        [Delivery::Unknown { field: "messages".to_owned(), event: "delivered".to_owned() }]
    );
}

#[test]
fn a_terminate_is_read_whole_and_its_errors_from_both_places_become_one() {
    let shared = json!([{"code": 138021, "message": "Media receive timeout", "error_data": {"details": "no media received by the client"}}]);
    let Delivery::Terminate(got) =
        read_one(&envelope("calls", value_with(json!({"calls": [terminate()], "errors": shared.clone()}))))
    else {
        panic!("no terminate")
    };
    let error = CallError {
        code: Some(138_021),
        title: Some("Media receive timeout".to_owned()),
        message: Some("Media receive timeout".to_owned()),
        details: Some("no media received by the client".to_owned()),
    };
    let want = Terminate {
        wacid: Wacid::parse(INBOUND).unwrap(),
        number_id: number_id(),
        direction: Some(Direction::UserInitiated),
        status: TerminateStatus::Failed,
        at: at(1_795_000_060),
        started_at: at(1_795_000_040),
        ended_at: at(1_795_000_060),
        duration_s: Some(20),
        errors: vec![error],
        customer: nino(),
        callback_data: Some("acc-9".to_owned()),
    };
    assert_eq!(got, want);
    assert!(got.was_answered() && got.code() == Some(138_021));
    // Only in one of the two places.
    let beside = with(terminate(), json!({"errors": null}));
    let Delivery::Terminate(got) =
        read_one(&envelope("calls", value_with(json!({"calls": [beside], "errors": shared}))))
    else {
        panic!("no terminate")
    };
    assert_eq!((got.code(), got.status), (Some(138_021), TerminateStatus::Failed));
    assert_eq!(ended(terminate()).errors.len(), 1);
}

#[test]
fn an_unanswered_call_completes_without_times() {
    for status in ["COMPLETED", "Completed", "completed"] {
        let unanswered =
            json!({"status": status, "start_time": null, "end_time": null, "duration": null, "errors": null});
        let got = ended(with(terminate(), unanswered));
        assert_eq!((got.status, got.was_answered(), got.code()), (TerminateStatus::Completed, false, None));
    }
    let got = ended(with(terminate(), json!({"status": "COMPLETED", "duration": "56", "errors": null})));
    assert_eq!((got.duration_s, got.was_answered()), (Some(56), true));
    assert_eq!(ended(with(terminate(), json!({"duration": -3}))).duration_s, None);
    assert_eq!(ended(with(terminate(), json!({"status": null}))).status, TerminateStatus::Failed, "it has errors");
    assert_eq!(ended(with(terminate(), json!({"status": null, "errors": null}))).status, TerminateStatus::Completed);
}

#[test]
fn a_terminate_without_a_direction_takes_it_from_the_numbers() {
    let undirected = |changes: Value| ended(with(with(terminate(), json!({"direction": null})), changes));
    assert_eq!(undirected(json!({})).direction, Some(Direction::UserInitiated));
    let outbound = undirected(json!({"from": "995322000111", "to": "995555010203"}));
    assert_eq!((outbound.direction, outbound.customer), (Some(Direction::BusinessInitiated), nino()));
    assert_eq!(undirected(json!({"from": null, "to": null})).direction, None);
}

#[test]
fn a_terminate_survives_being_kept_as_json() {
    for call in [
        terminate(),
        json!({"id": INBOUND, "event": "terminate"}),
        with(terminate(), json!({"timestamp": 253_402_300_799_i64})),
    ] {
        let original = ended(call);
        let kept = serde_json::to_value(&original).unwrap();
        assert_eq!(serde_json::from_value::<Terminate>(kept).unwrap(), original);
    }
}

#[test]
fn shared_errors_of_a_batch_go_to_the_failed_call_that_has_none_and_otherwise_stand_alone() {
    let shared = json!([{"code": 138020}]);
    let quiet = json!({"id": "wacid.QUIET", "event": "terminate", "status": "FAILED"});
    let fine = json!({"id": "wacid.FINE", "event": "terminate", "status": "COMPLETED"});
    let got = read(&envelope(
        "calls",
        value_with(json!({"calls": [terminate(), quiet, fine.clone()], "errors": shared.clone()})),
    ));
    let codes: Vec<_> =
        got.iter().map(|d| if let Delivery::Terminate(t) = d { t.code() } else { panic!("{d:?}") }).collect();
    assert_eq!(codes, [Some(138_021), Some(138_020), None]);

    let got = read(&envelope(
        "calls",
        value_with(json!({"calls": [inbound_connect()], "errors": [{"code": 131044, "title": "Payment"}]})),
    ));
    assert!(matches!(got[0], Delivery::Connect(_)), "{got:?}");
    let payment = CallError { code: Some(131_044), title: Some("Payment".to_owned()), ..CallError::default() };
    assert_eq!(got[1], Delivery::Errors { number_id: Some(number_id()), errors: vec![payment] });
    assert!(matches!(
        read_one(&envelope("calls", value_with(json!({"errors": [{"code": 131044}]})))),
        Delivery::Errors { .. }
    ));
}

#[test]
fn all_six_cases_of_a_permission_reply_are_told_apart() {
    #[track_caller]
    fn check(changes: Value, message: Value, want: (bool, bool, Option<i64>, ReplySource, Option<&str>)) {
        let message = with(reply(changes), message);
        let Delivery::PermissionReply(got) =
            read_one(&envelope("messages", value_with(json!({"messages": [message]}))))
        else {
            panic!("no reply")
        };
        let facts = (got.granted, got.permanent, got.expires_at, got.source, got.context_id.as_deref());
        assert_eq!(facts, (want.0, want.1, want.2.map(Timestamp::from_secs), want.3, want.4));
        assert_eq!(
            (got.number_id, got.customer, got.at, got.id.as_deref()),
            (number_id(), nino(), at(1_795_000_200), Some("wamid.REPLY1"))
        );
    }
    use ReplySource::{Automatic, UserAction};
    let request = Some("wamid.REQUEST1");
    let permanent = json!({"is_permanent": true, "expiration_timestamp": null});
    let refused = json!({"response": "reject", "is_permanent": null, "expiration_timestamp": null});
    check(json!({}), json!({}), (true, false, Some(1_795_604_800), UserAction, request));
    check(
        json!({"expiration_timestamp": 1_795_604_800}),
        json!({}),
        (true, false, Some(1_795_604_800), UserAction, request),
    );
    check(permanent.clone(), json!({}), (true, true, None, UserAction, request));
    check(permanent, json!({"context": null}), (true, true, None, UserAction, None));
    check(refused.clone(), json!({}), (false, false, None, UserAction, request));
    check(
        json!({"response_source": "automatic"}),
        json!({"context": {"id": INBOUND}}),
        (true, false, Some(1_795_604_800), Automatic, Some(INBOUND)),
    );
    check(
        with(refused, json!({"response_source": "automatic"})),
        json!({"context": null}),
        (false, false, None, Automatic, None),
    );
    check(json!({"response": "ACCEPT", "is_permanent": "true"}), json!({}), (true, true, None, UserAction, request));
}

#[test]
fn a_reply_that_says_nothing_or_names_nobody_is_bad() {
    let read_message =
        |message: Value| read_one(&envelope("messages", value_with(json!({"messages": [message], "contacts": null}))));
    assert!(matches!(read_message(reply(json!({"response": "maybe"}))), Delivery::Bad { .. }));
    assert!(matches!(
        read_message(with(reply(json!({})), json!({"from": "", "from_user_id": null}))),
        Delivery::Bad { .. }
    ));
}

#[test]
fn a_message_tells_who_wrote_when_and_nothing_of_what_was_written() {
    let message = |changes: Value| {
        let text = json!({"from": "995555010203", "id": "wamid.T", "timestamp": "1795000200", "type": "text", "text": {"body": "hi"}});
        read_one(&envelope("messages", value_with(json!({"messages": [with(text, changes)]}))))
    };
    for changes in [
        json!({}),
        json!({"type": "reaction", "text": null}),
        json!({"type": "unsupported", "errors": [{"code": 131_051}]}),
        json!({"type": "audio", "id": INBOUND}),
        json!({"type": "interactive", "interactive": {"type": "button_reply"}}),
        json!({"from": null, "from_user_id": USER}),
    ] {
        let Delivery::Message { number_id, customer, at } = message(changes.clone()) else { panic!("{changes}") };
        assert_eq!(number_id.as_str(), "100000000000001");
        assert_eq!(
            (customer.phone.as_ref().map(Phone::wa_id), customer.name.as_deref()),
            (Some("995555010203"), Some("Nino"))
        );
        assert_eq!(at, Some(Timestamp::from_secs(1_795_000_200)));
    }
    for kind in ["system", "request_welcome", ""] {
        let unknown = Delivery::Unknown { field: "messages".to_owned(), event: kind.to_owned() };
        assert_eq!(message(json!({ "type": kind })), unknown, "nobody wrote anything");
    }
    let nobody = json!({"from": "995322000111", "id": "wamid.T", "type": "text"});
    let alone = read_one(&envelope("messages", value_with(json!({"messages": [nobody], "contacts": null}))));
    assert!(matches!(alone, Delivery::Bad { .. }), "our own number is no customer: {alone:?}");
}

#[test]
fn everything_in_a_batch_is_read_and_one_bad_call_hides_no_other() {
    let no_id = with(inbound_connect(), json!({"id": null}));
    let no_sdp = with(inbound_connect(), json!({"session": {"sdp_type": "offer", "sdp": ""}}));
    let long_id = with(terminate(), json!({"id": "w".repeat(256)}));
    let body = json!({"object": "whatsapp_business_account", "surprise": {"a": [1]}, "entry": [
        {"id": "1", "changes": [
            {"field": "calls", "value": value_with(json!({
                "calls": [no_id, 7, inbound_connect(), null, no_sdp, long_id, "x", terminate(), {"id": INBOUND, "event": "call_created"}],
                "statuses": [{"status": "RINGING"}, ringing()]}))},
            {"field": "messages", "value": value_with(json!({"messages": [reply(json!({}))]}))}]},
        {"id": "2", "changes": "none"},
        null,
        {"id": "3", "changes": [
            {"field": "calls", "value": {"calls": [inbound_connect()]}},
            {"field": "account_update", "value": {"event": "ACCOUNT_RESTRICTION"}},
            {"field": "calls"}, 5]}]});
    let kinds: Vec<String> = read(&body)
        .iter()
        .map(|d| match d {
            Delivery::Bad { why, .. } => format!("bad: {why}"),
            Delivery::Unknown { field, event } => format!("unknown {field} {event}"),
            known => known.kind().to_owned(),
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "bad: it has no call id",
            "unknown calls ",
            "connect",
            "unknown calls ",
            "connect",
            "bad: its call id is too long or no plain text",
            "unknown calls ",
            "terminate",
            "unknown calls call_created",
            "bad: it has no call id",
            "status",
            "permission_reply",
            "bad: it names no phone_number_id",
            "unknown account_update account_restriction",
            "unknown calls ",
            "unknown  ",
        ]
    );
}

#[test]
fn escapes_as_meta_writes_them_and_a_name_cut_inside_an_emoji_do_no_harm() {
    let body = |name: &str| {
        format!(
            r#"{{"object":"whatsapp_business_account","entry":[{{"changes":[{{"field":"calls","value":{{"metadata":{{"phone_number_id":"100000000000001"}},"contacts":[{{"profile":{{"name":"{name}"}},"wa_id":"995555010203"}}],"calls":[{{"id":"wacid.A\/B=","event":"connect","from":"995555010203","session":{{"sdp_type":"offer","sdp":"v=0\r\na=x:\u002f\/\r\n"}}}}]}}}}]}}]}}"#
        )
    };
    for (written, want) in [
        (r"Nin\u00f3 \ud83d\ude00", Some("Ninó 😀")),
        (r"Nino \ud83d", Some("Nino \u{fffd}")),
        (r"\u202eoniN\u0000", Some("oniN")),
    ] {
        let deliveries = parse(body(written).as_bytes()).unwrap();
        let [Delivery::Connect(connect)] = deliveries.as_slice() else { panic!("{deliveries:?}") };
        assert_eq!(connect.customer.name.as_deref(), want);
        assert_eq!((connect.wacid.as_str(), connect.sdp.as_str()), ("wacid.A/B=", "v=0\r\na=x://\r\n"));
    }
}

#[test]
fn repeats_of_a_report_have_one_key_and_different_reports_have_different_ones() {
    let key = |body: &Value| read_one(body).dedup_key();
    let of_call = |call: Value| key(&envelope("calls", value_with(json!({"calls": [call]})))).unwrap();
    let of_status =
        |changes: Value| key(&envelope("calls", value_with(json!({"statuses": [with(ringing(), changes)]})))).unwrap();
    let of_reply = |message: Value| key(&envelope("messages", value_with(json!({"messages": [message]})))).unwrap();
    assert_eq!(
        of_call(inbound_connect()),
        of_call(with(inbound_connect(), json!({"timestamp": "1795000009", "new_field": 1})))
    );
    assert_eq!(of_status(json!({})), of_status(json!({"status": "ringing"})));
    assert_eq!(of_reply(reply(json!({}))), of_reply(with(reply(json!({})), json!({"timestamp": 1_795_000_200}))));
    let no_id = json!({"id": null});
    let keys = [
        of_call(inbound_connect()),
        of_call(outbound_connect()),
        of_call(terminate()),
        of_status(json!({})),
        of_status(json!({"status": "ACCEPTED"})),
        of_status(json!({"status": "REJECTED"})),
        of_status(json!({"id": "wacid.OTHER"})),
        of_reply(reply(json!({}))),
        of_reply(with(reply(json!({})), json!({"id": "wamid.REPLY2"}))),
        of_reply(with(reply(json!({})), no_id.clone())),
        of_reply(with(reply(json!({"response": "reject"})), no_id.clone())),
        of_reply(with(reply(json!({"is_permanent": true})), no_id)),
    ];
    assert_eq!(keys.iter().collect::<std::collections::HashSet<_>>().len(), keys.len(), "{keys:?}");
    assert_eq!(calls(json!({"id": INBOUND, "event": "call_created"})).dedup_key(), None);
}

#[test]
fn nothing_private_is_printed() {
    let values = [
        format!("{:?}", connect(inbound_connect())),
        format!("{:?}", ended(terminate())),
        format!("{:?}", read_one(&envelope("messages", value_with(json!({"messages": [reply(json!({}))]}))))),
    ];
    for text in values {
        for secret in ["995555010203", "Nino", "nino.k", USER, "o=- 1795000000000", "HBgMOTk1"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
    }
}
