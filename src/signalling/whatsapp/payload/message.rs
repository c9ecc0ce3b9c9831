//! What the messaging endpoint is told when a customer is asked for permission to be called, and what it answers.
//! Source: Meta's page "Obtain user call permissions".

use serde_json::{Value, json};

use crate::model::phone::Phone;

use super::Customer;
use super::field::{list, text};

/// How the customer is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum RequestBody {
    /// In words of the moment; only while the 24 h customer service window is open. Meta shows its own sentence when there
    /// is no `body`.
    FreeForm { body: Option<String> },
    /// By a template that Meta approved and that has a `call_permission_request` component. `components` are passed on as
    /// they are: they fill the template's placeholders.
    Template { name: String, language: String, components: Vec<Value> },
}

impl RequestBody {
    /// The body of `POST /{phone_number_id}/messages`.
    pub(in super::super) fn to_json(&self, to: &Customer) -> Vec<u8> {
        let mut message = addressed(to);
        match self {
            Self::FreeForm { body } => {
                message["type"] = "interactive".into();
                message["interactive"] =
                    json!({"type": "call_permission_request", "action": {"name": "call_permission_request"}});
                if let Some(body) = body {
                    message["interactive"]["body"] = json!({ "text": body });
                }
            }
            Self::Template { name, language, components } => {
                message["type"] = "template".into();
                message["template"] = json!({"name": name, "language": {"code": language}});
                if !components.is_empty() {
                    message["template"]["components"] = components.as_slice().into();
                }
            }
        }
        message.to_string().into_bytes()
    }
}

/// Plain words to the customer, as the body of `POST /{phone_number_id}/messages`. Source: Meta's page "Text messages".
pub(in super::super) fn words_to_json(words: &str, to: &Customer) -> Vec<u8> {
    let mut message = addressed(to);
    message["type"] = "text".into();
    message["text"] = json!({"preview_url": false, "body": words});
    message.to_string().into_bytes()
}

fn addressed(to: &Customer) -> Value {
    let mut message = json!({"messaging_product": "whatsapp", "recipient_type": "individual"});
    // With both, Meta goes by `to`.
    if let Some(phone) = &to.phone {
        message["to"] = Phone::wa_id(phone).into();
    } else if let Some(user_id) = &to.user_id {
        message["recipient"] = user_id.as_str().into();
    }
    message
}

/// The id (`wamid.…`) of the message that was sent.
pub(in super::super) fn read_message_id(body: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    list(&answer, "messages").iter().find_map(|message| text(message, "id").filter(|id| id.len() <= 512))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_carries_its_documented_fields_and_no_other() {
        #[track_caller]
        fn check(request: &RequestBody, to: &Customer, want: &Value) {
            assert_eq!(serde_json::from_slice::<Value>(&request.to_json(to)).unwrap(), *want);
        }
        let nino = Customer { phone: Some(Phone::parse("995555010203").unwrap()), ..Customer::default() };
        let hidden = Customer { user_id: Some("GE.1".to_owned()), ..Customer::default() };
        let both = Customer { user_id: Some("GE.1".to_owned()), ..nino.clone() };
        let free = |body: Option<&str>| RequestBody::FreeForm { body: body.map(str::to_owned) };
        let asked = json!({"messaging_product": "whatsapp", "recipient_type": "individual", "to": "995555010203",
            "type": "interactive", "interactive": {"type": "call_permission_request",
            "action": {"name": "call_permission_request"}, "body": {"text": "May we call you about order 7781?"}}});
        check(&free(Some("May we call you about order 7781?")), &nino, &asked);
        check(&free(Some("May we call you about order 7781?")), &both, &asked);
        check(
            &free(None),
            &hidden,
            &json!({"messaging_product": "whatsapp", "recipient_type": "individual", "recipient": "GE.1",
                "type": "interactive", "interactive": {"type": "call_permission_request",
                "action": {"name": "call_permission_request"}}}),
        );
        let parameters = json!({"type": "body", "parameters": [{"type": "text", "text": "7781"}]});
        let template = |components: Vec<Value>| RequestBody::Template {
            name: "may_we_call".to_owned(),
            language: "en".to_owned(),
            components,
        };
        check(
            &template(vec![parameters.clone()]),
            &nino,
            &json!({"messaging_product": "whatsapp", "recipient_type": "individual", "to": "995555010203", "type": "template",
                "template": {"name": "may_we_call", "language": {"code": "en"}, "components": [parameters]}}),
        );
        check(
            &template(Vec::new()),
            &nino,
            &json!({"messaging_product": "whatsapp", "recipient_type": "individual", "to": "995555010203", "type": "template",
                "template": {"name": "may_we_call", "language": {"code": "en"}}}),
        );
    }

    #[test]
    fn plain_words_are_sent_as_they_are_and_bring_no_picture_of_a_link() {
        let hidden = Customer { user_id: Some("GE.1".to_owned()), ..Customer::default() };
        let want = json!({"messaging_product": "whatsapp", "recipient_type": "individual", "recipient": "GE.1",
            "type": "text", "text": {"preview_url": false, "body": "*Back* at 5: https://example.com"}});
        let sent = words_to_json("*Back* at 5: https://example.com", &hidden);
        assert_eq!(serde_json::from_slice::<Value>(&sent).unwrap(), want);
    }

    #[test]
    fn the_id_of_the_message_is_found() {
        let id = |body: &str| read_message_id(body.as_bytes());
        let answer = r#"{"messaging_product":"whatsapp","contacts":[{"input":"+995","wa_id":"995"}],"messages":[{"id":"wamid.A="}]}"#;
        assert_eq!(id(answer).as_deref(), Some("wamid.A="));
        for nothing in ["", "{}", r#"{"messages":[]}"#, r#"{"messages":[{"id":""}]}"#, r#"{"messages":{"id":"x"}}"#] {
            assert_eq!(id(nothing), None, "{nothing}");
        }
    }
}
