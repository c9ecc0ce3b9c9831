//! `GET /{waba_id}/message_templates`: what the account's managers have had approved, a page of one at a time.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::wire::GraphError;

#[derive(Deserialize)]
pub(super) struct TemplatesQuery {
    status: Option<String>,
    after: Option<String>,
}

/// Whatever page is asked for, it has one template: a client must follow the pages.
pub(super) fn page(query: &TemplatesQuery) -> Result<Value, GraphError> {
    let status = query.status.as_deref();
    let all: Vec<Value> = all().into_iter().filter(|one| status.is_none_or(|status| one["status"] == status)).collect();
    let start = match query.after.as_deref().map(str::parse::<usize>) {
        None => 0,
        Some(Ok(index)) if index < all.len() => index,
        Some(_) => return Err(GraphError::new(100, "the cursor after is not one of this list's")),
    };
    let mut answer = json!({"data": [all[start]], "paging": {"cursors": {"after": (start + 1).to_string()}}});
    if start + 1 < all.len() {
        answer["paging"]["next"] = "https://graph.facebook.com/".into();
    }
    Ok(answer)
}

fn all() -> Vec<Value> {
    let template = |id: &str, name: &str, status: &str, text: &str, asks: bool| {
        let mut components = vec![json!({"type": "BODY", "text": text})];
        if asks {
            components.push(json!({"type": "CALL_PERMISSION_REQUEST"}));
        }
        json!({"id": id, "name": name, "language": "en", "status": status, "category": "UTILITY", "components": components})
    };
    vec![
        template("801", "may_we_call", "APPROVED", "May we call you about your request?", true),
        template("802", "newsletter", "APPROVED", "Here is what is new this month.", false),
        template("803", "call_about_order", "APPROVED", "Hello {{1}}, may we call you about order {{2}}?", true),
        template("804", "call_for_offer", "REJECTED", "Let us call you!", true),
    ]
}
