//! The wallet: what is in it, what was booked, and paying in.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::auth::Caller;
use super::extract::{Json, Params, limit, nullable, plain_text};
use super::openapi::Problems;
use super::problem::Problem;
use super::{Shared, table};
use crate::model::id::CallId;
use crate::model::money::{Currency, Micros};
use crate::model::reason::EntryKind;
use crate::model::time::Timestamp;
use crate::policy::access::{Action, Resource};
use crate::store::{Adjustment, Entry, EntryFilter, TopUp, Wallet};

/// A payment's number or a short note.
const REFERENCE_CHARS_MAX: usize = 200;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(read, change))
        .routes(routes!(top_up))
        .routes(routes!(adjust))
        .routes(routes!(entries))
        .routes(routes!(csv))
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

/// What to change about the wallet.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"low_micros": 10_000_000}))]
struct WalletBody {
    /// At or below this balance the wallet is low; `null`: nobody wants to be told.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<i64>, minimum = 0)]
    low_micros: Option<Option<Micros>>,
}

/// Says when the wallet is low
///
/// `wallet.low` tells once, when a call takes the balance there. Fields that are left out stay as they are.
#[utoipa::path(put, path = "/v1/wallet", tag = "wallet", request_body = WalletBody,
    responses((status = 200, description = "The wallet", body = Wallet), Problems))]
async fn change(
    State(control): State<Shared>,
    caller: Caller,
    Json(body): Json<WalletBody>,
) -> Result<Answer<Wallet>, Problem> {
    caller.may(Action::Change, Resource::Wallet)?;
    if let Some(low) = body.low_micros {
        control.switchboard.set_wallet_low(low, &caller.asker()).await?;
    }
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
    let top_up = TopUp { micros: body.micros, currency: body.currency, reference, key: kept_key(&caller, &headers) };
    Ok((StatusCode::CREATED, Answer(control.switchboard.top_up(top_up).await?)))
}

/// Beneath the layer that replays answers: a crash between the booking and the answer must not book twice.
fn kept_key(caller: &Caller, headers: &HeaderMap) -> Option<String> {
    let key = headers.get("idempotency-key").and_then(|value| value.to_str().ok());
    key.map(|key| format!("{}:{key}", caller.name))
}

/// A correction of what was booked wrongly.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"micros": -450_000_000, "currency": "USD", "reason": "A zero too many in invoice 2026-117"}))]
struct AdjustmentBody {
    /// Millionths of a unit of the currency, negative to take out, not 0.
    micros: Micros,
    /// The wallet's.
    currency: Currency,
    /// Why: it stands in the ledger.
    reason: String,
}

/// Corrects the balance
///
/// Nothing in the ledger is ever changed: a wrong top-up stays, and an `adjustment` stands beside it with its reason and who
/// booked it. `wallet.adjusted` tells of it. Send an `Idempotency-Key`: the same key corrects once, for ever.
#[utoipa::path(post, path = "/v1/wallet/adjustments", tag = "wallet", request_body = AdjustmentBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key corrects once")),
    responses((status = 201, description = "As it stands in the ledger", body = Entry), Problems))]
async fn adjust(
    State(control): State<Shared>,
    caller: Caller,
    headers: HeaderMap,
    Json(body): Json<AdjustmentBody>,
) -> Result<(StatusCode, Answer<Entry>), Problem> {
    caller.may(Action::Change, Resource::Wallet)?;
    let reason = plain_text("reason", &body.reason, REFERENCE_CHARS_MAX)?;
    let (by, key) = (caller.asker(), kept_key(&caller, &headers));
    let adjustment = Adjustment { micros: body.micros, currency: body.currency, reason, by, key };
    Ok((StatusCode::CREATED, Answer(control.switchboard.adjust(adjustment).await?)))
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EntriesQuery {
    /// 1 to 200, else 50.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    kind: Option<EntryKind>,
    #[param(value_type = Option<String>)]
    call_id: Option<CallId>,
    /// Part of the reference.
    reference: Option<String>,
    /// Booked at or after this time.
    from: Option<Timestamp>,
    /// Booked before this time.
    to: Option<Timestamp>,
}

impl EntriesQuery {
    fn filter(self) -> EntryFilter {
        let reference = self.reference.filter(|text| !text.trim().is_empty());
        EntryFilter { kind: self.kind, call_id: self.call_id, reference, from: self.from, to: self.to }
    }
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
/// difference; so does what somebody corrected, with `by` and its reason as `reference`.
#[utoipa::path(get, path = "/v1/wallet/entries", tag = "wallet", params(EntriesQuery),
    responses((status = 200, description = "A page of entries", body = Entries), Problems))]
async fn entries(
    State(control): State<Shared>,
    caller: Caller,
    Params(query): Params<EntriesQuery>,
) -> Result<Answer<Entries>, Problem> {
    caller.may(Action::Read, Resource::Wallet)?;
    let (limit, cursor) = (limit(query.limit)?, query.cursor.clone());
    let page = control.store.entries(&query.filter(), limit, cursor.as_deref()).await?;
    Ok(Answer(Entries { items: page.items, next_cursor: page.next_cursor }))
}

/// Entries that the table reads at a time.
const TABLE_PAGE: u32 = 500;

/// Exports what was booked as a table
///
/// The entries that `GET /v1/wallet/entries` lists with the same filters, newest first, all of them: RFC 4180 with a header
/// line, in UTF-8. What others wrote never begins like a formula.
#[utoipa::path(get, path = "/v1/wallet/entries.csv", tag = "wallet", params(EntriesQuery),
    responses((status = 200, description = "The table", content_type = "text/csv", body = String), Problems))]
async fn csv(
    State(control): State<Shared>,
    caller: Caller,
    Params(query): Params<EntriesQuery>,
) -> Result<Response, Problem> {
    caller.may(Action::Read, Resource::Wallet)?;
    if query.limit.is_some() || query.cursor.is_some() {
        return Err(Problem::parameter("limit", "an export has no pages: leave `limit` and `cursor` out"));
    }
    let filter = query.filter();
    let pages = move |cursor: Option<String>| {
        let (control, filter) = (Arc::clone(&control), filter.clone());
        async move {
            let page = control.store.entries(&filter, TABLE_PAGE, cursor.as_deref()).await?;
            let rows = page.items.iter().flat_map(|entry| table::row(&cells(entry)));
            Ok((rows.collect(), page.next_cursor))
        }
    };
    Ok(table::csv("wallet.csv", &HEADER, pages))
}

const HEADER: [&str; 11] = [
    "id",
    "created_at",
    "kind",
    "micros",
    "currency",
    "call_id",
    "reference",
    "country",
    "talked_ms",
    "pulses",
    "micros_per_minute",
];

fn cells(entry: &Entry) -> [String; HEADER.len()] {
    let told = entry.explanation.as_ref();
    [
        entry.id.to_string(),
        entry.created_at.to_string(),
        entry.kind.to_string(),
        entry.micros.to_string(),
        entry.currency.to_string(),
        entry.call_id.as_ref().map(ToString::to_string).unwrap_or_default(),
        table::harmless(entry.reference.as_deref()),
        told.and_then(|told| told.quote.country).map(|country| country.to_string()).unwrap_or_default(),
        told.map(|told| told.talked_ms.to_string()).unwrap_or_default(),
        entry.pulses.map(|pulses| pulses.to_string()).unwrap_or_default(),
        told.map(|told| told.quote.micros_per_minute.to_string()).unwrap_or_default(),
    ]
}
