//! Web Push: messages to browsers in which no page of ours is open, through the push service of the browser's maker
//! (RFC 8030). That service learns when an agent is rung and how long the message is; what it says is sealed for the browser
//! alone (RFC 8291), and who sends is signed (RFC 8292).
//!
//! Nothing waits for a push service but what asks for its answer, and that never longer than `[push] shown_ms`: by then the
//! offer has gone on to the next agent anyway. A gateway without a way out has no pushes and lacks nothing else.

mod config;
mod places;
mod sealed;
mod vapid;

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::signature::EcdsaKeyPair;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use reqwest::{StatusCode, redirect, retry};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::metrics::Metrics;
use crate::model::error::chain;
use crate::model::private_url::PrivateUrl;
use crate::model::push::{BadPushKey, PushKeys, PushKind, PushOutcome, PushSubscription};
use crate::model::time::Clock;
use vapid::Vapid;

pub use config::Config;
pub use places::BadEndpoint;

/// Messages on their way at once. Two hundred agents who are rung in the same second are a big house.
const UNDER_WAY_MAX: usize = 256;

/// Sends messages. Cheap to clone.
#[derive(Clone)]
pub struct Push(Arc<Sender>);

struct Sender {
    http: reqwest::Client,
    vapid: Vapid,
    config: Config,
    turns: Semaphore,
    metrics: Arc<Metrics>,
    clock: Clock,
}

/// One message.
#[derive(Debug)]
pub struct Message {
    pub kind: PushKind,
    /// A later message of the same topic takes the place of one that is not delivered yet: up to 32 characters of base64url
    /// (RFC 8030 section 5.4).
    pub topic: Option<String>,
    /// After this time it is of no use any more.
    pub ttl: Duration,
    /// What the browser reads; [`Message::LEN_MAX`] bytes at most.
    pub body: Vec<u8>,
}

impl Message {
    /// The longest body.
    pub const LEN_MAX: usize = sealed::PLAIN_LEN_MAX;
}

/// Why a browser's subscription is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSubscription {
    #[error("{0}")]
    Endpoint(#[from] BadEndpoint),
    #[error("{0}")]
    Key(#[from] BadPushKey),
}

impl Push {
    /// `key`: what browsers know this gateway by. `public_url`: stands for a missing `subject`.
    ///
    /// # Errors
    /// The machine's certificates cannot be read.
    pub fn new(
        config: &Config,
        key: EcdsaKeyPair,
        public_url: &str,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> reqwest::Result<Self> {
        let mut http = reqwest::Client::builder()
            .user_agent(concat!("tandem/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            // What comes late is of no use.
            .retry(retry::never())
            .tcp_nodelay(true);
        http = match config.allow_private {
            true => http.no_proxy(),
            false => http.dns_resolver(places::PublicOnly),
        };
        let subject = match config.subject.as_str() {
            "" if public_url.starts_with("https://") => public_url,
            subject => subject,
        };
        Ok(Self(Arc::new(Sender {
            http: http.build()?,
            vapid: Vapid::new(key, subject.to_owned()),
            config: config.clone(),
            turns: Semaphore::new(UNDER_WAY_MAX),
            metrics,
            clock,
        })))
    }

    /// The key that browsers subscribe to, as `applicationServerKey` takes it.
    pub fn public_key(&self) -> String {
        self.0.vapid.public_key()
    }

    /// How soon a browser without an open console has to show an offer.
    pub fn shown_within(&self) -> Duration {
        Duration::from_millis(self.0.config.shown_ms)
    }

    /// What a browser says of itself, if messages could go there.
    ///
    /// # Errors
    /// [`BadSubscription`] says what is wrong.
    pub fn check(&self, endpoint: &str, keys: &PushKeys) -> Result<PrivateUrl, BadSubscription> {
        places::check(endpoint, self.0.config.allow_private)?;
        if sealed::seal(b"", keys).is_none() {
            return Err(BadPushKey::P256dh.into());
        }
        Ok(PrivateUrl::from(endpoint))
    }

    /// Sends one message to one browser, and counts what became of it.
    pub async fn send(&self, to: &PushSubscription, message: &Message) -> PushOutcome {
        let began = self.0.clock.instant();
        let outcome = match self.0.turns.try_acquire() {
            Err(_) => PushOutcome::Crowded,
            Ok(_turn) => match timeout(self.shown_within(), self.0.post(to, message)).await {
                Ok(outcome) => outcome,
                Err(_) => PushOutcome::TimedOut,
            },
        };
        let took = self.0.clock.instant().saturating_duration_since(began);
        self.0.metrics.push_sent(message.kind, outcome, took);
        let (agent, service) = (&to.agent_id, to.endpoint.place());
        match outcome {
            PushOutcome::Taken => tracing::debug!(%agent, service, kind = %message.kind, "pushed"),
            _ => tracing::warn!(%agent, service, kind = %message.kind, %outcome, "a push did not get through"),
        }
        outcome
    }
}

impl Sender {
    async fn post(&self, to: &PushSubscription, message: &Message) -> PushOutcome {
        // Looked at again: what was taken while push.allow_private was on is not posted to after.
        let Ok(url) = places::check(&to.endpoint, self.config.allow_private) else { return PushOutcome::Refused };
        let Some(body) = sealed::seal(&message.body, &to.keys) else { return PushOutcome::Refused };
        let origin = url.origin().ascii_serialization();
        let mut request = self
            .http
            .post(url)
            .header(AUTHORIZATION, self.vapid.authorization(&origin, self.clock.now().wall))
            .header(CONTENT_ENCODING, "aes128gcm")
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(HeaderName::from_static("ttl"), message.ttl.as_secs())
            // Wakes a phone that dozes.
            .header(HeaderName::from_static("urgency"), "high")
            .body(body);
        if let Some(topic) = &message.topic {
            request = request.header(HeaderName::from_static("topic"), topic);
        }
        match request.send().await {
            Ok(response) => outcome_of(response.status()),
            Err(error) => {
                // Without its address, which is the subscription's own.
                tracing::debug!(error = chain(error.without_url()), "a push service could not be reached");
                PushOutcome::Failed
            }
        }
    }
}

/// RFC 8030 sections 5 and 7.3.
fn outcome_of(status: StatusCode) -> PushOutcome {
    match status.as_u16() {
        200..=299 => PushOutcome::Taken,
        404 | 410 => PushOutcome::Gone,
        500.. => PushOutcome::Failed,
        _ => PushOutcome::Refused,
    }
}
