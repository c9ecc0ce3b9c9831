//! `POST /{number}/messages`: permission requests, call buttons, and plain words.

use serde_json::{Map, Value, json};

use super::super::Inner;
use super::super::config::BusinessNumber;
use super::super::payload::messages::new_wamid;
use super::super::permission::PermissionRequest;
use super::super::wire::GraphError;
use super::{refuse_unknown, text};

const BODY_LETTERS_MAX: usize = 1_024;
const BUTTON_LETTERS_MAX: usize = 20;
const BUTTON_PAYLOAD_LETTERS_MAX: usize = 512;
const BUTTON_MINUTES_MAX: u64 = 43_200;

/// What the business sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Text,
    FreeFormRequest,
    CallButton,
    /// The fake takes every template for a permission request.
    Template,
}

impl Inner {
    pub(super) fn take_message(&self, number: &BusinessNumber, body: &Value) -> Result<Value, GraphError> {
        let sort = check(body)?;
        let customer = self
            .customer_of(body["to"].as_str(), body["recipient"].as_str())
            .ok_or_else(|| GraphError::new(100, "to or recipient is missing, or names nobody"))?;
        let (permissions, now) = (&self.exchange.permissions, self.exchange.clock.now());
        let asks = matches!(sort, Sort::FreeFormRequest | Sort::Template);
        if asks {
            self.may_disturb(number)?;
        }
        if sort != Sort::Template {
            permissions.may_write(&number.id, &customer.phone, now)?;
        }
        let wamid = new_wamid();
        if asks {
            permissions.may_ask(&number.id, &customer.phone, now)?;
            let request = PermissionRequest {
                number_id: number.id.clone(),
                wamid: wamid.clone(),
                to: customer.phone.clone(),
                body: body.clone(),
            };
            permissions.note_request(request, now);
        }
        Ok(json!({
            "messaging_product": "whatsapp",
            "contacts": [{"input": customer.phone, "wa_id": customer.phone}],
            "messages": [{"id": wamid}]
        }))
    }
}

fn check(body: &Value) -> Result<Sort, GraphError> {
    let object = body.as_object().ok_or_else(|| refused("the body must be a JSON object"))?;
    let kind = text(body, "type")?;
    let common =
        ["messaging_product", "recipient_type", "to", "recipient", "type", "context", "biz_opaque_callback_data"];
    refuse_unknown(object, &[&common[..], &[kind.as_str()]].concat(), "")?;
    if body["messaging_product"] != "whatsapp" {
        return Err(refused("messaging_product must be whatsapp"));
    }
    if object.get("recipient_type").is_some_and(|kind| kind != "individual") {
        return Err(refused("recipient_type must be individual"));
    }
    let own = body[&kind].as_object().ok_or_else(|| refused(&format!("{kind} must be an object")))?;
    match kind.as_str() {
        "text" => {
            refuse_unknown(own, &["body", "preview_url"], "text")?;
            text(&body["text"], "body").map(|_| Sort::Text)
        }
        "template" => check_template(own),
        "interactive" => check_interactive(own),
        other => Err(refused(&format!("the type {other:?} is not known here: text, template or interactive"))),
    }
}

fn check_template(template: &Map<String, Value>) -> Result<Sort, GraphError> {
    refuse_unknown(template, &["name", "language", "components"], "template")?;
    let language = template.get("language").and_then(Value::as_object);
    let language = language.ok_or_else(|| refused("template.language must be an object"))?;
    refuse_unknown(language, &["code", "policy"], "language")?;
    let is_text = |value: Option<&Value>| value.and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    if !is_text(template.get("name")) || !is_text(language.get("code")) {
        return Err(refused("template.name and template.language.code must be strings"));
    }
    if template.get("components").is_some_and(|components| !components.is_array()) {
        return Err(refused("template.components must be a list"));
    }
    Ok(Sort::Template)
}

fn check_interactive(interactive: &Map<String, Value>) -> Result<Sort, GraphError> {
    let kind = interactive.get("type").and_then(Value::as_str).unwrap_or_default();
    // Neither kind has a header or a footer.
    refuse_unknown(interactive, &["type", "action", "body"], "interactive")?;
    let action = interactive.get("action").and_then(Value::as_object);
    let action = action.ok_or_else(|| refused("interactive.action must be an object"))?;
    if action.get("name").and_then(Value::as_str) != Some(kind) {
        return Err(refused("interactive.action.name must be the same as interactive.type"));
    }
    match kind {
        "call_permission_request" => {
            refuse_unknown(action, &["name"], "action")?;
            check_words(interactive.get("body"), false).map(|()| Sort::FreeFormRequest)
        }
        "voice_call" => {
            refuse_unknown(action, &["name", "parameters"], "action")?;
            check_words(interactive.get("body"), true)?;
            check_button(action.get("parameters")).map(|()| Sort::CallButton)
        }
        other => Err(refused(&format!("interactive.type {other:?} must be call_permission_request or voice_call"))),
    }
}

fn check_words(body: Option<&Value>, needed: bool) -> Result<(), GraphError> {
    let Some(body) = body else {
        return if needed { Err(refused("interactive.body is missing")) } else { Ok(()) };
    };
    let body = body.as_object().ok_or_else(|| refused("interactive.body must be an object"))?;
    refuse_unknown(body, &["text"], "body")?;
    let letters = body.get("text").and_then(Value::as_str).map_or(0, |text| text.chars().count());
    if !(1..=BODY_LETTERS_MAX).contains(&letters) {
        return Err(refused("interactive.body.text must be a string of 1 to 1024 letters"));
    }
    Ok(())
}

fn check_button(parameters: Option<&Value>) -> Result<(), GraphError> {
    let Some(parameters) = parameters else { return Ok(()) };
    let parameters = parameters.as_object().ok_or_else(|| refused("parameters must be an object"))?;
    refuse_unknown(parameters, &["display_text", "ttl_minutes", "payload"], "parameters")?;
    let too_long = |key: &str, most: usize| {
        parameters.get(key).is_some_and(|value| value.as_str().is_none_or(|text| text.chars().count() > most))
    };
    if too_long("display_text", BUTTON_LETTERS_MAX) || too_long("payload", BUTTON_PAYLOAD_LETTERS_MAX) {
        return Err(refused("display_text has at most 20 letters and payload at most 512"));
    }
    let minutes = parameters.get("ttl_minutes");
    if minutes.is_some_and(|value| value.as_u64().is_none_or(|n| !(1..=BUTTON_MINUTES_MAX).contains(&n))) {
        return Err(refused("ttl_minutes must be 1 to 43200"));
    }
    Ok(())
}

fn refused(details: &str) -> GraphError {
    GraphError::new(100, details)
}
