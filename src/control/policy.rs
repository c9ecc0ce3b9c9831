//! The rules in force, those that were, and reading them anew.

use axum::Json as Answer;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::Caller;
use super::extract::NoBody;
use super::openapi::Problems;
use super::problem::{Code, Problem};
use crate::policy::access::{Action, Resource};
use crate::store::KeptPack;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(read)).routes(routes!(reload))
}

/// The packs that decide, or decided.
#[derive(Serialize, ToSchema)]
struct Packs {
    /// The pack in force; calls name the one they were decided by as `policy_pack`.
    in_force: String,
    /// The rules of this moment, as the pack's edition of today says.
    #[schema(value_type = Object)]
    rules: serde_json::Value,
    items: Vec<KeptPack>,
}

/// Lists the policy packs
#[utoipa::path(get, path = "/v1/policy-packs", tag = "policy",
    responses((status = 200, description = "The pack in force and all before it", body = Packs), Problems))]
async fn list(State(control): State<Shared>, caller: Caller) -> Result<Answer<Packs>, Problem> {
    caller.may(Action::Read, Resource::PolicyPack)?;
    let (terms, now) = (control.switchboard.terms(), control.clock.now().wall);
    let rules = serde_json::to_value(terms.rules(now)).expect("rules are plain data");
    Ok(Answer(Packs { in_force: terms.pack_id.clone(), rules, items: control.store.packs().await? }))
}

/// Reads a policy pack as it was written
#[utoipa::path(get, path = "/v1/policy-packs/{id}", tag = "policy",
    params(("id" = String, Path, description = "As in a call's `policy_pack`")),
    responses((status = 200, description = "The pack", body = String, content_type = "application/toml"), Problems))]
async fn read(State(control): State<Shared>, caller: Caller, Path(id): Path<String>) -> Result<Response, Problem> {
    caller.may(Action::Read, Resource::PolicyPack)?;
    let text = control.store.pack_text(&id).await?.ok_or_else(Problem::not_found)?;
    Ok(([(CONTENT_TYPE, "application/toml; charset=utf-8")], text).into_response())
}

/// Reads the policy pack and the rate card anew
///
/// SIGHUP does the same. A pack or card with mistakes is refused with all of them, and what is in force stays.
#[utoipa::path(post, path = "/v1/admin/reload", tag = "admin",
    responses((status = 204, description = "In force"), Problems))]
async fn reload(State(control): State<Shared>, caller: Caller, _: NoBody) -> Result<StatusCode, Problem> {
    caller.may(Action::Change, Resource::PolicyPack)?;
    match (control.reload)().await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(errors) => Err(Problem::mistakes(Code::InvalidPolicy, errors)),
    }
}
