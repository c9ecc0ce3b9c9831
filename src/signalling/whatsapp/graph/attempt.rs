//! One try: one HTTP request, one answer, one verdict.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{StatusCode, Url};
use secrecy::ExposeSecret;

use crate::model::time::{Clock, Timestamp};

use super::super::payload::{Action, read_error};
use super::error::{GraphError, GraphErrorKind};
use super::{Account, Graph};

/// Meta's answers have a few hundred bytes. A wrong address may answer with a film.
const ANSWER_LEN_MAX: usize = 64 * 1024;

/// Everything that each try sends again, byte for byte.
pub(super) struct Request {
    url: Url,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Graph {
    pub(super) fn request(&self, from: Account<'_>, action: Action<'_>) -> Result<Request, GraphError> {
        let op = action.name();
        let id = from.number_id.as_str();
        // The only names of an identity's alphabet that a path would swallow.
        let url = Some(id).filter(|id| !matches!(*id, "." | ".."));
        let url = url.and_then(|id| Url::parse(&format!("{}/{id}/calls", self.base)).ok());
        let url = url.ok_or_else(|| GraphError::ours(op, "the number's id cannot be part of a web address"))?;
        let bearer = HeaderValue::from_str(&format!("Bearer {}", from.token.expose_secret()));
        let mut bearer = bearer.map_err(|_| GraphError::unusable_token(op))?;
        bearer.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, bearer);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(Request { url, headers, body: action.to_json() })
    }

    /// The body of a success, or what went wrong.
    pub(super) async fn attempt(
        &self,
        request: &Request,
        op: &'static str,
        timeout: Duration,
    ) -> Result<Vec<u8>, GraphError> {
        let sent = self
            .http
            .post(request.url.clone())
            .headers(request.headers.clone())
            .body(request.body.clone())
            .timeout(timeout)
            .send()
            .await;
        let mut response = sent.map_err(|error| GraphError::unanswered(op, &error))?;
        let (status, retry_after) = (response.status(), retry_after(response.headers()));
        let mut answer = Vec::new();
        // The status has told the outcome; an answer cut short can only cost us its words.
        while let Ok(Some(chunk)) = response.chunk().await {
            let room = ANSWER_LEN_MAX - answer.len();
            answer.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if answer.len() == ANSWER_LEN_MAX {
                break;
            }
        }
        let said = read_error(&answer);
        if status.is_success() && said.is_none() {
            return Ok(answer);
        }
        let mut error = GraphError::answered(op, status, said);
        if status == StatusCode::TOO_MANY_REQUESTS
            || error.kind == GraphErrorKind::RateLimited
            || status.is_server_error()
        {
            error.retry_after = retry_after;
        }
        Err(error)
    }
}

/// RFC 9110 section 10.2.3: seconds, or a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_millisecond();
    Some(Timestamp::from_millis(at).since(Clock.now().wall))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(text).unwrap());
            retry_after(&headers)
        };
        assert_eq!(read("3"), Some(Duration::from_secs(3)));
        assert_eq!(read(" 0 "), Some(Duration::ZERO));
        assert_eq!(read("Wed, 18 Nov 2020 09:46:40 GMT"), Some(Duration::ZERO), "a moment in the past");
        assert!(read("Wed, 18 Nov 2099 09:46:40 GMT").is_some_and(|wait| wait > Duration::from_secs(1_000_000)));
        for nonsense in ["", "soon", "-1", "1.5"] {
            assert_eq!(read(nonsense), None, "{nonsense}");
        }
    }
}
