//! Agents who leave.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::Caller;
use super::directory::Whole;
use super::extract::{Id, NoBody, Params};
use super::openapi::Problems;
use super::owners::somebody_remains;
use super::problem::Problem;
use crate::model::directory::FormerAgent;
use crate::model::id::AgentId;
use crate::policy::access::{Action, Resource};

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(leave)).routes(routes!(former))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Leave {
    /// The agent who gets its customers, as assignee and as owner; nothing: nobody does.
    #[param(value_type = Option<String>)]
    customers_to: Option<AgentId>,
}

/// Removes an agent
///
/// For somebody who left: nobody signs in as this agent, it is in no list and no call rings at it any more, and its
/// customers are handed over. Its calls, notes and recordings stay, under its name, and whoever saw them goes on seeing
/// them. While it is in a call it cannot be removed. `PUT` with the same id takes it back, without a password.
#[utoipa::path(delete, path = "/v1/agents/{id}", tag = "agents", params(("id" = String, Path, example = "agt_a"), Leave),
    responses((status = 204, description = "It is no agent any more"), Problems))]
async fn leave(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<AgentId>,
    Params(wish): Params<Leave>,
    _: NoBody,
) -> Result<StatusCode, Problem> {
    caller.may_for(Action::Invite, &id)?;
    if caller.agent_id() == Some(&id) {
        return Err(Problem::forbidden("You would remove yourself; let somebody else do it."));
    }
    control.store.agent(&id).await?.ok_or_else(Problem::not_found)?;
    if let Some(heir) = &wish.customers_to
        && (*heir == id || control.store.agent(heir).await?.is_none())
    {
        return Err(Problem::field("customers_to", format_args!("there is no other agent {heir}")));
    }
    let _guard = somebody_remains(&control, &caller, &id, None).await?;
    control.switchboard.remove_agent(&id, wish.customers_to.as_ref()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists those who were agents
///
/// For their names, which calls and notes go on bearing by id.
#[utoipa::path(get, path = "/v1/former-agents", tag = "agents",
    responses((status = 200, description = "Those who left", body = Whole<FormerAgent>), Problems))]
async fn former(State(control): State<Shared>, caller: Caller) -> Result<Answer<Whole<FormerAgent>>, Problem> {
    caller.may(Action::Read, Resource::Team)?;
    Ok(Answer(Whole::of(control.store.former_agents().await?)))
}
