//! Where the signed-in agent is signed in.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::header::USER_AGENT;
use axum::http::{HeaderMap, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::Caller;
use super::directory::Whole;
use super::extract::{Id, NoBody};
use super::openapi::Problems;
use super::problem::Problem;
use crate::model::id::AgentId;
use crate::model::time::Timestamp;
use crate::store::Device;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(end))
}

/// Browsers say more than anybody wants to know.
const CLIENT_LEN_MAX: usize = 300;

/// What a browser calls itself.
pub(crate) fn client(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(USER_AGENT)?.to_str().ok()?;
    Some(text.get(..CLIENT_LEN_MAX).unwrap_or(text)).filter(|text| !text.is_empty())
}

/// A browser that the caller is signed in with.
#[derive(Serialize, ToSchema)]
struct DeviceView {
    id: String,
    /// Its `User-Agent`.
    client: Option<String>,
    signed_in_at: Timestamp,
    /// Written down every ten minutes.
    used_at: Timestamp,
    /// Whether it is the one that asks.
    this: bool,
}

impl From<Device> for DeviceView {
    fn from(device: Device) -> Self {
        let Device { id, client, begun_at, used_at, is_this } = device;
        Self { id, client, signed_in_at: begun_at, used_at, this: is_this }
    }
}

/// Lists where the caller is signed in
///
/// Its browsers, last used first. Tokens are not among them.
#[utoipa::path(get, path = "/v1/session/devices", tag = "session",
    responses((status = 200, description = "The browsers", body = Whole<DeviceView>), Problems))]
async fn list(State(control): State<Shared>, caller: Caller) -> Result<Answer<Whole<DeviceView>>, Problem> {
    let devices = control.store.devices(person(&caller)?, caller.session(), control.clock.now().wall).await?;
    Ok(Answer(Whole::of(devices.into_iter().map(DeviceView::from).collect())))
}

/// Signs one of the caller's browsers out
///
/// Its open pages end at once.
#[utoipa::path(delete, path = "/v1/session/devices/{id}", tag = "session",
    params(("id" = String, Path, description = "As in the list")),
    responses((status = 204, description = "Signed out"), Problems))]
async fn end(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<String>,
    _: NoBody,
) -> Result<StatusCode, Problem> {
    let agent = person(&caller)?;
    if !control.store.end_device(agent, &id).await? {
        return Err(Problem::not_found());
    }
    // Its open pages look at their right to it again.
    control.switchboard.tell_of_agent(agent).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn person(caller: &Caller) -> Result<&AgentId, Problem> {
    caller.agent_id().ok_or_else(|| Problem::forbidden("An API key is not signed in anywhere."))
}
