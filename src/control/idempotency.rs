//! `Idempotency-Key` on every POST: the same request twice is done once. Kept for 24 h.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Shared;
use super::auth::Caller;
use super::extract::{BODY_BYTES_MAX, read_body};
use super::problem::{self, Code, Problem};
use super::request_id::RequestId;
use crate::store::Idempotent;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const KEY_LEN_MAX: usize = 255;

/// No answer of this API comes near it; one that did would not be kept.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// Changes run to their end even if the caller hangs up, so that none is left half done; and POSTs with a
/// key run once.
pub(crate) async fn layer(
    State(control): State<Shared>,
    caller: Caller,
    request_id: RequestId,
    request: Request,
    next: Next,
) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    let run = async move {
        match once(&control, &caller, &request_id, request, next).await {
            Ok(response) => response,
            Err(problem) => problem.into_response(),
        }
    };
    match tokio::spawn(run).await {
        Ok(response) => response,
        Err(broken) => match broken.try_into_panic() {
            // For the layer that answers panics.
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Problem::new(Code::Unavailable, "The gateway is stopping.").into_response(),
        },
    }
}

async fn once(
    control: &Shared,
    caller: &Caller,
    request_id: &RequestId,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let Some(key) = key(request.headers())? else {
        return Ok(next.run(request).await);
    };
    if request.method() != Method::POST {
        return Ok(next.run(request).await);
    }
    let (parts, body) = request.into_parts();
    let body = read_body(body, BODY_BYTES_MAX).await?;
    let path = parts.uri.path_and_query().map_or("", |path| path.as_str());
    let sha256 = fingerprint(path, parts.headers.get(CONTENT_TYPE), &body);

    let now = control.clock.now().wall;
    match control.store.idempotency_begin(&caller.name, &key, &sha256, now).await? {
        Idempotent::Fresh => {}
        Idempotent::Replay { status, content_type, body, location } => {
            return Ok(replay(status, &content_type, body, location.as_deref()));
        }
        Idempotent::Mismatch => {
            return Err(Problem::new(
                Code::IdempotencyKeyReused,
                "This Idempotency-Key came with another request within 24 h; choose a new one.",
            ));
        }
        Idempotent::InProgress => {
            return Err(Problem::new(
                Code::IdempotencyInProgress,
                "The first request with this Idempotency-Key has not been answered yet; try again shortly.",
            ));
        }
    }

    let claim = Claim { control: control.clone(), actor: caller.name.clone(), key, settled: false };
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    claim.settle(problem::render(response, request_id.as_str())).await
}

/// The right to answer for a key. Dropped without an answer (a panic), it frees the key again.
struct Claim {
    control: Shared,
    actor: String,
    key: String,
    settled: bool,
}

impl Claim {
    async fn settle(mut self, response: Response) -> Result<Response, Problem> {
        self.settled = true;
        let store = &self.control.store;
        // Nothing was decided: the same key may try again.
        let again = matches!(
            response.status(),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::INTERNAL_SERVER_ERROR | StatusCode::REQUEST_TIMEOUT
        );
        if again {
            store.idempotency_finish(&self.actor, &self.key, None).await?;
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let Ok(body) = axum::body::to_bytes(body, ANSWER_BYTES_MAX).await else {
            store.idempotency_finish(&self.actor, &self.key, None).await?;
            return Err(Problem::internal());
        };
        let text = |name| parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let kept = (
            parts.status.as_u16(),
            text(CONTENT_TYPE).unwrap_or("").to_owned(),
            body.to_vec(),
            text(LOCATION).map(str::to_owned),
        );
        store.idempotency_finish(&self.actor, &self.key, Some(kept)).await?;
        Ok(Response::from_parts(parts, Body::from(body)))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let (control, actor, key) =
            (self.control.clone(), std::mem::take(&mut self.actor), std::mem::take(&mut self.key));
        tokio::spawn(async move {
            if let Err(error) = control.store.idempotency_finish(&actor, &key, None).await {
                tracing::warn!(%error, "an idempotency key stays taken");
            }
        });
    }
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or("");
    let fine = (1..=KEY_LEN_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if !fine || values.next().is_some() {
        return Err(Problem::new(
            Code::InvalidIdempotencyKey,
            "Idempotency-Key: one value of 1 to 255 printable characters without spaces.",
        ));
    }
    Ok(Some(text.to_owned()))
}

/// What makes two requests the same. Lengths keep the parts apart.
pub(crate) fn fingerprint(path: &str, kind: Option<&HeaderValue>, body: &[u8]) -> String {
    let mut sha256 = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for part in [path.as_bytes(), kind.map_or(b"".as_slice(), HeaderValue::as_bytes), body] {
        sha256.update(&(part.len() as u64).to_be_bytes());
        sha256.update(part);
    }
    hex::encode(sha256.finish())
}

fn replay(status: u16, content_type: &str, body: Vec<u8>, location: Option<&str>) -> Response {
    let mut response = Body::from(body).into_response();
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let headers = response.headers_mut();
    for (name, text) in [(CONTENT_TYPE, Some(content_type)), (LOCATION, location)] {
        match text.map(HeaderValue::from_str) {
            Some(Ok(value)) if !value.is_empty() => {
                headers.insert(name, value);
            }
            _ => {
                headers.remove(name);
            }
        }
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    response
}
