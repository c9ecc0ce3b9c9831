//! Remote control of what surrounds calls: time, messages, permissions, settings, pauses.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{FakeWhatsApp, Grant, Restriction, TEMPORARY, Warning};
use super::{show_requests, told};

/// How long a pause lasts when nothing is said.
const PAUSE_SECONDS: u64 = 7 * 24 * 3_600;

type Answer = (StatusCode, Json<Value>);

pub(super) fn routes() -> Router<FakeWhatsApp> {
    Router::new()
        .route("/clock", get(clock).post(advance))
        .route("/messages", post(message))
        .route("/permission-requests", get(permission_requests))
        .route("/permission-requests/{wamid}/answer", post(answer))
        .route("/nudges", get(nudges))
        .route("/reads", get(reads))
        .route("/numbers/{id}/settings", get(settings).post(change_settings))
        .route("/numbers/{id}/warnings", post(warning))
        .route("/numbers/{id}/restrictions", post(restriction))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockBody {
    advance_s: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MessageBody {
    /// Digits of the customer.
    phone: String,
    text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnswerBody {
    /// `temporary`, `permanent` or `declined`.
    kind: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WarningBody {
    /// `business_initiated_quality`, `user_initiated_quality` or `pick_up_rate`.
    kind: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RestrictionBody {
    /// `business_initiated`, `user_initiated`, `both` or `button_hidden`.
    kind: String,
    /// By the fake's clock; a week when missing.
    expires_in_s: Option<u64>,
}

async fn clock(State(wa): State<FakeWhatsApp>) -> Json<Value> {
    Json(json!({"now": wa.now()}))
}

async fn advance(State(wa): State<FakeWhatsApp>, Json(body): Json<ClockBody>) -> Json<Value> {
    wa.advance(Duration::from_secs(body.advance_s));
    Json(json!({"now": wa.now()}))
}

async fn message(State(wa): State<FakeWhatsApp>, Json(body): Json<MessageBody>) -> Answer {
    told(wa.customer_writes(&body.phone, &body.text).await.map(drop))
}

async fn permission_requests(State(wa): State<FakeWhatsApp>) -> Json<Value> {
    let items = wa.permission_requests().into_iter().map(|request| {
        json!({"number_id": request.number_id, "wamid": request.wamid, "to": request.to, "body": request.body})
    });
    Json(json!({"items": items.collect::<Vec<_>>()}))
}

async fn answer(State(wa): State<FakeWhatsApp>, Path(wamid): Path<String>, Json(body): Json<AnswerBody>) -> Answer {
    let grant = match body.kind.as_str() {
        "temporary" => Some(Grant::Temporary { expires_in: TEMPORARY }),
        "permanent" => Some(Grant::Permanent),
        "declined" => None,
        other => return unknown(other, "temporary, permanent, declined"),
    };
    told(wa.answer_request(&wamid, grant).await)
}

async fn nudges(State(wa): State<FakeWhatsApp>) -> Json<Value> {
    let items = wa
        .nudges()
        .into_iter()
        .map(|nudge| json!({"number_id": nudge.number_id, "phone": nudge.phone, "at": nudge.at}));
    Json(json!({"items": items.collect::<Vec<_>>()}))
}

async fn reads(State(wa): State<FakeWhatsApp>) -> Json<Value> {
    show_requests(wa.reads())
}

async fn settings(State(wa): State<FakeWhatsApp>, Path(id): Path<String>) -> Answer {
    match wa.settings(&id) {
        Ok(calling) => (StatusCode::OK, Json(json!({"calling": calling}))),
        Err(error) => (StatusCode::NOT_FOUND, Json(json!({"error": format!("{error:#}")}))),
    }
}

async fn change_settings(State(wa): State<FakeWhatsApp>, Path(id): Path<String>, Json(body): Json<Value>) -> Answer {
    told(wa.change_settings(&id, &body).await)
}

async fn warning(State(wa): State<FakeWhatsApp>, Path(id): Path<String>, Json(body): Json<WarningBody>) -> Answer {
    let warning = match body.kind.as_str() {
        "business_initiated_quality" => Warning::LowBusinessInitiatedQuality,
        "user_initiated_quality" => Warning::LowUserInitiatedQuality,
        "pick_up_rate" => Warning::LowPickUpRate,
        other => return unknown(other, "business_initiated_quality, user_initiated_quality, pick_up_rate"),
    };
    told(wa.warn(&id, warning).await)
}

async fn restriction(
    State(wa): State<FakeWhatsApp>,
    Path(id): Path<String>,
    Json(body): Json<RestrictionBody>,
) -> Answer {
    let restriction = match body.kind.as_str() {
        "business_initiated" => Restriction::BusinessInitiated,
        "user_initiated" => Restriction::UserInitiated,
        "both" => Restriction::Both,
        "button_hidden" => Restriction::ButtonHidden,
        other => return unknown(other, "business_initiated, user_initiated, both, button_hidden"),
    };
    let length = Duration::from_secs(body.expires_in_s.unwrap_or(PAUSE_SECONDS));
    told(wa.restrict(&id, restriction, length).await)
}

fn unknown(kind: &str, known: &str) -> Answer {
    (StatusCode::BAD_REQUEST, Json(json!({"error": format!("kind {kind:?} is none of {known}")})))
}
