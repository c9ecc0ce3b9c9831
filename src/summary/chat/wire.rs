//! One question to the endpoint and its answer, over as many tries as the time allows.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::summary::config::Config;

use super::ChatError;
use super::prompt::{self, Message};

/// Names, dates and decisions are wanted, not ideas.
const TEMPERATURE: f32 = 0.2;
/// With one answer in five an error, four tries fail together once in 625.
const TRIES_MAX: u32 = 4;
/// Before the second try; doubles with each further one.
const PAUSE: Duration = Duration::from_millis(500);
/// A summary is some 4 kB. A server that sends more has lost its way.
const ANSWER_BYTES_MAX: usize = 1 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How the endpoint is bound to JSON, best first. Not every server knows the better ones.
const FORMATS: [Format; 3] = [Format::Schema, Format::Object, Format::Plain];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Schema,
    Object,
    Plain,
}

/// The way to the endpoint.
#[derive(Debug)]
pub(super) struct Wire {
    http: reqwest::Client,
    url: String,
    model: String,
    key: Option<SecretString>,
    /// Place in [`FORMATS`] of the best one that has worked, so that a refused one is not tried for every call.
    format: AtomicUsize,
}

/// A refusal or failure of one try.
enum Failure {
    /// Another try may help, after this pause if the server names one.
    Passing(ChatError, Option<Duration>),
    /// The server does not know this format.
    Format(ChatError),
    Final(ChatError),
}

impl Wire {
    pub(super) fn new(config: &Config, key: Option<SecretString>) -> Result<Self, reqwest::Error> {
        let mut http = reqwest::Client::builder()
            .user_agent(concat!("tandem/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            // A redirect would carry the transcript and the key to whoever named it.
            .redirect(reqwest::redirect::Policy::none())
            // The library's own retries know nothing of ours.
            .retry(reqwest::retry::never());
        if config.url.starts_with("http:") {
            // A server of one's own network: no proxy leads to it, and no CA certificates are needed to reach it.
            http = http.no_proxy().tls_certs_only([]);
        }
        Ok(Self {
            http: http.build()?,
            url: format!("{}/chat/completions", config.url.trim_end_matches('/')),
            model: config.model.clone(),
            key,
            format: AtomicUsize::new(0),
        })
    }

    /// The text of the model's answer.
    pub(super) async fn ask(&self, messages: &[Message], until: Instant) -> Result<String, ChatError> {
        let mut format = self.format.load(Ordering::Relaxed);
        let mut tried = 0;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ChatError::TooSlow);
            }
            let failure = match self.attempt(messages, FORMATS[format], left).await {
                Ok(answer) => {
                    self.format.store(format, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(failure) => failure,
            };
            match failure {
                Failure::Format(_) if format + 1 < FORMATS.len() => format += 1,
                Failure::Format(error) | Failure::Final(error) => return Err(error),
                Failure::Passing(error, named) => {
                    tried += 1;
                    let pause = (PAUSE * 2_u32.pow(tried - 1)).max(named.unwrap_or_default());
                    if tried == TRIES_MAX || pause >= until.saturating_duration_since(Instant::now()) {
                        return Err(error);
                    }
                    tracing::debug!(tried, ?pause, %error, "the summary's endpoint is asked again");
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    async fn attempt(&self, messages: &[Message], format: Format, left: Duration) -> Result<String, Failure> {
        let mut body = json!({ "model": self.model, "messages": messages, "temperature": TEMPERATURE });
        match format {
            Format::Schema => {
                let schema = json!({ "name": "call_summary", "strict": true, "schema": prompt::schema() });
                body["response_format"] = json!({ "type": "json_schema", "json_schema": schema });
            }
            Format::Object => body["response_format"] = json!({ "type": "json_object" }),
            Format::Plain => {}
        }
        let mut request = self.http.post(&self.url).timeout(left).json(&body);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.expose_secret());
        }
        let response = request.send().await.map_err(lost)?;
        let status = response.status();
        let named = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let bytes = body_of(response).await?;
        let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if status.is_success() {
            return content(&body).map_err(Failure::Final);
        }
        let error = ChatError::Refused { status: status.as_u16(), message: message(&body) };
        Err(match status.as_u16() {
            408 | 429 | 500.. => Failure::Passing(error, named.map(Duration::from_secs)),
            400 | 422 => Failure::Format(error),
            _ => Failure::Final(error),
        })
    }
}

async fn body_of(mut response: reqwest::Response) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(lost)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > ANSWER_BYTES_MAX {
            return Err(Failure::Final(ChatError::Unusable("it is longer than 1 MB".to_owned())));
        }
    }
    Ok(bytes)
}

fn lost(error: reqwest::Error) -> Failure {
    // The time of a try is all that was left, so there is none for another.
    if error.is_timeout() && !error.is_connect() {
        return Failure::Final(ChatError::TooSlow);
    }
    Failure::Passing(ChatError::Unreachable(error.without_url()), None)
}

/// `choices[0].message.content`: a text, or a list of pieces of text.
fn content(body: &Value) -> Result<String, ChatError> {
    let message = &body["choices"][0]["message"];
    let text = match &message["content"] {
        Value::String(text) => text.clone(),
        Value::Array(pieces) => pieces.iter().filter_map(|piece| piece["text"].as_str()).collect(),
        _ => String::new(),
    };
    if text.trim().is_empty() {
        let why = if message["refusal"].is_string() { "the model refused" } else { "it holds no text" };
        return Err(ChatError::Unusable(why.to_owned()));
    }
    Ok(text)
}

/// The server's own words, short: `{"error":{"message":"…"}}` or `{"error":"…"}`.
fn message(body: &Value) -> String {
    const CHARS_MAX: usize = 200;
    let error = &body["error"];
    let text =
        [&error["message"], error, &body["message"]].into_iter().find_map(Value::as_str).unwrap_or("no reason given");
    text.chars().take(CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
