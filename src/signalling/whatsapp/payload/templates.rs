//! The templates of a business account: the answer of `GET /{waba_id}/message_templates`. Source: Meta's pages "Template
//! management" and "Obtain user call permissions".

use serde_json::Value;

use crate::model::template::Template;

use super::field::{list, text};

/// One page of them.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct TemplatePage {
    /// Approved ones that ask for permission to call.
    pub(in super::super) templates: Vec<Template>,
    /// Where the next page begins.
    pub(in super::super) after: Option<String>,
}

/// `None`: not an answer to this question. A template that cannot be read is left out.
pub(in super::super) fn read_templates(body: &[u8]) -> Option<TemplatePage> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    answer.get("data")?.as_array()?;
    let templates = list(&answer, "data").iter().filter_map(read_template).collect();
    let paging = answer.get("paging");
    // Meta names a cursor on the last page too; only `next` says that there is one.
    let more = paging.is_some_and(|paging| paging.get("next").is_some());
    let after = paging.filter(|_| more).and_then(|paging| text(paging.get("cursors")?, "after"));
    Some(TemplatePage { templates, after })
}

fn read_template(template: &Value) -> Option<Template> {
    let is = |value: &Value, key: &str, word: &str| text(value, key).is_some_and(|has| has.eq_ignore_ascii_case(word));
    let components = list(template, "components");
    let asks = components.iter().any(|component| is(component, "type", "call_permission_request"));
    if !asks || !is(template, "status", "APPROVED") {
        return None;
    }
    let body = components.iter().find(|component| is(component, "type", "body"));
    let body = body.and_then(|body| text(body, "text")).unwrap_or_default();
    let places = places(&body);
    let named = places.iter().any(|place| place.parse::<u32>().is_err());
    Some(Template { name: text(template, "name")?, language: text(template, "language")?, places, named, body })
}

/// What stands in double braces, each once.
fn places(body: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for part in body.split("{{").skip(1) {
        let Some((place, _)) = part.split_once("}}") else { continue };
        let place = place.trim().to_owned();
        if !place.is_empty() && !found.contains(&place) {
            found.push(place);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(answer: &Value) -> Option<TemplatePage> {
        read_templates(answer.to_string().as_bytes())
    }

    #[test]
    fn only_approved_templates_that_ask_for_permission_are_told_with_what_is_to_be_filled_in() {
        let asks = json!({"type": "CALL_PERMISSION_REQUEST"});
        let template = |name: &str, status: &str, components: Value| json!({"name": name, "language": "en", "status": status, "components": components, "id": "1"});
        let body = |text: &str| json!({"type": "BODY", "text": text});
        let data = json!([
            template("may_we_call", "APPROVED", json!([body("May we call you?"), asks])),
            template("order", "APPROVED", json!([body("{{1}}, about {{2}} and {{ 1 }} {{"), asks])),
            template("named", "APPROVED", json!([{"type": "call_permission_request"}, body("Order {{order_id}}?")])),
            template("pending", "PENDING", json!([asks])),
            template("news", "APPROVED", json!([body("News!")])),
            {"language": "en", "status": "APPROVED", "components": [asks]},
            "nonsense",
        ]);
        let told = read(&json!({"data": data, "paging": {"cursors": {"after": "A"}}})).unwrap();
        let told: Vec<_> = told.templates.iter().map(|t| (t.name.as_str(), t.places.join(","), t.named)).collect();
        let want = [("may_we_call", "", false), ("order", "1,2", false), ("named", "order_id", true)];
        assert_eq!(told, want.map(|(name, places, named)| (name, places.to_owned(), named)));
    }

    #[test]
    fn the_next_page_is_named_only_where_there_is_one() {
        let after = |paging: Value| read(&json!({"data": [], "paging": paging})).unwrap().after;
        assert_eq!(after(json!({"cursors": {"after": "A"}, "next": "https://graph.example"})).as_deref(), Some("A"));
        assert_eq!(after(json!({"cursors": {"after": "A"}})), None);
        assert_eq!(after(Value::Null), None);
        for nothing in [json!({}), json!([]), json!({"data": {}}), json!("x")] {
            assert_eq!(read(&nothing), None, "{nothing}");
        }
    }
}
