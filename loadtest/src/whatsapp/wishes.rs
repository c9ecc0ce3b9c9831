//! What customers, WhatsApp and people in WhatsApp Manager do on request, beside calling.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::config::{BusinessNumber, Customer};
use super::enforcement::{Restriction, Warning};
use super::faults::{Kind, WebhookFaults};
use super::payload::messages::{MessageFacts, new_wamid};
use super::payload::{account, messages};
use super::permission::{Grant, Nudge, PermissionRequest, Told};
use super::webhook::Notice;
use super::{FakeWhatsApp, Inner};

/// Time.
impl FakeWhatsApp {
    /// Lets time pass in no time: permissions, limits, windows, hours, pauses and webhook time stamps follow. What is
    /// measured in real time does not: ringing, media, retries. A call that runs meanwhile becomes that much longer in its
    /// `terminate` webhook.
    pub fn advance(&self, by: Duration) {
        self.inner.exchange.clock.advance(by);
    }

    /// The fake's time in Unix seconds.
    pub fn now(&self) -> u64 {
        self.inner.exchange.clock.now()
    }
}

/// Permissions.
impl FakeWhatsApp {
    /// The customer permits calls; a webhook tells the business.
    ///
    /// # Errors
    /// When the webhook could not be delivered at the first attempt, or the last request is too old to be answered.
    pub async fn grant_permission(&self, phone: &str, grant: Grant) -> Result<()> {
        let (number, customer) = self.pair(phone)?;
        let told = self.inner.exchange.permissions.grant(&number.id, &customer.phone, &grant, None, self.now())?;
        self.tell_permission(&number, &customer, &told).await
    }

    /// The customer declines the last request for permission.
    ///
    /// # Errors
    /// See [`FakeWhatsApp::grant_permission`].
    pub async fn decline_permission(&self, phone: &str) -> Result<()> {
        let (number, customer) = self.pair(phone)?;
        let told = self.inner.exchange.permissions.decline(&number.id, &customer.phone, None, self.now())?;
        self.tell_permission(&number, &customer, &told).await
    }

    /// The customer acts on this very request: `None` declines. An answer can be changed as long as the request lives.
    ///
    /// # Errors
    /// When there is no such request, it can no longer be answered, or the webhook could not be delivered at the first
    /// attempt.
    pub async fn answer_request(&self, wamid: &str, grant: Option<Grant>) -> Result<()> {
        let request = self.permission_requests().into_iter().find(|request| request.wamid == wamid);
        let request = request.with_context(|| format!("no permission request {wamid} was sent"))?;
        let number = self.inner.number(&request.number_id)?;
        let customer = self.inner.customer_of(Some(&request.to), None).context("a phone number is needed")?;
        let permissions = &self.inner.exchange.permissions;
        let (wamid, now) = (Some(wamid), self.now());
        let told = match grant {
            Some(grant) => permissions.grant(&number.id, &customer.phone, &grant, wamid, now)?,
            None => permissions.decline(&number.id, &customer.phone, wamid, now)?,
        };
        self.tell_permission(&number, &customer, &told).await
    }

    /// Meta takes the permission back (four unanswered calls in a row).
    ///
    /// # Errors
    /// When the webhook could not be delivered at the first attempt.
    pub async fn revoke_permission(&self, phone: &str) -> Result<()> {
        let (number, customer) = self.pair(phone)?;
        let told = self.inner.exchange.permissions.revoke(&number.id, &customer.phone);
        self.tell_permission(&number, &customer, &told).await
    }

    /// Requests for permission that the business has sent. Every template counts as one: the fake does not know what the
    /// business's templates contain.
    pub fn permission_requests(&self) -> Vec<PermissionRequest> {
        self.inner.exchange.permissions.requests()
    }

    /// Customers whom WhatsApp has asked to reconsider their permission.
    pub fn nudges(&self) -> Vec<Nudge> {
        self.inner.exchange.permissions.nudges()
    }

    /// The customer writes to the first number, which opens the customer service window. Returns the id of the message.
    ///
    /// # Errors
    /// When the webhook could not be delivered at the first attempt.
    pub async fn customer_writes(&self, phone: &str, text: &str) -> Result<String> {
        let (number, customer) = self.pair(phone)?;
        let now = self.now();
        self.inner.exchange.permissions.open_window(&number.id, &customer.phone, now);
        let (wamid, faults) = (new_wamid(), self.inner.webhook_faults());
        let facts = MessageFacts { number: &number, customer: &customer, now };
        let value = messages::text(&facts, &wamid, text, &faults);
        self.tell(Kind::Message, "messages", value, faults).await?;
        Ok(wamid)
    }

    async fn tell_permission(&self, number: &BusinessNumber, customer: &Customer, told: &Told) -> Result<()> {
        let faults = self.inner.webhook_faults();
        let value = messages::permission_reply(&MessageFacts { number, customer, now: self.now() }, told, &faults);
        self.tell(Kind::PermissionReply, "messages", value, faults).await
    }

    fn pair(&self, phone: &str) -> Result<(BusinessNumber, Customer)> {
        let number = self.inner.exchange.config.numbers.first().cloned().context("the fake has no business number")?;
        let customer = self.inner.customer_of(Some(phone), None).context("a phone number is needed")?;
        Ok((number, customer))
    }
}

/// Numbers: settings, warnings, pauses.
impl FakeWhatsApp {
    /// The `calling` object as `GET settings` shows it.
    ///
    /// # Errors
    /// When the fake has no such number.
    pub fn settings(&self, number_id: &str) -> Result<Value> {
        let number = self.inner.number(number_id)?;
        Ok(self.inner.shown_settings(&number))
    }

    /// Somebody changes settings in WhatsApp Manager: `calling` holds the keys to change. A webhook tells the business.
    ///
    /// # Errors
    /// What Meta refuses, with the reason; when the fake has no such number; when the webhook could not be delivered at the
    /// first attempt.
    pub async fn change_settings(&self, number_id: &str, calling: &Value) -> Result<()> {
        let number = self.inner.number(number_id)?;
        let changed = self.inner.exchange.settings.change(number_id, calling, self.now());
        if let Err(refusal) = changed {
            bail!("the settings are refused: {}", refusal.details);
        }
        let (value, faults) = self.inner.settings_update(&number);
        self.tell(Kind::SettingsUpdate, "account_settings_update", value, faults).await
    }

    /// Meta warns that the quality of calls is low. Nothing changes but the webhook.
    ///
    /// # Errors
    /// When the fake has no such number, or the webhook could not be delivered at the first attempt.
    pub async fn warn(&self, number_id: &str, warning: Warning) -> Result<()> {
        let value = account::violation(&self.inner.number(number_id)?, warning);
        self.tell(Kind::AccountUpdate, "account_update", value, self.inner.webhook_faults()).await
    }

    /// Meta pauses calling for this long by the fake's clock. Business-initiated: calls and permission requests get 138014.
    /// User-initiated: callers are turned away. No webhook tells of the end.
    ///
    /// # Errors
    /// When the fake has no such number, or the webhook could not be delivered at the first attempt.
    pub async fn restrict(&self, number_id: &str, restriction: Restriction, expires_in: Duration) -> Result<()> {
        let number = self.inner.number(number_id)?;
        let until = self.now() + expires_in.as_secs();
        self.inner.exchange.pauses.add(number_id, restriction, until);
        let value = account::restriction(&number, restriction, until);
        self.tell(Kind::AccountUpdate, "account_update", value, self.inner.webhook_faults()).await
    }

    /// Sends a webhook that belongs to no call, and says whether it was taken. One that the faults drop, delay or batch is
    /// not waited for.
    async fn tell(&self, kind: Kind, field: &'static str, value: Value, faults: WebhookFaults) -> Result<()> {
        let before = Instant::now();
        let waits = faults.batch_window.is_none() && faults.delay_of(kind).is_none() && !faults.drops.contains(&kind);
        let sent = self.inner.send(Notice { wacid: None, kind, field, value }, faults);
        if !waits {
            return Ok(());
        }
        sent.await.context("the webhook could not be sent")?;
        let sent = self.deliveries().into_iter().rev().find(|d| d.kind == kind && d.at >= before);
        match sent.and_then(|delivery| delivery.status) {
            Some(status) if (200..300).contains(&status) => Ok(()),
            status => bail!("the {kind:?} webhook was not taken: HTTP status {status:?}"),
        }
    }
}

impl Inner {
    pub(super) fn number(&self, number_id: &str) -> Result<BusinessNumber> {
        let number = self.exchange.config.numbers.iter().find(|number| number.id == number_id);
        number.cloned().with_context(|| format!("the fake has no number {number_id}"))
    }

    pub(super) fn webhook_faults(&self) -> WebhookFaults {
        self.exchange.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The webhook that follows every change of settings, and the faults it is under.
    pub(super) fn settings_update(&self, number: &BusinessNumber) -> (Value, WebhookFaults) {
        let (exchange, faults) = (&self.exchange, self.webhook_faults());
        let told = exchange.settings.told(&number.id);
        (account::settings_update(number, &told, exchange.clock.now(), &faults), faults)
    }

    pub(super) fn shown_settings(&self, number: &BusinessNumber) -> Value {
        let mut calling = self.exchange.settings.read(&number.id);
        if let Some(restrictions) = self.exchange.pauses.shown(&number.id, self.exchange.clock.now()) {
            calling.insert("restrictions".to_owned(), restrictions);
        }
        Value::Object(calling)
    }

    /// Sends a webhook that belongs to no call, unless it is dropped; the receiver fires after the first attempt.
    pub(super) fn send(&self, notice: Notice, faults: WebhookFaults) -> tokio::sync::oneshot::Receiver<()> {
        let courier = std::sync::Arc::clone(&self.exchange.courier);
        let (done, wait) = tokio::sync::oneshot::channel();
        if faults.drops.contains(&notice.kind) {
            return wait;
        }
        let delay = faults.delay_of(notice.kind).unwrap_or(Duration::ZERO);
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            // A receiver that is gone has not waited.
            let _ = courier.send(notice, faults).await;
            let _ = done.send(());
        });
        wait
    }
}
