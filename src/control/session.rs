//! Who the caller is, how a call would be routed, and the drain.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::agents::AgentView;
use super::auth::Caller;
use super::extract::{Json, NoBody};
use super::named::Named;
use super::openapi::Problems;
use super::problem::Problem;
use super::{Control, Shared};
use crate::model::directory::ContactRef;
use crate::model::id::{AgentId, NumberId};
use crate::model::reason::EndReason;
use crate::model::time::Timestamp;
use crate::policy::TraceStep;
use crate::policy::access::{self, Action, Resource, Scope};
use crate::policy::pack::{Assigning, Grants, Sight};

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
pub(crate) struct Session {
    actor: ActorKind,
    /// The signed-in agent; `null` for a key.
    agent: Option<AgentView>,
    /// Of a key; an agent has none.
    scopes: Vec<Scope>,
    /// What the agent's role and switches come to; `null` for a key.
    grants: Option<GrantsView>,
    /// Whether the WhatsApp behind this gateway is the built-in fake one.
    sandbox: bool,
}

/// What an agent may beyond its own calls, so that a page shows what can be used and no more.
#[derive(Serialize, ToSchema)]
struct GrantsView {
    /// Whose calls it sees.
    calls: Sight,
    configure_calls: bool,
    wallet: bool,
    /// Whether it changes agents, teams and numbers, and invites agents.
    manage: bool,
    /// Whose customers it gives to whom.
    assign: Assigning,
}

impl From<Grants> for GrantsView {
    fn from(grants: Grants) -> Self {
        let Grants { calls, configure_calls, wallet, manage, assign } = grants;
        let assign = if manage { Assigning::All } else { assign };
        Self { calls, configure_calls, wallet, manage, assign }
    }
}

/// Tells who the caller is
#[utoipa::path(get, path = "/v1/session", tag = "session",
    responses((status = 200, description = "The caller", body = Session), Problems))]
async fn session(State(control): State<Shared>, caller: Caller) -> Result<Answer<Session>, Problem> {
    Ok(Answer(Session::of(&control, &caller).await?))
}

impl Session {
    pub(crate) async fn of(control: &Control, caller: &Caller) -> Result<Self, Problem> {
        let agent = match caller.agent() {
            Some(agent) => Some(AgentView::of(control, agent.clone()).await?),
            None => None,
        };
        let grants = caller.agent().map(|agent| access::grants(caller.rules(), agent).into());
        let actor = if agent.is_some() { ActorKind::Agent } else { ActorKind::Key };
        Ok(Self { actor, agent, scopes: caller.scopes().to_vec(), grants, sandbox: control.sandbox })
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"number_id": "100000000000001", "contact": "wa:995555010203", "at": "2026-12-24T18:30:00Z"}))]
struct SimulateBody {
    #[schema(value_type = String)]
    number_id: NumberId,
    /// `con_…`, `wa:<digits>` or `user:<id>`.
    contact: String,
    /// When the customer would call (RFC 3339); nothing: now. Who is online and free is taken as it is now.
    at: Option<Timestamp>,
}

/// Who would ring, in this order.
#[derive(Serialize, ToSchema)]
struct Simulation {
    /// The moment the answer is for.
    at: Timestamp,
    /// What would turn the call away then, before anybody rings: closed hours, calls switched
    /// off, or a plan or platform without calls.
    refused: Option<EndReason>,
    /// When it would be let in again, if only the hours stand against it.
    opens_at: Option<Timestamp>,
    /// Who would ring, in order, if it were not.
    candidates: Vec<CandidateView>,
    trace: Vec<TraceStep>,
}

#[derive(Serialize, ToSchema)]
struct CandidateView {
    #[schema(value_type = String)]
    agent_id: AgentId,
    reason: String,
}

/// Shows who would ring if this customer called
///
/// Nobody rings and nothing is stored or reserved. A `wa:` number or `user:` id that nobody has yet is a new caller. Of a
/// big team the candidates are the first few.
#[utoipa::path(post, path = "/v1/routing/simulate", tag = "routing", request_body = SimulateBody,
    responses((status = 200, description = "Candidates in order, with the reasons", body = Simulation), Problems))]
async fn simulate(
    State(control): State<Shared>,
    caller: Caller,
    Json(body): Json<SimulateBody>,
) -> Result<Answer<Simulation>, Problem> {
    caller.may(Action::Read, Resource::Settings)?;
    let who: ContactRef = body.contact.parse().map_err(|error| Problem::field("contact", error))?;
    let at = body.at.unwrap_or_else(|| control.clock.now().wall);
    let (closed, routing) = match control.switchboard.simulate_routing(&body.number_id, &who, at).await {
        Ok(told) => told,
        Err(refusal) => {
            let named = Named { number: body.number_id, contact: who, agent: None };
            return Err(named.explain(&control, &caller, refusal).await);
        }
    };
    let candidates = routing
        .candidates
        .into_iter()
        .map(|candidate| CandidateView { agent_id: candidate.agent_id, reason: candidate.reason })
        .collect();
    let (refused, opens_at) = (closed.map(|closed| closed.reason), closed.and_then(|closed| closed.opens_at));
    Ok(Answer(Simulation { at, refused, opens_at, candidates, trace: routing.trace }))
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
