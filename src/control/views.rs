//! Views of the call list that an agent keeps.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::{Caller, nobody};
use super::extract::{Id, Json, plain_text};
use super::openapi::Problems;
use super::problem::Problem;
use crate::model::id::{AgentId, ViewId};
use crate::policy::access::Action;
use crate::store::{Section, View, ViewFilter, ViewWish};

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list, keep)).routes(routes!(remove))
}

const NAME_CHARS_MAX: usize = 60;
/// As long as what is typed into a search may be.
const TEXT_CHARS_MAX: usize = 200;
/// A leap year: what an older list is wanted for has dates.
const DAYS_MAX: u16 = 366;

/// An agent's views.
#[derive(Serialize, ToSchema)]
struct Views {
    /// By name; 50 at most.
    items: Vec<View>,
}

/// Lists an agent's views of the call list
///
/// A view narrows nothing by itself: a client asks `GET /v1/calls` with what it says.
#[utoipa::path(get, path = "/v1/agents/{id}/views", tag = "agents", params(("id" = String, Path, example = "agt_a")),
    responses((status = 200, description = "The views", body = Views), Problems))]
async fn list(State(control): State<Shared>, caller: Caller, Id(id): Id<AgentId>) -> Result<Answer<Views>, Problem> {
    caller.may_for(Action::KeepViews, &id)?;
    control.store.agent(&id).await?.ok_or_else(Problem::not_found)?;
    Ok(Answer(Views { items: control.store.views(&id).await? }))
}

/// A view to keep.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "VIPs of this week", "section": "missed", "filter": {"tag": "vip", "days": 7}}))]
struct ViewBody {
    /// 1 to 60 characters.
    name: String,
    #[serde(default)]
    section: Section,
    #[serde(default)]
    filter: ViewFilter,
}

/// Keeps a view of the call list
///
/// One of the same name is replaced.
#[utoipa::path(post, path = "/v1/agents/{id}/views", tag = "agents", params(("id" = String, Path, example = "agt_a")),
    request_body = ViewBody, responses((status = 201, description = "As it is kept", body = View), Problems))]
async fn keep(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<AgentId>,
    Json(body): Json<ViewBody>,
) -> Result<(StatusCode, Answer<View>), Problem> {
    caller.may_for(Action::KeepViews, &id)?;
    control.store.agent(&id).await?.ok_or_else(Problem::not_found)?;
    let name = plain_text("name", &body.name, NAME_CHARS_MAX)?;
    let wish = ViewWish { name, section: body.section, filter: body.filter };
    checked(&wish.filter)?;
    let now = control.clock.now().wall;
    Ok((StatusCode::CREATED, Answer(control.store.keep_view(&id, &wish, now).await?)))
}

/// Removes a view
#[utoipa::path(delete, path = "/v1/views/{id}", tag = "agents", params(("id" = String, Path, example = "view_0191…")),
    responses((status = 204, description = "Removed"), Problems))]
async fn remove(State(control): State<Shared>, caller: Caller, Id(id): Id<ViewId>) -> Result<StatusCode, Problem> {
    // Before any look-up: what a key lacks must not tell which ids exist.
    if caller.agent().is_none() {
        caller.may_for(Action::KeepViews, &nobody())?;
    }
    let owner = control.store.view_owner(&id).await?.ok_or_else(Problem::not_found)?;
    caller.may_for(Action::KeepViews, &owner)?;
    control.store.remove_view(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn checked(filter: &ViewFilter) -> Result<(), Problem> {
    let texts = [("text", &filter.text), ("disposition", &filter.disposition), ("tag", &filter.tag)];
    for (field, text) in texts.into_iter().filter_map(|(field, text)| text.as_ref().map(|text| (field, text))) {
        plain_text(&format!("filter.{field}"), text, TEXT_CHARS_MAX)?;
    }
    match (filter.days, filter.since, filter.until) {
        (Some(days), ..) if !(1..=DAYS_MAX).contains(&days) => {
            Err(Problem::field("filter.days", format_args!("1 to {DAYS_MAX}, not {days}")))
        }
        (Some(_), since, until) if since.is_some() || until.is_some() => {
            Err(Problem::field("filter.days", "it already says when: leave `since` and `until` out, or `days`"))
        }
        (_, Some(since), Some(until)) if until < since => {
            Err(Problem::field("filter.until", format_args!("{since}, which is `since`, or later")))
        }
        _ => Ok(()),
    }
}
