//! Agents: who they are, whether they take calls, and the tokens of their browsers.

use std::collections::HashMap;
use std::time::Duration;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::{Caller, nobody};
use super::directory::{Whole, put_status};
use super::extract::{Id, Json, MaybeJson, NAME_CHARS_MAX, NewId, nullable, plain_text};
use super::openapi::Problems;
use super::owners::somebody_remains;
use super::problem::Problem;
use super::{Control, Shared};
use crate::model::directory::{Agent, Switches};
use crate::model::id::{AgentId, TeamId};
use crate::model::readiness::{PassedOver, Readiness};
use crate::model::reason::{Presence, Role};
use crate::model::time::Timestamp;
use crate::policy::access::{Action, Resource};
use crate::store::WayIn;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(read, put))
        .routes(routes!(put_status_of))
        .routes(routes!(create_token))
}

/// An agent and what it is doing.
#[derive(Serialize, ToSchema)]
pub(crate) struct AgentView {
    #[serde(flatten)]
    agent: Agent,
    /// Calls it rings, dials or talks on.
    active_calls: u32,
    /// What its client last said of itself; `null` while none has.
    readiness: Option<Readiness>,
    /// Why calls pass it by although it is online; `null` while they do not.
    passed_over: Option<PassedOver>,
    /// Until when it is busy with writing up its last call, and not rung; `null` while it is not.
    wrap_up_until: Option<Timestamp>,
    /// How it comes in, in the lists of those who may invite it.
    #[serde(skip_serializing_if = "Option::is_none")]
    sign_in: Option<SignInView>,
}

/// How an agent comes in.
#[derive(Serialize, ToSchema)]
struct SignInView {
    /// When it chose its password; `null`: it has none, and nobody can sign in as this agent.
    password_at: Option<Timestamp>,
    /// When the link it was given ends; `null`: there is none that is good.
    invited_until: Option<Timestamp>,
    /// When a browser of its own last asked for something, to ten minutes; `null`: it is signed in nowhere.
    seen_at: Option<Timestamp>,
}

impl AgentView {
    pub(crate) async fn of(control: &Control, agent: Agent) -> Result<Self, Problem> {
        let wrap_up_until = control.switchboard.wrap_up_until(&agent.id).await?;
        Ok(Self::busy(control, agent, wrap_up_until))
    }

    fn busy(control: &Control, agent: Agent, wrap_up_until: Option<Timestamp>) -> Self {
        let active_calls = control.switchboard.active_calls_of(&agent.id);
        let readiness = control.switchboard.readiness(&agent.id);
        let passed_over = control.switchboard.passed_over(&agent.id);
        Self { agent, active_calls, readiness, passed_over, wrap_up_until, sign_in: None }
    }

    fn coming_in(mut self, way: Option<&WayIn>) -> Self {
        self.sign_in = way.map(|way| {
            let WayIn { password_at, invited_until, seen_at } = *way;
            SignInView { password_at, invited_until, seen_at }
        });
        self
    }
}

/// Lists the agents
///
/// Those the caller may see.
#[utoipa::path(get, path = "/v1/agents", tag = "agents",
    responses((status = 200, description = "The agents", body = Whole<AgentView>), Problems))]
async fn list(State(control): State<Shared>, caller: Caller) -> Result<Answer<Whole<AgentView>>, Problem> {
    if caller.agent().is_none() {
        caller.may(Action::Read, Resource::Agent(&nobody()))?;
    }
    let agents = control.store.agents().await?.into_iter();
    let visible = agents.filter(|agent| caller.can(Action::Read, Resource::Agent(&agent.id)));
    let ways = match caller.can(Action::Invite, Resource::Agent(&nobody())) {
        true => control.store.ways_in(None, control.clock.now().wall).await?,
        false => HashMap::new(),
    };
    let wrap_ups = control.switchboard.wrap_ups().await?;
    let view = |agent: Agent| {
        let (way, wrap_up_until) = (ways.get(&agent.id), wrap_ups.get(&agent.id).copied());
        AgentView::busy(&control, agent, wrap_up_until).coming_in(way)
    };
    Ok(Answer(Whole::of(visible.map(view).collect())))
}

/// Reads an agent
#[utoipa::path(get, path = "/v1/agents/{id}", tag = "agents", params(("id" = String, Path, example = "agt_a")),
    responses((status = 200, description = "The agent", body = AgentView), Problems))]
async fn read(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<AgentId>,
) -> Result<Answer<AgentView>, Problem> {
    caller.may_for(Action::Read, &id)?;
    let agent = control.store.agent(&id).await?.ok_or_else(Problem::not_found)?;
    let ways = match caller.can(Action::Invite, Resource::Agent(&id)) {
        true => control.store.ways_in(Some(&id), control.clock.now().wall).await?,
        false => HashMap::new(),
    };
    Ok(Answer(AgentView::of(&control, agent).await?.coming_in(ways.get(&id))))
}

/// Who an agent is. Fields left out keep their value.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Ana", "email": "ana@example.com", "role": "teammate", "team_id": "team_sales",
    "excluded": false, "switches": {"configure_calls": false, "all_calls": true}}))]
struct AgentBody {
    /// Needed for a new agent.
    name: Option<String>,
    /// `null` clears it.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    email: Option<Option<String>>,
    /// Needed for a new agent.
    role: Option<Role>,
    /// `null` clears it.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>)]
    team_id: Option<Option<TeamId>>,
    /// Never rung by round robin.
    excluded: Option<bool>,
    /// `configure_calls`: “Allow access to configure WhatsApp Call settings”; `all_calls`: “Allow access to Call
    /// Management section (All calls)”.
    switches: Option<Switches>,
}

/// RFC 5321 section 4.5.3.1 allows no longer path.
const EMAIL_LEN_MAX: usize = 254;

/// Creates or changes an agent
#[utoipa::path(put, path = "/v1/agents/{id}", tag = "agents",
    params(("id" = String, Path, description = "Chosen by you, kept as given", example = "agt_a")),
    request_body = AgentBody,
    responses((status = 200, description = "Changed", body = AgentView), (status = 201, description = "Created", body = AgentView), Problems))]
async fn put(
    State(control): State<Shared>,
    caller: Caller,
    NewId(id): NewId<AgentId>,
    Json(body): Json<AgentBody>,
) -> Result<(StatusCode, Answer<AgentView>), Problem> {
    caller.may_for(Action::Change, &id)?;
    let old = control.store.agent(&id).await?;
    let name = match (body.name, &old) {
        (Some(name), _) => plain_text("name", &name, NAME_CHARS_MAX)?,
        (None, Some(old)) => old.name.clone(),
        (None, None) => return Err(Problem::field("name", "needed for a new agent")),
    };
    let role = body
        .role
        .or_else(|| old.as_ref().map(|old| old.role))
        .ok_or_else(|| Problem::field("role", "needed for a new agent"))?;
    let email = match body.email {
        Some(Some(email)) => Some(own_address(&control, &id, &email).await?),
        Some(None) => None,
        None => old.as_ref().and_then(|old| old.email.clone()),
    };
    let team_id = match body.team_id {
        Some(Some(team)) => Some(existing_team(&control, team).await?),
        Some(None) => None,
        None => old.as_ref().and_then(|old| old.team_id.clone()),
    };
    let agent = Agent {
        id,
        name,
        email,
        role,
        team_id,
        excluded: body.excluded.or_else(|| old.as_ref().map(|old| old.excluded)).unwrap_or(false),
        switches: body.switches.or_else(|| old.as_ref().map(|old| old.switches)).unwrap_or_default(),
        status: old.as_ref().map_or(Presence::Offline, |old| old.status),
    };
    let _guard = somebody_remains(&control, &caller, &agent.id, Some(&agent)).await?;
    let agent = control.switchboard.put_agent(&agent).await?;
    Ok((put_status(old.is_some()), Answer(AgentView::of(&control, agent).await?)))
}

/// Two agents with one address could both not sign in with it.
async fn own_address(control: &Control, id: &AgentId, text: &str) -> Result<String, Problem> {
    let address = email_address(text)?;
    let has = |agent: &Agent| agent.email.as_ref().is_some_and(|theirs| theirs.eq_ignore_ascii_case(&address));
    match control.store.agents().await?.iter().find(|agent| agent.id != *id && has(agent)) {
        Some(other) => Err(Problem::field("email", format_args!("{} signs in with this address", other.id))),
        None => Ok(address),
    }
}

fn email_address(text: &str) -> Result<String, Problem> {
    let text = plain_text("email", text, EMAIL_LEN_MAX)?;
    if is_email_address(&text) { Ok(text) } else { Err(Problem::field("email", "an address like `ana@example.com`")) }
}

/// Whether mail could go there; whether it arrives only mail can tell.
pub fn is_email_address(text: &str) -> bool {
    let (user, host) = text.split_once('@').unwrap_or_default();
    text.len() <= EMAIL_LEN_MAX && !user.is_empty() && !host.is_empty() && !text.contains(char::is_whitespace)
}

async fn existing_team(control: &Control, team: TeamId) -> Result<TeamId, Problem> {
    match control.store.team(&team).await? {
        Some(_) => Ok(team),
        None => Err(Problem::field("team_id", "there is no such team; create it with PUT /v1/teams/{id}")),
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct StatusBody {
    status: Presence,
}

/// Sets an agent online or offline
///
/// Online only the agent itself is set; offline also by whoever manages agents: what rings at it goes on to the next one,
/// and a call that it is in is not touched.
#[utoipa::path(put, path = "/v1/agents/{id}/status", tag = "agents",
    params(("id" = String, Path, example = "agt_a")), request_body = StatusBody,
    responses((status = 200, description = "Set", body = AgentView), Problems))]
async fn put_status_of(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<AgentId>,
    Json(body): Json<StatusBody>,
) -> Result<Answer<AgentView>, Problem> {
    let action = if body.status == Presence::Offline { Action::TakeOffline } else { Action::SetPresence };
    caller.may_for(action, &id)?;
    control.store.agent(&id).await?.ok_or_else(Problem::not_found)?;
    let agent = control.switchboard.set_status(&id, body.status).await?;
    Ok(Answer(AgentView::of(&control, agent).await?))
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TokenBody {
    /// How long it is good for: 1 minute to 24 h. Nothing: 12 h, one shift.
    expires_in_ms: Option<u64>,
}

/// A secret for one agent's browser or softphone.
#[derive(Serialize, ToSchema)]
struct Token {
    #[schema(example = "ta_…")]
    token: String,
    expires_at: Timestamp,
}

const TOKEN_TIME: Duration = Duration::from_secs(12 * 3600);
const TOKEN_TIME_MS: std::ops::RangeInclusive<u64> = 60_000..=24 * 3_600_000;

/// Creates a token for an agent
///
/// Shown once. It may set the agent's presence, receive its events, answer its offers, dial as the agent,
/// control its calls, and read what its role may see; nothing else.
#[utoipa::path(post, path = "/v1/agents/{id}/tokens", tag = "agents",
    params(("id" = String, Path, example = "agt_a")), request_body = Option<TokenBody>,
    responses((status = 201, description = "The token", body = Token), Problems))]
async fn create_token(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<AgentId>,
    MaybeJson(body): MaybeJson<TokenBody>,
) -> Result<(StatusCode, Answer<Token>), Problem> {
    caller.may_for(Action::MintToken, &id)?;
    control.store.agent(&id).await?.ok_or_else(Problem::not_found)?;
    let time = match body.expires_in_ms {
        None => TOKEN_TIME,
        Some(ms) if TOKEN_TIME_MS.contains(&ms) => Duration::from_millis(ms),
        Some(_) => return Err(Problem::field("expires_in_ms", "60000 (1 minute) to 86400000 (24 h)")),
    };
    let expires_at = control.clock.now().wall.plus(time);
    let token = control.store.create_agent_token(&id, expires_at).await?;
    Ok((StatusCode::CREATED, Answer(Token { token, expires_at })))
}
