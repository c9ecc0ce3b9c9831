//! The time an agent has for writing up a call.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::Caller;
use super::extract::{Id, NoBody};
use super::openapi::Problems;
use super::problem::Problem;
use super::readiness::own_line;
use crate::model::id::AgentId;
use crate::model::time::Timestamp;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(wrap_up, end_wrap_up))
}

/// An agent's wrap-up.
#[derive(Serialize, ToSchema)]
struct WrapUp {
    /// Until when the agent is busy with writing up the last call; `null`: it is not.
    until: Option<Timestamp>,
}

/// Tells until when an agent writes up the last call
///
/// No calls are offered to the agent so long; how long that is, the policy pack says.
#[utoipa::path(get, path = "/v1/agents/{id}/wrap-up", tag = "agents", params(("id" = String, Path, example = "agt_a")),
    responses((status = 200, description = "The wrap-up", body = WrapUp), Problems))]
async fn wrap_up(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<AgentId>,
) -> Result<Answer<WrapUp>, Problem> {
    own_line(&control, &caller, &id).await?;
    Ok(Answer(WrapUp { until: control.switchboard.wrap_up_until(&id).await? }))
}

/// Ends an agent's wrap-up
///
/// The last call is written up; the next one may be offered at once.
#[utoipa::path(delete, path = "/v1/agents/{id}/wrap-up", tag = "agents", params(("id" = String, Path, example = "agt_a")),
    responses((status = 204, description = "Ended"), Problems))]
async fn end_wrap_up(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<AgentId>,
    _: NoBody,
) -> Result<StatusCode, Problem> {
    own_line(&control, &caller, &id).await?;
    control.switchboard.end_wrap_up(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}
