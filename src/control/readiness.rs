//! Whether an agent's client could take a call: what it says of itself, and what it finds that out with.

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
use super::extract::{Id, Json, NoBody, Sdp};
use super::openapi::Problems;
use super::problem::Problem;
use crate::model::id::AgentId;
use crate::model::readiness::{Checks, Readiness};
use crate::policy::access::Action;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(put)).routes(routes!(media)).routes(routes!(ring))
}

/// Whether the caller may speak for this agent's client, and there is such an agent.
pub(super) async fn own_line(control: &Shared, caller: &Caller, id: &AgentId) -> Result<(), Problem> {
    caller.may_for(Action::SetPresence, id)?;
    control.store.agent(id).await?.ok_or_else(Problem::not_found)?;
    Ok(())
}

#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"microphone": "passed", "speaker": "passed", "notifications": "passed", "sound": "passed",
    "media": "passed", "round_trip_ms": 12}))]
struct ReadinessBody {
    #[serde(flatten)]
    checks: Checks,
    /// Of sound to the gateway and back.
    round_trip_ms: Option<u32>,
}

/// Tells how ready an agent's client is
///
/// What the client found when it looked, to be told again every minute. It is shown with the agent, and logged as
/// `agent.readiness_changed` where it differs. Who is `online` is rung; but after `[agents] not_ready_after_ms` without
/// being ready calls pass the agent by until a report says `ready` again. `agent.passed_over` tells of both.
#[utoipa::path(put, path = "/v1/agents/{id}/readiness", tag = "agents",
    params(("id" = String, Path, example = "agt_a")), request_body = ReadinessBody,
    responses((status = 200, description = "Noted", body = Readiness), Problems))]
async fn put(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<AgentId>,
    Json(body): Json<ReadinessBody>,
) -> Result<Answer<Readiness>, Problem> {
    own_line(&control, &caller, &id).await?;
    Ok(Answer(control.switchboard.set_readiness(&id, body.checks, body.round_trip_ms).await?))
}

/// Sets up a leg that hears itself
///
/// Whatever the client sends comes back to it, by the way its calls will take, for some seconds. A second one
/// replaces the first.
#[utoipa::path(post, path = "/v1/agents/{id}/readiness/media", tag = "agents", params(("id" = String, Path, example = "agt_a")),
    request_body(content = String, content_type = "application/sdp", description = "The SDP offer"),
    responses((status = 201, description = "The SDP answer; `Location` names the leg", body = String, content_type = "application/sdp"), Problems))]
async fn media(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<AgentId>,
    Sdp(offer): Sdp,
) -> Result<Response, Problem> {
    own_line(&control, &caller, &id).await?;
    let (leg, answer) = control.switchboard.echo_media(&id, &offer).await?;
    Ok(sdp_answer(&leg, answer))
}

/// Rings an agent's client for a try
///
/// The event `agent.test_ring` takes the way of an offer; there is no call.
#[utoipa::path(post, path = "/v1/agents/{id}/readiness/ring", tag = "agents", params(("id" = String, Path, example = "agt_a")),
    responses((status = 202, description = "It rings"), Problems))]
async fn ring(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<AgentId>,
    _: NoBody,
) -> Result<StatusCode, Problem> {
    own_line(&control, &caller, &id).await?;
    control.switchboard.test_ring(&id).await?;
    Ok(StatusCode::ACCEPTED)
}
