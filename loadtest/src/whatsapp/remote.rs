//! Remote control of the fake by HTTP, for people who test another program against it.

mod rules;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{CallHandle, Customer, FakeWhatsApp, Grant, GraphRequest, InboundCall, Script, Step, TEMPORARY};
use crate::sound::Sound;

/// The routes:
///
/// - `GET /calls`, `POST /calls`, `POST /calls/{wacid}/hangup`, `/speak`, `/dtmf/{keys}`
/// - `POST /permissions`, `GET /permission-requests`, `POST /permission-requests/{wamid}/answer`, `GET /nudges`
/// - `POST /messages` (a customer writes), `GET /requests`, `GET /reads`
/// - `GET /clock`, `POST /clock` (`{"advance_s":86400}`)
/// - `GET /numbers/{id}/settings`, `POST /numbers/{id}/settings` (the keys of `calling` to change),
///   `POST /numbers/{id}/warnings`, `POST /numbers/{id}/restrictions`
pub fn remote_control(wa: FakeWhatsApp) -> Router {
    Router::new()
        .route("/calls", get(list).post(call))
        .route("/calls/{wacid}/hangup", post(hang_up))
        .route("/calls/{wacid}/speak", post(speak))
        .route("/calls/{wacid}/dtmf/{keys}", post(dtmf))
        .route("/permissions", post(permission))
        .route("/requests", get(requests))
        .merge(rules::routes())
        .with_state(wa)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallBody {
    /// Digits of the customer.
    from: String,
    name: Option<String>,
    /// Phone number id of the business.
    number_id: Option<String>,
    /// Gives up ringing after this time.
    hang_up_ringing_ms: Option<u64>,
    /// Hangs up this long after the pick-up.
    hang_up_after_ms: Option<u64>,
    /// Says the embedded speech again and again; default yes.
    speaks: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PermissionBody {
    phone: String,
    /// `temporary`, `permanent`, `profile`, `declined` or `revoked`.
    kind: String,
}

async fn list(State(wa): State<FakeWhatsApp>) -> Json<Value> {
    Json(json!({"items": wa.calls().iter().map(show).collect::<Vec<_>>()}))
}

async fn call(State(wa): State<FakeWhatsApp>, Json(body): Json<CallBody>) -> (StatusCode, Json<Value>) {
    let millis = std::time::Duration::from_millis;
    let mut script = Script {
        hang_up_ringing: body.hang_up_ringing_ms.map(millis),
        hang_up_after: body.hang_up_after_ms.map(millis),
        ..Script::default()
    };
    if body.speaks != Some(false) {
        script = script.step(Step::SpeakForever(Sound::caller()));
    }
    let from = Customer { name: body.name, ..Customer::new(&body.from) };
    let call = InboundCall { from, number_id: body.number_id, script, ..InboundCall::from(&body.from) };
    match wa.call(call).await {
        Ok(call) => (StatusCode::CREATED, Json(show(&call))),
        Err(error) => (StatusCode::CONFLICT, Json(json!({"error": format!("{error:#}")}))),
    }
}

async fn hang_up(State(wa): State<FakeWhatsApp>, Path(wacid): Path<String>) -> (StatusCode, Json<Value>) {
    with_call(&wa, &wacid, CallHandle::hang_up)
}

async fn speak(State(wa): State<FakeWhatsApp>, Path(wacid): Path<String>) -> (StatusCode, Json<Value>) {
    with_call(&wa, &wacid, |call| call.speak(&Sound::caller()))
}

async fn dtmf(
    State(wa): State<FakeWhatsApp>,
    Path((wacid, keys)): Path<(String, String)>,
) -> (StatusCode, Json<Value>) {
    with_call(&wa, &wacid, |call| call.dtmf(&keys))
}

async fn permission(State(wa): State<FakeWhatsApp>, Json(body): Json<PermissionBody>) -> (StatusCode, Json<Value>) {
    let result = match body.kind.as_str() {
        "temporary" => wa.grant_permission(&body.phone, Grant::Temporary { expires_in: TEMPORARY }).await,
        "permanent" => wa.grant_permission(&body.phone, Grant::Permanent).await,
        "profile" => wa.grant_permission(&body.phone, Grant::FromProfile).await,
        "declined" => wa.decline_permission(&body.phone).await,
        "revoked" => wa.revoke_permission(&body.phone).await,
        other => Err(anyhow::anyhow!("kind {other:?} is none of temporary, permanent, profile, declined, revoked")),
    };
    told(result)
}

/// The answer after something that a webhook told.
fn told(result: anyhow::Result<()>) -> (StatusCode, Json<Value>) {
    match result {
        Ok(()) => (StatusCode::OK, Json(json!({"told": true}))),
        Err(error) => (StatusCode::BAD_REQUEST, Json(json!({"error": format!("{error:#}")}))),
    }
}

async fn requests(State(wa): State<FakeWhatsApp>) -> Json<Value> {
    show_requests(wa.requests())
}

fn show_requests(requests: Vec<GraphRequest>) -> Json<Value> {
    let items = requests.into_iter().map(|request| {
        json!({"action": request.action.map(|action| format!("{action:?}")), "number_id": request.number_id,
               "wacid": request.wacid, "status": request.status, "code": request.code, "body": request.body})
    });
    Json(json!({"items": items.collect::<Vec<_>>()}))
}

fn with_call(wa: &FakeWhatsApp, wacid: &str, act: impl FnOnce(&CallHandle)) -> (StatusCode, Json<Value>) {
    match wa.find(wacid) {
        Some(call) => {
            act(&call);
            (StatusCode::OK, Json(show(&call)))
        }
        None => (StatusCode::NOT_FOUND, Json(json!({"error": "no such call: list them with GET /calls"}))),
    }
}

fn show(call: &CallHandle) -> Value {
    let stats = call.stats();
    json!({
        "wacid": call.wacid(),
        "direction": format!("{:?}", call.direction()),
        "customer": {"phone": call.customer().phone, "user_id": call.customer().user_id, "name": call.customer().name},
        "answered": call.is_answered(),
        "ended": call.ending().map(|ended| json!({"by": format!("{:?}", ended.by), "failed": ended.failed, "error": ended.error})),
        "unavailable": call.unavailable().map(|why| format!("{why:?}")),
        "timeline": call.timeline().into_iter().map(|moment| format!("{:?}", moment.what)).collect::<Vec<_>>(),
        "violations": call.violations().into_iter().map(|violation| format!("{violation:?}")).collect::<Vec<_>>(),
        "packets_received": stats.packets_received,
        "packets_lost": stats.packets_lost,
        "packets_sent": stats.packets_sent,
        "jitter_ms": stats.jitter_ms,
    })
}
