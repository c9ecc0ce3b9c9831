//! Asks WhatsApp to do something: the calling endpoint and its five actions ([`calls`]), permission requests
//! ([`messages`]), its books on a customer ([`permissions`]) and on calls ([`analytics`]), a number's settings
//! ([`settings`]).
//!
//! An answer may be lost after the deed is done, so every retry must be harmless. Each try sends the same bytes. An
//! `accept` whose first try got no answer and whose second hears "already accepted" has worked; a call that is to end and
//! is over has ended. A `connect` is different, since a second one is a second call to a person, and a permission request
//! is a second message: they are repeated only when the first provably never reached Meta, and otherwise reported as
//! [`GraphErrorKind::UnknownOutcome`], whereupon the webhook of the call may still tell its id.

mod analytics;
mod attempt;
mod calls;
mod error;
mod messages;
mod permissions;
mod request;
mod settings;
mod templates;

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use crate::model::id::NumberId;
use crate::model::time::Clock;

use super::config::Config;

pub use error::{GraphError, GraphErrorKind};
use request::{Repeat, Request};

/// Told after each try: the action, `ok` or what went wrong (a closed list, fit for a metric's label), and how long it took.
pub type Observe = Arc<dyn Fn(&'static str, &str, Duration) + Send + Sync>;

/// With one answer in five an error, four tries fail together once in 625.
const TRIES_MAX: u32 = 4;
/// Pause before the second try; doubles with each further one.
const PAUSE: Duration = Duration::from_millis(200);
/// The way to WhatsApp. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Graph {
    http: reqwest::Client,
    /// With the version, without a slash at the end.
    base: Arc<str>,
    request_timeout: Duration,
    accept_timeout: Duration,
    observe: Observe,
}

/// Who asks: the business number, and the token that may speak for it.
#[derive(Clone, Copy)]
pub struct Account<'a> {
    pub number_id: &'a NumberId,
    pub token: &'a SecretString,
}

/// The client cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum GraphSetupError {
    #[error("{key}: {mistake}")]
    Config { key: &'static str, mistake: String },
    #[error("cannot set up HTTPS towards WhatsApp; are the system's CA certificates installed?")]
    Tls(#[source] reqwest::Error),
}

impl Graph {
    /// # Errors
    /// [`GraphSetupError`] for a configuration that [`Config::validate`] refuses, or without usable CA certificates.
    pub fn new(config: &Config, observe: Observe) -> Result<Self, GraphSetupError> {
        if let Some((key, mistake)) = config.validate().into_iter().next() {
            return Err(GraphSetupError::Config { key, mistake });
        }
        let url = reqwest::Url::parse(&config.graph_url).expect("validated above");
        let mut http = reqwest::Client::builder()
            .user_agent(concat!("tandem/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_millis(config.connect_timeout_ms))
            // A redirect would carry the token to whoever named it.
            .redirect(reqwest::redirect::Policy::none())
            // The library's own retries know nothing of ours.
            .retry(reqwest::retry::never())
            .tcp_nodelay(true);
        if url.scheme() == "http" {
            // A sandbox on this machine: no proxy leads to it, and no CA certificates are needed to reach it.
            http = http.no_proxy().tls_certs_only([]);
        }
        Ok(Self {
            http: http.build().map_err(GraphSetupError::Tls)?,
            base: format!("{}/{}", config.graph_url.trim_end_matches('/'), config.graph_version).into(),
            request_timeout: Duration::from_millis(config.request_timeout_ms),
            accept_timeout: Duration::from_millis(config.accept_timeout_ms),
            observe,
        })
    }

    /// Tries until it is done, refused, or not worth another try.
    async fn ask(&self, request: Request, timeout: Duration, within: Duration) -> Result<Vec<u8>, GraphError> {
        let op = request.op;
        let started = Clock.instant();
        let mut perhaps_done = false;
        for tried in 1.. {
            let began = Clock.instant();
            let left = within.saturating_sub(began.duration_since(started));
            if left.is_zero() {
                return Err(GraphError::too_late(op).after(perhaps_done));
            }
            let result = self.attempt(&request, timeout.min(left)).await;
            let elapsed = Clock.instant().duration_since(began);
            (self.observe)(op, &error::label(&result), elapsed);
            let error = match result {
                Ok(answer) => return Ok(answer),
                Err(error) if is_done_already(request.repeat, &error, perhaps_done) => return Ok(Vec::new()),
                Err(error) => error,
            };
            perhaps_done |= error.is_unknown_outcome();
            let pause = pause_before(tried + 1, error.retry_after);
            let left = within.saturating_sub(Clock.instant().duration_since(started));
            if tried == TRIES_MAX || pause >= left || !is_worth_another_try(request.repeat, &error) {
                return Err(error.after(perhaps_done));
            }
            tracing::debug!(op, tried, code = error.code, http = error.http, ?pause, "WhatsApp is asked again");
            tokio::time::sleep(pause).await;
        }
        unreachable!("the loop ends at its last try")
    }
}

/// Whether the refusal says that what we ask for has happened.
fn is_done_already(repeat: Repeat, error: &GraphError, perhaps_done: bool) -> bool {
    match repeat {
        // Before the first answer is lost, "already accepted" means that somebody else accepted.
        Repeat::Accepts => perhaps_done && error.kind == GraphErrorKind::InProgress,
        Repeat::Ends => error.kind == GraphErrorKind::CallGone,
        Repeat::Harmful | Repeat::Harmless => false,
    }
}

/// Only what may pass by itself, and only where a repetition is harmless.
fn is_worth_another_try(repeat: Repeat, error: &GraphError) -> bool {
    match error.kind {
        GraphErrorKind::Unreachable => true,
        GraphErrorKind::UnknownOutcome | GraphErrorKind::RateLimited | GraphErrorKind::Upstream => {
            repeat != Repeat::Harmful
        }
        GraphErrorKind::Token | GraphErrorKind::InProgress | GraphErrorKind::CallGone | GraphErrorKind::Refused => {
            false
        }
    }
}

/// Doubles from try to try, is never shorter than Meta asks for, and is spread so that a hundred calls that failed
/// together do not come back together.
fn pause_before(try_number: u32, retry_after: Option<Duration>) -> Duration {
    let mut byte = [128_u8];
    // Without randomness the pause is merely not spread.
    let _ = aws_lc_rs::rand::fill(&mut byte);
    let doubled = PAUSE * 2_u32.saturating_pow(try_number.saturating_sub(2));
    let spread = doubled.mul_f64(0.75 + f64::from(byte[0]) / 512.0);
    spread.max(retry_after.unwrap_or_default())
}

#[cfg(test)]
mod tests;
