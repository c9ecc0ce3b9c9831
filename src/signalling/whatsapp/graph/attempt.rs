//! One try: one HTTP request, one answer, one verdict.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::model::time::{Clock, Timestamp};

use super::super::payload::read_error;
use super::Graph;
use super::error::{GraphError, GraphErrorKind};
use super::request::Request;

/// Meta's answers have a few hundred bytes. A wrong address may answer with a film.
const ANSWER_LEN_MAX: usize = 64 * 1024;

impl Graph {
    /// The body of a success, or what went wrong.
    pub(super) async fn attempt(&self, request: &Request, timeout: Duration) -> Result<Vec<u8>, GraphError> {
        let op = request.op;
        let mut sending =
            self.http.request(request.method(), request.url.clone()).headers(request.headers.clone()).timeout(timeout);
        if let Some(body) = &request.body {
            sending = sending.body(body.clone());
        }
        let sent = sending.send().await;
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
    use reqwest::header::HeaderValue;

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
