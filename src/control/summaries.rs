//! What a call came to.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::{Caller, Part};
use super::extract::{Id, NoBody};
use super::openapi::Problems;
use super::problem::Problem;
use super::recordings::note;
use crate::model::id::CallId;
use crate::model::summary::{Summary, SummaryState};
use crate::policy::access::Action;
use crate::switchboard::Download;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(read, again))
}

/// A call's summary.
#[derive(Serialize, ToSchema)]
struct CallSummary {
    #[schema(value_type = String)]
    call_id: CallId,
    state: SummaryState,
    /// Once it is `ready`; the earlier one while it is made anew.
    summary: Option<Summary>,
}

/// Reads what a call came to
///
/// Made by rules when the call ends, by what is written down then (`unheard_ms` says how much is not), and again when the
/// transcript is whole; where a language model is configured, it then words it. Each time `summary.ready` tells;
/// `summary.failed` that there is none. Every point names the place it rests
/// on, in milliseconds into the recording.
#[utoipa::path(get, path = "/v1/calls/{id}/summary", tag = "calls", params(("id" = String, Path)),
    responses((status = 200, description = "The summary", body = CallSummary), Problems))]
async fn read(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<CallId>,
) -> Result<Answer<CallSummary>, Problem> {
    caller.call(&control, &id, Action::Read, Part::Recording).await?;
    note(&control, &caller, &id, Download::Summary).await?;
    let (state, summary) = match control.store.summary(&id).await? {
        Some(kept) => (kept.state, kept.summary),
        None => (SummaryState::Off, None),
    };
    Ok(Answer(CallSummary { call_id: id, state, summary }))
}

/// Sums a call up anew
///
/// After a failure, or when another engine has been configured. The one there is stays until the new one is ready.
#[utoipa::path(post, path = "/v1/calls/{id}/summary", tag = "calls", params(("id" = String, Path)),
    responses((status = 202, description = "It is being made"), Problems))]
async fn again(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<CallId>,
    _: NoBody,
) -> Result<StatusCode, Problem> {
    caller.call(&control, &id, Action::Control, Part::Record).await?;
    control.switchboard.sum_up_again(&id).await?;
    Ok(StatusCode::ACCEPTED)
}
