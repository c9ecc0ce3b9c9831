//! What concerns a number rather than a call.

use serde_json::{Value, json};

use super::*;
use crate::model::reason::{RestrictionKind, ViolationKind};

fn update(changes: Value) -> Value {
    with(json!({"phone_number": "995322000111"}), changes)
}

fn restriction(kinds: &[&str]) -> Value {
    let list: Vec<_> =
        kinds.iter().map(|kind| json!({"restriction_type": kind, "expiration": 1_795_605_100})).collect();
    update(json!({"event": "ACCOUNT_RESTRICTION", "restriction_info": list}))
}

fn in_entry(field: &str, value: Value) -> Value {
    json!({"object": "whatsapp_business_account", "entry": [{"id": "2", "time": 1_795_000_300,
        "changes": [{"field": field, "value": value}]}]})
}

fn account(value: Value) -> AccountUpdate {
    match read_one(&in_entry("account_update", value)) {
        Delivery::AccountUpdate(update) => update,
        other => panic!("{other:?}"),
    }
}

#[test]
fn restrictions_are_read_in_both_spellings_of_business() {
    #[track_caller]
    fn check(meta: &str, kind: RestrictionKind) {
        let read = account(restriction(&[meta]));
        let want = Restricted { kind, expires_at: Some(Timestamp::from_secs(1_795_605_100)), remediation: None };
        assert_eq!((read.restrictions, read.violation), (vec![want], None), "{meta}");
        assert_eq!(read.phone.as_ref().map(Phone::wa_id), Some("995322000111"));
        assert_eq!((read.event.as_str(), read.at), ("account_restriction", Some(Timestamp::from_secs(1_795_000_300))));
    }
    check("RESTRICTED_BUSINESS_INITIATED_CALLING", RestrictionKind::Outbound);
    check("RESTRICTED_BIZ_INITIATED_CALLING", RestrictionKind::Outbound);
    check("RESTRICTED_USER_INITIATED_CALLING", RestrictionKind::Inbound);
    check("RESTRICTED_BIZ_INITIATED_AND_USER_INITIATED_CALLING", RestrictionKind::OutboundAndInbound);
    check("RESTRICTED_BUSINESS_INITIATED_AND_USER_INITIATED_CALLING", RestrictionKind::OutboundAndInbound);
    check("RESTRICTED_USER_INITIATED_CALLING_CALL_BUTTON_HIDDEN", RestrictionKind::ButtonsHidden);
}

#[test]
fn a_kind_we_do_not_know_is_counted_and_hides_no_other() {
    let body =
        in_entry("account_update", restriction(&["RESTRICTED_ADD_PHONE_NUMBER", "RESTRICTED_USER_INITIATED_CALLING"]));
    let read = read(&body);
    let unknown =
        Delivery::Unknown { field: "account_update".to_owned(), event: "restricted_add_phone_number".to_owned() };
    assert_eq!((read.len(), &read[0]), (2, &unknown));
    let Delivery::AccountUpdate(update) = &read[1] else { panic!("{read:?}") };
    assert_eq!(update.restrictions.len(), 1);
}

#[test]
fn warnings_are_read_and_those_of_other_products_are_not_ours() {
    #[track_caller]
    fn check(meta: &str, kind: ViolationKind) {
        let info = json!({"violation_type": meta, "remediation": "answer more calls"});
        let read = account(update(json!({"event": "ACCOUNT_VIOLATION", "violation_info": info})));
        assert_eq!(
            read.violation,
            Some(Violated { kind, remediation: Some("answer more calls".to_owned()) }),
            "{meta}"
        );
    }
    check("LOW_BUSINESS_INITIATED_CALLING_QUALITY", ViolationKind::OutboundQuality);
    check("LOW_BIZ_INITIATED_CALLING_QUALITY", ViolationKind::OutboundQuality);
    check("LOW_USER_INITIATED_CALLING_QUALITY", ViolationKind::InboundQuality);
    check("USER_INITIATED_CALLS_LOW_PICKUP_RATE", ViolationKind::InboundPickup);
    for other in [
        json!({"event": "ACCOUNT_VIOLATION", "violation_info": {"violation_type": "ADULT"}}),
        json!({"event": "VOLUME_BASED_PRICING_TIER_UPDATE", "pricing_category": "CALLING"}),
        json!({"event": "ACCOUNT_RESTRICTION", "restriction_info": "all"}),
        json!({"event": "ACCOUNT_RESTRICTION", "restriction_info": [], "violation_info": []}),
    ] {
        let read = read_one(&in_entry("account_update", update(other.clone())));
        assert!(matches!(read, Delivery::Unknown { .. }), "{other}: {read:?}");
    }
}

#[test]
fn a_restriction_may_lack_its_number_its_end_and_its_time() {
    let bare =
        json!({"restriction_info": [{"restriction_type": "RESTRICTED_USER_INITIATED_CALLING", "expiration": "never"}]});
    let Delivery::AccountUpdate(read) = read_one(&envelope("account_update", bare)) else { panic!("it restricts") };
    assert_eq!((read.phone, read.at, read.restrictions[0].expires_at), (None, None, None));
}

#[test]
fn a_repeated_report_is_told_from_a_new_one() {
    let key = |value: Value| read_one(&in_entry("account_update", value)).dedup_key();
    let outbound = || restriction(&["RESTRICTED_BUSINESS_INITIATED_CALLING"]);
    assert!(key(outbound()).is_some());
    assert_eq!(key(outbound()), key(outbound()));
    for other in [
        with(outbound(), json!({"timestamp": 1_795_000_301})),
        with(outbound(), json!({"phone_number": "995322000112"})),
        restriction(&["RESTRICTED_USER_INITIATED_CALLING"]),
        restriction(&["RESTRICTED_BUSINESS_INITIATED_CALLING", "RESTRICTED_USER_INITIATED_CALLING"]),
    ] {
        assert_ne!(key(other.clone()), key(outbound()), "{other}");
    }
    assert_eq!(read_one(&envelope("account_update", outbound())).dedup_key(), None, "without a time it cannot be told");
}

#[test]
fn changed_settings_are_read_with_their_number() {
    let value = |settings: Value| {
        json!({"messaging_product": "whatsapp", "timestamp": "1795000400",
        "type": "PHONE_NUMBER_SETTINGS", "phone_number_settings": settings})
    };
    let read = |settings: Value| read_one(&in_entry("account_settings_update", value(settings)));
    let calling = json!({"status": "DISABLED", "call_icon_visibility": "DISABLE_ALL", "sip": {"status": "DISABLED"}});
    let whole = read(json!({"phone_number_id": "100000000000001", "calling": calling}));
    let Delivery::SettingsUpdate(update) = whole else { panic!("{whole:?}") };
    assert_eq!((update.number_id.as_str(), update.at), ("100000000000001", Some(Timestamp::from_secs(1_795_000_400))));
    let want =
        MetaCalling { status: Some(false), call_icon_visibility: Some(Icons::DisableAll), ..MetaCalling::default() };
    assert_eq!(update.calling, want);

    assert!(matches!(read(json!({ "calling": calling })), Delivery::Bad { .. }));
    for nothing in [json!(null), json!({"phone_number_id": "1"}), json!({"phone_number_id": "1", "calling": "ENABLED"})]
    {
        let unknown = Delivery::Unknown {
            field: "account_settings_update".to_owned(),
            event: "phone_number_settings".to_owned(),
        };
        assert_eq!(read(nothing), unknown);
    }
}

#[test]
fn the_entries_of_a_webhook_tell_whose_the_numbers_are() {
    let whose = |body: &Value| {
        let owners = owners(body.to_string().as_bytes()).into_iter();
        owners.map(|(number, waba)| (number.to_string(), waba.to_string())).collect::<Vec<_>>()
    };
    let of = |id: Value, changes: Value| json!({"id": id, "changes": changes});
    let call =
        |number: &str| json!({"field": "calls", "value": {"metadata": {"phone_number_id": number}, "calls": []}});
    let settings =
        json!({"field": "account_settings_update", "value": {"phone_number_settings": {"phone_number_id": "3"}}});
    let body = json!({"entry": [
        of(json!("20"), json!([call("1"), call("1"), call("2")])), of(json!(21), json!([settings])), of(json!("20"), json!([call("2")])),
        of(json!("a/b"), json!([call("4")])), of(json!("22"), json!([{"field": "account_update", "value": {"event": "X"}}, 7]))]});
    let want = [("1", "20"), ("2", "20"), ("3", "21")].map(|(number, waba)| (number.to_owned(), waba.to_owned()));
    assert_eq!(whose(&body), want);
    for nothing in [json!({}), json!([]), json!({"entry": 7}), json!({"entry": [{"changes": [call("1")]}]})] {
        assert_eq!(whose(&nothing), [], "{nothing}");
    }
}
