//! WhatsApp's webhooks, worked off one after another.
//!
//! The body is stored before WhatsApp gets its 200, so a crash loses nothing: what was kept but not worked off is worked
//! off at the next start. Every delivery may be a duplicate, late, or earlier than the one that explains it; an end that
//! comes before its call is remembered, so that the call rings nobody when it turns up.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::mpsc;

use crate::call::{Call, CallRecord, Signal, Terminated};
use crate::metrics::WebhookResult;
use crate::model::id::{CallId, NumberId, Wacid};
use crate::model::reason::{Direction, EndReason};
use crate::model::time::Timestamp;
use crate::policy::inbound::refuse;
use crate::policy::permission::Reply;
use crate::signalling::whatsapp::{
    CallStatus, Connect, Customer, Delivery, PermissionReply, ReplySource, SdpType, Status, Terminate, TerminateStatus,
    parse,
};
use crate::store::StoreError;

use super::admit::{Announced, age, identity};
use super::{Desk, Switchboard, call_event};

/// Webhooks kept and waiting; beyond it the next one waits with its 200, and WhatsApp tries again later.
pub(super) const QUEUE: usize = 1024;

/// A stored webhook.
pub(super) struct Kept {
    id: i64,
    body: Vec<u8>,
    received_at: Timestamp,
}

impl Switchboard {
    /// Keeps the body, then has it worked off. Call it only with a verified signature.
    ///
    /// # Errors
    /// [`StoreError`] when it could not be kept; WhatsApp must not get its 200 then.
    pub async fn take_webhook(&self, body: Vec<u8>) -> Result<(), StoreError> {
        let received_at = self.0.parts.clock.now().wall;
        let id = self.0.parts.store.keep_webhook(&body, received_at).await?;
        // A closed queue means the process is going down; the body is kept and worked off at the next start.
        let _ = self.0.webhooks.send(Kept { id, body, received_at }).await;
        Ok(())
    }
}

/// Works off what a former process left, then what comes.
pub(super) async fn run(desk: Arc<Desk>, pending: Vec<(i64, Vec<u8>, Timestamp)>, mut inbox: mpsc::Receiver<Kept>) {
    for (id, body, received_at) in pending {
        guarded(&desk, Kept { id, body, received_at }).await;
    }
    while let Some(kept) = inbox.recv().await {
        guarded(&desk, kept).await;
    }
}

/// One webhook that breaks us must not silence all that follow, nor break us again at the next start.
async fn guarded(desk: &Arc<Desk>, kept: Kept) {
    let id = kept.id;
    if AssertUnwindSafe(work_off(desk, kept)).catch_unwind().await.is_err() {
        tracing::error!(webhook = id, "a webhook broke the inbox and is put aside");
        desk.parts.metrics.webhook("delivery", WebhookResult::Failed);
        let _ = desk.parts.store.webhook_done(id).await;
    }
}

async fn work_off(desk: &Arc<Desk>, kept: Kept) {
    match parse(&kept.body) {
        Ok(deliveries) => {
            for delivery in deliveries {
                let kind = delivery.kind();
                let result = match persistently(desk, &delivery, &kept).await {
                    Ok(result) => result,
                    Err(error) => {
                        tracing::error!(webhook = kept.id, kind, %error, "a delivery could not be worked off; it is tried again at the next start");
                        desk.parts.metrics.webhook(kind, WebhookResult::Failed);
                        return;
                    }
                };
                desk.parts.metrics.webhook(kind, result);
            }
            desk.learn_owners(&kept.body, kept.received_at).await;
        }
        Err(error) => {
            tracing::warn!(webhook = kept.id, %error, "a signed webhook is not in WhatsApp's shape");
            desk.parts.metrics.webhook("delivery", WebhookResult::Ignored);
        }
    }
    if let Err(error) = desk.parts.store.webhook_done(kept.id).await {
        tracing::error!(webhook = kept.id, %error, "a webhook could not be marked as worked off");
    }
}

/// A database that stumbles gets three more chances within two seconds: the caller is still there.
async fn persistently(desk: &Arc<Desk>, delivery: &Delivery, kept: &Kept) -> Result<WebhookResult, StoreError> {
    let mut pauses = [200, 600, 1_200].map(Duration::from_millis).into_iter();
    loop {
        match take(desk, delivery.clone(), kept).await {
            Ok(result) => return Ok(result),
            Err(error) => match pauses.next() {
                Some(pause) => {
                    tracing::warn!(webhook = kept.id, %error, "a delivery met a failing database; trying again");
                    tokio::time::sleep(pause).await;
                }
                None => return Err(error),
            },
        }
    }
}

async fn take(desk: &Arc<Desk>, delivery: Delivery, kept: &Kept) -> Result<WebhookResult, StoreError> {
    if let Some(key) = delivery.dedup_key()
        && !desk.parts.store.first_sight_in(kept.id, &key, kept.received_at).await?
    {
        return Ok(WebhookResult::Duplicate);
    }
    match delivery {
        Delivery::Connect(connect) => desk.connect(connect, kept).await,
        Delivery::Status(status) => desk.status(status, kept).await,
        Delivery::Terminate(terminate) => desk.terminate(terminate, kept).await,
        Delivery::PermissionReply(reply) => desk.permission_reply(reply, kept).await,
        Delivery::Message { number_id, customer, at } => desk.message(&number_id, customer, at, kept).await,
        Delivery::AccountUpdate(update) => desk.account_update(update, kept.received_at).await,
        Delivery::SettingsUpdate(update) => desk.settings_update(update, kept.received_at).await,
        Delivery::Errors { number_id, errors } => {
            tracing::warn!(?number_id, ?errors, "WhatsApp reports errors");
            Ok(WebhookResult::Done)
        }
        Delivery::Bad { field, event, why } => {
            tracing::warn!(field, event, why, "one element of a webhook is unusable");
            Ok(WebhookResult::Ignored)
        }
        Delivery::Unknown { field, event } => {
            tracing::debug!(field, event, "nothing for us");
            Ok(WebhookResult::Ignored)
        }
    }
}

impl Desk {
    async fn connect(self: &Arc<Self>, connect: Connect, kept: &Kept) -> Result<WebhookResult, StoreError> {
        self.parts.metrics.webhook_lag(age(connect.at, kept.received_at));
        if connect.direction == Direction::BusinessInitiated || connect.sdp_type == SdpType::Answer {
            let signal = Signal::CustomerAnswer { sdp: connect.sdp };
            return self.outbound_signal(&connect.wacid, connect.callback_data.as_deref(), signal).await;
        }
        if self.parts.store.call_by_wacid(&connect.wacid).await?.is_some() {
            return Ok(WebhookResult::Duplicate);
        }
        let Some(number) = self.parts.store.number(&connect.number_id).await? else {
            tracing::warn!(number = %connect.number_id, "a call for a number nobody registered: PUT /v1/numbers/{{id}}");
            return Ok(WebhookResult::Ignored);
        };
        let contact = self.contact_of(connect.customer.clone(), kept.received_at).await?;
        let now = self.parts.clock.now().wall;
        let settings = self.parts.store.settings_in_force(&number.id).await?;
        let (mut result, mut opens_at) = (WebhookResult::Done, None);
        let first = if let Some(terminate) = self.parts.store.tombstone(&connect.wacid).await? {
            match serde_json::from_value::<Terminated>(terminate) {
                Ok(terminated) => Signal::Terminated(terminated),
                Err(_) => Signal::Stale,
            }
        } else if age(connect.at, now) > super::STALE_AFTER {
            result = WebhookResult::Stale;
            Signal::Stale
        } else if self.draining_blockers() {
            Signal::Abandon(EndReason::Drained)
        } else if let Some(closed) = refuse(&number, &settings, &self.rules(now), now) {
            opens_at = closed.opens_at;
            Signal::Abandon(closed.reason)
        } else {
            Signal::Begin
        };
        tracing::info!(wacid = ?connect.wacid, contact = %contact.id, "WhatsApp announces a call");
        self.start_inbound(Announced { connect, contact, first, opens_at, number_records: number.record });
        Ok(result)
    }

    async fn status(self: &Arc<Self>, status: Status, kept: &Kept) -> Result<WebhookResult, StoreError> {
        let signal = match status.status {
            CallStatus::Ringing => Signal::CustomerRings,
            CallStatus::Accepted => Signal::CustomerAccepted { at: status.at.unwrap_or(kept.received_at) },
            CallStatus::Rejected => Signal::CustomerRejected,
        };
        self.outbound_signal(&status.wacid, status.callback_data.as_deref(), signal).await
    }

    async fn terminate(self: &Arc<Self>, terminate: Terminate, kept: &Kept) -> Result<WebhookResult, StoreError> {
        let wacid = terminate.wacid.clone();
        let terminated = reduce(&terminate, kept.received_at);
        let signal = Signal::Terminated(terminated.clone());
        let outbound = terminate.direction == Some(Direction::BusinessInitiated);
        if self.is_known(&wacid, terminate.callback_data.as_deref()).await? || outbound {
            let result = self.outbound_signal(&wacid, terminate.callback_data.as_deref(), signal).await?;
            if !outbound && let Err(error) = self.check_after_call(&wacid, kept.received_at).await {
                tracing::warn!(?wacid, %error, "a look into WhatsApp's books after a call could not be planned");
            }
            return Ok(result);
        }
        // Its call is not here yet: the two crossed, or the caller hung up at once.
        let terminated = serde_json::to_value(&terminated).expect("an end is plain data");
        self.parts.store.bury(&wacid, &terminated, kept.received_at).await?;
        Ok(WebhookResult::Done)
    }

    async fn is_known(&self, wacid: &Wacid, callback_data: Option<&str>) -> Result<bool, StoreError> {
        Ok(self.registry.line_by_wacid(wacid).is_some()
            || ours(callback_data).is_some_and(|call| self.registry.line(&call).is_some())
            || self.parts.store.call_by_wacid(wacid).await?.is_some())
    }

    /// A signal for a call that runs, one that ended, or one whose name we have not been told yet.
    async fn outbound_signal(
        self: &Arc<Self>,
        wacid: &Wacid,
        callback_data: Option<&str>,
        signal: Signal,
    ) -> Result<WebhookResult, StoreError> {
        if let Some(line) = self.registry.line_by_wacid(wacid)
            && line.signal(signal.clone()).await
        {
            return Ok(WebhookResult::Done);
        }
        if let Some(line) = ours(callback_data).and_then(|call| self.registry.line(&call)) {
            // The webhook overtook the answer to `connect`, or that answer was lost.
            line.signal(Signal::Dialled(Ok(wacid.clone()))).await;
            if line.signal(signal.clone()).await {
                return Ok(WebhookResult::Done);
            }
        }
        if let Some(record) = self.parts.store.call_by_wacid(wacid).await? {
            return self.correct(&record, signal).await;
        }
        self.registry.park(wacid, signal, self.parts.clock.instant());
        Ok(WebhookResult::Done)
    }

    /// WhatsApp says more about a call that has ended and whose task is gone.
    async fn correct(&self, known: &CallRecord, signal: Signal) -> Result<WebhookResult, StoreError> {
        let (patience, now, mut result) = (self.parts.patience, self.parts.clock.now(), WebhookResult::Done);
        let corrected = self.amend(&known.id, |record| {
            record.ended_at?;
            let was_settled = record.settled;
            let mut call = Call::restore(record.clone(), patience);
            let _ = call.handle(signal, now);
            let events: Vec<_> = call.take_news().into_iter().map(|kind| call_event(kind, call.record())).collect();
            if events.is_empty() && call.record().settled == was_settled {
                result = WebhookResult::Duplicate;
                return None;
            }
            *record = call.record().clone();
            Some(events)
        });
        if corrected.await? {
            self.review_pickup(&known.number_id).await?;
        }
        Ok(result)
    }

    async fn permission_reply(&self, reply: PermissionReply, kept: &Kept) -> Result<WebhookResult, StoreError> {
        if self.parts.store.number(&reply.number_id).await?.is_none() {
            return Ok(WebhookResult::Ignored);
        }
        let contact = self.contact_of(reply.customer.clone(), kept.received_at).await?;
        let at = reply.at.unwrap_or(kept.received_at);
        let said = Reply {
            id: reply.id,
            granted: reply.granted,
            permanent: reply.permanent,
            expires_at: reply.expires_at,
            automatic: reply.source == ReplySource::Automatic,
            context: reply.context_id,
            at,
        };
        let now = self.parts.clock.now().wall;
        let Some(logged) = self.parts.store.take_reply(&reply.number_id, &contact.id, said, now).await? else {
            tracing::info!(contact = %contact.id, "a callback permission is not taken: the number has them switched off");
            return Ok(WebhookResult::Ignored);
        };
        self.publish(logged);
        Ok(WebhookResult::Done)
    }

    /// The customer wrote: for a day we may write back in our own words.
    async fn message(
        &self,
        number: &NumberId,
        customer: Customer,
        at: Option<Timestamp>,
        kept: &Kept,
    ) -> Result<WebhookResult, StoreError> {
        if self.parts.store.number(number).await?.is_none() {
            return Ok(WebhookResult::Ignored);
        }
        let contact = self.contact_of(customer, kept.received_at).await?;
        self.parts.store.customer_wrote(number, &contact.id, at.unwrap_or(kept.received_at)).await?;
        Ok(WebhookResult::Done)
    }

    async fn contact_of(
        &self,
        customer: Customer,
        now: Timestamp,
    ) -> Result<crate::model::directory::Contact, StoreError> {
        let who = identity(customer.phone, customer.user_id, customer.name, customer.username);
        self.parts.store.identify(&who, now).await
    }
}

/// Our own call id, if this is what WhatsApp gives back.
fn ours(callback_data: Option<&str>) -> Option<CallId> {
    CallId::parse(callback_data?).ok()
}

fn reduce(terminate: &Terminate, received_at: Timestamp) -> Terminated {
    Terminated {
        at: terminate.at.unwrap_or(received_at),
        failed: terminate.status == TerminateStatus::Failed,
        code: terminate.errors.iter().find_map(|error| error.code),
        started_at: terminate.started_at,
        ended_at: terminate.ended_at,
        duration_s: terminate.duration_s,
    }
}
