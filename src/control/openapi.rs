//! The contract, generated from the routes themselves, and people's view of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::routing::get;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi as Document, Ref, RefOr, Response, ResponseBuilder, ResponsesBuilder};
use utoipa::{IntoResponses, Modify};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::problem::{PROBLEM_JSON, ProblemBody};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Tandem",
        description = "Control API of a self-hosted gateway for WhatsApp Business calls.\n\n\
            Every request under `/v1` carries `Authorization: Bearer <API key or agent token>`. Refusals are \
            `application/problem+json` (RFC 9457). Every POST takes an `Idempotency-Key`: the same key with the \
            same body is done once within 24 h, and the second answer says `Idempotent-Replayed: true`. Times are \
            RFC 3339 in UTC, durations milliseconds, phone numbers E.164."
    ),
    components(schemas(ProblemBody<'static>)),
    modifiers(&Bearer),
    security(("bearer" = [])),
    tags(
        (name = "calls", description = "Placing, listing, commanding and reading calls"),
        (name = "notes", description = "What people write about calls and customers"),
        (name = "offers", description = "A call rings at an agent"),
        (name = "agents", description = "Who answers and calls"),
        (name = "contacts", description = "Customers, and whether they may be called"),
        (name = "permissions", description = "What customers permit, and asking them"),
        (name = "wallet", description = "The ledger and the price list"),
        (name = "policy", description = "The rules in force"),
        (name = "numbers", description = "Business numbers"),
        (name = "teams", description = "Teams of agents"),
        (name = "events", description = "The durable event log"),
        (name = "wallet", description = "Money, and what calls cost"),
        (name = "routing", description = "Who would ring"),
        (name = "session", description = "The caller itself"),
        (name = "admin", description = "Running the gateway"),
        (name = "whatsapp", description = "Meta's door"),
        (name = "health", description = "For load balancers"),
    )
)]
pub(crate) struct Contract;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut Document) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An API key (`tk_…`) or an agent's token (`ta_…`)"))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// The whole document: the head above, every route's own part, and names for generated clients.
pub(crate) fn complete(mut document: Document, api: Document) -> Document {
    document.merge(api);
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in [
            ("get", &mut item.get),
            ("put", &mut item.put),
            ("post", &mut item.post),
            ("delete", &mut item.delete),
            ("patch", &mut item.patch),
        ] {
            if let Some(operation) = operation {
                operation.operation_id = Some(operation_id(method, path));
            }
        }
    }
    document
}

/// `POST /v1/calls/{id}/hangup` is `post_calls_id_hangup`: unique because method and path are.
fn operation_id(method: &str, path: &str) -> String {
    let words = path.trim_start_matches("/v1").split(|c: char| !c.is_ascii_alphanumeric());
    words.filter(|word| !word.is_empty()).fold(method.to_owned(), |id, word| id + "_" + word)
}

/// Every route can refuse; every refusal has the same shape.
pub(crate) struct Problems;

impl IntoResponses for Problems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        let refused = ResponseBuilder::new()
            .description("Refused; `code` says why, `detail` what to do")
            .content(PROBLEM_JSON, content)
            .build();
        ResponsesBuilder::new().response("default", refused).build().into()
    }
}

/// `/openapi.json` and `/docs`; both open to all, for they hold nothing secret, and both work offline.
pub(crate) fn routes(document: &Document) -> Router {
    let json: Arc<str> = document.to_pretty_json().expect("the document is plain data").into();
    let serve = move || {
        let json = Arc::clone(&json);
        async move { ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")], json.to_string()) }
    };
    let page = SwaggerUi::new("/docs").config(Config::new(["/openapi.json"]).persist_authorization(false));
    Router::new().route("/openapi.json", get(serve)).merge(page)
}
