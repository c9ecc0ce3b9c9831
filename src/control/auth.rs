//! Who asks, and whether they may. Every route under `/v1` passes [`layer`]; every handler asks one of
//! [`Caller`]'s questions before it does anything.

use std::collections::HashSet;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use secrecy::{ExposeSecret, SecretString};

use super::cookie;
use super::problem::{Code, Problem};
use super::{Control, Shared};
use crate::call::record::CallRecord;
use crate::model::directory::{Agent, Asker};
use crate::model::id::{AgentId, CallId, OfferId, TeamId};
use crate::model::time::Timestamp;
use crate::policy::access::{self, Action, Actor, CallParties, Resource, Scope};
use crate::policy::pack::{Rules, Sight};
use crate::store::{SESSION_PREFIX, SecretActor, Terms};

/// Longer than any key or token of ours.
const SECRET_LEN_MAX: usize = 256;

/// The authenticated sender of one request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) actor: Actor,
    /// Whose idempotency keys these are: `key:<id>` or `agent:<id>`.
    pub(crate) name: String,
    secret: SecretString,
    /// The rules of the moment the caller came: one request is judged by one pack from beginning to end.
    terms: Arc<Terms>,
    came_at: Timestamp,
}

/// What of a call is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Record,
    Recording,
}

/// Turns the bearer secret into a [`Caller`], or the request away.
pub(crate) async fn layer(State(control): State<Shared>, mut request: Request, next: Next) -> Response {
    match Caller::of(&control, request.method(), request.headers()).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

impl Caller {
    /// By the secret of the `Authorization` header, else by the browser's cookie.
    pub(crate) async fn of(control: &Shared, method: &Method, headers: &HeaderMap) -> Result<Self, Problem> {
        if let Some(session) =
            cookie::read(headers, control.secure_cookies).filter(|_| !headers.contains_key(AUTHORIZATION))
        {
            cookie::same_origin(method, headers)?;
            return Self::with(control, session)
                .await?
                .ok_or_else(|| Problem::new(Code::InvalidCredentials, "You were signed out; sign in again."));
        }
        Self::with(control, bearer(headers)?).await?.ok_or_else(|| {
            Problem::new(
                Code::InvalidCredentials,
                "The key or token is unknown, revoked or expired; ask for a new one.",
            )
        })
    }

    /// Whoever has this secret.
    pub(crate) async fn with(control: &Shared, secret: &str) -> Result<Option<Self>, Problem> {
        if !is_plain(secret) {
            return Ok(None);
        }
        Self::known(control, SecretString::from(secret)).await
    }

    /// The secret of a browser's session; `None`: a key or token.
    pub(crate) fn session(&self) -> Option<&str> {
        Some(self.secret.expose_secret()).filter(|secret| secret.starts_with(SESSION_PREFIX))
    }

    /// Whether the secret is still good; `None` once it is revoked or expired. For what stays open long.
    pub(crate) async fn renewed(&self, control: &Shared) -> Result<Option<Self>, Problem> {
        Self::known(control, self.secret.clone()).await
    }

    async fn known(control: &Shared, secret: SecretString) -> Result<Option<Self>, Problem> {
        let came_at = control.clock.now().wall;
        let (actor, name) = match control.store.authenticate(secret.expose_secret(), came_at).await? {
            Some(SecretActor::Key { id, name, scopes }) => (Actor::Key { name, scopes }, format!("key:{id}")),
            Some(SecretActor::Agent(id)) => match control.store.agent(&id).await? {
                Some(agent) => (Actor::Agent(agent), format!("agent:{id}")),
                None => return Ok(None),
            },
            None => return Ok(None),
        };
        Ok(Some(Self { actor, name, secret, terms: control.switchboard.terms(), came_at }))
    }

    /// The rules this caller is judged by.
    pub(crate) fn rules(&self) -> &Rules {
        self.terms.rules(self.came_at)
    }

    /// The one question behind all others, for what needs an answer instead of a refusal.
    pub(crate) fn can(&self, action: Action, resource: Resource<'_>) -> bool {
        access::may(self.rules(), &self.actor, action, resource)
    }

    /// The signed-in agent; `None` for an API key.
    pub(crate) const fn agent(&self) -> Option<&Agent> {
        match &self.actor {
            Actor::Agent(agent) => Some(agent),
            Actor::Key { .. } => None,
        }
    }

    pub(crate) fn agent_id(&self) -> Option<&AgentId> {
        self.agent().map(|agent| &agent.id)
    }

    /// As whom this caller asks customers for permission and places calls.
    pub(crate) fn asker(&self) -> Asker {
        match &self.actor {
            Actor::Agent(agent) => Asker::Agent { agent_id: agent.id.clone() },
            Actor::Key { name, .. } => Asker::Key { name: name.clone() },
        }
    }

    /// The agents whose calls this caller may see; `None`: everybody's.
    pub(crate) async fn visible_agents(&self, control: &Control) -> Result<Option<Vec<AgentId>>, Problem> {
        // Whoever sees all or only the own calls needs no look at who is in which team.
        let sees_team = |agent| access::grants(self.rules(), agent).calls == Sight::Team;
        let directory = match self.agent().is_some_and(sees_team) {
            true => control.store.agents_ever().await?,
            false => Vec::new(),
        };
        Ok(access::visible_agents(self.rules(), &self.actor, &directory))
    }

    pub(crate) fn scopes(&self) -> &[Scope] {
        match &self.actor {
            Actor::Key { scopes, .. } => scopes,
            Actor::Agent(_) => &[],
        }
    }

    /// For what belongs to no single agent: 403 when denied.
    pub(crate) fn may(&self, action: Action, resource: Resource<'_>) -> Result<(), Problem> {
        if self.can(action, resource) { Ok(()) } else { Err(self.denied()) }
    }

    /// For one agent's own things. A key is refused by its scopes whatever the id; an agent that names
    /// somebody else gets the answer of an id that does not exist.
    pub(crate) fn may_for(&self, action: Action, agent: &AgentId) -> Result<(), Problem> {
        if self.can(action, Resource::Agent(agent)) {
            return Ok(());
        }
        match self.agent_id() {
            Some(own) if own != agent => Err(Problem::not_found()),
            _ => Err(self.denied()),
        }
    }

    /// The call, if this caller may do this to it; else the one 404.
    pub(crate) async fn call(
        &self,
        control: &Shared,
        id: &CallId,
        action: Action,
        part: Part,
    ) -> Result<CallRecord, Problem> {
        // Before any look-up: what a key lacks must not tell which ids exist.
        if self.agent().is_none() {
            self.may(action, part.of(CallParties { agent_id: None, offered: &[], teams: &[] }))?;
        }
        let call = control.store.call(id).await?.ok_or_else(Problem::not_found)?;
        if let Some(agent) = self.agent() {
            // Whoever is in no team has no mates to look for.
            let teams = if agent.team_id.is_some() { teams_of(control, &call).await? } else { Vec::new() };
            if !self.may_touch(&call, &teams, action, part) {
                return Err(Problem::not_found());
            }
        }
        Ok(call)
    }

    /// Whether it hears the calls that it sees.
    pub(crate) fn may_hear(&self) -> bool {
        let nobodys = CallParties { agent_id: None, offered: &[], teams: &[] };
        self.agent().is_some() || self.can(Action::Read, Resource::Recording(nobodys))
    }

    fn may_touch(&self, call: &CallRecord, teams: &[TeamId], action: Action, part: Part) -> bool {
        let offered: Vec<AgentId> = call.offers.iter().map(|offer| offer.agent_id.clone()).collect();
        let parties = CallParties { agent_id: call.agent_id.as_ref(), offered: &offered, teams };
        self.can(action, part.of(parties))
    }

    /// Passes if the offer is this caller's to answer; else the one 404.
    pub(crate) async fn offer(&self, control: &Shared, id: &OfferId) -> Result<(), Problem> {
        if self.agent().is_none() {
            self.may(Action::Answer, Resource::Agent(&nobody()))?;
        }
        let call = control.store.offer_call(id).await?.ok_or_else(Problem::not_found)?;
        let call = control.store.call(&call).await?.ok_or_else(Problem::not_found)?;
        let offer = call.offers.iter().find(|offer| offer.id == *id).ok_or_else(Problem::not_found)?;
        if self.can(Action::Answer, Resource::Agent(&offer.agent_id)) { Ok(()) } else { Err(Problem::not_found()) }
    }

    fn denied(&self) -> Problem {
        match &self.actor {
            Actor::Key { scopes, .. } => {
                let has = scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(", ");
                Problem::forbidden(format!(
                    "The scopes of this key do not cover this; it has: {}.",
                    if has.is_empty() { "none" } else { &has }
                ))
            }
            Actor::Agent(agent) => Problem::forbidden(format!(
                "An agent with the role `{}` and these switches may not do this; `tandem access` prints who may.",
                agent.role
            )),
        }
    }
}

/// Stands for "any agent" where a key's scopes alone decide.
pub(crate) fn nobody() -> AgentId {
    AgentId::parse("-").expect("a dash is an id, and no agent's: those begin with `agt_` or a letter")
}

impl Part {
    fn of(self, parties: CallParties<'_>) -> Resource<'_> {
        match self {
            Self::Record => Resource::Call(parties),
            Self::Recording => Resource::Recording(parties),
        }
    }
}

impl FromRequestParts<Shared> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Problem> {
        // Absent only if a route was registered outside the layer: refuse rather than let it through.
        parts.extensions.get::<Self>().cloned().ok_or_else(missing)
    }
}

/// The teams of the agents a call involves, each once.
async fn teams_of(control: &Shared, call: &CallRecord) -> Result<Vec<TeamId>, Problem> {
    let involved = call.agent_id.iter().chain(call.offers.iter().map(|offer| &offer.agent_id));
    let involved: HashSet<&AgentId> = involved.collect();
    let mut teams = Vec::new();
    for agent in involved {
        teams.extend(control.store.agent_ever(agent).await?.and_then(|agent| agent.team_id));
    }
    Ok(teams)
}

/// The secret of `Authorization: Bearer …` (RFC 6750 section 2.1). Never from the query: it would be logged.
fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or_else(missing)?;
    let text = value.to_str().map_err(|_| missing())?;
    let (scheme, secret) = text.split_once(' ').ok_or_else(missing)?;
    let secret = secret.trim();
    if values.next().is_some() || !scheme.eq_ignore_ascii_case("bearer") || !is_plain(secret) {
        return Err(missing());
    }
    Ok(secret)
}

fn is_plain(secret: &str) -> bool {
    (1..=SECRET_LEN_MAX).contains(&secret.len()) && secret.bytes().all(|b| b.is_ascii_graphic())
}

fn missing() -> Problem {
    Problem::new(Code::MissingCredentials, "Sign in, or send `Authorization: Bearer <key or agent token>`, once.")
}
