//! The Graph endpoints that a business uses for calls.

mod calls;
mod messages;
mod permissions;
mod templates;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Inner;
use super::config::BusinessNumber;
use super::connection::Scissors;
use super::faults::{Action, GraphFault, Kind};
use super::webhook::Notice;
use super::wire::GraphError;
use permissions::PermissionQuery;

/// A request that is never answered is let go after this, so that a forgotten one does not live for ever.
const NEVER: Duration = Duration::from_secs(600);

/// One request that arrived, and what it got.
#[derive(Clone, Debug)]
pub struct GraphRequest {
    /// What it asked for; `None`: an action that does not exist.
    pub action: Option<Action>,
    /// The number, or the account, in its path.
    pub number_id: String,
    /// The call, if the request names one, or the new one.
    pub wacid: Option<String>,
    /// The body; of a GET its query.
    pub body: Value,
    /// HTTP status of the answer (0: it was lost on purpose).
    pub status: u16,
    /// Meta's error code, when refused.
    pub code: Option<u32>,
    /// When it arrived.
    pub at: Instant,
}

impl GraphRequest {
    fn new(action: Option<Action>, number_id: &str, body: Value) -> Self {
        let wacid = text(&body, "call_id").ok();
        Self { action, number_id: number_id.to_owned(), wacid, body, status: 200, code: None, at: Instant::now() }
    }
}

pub(super) fn router(inner: Arc<Inner>) -> Router {
    Router::new()
        .route("/{version}/{number_id}/calls", post(calls))
        .route("/{version}/{number_id}/messages", post(messages))
        .route("/{version}/{number_id}/call_permissions", get(call_permissions))
        .route("/{version}/{number_id}/settings", get(read_settings).post(change_settings))
        .route("/{version}/{account_id}/message_templates", get(message_templates))
        .route("/{version}/{account_id}", get(account))
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
    let json = read_json(&body);
    let action = json["action"].as_str().and_then(Action::parse);
    let request = GraphRequest::new(action, &number_id, json.clone());
    let work = Arc::clone(&inner);
    answer(inner, scissors, request, async move {
        let number = work.check_caller(&version, &number_id, &headers)?;
        work.perform(&number, action, &json).await
    })
    .await
}

async fn messages(
    State(inner): State<Arc<Inner>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    Path((version, number_id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let json = read_json(&body);
    let request = GraphRequest::new(Some(Action::Message), &number_id, json.clone());
    let work = Arc::clone(&inner);
    answer(inner, scissors, request, async move {
        let number = work.check_caller(&version, &number_id, &headers)?;
        work.take_message(&number, &json)
    })
    .await
}

async fn call_permissions(
    State(inner): State<Arc<Inner>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    Path((version, number_id)): Path<(String, String)>,
    Query(query): Query<PermissionQuery>,
    headers: HeaderMap,
) -> Response {
    let request = GraphRequest::new(Some(Action::CallPermissions), &number_id, query.shown());
    let work = Arc::clone(&inner);
    answer(inner, scissors, request, async move {
        let number = work.check_caller(&version, &number_id, &headers)?;
        work.show_permission(&number, &query)
    })
    .await
}

async fn read_settings(
    State(inner): State<Arc<Inner>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    Path((version, number_id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let request = GraphRequest::new(Some(Action::ReadSettings), &number_id, Value::Null);
    let work = Arc::clone(&inner);
    answer(inner, scissors, request, async move {
        let number = work.check_caller(&version, &number_id, &headers)?;
        Ok(json!({"calling": work.shown_settings(&number)}))
    })
    .await
}

async fn change_settings(
    State(inner): State<Arc<Inner>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    Path((version, number_id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let json = read_json(&body);
    let request = GraphRequest::new(Some(Action::Settings), &number_id, json.clone());
    let work = Arc::clone(&inner);
    answer(inner, scissors, request, async move {
        let number = work.check_caller(&version, &number_id, &headers)?;
        let body = json.as_object().ok_or_else(|| GraphError::new(100, "the body must be a JSON object"))?;
        refuse_unknown(body, &["calling"], "")?;
        work.exchange.settings.change(&number.id, &json["calling"], work.exchange.clock.now())?;
        let (value, faults) = work.settings_update(&number);
        let notice = Notice { wacid: None, kind: Kind::SettingsUpdate, field: "account_settings_update", value };
        drop(work.send(notice, faults));
        Ok(json!({"success": true}))
    })
    .await
}

#[derive(Deserialize)]
struct AccountQuery {
    fields: Option<String>,
}

async fn account(
    State(inner): State<Arc<Inner>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    Path((version, account_id)): Path<(String, String)>,
    Query(query): Query<AccountQuery>,
    headers: HeaderMap,
) -> Response {
    let request = GraphRequest::new(Some(Action::Analytics), &account_id, json!({"fields": query.fields}));
    let work = Arc::clone(&inner);
    answer(inner, scissors, request, async move {
        work.check_token(&version, &headers)?;
        let config = &work.exchange.config;
        if account_id != config.account_id {
            return Err(GraphError::new(100, &format!("Object with ID '{account_id}' does not exist")));
        }
        work.exchange.counted.answer(&account_id, query.fields.as_deref().unwrap_or_default(), config.price_per_minute)
    })
    .await
}

async fn message_templates(
    State(inner): State<Arc<Inner>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    Path((version, account_id)): Path<(String, String)>,
    Query(query): Query<templates::TemplatesQuery>,
    headers: HeaderMap,
) -> Response {
    let request = GraphRequest::new(Some(Action::Templates), &account_id, Value::Null);
    let work = Arc::clone(&inner);
    answer(inner, scissors, request, async move {
        work.check_token(&version, &headers)?;
        if account_id != work.exchange.config.account_id {
            return Err(GraphError::new(100, &format!("Object with ID '{account_id}' does not exist")));
        }
        templates::page(&query)
    })
    .await
}

/// Does the work and answers, unless a fault was asked for.
async fn answer(
    inner: Arc<Inner>,
    scissors: Scissors,
    mut request: GraphRequest,
    work: impl Future<Output = Result<Value, GraphError>> + Send + 'static,
) -> Response {
    let fault = request.action.and_then(|action| inner.graph_faults.take(action));
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
            // In a task of its own: a client that gives up does not undo what it asked for.
            let done = tokio::spawn(work).await;
            done.unwrap_or_else(|_| Err(GraphError::new(131_000, "the fake failed; its log says why")))
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

impl Inner {
    fn check_caller(&self, version: &str, number_id: &str, headers: &HeaderMap) -> Result<BusinessNumber, GraphError> {
        self.check_token(version, headers)?;
        let number = self.exchange.config.numbers.iter().find(|number| number.id == number_id);
        number.cloned().ok_or_else(|| GraphError::new(100, &format!("Object with ID '{number_id}' does not exist")))
    }

    fn check_token(&self, version: &str, headers: &HeaderMap) -> Result<(), GraphError> {
        let is_version =
            version.strip_prefix('v').is_some_and(|rest| rest.split('.').all(|part| part.parse::<u16>().is_ok()));
        if !is_version {
            return Err(GraphError::new(100, "the path must begin with a version such as v26.0"));
        }
        let wanted = format!("Bearer {}", self.exchange.config.graph_token);
        if headers.get("authorization").and_then(|value| value.to_str().ok()) != Some(wanted.as_str()) {
            return Err(GraphError::new(190, "the access token is missing or wrong"));
        }
        Ok(())
    }
}

fn read_json(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or(Value::Null)
}

/// Graph refuses what it does not know; that has broken live products. `param` names the object, empty for the body.
fn refuse_unknown(object: &Map<String, Value>, known: &[&str], param: &str) -> Result<(), GraphError> {
    let Some(key) = object.keys().find(|key| !known.contains(&key.as_str())) else { return Ok(()) };
    let place = if param.is_empty() { String::new() } else { format!(" \"{param}\"") };
    Err(GraphError::new(100, &format!("Unexpected key \"{key}\" on param{place}")))
}

fn text(body: &Value, key: &str) -> Result<String, GraphError> {
    body[key].as_str().map(str::to_owned).ok_or_else(|| GraphError::new(100, &format!("{key} must be a string")))
}
