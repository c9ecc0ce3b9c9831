//! Numbers and teams.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::Caller;
use super::extract::{Id, Json, NAME_CHARS_MAX, NewId, NoBody, nullable, plain_text};
use super::openapi::Problems;
use super::problem::Problem;
use crate::model::directory::{AddOn, Number, Plan, Platform, Team};
use crate::model::id::{NumberId, TeamId};
use crate::model::phone::Phone;
use crate::policy::access::{Action, Resource};

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(numbers))
        .routes(routes!(put_number))
        .routes(routes!(teams))
        .routes(routes!(put_team, delete_team))
}

/// A list that fits on one page.
#[derive(Serialize, ToSchema)]
pub(crate) struct Whole<T: ToSchema> {
    pub(crate) items: Vec<T>,
    /// Always `null`: this list is not cut.
    #[schema(value_type = Option<String>)]
    next_cursor: Option<()>,
}

impl<T: ToSchema> Whole<T> {
    pub(crate) const fn of(items: Vec<T>) -> Self {
        Self { items, next_cursor: None }
    }
}

/// 201 for what did not exist before (RFC 9110 section 9.3.4).
pub(crate) const fn put_status(existed: bool) -> StatusCode {
    if existed { StatusCode::OK } else { StatusCode::CREATED }
}

/// Lists the business numbers
#[utoipa::path(get, path = "/v1/numbers", tag = "numbers",
    responses((status = 200, description = "All numbers", body = Whole<Number>), Problems))]
async fn numbers(State(control): State<Shared>, caller: Caller) -> Result<Answer<Whole<Number>>, Problem> {
    caller.may(Action::Read, Resource::Number)?;
    Ok(Answer(Whole::of(control.store.numbers().await?)))
}

/// What a number is. Fields left out keep their value.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"display_phone_number": "+995322000111", "plan": "advanced", "add_ons": ["sales_crm"],
    "messaging_limit": 10000, "platform": "cloud_api", "graph_token": "EAAG…"}))]
struct NumberBody {
    /// Needed for a new number.
    #[schema(value_type = Option<String>)]
    display_phone_number: Option<Phone>,
    /// Needed for a new number.
    plan: Option<Plan>,
    add_ons: Option<Vec<AddOn>>,
    /// Unique customers in 24 h. A new number starts at 250, Meta's first tier.
    messaging_limit: Option<i64>,
    /// A new number is `cloud_api`.
    platform: Option<Platform>,
    /// Access token of the Graph API. Written, never read back.
    #[schema(value_type = Option<String>, write_only)]
    graph_token: Option<SecretString>,
    /// Whether its calls are recorded. `null`: as the gateway is configured, which a new number starts with.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<bool>)]
    record: Option<Option<bool>>,
    /// Days its recordings are kept; 0: for ever. `null`: as the gateway is configured, which a new number starts with.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<u32>)]
    keep_recordings_days: Option<Option<u32>>,
}

/// Meta's first messaging tier.
const MESSAGING_LIMIT_FIRST: i64 = 250;
/// A hundred years.
const DAYS_MAX: u32 = 36_500;
const GRAPH_TOKEN_LEN_MAX: usize = 1024;

/// Creates or changes a business number
#[utoipa::path(put, path = "/v1/numbers/{id}", tag = "numbers",
    params(("id" = String, Path, description = "Meta's `phone_number_id`", example = "100000000000001")),
    request_body = NumberBody,
    responses((status = 200, description = "Changed", body = Number), (status = 201, description = "Created", body = Number), Problems))]
async fn put_number(
    State(control): State<Shared>,
    caller: Caller,
    NewId(id): NewId<NumberId>,
    Json(body): Json<NumberBody>,
) -> Result<(StatusCode, Answer<Number>), Problem> {
    caller.may(Action::Change, Resource::Number)?;
    let old = control.store.number(&id).await?;
    let limit = body.messaging_limit.or_else(|| old.as_ref().map(|old| old.messaging_limit));
    let number = Number {
        id,
        display_phone_number: body
            .display_phone_number
            .or_else(|| old.as_ref().map(|old| old.display_phone_number.clone()))
            .ok_or_else(|| Problem::field("display_phone_number", "needed for a new number"))?,
        plan: body
            .plan
            .or_else(|| old.as_ref().map(|old| old.plan))
            .ok_or_else(|| Problem::field("plan", "needed for a new number"))?,
        add_ons: body.add_ons.or_else(|| old.as_ref().map(|old| old.add_ons.clone())).unwrap_or_default(),
        messaging_limit: limit.unwrap_or(MESSAGING_LIMIT_FIRST),
        platform: body.platform.or_else(|| old.as_ref().map(|old| old.platform)).unwrap_or(Platform::CloudApi),
        graph_token_set: old.as_ref().is_some_and(|old| old.graph_token_set),
        record: body.record.unwrap_or_else(|| old.as_ref().and_then(|old| old.record)),
        keep_recordings_days: body
            .keep_recordings_days
            .unwrap_or_else(|| old.as_ref().and_then(|old| old.keep_recordings_days)),
    };
    if number.keep_recordings_days.is_some_and(|days| days > DAYS_MAX) {
        return Err(Problem::field("keep_recordings_days", format!("0 to {DAYS_MAX}")));
    }
    if number.messaging_limit < 0 {
        return Err(Problem::field("messaging_limit", "0 or more"));
    }
    let token = body.graph_token.as_ref().map(ExposeSecret::expose_secret);
    if token.is_some_and(|token| {
        !(1..=GRAPH_TOKEN_LEN_MAX).contains(&token.len()) || !token.bytes().all(|b| b.is_ascii_graphic())
    }) {
        return Err(Problem::field("graph_token", "1 to 1024 printable characters without spaces"));
    }
    let number = control.store.put_number(&number, token).await?;
    control.switchboard.number_changed(&number.id);
    Ok((put_status(old.is_some()), Answer(number)))
}

/// Lists the teams
#[utoipa::path(get, path = "/v1/teams", tag = "teams",
    responses((status = 200, description = "All teams", body = Whole<Team>), Problems))]
async fn teams(State(control): State<Shared>, caller: Caller) -> Result<Answer<Whole<Team>>, Problem> {
    caller.may(Action::Read, Resource::Team)?;
    Ok(Answer(Whole::of(control.store.teams().await?)))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Sales"}))]
struct TeamBody {
    name: String,
}

/// Creates or renames a team
#[utoipa::path(put, path = "/v1/teams/{id}", tag = "teams",
    params(("id" = String, Path, description = "Chosen by you, kept as given", example = "team_sales")),
    request_body = TeamBody,
    responses((status = 200, description = "Renamed", body = Team), (status = 201, description = "Created", body = Team), Problems))]
async fn put_team(
    State(control): State<Shared>,
    caller: Caller,
    NewId(id): NewId<TeamId>,
    Json(body): Json<TeamBody>,
) -> Result<(StatusCode, Answer<Team>), Problem> {
    caller.may(Action::Change, Resource::Team)?;
    let existed = control.store.team(&id).await?.is_some();
    let team = Team { id, name: plain_text("name", &body.name, NAME_CHARS_MAX)? };
    control.switchboard.put_team(&team).await?;
    Ok((put_status(existed), Answer(team)))
}

/// Deletes a team
///
/// While agents are in it it stays: move them first. Nobody is routed by team, so no call rings elsewhere for it. Those who
/// left it by leaving the house are in no team from then on, and saved views that name it find no calls.
#[utoipa::path(delete, path = "/v1/teams/{id}", tag = "teams", params(("id" = String, Path, example = "team_sales")),
    responses((status = 204, description = "There is no such team any more"), Problems))]
async fn delete_team(
    State(control): State<Shared>,
    caller: Caller,
    Id(id): Id<TeamId>,
    _: NoBody,
) -> Result<StatusCode, Problem> {
    caller.may(Action::Change, Resource::Team)?;
    control.switchboard.delete_team(&id).await?;
    Ok(StatusCode::NO_CONTENT)
}
