//! Who the caller is, how a call would be routed, and the drain.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::agents::AgentView;
use super::auth::Caller;
use super::extract::{Json, NoBody};
use super::openapi::Problems;
use super::problem::Problem;
use crate::model::directory::ContactRef;
use crate::model::id::{AgentId, NumberId};
use crate::policy::TraceStep;
use crate::policy::access::{Action, Resource, Scope};

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(session)).routes(routes!(simulate)).routes(routes!(drain))
}

/// What kind of secret was sent.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ActorKind {
    Agent,
    Key,
}

/// Who the caller is.
#[derive(Serialize, ToSchema)]
struct Session {
    actor: ActorKind,
    /// The signed-in agent; `null` for a key.
    agent: Option<AgentView>,
    /// Of a key; an agent has none.
    scopes: Vec<Scope>,
    /// Whether the WhatsApp behind this gateway is the built-in fake one.
    sandbox: bool,
}

/// Tells who the caller is
#[utoipa::path(get, path = "/v1/session", tag = "session",
    responses((status = 200, description = "The caller", body = Session), Problems))]
async fn session(State(control): State<Shared>, caller: Caller) -> Answer<Session> {
    let agent = caller.agent().cloned().map(|agent| AgentView::of(&control, agent));
    let actor = if agent.is_some() { ActorKind::Agent } else { ActorKind::Key };
    Answer(Session { actor, agent, scopes: caller.scopes().to_vec(), sandbox: control.sandbox })
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"number_id": "100000000000001", "contact": "wa:995555010203"}))]
struct SimulateBody {
    #[schema(value_type = String)]
    number_id: NumberId,
    /// `con_…`, `wa:<digits>` or `user:<id>`.
    contact: String,
}

/// Who would ring, in this order.
#[derive(Serialize, ToSchema)]
struct Simulation {
    candidates: Vec<CandidateView>,
    trace: Vec<TraceStep>,
}

#[derive(Serialize, ToSchema)]
struct CandidateView {
    #[schema(value_type = String)]
    agent_id: AgentId,
    reason: String,
}

/// Shows who would ring if this customer called now
#[utoipa::path(post, path = "/v1/routing/simulate", tag = "routing", request_body = SimulateBody,
    responses((status = 200, description = "Candidates in order, with the reasons", body = Simulation), Problems))]
async fn simulate(
    State(control): State<Shared>,
    caller: Caller,
    Json(body): Json<SimulateBody>,
) -> Result<Answer<Simulation>, Problem> {
    caller.may(Action::Read, Resource::Settings)?;
    let who: ContactRef = body.contact.parse().map_err(|error| Problem::field("contact", error))?;
    let routing = control.switchboard.simulate_routing(&body.number_id, &who).await?;
    let candidates = routing
        .candidates
        .into_iter()
        .map(|candidate| CandidateView { agent_id: candidate.agent_id, reason: candidate.reason })
        .collect();
    Ok(Answer(Simulation { candidates, trace: routing.trace }))
}

/// How far the drain is.
#[derive(Serialize, ToSchema)]
struct Drain {
    draining: bool,
    /// Calls that are still running.
    active_calls: usize,
}

/// Drains the gateway
///
/// No new calls from now on; running ones end in peace. SIGTERM does the same.
#[utoipa::path(post, path = "/v1/admin/drain", tag = "admin",
    responses((status = 202, description = "Draining", body = Drain), Problems))]
async fn drain(
    State(control): State<Shared>,
    caller: Caller,
    _: NoBody,
) -> Result<(StatusCode, Answer<Drain>), Problem> {
    caller.may(Action::Change, Resource::Admin)?;
    control.switchboard.drain();
    let active_calls = control.switchboard.active_calls();
    Ok((StatusCode::ACCEPTED, Answer(Drain { draining: true, active_calls })))
}
