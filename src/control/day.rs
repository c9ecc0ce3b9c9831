//! What an agent's day asks for: its figures, callers to ring back, permissions about to end.

use std::time::Duration;

use axum::Json as Answer;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::Caller;
use super::extract::{Id, Params};
use super::openapi::Problems;
use super::problem::Problem;
use crate::model::directory::{Contact, Permission};
use crate::model::id::AgentId;
use crate::model::time::Timestamp;
use crate::policy::access::{Action, Resource};
use crate::store::{Figures, MissedCaller};

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(day))
}

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Who called longer ago has found another way.
const TO_RETURN: Duration = Duration::from_secs(7 * 24 * 3600);
const ABOUT_TO_END: Duration = Duration::from_secs(48 * 3600);

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Since {
    /// Where the day began (RFC 3339); nothing: 24 hours ago.
    from: Option<Timestamp>,
}

/// An agent's day.
#[derive(Serialize, ToSchema)]
struct Day {
    from: Timestamp,
    figures: Figures,
    /// Callers of the last 7 days whom nobody has spoken to since, the latest first: those who rang at the agent, and
    /// those whose chat is the agent's.
    to_return: Vec<MissedCaller>,
    /// Permissions of the agent's chats that end within 48 hours, the next one first.
    expiring: Vec<Expiring>,
}

#[derive(Serialize, ToSchema)]
struct Expiring {
    permission: Permission,
    contact: Contact,
}

/// Reads an agent's day
///
/// Its figures since `from`, callers to ring back, permissions about to end.
#[utoipa::path(get, path = "/v1/agents/{id}/day", tag = "agents", params(("id" = String, Path, example = "agt_a"), Since),
    responses((status = 200, description = "The day", body = Day), Problems))]
async fn day(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<AgentId>,
    Params(query): Params<Since>,
) -> Result<Answer<Day>, Problem> {
    match caller.agent() {
        Some(_) => caller.may_for(Action::Listen, &id)?,
        None => caller.may(Action::Read, Resource::Calls)?,
    }
    control.store.agent(&id).await?.ok_or_else(Problem::not_found)?;
    let now = control.clock.now().wall;
    let from = query.from.unwrap_or_else(|| back(now, DAY));
    let figures = control.store.figures(&id, from).await?;
    let to_return = control.store.missed_callers(&id, back(now, TO_RETURN)).await?;
    let expiring = control.store.permissions_ending(&id, now, now.plus(ABOUT_TO_END)).await?;
    let expiring = expiring.into_iter().map(|(permission, contact)| Expiring { permission, contact }).collect();
    Ok(Answer(Day { from, figures, to_return, expiring }))
}

fn back(now: Timestamp, by: Duration) -> Timestamp {
    Timestamp::from_millis(now.as_millis() - i64::try_from(by.as_millis()).expect("days in milliseconds"))
}
