//! Meta's door: the verification handshake and the deliveries.

use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{Params, WEBHOOK_BYTES_MAX, read_body};
use super::openapi::Problems;
use super::problem::{Code, Problem};
use super::{Control, Shared};
use crate::signalling::whatsapp::{SIGNATURE_HEADER, Webhook};

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(verify, deliver))
}

// Meta may add parameters, so unknown ones pass here.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct Verification {
    #[serde(rename = "hub.mode", default)]
    #[param(example = "subscribe")]
    mode: String,
    #[serde(rename = "hub.verify_token", default)]
    token: String,
    #[serde(rename = "hub.challenge", default)]
    challenge: String,
}

/// Answers Meta's verification
#[utoipa::path(get, path = "/webhooks/whatsapp", tag = "whatsapp", params(Verification), security(()),
    responses((status = 200, description = "The challenge", body = String, content_type = "text/plain"), Problems))]
async fn verify(State(control): State<Shared>, Params(asked): Params<Verification>) -> Result<Response, Problem> {
    // Plain text and nosniff (set on every answer): the challenge is never read as a page.
    match door(&control)?.challenge(&asked.mode, &asked.token, &asked.challenge) {
        Some(echo) => Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], echo).into_response()),
        None => Err(Problem::new(
            Code::InvalidVerifyToken,
            "hub.mode must be `subscribe` and hub.verify_token the one of this gateway's configuration.",
        )),
    }
}

/// Takes a delivery of Meta
///
/// The signature is checked over the raw bytes before anything reads them, and the body is stored before
/// the 200.
#[utoipa::path(post, path = "/webhooks/whatsapp", tag = "whatsapp", security(()),
    params(("X-Hub-Signature-256" = String, Header, example = "sha256=…")),
    request_body(content = Object, content_type = "application/json"),
    responses((status = 200, description = "Stored"), Problems))]
async fn deliver(State(control): State<Shared>, request: Request) -> Result<StatusCode, Problem> {
    let (parts, body) = request.into_parts();
    let door = door(&control)?;
    let body = read_body(body, WEBHOOK_BYTES_MAX).await?;
    let signatures = parts.headers.get_all(SIGNATURE_HEADER).iter().map(HeaderValue::as_bytes);
    if let Err(error) = door.verify(signatures, &body) {
        return Err(Problem::new(Code::InvalidSignature, error.to_string()));
    }
    control.switchboard.take_webhook(body.into()).await?;
    Ok(StatusCode::OK)
}

fn door(control: &Control) -> Result<&Webhook, Problem> {
    control.webhook.as_ref().ok_or_else(|| {
        Problem::new(Code::Unavailable, "Set whatsapp.app_secret_file and whatsapp.verify_token_file, then restart.")
    })
}
