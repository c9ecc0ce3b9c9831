//! Webhooks of the field `messages`: replies about permission, and what customers write.

use serde_json::{Map, Value, json};

use super::super::config::{BusinessNumber, Customer};
use super::super::faults::WebhookFaults;
use super::super::permission::Told;
use super::{contact, insert_phone, timestamp, value_head};

/// Who writes to whom, and when (Unix seconds).
pub(in super::super) struct MessageFacts<'a> {
    pub(in super::super) number: &'a BusinessNumber,
    pub(in super::super) customer: &'a Customer,
    pub(in super::super) now: u64,
}

/// A reply to a call permission request, a change in the profile, or something that WhatsApp did by itself.
pub(in super::super) fn permission_reply(facts: &MessageFacts<'_>, told: &Told, faults: &WebhookFaults) -> Value {
    let (reply, context_id) = told;
    let mut reply = reply.clone();
    if faults.number_expiration
        && let Some(end) = reply["expiration_timestamp"].as_str()
    {
        reply["expiration_timestamp"] = json!(end.parse::<u64>().unwrap_or_default());
    }
    let mut message = head(facts, &new_wamid(), "interactive", faults);
    if let Some(id) = context_id {
        message.insert("context".to_owned(), json!({"from": facts.number.display, "id": id}));
    }
    message.insert("interactive".to_owned(), json!({"type": "call_permission_reply", "call_permission_reply": reply}));
    value(facts, message, faults)
}

/// A customer writes.
pub(in super::super) fn text(facts: &MessageFacts<'_>, wamid: &str, text: &str, faults: &WebhookFaults) -> Value {
    let mut message = head(facts, wamid, "text", faults);
    message.insert("text".to_owned(), json!({"body": text}));
    value(facts, message, faults)
}

/// An id for a message.
pub(in super::super) fn new_wamid() -> String {
    format!("wamid.{:016X}", rand::random::<u64>())
}

fn head(facts: &MessageFacts<'_>, wamid: &str, kind: &str, faults: &WebhookFaults) -> Map<String, Value> {
    let mut message = Map::new();
    insert_phone(&mut message, "from", &facts.customer.phone, faults);
    message.insert("from_user_id".to_owned(), json!(facts.customer.user_id));
    message.insert("id".to_owned(), json!(wamid));
    message.insert("timestamp".to_owned(), json!(timestamp(facts.now, faults)));
    message.insert("type".to_owned(), json!(kind));
    message
}

fn value(facts: &MessageFacts<'_>, message: Map<String, Value>, faults: &WebhookFaults) -> Value {
    let mut value = value_head(facts.number);
    if !faults.no_contacts {
        value.insert("contacts".to_owned(), json!([contact(facts.customer, faults)]));
    }
    value.insert("messages".to_owned(), json!([message]));
    Value::Object(value)
}
