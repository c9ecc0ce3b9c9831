//! The JSON of webhooks.

pub(super) mod account;
pub(super) mod messages;

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::config::{BusinessNumber, Customer};
use super::faults::{HidePhone, WebhookFaults};

/// Who called whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The customer called.
    UserInitiated,
    /// The business called.
    BusinessInitiated,
}

impl Direction {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::UserInitiated => "USER_INITIATED",
            Self::BusinessInitiated => "BUSINESS_INITIATED",
        }
    }
}

/// What every webhook of a call repeats.
pub(super) struct CallFacts<'a> {
    pub(super) wacid: &'a str,
    pub(super) direction: Direction,
    pub(super) number: &'a BusinessNumber,
    pub(super) customer: &'a Customer,
    pub(super) callback_data: Option<String>,
    pub(super) cta_payload: Option<&'a str>,
    pub(super) deeplink_payload: Option<&'a str>,
    /// Unix seconds.
    pub(super) now: u64,
}

/// How a call ended, for `terminate`.
pub(super) struct Ending {
    pub(super) failed: bool,
    pub(super) started: Option<u64>,
    pub(super) ended: u64,
    pub(super) error: Option<u32>,
}

/// A change of `calls` with the SDP.
pub(super) fn connect(facts: &CallFacts<'_>, sdp: &str, faults: &WebhookFaults) -> Value {
    let sdp_type = match facts.direction {
        Direction::UserInitiated => "offer",
        Direction::BusinessInitiated => "answer",
    };
    let mut call = call_object(facts, "connect", faults);
    call.insert("session".to_owned(), json!({"sdp_type": sdp_type, "sdp": sdp}));
    if facts.direction == Direction::BusinessInitiated {
        // The old place of the SDP, JSON inside a string; to be ignored.
        let inner = json!({"sdp": sdp}).to_string();
        call.insert("connection".to_owned(), json!({"webrtc": {"sdp": inner}}));
    }
    value_with(facts, faults, "calls", vec![Value::Object(call)], None)
}

/// A change of `calls` that ends the call.
pub(super) fn terminate(facts: &CallFacts<'_>, ending: &Ending, faults: &WebhookFaults) -> Value {
    let mut call = call_object(facts, "terminate", faults);
    call.insert("status".to_owned(), json!(if ending.failed { "FAILED" } else { "COMPLETED" }));
    if let Some(started) = ending.started {
        call.insert("start_time".to_owned(), json!(started.to_string()));
        call.insert("end_time".to_owned(), json!(ending.ended.to_string()));
        call.insert("duration".to_owned(), json!(ending.ended.saturating_sub(started)));
    }
    let errors = ending.error.map(|code| {
        let (title, details) = ending_words(code);
        json!([{"code": code, "title": title, "message": title, "error_data": {"details": details}}])
    });
    if let Some(errors) = &errors {
        call.insert("errors".to_owned(), errors.clone());
    }
    value_with(facts, faults, "calls", vec![Value::Object(call)], errors)
}

/// RINGING, ACCEPTED or REJECTED of a business-initiated call.
pub(super) fn status(facts: &CallFacts<'_>, word: &str, faults: &WebhookFaults) -> Value {
    let mut status = Map::new();
    status.insert("id".to_owned(), json!(facts.wacid));
    status.insert("type".to_owned(), json!("call"));
    status.insert("status".to_owned(), json!(word));
    status.insert("timestamp".to_owned(), json!(timestamp(facts.now, faults)));
    insert_phone(&mut status, "recipient_id", &facts.customer.phone, faults);
    status.insert("recipient_user_id".to_owned(), json!(facts.customer.user_id));
    if let Some(tag) = &facts.callback_data {
        status.insert("biz_opaque_callback_data".to_owned(), json!(tag));
    }
    let mut value = value_head(facts.number);
    value.insert("statuses".to_owned(), json!([status]));
    Value::Object(value)
}

/// Puts changes into one POST body, one entry each. `now` is in Unix seconds.
pub(super) fn envelope(
    account_id: &str,
    changes: Vec<(&'static str, Value)>,
    now: u64,
    faults: &WebhookFaults,
) -> Value {
    let mut entries: Vec<Value> = Vec::new();
    for (field, value) in changes {
        // Only entries about the account have been seen with a time of their own.
        let time = (field == "account_update").then_some(now);
        let mut list = vec![json!({"field": field, "value": value})];
        if faults.unknown_events {
            list.insert(
                0,
                json!({"field": "calls", "value": {"messaging_product": "whatsapp", "calls": [
                {"id": "wacid.VU5LTk9XTg==", "event": "call_weather_changed", "timestamp": timestamp(now, faults)}]}}),
            );
            list.push(json!({"field": "flows_of_the_future", "value": {"anything": [1, {"deep": true}]}}));
        }
        let mut entry = json!({"id": account_id, "changes": list});
        if let Some(time) = time {
            entry["time"] = json!(time);
        }
        entries.push(entry);
    }
    let mut body = json!({"object": "whatsapp_business_account", "entry": entries});
    if faults.extra_fields {
        add_extra_fields(&mut body);
    }
    body
}

/// The bytes as Meta writes them: slashes and everything outside ASCII are escaped.
pub(super) fn meta_bytes(body: &Value) -> Vec<u8> {
    let mut text = String::new();
    for letter in body.to_string().chars() {
        match letter {
            // In JSON both occur only inside strings.
            '/' => text.push_str("\\/"),
            letter if letter.is_ascii() => text.push(letter),
            letter => {
                for unit in letter.encode_utf16(&mut [0; 2]) {
                    write!(text, "\\u{unit:04x}").expect("a String takes everything");
                }
            }
        }
    }
    text.into_bytes()
}

fn timestamp(now: u64, faults: &WebhookFaults) -> String {
    now.saturating_sub(faults.stale_by.as_secs()).to_string()
}

fn call_object(facts: &CallFacts<'_>, event: &str, faults: &WebhookFaults) -> Map<String, Value> {
    let mut call = Map::new();
    call.insert("id".to_owned(), json!(facts.wacid));
    match facts.direction {
        Direction::UserInitiated => {
            insert_phone(&mut call, "from", &facts.customer.phone, faults);
            call.insert("from_user_id".to_owned(), json!(facts.customer.user_id));
            call.insert("to".to_owned(), json!(facts.number.display));
        }
        Direction::BusinessInitiated => {
            call.insert("from".to_owned(), json!(facts.number.display));
            insert_phone(&mut call, "to", &facts.customer.phone, faults);
            call.insert("to_user_id".to_owned(), json!(facts.customer.user_id));
        }
    }
    call.insert("event".to_owned(), json!(event));
    call.insert("timestamp".to_owned(), json!(timestamp(facts.now, faults)));
    call.insert("direction".to_owned(), json!(facts.direction.word()));
    for (key, value) in [
        ("biz_opaque_callback_data", facts.callback_data.as_deref()),
        ("cta_payload", facts.cta_payload),
        ("deeplink_payload", facts.deeplink_payload),
    ] {
        if let Some(value) = value {
            call.insert(key.to_owned(), json!(value));
        }
    }
    call
}

fn value_with(
    facts: &CallFacts<'_>,
    faults: &WebhookFaults,
    key: &str,
    items: Vec<Value>,
    errors: Option<Value>,
) -> Value {
    let mut value = value_head(facts.number);
    if !faults.no_contacts {
        value.insert("contacts".to_owned(), json!([contact(facts.customer, faults)]));
    }
    value.insert(key.to_owned(), Value::Array(items));
    if let Some(errors) = errors {
        value.insert("errors".to_owned(), errors);
    }
    Value::Object(value)
}

fn value_head(number: &BusinessNumber) -> Map<String, Value> {
    let mut value = Map::new();
    value.insert("messaging_product".to_owned(), json!("whatsapp"));
    value.insert("metadata".to_owned(), json!({"display_phone_number": number.display, "phone_number_id": number.id}));
    value
}

fn contact(customer: &Customer, faults: &WebhookFaults) -> Value {
    let mut profile = Map::new();
    if let Some(name) = &customer.name {
        profile.insert("name".to_owned(), json!(name));
    }
    if let Some(username) = &customer.username {
        profile.insert("username".to_owned(), json!(username));
    }
    let mut contact = Map::new();
    contact.insert("profile".to_owned(), Value::Object(profile));
    insert_phone(&mut contact, "wa_id", &customer.phone, faults);
    contact.insert("user_id".to_owned(), json!(customer.user_id));
    Value::Object(contact)
}

fn insert_phone(object: &mut Map<String, Value>, key: &str, phone: &str, faults: &WebhookFaults) {
    match faults.hide_phone {
        HidePhone::No => object.insert(key.to_owned(), json!(phone)),
        HidePhone::Empty => object.insert(key.to_owned(), json!("")),
        HidePhone::Missing => None,
    };
}

fn add_extra_fields(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.values_mut().for_each(add_extra_fields);
            object.insert("x_added_later".to_owned(), json!({"since": 2027, "list": [null, "é"]}));
        }
        Value::Array(items) => items.iter_mut().for_each(add_extra_fields),
        _ => {}
    }
}

fn ending_words(code: u32) -> (&'static str, &'static str) {
    match code {
        138_019 => ("Call setup failure", "the client failed to set the call up"),
        138_020 => ("Relay not reachable", "the client could not reach the relay"),
        138_021 => ("Media receive timeout", "no media received by the client"),
        138_022 => ("Media send timeout", "no media sent by the client"),
        _ => ("Call failed", "the call failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_ascii_with_metas_escapes_and_mean_the_same() {
        let body = json!({"name": "ნინო 😀", "url": "a/b"});
        let bytes = meta_bytes(&body);
        let text = std::str::from_utf8(&bytes).expect("ASCII");
        assert!(text.is_ascii() && text.contains("a\\/b") && text.contains("\\ud83d\\ude00"), "{text}");
        assert_eq!(serde_json::from_slice::<Value>(&bytes).expect("JSON"), body);
    }
}
