//! Offers of calls to agents.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::Caller;
use super::calls::sdp_answer;
use super::extract::{Id, Json, MaybeJson, NoBody, Sdp, written_text};
use super::openapi::Problems;
use super::problem::Problem;
use crate::call::Receipt;
use crate::call::record::CallRecord;
use crate::model::id::OfferId;
use crate::model::reason::{ReceiptKind, RingTrouble};

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(media)).routes(routes!(accept)).routes(routes!(reject)).routes(routes!(receipt))
}

/// Sets up the agent's media while it still rings
///
/// No audio flows before the offer is accepted, but the connection is ready by then. A later offer for
/// the same ring replaces the earlier one.
#[utoipa::path(post, path = "/v1/offers/{id}/media", tag = "offers", params(("id" = String, Path, example = "off_0191…")),
    request_body(content = String, content_type = "application/sdp", description = "The SDP offer"),
    responses((status = 201, description = "The SDP answer; `Location` names the leg", body = String, content_type = "application/sdp"), Problems))]
async fn media(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<OfferId>,
    Sdp(offer): Sdp,
) -> Result<Response, Problem> {
    caller.offer(&control, &id).await?;
    let (leg, answer) = control.switchboard.offer_media(caller.agent_id(), &id, &offer).await?;
    Ok(sdp_answer(&leg, answer))
}

/// Accepts an offer
///
/// Audio flows at once if the media is set up. 409 `offer_not_pending` if somebody else was faster, the
/// caller hung up or the ring timed out.
#[utoipa::path(post, path = "/v1/offers/{id}/accept", tag = "offers", params(("id" = String, Path)),
    responses((status = 200, description = "The call", body = CallRecord), Problems))]
async fn accept(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<OfferId>,
    _: NoBody,
) -> Result<Answer<CallRecord>, Problem> {
    caller.offer(&control, &id).await?;
    Ok(Answer(control.switchboard.accept_offer(caller.agent_id(), &id).await?))
}

/// What the customer is told.
#[derive(Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(example = json!({"message": "I am in a call and ring you back within the hour."}))]
struct RejectBody {
    /// Sent to the customer in WhatsApp, from the number that was called; at most 1024 characters.
    message: Option<String>,
}

/// More is a letter, and WhatsApp's own bound for words beside a button.
const MESSAGE_CHARS_MAX: usize = 1024;

/// Rejects an offer
///
/// It counts as missed by this agent, and the next candidate rings. With a `message` the customer also reads that in
/// WhatsApp: `message.sent` or `message.failed` tells how it went. 409 `request_blocked` with the blocker `window_closed`
/// where WhatsApp lets nobody write to the customer; nothing is rejected then.
#[utoipa::path(post, path = "/v1/offers/{id}/reject", tag = "offers", params(("id" = String, Path)),
    request_body = Option<RejectBody>,
    responses((status = 200, description = "The call", body = CallRecord), Problems))]
async fn reject(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<OfferId>,
    MaybeJson(body): MaybeJson<RejectBody>,
) -> Result<Answer<CallRecord>, Problem> {
    caller.offer(&control, &id).await?;
    let Some(message) = body.message else {
        return Ok(Answer(control.switchboard.reject_offer(caller.agent_id(), &id).await?));
    };
    let words = written_text("message", &message, MESSAGE_CHARS_MAX)?;
    Ok(Answer(control.switchboard.reject_offer_saying(caller.agent_id(), &id, words, caller.asker()).await?))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"kind": "shown"}))]
struct ReceiptBody {
    /// What the agent's client did with the offer.
    kind: ReceiptKind,
    /// What kept it from doing so in time, or at all; needed for `failed`.
    reason: Option<RingTrouble>,
}

/// Tells that an offer is on the screen, or rings aloud
///
/// Of a client that opened its events with `receipts=true` a `shown` or `audible` is awaited within a second; then the offer
/// ends with the cause `not_shown` and the next agent rings. A receipt that comes later, or says `failed`, tells why: it is
/// kept with the offer.
#[utoipa::path(post, path = "/v1/offers/{id}/receipts", tag = "offers", params(("id" = String, Path)),
    request_body = ReceiptBody,
    responses((status = 204, description = "Noted"), Problems))]
async fn receipt(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<OfferId>,
    Json(body): Json<ReceiptBody>,
) -> Result<StatusCode, Problem> {
    caller.offer(&control, &id).await?;
    let (kind, trouble) = (body.kind, body.reason);
    if kind == ReceiptKind::Failed && trouble.is_none() {
        return Err(Problem::field(
            "reason",
            "needed with `failed`: `tab_asleep`, `autoplay_blocked` or `socket_dead`",
        ));
    }
    control.switchboard.receipt(caller.agent_id(), &id, Receipt { kind, trouble }).await?;
    Ok(StatusCode::NO_CONTENT)
}
