//! Sends signed webhooks, retries them, and keeps a log.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use aws_lc_rs::hmac;
use serde_json::Value;
use tokio::sync::oneshot;

use super::clock::Clock;
use super::faults::{Kind, WebhookFaults};
use super::payload::{envelope, meta_bytes};

/// The longest pause between two attempts.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(60);

/// One POST that was made, or was to be made.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The call, if it is about one.
    pub wacid: Option<String>,
    /// What it told.
    pub kind: Kind,
    /// 1 for the first attempt.
    pub attempt: u32,
    /// The receiver's answer; `None`: no connection, a time-out, or no receiver configured.
    pub status: Option<u16>,
    /// When the answer was there.
    pub at: Instant,
    /// How long the receiver took.
    pub took: Duration,
}

/// Which signature a raw delivery carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// The right one.
    Right,
    /// One of another key.
    Wrong,
    /// None at all.
    Missing,
}

/// One thing to tell.
#[derive(Clone)]
pub(super) struct Notice {
    pub(super) wacid: Option<String>,
    pub(super) kind: Kind,
    pub(super) field: &'static str,
    pub(super) value: Value,
}

pub(super) struct Courier {
    client: reqwest::Client,
    app_secret: String,
    verify_token: String,
    account_id: String,
    retry_pause: Duration,
    attempts: u32,
    clock: Arc<Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    url: Option<String>,
    log: Vec<Delivery>,
    batch: Vec<Notice>,
}

impl Courier {
    pub(super) fn new(config: &super::Config, clock: Arc<Clock>) -> Result<Self> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(config.webhook_timeout)
            .build()
            .context("cannot build an HTTP client for webhooks")?;
        Ok(Self {
            client,
            app_secret: config.app_secret.clone(),
            verify_token: config.verify_token.clone(),
            account_id: config.account_id.clone(),
            retry_pause: config.webhook_retry_pause,
            attempts: config.webhook_attempts.max(1),
            clock,
            state: Mutex::new(State { url: config.webhook_url.clone(), ..State::default() }),
        })
    }

    pub(super) fn set_url(&self, url: &str) {
        self.lock().url = Some(url.to_owned());
    }

    pub(super) fn log(&self) -> Vec<Delivery> {
        self.lock().log.clone()
    }

    /// Sends a notice as the faults say; the receiver fires after the first attempt of the first copy.
    pub(super) fn send(self: &Arc<Self>, notice: Notice, faults: WebhookFaults) -> oneshot::Receiver<()> {
        let (first_done, wait) = oneshot::channel();
        let courier = Arc::clone(self);
        tokio::spawn(async move {
            if let Some(window) = faults.batch_window {
                courier.send_in_batch(notice, window, &faults, first_done).await;
                return;
            }
            let body = courier.body_of(vec![notice.clone()], &faults);
            let mut first_done = Some(first_done);
            for copy in 0..=faults.duplicates {
                if copy > 0 {
                    tokio::time::sleep(faults.duplicate_pause).await;
                }
                courier.send_until_taken(&notice, &body, &faults, first_done.take()).await;
            }
        });
        wait
    }

    /// One POST of these bytes, signed as asked.
    pub(super) async fn post(&self, body: Vec<u8>, signature: Signature) -> Result<u16> {
        let url = self.lock().url.clone().context("no webhook URL is set: call set_webhook_url first")?;
        let mut request =
            self.client.post(url).header("content-type", "application/json").header("user-agent", "facebookexternalua");
        let key = match signature {
            Signature::Right => Some(self.app_secret.as_str()),
            Signature::Wrong => Some("another-secret"),
            Signature::Missing => None,
        };
        if let Some(key) = key {
            request = request.header("x-hub-signature-256", sign(key, &body));
        }
        let response = request.body(body).send().await.context("the webhook receiver did not answer")?;
        Ok(response.status().as_u16())
    }

    /// Meta's verification: the right token must echo the challenge, a wrong one must get 403.
    pub(super) async fn verify(&self) -> Result<()> {
        let url = self.lock().url.clone().context("no webhook URL is set: call set_webhook_url first")?;
        let challenge = rand::random::<u32>().to_string();
        for (token, right) in [(self.verify_token.as_str(), true), ("not-the-token", false)] {
            let query = [("hub.mode", "subscribe"), ("hub.challenge", challenge.as_str()), ("hub.verify_token", token)];
            let response =
                self.client.get(&url).query(&query).send().await.context("the webhook receiver did not answer")?;
            let status = response.status().as_u16();
            let body = response.text().await.context("the verification answer broke off")?;
            if right {
                ensure!(
                    status == 200 && body == challenge,
                    "verification must echo {challenge}, got {status} {body:?}"
                );
            } else {
                ensure!(status == 403, "verification with a wrong token must be 403, got {status}");
            }
        }
        Ok(())
    }

    fn body_of(&self, notices: Vec<Notice>, faults: &WebhookFaults) -> Vec<u8> {
        let changes = notices.into_iter().map(|notice| (notice.field, notice.value)).collect();
        meta_bytes(&envelope(&self.account_id, changes, self.clock.now(), faults))
    }

    async fn send_in_batch(
        &self,
        notice: Notice,
        window: Duration,
        faults: &WebhookFaults,
        first_done: oneshot::Sender<()>,
    ) {
        let opens = {
            let mut state = self.lock();
            state.batch.push(notice.clone());
            state.batch.len() == 1
        };
        // The first notice of a batch waits for the others and sends them all.
        if !opens {
            let _ = first_done.send(());
            return;
        }
        let _ = first_done.send(());
        tokio::time::sleep(window).await;
        let batch = std::mem::take(&mut self.lock().batch);
        let body = self.body_of(batch.clone(), faults);
        for _ in 0..=faults.duplicates {
            self.send_until_taken(&notice, &body, faults, None).await;
        }
        let mut state = self.lock();
        let last = state.log.last().cloned();
        for other in batch.iter().skip(1) {
            if let Some(last) = &last {
                state.log.push(Delivery { wacid: other.wacid.clone(), kind: other.kind, ..last.clone() });
            }
        }
    }

    async fn send_until_taken(
        &self,
        notice: &Notice,
        body: &[u8],
        faults: &WebhookFaults,
        mut first_done: Option<oneshot::Sender<()>>,
    ) {
        let signature = if faults.wrong_signature { Signature::Wrong } else { Signature::Right };
        let mut pause = self.retry_pause;
        for attempt in 1..=self.attempts {
            let started = Instant::now();
            let status = self.post(body.to_vec(), signature).await.ok();
            let at = Instant::now();
            tracing::debug!(kind = ?notice.kind, attempt, ?status, "webhook_sent");
            self.lock().log.push(Delivery {
                wacid: notice.wacid.clone(),
                kind: notice.kind,
                attempt,
                status,
                at,
                took: at - started,
            });
            if let Some(done) = first_done.take() {
                let _ = done.send(());
            }
            if status.is_some_and(|status| (200..300).contains(&status)) {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY_PAUSE_MAX);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sign(secret: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    format!("sha256={}", hex::encode(hmac::sign(&key, body)))
}
