//! Asking customers for permission to call.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::Caller;
use super::extract::Json;
use super::named::Named;
use super::openapi::Problems;
use super::problem::Problem;
use crate::model::directory::{ContactRef, Permission};
use crate::model::id::NumberId;
use crate::model::reason::RequestKind;
use crate::policy::access::{Action, Resource};
use crate::signalling::whatsapp::RequestBody;
use crate::switchboard::AskPermission;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(ask))
}

/// Whom to ask, and in which words. What is permitted, and for how long, is the customer's choice.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"number_id": "100000000000001", "contact": "wa:995555010203", "kind": "free_form",
    "body": "May we call you about order 7781?"}))]
struct AskBody {
    #[schema(value_type = String)]
    number_id: NumberId,
    /// `con_…`, `wa:<digits>` or `user:<id>`.
    contact: String,
    /// `free_form` within 24 h of the customer's last message or call, `template` at any time.
    kind: RequestKind,
    /// Of a free-form request; nothing sends WhatsApp's own words alone.
    body: Option<String>,
    /// Of a template request.
    template: Option<Template>,
}

/// An approved template with a `call_permission_request` component.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Template {
    name: String,
    /// As WhatsApp writes it, such as `en` or `en_US`.
    language: String,
    /// Values of the template's placeholders, handed to WhatsApp as they are.
    #[serde(default)]
    #[schema(value_type = Vec<Object>)]
    components: Vec<serde_json::Value>,
}

/// WhatsApp's own bound of an interactive message's body.
const BODY_CHARS_MAX: usize = 1024;
const TEMPLATE_NAME_LEN_MAX: usize = 512;
const LANGUAGE_LEN_MAX: usize = 15;

/// Asks a customer for permission to call
///
/// The customer alone decides whether, and for how long. At most one request in 24 hours and two in 7 days to one customer,
/// free form and template together; a connected call starts the count anew.
#[utoipa::path(post, path = "/v1/permission-requests", tag = "permissions", request_body = AskBody,
    responses((status = 201, description = "Asked: the permission as it stands", body = Permission), Problems))]
async fn ask(
    State(control): State<Shared>,
    caller: Caller,
    Json(body): Json<AskBody>,
) -> Result<(StatusCode, Answer<Permission>), Problem> {
    if caller.agent().is_none() {
        caller.may(Action::Change, Resource::Permission)?;
    }
    let contact: ContactRef = body.contact.parse().map_err(|error| Problem::field("contact", error))?;
    if caller.agent().is_some() {
        let known = control.store.contact(&contact).await?.ok_or_else(Problem::not_found)?;
        caller.may(Action::Request, Resource::Chat { assignee: known.assignee_id.as_ref() })?;
    }
    let request = request_body(body.kind, body.body, body.template)?;
    let named = Named { number: body.number_id.clone(), contact: contact.clone(), agent: None };
    let wish = AskPermission { number_id: body.number_id, contact, by: caller.asker(), request };
    match control.switchboard.ask_permission(wish).await {
        Ok(permission) => Ok((StatusCode::CREATED, Answer(permission))),
        Err(refusal) => Err(named.explain(&control, &caller, refusal).await),
    }
}

fn request_body(kind: RequestKind, body: Option<String>, template: Option<Template>) -> Result<RequestBody, Problem> {
    match (kind, body, template) {
        (RequestKind::FreeForm, body, None) => {
            if body.as_ref().is_some_and(|text| text.trim().is_empty() || text.chars().count() > BODY_CHARS_MAX) {
                return Err(Problem::field("body", "1 to 1024 characters, or leave it out"));
            }
            Ok(RequestBody::FreeForm { body })
        }
        (RequestKind::FreeForm, _, Some(_)) => {
            Err(Problem::field("template", "belongs to kind `template`; a free-form request has a `body`"))
        }
        (RequestKind::Template, None, Some(template)) => {
            let fine = (1..=TEMPLATE_NAME_LEN_MAX).contains(&template.name.len())
                && template.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
            if !fine {
                return Err(Problem::field("template.name", "1 to 512 lower-case letters, digits and `_`"));
            }
            let fine = (2..=LANGUAGE_LEN_MAX).contains(&template.language.len())
                && template.language.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if !fine {
                return Err(Problem::field("template.language", "a language code such as `en` or `en_US`"));
            }
            let Template { name, language, components } = template;
            Ok(RequestBody::Template { name, language, components })
        }
        (RequestKind::Template, Some(_), _) => {
            Err(Problem::field("body", "belongs to kind `free_form`; a template has its words already"))
        }
        (RequestKind::Template, None, None) => Err(Problem::field("template", "needed: name and language")),
    }
}
