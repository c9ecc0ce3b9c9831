//! The wallet: what is in it, what was booked, and paying in.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::Caller;
use super::extract::{Json, Params, limit, plain_text};
use super::openapi::Problems;
use super::problem::Problem;
use crate::model::money::{Currency, Micros};
use crate::policy::access::{Action, Resource};
use crate::store::{Entry, TopUp, Wallet};

/// A payment's number or a short note.
const REFERENCE_CHARS_MAX: usize = 200;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(read)).routes(routes!(top_up)).routes(routes!(entries))
}

/// Reads the wallet
///
/// Outbound calls need `available_micros` above 0. A running call is never cut for money, so `balance_micros` can be
/// below 0; then nothing new is placed until somebody pays in. Inbound calls are free.
#[utoipa::path(get, path = "/v1/wallet", tag = "wallet",
    responses((status = 200, description = "The wallet", body = Wallet), Problems))]
async fn read(State(control): State<Shared>, caller: Caller) -> Result<Answer<Wallet>, Problem> {
    caller.may(Action::Read, Resource::Wallet)?;
    let currency = control.switchboard.terms().card.currency();
    Ok(Answer(control.store.wallet(currency).await?))
}

/// Money to pay in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"micros": 50_000_000, "currency": "USD", "reference": "invoice 2026-117"}))]
struct TopUpBody {
    /// Millionths of a unit of the currency, more than 0: 50 dollars are 50000000.
    #[schema(minimum = 1)]
    micros: Micros,
    /// The wallet's.
    currency: Currency,
    /// Anything that tells people where the money came from.
    reference: Option<String>,
}

/// Pays into the wallet
///
/// Send an `Idempotency-Key`: paying in with the same key is done once. Other than for the rest of this API that holds for
/// ever, not for 24 h.
#[utoipa::path(post, path = "/v1/wallet/top-ups", tag = "wallet", request_body = TopUpBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key pays in once")),
    responses((status = 201, description = "As it stands in the ledger", body = Entry), Problems))]
async fn top_up(
    State(control): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    Json(body): Json<TopUpBody>,
) -> Result<(StatusCode, Answer<Entry>), Problem> {
    caller.may(Action::Change, Resource::Wallet)?;
    let reference =
        body.reference.as_deref().map(|text| plain_text("reference", text, REFERENCE_CHARS_MAX)).transpose()?;
    // Beneath the layer that replays answers: a crash between the booking and the answer must not book twice.
    let key = headers.get("idempotency-key").and_then(|value| value.to_str().ok());
    let key = key.map(|key| format!("{}:{key}", caller.name));
    let top_up = TopUp { micros: body.micros, currency: body.currency, reference, key };
    Ok((StatusCode::CREATED, Answer(control.switchboard.top_up(top_up).await?)))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EntriesQuery {
    /// 1 to 200, else 50.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// A page of the statement.
#[derive(Serialize, ToSchema)]
struct Entries {
    items: Vec<Entry>,
    next_cursor: Option<String>,
}

/// Lists what was booked
///
/// Newest first. A call has one `call_charge`; when WhatsApp's last word on its duration differs, an `adjustment` books the
/// difference.
#[utoipa::path(get, path = "/v1/wallet/entries", tag = "wallet", params(EntriesQuery),
    responses((status = 200, description = "A page of entries", body = Entries), Problems))]
async fn entries(
    State(control): State<Shared>,
    caller: Caller,
    Params(query): Params<EntriesQuery>,
) -> Result<Answer<Entries>, Problem> {
    caller.may(Action::Read, Resource::Wallet)?;
    let page = control.store.entries(limit(query.limit)?, query.cursor.as_deref()).await?;
    Ok(Answer(Entries { items: page.items, next_cursor: page.next_cursor }))
}
