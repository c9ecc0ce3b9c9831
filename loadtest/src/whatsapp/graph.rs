//! The Graph endpoints that a business uses for calls.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::config::BusinessNumber;
use super::connection::Scissors;
use super::faults::{Action, GraphFault};
use super::permission::PermissionRequest;
use super::sdp::{self, Expect};
use super::wire::GraphError;
use super::{Inner, call::Call};

/// The longest `biz_opaque_callback_data`.
const CALLBACK_DATA_BYTES_MAX: usize = 512;
/// A request that is never answered is let go after this, so that a forgotten one does not live for ever.
const NEVER: Duration = Duration::from_secs(600);

/// One request that arrived, and what it got.
#[derive(Clone, Debug)]
pub struct GraphRequest {
    /// What it asked for; `None`: an action that does not exist.
    pub action: Option<Action>,
    /// The call, if the request names one, or the new one.
    pub wacid: Option<String>,
    /// The body.
    pub body: Value,
    /// HTTP status of the answer (0: it was lost on purpose).
    pub status: u16,
    /// Meta's error code, when refused.
    pub code: Option<u32>,
    /// When it arrived.
    pub at: Instant,
}

pub(super) fn router(inner: Arc<Inner>) -> Router {
    Router::new()
        .route("/{version}/{number_id}/calls", post(calls))
        .route("/{version}/{number_id}/messages", post(messages))
        .route("/{version}/{number_id}/call_permissions", get(call_permissions))
        .fallback(|| async { GraphError::new(100, "Unknown path components").into_response() })
        .with_state(inner)
}

async fn calls(
    State(inner): State<Arc<Inner>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    Path((version, number_id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let at = Instant::now();
    let json: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let action = json["action"].as_str().and_then(Action::parse);
    let mut request =
        GraphRequest { action, wacid: text(&json, "call_id").ok(), body: json.clone(), status: 200, code: None, at };
    let fault = action.and_then(|action| inner.graph_faults.take(action));
    let result = match fault {
        Some(GraphFault::TimeOut) => {
            inner.note_request(GraphRequest { status: 0, ..request });
            tokio::time::sleep(NEVER).await;
            return StatusCode::GATEWAY_TIMEOUT.into_response();
        }
        Some(GraphFault::Status(status)) => {
            inner.note_request(GraphRequest { status, ..request });
            return StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE).into_response();
        }
        Some(GraphFault::Error(code)) => Err(GraphError::new(code, "this error was asked for")),
        Some(GraphFault::AnswerLost | GraphFault::AnswerLate(_)) | None => {
            let work = Arc::clone(&inner);
            // In a task of its own: a client that gives up does not undo what it asked for.
            let task = tokio::spawn(async move {
                let number = work.check_caller(&version, &number_id, &headers)?;
                work.perform(&number, action, &json).await
            });
            task.await.unwrap_or_else(|_| Err(GraphError::new(131_000, "the fake failed; its log says why")))
        }
    };
    match &result {
        Ok(answer) => {
            if let Some(id) = answer["calls"][0]["id"].as_str() {
                request.wacid = Some(id.to_owned());
            }
        }
        Err(error) => {
            request.status = error.status();
            request.code = Some(error.code);
        }
    }
    match fault {
        Some(GraphFault::AnswerLost) => {
            request.status = 0;
            scissors.cut();
        }
        Some(GraphFault::AnswerLate(delay)) => tokio::time::sleep(delay).await,
        _ => {}
    }
    inner.note_request(request);
    match result {
        Ok(answer) => Json(answer).into_response(),
        Err(error) => error.into_response(),
    }
}

async fn messages(
    State(inner): State<Arc<Inner>>,
    Path((version, number_id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let at = Instant::now();
    let json: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let result =
        inner.check_caller(&version, &number_id, &headers).and_then(|number| inner.take_message(&number, &json));
    let (status, code) = result.as_ref().map_or_else(|e| (e.status(), Some(e.code)), |_| (200, None));
    inner.note_request(GraphRequest { action: Some(Action::Message), wacid: None, body: json, status, code, at });
    match result {
        Ok(answer) => Json(answer).into_response(),
        Err(error) => error.into_response(),
    }
}

#[derive(Deserialize)]
struct PermissionQuery {
    user_wa_id: Option<String>,
    recipient: Option<String>,
}

async fn call_permissions(
    State(inner): State<Arc<Inner>>,
    Path((version, number_id)): Path<(String, String)>,
    Query(query): Query<PermissionQuery>,
    headers: HeaderMap,
) -> Response {
    let number = match inner.check_caller(&version, &number_id, &headers) {
        Ok(number) => number,
        Err(error) => return error.into_response(),
    };
    if let Some(GraphFault::Error(code)) = inner.graph_faults.take(Action::CallPermissions) {
        return GraphError::new(code, "this error was asked for").into_response();
    }
    let Some(customer) = inner.customer_of(query.user_wa_id.as_deref(), query.recipient.as_deref()) else {
        return GraphError::new(100, "user_wa_id or recipient is missing").into_response();
    };
    let (status, expires) = inner.permissions.status(&number.id, &customer.phone);
    let mut permission = json!({"status": status});
    if let Some(expires) = expires {
        permission["expiration_time"] = json!(expires);
    }
    let may_call = status != "no_permission";
    Json(json!({
        "messaging_product": "whatsapp",
        "permission": permission,
        "actions": [
            {"action_name": "send_call_permission_request", "can_perform_action": status != "permanent", "limits": [
                {"time_period": "PT24H", "max_allowed": 1, "current_usage": 0},
                {"time_period": "P7D", "max_allowed": 2, "current_usage": 0}]},
            {"action_name": "start_call", "can_perform_action": may_call, "limits": [
                {"time_period": "PT24H", "max_allowed": 100, "current_usage": 0}]}
        ]
    }))
    .into_response()
}

impl Inner {
    fn check_caller(&self, version: &str, number_id: &str, headers: &HeaderMap) -> Result<BusinessNumber, GraphError> {
        let is_version =
            version.strip_prefix('v').is_some_and(|rest| rest.split('.').all(|part| part.parse::<u16>().is_ok()));
        if !is_version {
            return Err(GraphError::new(100, "the path must begin with a version such as v26.0"));
        }
        let wanted = format!("Bearer {}", self.exchange.config.graph_token);
        if headers.get("authorization").and_then(|value| value.to_str().ok()) != Some(wanted.as_str()) {
            return Err(GraphError::new(190, "the access token is missing or wrong"));
        }
        let number = self.exchange.config.numbers.iter().find(|number| number.id == number_id);
        number.cloned().ok_or_else(|| GraphError::new(100, &format!("Object with ID '{number_id}' does not exist")))
    }

    async fn perform(
        self: &Arc<Self>,
        number: &BusinessNumber,
        action: Option<Action>,
        body: &Value,
    ) -> Result<Value, GraphError> {
        let action = action
            .ok_or_else(|| GraphError::new(100, "action must be connect, pre_accept, accept, reject or terminate"))?;
        only_known_fields(action, body)?;
        if body["messaging_product"] != "whatsapp" {
            return Err(GraphError::new(100, "messaging_product must be whatsapp"));
        }
        if action == Action::Connect {
            return self.start_business_call(number, body).await;
        }
        let wacid = text(body, "call_id")?;
        let known = self.call_by_id(&wacid).filter(|call| call.number.id == number.id);
        let call = known.ok_or_else(|| GraphError::new(100, "call_id names no call of this number"))?;
        match action {
            Action::PreAccept => call.pre_accept(&session(body, "answer")?).await?,
            Action::Accept => {
                note_callback_data(&call, body)?;
                call.accept(&session(body, "answer")?).await?;
            }
            Action::Reject => call.reject()?,
            _ => call.terminate()?,
        }
        Ok(json!({"messaging_product": "whatsapp", "success": true}))
    }

    async fn start_business_call(self: &Arc<Self>, number: &BusinessNumber, body: &Value) -> Result<Value, GraphError> {
        let offer = session(body, "offer")?;
        let refused = |reason: String| GraphError::new(138_008, &format!("SDP Validation error: {reason}"));
        let customer = self
            .customer_of(body["to"].as_str(), body["recipient"].as_str())
            .ok_or_else(|| GraphError::new(100, "to or recipient is missing, or names nobody"))?;
        if self.exchange.config.enforce_permission && !self.permissions.may_call(&number.id, &customer.phone) {
            return Err(GraphError::new(138_006, "the recipient has not permitted calls"));
        }
        let plan = self.plan_of(&customer);
        let theirs = sdp::check(&offer, Expect::Offer);
        let theirs = match (theirs, plan.options.external.is_some()) {
            (Ok(theirs), _) => theirs,
            (Err(reason), _) => return Err(refused(reason)),
        };
        let call = self
            .new_outbound(number, customer, plan)
            .map_err(|()| GraphError::new(138_003, "a call with this user is running"))?;
        note_callback_data(&call, body)?;
        call.start_business_initiated(&offer, theirs).await?;
        self.announce_outbound(&call);
        Ok(json!({"messaging_product": "whatsapp", "calls": [{"id": call.wacid}]}))
    }

    fn take_message(&self, number: &BusinessNumber, body: &Value) -> Result<Value, GraphError> {
        if body["messaging_product"] != "whatsapp" {
            return Err(GraphError::new(100, "messaging_product must be whatsapp"));
        }
        let customer = self
            .customer_of(body["to"].as_str(), body["recipient"].as_str())
            .ok_or_else(|| GraphError::new(100, "to or recipient is missing"))?;
        match self.graph_faults.take(Action::Message) {
            Some(GraphFault::Error(code)) => return Err(GraphError::new(code, "this error was asked for")),
            Some(_) => return Err(GraphError::new(131_000, "this failure was asked for")),
            None => {}
        }
        let is_request = body["interactive"]["type"] == "call_permission_request" || body["type"] == "template";
        if is_request {
            if self.permissions.status(&number.id, &customer.phone).0 == "permanent" {
                return Err(GraphError::new(138_017, "the user has granted permanent permission"));
            }
        } else if body["type"] != "interactive" && body["type"] != "text" {
            return Err(GraphError::new(100, "this message type is not known here"));
        }
        let wamid = format!("wamid.{:016X}", rand::random::<u64>());
        if is_request {
            self.permissions.request(
                &number.id,
                PermissionRequest { wamid: wamid.clone(), to: customer.phone.clone(), body: body.clone() },
            );
        }
        Ok(json!({
            "messaging_product": "whatsapp",
            "contacts": [{"input": customer.phone, "wa_id": customer.phone}],
            "messages": [{"id": wamid}]
        }))
    }
}

/// Graph refuses what it does not know; that has broken live products.
fn only_known_fields(action: Action, body: &Value) -> Result<(), GraphError> {
    let object = body.as_object().ok_or_else(|| GraphError::new(100, "the body must be a JSON object"))?;
    let own: &[&str] = match action {
        Action::Connect => &["to", "recipient", "session", "biz_opaque_callback_data", "recording", "transcription"],
        // `to` beside `call_id` is in Meta's own samples and tolerated.
        Action::PreAccept => &["call_id", "to", "session"],
        Action::Accept => &["call_id", "to", "session", "biz_opaque_callback_data", "recording", "transcription"],
        _ => &["call_id"],
    };
    let unknown = object
        .keys()
        .find(|key| !["messaging_product", "action"].contains(&key.as_str()) && !own.contains(&key.as_str()));
    if let Some(key) = unknown {
        return Err(GraphError::new(100, &format!("Unexpected key \"{key}\" on param")));
    }
    let session = object.get("session").and_then(Value::as_object);
    if let Some(key) = session.and_then(|s| s.keys().find(|key| !["sdp_type", "sdp"].contains(&key.as_str()))) {
        return Err(GraphError::new(100, &format!("Unexpected key \"{key}\" on param \"session\"")));
    }
    Ok(())
}

fn session(body: &Value, sdp_type: &str) -> Result<String, GraphError> {
    let session = &body["session"];
    if session["sdp_type"] != sdp_type {
        return Err(GraphError::new(100, &format!("session.sdp_type must be {sdp_type}")));
    }
    let sdp = session["sdp"].as_str().ok_or_else(|| GraphError::new(100, "session.sdp must be a string"))?;
    Ok(sdp.to_owned())
}

fn note_callback_data(call: &Call, body: &Value) -> Result<(), GraphError> {
    match body.get("biz_opaque_callback_data").map(Value::as_str) {
        None => Ok(()),
        Some(Some(data)) if data.len() <= CALLBACK_DATA_BYTES_MAX => {
            call.set_callback_data(data);
            Ok(())
        }
        Some(_) => Err(GraphError::new(100, "biz_opaque_callback_data must be a string of at most 512 bytes")),
    }
}

fn text(body: &Value, key: &str) -> Result<String, GraphError> {
    body[key].as_str().map(str::to_owned).ok_or_else(|| GraphError::new(100, &format!("{key} must be a string")))
}
