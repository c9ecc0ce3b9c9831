//! Every answer carries `X-Request-Id`: the caller's own if it is a plain word, else a fresh one.

use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, Request};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

use super::problem::{self, Problem};
use crate::model::time::Clock;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// Names one request in logs and refusals.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(Arc<str>);

impl RequestId {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    fn of(request: &Request) -> Self {
        let given = request.headers().get(&HEADER).and_then(|value| value.to_str().ok());
        match given.filter(|text| is_plain(text)) {
            Some(text) => Self(text.into()),
            None => Self(format!("req_{}", uuid::Uuid::now_v7().simple()).into()),
        }
    }
}

/// What may be written into a log line and a header without a second thought.
fn is_plain(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

impl<S: Send + Sync> FromRequestParts<S> for RequestId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(parts.extensions.get::<Self>().cloned().expect("the layer below names every request"))
    }
}

/// Outermost layer: names the request, writes refusals out, and logs what was done. Neither headers nor
/// the query are logged: both carry secrets.
pub(crate) async fn layer(mut request: Request, next: Next) -> Response {
    let id = RequestId::of(&request);
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let started = Clock.instant();
    request.extensions_mut().insert(id.clone());

    let mut response = problem::render(next.run(request).await, id.as_str());

    let value = HeaderValue::from_str(id.as_str()).expect("a plain word is a header value");
    response.headers_mut().insert(HEADER, value);
    tracing::debug!(
        request_id = id.as_str(),
        %method,
        route = route.as_deref().unwrap_or("-"),
        status = response.status().as_u16(),
        elapsed_ms = started.elapsed().as_millis() as u64,
        "request"
    );
    response
}
