//! The price list.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::Caller;
use super::extract::{Csv, Params};
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
    /// Whether calls are charged by it now; an older one explains old charges.
    in_force: bool,
    currency: Currency,
    /// `imported.csv` for a card that was put here, else the file it came with.
    #[schema(example = "config/policy/rates.csv")]
    source: String,
    /// Names the card in the explanation of every charge.
    sha256: String,
    /// Months and dates count in it.
    #[schema(example = "UTC")]
    time_zone: String,
    /// In force at the moment that is asked for.
    rows: Vec<RateRow>,
    /// In force later, from their date on.
    upcoming: Vec<RateRow>,
}

impl RateCardView {
    fn of(card: &RateCard, at: Timestamp, in_force: bool) -> Self {
        Self {
            in_force,
            currency: card.currency(),
            source: card.source().to_owned(),
            sha256: card.sha256().to_owned(),
            time_zone: card.time_zone().to_owned(),
            rows: card.rows(at),
            upcoming: card.upcoming(at),
        }
    }
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RateCardQuery {
    /// A card that was in force before, as a charge names it in `rate_card`. Nothing: the one in force.
    sha256: Option<String>,
    /// The moment whose rows are shown (RFC 3339), such as that of an old call. Nothing: now.
    at: Option<Timestamp>,
}

/// Reads the price list
///
/// The most exact row counts: the longest start of the customer's number, else the country, else the group that holds it,
/// else `*`. With `Accept: text/csv` the file as it was imported.
#[utoipa::path(get, path = "/v1/rate-card", tag = "wallet", params(RateCardQuery),
    responses(
        (status = 200, description = "The card", content((RateCardView = "application/json"), (String = "text/csv"))),
        Problems))]
async fn read(
    State(control): State<Shared>,
    caller: Caller,
    Params(query): Params<RateCardQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.may(Action::Read, Resource::Wallet)?;
    let terms = control.switchboard.terms();
    let at = query.at.unwrap_or_else(|| control.clock.now().wall);
    let mut response = match query.sha256.filter(|sha256| sha256 != terms.card.sha256()) {
        None if wants_csv(&headers) => csv(terms.card.csv().to_owned()),
        None => Answer(RateCardView::of(&terms.card, at, true)).into_response(),
        Some(sha256) => {
            let fine = sha256.len() == 64 && sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            if !fine {
                return Err(Problem::parameter("sha256", "64 digits 0-9 and a-f, as a charge names its `rate_card`"));
            }
            let (source, text) = control.store.rate_card(&sha256).await?.ok_or_else(Problem::not_found)?;
            match wants_csv(&headers) {
                true => csv(text),
                false => Answer(RateCardView::of(&RateCard::parse(&source, &text)?, at, false)).into_response(),
            }
        }
    };
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

fn csv(text: String) -> Response {
    ([(CONTENT_TYPE, "text/csv; charset=utf-8")], text).into_response()
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
    let view = RateCardView::of(&card, control.clock.now().wall, true);
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
