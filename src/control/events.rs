//! The durable event log: read page by page, or followed.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::Caller;
use super::extract::{Id, Params, limit};
use super::openapi::Problems;
use super::problem::Problem;
use super::stream::{self, BEAT, Follow, View};
use crate::model::event::Event;
use crate::model::id::AgentId;
use crate::policy::access::{Action, Resource};

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(follow)).routes(routes!(follow_agent))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct After {
    /// Events after this sequence number; 0 or nothing: from the beginning.
    after: Option<i64>,
    /// The same, as a list's cursor.
    cursor: Option<String>,
    /// 1 to 200, else 50.
    limit: Option<u32>,
}

/// A page of the log.
#[derive(Serialize, ToSchema)]
struct Events {
    items: Vec<Event>,
    /// The next `after` while there is more.
    next_cursor: Option<String>,
}

/// Reads the event log
///
/// In the order things happened; `seq` has no gaps.
#[utoipa::path(get, path = "/v1/events", tag = "events", params(After),
    responses((status = 200, description = "A page of events", body = Events), Problems))]
async fn list(
    State(control): State<Shared>,
    caller: Caller,
    Params(query): Params<After>,
) -> Result<Json<Events>, Problem> {
    caller.may(Action::Read, Resource::Events)?;
    let cursor = query.cursor.as_deref().map(sequence).transpose()?;
    let limit = limit(query.limit)?;
    let items = control.store.events_after(query.after.or(cursor).unwrap_or(0), limit).await?;
    let full = items.len() >= limit as usize;
    let next_cursor = items.last().filter(|_| full).map(|event| event.seq.to_string());
    Ok(Json(Events { items, next_cursor }))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct From {
    /// Start after this sequence number; nothing: from now on. The header `Last-Event-ID` goes before it.
    after: Option<i64>,
}

/// Follows the event log
///
/// Server-sent events. The first frame is `stream.ready` with the log's present end; then each event with
/// `event:` = its type, `id:` = its sequence number and `data:` = its envelope. A comment every 15 s.
/// Reconnect with `Last-Event-ID` and nothing is missed.
#[utoipa::path(get, path = "/v1/events/stream", tag = "events",
    params(From, ("Last-Event-ID" = Option<i64>, Header, description = "Resume after this event")),
    responses((status = 200, description = "The stream", body = String, content_type = "text/event-stream"), Problems))]
async fn follow(
    State(control): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    Params(query): Params<From>,
) -> Result<Response, Problem> {
    caller.may(Action::Read, Resource::Events)?;
    let after = resume(&headers, query.after)?;
    let live = control.switchboard.subscribe();
    stream::open(Follow { control, caller, live, after, view: View::Everything, beat: BEAT, _guard: None }).await
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Listen {
    /// Start after this sequence number; nothing: from now on. The header `Last-Event-ID` goes before it.
    after: Option<i64>,
    /// Whether this client sends a receipt for every offer that it shows. While all clients of the agent do, an offer that
    /// none of them shows within a second goes on to the next agent. A softphone leaves it out and rings its whole time.
    #[serde(default)]
    receipts: bool,
}

/// Follows what concerns one agent
///
/// As `/v1/events/stream`, with that agent's offers, the calls its role may see and whether those can take one whose calls
/// they are (`agent.status_changed`, `agent.readiness_changed`, `agent.wrap_up_changed`), contacts and what they permit
/// (`permission.*`), who works here (`agent.updated`, `agent.left`, `team.updated`, `team.deleted`), `wallet.*` for those who
/// see the wallet and `number.*` for those who configure calls. While it is open the gateway knows that the agent can be rung. It ends with the token.
#[utoipa::path(get, path = "/v1/agents/{id}/events", tag = "agents",
    params(("id" = String, Path, example = "agt_a"), Listen,
        ("Last-Event-ID" = Option<i64>, Header, description = "Resume after this event")),
    responses((status = 200, description = "The stream", body = String, content_type = "text/event-stream"), Problems))]
async fn follow_agent(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<AgentId>,
    headers: HeaderMap,
    Params(query): Params<Listen>,
) -> Result<Response, Problem> {
    caller.may_for(Action::Listen, &id)?;
    let agent = control.store.agent(&id).await?.ok_or_else(Problem::not_found)?;
    let after = resume(&headers, query.after)?;
    let live = control.switchboard.subscribe();
    let view = View::of(&control, agent).await?;
    let _guard = Some(control.switchboard.stream_opened(&id, query.receipts));
    stream::open(Follow { control, caller, live, after, view, beat: BEAT, _guard }).await
}

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

fn resume(headers: &HeaderMap, query: Option<i64>) -> Result<Option<i64>, Problem> {
    match headers.get(LAST_EVENT_ID).map(|value| value.to_str().unwrap_or("?")) {
        None | Some("") => query.map(|seq| sequence(&seq.to_string())).transpose(),
        Some(text) => sequence(text).map(Some),
    }
}

fn sequence(text: &str) -> Result<i64, Problem> {
    text.parse()
        .ok()
        .filter(|seq| *seq >= 0)
        .ok_or_else(|| Problem::parameter("after", "an event's sequence number, 0 or more"))
}
