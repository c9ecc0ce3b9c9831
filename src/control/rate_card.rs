//! The price list.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::Caller;
use super::extract::Csv;
use super::openapi::Problems;
use super::problem::Problem;
use crate::billing::{RateCard, RateRow};
use crate::model::money::Currency;
use crate::model::time::Timestamp;
use crate::policy::access::{Action, Resource};
use crate::store::IMPORTED;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(read, put))
}

/// What outbound calls cost.
#[derive(Serialize, ToSchema)]
struct RateCardView {
    currency: Currency,
    /// `imported.csv` for a card that was put here, else the file it came with.
    #[schema(example = "config/policy/rates.csv")]
    source: String,
    /// Names the card in the explanation of every charge.
    sha256: String,
    /// Months and dates count in it.
    #[schema(example = "UTC")]
    time_zone: String,
    /// In force now.
    rows: Vec<RateRow>,
    /// In force from their date on.
    upcoming: Vec<RateRow>,
}

impl RateCardView {
    fn of(card: &RateCard, now: Timestamp) -> Self {
        Self {
            currency: card.currency(),
            source: card.source().to_owned(),
            sha256: card.sha256().to_owned(),
            time_zone: card.time_zone().to_owned(),
            rows: card.rows(now),
            upcoming: card.upcoming(now),
        }
    }
}

/// Reads the price list
///
/// The most exact row counts: the longest start of the customer's number, else the country, else the group that holds it,
/// else `*`. With `Accept: text/csv` the file as it was imported.
#[utoipa::path(get, path = "/v1/rate-card", tag = "wallet",
    responses(
        (status = 200, description = "The card in force", content((RateCardView = "application/json"), (String = "text/csv"))),
        Problems))]
async fn read(State(control): State<Shared>, caller: Caller, headers: HeaderMap) -> Result<Response, Problem> {
    caller.may(Action::Read, Resource::Wallet)?;
    let terms = control.switchboard.terms();
    let mut response = if wants_csv(&headers) {
        ([(CONTENT_TYPE, "text/csv; charset=utf-8")], terms.card.csv().to_owned()).into_response()
    } else {
        Answer(RateCardView::of(&terms.card, control.clock.now().wall)).into_response()
    };
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

/// Replaces the price list
///
/// The built-in card says which columns there are. One that is wrong anywhere is refused with every mistake in `errors`, by
/// line and column, and the card in force stays. A good one is in force at once; calls already charged stay as they are.
#[utoipa::path(put, path = "/v1/rate-card", tag = "wallet",
    request_body(content = String, content_type = "text/csv", description = "At most 1 MiB of UTF-8"),
    responses((status = 200, description = "The card, now in force", body = RateCardView), Problems))]
async fn put(State(control): State<Shared>, caller: Caller, Csv(csv): Csv) -> Result<Answer<RateCardView>, Problem> {
    caller.may(Action::Change, Resource::Wallet)?;
    let card = RateCard::parse(IMPORTED, &csv)?;
    let view = RateCardView::of(&card, control.clock.now().wall);
    control.switchboard.replace_rate_card(card).await?;
    Ok(Answer(view))
}

/// RFC 9110 section 12.5.1, as far as two formats need it: CSV for whoever names it.
fn wants_csv(headers: &HeaderMap) -> bool {
    let ranges =
        headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','));
    ranges
        .into_iter()
        .any(|range| range.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/csv")))
}
