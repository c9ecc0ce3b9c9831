//! Our books beside WhatsApp's.

use axum::Json as Answer;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::Caller;
use super::extract::{Json, Params, limit};
use super::openapi::Problems;
use super::problem::Problem;
use crate::billing::reconcile::Reconciliation;
use crate::model::day::Day;
use crate::model::id::WabaId;
use crate::policy::access::{Action, Resource};
use crate::store::BusinessAccount;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list, compare))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// 1 to 200, else 50.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A page of compared days.
#[derive(Serialize, ToSchema)]
struct Reconciliations {
    items: Vec<Reconciliation>,
    next_cursor: Option<String>,
    /// Whose calls are compared, when next, and what went wrong the last time.
    accounts: Vec<BusinessAccount>,
}

/// Lists days compared with WhatsApp's count
///
/// Each night the answered calls of the day that is over are compared with WhatsApp's call analytics: how many, how long, and
/// what they cost. A day that differs is compared again on the next two nights, since WhatsApp's count may be late. A
/// difference changes nothing in the ledger. Latest day first.
#[utoipa::path(get, path = "/v1/wallet/reconciliations", tag = "wallet", params(ListQuery),
    responses((status = 200, description = "A page of days", body = Reconciliations), Problems))]
async fn list(
    State(control): State<Shared>,
    caller: Caller,
    Params(query): Params<ListQuery>,
) -> Result<Answer<Reconciliations>, Problem> {
    caller.may(Action::Read, Resource::Wallet)?;
    let page = control.store.reconciliations(limit(query.limit)?, query.cursor.as_deref()).await?;
    let accounts = control.store.business_accounts().await?;
    Ok(Answer(Reconciliations { items: page.items, next_cursor: page.next_cursor, accounts }))
}

/// Which day to compare.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"waba_id": "200000000000002", "day": "2026-11-21"}))]
struct CompareBody {
    /// The WhatsApp business account, as `accounts` lists them.
    waba_id: WabaId,
    /// In UTC, and over.
    day: Day,
}

/// Compares one day now
///
/// With WhatsApp's count as it is at this moment, in the place of the last comparison of that day.
#[utoipa::path(post, path = "/v1/wallet/reconciliations", tag = "wallet", request_body = CompareBody,
    responses((status = 200, description = "The day, from both sides", body = Reconciliation), Problems))]
async fn compare(
    State(control): State<Shared>,
    caller: Caller,
    Json(body): Json<CompareBody>,
) -> Result<Answer<Reconciliation>, Problem> {
    caller.may(Action::Change, Resource::Wallet)?;
    if control.clock.now().wall < body.day.ends_at() {
        return Err(Problem::field("day", format!("{} is not over in UTC; choose a day before", body.day)));
    }
    Ok(Answer(control.switchboard.reconcile(&body.waba_id, body.day).await?))
}
