//! What happened in a call, step by step, as the event log has it.

use axum::Json as Answer;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::{Caller, Part};
use super::extract::Id;
use super::openapi::Problems;
use super::problem::Problem;
use crate::model::event::Event;
use crate::model::id::CallId;
use crate::policy::access::Action;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(timeline))
}

/// A call's events.
#[derive(Serialize, ToSchema)]
struct Timeline {
    /// Oldest first, at most 1000. Of an event that carries the whole call object `direction`, `agent_id`, `answered_at`
    /// and `ended_by` are left: the rest says what stood then, and `/v1/calls/{id}` what stands now.
    items: Vec<Event>,
}

/// What an event tells of its call here.
const CALL_FIELDS: [&str; 4] = ["direction", "agent_id", "answered_at", "ended_by"];

/// Shows what happened in a call
#[utoipa::path(get, path = "/v1/calls/{id}/timeline", tag = "calls", params(("id" = String, Path)),
    responses((status = 200, description = "The call's events", body = Timeline), Problems))]
async fn timeline(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<CallId>,
) -> Result<Answer<Timeline>, Problem> {
    caller.call(&control, &id, Action::Read, Part::Record).await?;
    let mut items = control.store.events_of_call(&id).await?;
    for event in &mut items {
        if event.data.get("offers").is_some()
            && let Some(call) = event.data.as_object_mut()
        {
            call.retain(|name, _| CALL_FIELDS.contains(&name.as_str()));
        }
        // Of an offer: with a note that was for the agent who was rung.
        if let Some(told) = event.data.as_object_mut() {
            told.remove("contact");
            if let Some(agent) = &event.agent_id {
                told.entry("agent_id").or_insert_with(|| agent.as_str().into());
            }
        }
    }
    // What was said goes with the recording, and a key may lack that.
    if !caller.may_hear() {
        items.retain(|event| !event.kind.starts_with("summary.") && !event.kind.starts_with("transcript."));
    }
    Ok(Answer(Timeline { items }))
}
